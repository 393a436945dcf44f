//! Receivers that fail in every way over HTTP, for a while or again and again: nothing is lost,
//! nothing is told twice that was taken, and what comes last is the truth.

use std::collections::BTreeMap;

use burnwatch::clock::{Clock, SystemClock};
use burnwatch::model::{AlertStatus, Labels, SampleValue, TimestampMs};
use burnwatch::notify::{AlertEvent, RecordedSample};
use burnwatch::wire::v1;
use bytes::Bytes;
use futures::future::join_all;
use prost::Message as _;
use serde_json::Value;

use crate::faulty::{Fault, FaultySink};
use crate::support::{World, alertmanagers, config, message};

const FAULTS: [Fault; 10] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(429),
    Fault::Reset,
    Fault::ResetUnread,
    Fault::Close,
    Fault::HalfHead,
    Fault::Dribble,
    Fault::TooLate,
    Fault::Nonsense,
];

const WELL: Fault = Fault::Status(200);

fn event(name: &str, is_firing: bool) -> AlertEvent {
    let resolved_at = SystemClock.now();
    AlertEvent::State(message(
        name,
        match is_firing {
            true => AlertStatus::Firing,
            false => AlertStatus::Resolved { resolved_at },
        },
    ))
}

/// Returns the alerts of a body of either kind, each with whether it fires.
fn alerts_of(body: &Bytes) -> Vec<(String, bool)> {
    let body: Value = serde_json::from_slice(body).expect("a JSON body");
    let of_webhook = body["alerts"].as_array();
    let alerts = of_webhook.or(body.as_array()).expect("alerts");
    let one = |alert: &Value| {
        let name = alert["labels"]["alertname"].as_str().expect("a name");
        // Alertmanager is told by the end, a webhook by the status.
        let fires = match alert["status"].as_str() {
            Some(status) => status == "firing",
            None => {
                let ends_at = alert["endsAt"].as_str().expect("an end");
                let ends_at: jiff::Timestamp = ends_at.parse().expect("RFC 3339");
                ends_at.as_millisecond() > SystemClock.now().0
            }
        };
        (name.to_owned(), fires)
    };
    alerts.iter().map(one).collect()
}

fn all_alerts(bodies: &[Bytes]) -> Vec<(String, bool)> {
    bodies.iter().flat_map(alerts_of).collect()
}

/// Catches a fault that loses an alert, or has one told twice, at an Alertmanager or a webhook.
#[tokio::test(flavor = "multi_thread")]
async fn after_any_fault_each_alert_is_told_once_and_its_end_too() {
    join_all(FAULTS.map(|fault| async move {
        let am = FaultySink::start([fault; 2], WELL).await;
        let hook = FaultySink::start([fault; 2], WELL).await;
        let text = format!(
            "{}burnwatch: {{webhooks: [{{url: 'http://{}/', timeout: 200ms}}]}}\n",
            alertmanagers(&[am.address], "timeout: 200ms"),
            hook.address
        );
        let world = World::start(config(&text));
        world.deliver(event("A", true));
        for sink in [&am, &hook] {
            let told = all_alerts(&sink.taken(1).await);
            assert_eq!(told, [("A".to_owned(), true)], "{fault:?}");
        }
        for receiver in [&am, &hook].map(|sink| sink.address.port().to_string()) {
            let errors = world.metric("prometheus_notifications_errors_total", &receiver);
            // hyper itself repeats a request on a connection that died before any of it was read.
            let least = if fault == Fault::ResetUnread {
                0.0
            } else {
                2.0
            };
            assert!(errors >= least, "{fault:?}: {errors} errors");
        }
        for sink in [&am, &hook] {
            sink.set(fault);
        }
        world.deliver(event("A", false));
        if fault != Fault::ResetUnread {
            am.read(4).await;
        }
        for sink in [&am, &hook] {
            sink.set(WELL);
            let told = all_alerts(&sink.taken(2).await);
            let both = [("A".to_owned(), true), ("A".to_owned(), false)];
            assert_eq!(told, both, "{fault:?}");
        }
    }))
    .await;
}

/// An answer whose head says that all is well counts, whatever becomes of its body.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_of_a_good_answer_is_a_good_answer() {
    let am = FaultySink::start([Fault::HalfBody], WELL).await;
    let world = World::start(config(&alertmanagers(&[am.address], "")));
    world.deliver(event("A", true));
    am.taken(1).await;
    world.deliver(event("B", true));
    let told = all_alerts(&am.taken(2).await);
    assert_eq!(told, [("A".to_owned(), true), ("B".to_owned(), true)]);
}

