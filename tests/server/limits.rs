//! Every limit of the configuration is a limit: set low, it is met, says so, and the rest goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use burnwatch::config::LIMITS;

use crate::process::{Reply, Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: High, expr: level > 5}
  - {record: 'steps:max', expr: 'max_over_time(level[1m:1s])'}
";

/// Limits whose tests stand elsewhere, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("answer_stall", "tests/security/slow.rs"),
    ("body_timeout", "tests/security/slow.rs"),
    ("connections_per_peer", "tests/security/slow.rs"),
    ("changes", "context"),
    ("changes_age", "context"),
    ("context_alerts", "tests/design/context.rs"),
    ("context_samples", "tests/design/context.rs"),
    ("recent_alerts", "context"),
    ("ha_clusters", "tests/ingest/replicas.rs"),
    ("head_timeout", "tests/security/slow.rs"),
    ("keep_alive", "tests/security/slow.rs"),
    ("future", "bad_input"),
    ("log_bytes", "restart"),
    ("log_retention_bytes", "src/log/backend/file/crash_tests.rs"),
    ("missed_ticks", "tests/design/p05_ticks.rs"),
    ("notification_queue", "alerts"),
    ("query_timeout", "tests/api/query.rs"),
    ("request_decoded_bytes", "bad_input"),
];

/// Limits that stand in a test of this file.
const HERE: &[&str] = &[
    "connections",
    "group_work",
    "in_flight_bytes",
    "label_name_bytes",
    "label_value_bytes",
    "labels_per_series",
    "log_samples",
    "metadata",
    "query_concurrency",
    "query_samples",
    "request_bytes",
    "request_items",
    "requests_in_flight",
    "rule_elements",
    "series",
    "subquery_points",
];

/// Catches a limit that is documented, accepted and never looked at.
#[test]
fn every_limit_has_its_test() {
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    let mut tested: Vec<&str> = HERE.iter().copied().chain(elsewhere).collect();
    tested.sort_unstable();
    let mut known: Vec<&str> = LIMITS.iter().map(|limit| limit.name).collect();
    known.sort_unstable();
    assert_eq!(tested, known);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/RELIABILITY.md")).expect("the page");
    for name in known.into_iter().chain(["per_sender"]) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/RELIABILITY.md does not say what happens at {name}"
        );
    }
}

fn server(limits: &str) -> Server {
    let config = format!("burnwatch: {{limits: {{{limits}}}}}");
    Setup::with_config(&config, RULES).start()
}

fn level(label: &str, value: &str, at: i64) -> Series {
    Series::new("level").label(label, value).float(at, 9.0)
}

fn send(server: &Server, series: &[Series]) -> Reply {
    server.write_body(Protocol::V2, &Protocol::V2.body(series))
}

#[test]
fn series_beyond_their_limits_are_refused_and_the_rest_is_written() {
    let at = now_ms() - 10_000;
    let check = |limits: &str, bad: Series, reason: &str| {
        let server = server(limits);
        let good = [level("n", "1", at), level("n", "2", at)];
        let reply = send(&server, &[&good[..], &[bad]].concat());
        assert_eq!(reply.status, 400, "{limits}");
        assert!(reply.text.starts_with(reason), "{limits}: {}", reply.text);
        assert_eq!(reply.written(), [2, 0, 0], "{limits}");
        assert_eq!(server.query("count(level)", at), ["{} 2"], "{limits}");
    };
    check(
        "series: 2",
        level("n", "3", at),
        "too_many_series: 1 refused",
    );
    let two = level("a", "b", at).label("c", "d");
    check("labels_per_series: 2", two, "too_many_labels: 1 refused");
    let long = level("longer_name", "b", at);
    check(
        "label_name_bytes: 10B",
        long,
        "label_name_too_long: 1 refused",
    );
    let long = level("n", "longer value", at);
    check(
        "label_value_bytes: 10B",
        long,
        "label_value_too_long: 1 refused",
    );
}

