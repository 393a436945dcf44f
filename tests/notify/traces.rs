//! What Prometheus posted, from the evaluations it made: the schedule must post the same.
//!
//! Catches an alert sent too often, too seldom, in another order, or with other times.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use burnwatch::notify::outgoing_labels::outgoing_labels;
use burnwatch::notify::schedule::Schedule;
use burnwatch::notify::wire_time::rfc3339_ms;
use burnwatch::relabel::{Action, NameValidation, RelabelConfig, RelabelFields};
use serde_json::Value;

/// Per label set, `(startsAt, endsAt)` in the order of sending.
type Posts = BTreeMap<String, Vec<(String, String)>>;

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().expect("labels").iter();
    Labels::from_pairs(pairs.map(|(name, value)| (name, value.as_str().expect("a text"))))
}

fn instants(value: &Value) -> Vec<TimestampMs> {
    let numbers = value.as_array().expect("a list").iter();
    numbers
        .map(|ms| TimestampMs(ms.as_i64().expect("ms")))
        .collect()
}

fn recorded_posts(trace: &Value) -> Posts {
    let mut posts = Posts::new();
    for alert in trace["posts"].as_array().expect("posts") {
        let text = |key: &str| alert[key].as_str().expect("a time").to_owned();
        let times = (text("startsAt"), text("endsAt"));
        posts
            .entry(labels(&alert["labels"]).to_string())
            .or_default()
            .push(times);
    }
    posts
}

/// Returns the alerts in a state, and the evaluations at which they were.
fn alerts(trace: &Value, state: &str) -> Vec<(Labels, Vec<TimestampMs>)> {
    let alerts = trace["alerts"].as_array().expect("alerts").iter();
    let in_state = alerts.filter(|alert| alert["labels"]["alertstate"] == state);
    let inside = |alert: &Value| {
        labels(&alert["labels"]).filter(|name| name != "__name__" && name != "alertstate")
    };
    in_state
        .map(|alert| (inside(alert), instants(&alert["at"])))
        .collect()
}

/// Replays the evaluations: an alert fires when its series appears and is resolved when it ends.
fn replayed_posts(trace: &Value) -> Posts {
    let external = Labels::from_pairs([("cluster", "c1"), ("replica", "r0")]);
    let drop_replica = RelabelFields {
        regex: "replica".to_owned(),
        action: Action::LabelDrop,
        ..RelabelFields::default()
    };
    let steps = [RelabelConfig::new(drop_replica, NameValidation::Utf8).expect("a valid step")];
    let (alerts, pending) = (alerts(trace, "firing"), alerts(trace, "pending"));
    let mut schedule = Schedule::new(DurationMs::from_seconds(10), 10_000);
    let mut fired_at: BTreeMap<Labels, TimestampMs> = BTreeMap::new();
    let mut posts = Posts::new();
    for now in instants(&trace["evaluations"]) {
        for (labels, _) in pending.iter().filter(|(_, at)| at.contains(&now)) {
            schedule.pending(labels);
        }
        for (labels, at) in &alerts {
            let status = match (at.contains(&now), fired_at.get(labels)) {
                (true, None) => {
                    fired_at.insert(labels.clone(), now);
                    AlertStatus::Firing
                }
                (false, Some(_)) => AlertStatus::Resolved { resolved_at: now },
                _ => continue,
            };
            let message = AlertMessage {
                labels: labels.clone(),
                annotations: Arc::from([]),
                status,
                fired_at: fired_at[labels],
                valid_for: DurationMs::from_seconds(40),
                expr: Arc::from("x"),
                caused_at_wall: now,
                backlog: false,
            };
            if status != AlertStatus::Firing {
                fired_at.remove(labels);
            }
            schedule.state(Arc::new(message), now);
        }
        let taken = schedule.take(now, usize::MAX);
        for outgoing in &taken {
            let labels = outgoing_labels(&outgoing.message.labels, &external, &[&steps]);
            let times = (rfc3339_ms(outgoing.starts_at), rfc3339_ms(outgoing.ends_at));
            let labels = labels.expect("no step drops an alert").to_string();
            posts.entry(labels).or_default().push(times);
        }
        schedule.sent(&taken, now, now);
    }
    posts
}

#[test]
fn alerts_are_posted_as_prometheus_posted_them() {
    let traces = [
        include_str!("../data/notify/trace.json"),
        include_str!("../data/notify/trace2.json"),
    ];
    for text in traces {
        let trace: Value = serde_json::from_str(text).expect("a trace");
        let (recorded, replayed) = (recorded_posts(&trace), replayed_posts(&trace));
        assert!(recorded.len() > 5, "the trace has alerts");
        for (labels, posts) in &recorded {
            assert_eq!(replayed.get(labels), Some(posts), "{labels}");
        }
        assert_eq!(replayed.len(), recorded.len());
    }
}
