//! What has headroom is not evaluated as samples come, and nothing is missed by that.
//!
//! Headroom is found from bounds (`burnwatch::engine`, module `headroom`), which must hold whatever
//! comes: resets, values below zero, gaps, what comes late, series that come and go. So rules over
//! ratios of growth meet random streams, and thresholds are values that occur.

use burnwatch::model::{DurationMs, EngineSettings, Entry, SampleValue, TimestampMs, stale_nan};
use proptest::prelude::*;
use proptest::sample::select;

use crate::both::{Both, ticking};
use crate::equal::{Case, hold, hold_live_is_scan, settings};
use crate::rule_sets::{Group, Kind, Rule, RuleSet};
use crate::streams::streams;
use crate::world::{Door, Sample, labels};

const COUNTERS: [&str; 6] = ["c", "d", "g", "c{status=\"bad\"}", "b_bucket", "m"];
const WINDOWS: [&str; 6] = ["1m", "2m", "5m", "20m", "1h", "299999ms"];
const LIMITS: [f64; 6] = [0.01, 0.1, 0.5, 1.0, 2.0, 30.0];

/// Sums of what counters grow by. Gauges are among them: they fall, and below zero.
fn growth(by: &'static str) -> impl Strategy<Value = String> {
    let function = select(&["rate", "increase"][..]);
    (select(&COUNTERS[..]), select(&WINDOWS[..]), function).prop_map(
        move |(counter, window, function)| format!("sum{by} ({function}({counter}[{window}]))"),
    )
}

fn ratio(by: &'static str) -> impl Strategy<Value = String> {
    (growth(by), growth(by)).prop_map(|(upper, lower)| format!("{upper} / {lower}"))
}