#[test]
fn requests_beyond_their_limits_are_refused_whole() {
    let at = now_ms() - 10_000;
    let (small, series) = (
        server("request_bytes: 100B"),
        level("n", &"x".repeat(200), at),
    );
    let reply = small.write_body(Protocol::V1, &Protocol::V1.message(&[series]));
    assert_eq!(reply.status, 413, "{}", reply.text);

    assert_eq!(send(&small, &[level("n", "1", at)]).status, 204);
    assert_eq!(small.alerts(), ["High firing"]);

    let few = server("request_items: 20");
    let many: Vec<Series> = (0..20).map(|n| level("n", &n.to_string(), at)).collect();
    let reply = send(&few, &many);
    assert_eq!(reply.status, 413, "{}", reply.text);
    assert_eq!(send(&few, &many[..2]).status, 204);
    assert_eq!(few.query("count(level)", at), ["{} 2"]);
}

/// An engine that is busy for a while: what would pile up beyond the bound is to come again.
#[test]
fn an_engine_that_lags_answers_503_and_catches_up() {
    let slow = "groups: [{name: g, interval: 1s, rules: \
                [{alert: High, expr: 'max_over_time(sum(level)[12h:1s]) > 5'}]}]";
    let config = "burnwatch: {limits: {log_samples: 1}}";
    let server = Setup::with_config(config, slow).start();
    // The answer comes when the rules, which wait in the log too, are in force.
    assert_eq!(server.alerts(), [""; 0]);
    // On a step of the subquery.
    let at = now_ms() / 1_000 * 1_000 - 10_000;
    assert_eq!(send(&server, &[level("n", "1", at)]).status, 204);
    let reply = send(&server, &[level("n", "2", at)]);
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert_eq!(reply.headers["retry-after"], "5");
    assert_eq!(reply.written(), [0, 0, 0]);
    wait_for("room in the log", || {
        let reply = send(&server, &[level("n", "2", at)]);
        (reply.status == 204).then_some(())
    });
    assert_eq!(server.alerts(), ["High firing"]);
    assert_eq!(server.query("count(level)", at), ["{} 2"]);
}

/// Opens a request whose body does not come; returns when the server waits for the body.
fn half_a_request(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("connects");
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sends");
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

fn finish(mut stream: TcpStream) -> String {
    let _ = stream.write_all(b"b");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn too_many_requests_at_a_time_are_told_to_come_again() {
    let at = now_ms() - 10_000;
    let server = server("requests_in_flight: 1");
    let open = half_a_request(&server);
    let body = Protocol::V2.body(&[level("n", "1", at)]);
    let refused = server.write_body(Protocol::V2, &body);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.headers["retry-after"], "5");
    assert_eq!(server.get("/-/ready").status, 200, "others are answered");
    assert!(finish(open).contains("400 Bad Request"));
    assert_eq!(send(&server, &[level("n", "1", at + 1)]).status, 204);
}

/// A body that is there by half counts, so a thousand of them cannot fill the memory.
#[test]
fn requests_that_take_too_much_memory_together_are_told_to_come_again() {
    let at = now_ms() - 10_000;
    let server = server("in_flight_bytes: 1000B");
    let mut open = TcpStream::connect(server.address()).expect("connects");
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Content-Length: 901\r\n\r\n";
    open.write_all(head.as_bytes()).expect("sends");
    open.write_all(&[0; 900]).expect("sends");
    wait_for("the half to be read", || {
        let used = server.metric("burnwatch_limit_used{limit=\"in_flight_bytes\"}");
        (used == Some(900.0)).then_some(())
    });
    let series = [level("n", &"x".repeat(200), at)];
    let refused = send(&server, &series);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.headers["retry-after"], "5");
    let why = "burnwatch_remote_write_requests_refused_total{reason=\"in_flight\"}";
    assert_eq!(server.metric(why), Some(1.0));
    assert!(finish(open).contains("400 Bad Request"));
    assert_eq!(send(&server, &series).status, 204);
}

