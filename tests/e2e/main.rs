//! Real processes end to end: Prometheus scrapes, burnwatch evaluates, Alertmanager is told.
//!
//! An exporter of our own is scraped by a real Prometheus, which remote-writes to burnwatch;
//! alerts go to a real Alertmanager, whose API and whose webhook receiver are looked at, and to
//! a webhook of burnwatch's own.
//!
//! What was broken on purpose, and what then failed here:
//!
//! | broken | fails at |
//! |---|---|
//! | `Notify::deliver` tells nobody | `AtOnce` in Alertmanager; the webhook of burnwatch |
//! | `Schedule` never resends a firing alert | a resend that moves `endsAt` on |
//! | a stale marker is read as an ordinary value | `Vanishing` gone |
//! | a stale marker is not taken in | `Vanishing` gone |
//! | an alert fires without waiting for `for` | `for` is 4s, it was 0 ms |
//! | `Cohorts::hold` holds nothing | half a scrape was seen |
//! | the engine takes no firing alert back | `AtOnce` gone from Alertmanager |
//! | `Schedule` sends no resolved alert | `endsAt` of the two webhooks: Alertmanager let it expire |
//! | no alert carries `cascade` | not held back |
//! | webhooks are sent no resolved alert | `AtOnce` resolved by burnwatch's webhook |
//!
//! `tests/tools.sh` brings the programs; without them the tests say what they skip.

#[macro_use]
#[path = "../support/say.rs"]
mod say;
#[path = "../support/tools.rs"]
mod tools;

mod backlog;
mod cascades;
mod exporter;
mod outages;
mod processes;
mod replicas;
mod webhook;

use serde_json::Value;

use crate::exporter::Exporter;
use crate::processes::{Stack, http_get, wait_for};
use crate::tools::tool;
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
  - alert: NeverYet
    expr: e2e_level > 5
    for: 1h
  - alert: HalfSeen
    expr: e2e_left != e2e_right
    keep_firing_for: 1h
  - alert: Vanishing
    expr: e2e_vanishing != 0
";

/// How many counted scrapes must have been seen whole.
const WHOLE_SCRAPES_MIN: usize = 40;

fn stack_or_skip(test: &str) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let found = tool("prometheus").zip(tool("alertmanager"));
    if found.is_none() {
        say!("{test}: skipped, no prometheus and alertmanager here; see tests/tools.sh");
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

/// A time of an alert, in milliseconds.
fn time_ms(alert: &Value, key: &str) -> i64 {
    let text = alert[key].as_str().expect("a time");
    let time: jiff::Timestamp = text.parse().expect("RFC 3339");
    time.as_millisecond()
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
    wait_for("a whole scrape to arrive", || {
        let query = "count(e2e_left) %2B count(e2e_right) %2B sum(e2e_level) == 81";
        let answer = http_get(&stack.burnwatch_url(&format!("/api/v1/query?query={query}")))?;
        (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
    });
    exporter.count_up();

    // Fires at once, and after its `for`.
    exporter.set("e2e_level", Some(9.0));
    let at_once = wait_for("AtOnce in Alertmanager", || active(&stack, "AtOnce").pop());
    assert_eq!(at_once["annotations"]["summary"], "level is 9");
    assert_eq!(at_once["labels"]["job"], "e2e");
    let after_a_while = wait_for("AfterAWhile in Alertmanager", || {
        active(&stack, "AfterAWhile").pop()
    });
    let waited_ms = time_ms(&after_a_while, "startsAt") - time_ms(&at_once, "startsAt");
    assert!(waited_ms >= 4000, "`for` is 4s, it was {waited_ms} ms");
    assert_eq!(own_state(&stack, "NeverYet").as_deref(), Some("pending"));
    assert!(
        active(&stack, "NeverYet").is_empty(),
        "nobody is told of a pending alert"
    );
    wait_for("the firing webhook of burnwatch", || {
        by_burnwatch.seen("AtOnce", "firing")
    });
    wait_for("the firing webhook of Alertmanager", || {
        by_alertmanager.seen("AtOnce", "firing")
    });

    // Is sent again before it expires: the end moves on.
    let ends_at = |name: &str| Some(time_ms(&active(&stack, name).pop()?, "endsAt"));
    let first_end = ends_at("AtOnce");
    wait_for("a resend that moves endsAt on", || {
        ends_at("AtOnce").filter(|end| Some(*end) > first_end)
    });

    // Resolves when the level is back. Alertmanager would also let an alert expire that it hears
    // no more of; that it was told shows in the end, which is the one that burnwatch's own
    // webhook was told.
    exporter.set("e2e_level", Some(1.0));
    for name in ["AtOnce", "AfterAWhile"] {
        wait_for(&format!("{name} gone from Alertmanager"), || {
            active(&stack, name).is_empty().then_some(())
        });
        let told = wait_for(&format!("{name} resolved by burnwatch's webhook"), || {
            by_burnwatch.seen(name, "resolved")
        });
        let seen = wait_for(
            &format!("{name} resolved by Alertmanager's webhook"),
            || by_alertmanager.seen(name, "resolved"),
        );
        assert_eq!(time_ms(&seen, "endsAt"), time_ms(&told, "endsAt"), "{name}");
    }

    // A series that vanishes ends with its stale marker, not five minutes later. A marker taken
    // for an ordinary value would be another NaN, which is not 0.
    exporter.set("e2e_vanishing", Some(1.0));
    wait_for("Vanishing in Alertmanager", || {
        active(&stack, "Vanishing").pop()
    });
    exporter.set("e2e_vanishing", None);
    wait_for("Vanishing gone", || {
        active(&stack, "Vanishing").is_empty().then_some(())
    });

    // Prometheus sent every scrape in many small requests over three connections: no rule ever
    // saw a half, although all pairs counted up together all the while.
    wait_for("enough scrapes", || {
        (exporter.counted() > WHOLE_SCRAPES_MIN).then_some(())
    });
    let count = |name: &str| stack.metric(name).unwrap_or(0.0);
    let requests = count("burnwatch_remote_write_requests_total");
    let scrapes = exporter.counted() as f64;
    assert!(
        requests > 3.0 * scrapes,
        "scrapes are split: {requests} requests for {scrapes} scrapes"
    );
    assert_eq!(
        own_state(&stack, "HalfSeen"),
        None,
        "half a scrape was seen"
    );
    assert_eq!(by_burnwatch.seen("HalfSeen", "firing"), None);
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
