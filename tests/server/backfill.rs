//! A window that is new is filled with what a real Prometheus has, and its rules are warm at once.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Reply, Server, Setup, now_ms, send_to, wait_for};
use crate::sender::{Protocol, Series};
use crate::tools::{free_address, tool};

const RULES: &str = "
groups:
- name: long
  interval: 1s
  rules:
  - {record: x:increase3h, expr: 'sum by (i) (increase(x[3h]))'}
  - {alert: Low, expr: 'sum(increase(x[3h])) < 1000000'}
";

/// Samples in Prometheus: one a minute for four hours.
const N_SAMPLES: i64 = 240;
const MINUTE: i64 = 60_000;

/// A real Prometheus that takes remote write; it ends with the test.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(program: &Path, address: SocketAddr) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join("prometheus.yml"), "").expect("writes");
        let child = Command::new(program)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--web.enable-remote-write-receiver")
            .arg("--enable-feature=native-histograms")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let prometheus = Prometheus {
            child: child.expect("Prometheus starts"),
            address,
            _directory: directory,
        };
        wait_for("Prometheus to be ready", || {
            let ready = send_to(address, ("GET", "/-/ready"), &[], b"")?;
            (ready.status == 200).then_some(())
        });
        prometheus
    }

    fn write(&self, series: &[Series]) -> Reply {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", "application/x-protobuf"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        let body = Protocol::V1.body(series);
        let reply = send_to(self.address, ("POST", "/api/v1/write"), &headers, &body);
        reply.expect("Prometheus answers")
    }

    /// Writes all samples, the first at an instant.
    fn write_all(&self, samples: Samples, begin: i64) {
        for n in 0..N_SAMPLES {
            let reply = self.write(&samples(n, begin + n * MINUTE));
            assert_eq!(reply.status, 204, "sample {n}: {}", reply.text);
        }
    }

    fn major_version(&self) -> u32 {
        let path = "/api/v1/status/buildinfo";
        let reply = send_to(self.address, ("GET", path), &[], b"").expect("Prometheus answers");
        let version = reply.json()["data"]["version"].clone();
        let major = version.as_str().and_then(|text| text.split('.').next());
        major
            .and_then(|major| major.parse().ok())
            .expect("a version")
    }

    /// The values of an instant query's elements.
    fn query(&self, query: &str, at: i64) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query?query={query}&time={}", at as f64 / 1000.0);
        let reply = send_to(self.address, ("GET", &path), &[], b"").expect("Prometheus answers");
        values(&reply.json()["data"])
    }
}

fn values(data: &Value) -> Vec<String> {
    let result = data["result"].as_array().expect("a vector");
    let value = |element: &Value| element["value"][1].as_str().expect("a value").to_owned();
    let mut values: Vec<String> = result.iter().map(value).collect();
    values.sort();
    values
}

fn counters(n: i64, at: i64) -> Vec<Series> {
    let mut series = vec![Series::new("up").label("job", "a").float(at, 1.0)];
    series.extend((0..3_i64).map(|i| {
        let x = Series::new("x").label("i", &i.to_string());
        // One of them stops long before the end, and is in the window all the same.
        match i == 2 && n > N_SAMPLES / 2 {
            true => x,
            false => x.float(at, (n * (7 + i)) as f64 + 0.25),
        }
    }));
    series
}

fn histograms(n: i64, at: i64) -> Vec<Series> {
    let count = u64::try_from(3 * n + 1).expect("positive");
    let up = Series::new("up").label("job", "a").float(at, 1.0);
    vec![up, Series::new("h").histogram(at, count)]
}

type Samples = fn(i64, i64) -> Vec<Series>;

/// The instant of the last sample, and of the one before all.
fn instants() -> (i64, i64) {
    let last = now_ms() / MINUTE * MINUTE - 7_000;
    (last, last - (N_SAMPLES - 1) * MINUTE)
}

/// Starts a server that has got nothing but the last sample, and asks a Prometheus at an address.
fn start(rules: &str, address: SocketAddr, samples: Samples, last: i64) -> Server {
    let own = format!("backfill: {{url: 'http://{address}/api/v1/read'}}\n");
    let server = Setup::with_rules(rules)
        .file("burnwatch.yml", &own)
        .flag("--burnwatch.config.file=burnwatch.yml")
        .start();
    server.write(Protocol::V1, &samples(N_SAMPLES - 1, last));
    server
}

