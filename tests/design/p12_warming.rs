//! 12. Warming: what missing members could make true does not fire before its windows are full.

use burnwatch::engine::Leaves;
use burnwatch::engine::View;
use proptest::prelude::*;

use crate::world::{World, at, cases, replay};

const RULES: &str = "
groups:
- name: g
  rules:
  - {alert: Gone, expr: 'absent(up{job=\"b\"})'}
  - {alert: Few, expr: 'count(up) < 2'}
  - {alert: High, expr: 'up > 5'}
";

#[test]
fn a_young_server_does_not_page_for_what_it_has_not_heard_yet() {
    let mut world = World::new(RULES);
    world.push(1.0, &[("up{job=\"a\"}", 9.0)]);
    world.push(15.0, &[("up{job=\"b\"}", 1.0)]);
    // `High` needs no warming; the others were true for a moment and wait.
    let told = world.told();
    assert!(
        told.contains(&"1s firing High{job=\"a\"}".to_owned()),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|line| line.contains("firing Gone")),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|line| line.contains("firing Few")),
        "{told:?}"
    );
    let groups = world.engine.groups();
    assert!(
        groups[0]
            .rules
            .iter()
            .all(|rule| rule.warming_until.is_some())
    );
}

#[test]
fn it_pages_once_it_is_warm() {
    let mut world = World::new(RULES);
    for n in 0..=31 {
        world.push(f64::from(n) * 10.0, &[("up{job=\"a\"}", 1.0)]);
    }
    let told = world.told();
    assert!(
        told.contains(&"0s pending Gone{job=\"b\"}".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"300s firing Gone{job=\"b\"}".to_owned()),
        "{told:?}"
    );
}

/// Catches a rule that `@` made warm for ever, and so silent.
#[test]
fn what_is_pinned_is_full_when_it_has_passed() {
    let mut world = World::new(
        "
groups:
- name: g
  rules:
  - {alert: Fewer, expr: 'count(up) < count(up @ 600)'}
  - {alert: Unknown, expr: 'count(up) < count(up @ 100)'}
",
    );
    for n in 0..=110 {
        let seconds = f64::from(n) * 10.0;
        world.push(seconds, &[("up{job=\"a\"}", 1.0)]);
        if n < 70 {
            world.push(seconds + 1.0, &[("up{job=\"b\"}", 1.0)]);
        }
        let groups = world.engine.groups();
        let is_warming = groups[0].rules[0].warming_until.is_some();
        assert_eq!(is_warming, world.frontier() < 600.0, "{seconds}");
    }
    let told = world.told();
    let is_told = |what: &str| told.iter().any(|line| line.contains(what));
    assert!(is_told("firing Fewer"), "{told:?}");
    // Five minutes before the hundredth second nobody was listening.
    assert!(is_told("pending Unknown"), "{told:?}");
    assert!(!is_told("firing Unknown"), "{told:?}");
}

#[test]
fn ticks_only_is_prometheus_to_the_letter() {
    let mut world = World::ticking(RULES);
    world.push(0.0, &[("up{job=\"a\"}", 1.0)]);
    assert!(
        world
            .told()
            .contains(&"0s firing Gone{job=\"b\"}".to_owned())
    );
}

/// Catches a frontier that goes back to when an alert that is held while its rule warms was due.
#[test]
fn a_reload_looks_at_a_held_alert_now_and_not_when_it_was_due() {
    let rules = "groups: [{name: g, rules: [{alert: Low, expr: 'sum(rate(x[20m])) < 1'}]}]";
    let mut world = World::new(rules);
    for n in 0..5 {
        world.push(f64::from(n) * 12.0, &[("x", 1.0)]);
    }
    assert_eq!(world.told(), ["12s pending Low"]);
    world.reload(rules);
    let groups = world.engine.groups();
    assert_eq!(
        groups[0].rules[0].last_evaluation,
        Some(crate::world::at(48.0))
    );
}

const LONG: &str = "
groups:
- name: g
  rules:
  - {record: r1, expr: 'sum by (job) (increase(x[1h]))'}
  - {record: r2, expr: 'avg_over_time(x{job=\"a\"}[40m])'}
  - {record: r3, expr: 'max_over_time(sum(rate(x[10m]))[30m:1m])'}
  - {alert: Slow, expr: 'sum(increase(x[1h])) < 10'}
";