#[test]
fn a_sender_over_its_quota_waits_and_others_do_not() {
    let at = now_ms() - 10_000;
    let server = server("per_sender: {samples_per_second: 1, burst: 2, header: X-Scope-OrgID}");
    let send_as = |tenant: &str, values: std::ops::Range<u32>| {
        let series = values.map(|n| level("n", &n.to_string(), at));
        let body = Protocol::V2.body(&series.collect::<Vec<_>>());
        let headers = [
            ("Content-Type", Protocol::V2.content_type()),
            ("X-Scope-OrgID", tenant),
        ];
        server.send("POST", "/api/v1/write", &headers, &body)
    };
    // More than a burst is taken, and is to be made up for.
    assert_eq!(send_as("a", 0..1_000).status, 204);
    let refused = send_as("a", 1_000..1_001);
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.text.contains("per_sender"), "{}", refused.text);
    let seconds: u32 = refused.headers["retry-after"].parse().expect("seconds");
    assert!((500..=998).contains(&seconds), "{seconds}");
    assert_eq!(send_as("b", 2_000..2_001).status, 204);
    for (series, expected) in [
        (
            "burnwatch_remote_write_requests_refused_total{reason=\"quota\"}",
            1.0,
        ),
        ("burnwatch_sender_requests_refused_total{sender=\"a\"}", 1.0),
        ("burnwatch_sender_samples_total{sender=\"a\"}", 1_000.0),
        ("burnwatch_sender_samples_total{sender=\"b\"}", 1.0),
    ] {
        assert_eq!(server.metric(series), Some(expected), "{series}");
    }
}

