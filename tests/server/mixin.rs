//! `deploy/mixin`: the alerts and the dashboard about burnwatch itself. What they name must be there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use burnwatch::functions::Functions;
use burnwatch::model::MatchOp;
use burnwatch::promql::{Features, parse};
use burnwatch::rule::parse_file;
use serde_json::Value;

use crate::process::{Setup, now_ms, wait_for};

const RULES: &str = "groups: [{name: g, interval: 1s, rules: [{alert: High, expr: level > 5}]}]";

fn mixin(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("deploy/mixin").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(mixin(name)).expect(name)
}

/// Returns the expressions of the alerts.
fn alerts() -> Vec<String> {
    let text = read("burnwatch.yml");
    let parsed = parse_file("burnwatch.yml", &text, &Functions, Features::default());
    let groups = parsed.unwrap_or_else(|e| panic!("{e:?}")).groups;
    let rules = groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| rule.expr.to_string()).collect()
}

/// Returns the queries of the dashboard, as Grafana sends them.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let queries = targets.map(|target| {
        let query = target["expr"].as_str().expect("a query");
        query
            .replace("$__rate_interval", "1m")
            .replace("$job", ".*")
            .replace("$instance", ".*")
    });
    queries.collect()
}

/// Returns the metric names that an expression reads.
fn names(query: &str) -> BTreeSet<String> {
    let expr = parse(query, &Functions, Features::default());
    let expr = expr.unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut names = BTreeSet::new();
    for used in burnwatch::promql::selectors(&expr) {
        let named = |m: &&burnwatch::model::Matcher| m.name == "__name__" && m.op == MatchOp::Equal;
        let name = used.matchers.iter().find(named);
        let name = name.unwrap_or_else(|| panic!("{query}: a selector without a metric"));
        names.insert(name.value.clone());
    }
    names
}

#[test]
fn every_metric_that_is_named_is_there() {
    // Delivered to a port that refuses, so that the metrics of notifications are there.
    let config = "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}";
    let server = Setup::with_config(config, RULES).start();
    server.push("level", now_ms() - 2_000, 9.0);
    wait_for("the alert", || {
        (server.alerts() == ["High firing"]).then_some(())
    });
    let text = server.get("/metrics").text;
    let there: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() > 15 && panels.len() > 25);
    let mut missing = Vec::new();
    for query in alerts.iter().chain(&panels) {
        for name in names(query) {
            if !there.contains(name.as_str()) {
                missing.push(format!("{name} of {query}"));
            }
        }
    }
    assert_eq!(missing, [""; 0], "not in /metrics");
}

#[test]
fn every_alert_fires_for_what_it_is_about() {
    let tested = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(["test", "rules"])
        .arg(mixin("tests/burnwatch.test.yml"))
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    assert!(
        tested.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}
