//! Detectors that are told to learn anew: from then on they are worth what they would be with
//! `since=` in their options, by windows and by the textbook loop, over reloads and restarts.

use std::collections::BTreeMap;

use burnwatch::model::{EvaluationMode, Labels, TimestampMs, is_stale_nan};
use proptest::prelude::*;

use crate::checkpoints::hold_behind_a_checkpoint;
use crate::equal::{Case, cases, hold_live_is_scan};
use crate::expressions::detector;
use crate::forest::World;
use crate::rule_sets::{Group, Kind, Rule, RuleSet};
use crate::streams::Step;
use crate::world::labels;

/// Streams with resets, under rules that are detectors.
fn reset_cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        2 => Just(Kind::Record),
        1 => any::<u8>().prop_map(|of_256| Kind::Alert {
            operator: ">=",
            of_256: Some(of_256),
            hold: "0s",
        }),
    ];
    let rule = (detector(), kind).prop_map(|(expr, kind)| Rule { expr, kind });
    let rules = prop::collection::vec(rule, 1..5);
    let resets = prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4);
    (cases(), rules, resets).prop_map(|(mut case, rules, resets)| {
        let group = Group {
            query_offset: "",
            rules,
        };
        case.rule_sets = vec![RuleSet(vec![group])];
        for (place, of_8) in resets {
            let place = place.index(case.stream.steps.len());
            case.stream
                .steps
                .insert(place, Step::Reset { of_8, back: None });
        }
        case
    })
}

#[test]
fn detectors_that_were_reset_are_worth_what_their_windows_are_worth() {
    let (_, looked) = hold_live_is_scan(&reset_cases());
    let (n_elements, n_without) = (looked.elements, looked.without_scanning);
    say!("{n_elements} elements, {n_without} values without a sample read");
    assert!(
        n_elements > 500 && n_without > 500,
        "there is something to compare"
    );
}

#[test]
fn resets_go_on_behind_a_checkpoint() {
    hold_behind_a_checkpoint(reset_cases());
}

/// A detector of each kind, with its options and whether it speaks within the scrapes below.
const DETECTORS: [(&str, &str, bool); 14] = [
    ("anomaly_zscore(x[1h], {})", "min_samples=5", true),
    ("anomaly_mad(x[1h], {})", "min_samples=5", true),
    ("anomaly_seasonal(x[1h], {})", "min_samples=2", false),
    ("anomaly_ewma(x[1h], {})", "min_samples=5", true),
    ("anomaly_holt_winters(x[1h], {})", "m=2,min_samples=3", true),
    ("change_cusum(x[1h], {})", "h=3,hold=1m", true),
    (
        "change_page_hinkley(x[1h], {})",
        "train=0.1,threshold=3",
        true,
    ),
    ("change_adwin(x[1h], {})", "train=0.1", true),
    ("forecast_time_to(x[1h], 50, {})", "direction=up", true),
    ("forecast_error(x[1h], {})", "horizon=2m", true),
    (
        "anomaly_forest(x[1h], \"s\", {})",
        "window_size=20,min_points=20,trees=5",
        true,
    ),
    (
        "anomaly_forest(x[1h], \"s\", {})",
        "model=rcf,min_points=20,trees=5",
        true,
    ),
    (
        "anomaly_forest(x[1h], \"s\", {})",
        "model=isolation,min_points=20,trees=5",
        true,
    ),
    (
        "max_over_time(anomaly_ewma(x[1h], {})[5m:30s])",
        "min_samples=5",
        true,
    ),
];

/// Returns a file with all detectors, with something more in their options and their labels.
fn rules(more: &str, rule_labels: &str) -> String {
    let rule = |(number, (expr, options, _)): (usize, &(&str, &str, bool))| {
        let expr = expr.replace("{}", &format!("\"{options}{more}\""));
        format!("  - {{record: d{number}, expr: '{expr}', labels: {{{rule_labels}}}}}\n")
    };
    let rules: String = DETECTORS.iter().enumerate().map(rule).collect();
    format!("groups:\n- name: g\n  rules:\n{rules}")
}

fn series() -> [Labels; 2] {
    ["a", "b"].map(|s| labels(&format!("x{{s=\"{s}\"}}")))
}

fn scrape(world: &mut World, n: usize, random: &mut fastrand::Rng) {
    for _ in 0..n {
        world.scrape(&series(), &[random.f64(), 3.0 * random.f64()]);
    }
}

fn since(at: i64) -> String {
    format!(",since={}", at / 1000)
}

/// Returns what was recorded behind an instant, but for the ends of series.
fn behind(world: &World, at: i64) -> BTreeMap<String, BTreeMap<i64, u64>> {
    let of = |(name, values): (&String, &BTreeMap<i64, f64>)| {
        let values = values.range(at + 1..);
        let values = values.filter(|(_, value)| !is_stale_nan(**value));
        let values = values.map(|(at, value)| (*at, value.to_bits()));
        (name.clone(), values.collect::<BTreeMap<i64, u64>>())
    };
    let all = world.recorded.iter().map(of);
    all.filter(|(_, values)| !values.is_empty()).collect()
}

/// Compares what was recorded behind an instant, rule by rule.
fn compare(ours: &World, theirs: &World, at: i64) {
    let (ours, theirs) = (behind(ours, at), behind(theirs, at));
    for (number, (expr, ..)) in DETECTORS.iter().enumerate() {
        let name = format!("d{number}");
        assert_eq!(ours.get(&name), theirs.get(&name), "{name}: {expr}");
    }
}