#[test]
fn a_sender_with_too_many_series_brings_no_new_ones_and_others_do() {
    let at = now_ms() - 10_000;
    let settings = "burnwatch: {limits: {per_sender: {series: 3, header: X-Scope-OrgID}}}";
    let server = Setup::with_config(settings, RULES).start();
    let send_as = |server: &Server, tenant: &str, numbers: std::ops::Range<u32>, at: i64| {
        let series = numbers.map(|n| level("n", &n.to_string(), at));
        let body = Protocol::V2.body(&series.collect::<Vec<_>>());
        let headers = [
            ("Content-Type", Protocol::V2.content_type()),
            ("X-Scope-OrgID", tenant),
        ];
        server.send("POST", "/api/v1/write", &headers, &body)
    };
    assert_eq!(send_as(&server, "a", 0..2, at).status, 204);
    let refused = send_as(&server, "a", 0..5, at + 1);
    assert_eq!(refused.status, 400, "{}", refused.text);
    let said = "too_many_series_of_sender: 2 refused";
    assert!(refused.text.starts_with(said), "{}", refused.text);
    assert!(
        refused.text.contains("per_sender: series"),
        "{}",
        refused.text
    );
    assert_eq!(refused.written(), [3, 0, 0], "those it has go on");
    // What another has brought counts for that one, whoever sends it.
    assert_eq!(send_as(&server, "b", 10..13, at).status, 204);
    assert_eq!(send_as(&server, "a", 10..13, at + 1).status, 204);
    assert_eq!(send_as(&server, "b", 13..14, at).status, 400);
    for (series, expected) in [
        ("burnwatch_sender_series{sender=\"a\"}", 3.0),
        ("burnwatch_sender_series{sender=\"b\"}", 3.0),
        (
            "burnwatch_samples_rejected_total{reason=\"too_many_series_of_sender\"}",
            3.0,
        ),
    ] {
        assert_eq!(server.metric(series), Some(expected), "{series}");
    }
    // After a start a series counts for the first to send it again.
    let server = server.killed().start();
    wait_for("the server to be ready", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    assert_eq!(send_as(&server, "a", 0..3, at + 2).status, 204);
    assert_eq!(send_as(&server, "a", 3..4, at + 2).status, 400);
    assert_eq!(send_as(&server, "b", 3..4, at + 2).status, 204);
}

/// What costs too much is reported at every place where one would look.
#[test]
fn a_group_that_costs_too_much_skips_ticks_and_says_so() {
    let server = server("group_work: 2");
    let now = now_ms();
    for n in 0..4 {
        // What stands still costs a tick nothing. The first tick costs so much that what follows
        // here does not make up for it.
        let at = now - 20_000 + n * 1_000;
        let moving = (0..20).map(|value| {
            Series::new("level")
                .label("n", &value.to_string())
                .float(at, 9.0 + n as f64)
        });
        assert_eq!(send(&server, &moving.collect::<Vec<_>>()).status, 204);
    }
    // Ticks wait for what the scrapes of their instant may yet bring.
    let group = wait_for("the complaint", || {
        let group = server.data("rules")["groups"][0].clone();
        let said = group["rules"][0]["lastError"].to_string();
        said.contains("group_work").then_some(group)
    });
    let name = group["file"].as_str().expect("a path").to_owned() + ";g";
    let of_group = |metric: &str| server.metric(&format!("{metric}{{rule_group=\"{name}\"}}"));
    assert_eq!(of_group("burnwatch_rule_group_work_limit"), Some(2.0));
    assert!(of_group("burnwatch_rule_group_overruns_total") >= Some(1.0));
    wait_for("a tick that is skipped", || {
        let missed = of_group("prometheus_rule_group_iterations_missed_total");
        (missed >= Some(1.0)).then_some(())
    });
    assert!(server.log().contains("costs more than it may"));
}

#[test]
fn too_many_connections_wait() {
    let server = server("connections: 2");
    let first = half_a_request(&server);
    let second = half_a_request(&server);
    // A third one is not answered until one of them ends.
    let mut third = TcpStream::connect(server.address()).expect("the system accepts it");
    let head = "GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    third.write_all(head.as_bytes()).expect("sends");
    let patience = std::time::Duration::from_millis(200);
    third.set_read_timeout(Some(patience)).expect("can be set");
    let mut answer = [0; 12];
    assert!(third.read(&mut answer).is_err(), "answered at once");
    assert!(finish(first).contains("400 Bad Request"));
    third
        .set_read_timeout(Some(crate::process::PATIENCE))
        .expect("can be set");
    third.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(finish(second).contains("400 Bad Request"));
}

#[test]
fn evaluations_beyond_their_limits_fail_and_say_so() {
    let at = now_ms() - 20_000;
    let health = |server: &Server, rule: usize| {
        let data = server.data("rules");
        let rule = &data["groups"][0]["rules"][rule];
        format!("{} {}", rule["health"], rule["lastError"])
    };
    let fill = |server: &Server| {
        for n in 0..3 {
            let three = ["1", "2", "3"].map(|value| level("n", value, at + n * 1_000));
            assert_eq!(send(server, &three).status, 204);
        }
    };
    let few = server("rule_elements: 2");
    fill(&few);
    assert!(
        health(&few, 0).contains("limit of 2"),
        "{}",
        health(&few, 0)
    );
    let short = server("subquery_points: 30");
    fill(&short);
    assert!(health(&short, 1).contains("steps"), "{}", health(&short, 1));
    assert!(
        health(&short, 0).starts_with("\"ok\""),
        "{}",
        health(&short, 0)
    );
    let reply = short.get("/api/v1/query?query=max_over_time(level%5B1m:1s%5D)");
    assert_eq!(reply.status, 422, "{}", reply.text);
    let narrow = server("query_samples: 4");
    fill(&narrow);
    let reply = narrow.get("/api/v1/query?query=level%5B1m%5D");
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert!(reply.text.contains("too many samples"), "{}", reply.text);
}

#[test]
fn queries_at_a_time_and_metadata_are_bounded() {
    let server = server("query_concurrency: 3, metadata: 1");
    let max = server.metric("prometheus_engine_queries_concurrent_max");
    assert_eq!(max, Some(3.0));
    let at = now_ms() - 10_000;
    let both = [
        level("n", "1", at).help("a"),
        Series::new("other").float(at, 1.0).help("b"),
    ];
    assert_eq!(send(&server, &both).status, 204);
    let metadata = server.data("metadata");
    assert_eq!(metadata.as_object().map(serde_json::Map::len), Some(1));
}