/// What an expression is made of: one ratio to be compared with a value that occurs, or several that
/// are compared already.
fn rule(by: &'static str) -> impl Strategy<Value = Rule> {
    let compared = || {
        let limit = select(&LIMITS[..]);
        (ratio(by), limit).prop_map(|(ratio, limit)| format!("{ratio} > {limit}"))
    };
    let word = select(&["and", "or", "unless"][..]);
    let both = (compared(), word, compared());
    let both = both.prop_map(|(one, word, other)| format!("{one} {word} {other}"));
    let hold = select(&["0s", "15s", "1m"][..]);
    let operator = select(&[">", ">="][..]);
    prop_oneof![
        2 => (ratio(by), any::<u8>().prop_map(Some)),
        1 => (both, Just(None)),
    ]
    .prop_flat_map(move |(expr, of_256)| (Just(expr), Just(of_256), hold.clone(), operator.clone()))
    .prop_map(|(expr, of_256, hold, operator)| Rule {
        expr,
        kind: Kind::Alert {
            operator,
            of_256,
            hold,
        },
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let by = select(&["", " by (job)", " by (instance)", " without (status)"][..]);
    let rules = by.prop_flat_map(|by| prop::collection::vec(rule(by), 1..4));
    let set = rules.prop_map(|rules| {
        RuleSet(vec![Group {
            query_offset: "",
            rules,
        }])
    });
    (set, settings(), streams(60)).prop_map(|(set, settings, stream)| Case {
        rule_sets: vec![set],
        settings,
        stream,
    })
}

#[test]
fn what_has_headroom_finds_nothing() {
    let (n_streams, looked) = hold_live_is_scan(&cases());
    say!("{n_streams} streams: {looked:?}");
    assert!(looked.spared > 0, "some evaluations are spared");
}

/// What a counter does from one scrape to the next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Grow(u16),
    Reset(u16),
    /// Below zero, which is no reset of a counter.
    Fall(u16),
    BecomeNan,
    End,
    Miss,
    /// This sample comes with the next scrape, behind a newer one.
    ComeLate,
}

fn steps() -> impl Strategy<Value = Step> {
    let grown = prop_oneof![4 => 0u16..3, 2 => 3u16..100, 1 => 100u16..2000];
    prop_oneof![
        60 => grown.prop_map(Step::Grow),
        2 => (0u16..50).prop_map(Step::Reset),
        2 => (0u16..500).prop_map(Step::Fall),
        3 => Just(Step::BecomeNan),
        1 => Just(Step::End),
        2 => Just(Step::Miss),
        1 => Just(Step::ComeLate),
    ]
}

/// The counters of the stories, the errors first.
const STORIES: [&str; 6] = [
    r#"errors{job="j",instance="0",model="m"}"#,
    r#"errors{job="j",instance="1",model="m"}"#,
    r#"errors{job="j",instance="0",model="n"}"#,
    r#"total{job="j",instance="0",model="m"}"#,
    r#"total{job="j",instance="1",model="m"}"#,
    r#"total{job="j",instance="0",model="n"}"#,
];

/// What the counters do at each scrape, and to which limit their ratio is held over which window.
type Story = (Vec<[Step; 6]>, usize, f64);

fn stories() -> impl Strategy<Value = Story> {
    let scrape = [(); 6].map(|()| steps());
    let scrapes = prop::collection::vec(scrape, 60..200);
    (scrapes, 0usize..4, 0.01..2.0_f64)
}

/// Returns the entries of a story.
fn told((scrapes, window, limit): &Story) -> Vec<Entry> {
    let window = ["1m", "2m", "5m", "20m"][*window];
    let ratio =
        format!("sum by (model) (rate(errors[{window}])) / sum by (model) (rate(total[{window}]))");
    let rules = format!(
        "groups:\n- name: g\n  interval: 15s\n  rules:\n  - {{alert: Part, expr: '{ratio} > {limit}'}}\n  \
         - {{alert: Whole, expr: '{} > {limit}'}}\n",
        ratio.replace(" by (model)", "")
    );
    let settings = EngineSettings {
        out_of_order_window: DurationMs::from_seconds(60),
        ..ticking()
    };
    let mut door = Door::new();
    let mut entries = vec![door.rules(&rules, &settings)];
    let mut values = [0.0; 6];
    let mut late: Vec<Sample> = Vec::new();
    for (scrape, steps) in (0..).zip(scrapes) {
        let at = TimestampMs(scrape * 15_000 + 7);
        let mut samples = Vec::new();
        let mut coming_late = Vec::new();
        for (story, step) in steps.iter().enumerate() {
            let value = &mut values[story];
            // Requests come ten times as often as errors.
            let unit = if story < 3 { 1.0 } else { 10.0 };
            match step {
                Step::Grow(by) => *value += unit * f64::from(*by),
                Step::Reset(to) => *value = unit * f64::from(*to),
                Step::Fall(to) => *value = -unit * f64::from(*to),
                Step::BecomeNan | Step::End | Step::Miss | Step::ComeLate => {}
            }
            let told = match step {
                Step::BecomeNan => f64::NAN,
                Step::End => stale_nan(),
                _ => *value,
            };
            let sample = (labels(STORIES[story]), at, SampleValue::Float(told));
            match step {
                Step::Miss => {}
                Step::ComeLate => coming_late.push(sample),
                _ => samples.push(sample),
            }
        }
        samples.append(&mut late);
        late = coming_late;
        entries.push(door.request(TimestampMs(at.0 + 500), &samples));
    }
    entries
}

#[test]
fn what_has_headroom_finds_nothing_whatever_counters_do() {
    let spared = std::cell::Cell::new((0, 0));
    hold(&stories(), |story| {
        let mut both = Both::new();
        let mut n_effects = 0;
        for entry in &told(&story) {
            n_effects += both.apply(entry).map_err(TestCaseError::fail)?.len();
        }
        let (n, sum) = spared.get();
        spared.set((n + n_effects, sum + both.spared()));
        Ok(())
    });
    let (n_effects, n_spared) = spared.get();
    say!("{n_effects} effects, {n_spared} evaluations spared");
    assert!(
        n_effects > 1000 && n_spared > 1000,
        "{n_effects} {n_spared}"
    );
}

/// The samples of a scrape: requests of two models, of which one begins to fail.
fn samples(scrape: i64) -> Vec<Sample> {
    let at = TimestampMs(scrape * 15_000 + 7);
    let failing = (scrape - 400).max(0);
    let mut samples = Vec::new();
    let mut push = |name: &str, model: &str, value: i64| {
        let series = labels(&format!("{name}{{job=\"j\",model=\"{model}\"}}"));
        samples.push((series, at, SampleValue::Float(value as f64)));
    };
    for (model, errors) in [("good", scrape), ("bad", scrape + 500 * failing)] {
        push("total", model, 1000 * scrape);
        push("errors", model, errors);
    }
    samples
}

/// Returns the entries of rules and of 600 scrapes.
fn entries(rules: &str, samples: impl Fn(i64) -> Vec<Sample>) -> Vec<Entry> {
    let mut door = Door::new();
    let mut entries = vec![door.rules(rules, &ticking())];
    for scrape in 0..600 {
        let at = TimestampMs(scrape * 15_000 + 500);
        entries.push(door.request(at, &samples(scrape)));
    }
    entries
}

#[test]
fn a_burn_rate_far_from_its_threshold_is_evaluated_once_in_eight_scrapes() {
    let rules = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - alert: Burn\n    expr: |\n      \
                 sum by (model) (rate(errors[1h])) / sum by (model) (rate(total[1h])) > 0.05\n      \
                 and sum by (model) (rate(errors[5m])) / sum by (model) (rate(total[5m])) > 0.05\n";
    let entries = entries(rules, samples);
    let mut both = Both::new();
    let mut spared_until = |entries: &[Entry]| (both.alerts(entries), both.spared());
    let (_, before) = spared_until(&entries[..300]);
    let (raised, spared) = spared_until(&entries[300..400]);
    assert!(raised.is_empty(), "{raised:?}");
    // Two looks at each scrape, the tick before it and its arrival.
    let spared = spared - before;
    assert!(spared > 150, "{spared} of 200 looks spared");
    let (raised, _) = spared_until(&entries[400..]);
    assert!(!raised.is_empty(), "the bad model burns");
}

#[test]
fn a_counter_that_comes_back_from_sleep_ends_headroom() {
    let rules = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - alert: Burn\n    expr: \
                 sum by (model) (rate(errors[5m])) / sum by (model) (rate(total[5m])) > 0.05\n";
    let entries = entries(rules, |scrape| {
        let mut samples = samples(scrape);
        // Its errors are not told for longer than they are kept, and it fails when they are again.
        if (20..450).contains(&scrape) {
            samples.retain(|(series, ..)| series.metric_name() != "errors");
        }
        samples
    });
    assert!(
        !Both::new().alerts(&entries).is_empty(),
        "the bad model burns"
    );
}

#[test]
fn who_is_asked_for_twice_at_once_has_no_more_headroom_than_others() {
    for hold in (300..420).step_by(15) {
        let rules = format!(
            "groups:\n- name: g\n  interval: 15s\n  rules:\n  - {{alert: Burn, for: {hold}s, expr: '\
             sum by (model) (rate(errors[5m])) / sum by (model) (rate(total[5m])) > 0.05'}}\n"
        );
        let entries = entries(&rules, |scrape| {
            let mut samples = samples(scrape);
            // Once 3000 errors, and quiet again: when `for` is over, a timer and a scrape come at once.
            for (series, _, value) in &mut samples {
                if series.metric_name() == "errors" && series.value("model") == "bad" {
                    let since = |begin: i64| (scrape - begin).max(0) as f64;
                    let errors = since(0) + 3000.0 * since(300).min(1.0) + 500.0 * since(400);
                    *value = SampleValue::Float(errors);
                }
            }
            samples
        });
        let raised = Both::new().alerts(&entries);
        assert!(!raised.is_empty(), "{hold}");
    }
}

#[test]
fn a_stale_marker_that_leaves_next_says_nothing_of_what_stays() {
    let rules = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - {alert: Burn, expr: '\
                 sum by (model) (rate(errors[5m])) / sum by (model) (rate(total[5m])) > 0.05'}\n";
    // Headroom is not looked for at every scrape: one of these meets the marker when it is the oldest.
    for ended in 300..309 {
        let entries = entries(rules, |scrape| {
            let mut samples = samples(scrape);
            for (series, _, value) in &mut samples {
                if series.metric_name() == "errors" && series.value("model") == "bad" {
                    let errors = 30 * scrape + 22 * (scrape - ended - 1).max(0);
                    *value = SampleValue::Float(match scrape == ended {
                        true => stale_nan(),
                        false => errors as f64,
                    });
                }
            }
            samples
        });
        let raised = Both::new().alerts(&entries);
        assert!(!raised.is_empty(), "{ended}");
    }
}

#[test]
fn what_fails_in_a_part_is_not_left_out_with_it() {
    let ratio = "sum by (model) (rate(errors[5m])) / sum by (model) (rate(total[5m])) > 0.02";
    let muted = "sum by (model) (rate(muted[3h]))";
    let seldom = [100, 401].as_slice();
    // Two series of the good model become one without their types when the bad one begins to fail: from
    // then on the rule cannot be evaluated.
    for (beside, told_at, is_raised) in [
        ("", seldom, true),
        (&format!("unless {muted} > 99"), seldom, false),
        (
            &format!("and ({muted} / {muted} >= 0 or {ratio})"),
            seldom,
            false,
        ),
        ("unless on (model) (muted > 0) * 2 > 99", &[], false),
    ] {
        let rules = format!(
            "groups:\n- name: g\n  interval: 15s\n  rules:\n  - {{alert: Burn, expr: '{ratio} {beside}'}}\n"
        );
        let entries = entries(&rules, |scrape| {
            let mut samples = samples(scrape);
            for of_type in ["", ",__type__=\"counter\""] {
                let series = labels(&format!("muted{{job=\"j\",model=\"good\"{of_type}}}"));
                let at = TimestampMs(scrape * 15_000 + 7);
                let value = if scrape < 401 { 0.0 } else { 1.0 };
                if told_at.is_empty() || told_at.contains(&scrape) {
                    samples.push((series, at, SampleValue::Float(value)));
                }
            }
            samples
        });
        let raised = Both::new().alerts(&entries);
        assert_eq!(!raised.is_empty(), is_raised, "{beside}: {raised:?}");
    }
}
