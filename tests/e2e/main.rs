//! Real processes end to end: Prometheus scrapes, burnwatch evaluates, Alertmanager is told.
//!
//! An exporter of our own is scraped by a real Prometheus, which remote-writes to burnwatch;
//! alerts go to a real Alertmanager, whose API and whose webhook receiver are looked at, and to
//! a webhook of burnwatch's own. Breaking the notifier, the resend, the stale marker, `for`, the
//! wholeness of scrapes or the resolve makes a test here fail.
//!
//! `tests/tools.sh` brings the programs; without them the tests say what they skip.

mod exporter;
mod processes;
mod webhook;

use serde_json::Value;

use crate::exporter::Exporter;
use crate::processes::{Stack, http_get, tool, wait_for};
use crate::webhook::Webhook;

const RULES: &str = "
groups:
- name: e2e
  interval: 1s
  rules:
  - alert: AtOnce
    expr: e2e_level > 5
    annotations: {summary: 'level is {{ $value }}'}
  - alert: AfterAWhile
    expr: e2e_level > 5
    for: 4s
  - alert: HalfSeen
    expr: e2e_first != e2e_last
  - alert: Vanishing
    expr: e2e_vanishing > 0
";

fn stack_or_skip(test: &str) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let found = tool("prometheus").zip(tool("alertmanager"));
    if found.is_none() {
        eprintln!("{test}: skipped, no prometheus and alertmanager here; see tests/tools.sh");
    }
    found
}

/// The alerts that Alertmanager shows as active, by name.
fn active(stack: &Stack, name: &str) -> Vec<Value> {
    let Some(Value::Array(alerts)) = http_get(&stack.alertmanager_url("/api/v2/alerts")) else {
        return Vec::new();
    };
    alerts
        .into_iter()
        .filter(|alert| alert["labels"]["alertname"] == name)
        .collect()
}

/// The state of an alert in burnwatch's own API.
fn own_state(stack: &Stack, name: &str) -> Option<String> {
    let answer = http_get(&stack.burnwatch_url("/api/v1/alerts"))?;
    let alerts = answer["data"]["alerts"].as_array()?;
    let alert = alerts
        .iter()
        .find(|alert| alert["labels"]["alertname"] == name)?;
    Some(alert["state"].as_str()?.to_owned())
}

#[test]
fn an_alert_of_a_scraped_metric_fires_and_resolves_everywhere() {
    let Some((prometheus, alertmanager)) = stack_or_skip("e2e") else {
        return;
    };
    let exporter = Exporter::start();
    let by_alertmanager = Webhook::start();
    let by_burnwatch = Webhook::start();
    let stack = Stack::start(
        &prometheus,
        &alertmanager,
        RULES,
        exporter.port(),
        by_alertmanager.port(),
        by_burnwatch.port(),
    );
    exporter.set("e2e_level", Some(1.0));
    exporter.set("e2e_vanishing", Some(0.0));
    wait_for("the first scrape to arrive", || {
        let answer = http_get(&stack.burnwatch_url("/api/v1/query?query=e2e_level"))?;
        (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
    });

    // Fires at once, and after its `for`.
    exporter.set("e2e_level", Some(9.0));
    wait_for("AtOnce in Alertmanager", || active(&stack, "AtOnce").pop());
    assert_eq!(
        own_state(&stack, "AfterAWhile").as_deref(),
        Some("pending"),
        "`for` is waited for"
    );
    assert!(
        active(&stack, "AfterAWhile").is_empty(),
        "nobody is told of a pending alert"
    );
    let alert = active(&stack, "AtOnce").pop().expect("seen above");
    assert_eq!(alert["annotations"]["summary"], "level is 9");
    assert_eq!(alert["labels"]["job"], "e2e");
    wait_for("AfterAWhile in Alertmanager", || {
        active(&stack, "AfterAWhile").pop()
    });
    wait_for("the firing webhook of burnwatch", || {
        by_burnwatch.seen("AtOnce", "firing")
    });
    wait_for("the firing webhook of Alertmanager", || {
        by_alertmanager.seen("AtOnce", "firing")
    });

    // Is sent again before it expires: the end moves on.
    let ends_at = |name: &str| active(&stack, name).pop().map(|a| a["endsAt"].to_string());
    let first_end = ends_at("AtOnce");
    wait_for("a resend that moves endsAt on", || {
        ends_at("AtOnce").filter(|end| Some(end) > first_end.as_ref())
    });

    // Resolves when the level is back.
    exporter.set("e2e_level", Some(1.0));
    wait_for("AtOnce gone from Alertmanager", || {
        active(&stack, "AtOnce").is_empty().then_some(())
    });
    wait_for("AfterAWhile gone", || {
        active(&stack, "AfterAWhile").is_empty().then_some(())
    });
    wait_for("the resolved webhook of burnwatch", || {
        by_burnwatch.seen("AtOnce", "resolved")
    });
    wait_for("the resolved webhook of Alertmanager", || {
        by_alertmanager.seen("AtOnce", "resolved")
    });

    // A series that vanishes ends with its stale marker, not five minutes later.
    exporter.set("e2e_vanishing", Some(1.0));
    wait_for("Vanishing in Alertmanager", || {
        active(&stack, "Vanishing").pop()
    });
    exporter.set("e2e_vanishing", None);
    wait_for("Vanishing gone", || {
        active(&stack, "Vanishing").is_empty().then_some(())
    });

    // Prometheus sent every scrape in many small requests over several connections: no rule
    // ever saw a half, although first and last counted up together all the while.
    assert!(exporter.scrapes() > 10, "scrapes: {}", exporter.scrapes());
    let requests = stack
        .metric("burnwatch_remote_write_requests_total")
        .unwrap_or(0.0);
    assert!(
        requests > 2.0 * exporter.scrapes() as f64,
        "scrapes are split: {requests} requests for {} scrapes",
        exporter.scrapes()
    );
    assert_eq!(
        by_burnwatch.seen("HalfSeen", "firing"),
        None,
        "half a scrape was seen"
    );
}

#[test]
fn alertmanager_may_come_late() {
    let Some((prometheus, alertmanager)) = stack_or_skip("late alertmanager") else {
        return;
    };
    let exporter = Exporter::start();
    let (one, other) = (Webhook::start(), Webhook::start());
    let mut stack = Stack::start(
        &prometheus,
        &alertmanager,
        RULES,
        exporter.port(),
        one.port(),
        other.port(),
    );
    stack.stop_alertmanager();
    exporter.set("e2e_level", Some(9.0));
    // The webhook does not wait for the Alertmanager that is down.
    wait_for("the firing webhook of burnwatch", || {
        other.seen("AtOnce", "firing")
    });
    stack.start_alertmanager(&alertmanager, one.port());
    wait_for("AtOnce in Alertmanager", || active(&stack, "AtOnce").pop());
}