/// What became of the only selector, once that is something.
fn filled(server: &Server, state: &str) -> Option<Value> {
    let fills = server.data("status/backfill");
    let fill = fills.as_array().expect("a list").first()?.clone();
    (fill["state"] == state).then_some(fill)
}

fn warming(server: &Server, rule: usize) -> Value {
    server.data("rules")["groups"][0]["rules"][rule]["warmingUntil"].clone()
}

/// Holds the answers of both to some queries against each other.
fn same_answers(server: &Server, prometheus: &Prometheus, at: i64, queries: &[&str]) {
    for query in queries {
        let text: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let data = server.data(&format!("query?query={text}&time={}", at as f64 / 1000.0));
        assert_eq!(values(&data), prometheus.query(query, at), "{query}");
    }
}

#[test]
fn a_new_window_is_filled_from_a_prometheus_and_its_rules_are_warm() {
    let Some(program) = tool("prometheus") else {
        say!("backfill: skipped, no prometheus here; see tests/tools.sh");
        return;
    };
    let address = free_address();
    let (last, begin) = instants();
    let server = start(RULES, address, counters, last);

    // Prometheus is not there yet: that is said, with the reason, and tried again.
    let failed = wait_for("a failed attempt", || filled(&server, "failed"));
    let reason = failed["error"].as_str().expect("a reason");
    assert!(reason.contains("Connection refused"), "{reason}");
    assert!(warming(&server, 1).is_string());

    let prometheus = Prometheus::start(&program, address);
    prometheus.write_all(counters, begin);
    wait_for("history to be there", || filled(&server, "done"));
    wait_for("rules to be warm", || {
        warming(&server, 1).is_null().then_some(())
    });
    let queries = [
        "sum by (i) (increase(x[3h]))",
        "max_over_time(x[170m])",
        "count_over_time(x[100m] offset 70m)",
        "present_over_time(x{i=\"2\"}[3h])",
    ];
    same_answers(&server, &prometheus, last + 1_000, &queries);
    // What missing members could have made true fires now, and not in three hours.
    server.write(Protocol::V1, &counters(N_SAMPLES, last + 5_000));
    wait_for("the alert", || {
        let alerts = server.alerts();
        alerts.contains(&"Low firing".to_owned()).then_some(())
    });
    assert!(server.metric("burnwatch_backfill_samples_total") > Some(400.0));
}

/// Native histograms come as samples, which a Prometheus 2 leaves out: that must not pass for
/// history without any.
#[test]
fn native_histograms_are_filled_in_or_it_is_said_that_they_cannot_be() {
    let Some(program) = tool("prometheus") else {
        say!("backfill of histograms: skipped, no prometheus here; see tests/tools.sh");
        return;
    };
    let rules = "groups: [{name: g, rules: [{record: r, expr: 'sum(increase(h[3h]))'}]}]";
    let (last, begin) = instants();
    let prometheus = Prometheus::start(&program, free_address());
    prometheus.write_all(histograms, begin);
    let server = start(rules, prometheus.address, histograms, last);
    if prometheus.major_version() < 3 {
        let failed = wait_for("a refusal", || filled(&server, "failed"));
        let reason = failed["error"].as_str().expect("a reason");
        assert!(reason.contains("native histograms"), "{reason}");
        assert!(warming(&server, 0).is_string());
        return;
    }
    wait_for("history to be there", || filled(&server, "done"));
    wait_for("rules to be warm", || {
        warming(&server, 0).is_null().then_some(())
    });
    let queries = [
        "histogram_count(sum(increase(h[3h])))",
        "count_over_time(h[2h])",
    ];
    same_answers(&server, &prometheus, last + 1_000, &queries);
}

#[test]
fn an_address_that_is_no_remote_read_is_told_apart() {
    let other = Setup::with_rules("groups: []").start();
    let (last, _) = instants();
    let server = start(RULES, other.address(), counters, last);
    let failed = wait_for("a refusal", || filled(&server, "failed"));
    let reason = failed["error"].as_str().expect("a reason");
    let expected = "the URL has to be that of remote read";
    assert!(
        reason.contains("404") && reason.contains(expected),
        "{reason}"
    );
}
