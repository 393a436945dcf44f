//! burnwatch was away for two hours, and what Prometheus kept for it comes all at once: what still
//! holds fires in a real Alertmanager, and what is over disturbs nobody.

use burnwatch::wire::v1;
use prost::Message;

use crate::processes::{Stack, now_ms, wait_for};
use crate::webhook::Webhook;
use crate::{active, own_state, stack_or_skip, time_ms};

const RULES: &str = "
groups:
- name: backlog
  interval: 15s
  rules:
  - {alert: Past, expr: past > 5, for: 1m}
  - {alert: Present, expr: present > 5, for: 1m}
";

const SCRAPE_MS: i64 = 15_000;
const SCRAPES: i64 = 2 * 3_600_000 / SCRAPE_MS;
/// When the one goes over its threshold and comes back, and the other goes over and stays, in
/// scrapes from the first.
const PAST: std::ops::Range<i64> = 120..240;
const PRESENT_FROM: i64 = 400;

fn body(first: i64, scrapes: std::ops::Range<i64>) -> Vec<u8> {
    let label = |name: &str, value: &str| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let series = |name: &str, is_over: &dyn Fn(i64) -> bool| v1::TimeSeries {
        labels: vec![label("__name__", name), label("job", "a")],
        samples: scrapes
            .clone()
            .map(|n| v1::Sample {
                value: if is_over(n) { 9.0 } else { 1.0 },
                timestamp: first + n * SCRAPE_MS,
            })
            .collect(),
        ..v1::TimeSeries::default()
    };
    let request = v1::WriteRequest {
        timeseries: vec![
            series("past", &|n| PAST.contains(&n)),
            series("present", &|n| n >= PRESENT_FROM),
        ],
        ..v1::WriteRequest::default()
    };
    let mut encoder = snap::raw::Encoder::new();
    let body = encoder.compress_vec(&request.encode_to_vec());
    body.expect("compresses")
}

#[test]
fn alerts_of_a_backlog_fire_in_alertmanager_if_they_still_hold() {
    let Some((_, alertmanager)) = stack_or_skip("backlog") else {
        return;
    };
    let (by_alertmanager, by_burnwatch) = (Webhook::start(), Webhook::start());
    let hooks = (by_alertmanager.port(), by_burnwatch.port());
    let stack = Stack::without_prometheus(&alertmanager, RULES, 1, hooks);
    let first = now_ms() - SCRAPES * SCRAPE_MS;
    for from in (0..SCRAPES).step_by(40) {
        assert_eq!(stack.write(body(first, from..from + 40)), 204);
    }
    let found = wait_for("the alert that still holds", || {
        active(&stack, "Present").into_iter().next()
    });
    // Since the first tick at which it held, two hours ago less what passed until then.
    let since = time_ms(&found, "startsAt") - (first + PRESENT_FROM * SCRAPE_MS);
    assert!((60_000..=60_000 + SCRAPE_MS).contains(&since), "{since} ms");
    assert!(
        time_ms(&found, "endsAt") > now_ms(),
        "its end is counted from when it was sent: {found}"
    );
    assert_eq!(own_state(&stack, "Present").as_deref(), Some("firing"));
    assert!(active(&stack, "Past").is_empty(), "it was over an hour ago");
    assert_eq!(own_state(&stack, "Past"), None);
    // Again and again, though event time stands still.
    let ends = time_ms(&found, "endsAt");
    wait_for("a resend that moves its end on", || {
        let again = active(&stack, "Present").into_iter().next()?;
        (time_ms(&again, "endsAt") > ends).then_some(())
    });
}
