//! Everything in pairs: two Prometheus that scrape the same, two burnwatch that are sent both, two
//! Alertmanagers that know of each other; then one of each is killed.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::exporter::Exporter;
use crate::processes::{
    Running, alertmanager_config, burnwatch, free_port, http_get, metric, now_ms, wait_for,
    wait_until_ready,
};
use crate::stack_or_skip;
use crate::webhook::Webhook;

const RULES: &str = "
groups:
- name: replicas
  interval: 1s
  rules:
  - {alert: Level, expr: e2e_level > 5}
  - {alert: Other, expr: e2e_other > 5}
";

/// A program of a pair.
struct Member {
    running: Option<Running>,
    url: String,
}

impl Member {
    fn start(directory: &Path, name: &str, program: &Path, port: u16, args: Vec<String>) -> Self {
        let running = Running::start(directory, name, program, &args);
        Member {
            running: Some(running),
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    fn kill(&mut self) {
        self.running = None;
    }
}

/// All six.
struct Pairs {
    prometheus: [Member; 2],
    burnwatch: [Member; 2],
    alertmanager: [Member; 2],
    _directory: TempDir,
}

const REPLICAS: [&str; 2] = ["a", "b"];
/// A Prometheus that is killed may have so much unsent: a scrape, the deadline of its batches, and
/// what a busy machine adds.
const UNSENT_MS: i64 = 5_000;

impl Pairs {
    fn start(prometheus: &Path, alertmanager: &Path, exporter: u16, hook: u16) -> Pairs {
        let directory = TempDir::new().expect("a temporary directory");
        let at = directory.path();
        let write = |name: &str, text: String| {
            std::fs::write(at.join(name), text).expect("a file can be written");
        };
        let path = |name: String| at.join(name).display().to_string();
        let two = |_: &str| free_port();
        let (proms, bws) = (REPLICAS.map(two), REPLICAS.map(two));
        let (ams, gossip) = (REPLICAS.map(two), REPLICAS.map(two));
        write("rules.yml", RULES.to_owned());
        write("alertmanager.yml", alertmanager_config(hook));
        write("burnwatch.yml", "ha: {failover_timeout: 2s}\n".to_owned());
        for replica in REPLICAS {
            // The two differ in the replica label alone; each burnwatch reads another one's.
            let writes = bws.map(|port| {
                format!(
                    "- url: http://127.0.0.1:{port}/api/v1/write\n  \
                     queue_config: {{batch_send_deadline: 100ms, max_backoff: 1s}}\n"
                )
            });
            let scraping = format!(
                "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n  \
                 evaluation_interval: 1s\n  \
                 external_labels: {{cluster: pair, __replica__: {replica}}}\nremote_write:\n{}\
                 scrape_configs:\n- job_name: e2e\n  static_configs: \
                 [{{targets: ['127.0.0.1:{exporter}']}}]\n",
                writes.concat()
            );
            let targets = ams.map(|port| format!("'127.0.0.1:{port}'")).join(", ");
            write(&format!("scraping-{replica}.yml"), scraping.clone());
            write(
                &format!("prometheus-{replica}.yml"),
                format!(
                    "{scraping}rule_files: [rules.yml]\nalerting:\n  alertmanagers:\n  \
                     - static_configs: [{{targets: [{targets}]}}]\n"
                ),
            );
        }
        let alertmanager = [0, 1].map(|n| {
            let args = vec![
                format!("--config.file={}", path("alertmanager.yml".to_owned())),
                format!("--storage.path={}", path(format!("am-{n}"))),
                format!("--web.listen-address=127.0.0.1:{}", ams[n]),
                format!("--cluster.listen-address=127.0.0.1:{}", gossip[n]),
                format!("--cluster.advertise-address=127.0.0.1:{}", gossip[n]),
                format!("--cluster.peer=127.0.0.1:{}", gossip[1 - n]),
                "--cluster.peer-timeout=5s".to_owned(),
            ];
            let member =
                Member::start(at, &format!("alertmanager-{n}"), alertmanager, ams[n], args);
            // The second must find the first, or both would notify.
            wait_until_ready(&member.url);
            member
        });
        let burnwatch = [0, 1].map(|n| {
            let replica = REPLICAS[n];
            let args = vec![
                "serve".to_owned(),
                format!(
                    "--config.file={}",
                    path(format!("prometheus-{replica}.yml"))
                ),
                format!(
                    "--burnwatch.config.file={}",
                    path("burnwatch.yml".to_owned())
                ),
                format!("--storage.path={}", path(format!("data-{n}"))),
                format!("--web.listen-address=127.0.0.1:{}", bws[n]),
                "--rules.alert.resend-delay=2s".to_owned(),
            ];
            Member::start(at, &format!("burnwatch-{n}"), burnwatch(), bws[n], args)
        });
        let prometheus = [0, 1].map(|n| {
            let replica = REPLICAS[n];
            let args = vec![
                format!("--config.file={}", path(format!("scraping-{replica}.yml"))),
                format!("--storage.tsdb.path={}", path(format!("tsdb-{replica}"))),
                format!("--web.listen-address=127.0.0.1:{}", proms[n]),
            ];
            Member::start(at, &format!("prometheus-{n}"), prometheus, proms[n], args)
        });
        for member in prometheus.iter().chain(&burnwatch).chain(&alertmanager) {
            wait_until_ready(&member.url);
        }
        Pairs {
            prometheus,
            burnwatch,
            alertmanager,
            _directory: directory,
        }
    }
}

/// Returns what an Alertmanager shows of the alerts of a name.
fn shown(alertmanager: &Member, name: &str) -> Vec<Value> {
    let all = http_get(&format!("{}/api/v2/alerts", alertmanager.url));
    let Some(Value::Array(alerts)) = all else {
        return Vec::new();
    };
    let is_named = |alert: &Value| alert["labels"]["alertname"] == name;
    alerts.into_iter().filter(is_named).collect()
}

/// Returns which replica a burnwatch listens to, and how often that has changed.
fn elected(burnwatch: &Member) -> Option<(String, u64)> {
    let answer = http_get(&format!("{}/api/v1/status/ha", burnwatch.url))?;
    let election = &answer["data"][0];
    let elected = election["elected"].as_str()?.to_owned();
    Some((elected, election["changes"].as_u64()?))
}

/// Returns the timestamps of the samples of a metric of late.
fn timestamps(member: &Member, metric: &str) -> Option<BTreeSet<i64>> {
    let url = format!("{}/api/v1/query?query={metric}%5B5m%5D", member.url);
    let answer = http_get(&url)?;
    let [series] = answer["data"]["result"].as_array()?.as_slice() else {
        return None;
    };
    let samples = series["values"].as_array()?.iter();
    let at = |sample: &Value| Some((sample[0].as_f64()? * 1000.0).round() as i64);
    samples.map(at).collect()
}

/// Catches an alert that Alertmanager sees twice or not at all, a replica label on an alert or a
/// series, and samples that are refused because two replicas' are mixed.
#[test]
fn each_alert_is_one_and_nothing_is_missed_when_one_of_each_pair_is_killed() {
    let Some((prometheus, alertmanager)) = stack_or_skip("replicas") else {
        return;
    };
    let exporter = Exporter::start();
    let hook = Webhook::start();
    exporter.set("e2e_level", Some(1.0));
    exporter.set("e2e_other", Some(1.0));
    let mut pairs = Pairs::start(&prometheus, &alertmanager, exporter.port(), hook.port());

    for burnwatch in &pairs.burnwatch {
        wait_for("an election", || elected(burnwatch));
        wait_for("samples of the other replica, dropped", || {
            metric(
                &burnwatch.url,
                "burnwatch_ha_deduplicated_samples_total",
                "",
            )
            .filter(|n| *n > 0.0)
        });
    }
    exporter.set("e2e_level", Some(9.0));
    for alertmanager in &pairs.alertmanager {
        wait_for("Level in an Alertmanager", || {
            shown(alertmanager, "Level").pop()
        });
    }
    wait_for("Level notified", || hook.seen("Level", "firing"));
    for alertmanager in &pairs.alertmanager {
        let alerts = shown(alertmanager, "Level");
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        let labels = alerts[0]["labels"].as_object().expect("labels").keys();
        let names: Vec<&String> = labels.collect();
        assert_eq!(names, ["alertname", "cluster", "instance", "job"]);
    }

    // The one that the surviving burnwatch listens to.
    let (dead, _) = wait_for("the election", || elected(&pairs.burnwatch[0]));
    let survivor = usize::from(dead == REPLICAS[0]);
    let killed_at_ms = now_ms();
    pairs.prometheus[1 - survivor].kill();
    pairs.burnwatch[1].kill();
    pairs.alertmanager[1].kill();
    wait_for("the other replica's election", || {
        let after = elected(&pairs.burnwatch[0]);
        after.filter(|(replica, _)| replica == REPLICAS[survivor])
    });
    let without = now_ms() - killed_at_ms;

    exporter.set("e2e_level", Some(1.0));
    exporter.set("e2e_other", Some(9.0));
    wait_for("Level gone from the Alertmanager that is left", || {
        shown(&pairs.alertmanager[0], "Level")
            .is_empty()
            .then_some(())
    });
    wait_for("Level's end notified", || hook.seen("Level", "resolved"));
    wait_for("Other in the Alertmanager that is left", || {
        shown(&pairs.alertmanager[0], "Other").pop()
    });
    wait_for("Other notified", || hook.seen("Other", "firing"));
    for (name, status) in [
        ("Level", "firing"),
        ("Level", "resolved"),
        ("Other", "firing"),
    ] {
        assert_eq!(hook.times(name, status), 1, "{name} {status}");
    }

    // All that the survivor scraped from its first sample here on is here, each once.
    let scraped = wait_for("the survivor's samples", || {
        timestamps(&pairs.prometheus[survivor], "e2e_level")
    });
    let newest = *scraped.last().expect("samples");
    let taken = wait_for("the newest of them here", || {
        let taken = timestamps(&pairs.burnwatch[0], "e2e_level")?;
        (*taken.last()? >= newest).then_some(taken)
    });
    // Before, both may have scraped at one millisecond.
    let mut of_survivor = taken
        .intersection(&scraped)
        .filter(|at| **at > killed_at_ms);
    let first = of_survivor.next().expect("the survivor's");
    // Lost is what the dead one had not sent, and what the other sent until it was listened to.
    let before = taken.range(..first).next_back();
    let gap = first - before.expect("samples of the one that was killed");
    eprintln!("{gap} ms without a sample at the failover, {without} ms until the other's election");
    assert!(
        gap <= without + UNSENT_MS,
        "{gap} ms without a sample, {without} ms until the election"
    );
    let missing: Vec<&i64> = scraped
        .range(first..)
        .filter(|at| !taken.contains(at))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let url = &pairs.burnwatch[0].url;
    for reason in ["out_of_order", "duplicate_timestamp", "too_old"] {
        let refused = metric(url, "burnwatch_samples_rejected_total", reason);
        assert_eq!(refused, Some(0.0), "{reason}");
    }
    assert_eq!(
        elected(&pairs.burnwatch[0]).map(|(_, changes)| changes),
        Some(1)
    );
}
