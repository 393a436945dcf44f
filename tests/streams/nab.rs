//! The benchmark's series, through the bundled rules and plain detectors.

use burnwatch::model::TimestampMs;

use crate::classics::{rolling_three_sigma, static_three_sigma, weighted_three_sigma};
use crate::nab_score::{Outcome, score};
use crate::process::{Firing, Process, Series, alarms};
use crate::recorded::{Half, NabSeries, folder, nab};
use crate::rules::{NAB_ALERT, NAB_DETECTORS, bundled, detector_rules};
use crate::table::{Table, number};
use crate::work::on_all;

/// What the best detector of BASELINES.md has by episode starts or by points, its threshold chosen
/// afterwards.
const BEST_BASELINE: f64 = 28.9;

/// Replays one series; returns what fired.
fn replay(series: &NabSeries, files: &[(&str, &str)]) -> Vec<Firing> {
    let signal = vec![("signal", series.name.clone())];
    let shown = Series::new([("watched_value", signal)].into_iter());
    let mut process = Process::start(files);
    for (at, value) in &series.rows {
        process.scrape(&shown, TimestampMs(at * 1000), &[*value]);
    }
    process.end()
}

/// Sums up what a detector did to all series, or to those of a half.
fn sum(all: &[NabSeries], outcomes: &[Outcome], half: Option<Half>) -> Outcome {
    let mut sum = Outcome::default();
    for (series, outcome) in all.iter().zip(outcomes) {
        if half.is_none_or(|half| half == series.half) {
            sum.add(outcome);
        }
    }
    sum
}

fn add(table: &mut Table, name: &str, half: Option<Half>, sum: &Outcome) {
    table.add(vec![
        name.to_owned(),
        half.map_or("both".to_owned(), |half| format!("{half:?}").to_lowercase()),
        format!("{}/{}", sum.hit, sum.windows),
        number(sum.median_delay(), 1),
        number(Some(sum.false_alarms_per_week()), 2),
        number(Some(sum.points_score()), 1),
        number(Some(sum.episodes_score()), 1),
    ]);
}

fn header() -> Table {
    Table::new(&[
        "detector",
        "half",
        "windows hit",
        "median delay h",
        "false alarms/week",
        "NAB points",
        "NAB episodes",
    ])
}

/// Three plain detectors, without any rule: the scorer says of them what BASELINES.md does, to the
/// last digit that stands there.
#[test]
fn the_scorer_is_the_benchmarks() {
    if folder().is_none() {
        say!("skipped, without BURNWATCH_SHARED: the scorer");
        return;
    }
    type Detect = fn(&NabSeries) -> Vec<bool>;
    let all = nab();
    let rows: [(&str, Detect, &str); 3] = [
        (
            "static 3-sigma",
            static_three_sigma,
            "| static 3-sigma | both | 71/84 | 6.3 | 6.17 | -491.0 | -7.6 |",
        ),
        (
            "rolling 3-sigma (1 d)",
            rolling_three_sigma,
            "| rolling 3-sigma (1 d) | both | 72/84 | 7.0 | 6.47 | -159.9 | -8.7 |",
        ),
        (
            "EWMA z (a=0.05)",
            weighted_three_sigma,
            "| EWMA z (a=0.05) | both | 74/84 | 4.2 | 9.92 | -126.0 | -53.0 |",
        ),
    ];
    for (name, detect, expected) in rows {
        let outcomes: Vec<Outcome> = all.iter().map(|one| score(one, &detect(one))).collect();
        let mut table = header();
        add(&mut table, name, None, &sum(&all, &outcomes, None));
        let text = table.to_string();
        assert_eq!(text.lines().last(), Some(expected));
    }
}

/// Series that take half a minute, of each kind of the tuned half and the kept one.
const FEW: &[&str] = &[
    "realAdExchange__exchange-4_cpc_results",
    "realAWSCloudwatch__ec2_cpu_utilization_24ae8d",
    "realKnownCause__ec2_request_latency_system_failure",
    "realTraffic__TravelTime_387",
];

/// What a pager would send is worth more than of any baseline.
#[test]
fn the_bundled_rule_is_better_than_the_baselines() {
    if folder().is_none() {
        say!("skipped, without BURNWATCH_SHARED: the benchmark's series");
        return;
    }
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let mut all = nab();
    if !deep {
        all.retain(|series| FEW.contains(&series.name.as_str()));
        assert_eq!(all.len(), FEW.len());
    }
    let comparison = detector_rules(NAB_DETECTORS);
    let anomaly_rules = bundled("anomaly.yml");
    let mut files = vec![("anomaly.yml", anomaly_rules.as_str())];
    if deep {
        files.push(("detectors.yml", &comparison));
    }
    let fired = on_all(&all, |series| replay(series, &files));
    let outcomes_of = |alert: &str| -> Vec<Outcome> {
        let scored = all.iter().zip(&fired).map(|(series, firings)| {
            let instants = series.rows.iter().map(|row| row.0);
            score(series, &alarms(firings, alert, instants))
        });
        scored.collect()
    };
    let bundled = [(NAB_ALERT, "rules/anomaly.yml, UnusualValue")];
    let compared = NAB_DETECTORS.iter().map(|one| (one.alert, one.name));
    let mut table = header();
    for (alert, name) in bundled.into_iter().chain(compared.filter(|_| deep)) {
        let outcomes = outcomes_of(alert);
        for half in [None, Some(Half::Tuned), Some(Half::Kept)] {
            add(&mut table, name, half, &sum(&all, &outcomes, half));
        }
    }
    say!("{table}");
    let sum = sum(&all, &outcomes_of(NAB_ALERT), None);
    let reached = sum.episodes_score();
    assert!(reached > BEST_BASELINE, "{reached}");
}