/// How far on each rule of the engine says that it learns anew.
fn told(world: &World) -> Vec<Option<TimestampMs>> {
    let groups = world.engine.groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| rule.learns_since).collect()
}

#[test]
fn a_reset_is_worth_what_since_is_worth() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut world = World::new(&rules("", ""));
    scrape(&mut world, 250, &mut random);
    assert_eq!(told(&world), vec![None; DETECTORS.len()]);
    let at = world.at;
    world.reset(None);
    assert_eq!(told(&world), vec![Some(TimestampMs(at)); DETECTORS.len()]);
    world.restart();
    scrape(&mut world, 1, &mut random);
    // A point of the subquery may be of an instant before.
    let mut warm = behind(&world, at);
    warm.remove("d13");
    assert_eq!(warm, BTreeMap::new(), "warm-up begins anew");
    scrape(&mut world, 100, &mut random);
    // The same file again, and another start: it is as it was.
    world.load(&rules("", ""));
    world.restart();
    assert_eq!(told(&world), vec![Some(TimestampMs(at)); DETECTORS.len()]);
    scrape(&mut world, 300, &mut random);

    let mut random = fastrand::Rng::with_seed(9);
    let mut other = World::new(&rules(&since(at), ""));
    scrape(&mut other, 651, &mut random);
    compare(&world, &other, at);
    let ours = behind(&world, at);
    for (number, (expr, _, speaks)) in DETECTORS.iter().enumerate() {
        let n_values = ours.get(&format!("d{number}")).map_or(0, BTreeMap::len);
        assert_eq!(n_values > 50, *speaks, "{expr}: {n_values}");
    }
    let mut random = fastrand::Rng::with_seed(9);
    let mut plain = World::new(&rules("", ""));
    scrape(&mut plain, 651, &mut random);
    assert_ne!(ours, behind(&plain, at), "a reset changes something");
}

#[test]
fn other_labels_are_a_reset_and_the_same_ones_are_none() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut world = World::new(&rules("", "version: v1"));
    scrape(&mut world, 250, &mut random);
    let first = world.at;
    world.load(&rules("", "version: v2"));
    assert_eq!(
        told(&world),
        vec![Some(TimestampMs(first)); DETECTORS.len()]
    );
    scrape(&mut world, 20, &mut random);
    world.load(&rules("", "version: v2"));
    assert_eq!(
        told(&world),
        vec![Some(TimestampMs(first)); DETECTORS.len()]
    );
    scrape(&mut world, 250, &mut random);

    let mut random = fastrand::Rng::with_seed(4);
    let mut other = World::new(&rules(&since(first), "version: v2"));
    scrape(&mut other, 520, &mut random);
    compare(&world, &other, first);
    // Another expression under other labels is another rule, which has nothing to forget.
    let second = world.at;
    world.load(&rules("", "version: v3").replace("h=3", "h=4"));
    let mut expected = vec![Some(TimestampMs(second)); DETECTORS.len()];
    expected[5] = None;
    assert_eq!(told(&world), expected);
    // Nor has a rule without a detector.
    let plain = |version: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - {{record: d, expr: 'sum(x)', labels: {{version: \
             {version}}}}}\n"
        )
    };
    world.load(&plain("v1"));
    world.load(&plain("v2"));
    assert_eq!(told(&world), [None]);
}

#[test]
fn the_last_reset_counts_and_one_at_the_beginning_of_time_is_none() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut world = World::new(&rules("", ""));
    scrape(&mut world, 100, &mut random);
    let at = world.at;
    world.reset(Some(at - 300_000));
    world.reset(Some(at - 600_000));
    scrape(&mut world, 100, &mut random);
    let told_then = told(&world);
    world.reset(Some(0));
    assert_eq!(told(&world), vec![None; DETECTORS.len()]);
    let until = world.at;
    scrape(&mut world, 100, &mut random);
    assert_eq!(
        told_then,
        vec![Some(TimestampMs(at - 600_000)); DETECTORS.len()]
    );

    let mut random = fastrand::Rng::with_seed(1);
    let mut plain = World::new(&rules("", ""));
    scrape(&mut plain, 300, &mut random);
    compare(&world, &plain, until);
}

/// A rule that was found to raise nothing, and of which nothing moves, is not looked at again until
/// time may change it; a reset may.
#[test]
fn what_stood_before_a_reset_does_not_stand_behind_it() {
    let expr = "anomaly_ewma(x[1h], 'min_samples=5') > -1e9";
    let rules = format!(
        "groups:\n- name: g\n  rules:\n  - {{alert: A, expr: \"{expr}\"}}\n  - {{record: y1, expr: y}}\n"
    );
    let mut world = World::in_mode(&rules, EvaluationMode::Arrival);
    let mut random = fastrand::Rng::with_seed(2);
    scrape(&mut world, 50, &mut random);
    assert!(!world.fired.is_empty());
    world.reset(None);
    // Nothing comes of what the rule reads.
    let other = [labels("y")];
    for _ in 0..5 {
        world.scrape(&other, &[1.0]);
    }
    let spared = world.engine.stats().evaluations_spared;
    world.scrape(&other, &[1.0]);
    assert!(
        world.engine.stats().evaluations_spared > spared,
        "it stands"
    );
    world.fired.clear();
    world.reset(Some(0));
    world.scrape(&other, &[1.0]);
    world.scrape(&other, &[1.0]);
    assert_eq!(world.fired.len(), 2, "both series raise it again");
}
