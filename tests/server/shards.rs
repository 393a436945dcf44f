//! Several shards in a process, and several processes with a share of the groups each.

use std::collections::BTreeSet;
use std::process::Command;

use crate::process::{Server, Setup, now_ms};

const RULES: &str = "
groups:
- {name: b, interval: 1s, rules: [{alert: B, expr: level > 5}]}
- {name: a, interval: 1s, rules: [{record: 'r:level', expr: level * 2}]}
- {name: d, interval: 1s, rules: [{alert: D, expr: 'r:level > 10'}]}
- {name: e, interval: 1s, rules: [{alert: E, expr: absent(gone), for: 2s}]}
- {name: c, interval: 1s, rules: [{alert: C, expr: 'level + on () other > 5'}]}
";

const TICK: &str = "burnwatch: {evaluation: tick, scrape_settle: 1s}\n";

fn started(more: &str, flags: &[&str]) -> Server {
    let setup = Setup::with_config(more, RULES);
    flags
        .iter()
        .fold(setup, |setup, flag| setup.flag(flag))
        .start()
}

fn push_all(servers: &[Server], from: i64) {
    for n in 0..20 {
        for server in servers {
            server.push("level", from + n * 1000, 9.0);
            server.push("other", from + n * 1000, 1.0);
            server.push("unread", from + n * 1000, 1.0);
        }
    }
}

/// Returns the groups in the order of the API.
fn groups(server: &Server) -> Vec<String> {
    let groups = server.data("rules")["groups"]
        .as_array()
        .expect("a list")
        .clone();
    let name = |group: &serde_json::Value| group["name"].as_str().expect("a name").to_owned();
    groups.iter().map(name).collect()
}

#[test]
fn the_shards_of_a_process_answer_as_one() {
    let server = [started("", &["--shards=3"])];
    push_all(&server, now_ms() - 40_000);
    let [server] = server;
    assert_eq!(groups(&server), ["a", "b", "c", "d", "e"]);
    assert_eq!(
        server.alerts(),
        ["B firing", "C firing", "D firing", "E pending"]
    );
    let now = now_ms() - 20_000;
    assert_eq!(
        server.query("level", now),
        ["level{} 9"],
        "two shards read it"
    );
    assert_eq!(server.query("sum(level) + sum(r:level)", now), ["{} 27"]);
    let found = server.data("series?match[]=level");
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    for shard in 0..3 {
        let series = format!("burnwatch_shard_series{{shard=\"{shard}\"}}");
        assert!(server.metric(&series).is_some(), "{series}");
        let frontier = format!("burnwatch_shard_frontier_timestamp_seconds{{shard=\"{shard}\"}}");
        let all = server.metric("burnwatch_frontier_timestamp_seconds");
        assert!(
            server.metric(&frontier) >= all && all.is_some(),
            "{frontier}"
        );
    }
    let none = server.metric("burnwatch_shard_series{shard=\"3\"}");
    assert_eq!(none, None, "no more than there are");
}

#[test]
fn three_processes_have_a_share_of_the_groups_each() {
    let from = now_ms() - 40_000;
    let servers = ["--shard=1/3", "--shard=2/3", "--shard=3/3"].map(|flag| started(TICK, &[flag]));
    let one = [started(TICK, &[])];
    push_all(&servers, from);
    push_all(&one, from);
    let mut all: Vec<String> = servers.iter().flat_map(groups).collect();
    all.sort();
    assert_eq!(all, ["a", "b", "c", "d", "e"], "each by one");
    for server in &servers {
        assert_eq!(
            server.data("status/flags")["shard"].as_str().map(str::len),
            Some(3)
        );
        assert!(!groups(server).is_empty() && groups(server).len() < 4);
    }
    let alerts = |servers: &[Server]| {
        let alerts = servers
            .iter()
            .map(|server| server.data("alerts")["alerts"].clone());
        let texts = alerts.flat_map(|alerts| {
            let alerts = alerts.as_array().expect("a list").clone();
            alerts.into_iter().map(|alert| alert.to_string())
        });
        texts.collect::<BTreeSet<String>>()
    };
    assert_eq!(alerts(&servers), alerts(&one), "with the same starts");
    assert_eq!(alerts(&one).len(), 4);
    // What only the others read is valid, and dropped.
    let dropped = "burnwatch_samples_dropped_at_door_total{reason=\"unread\"}";
    let n_dropped = servers.iter().filter_map(|server| server.metric(dropped));
    assert!(n_dropped.sum::<f64>() > 60.0);
}

#[test]
fn a_share_that_cannot_be_is_refused_with_the_reason() {
    let check = |flag: &str, said: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args(["serve", flag])
            .output()
            .expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains(said),
            "{flag}: {text}"
        );
    };
    check(
        "--shard=0/3",
        "there is no shard 0 of 3: they are counted from 1 to 3",
    );
    check("--shard=4/3", "there is no shard 4 of 3");
    check(
        "--shard=a/b",
        "expected i/N, such as 1/3 for the first of three processes",
    );
    check("--shard=2", "expected i/N");
    check("--shards=0", "expected a number from 1 to 1024");
    check("--shards=many", "expected a number from 1 to 1024");
}
