//! Answers of `/api/v1/alerts` and `/api/v1/rules`.

use burnwatch::engine::GroupStatus;
use serde_json::Value;

use crate::backend::{Fake, fake, send, serve};
use crate::recording::{Recording, all, seconds};
use crate::replay::Replay;

/// What says how long something took, or by another clock when, or where the rule file lay: it
/// differs from run to run. The last is ours, not Prometheus'.
const VARYING: [&str; 4] = ["evaluationTime", "lastEvaluation", "file", "warmingUntil"];

/// Asks the API over these groups and returns the `data` of its answer.
async fn asked(groups: Vec<GroupStatus>, path: &str) -> Value {
    asked_of(Fake { groups, ..fake() }, path).await
}

/// Asks the API over a backend and returns the `data` of its answer.
pub async fn asked_of(fake: Fake, path: &str) -> Value {
    let answer = send(&serve(fake), &format!("GET {path}")).await;
    let mut body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["status"], "success");
    body["data"].take()
}

/// Makes two answers comparable: the order of a rule's alerts means nothing, instants are
/// recorded in nanoseconds and ours are milliseconds, and some values differ from run to run.
fn comparable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            VARYING.iter().for_each(|name| drop(fields.remove(*name)));
            for (name, value) in fields.iter_mut() {
                match value.as_str() {
                    Some(text) if name == "activeAt" || name == "keepFiringSince" => {
                        *value = in_ms(text).into();
                    }
                    Some(text) if name == "lastError" => {
                        *value = without_examples(text).into();
                    }
                    _ => comparable(value),
                }
            }
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(comparable);
            if elements.iter().all(|element| element["activeAt"].is_i64()) {
                elements.sort_by_key(|element| element["labels"].to_string());
            }
        }
        _ => {}
    }
}

fn in_ms(text: &str) -> i64 {
    let time: jiff::Timestamp = text.parse().expect("RFC 3339");
    time.as_millisecond()
}

/// Which two of several duplicates an error names follows the order of series in storage.
fn without_examples(error: &str) -> String {
    let (before, rest) = error.split_once('[').unwrap_or((error, ""));
    let after = rest.split_once(']').map_or("", |(_, after)| after);
    format!("{before}[]{after}")
}

fn check(what: &str, mut ours: Value, mut theirs: Value) {
    comparable(&mut ours);
    comparable(&mut theirs);
    assert_eq!(ours, theirs, "{what}");
}

async fn check_alerts(recording: &Recording) {
    let mut replay = Replay::new(recording);
    let snapshots = recording.json["api_alerts"].as_array().expect("answers");
    for snapshot in snapshots {
        replay.go_on(seconds(&snapshot["at"]));
        let ours = asked(replay.engine.groups(), "/api/v1/alerts").await;
        let what = format!("{} at {}", recording.name, snapshot["at"]);
        check(&what, ours["alerts"].clone(), snapshot["alerts"].clone());
    }
    let (name, n) = (recording.name, snapshots.len());
    say!("{name}: {n} of {n} answers of the API are the same");
}

#[tokio::test]
async fn alerts_are_listed_as_prometheus_listed_them() {
    for recording in all() {
        check_alerts(&recording).await;
    }
}

#[tokio::test]
async fn rules_are_listed_as_prometheus_listed_them() {
    for recording in all() {
        let mut replay = Replay::new(&recording);
        replay.go_on(recording.end());
        let ours = asked(replay.engine.groups(), "/api/v1/rules").await;
        let theirs = recording.json["api_rules_at_end"].clone();
        check(recording.name, ours, theirs);
    }
}
