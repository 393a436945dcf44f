//! Raised on arrival: the same alerts, their starts at most `scrape_settle` apart.

use std::collections::BTreeMap;

use proptest::prelude::*;

use burnwatch::engine::Effect;
use burnwatch::model::{AlertStatus, EngineSettings, TimestampMs, stale_nan};

use crate::load::Request;
use crate::processes::{Process, loaded, play};
use crate::ticks::cases;

const RULES: &str = "
groups:
- name: errors_alone
  interval: 10s
  rules: [{alert: Errors, expr: 'errors > 6', for: 20s}]
- name: total_alone
  interval: 7s
  rules: [{alert: Total, expr: 'total > 6'}]
- name: ratio
  interval: 15s
  rules: [{record: 'job:ratio', expr: 'sum by (job) (errors) / sum by (job) (total)'}]
- name: of_recorded
  interval: 10s
  rules: [{alert: Ratio, expr: 'job:ratio > 1', for: 15s}]
- name: gone
  interval: 5s
  rules: [{alert: Gone, expr: 'absent(up{job=\"comes\"})', for: 20s}]
- name: of_alerts
  interval: 10s
  rules: [{alert: Many, expr: 'count(ALERTS{alertname=\"Irregular\",alertstate=\"firing\"}) > 0'}]
- name: irregular
  interval: 5s
  rules: [{alert: Irregular, expr: 'level{job=\"irregular\"} > 5', for: 10s}]
";

/// Two minutes in which every series keeps its level, so that a state lasts for longer than any
/// difference between frontiers.
#[derive(Clone, Debug)]
struct Phase {
    errors: bool,
    total: bool,
    irregular: bool,
    is_gone: bool,
    second_after: f64,
    late: Vec<f64>,
}

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let tenths = |until: u16| (0..until).prop_map(|tenths| f64::from(tenths) / 10.0);
    let flags = prop::array::uniform4(any::<bool>());
    let late = prop::collection::vec(tenths(40), 1..8);
    let phase = (flags, tenths(40), late).prop_map(|(flags, second_after, late)| {
        let [errors, total, irregular, is_gone] = flags;
        Phase {
            errors,
            total,
            irregular,
            is_gone,
            second_after,
            late,
        }
    });
    prop::collection::vec(phase, 2..6)
}

fn requests(phases: &[Phase]) -> Vec<Request> {
    let mut all = Vec::new();
    let mut send = |wall: f64, series: &'static str, at: f64, value: f64| {
        let samples = vec![(series, at, value)];
        all.push(Request { wall, samples });
    };
    // Six minutes of life, so that what misses nothing yet has warmed.
    let quiet = Phase {
        errors: false,
        total: false,
        irregular: false,
        is_gone: false,
        second_after: 1.0,
        late: vec![0.5],
    };
    let phases = [quiet.clone(), quiet.clone(), quiet.clone()]
        .into_iter()
        .chain(phases.iter().cloned());
    for (n, phase) in phases.enumerate() {
        let level = |is_high: bool| if is_high { 9.0 } else { 1.0 };
        for round in 0..8 {
            let at = n as f64 * 120.0 + f64::from(round) * 15.0;
            send(at + 0.2, "errors{job=split}", at, level(phase.errors));
            let second = at + 0.2 + phase.second_after;
            send(second, "total{job=split}", at, level(phase.total));
            match (phase.is_gone, round) {
                (false, _) => send(at + 2.1, "up{job=comes}", at + 2.0, 1.0),
                (true, 0) => send(at + 2.1, "up{job=comes}", at + 2.0, stale_nan()),
                (true, _) => {}
            }
        }
        let mut at = n as f64 * 120.0;
        for late in phase.late.iter().cycle() {
            at += 5.0 + late;
            if at >= (n + 1) as f64 * 120.0 {
                break;
            }
            send(
                at + late,
                "level{job=irregular}",
                at,
                level(phase.irregular),
            );
        }
    }
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    all
}

/// Returns when each alert fired and when it was resolved, by its labels.
fn starts(
    n_processes: usize,
    n_shards: usize,
    requests: &[Request],
) -> BTreeMap<String, Vec<(bool, TimestampMs)>> {
    let settings = EngineSettings {
        ticks_when_settled: true,
        ..EngineSettings::default()
    };
    let loaded = loaded(RULES, &settings);
    let mut processes: Vec<Process> = (1..=n_processes)
        .map(|index| Process::start(&format!("{index}/{n_processes}"), n_shards, &loaded))
        .collect();
    play(&mut processes, requests);
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for effect in processes.iter().flat_map(|process| &process.effects) {
        if let Effect::Alert {
            at,
            refresh: false,
            message,
        } = effect
        {
            let fires = message.status == AlertStatus::Firing;
            let of_alert = found.entry(message.labels.to_string()).or_default();
            of_alert.push((fires, *at));
        }
    }
    found
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn the_same_alerts_start_at_most_a_settle_apart(phases in phases()) {
        let requests = requests(&phases);
        let one = starts(1, 1, &requests);
        for (n_processes, n_shards) in [(1, 3), (2, 1), (3, 2), (5, 1)] {
            let several = starts(n_processes, n_shards, &requests);
            let names = |all: &BTreeMap<String, Vec<_>>| all.keys().cloned().collect::<Vec<_>>();
            prop_assert_eq!(names(&one), names(&several));
            for (labels, fired) in &one {
                let others = &several[labels];
                prop_assert_eq!(fired.len(), others.len(), "{}: {:?} {:?}", labels, fired, others);
                let settle = EngineSettings::default().scrape_settle;
                for ((fires, at), (also_fires, other)) in fired.iter().zip(others) {
                    let apart = (*at - *other).0.abs();
                    // What is lowered is so at a tick: there the difference may cost an interval.
                    let allowed = if *fires { settle.0 } else { settle.0 + 15_000 };
                    prop_assert!(
                        fires == also_fires && apart <= allowed,
                        "{}: {:?} {:?}", labels, fired, others
                    );
                }
            }
        }
    }
}

#[test]
fn the_rules_fire_and_can_be_spread() {
    let loaded = loaded(RULES, &EngineSettings::default());
    assert_eq!(Process::start("1/1", 100, &loaded).engines.len(), 5);
    let phase = |high: bool| Phase {
        errors: high,
        total: !high,
        irregular: high,
        is_gone: high,
        second_after: 1.0,
        late: vec![1.0],
    };
    let found = starts(1, 1, &requests(&[phase(true), phase(false), phase(true)]));
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    for alert in ["Errors", "Total", "Ratio", "Gone", "Many", "Irregular"] {
        let label = format!("alertname=\"{alert}\"");
        assert!(
            names.iter().any(|name| name.contains(&label)),
            "{alert}: {names:?}"
        );
    }
}
