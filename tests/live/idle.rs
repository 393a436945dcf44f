//! Ticks that evaluate nothing see what time alone does: samples leave, series go stale, lines bend.

use burnwatch::model::{SampleValue, TimestampMs};

use crate::both::{Both, ticking};
use crate::world::{Door, Sample, labels};

const MINUTE: i64 = 60;

/// Rules that raise an alert because time goes on, each behind the minute that is said: `stops` has
/// its last sample before the twentieth, `falls_once` is 1 in the twelfth.
const RAISED_BY_TIME: &[(&str, i64, &str)] = &[
    ("Absent", 20, "absent(stops)"),
    ("AbsentOverTime", 20, "absent_over_time(stops[7m])"),
    ("Unless", 20, "goes_on unless on (n) stops"),
    ("Few", 20, "count_over_time(stops[10m]) < 5"),
    ("Slow", 20, "rate(stops[5m]) < 0.5"),
    ("SlowSum", 20, "sum(rate(stops[5m])) < 0.5"),
    (
        "SlowParts",
        20,
        "sum by (n) (rate(stops[5m])) / sum by (n) (rate(goes_on[5m])) < 0.5",
    ),
    ("Least", 13, "min_over_time(falls_once[5m]) > 50"),
];

/// These find nothing, and need not be looked at to know that.
const NEVER_RAISED: &[(&str, &str)] = &[
    (
        "Burn",
        "sum by (n) (rate(stops[30m])) / sum by (n) (rate(goes_on[30m])) > 99",
    ),
    ("Steady", "sum(rate(goes_on[5m])) > 99"),
    ("Each", "rate(goes_on[5m]) - rate(goes_on[10m]) > 99"),
    ("Count", "count by (n) (stops == -1)"),
];

fn rules() -> String {
    let raised = RAISED_BY_TIME.iter().map(|(name, _, expr)| (name, expr));
    let all = raised.chain(NEVER_RAISED.iter().map(|(name, expr)| (name, expr)));
    let rules = all.map(|(name, expr)| format!("  - {{alert: {name}, expr: '{expr}'}}\n"));
    format!(
        "groups:\n- name: g\n  interval: 15s\n  rules:\n{}",
        rules.collect::<String>()
    )
}

/// The samples of one second: scrapes of two targets a minute, off the ticks.
fn samples(second: i64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (n, offset) in [(0, 7), (1, 31)] {
        if second % MINUTE != offset {
            continue;
        }
        let mut push = |name: &str, value: f64| {
            let series = labels(&format!("{name}{{job=\"j\",instance=\"{n}\",n=\"{n}\"}}"));
            let at = TimestampMs(second * 1000 + 3);
            samples.push((series, at, SampleValue::Float(value)));
        };
        push("goes_on", second as f64);
        let minute = second / MINUTE;
        push("falls_once", if minute == 12 { 1.0 } else { 100.0 });
        if minute < 20 {
            push("stops", second as f64);
        }
    }
    samples
}

#[test]
fn time_alone_raises_what_history_raises() {
    let mut door = Door::new();
    let mut entries = vec![door.rules(&rules(), &ticking())];
    for second in 0..45 * MINUTE {
        let samples = samples(second);
        if !samples.is_empty() {
            entries.push(door.request(TimestampMs(second * 1000 + 500), &samples));
        }
    }
    let mut both = Both::new();
    let raised = both.alerts(&entries);
    for (name, minute, expr) in RAISED_BY_TIME {
        let after = TimestampMs(minute * MINUTE * 1000);
        let is_raised = raised.iter().any(|(n, at)| n == name && *at > after);
        assert!(is_raised, "{name}: {expr}");
    }
    for (name, expr) in NEVER_RAISED {
        assert!(raised.iter().all(|(n, _)| n != name), "{name}: {expr}");
    }
    let (spared, n_ticks) = (both.spared(), 45 * 4);
    say!("{spared} evaluations spared in {n_ticks} ticks");
    // Most rules find nothing new at most ticks; the rest follows windows that fill or empty.
    assert!(spared > 2 * n_ticks, "{spared}");
}
