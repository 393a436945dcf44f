//! Posts to Alertmanager: what is said of each alert, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::model::{DurationMs, Labels, NameValidation, TimestampMs};
use burnwatch::notify::AlertEvent;
use burnwatch::notify::outgoing_labels::{generator_url, outgoing_labels};
use burnwatch::notify::schedule::{Outgoing, Schedule};
use burnwatch::notify::wire_time::rfc3339_ms;
use burnwatch::relabel::{Action, RelabelConfig, RelabelFields};
use burnwatch::server::dispatch::alert_event;
use serde_json::{Value, json};

use crate::recording::{Recording, all, labels, seconds};
use crate::replay::Replay;

/// How long after its evaluation Prometheus' post was received at most.
const DELAY_MAX: DurationMs = DurationMs::from_seconds(1);

/// What was said of each alert, by its labels outside, in order, with the time of saying.
type Posts = BTreeMap<Labels, Vec<(TimestampMs, Value)>>;

fn recorded(recording: &Recording) -> Posts {
    let mut posts = Posts::new();
    for post in recording.json["posts"].as_array().expect("posts") {
        for alert in post["body"].as_array().expect("alerts") {
            let mut alert = alert.clone();
            let outside = labels(&alert["labels"]);
            alert.as_object_mut().expect("an alert").remove("labels");
            let said = (seconds(&post["received"]), alert);
            posts.entry(outside).or_default().push(said);
        }
    }
    posts
}

fn replayed(recording: &Recording) -> Posts {
    let mut replay = Replay::new(recording);
    let delay = DurationMs::parse(recording.text("resend_delay")).expect("a duration");
    let mut schedule = Schedule::new(delay, 10_000);
    let mut posts = Posts::new();
    for now in recording.evaluations() {
        for event in replay.go_on(now).iter().filter_map(alert_event) {
            match event {
                AlertEvent::State(message) => drop(schedule.state(Arc::new(message), now)),
                AlertEvent::Pending(labels) => schedule.pending(&labels),
                AlertEvent::Forget(labels) => schedule.forget(&labels),
            }
        }
        // Prometheus sends at evaluations alone; the schedule is asked when it does.
        let taken = schedule.take(now, usize::MAX);
        for outgoing in &taken {
            let (labels, said) = said(recording, outgoing);
            posts.entry(labels).or_default().push((now, said));
        }
        schedule.sent(&taken, now, now);
    }
    posts
}

fn said(recording: &Recording, outgoing: &Outgoing) -> (Labels, Value) {
    let steps = [RelabelConfig::new(
        RelabelFields {
            regex: "replica".to_owned(),
            action: Action::LabelDrop,
            ..RelabelFields::default()
        },
        NameValidation::Utf8,
    )
    .expect("a valid step")];
    assert_eq!(recording.text("alert_relabel"), "labeldrop replica");
    let message = &outgoing.message;
    let labels = outgoing_labels(&message.labels, &recording.external_labels(), &[&steps]);
    let mut said = json!({
        "startsAt": rfc3339_ms(outgoing.starts_at),
        "endsAt": rfc3339_ms(outgoing.ends_at),
        "generatorURL": generator_url(recording.text("external_url"), &message.expr),
    });
    if !message.annotations.is_empty() {
        said["annotations"] = message.annotations.iter().cloned().collect();
    }
    (labels.expect("no step drops an alert"), said)
}

#[test]
fn alertmanager_is_told_what_prometheus_told_it() {
    for recording in all() {
        let (recorded, mut replayed) = (recorded(&recording), replayed(&recording));
        assert!(recorded.len() > 5, "the recording has alerts");
        for (labels, theirs) in &recorded {
            let ours = replayed.remove(labels).unwrap_or_default();
            let said = |posts: &[(TimestampMs, Value)]| -> Vec<Value> {
                posts.iter().map(|(_, said)| said.clone()).collect()
            };
            assert_eq!(said(&ours), said(theirs), "{} {labels}", recording.name);
            for ((sent, _), (received, _)) in ours.iter().zip(theirs) {
                let delay = *received - *sent;
                let is_prompt = (DurationMs::ZERO..=DELAY_MAX).contains(&delay);
                assert!(is_prompt, "{labels}: {sent:?} is received at {received:?}");
            }
        }
        assert_eq!(replayed, Posts::new(), "{}", recording.name);
        let n_posts: usize = recorded.values().map(Vec::len).sum();
        let name = &recording.name;
        say!("{name}: {n_posts} of {n_posts} alerts sent are the same");
    }
}
