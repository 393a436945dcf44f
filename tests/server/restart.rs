//! A server that is killed and started again goes on as if nothing had happened.
//!
//! Catches: a log that is not written, not read, or read twice; alerts that lose their `for`; series
//! that come back under a number that another has; a second process in the same directory.

use serde_json::Value;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::receiver::Receiver;
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - alert: Slow
    expr: level > 5
    for: 10m
  - alert: Counting
    expr: increase(hits_total[5m]) > 100
    for: 2m
  - record: job:level:max
    expr: max by (job) (level)
  - alert: Chained
    expr: job:level:max > 7
    for: 1m
";

const STEP: i64 = 15_000;

/// A scrape of two jobs; the level of one is high from the beginning, that of the other sometimes.
fn scrape(at: i64, number: i64) -> Vec<Series> {
    let level = |job: &str, value: f64| Series::new("level").label("job", job).float(at, value);
    let hits = Series::new("hits_total").label("job", "a");
    vec![
        level("a", 6.0 + (number % 3) as f64),
        level("b", (number % 9) as f64),
        hits.float(at, (number * number) as f64),
    ]
}

/// The alerts as the API tells them.
fn alerts(server: &Server) -> Vec<Value> {
    let mut alerts = server.data("alerts")["alerts"]
        .as_array()
        .expect("a list")
        .clone();
    alerts.sort_by_key(Value::to_string);
    alerts
}

fn wait_ready(server: &Server) {
    wait_for("the server to be ready", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
}

#[test]
fn killed_at_any_time_it_goes_on_as_its_twin() {
    let twin = Setup::with_rules(RULES).start();
    let mut server = Setup::with_rules(RULES).start();
    let from = now_ms() - 30 * 60_000;
    let n_scrapes = 60;
    for number in 0..n_scrapes {
        for server in [&twin, &server] {
            server.write(Protocol::V2, &scrape(from + number * STEP, number));
        }
        if [7, 8, 30, 51].contains(&number) {
            server = server.killed().start();
            wait_ready(&server);
            assert_eq!(alerts(&server), alerts(&twin), "after scrape {number}");
            // The answer was lost with the process: the sender sends the same again.
            server.write(Protocol::V2, &scrape(from + number * STEP, number));
        }
    }
    let (found, expected) = (alerts(&server), alerts(&twin));
    assert!(expected.len() >= 3, "{expected:?}");
    assert_eq!(found, expected);
    let range = "level_of_all[1h]".replace("level_of_all", "{job=~\".+\"}");
    let at = from + n_scrapes * STEP;
    assert_eq!(server.query(&range, at), twin.query(&range, at));
    let entries = server
        .metric("burnwatch_log_replay_entries")
        .expect("a metric");
    assert!(entries >= 51.0, "{entries}");
}

#[test]
fn alerts_of_before_are_told_once_more_and_no_more_than_that() {
    let alertmanager = Receiver::start();
    let config = format!(
        "alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{}']}}]\n",
        alertmanager.address()
    );
    let server = Setup::with_config(&config, RULES)
        .flag("--rules.alert.resend-delay=1s")
        .start();
    let from = now_ms() - 20 * 60_000;
    for number in 0..60 {
        server.write(Protocol::V2, &scrape(from + number * STEP, number));
    }
    alertmanager.wait_firing("Slow");
    let server = server.killed();
    let before = alertmanager.seen("Slow").len();
    let server = server.start();
    wait_ready(&server);
    wait_for("Slow to be told again", || {
        (alertmanager.seen("Slow").len() > before).then_some(())
    });
    assert!(server.alerts().contains(&"Slow firing".to_owned()));
}

#[test]
fn a_data_directory_serves_one_process() {
    let server = Setup::with_rules(RULES).start();
    let said = server.beside().refused();
    assert!(said.contains("is in use by burnwatch"), "{said}");
}

#[test]
fn a_shard_that_cannot_start_ends_the_process_and_says_why() {
    let server = Setup::with_rules(RULES).start();
    server.write(Protocol::V2, &scrape(now_ms() - 60_000, 1));
    let setup = server.killed();
    // Its folder of history is no folder.
    setup.replace_by_file("data/history");
    let said = setup.refused();
    assert!(said.contains("shard 0 cannot start"), "{said}");
    assert!(said.contains("cannot keep history in"), "{said}");
}

#[test]
fn in_memory_a_restart_begins_anew() {
    let config = "burnwatch: {log_storage: memory}\n";
    let server = Setup::with_config(config, RULES).start();
    let from = now_ms() - 60_000;
    server.write(Protocol::V2, &scrape(from, 1));
    assert_eq!(server.metric("burnwatch_log_bytes"), Some(0.0));
    let server = server.killed().start();
    wait_ready(&server);
    assert_eq!(alerts(&server), Vec::<Value>::new());
}

#[test]
fn a_full_disk_is_answered_503_until_there_is_room() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: 'count(x) > 1e9'}]}]";
    let server = Setup::with_rules(rules).file_blocks_max(64).start();
    let at = now_ms() - 10_000;
    let request = |number: usize| {
        let series = (0..20).map(|n| {
            let label = format!("{number}-{n}-{}", "x".repeat(100));
            Series::new("x").label("n", &label).float(at, 1.0)
        });
        Protocol::V2.body(&series.collect::<Vec<_>>())
    };
    let mut n_accepted = 0;
    let refused = loop {
        let reply = server.write_body(Protocol::V2, &request(n_accepted));
        if reply.status != 204 {
            break reply;
        }
        n_accepted += 1;
        assert!(n_accepted < 1_000, "32 KB hold a few requests");
    };
    assert!(n_accepted > 3, "{n_accepted}");
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(
        refused.text.contains("the log cannot be written"),
        "{}",
        refused.text
    );
    let ready = server.get("/-/ready");
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("cannot be written"), "{}", ready.text);
    assert_eq!(server.metric("burnwatch_log_writable"), Some(0.0));
    let count = |server: &Server| server.query("count(x)", at + 1_000);
    assert_eq!(count(&server), [format!("{{}} {}", 20 * n_accepted)]);

    server.lift_file_limit();
    // The sender sends the same again until it is taken.
    wait_for("room", || {
        let reply = server.write_body(Protocol::V2, &request(n_accepted));
        (reply.status == 204).then_some(())
    });
    wait_ready(&server);
    for number in n_accepted + 1..2 * n_accepted {
        assert_eq!(
            server.write_body(Protocol::V2, &request(number)).status,
            204
        );
    }
    let expected = [format!("{{}} {}", 40 * n_accepted)];
    assert_eq!(count(&server), expected);
    let server = server.killed().start();
    wait_ready(&server);
    assert_eq!(count(&server), expected);
}

#[test]
fn a_log_that_is_as_large_as_it_may_be_takes_no_more() {
    let server = Setup::with_config("burnwatch: {limits: {log_bytes: 4KB}}\n", RULES).start();
    let from = now_ms() - 60 * 60_000;
    let answers = (0..100).map(|number| {
        let body = Protocol::V2.body(&scrape(from + number * STEP, number));
        server.write_body(Protocol::V2, &body)
    });
    let refused = answers.into_iter().find(|reply| reply.status != 204);
    let refused = refused.expect("4 KB are soon full");
    assert_eq!(refused.status, 503);
    assert!(
        refused.text.contains("limits.log_bytes"),
        "{}",
        refused.text
    );
}