/// Samples of a few series in an hour and a half: one that goes on, one that ends, one that
/// begins, one with a gap.
fn samples(from: i64, to: i64) -> Vec<(&'static str, f64, f64)> {
    let mut samples = Vec::new();
    for n in from..to {
        let seconds = (n * 15) as f64;
        samples.push((r#"x{job="a",i="1"}"#, seconds, (n * 3 % 1_000) as f64));
        if n < 200 {
            samples.push((r#"x{job="a",i="2"}"#, seconds + 1.0, n as f64));
        }
        if n > 260 {
            samples.push((r#"x{job="b",i="1"}"#, seconds + 2.0, 0.5 * n as f64));
        }
        if n % 100 < 50 {
            samples.push((r#"x{job="b",i="2"}"#, seconds + 2.0, (n * n) as f64));
        }
    }
    samples
}

fn values(world: &mut World, leaves: Leaves) -> Vec<String> {
    let rules = 0..4;
    let value = |rule| {
        let value = world.engine.rule_value(rule, leaves, View::Live);
        format!("{:?}", value.expect("a frontier").elements)
    };
    rules.map(value).collect()
}

/// Pushes samples as they come: one request for each instant.
fn feed(world: &mut World, samples: &[(&'static str, f64, f64)]) {
    for (series, seconds, value) in samples {
        world.push(*seconds, &[(series, *value)]);
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// An engine that began late and was given the past is worth what one is that was there all
    /// along, by windows and by reading history; and from then on it goes the same way.
    #[test]
    fn a_fetched_past_is_as_good_as_having_been_there(
        began in 220_i64..340,
        fetched in 1_i64..12,
    ) {
        let end = 360;
        let mut always = World::new(LONG);
        feed(&mut always, &samples(0, end));
        let mut late = World::new(LONG);
        feed(&mut late, &samples(began, began + fetched));
        prop_assert!(late.engine.lacking().len() == 2, "{:?}", late.engine.lacking());
        let until = late.engine.lacking()[0].until.seconds();
        for selector in ["x", "x{job=\"a\"}"] {
            let matches = |(series, at, _): &&(&str, f64, f64)| {
                *at <= until + 30.0 && (selector == "x" || series.contains(r#"job="a""#))
            };
            let all = samples(0, end);
            let past: Vec<_> = all.iter().filter(matches).copied().collect();
            late.past(selector, -10_000.0, until, &past);
        }
        prop_assert_eq!(late.engine.lacking(), []);
        feed(&mut late, &samples(began + fetched, end));
        prop_assert_eq!(values(&mut late, Leaves::Scan), values(&mut always, Leaves::Scan));
        prop_assert_eq!(values(&mut late, Leaves::Live), values(&mut always, Leaves::Live));
        let told = late.effects.clone();
        prop_assert_eq!(replay(&late.log), told);
    }
}

#[test]
fn what_warms_says_what_it_lacks_until_it_has_it() {
    let mut world = World::new(LONG);
    assert_eq!(world.engine.lacking(), []);
    world.push(1_000_000.0, &[("x", 1.0)]);
    let lacking = world.engine.lacking();
    let shown: Vec<String> = lacking
        .iter()
        .map(|lacking| {
            let matchers = lacking.matchers.iter().map(ToString::to_string);
            let matchers = matchers.collect::<Vec<_>>().join(",");
            format!(
                "{matchers} {} to {}",
                lacking.since.seconds(),
                lacking.until.seconds()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"__name__="x" 996400 to 999999.999"#,
            r#"__name__="x",job="a" 997600 to 999999.999"#
        ]
    );
    world.past("x", 996_399.0, 999_999.0, &[]);
    assert_eq!(world.engine.lacking().len(), 1);
    // Nobody asked for this one.
    world.past("y", 0.0, 999_999.0, &[("y", 999_000.0, 1.0)]);
    assert_eq!(world.query("y", 999_000.0), [""; 0]);
}

/// Catches a window that is taken for full because its selector has been read for long.
#[test]
fn a_window_that_got_longer_has_only_what_the_shorter_one_kept() {
    let rules = |w: &str| {
        format!("groups: [{{name: g, rules: [{{alert: A, expr: 'sum(rate(x[{w}])) < 1'}}]}}]")
    };
    let mut world = World::new(&rules("20m"));
    for n in 0..1_000 {
        world.push(f64::from(n) * 15.0, &[("x", 1.0)]);
    }
    assert_eq!(world.engine.lacking(), []);
    world.reload(&rules("3h"));
    let [lacking] = &world.engine.lacking()[..] else {
        panic!("{:?}", world.engine.lacking())
    };
    assert_eq!(lacking.until, at(999.0 * 15.0 - 20.0 * 60.0));
    assert!(world.engine.groups()[0].rules[0].warming_until.is_some());
}

/// Catches a rule that waits for history which another rule has kept for it.
#[test]
fn a_new_rule_has_the_history_of_a_selector_that_reads_its_series_too() {
    let old = "{alert: A, expr: 'sum(rate(x[2h])) < 1'}";
    let rules = |more: &str| format!("groups: [{{name: g, rules: [{old}{more}]}}]");
    let check = |expr: &str, lacks: Option<f64>| {
        let mut world = World::new(&rules(""));
        for n in 0..1_000 {
            world.push(f64::from(n) * 15.0, &[(r#"x{job="a"}"#, 1.0)]);
        }
        world.reload(&rules(&format!(", {{alert: B, expr: '{expr} < 1'}}")));
        let lacking = world.engine.lacking();
        let until = lacking.first().map(|lacking| lacking.until.seconds());
        assert_eq!(until, lacks, "{expr}");
    };
    let now = 999.0 * 15.0;
    check(r#"sum(rate(x{job="a"}[2h]))"#, None);
    check(r#"sum(rate(x{job="a",i!="1"}[1h]))"#, None);
    check(r#"sum(rate(x{job="a"}[3h]))"#, Some(now - 2.0 * 3600.0));
    check(r#"sum(rate({__name__=~"x|y"}[1h]))"#, Some(now));
    check("sum(rate(y[1h]))", Some(now));
}