/// Catches an old state that is sent after a newer one, a state that is forgotten in the turmoil,
/// and one receiver's faults that reach the other.
#[tokio::test(flavor = "multi_thread")]
async fn however_a_receiver_flaps_the_last_it_hears_of_each_alert_is_the_truth() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut faults = Vec::new();
        for _ in 0..30 {
            // Not many in a row, so that pauses stay short; not so late as to wait for long.
            faults.push(match random.usize(..3) {
                0 => WELL,
                _ => FAULTS[random.usize(..FAULTS.len())],
            });
        }
        let flapping = FaultySink::start(faults, WELL).await;
        let well = FaultySink::start([], WELL).await;
        let addresses = [flapping.address, well.address];
        let world = World::start(config(&alertmanagers(&addresses, "timeout: 50ms")));
        let mut truth = BTreeMap::new();
        for step in 0..120 {
            let name = format!("A{}", random.usize(..8));
            let was_firing = truth.get(&name).copied().unwrap_or(false);
            let mut state = message(&name, AlertStatus::Firing);
            state.fired_at = TimestampMs(1_700_000_000_000 + step);
            if was_firing {
                let resolved_at = SystemClock.now();
                state.status = AlertStatus::Resolved { resolved_at };
            }
            world.deliver(AlertEvent::State(state));
            truth.insert(name, !was_firing);
            if random.usize(..4) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        world.deliver(event("Last", true));
        truth.insert("Last".to_owned(), true);
        for sink in [&flapping, &well] {
            let mut n_taken = 1;
            let newest = loop {
                let told = all_alerts(&sink.taken(n_taken).await);
                // An alert of which nothing was heard does not fire.
                let mut newest: BTreeMap<String, bool> = told.into_iter().collect();
                for name in truth.keys() {
                    newest.entry(name.clone()).or_insert(false);
                }
                if newest == truth {
                    break newest;
                }
                n_taken = sink.now_taken().len() + 1;
            };
            assert_eq!(newest, truth, "seed {seed}");
        }
    }
}

fn samples(values: std::ops::Range<i64>) -> Vec<RecordedSample> {
    let sample = |n| RecordedSample {
        labels: Labels::from_pairs([("__name__", "recorded")]),
        at: TimestampMs(n),
        value: SampleValue::Float(n as f64),
    };
    values.map(sample).collect()
}

fn values_of(bodies: &[Bytes]) -> Vec<i64> {
    let mut values = Vec::new();
    for body in bodies {
        let plain = snap::raw::Decoder::new().decompress_vec(body);
        let request = v1::WriteRequest::decode(&*plain.expect("snappy")).expect("protobuf");
        let series = request.timeseries.iter();
        values.extend(series.flat_map(|s| s.samples.iter().map(|s| s.timestamp)));
    }
    values
}

/// Catches samples that a fault loses, doubles or puts out of order.
#[tokio::test(flavor = "multi_thread")]
async fn after_any_fault_samples_are_written_back_whole_and_in_order() {
    join_all(FAULTS.map(|fault| async move {
        let sink = FaultySink::start([fault; 4], WELL).await;
        let text = format!(
            "burnwatch: {{write_back: [{{url: 'http://{}/', name: up, remote_timeout: 200ms, \
             queue_config: {{batch_send_deadline: 1ms, max_samples_per_send: 10, \
             retry_on_http_429: true}}}}]}}\n",
            sink.address
        );
        let world = World::start(config(&text));
        world.notify.write_back(samples(0..35));
        world.notify.write_back(samples(35..70));
        let sent = "prometheus_remote_storage_samples_total";
        world.metric_reaches(sent, "", 70.0).await;
        let taken = values_of(&sink.now_taken());
        assert_eq!(taken, (0..70).collect::<Vec<_>>(), "{fault:?}");
        let dropped = world.metric("prometheus_remote_storage_samples_dropped_total", "");
        assert_eq!(dropped, 0.0, "{fault:?}");
    }))
    .await;
}

/// Catches a queue that grows while nobody takes from it, or that keeps the wrong end.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_outlasts_the_queue_costs_the_oldest_samples_and_says_so() {
    let sink = FaultySink::start([], Fault::Status(503)).await;
    let text = format!(
        "burnwatch: {{write_back: [{{url: 'http://{}/', name: up, queue_config: {{capacity: 50, \
         max_samples_per_send: 10, batch_send_deadline: 1ms}}}}]}}\n",
        sink.address
    );
    let world = World::start(config(&text));
    world.notify.write_back(samples(0..20));
    sink.read(2).await;
    (2..20).for_each(|n| world.notify.write_back(samples(n * 10..n * 10 + 10)));
    sink.read(4).await;
    sink.set(WELL);
    let name = |tail: &str| format!("prometheus_remote_storage_samples_{tail}");
    world.notify.write_back(samples(200..201));
    let mut n_taken = 1;
    let taken = loop {
        let taken = values_of(&sink.taken(n_taken).await);
        if taken.last() == Some(&200) {
            break taken;
        }
        n_taken += 1;
    };
    assert!(taken.is_sorted(), "{taken:?}");
    // All but the oldest; what was under way when the queue overflowed may count, too.
    assert!((50..=60).contains(&taken.len()), "{taken:?}");
    let kept = taken.len() as f64;
    world.metric_reaches(&name("total"), "", kept).await;
    let dropped = world.metric(&name("dropped_total"), "");
    assert_eq!(dropped + kept, 201.0, "each is either sent or counted");
}
