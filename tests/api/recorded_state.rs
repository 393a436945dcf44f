//! The state in which the recorded Prometheus was: its series, and the rules as it listed them.

use std::sync::Arc;

use burnwatch::engine::status::AlertingStatus;
use burnwatch::engine::{AlertState, AlertView, GroupCost, GroupStatus, RuleHealth, RuleStatus};
use burnwatch::history::SeriesHistory;
use burnwatch::model::{
    BucketSpan, DurationMs, FloatHistogram, Labels, SampleValue, TimestampMs, stale_nan,
};
use burnwatch::series::Snapshot;
use serde_json::Value;

use crate::backend::{Fake, NOW, alertmanager, fake as any};

/// Returns a backend with the series of the file and the rules of a profile, which are read off
/// the answer in which Prometheus listed them all.
pub fn fake(series: &str, profile: &str, answers: &[(&str, &str)]) -> Fake {
    let mut fake = any();
    fake.series = snapshot(&serde_json::from_str(series).unwrap());
    fake.groups = Vec::new();
    fake.alertmanagers = Vec::new();
    fake.no_metadata = true;
    if profile == "rules" {
        let answer = |wanted: &str| -> Value {
            let answer = answers.iter().find(|(path, _)| *path == wanted);
            let answer: Value = serde_json::from_str(answer.unwrap().1).unwrap();
            answer["data"].clone()
        };
        let rules = answer("/api/v1/rules?");
        fake.groups = list(&rules["groups"]).iter().map(group).collect();
        let found = answer("/api/v1/alertmanagers");
        for (kind, dropped) in [
            ("activeAlertmanagers", false),
            ("droppedAlertmanagers", true),
        ] {
            let urls = list(&found[kind]).iter().map(|found| text(&found["url"]));
            let views = urls.map(|url| alertmanager(&url, dropped));
            fake.alertmanagers.extend(views);
        }
    }
    fake
}

fn snapshot(series: &Value) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for series in list(series) {
        let mut history = SeriesHistory::default();
        for sample in list(&series["samples"]) {
            let at = TimestampMs(sample[0].as_i64().unwrap());
            history.append(at, value(&sample[1]), TimestampMs::MIN);
        }
        snapshot.insert(Labels::from_pairs(pairs(&series["labels"])), history);
    }
    snapshot
}

fn value(value: &Value) -> SampleValue {
    match value.as_str() {
        Some("stale") => SampleValue::Float(stale_nan()),
        Some(text) => SampleValue::Float(text.parse().unwrap()),
        None => SampleValue::Histogram(Arc::new(histogram(value))),
    }
}

fn histogram(value: &Value) -> FloatHistogram {
    let number = |name: &str| value[name].as_f64().unwrap_or(0.0);
    let numbers = |name: &str| -> Vec<f64> {
        let values = value[name].as_array().into_iter().flatten();
        values.map(|v| v.as_f64().unwrap()).collect()
    };
    let spans = |name: &str| -> Vec<BucketSpan> {
        let spans = value[name].as_array().into_iter().flatten();
        let spans = spans.map(|span| BucketSpan {
            offset: i32::try_from(span[0].as_i64().unwrap()).unwrap(),
            length: u32::try_from(span[1].as_u64().unwrap()).unwrap(),
        });
        spans.collect()
    };
    FloatHistogram {
        schema: value["schema"].as_i64().unwrap().try_into().unwrap(),
        zero_threshold: number("zero_threshold"),
        zero_count: number("zero_count"),
        count: number("count"),
        sum: number("sum"),
        positive_spans: spans("positive_spans"),
        positive_buckets: numbers("positive_buckets"),
        negative_spans: spans("negative_spans"),
        negative_buckets: numbers("negative_buckets"),
        custom_values: numbers("custom_values"),
        ..FloatHistogram::default()
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn seconds(value: &Value) -> DurationMs {
    DurationMs((value.as_f64().unwrap() * 1000.0) as i64)
}

fn group(group: &Value) -> GroupStatus {
    GroupStatus {
        file: text(&group["file"]),
        name: text(&group["name"]),
        interval: seconds(&group["interval"]),
        limit: usize::try_from(group["limit"].as_u64().unwrap()).unwrap(),
        on_arrival: false,
        evaluation_seconds: group["evaluationTime"].as_f64().unwrap(),
        last_evaluation: Some(NOW),
        iterations: 1,
        iterations_missed: 0,
        evaluations: 1,
        evaluation_failures: 0,
        last_samples: 0,
        cost: GroupCost::default(),
        rules: list(&group["rules"]).iter().map(rule).collect(),
    }
}

fn rule(rule: &Value) -> RuleStatus {
    let is_alerting = rule["type"] == "alerting";
    RuleStatus {
        name: text(&rule["name"]),
        query: text(&rule["query"]),
        labels: pairs(&rule["labels"]),
        health: match rule["health"].as_str() {
            Some("ok") => RuleHealth::Ok,
            Some("err") => RuleHealth::Err(text(&rule["lastError"])),
            _ => RuleHealth::Unknown,
        },
        evaluation_seconds: rule["evaluationTime"].as_f64().unwrap(),
        last_evaluation: Some(NOW),
        warming_until: None,
        learns: false,
        learns_since: None,
        held_while_warming: false,
        kept_since: None,
        alerting: is_alerting.then(|| AlertingStatus {
            state: state(&rule["state"]),
            hold: seconds(&rule["duration"]),
            keep_firing: seconds(&rule["keepFiringFor"]),
            annotations: pairs(&rule["annotations"]),
            alerts: list(&rule["alerts"]).iter().map(alert).collect(),
        }),
    }
}

fn alert(alert: &Value) -> AlertView {
    AlertView {
        labels: Labels::from_pairs(pairs(&alert["labels"])),
        annotations: pairs(&alert["annotations"]),
        state: state(&alert["state"]),
        active_at: NOW,
        fired_at: None,
        keep_firing_since: None,
        value: text(&alert["value"]).parse().unwrap(),
    }
}

fn state(value: &Value) -> AlertState {
    match value.as_str() {
        Some("firing") => AlertState::Firing,
        Some("pending") => AlertState::Pending,
        Some("inactive") => AlertState::Inactive,
        _ => AlertState::Unknown,
    }
}
