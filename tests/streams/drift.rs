//! The drift streams, through the bundled rules and those of BASELINES.md.

use crate::drift_score::{Outcome, figures, judge};
use crate::process::{Firing, Process, Series, alarms};
use crate::recorded::{DriftStream, Half, drift};
use crate::rules::{DRIFT_ALERTS, DRIFT_DETECTORS, Detector, bundled, detector_rules};
use crate::table::{Table, number};
use crate::work::on_all;

/// What an alert looks at, in the words of truth.json.
fn is_visible(stream: &DriftStream, signal: &str) -> bool {
    stream.truth.visible_in.iter().any(|one| one == signal)
}

/// How an exporter of a model server would show a column: counters count on, gauges stand.
enum Shown {
    Counter(f64),
    Gauge,
}

/// Replays one stream; returns what fired.
pub fn replay(stream: &DriftStream, files: &[(&str, &str)]) -> Vec<Firing> {
    let model = ("model", stream.name.clone());
    let column = |name: &str| stream.columns.iter().position(|column| column == name);
    let n_of = column("n").unwrap();
    let accuracy_of = column("accuracy").unwrap();
    let number_after = |name: &str, prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
    let mut names = Vec::new();
    for name in &stream.columns {
        if let Some(class) = number_after(name, "class_") {
            names.push((
                "predictions_by_class_total",
                vec![model.clone(), ("class", class)],
            ));
        } else if let Some(dimension) = number_after(name, "emb_") {
            names.push(("embedding_mean", vec![model.clone(), ("dim", dimension)]));
        } else if let Some(bin) = number_after(name, "conf_bin_") {
            let upper = (bin.parse::<f64>().unwrap() + 1.0) / 10.0;
            let upper = if upper < 1.0 {
                upper.to_string()
            } else {
                "+Inf".to_owned()
            };
            names.push((
                "prediction_confidence_bucket",
                vec![model.clone(), ("le", upper)],
            ));
        }
    }
    names.push(("feedback_total", vec![model.clone()]));
    names.push(("feedback_correct_total", vec![model.clone()]));
    let series = Series::new(names.into_iter());

    // The values in the order of the series; buckets are cumulative.
    let values_of = |row: &[f64]| {
        let (mut values, mut below) = (Vec::new(), 0.0);
        for (name, value) in stream.columns.iter().zip(row) {
            if name.starts_with("class_") {
                values.push(Shown::Counter(*value));
            } else if name.starts_with("emb_") {
                values.push(Shown::Gauge);
            } else if name.starts_with("conf_bin_") {
                below += value;
                values.push(Shown::Counter(below));
            }
        }
        values.push(Shown::Counter(row[n_of]));
        values.push(Shown::Counter((row[accuracy_of] * row[n_of]).round()));
        values
    };
    let gauges_of = |row: &[f64]| {
        let embedding = stream.columns.iter().zip(row);
        let embedding = embedding.filter(|(name, _)| name.starts_with("emb_"));
        embedding.map(|(_, value)| *value).collect::<Vec<f64>>()
    };

    let mut process = Process::start(files);
    let mut shown: Vec<f64> = Vec::new();
    for (at, row) in &stream.rows {
        let values = values_of(row);
        if shown.is_empty() {
            // A server that has just been started shows zeros.
            shown = vec![0.0; values.len()];
        }
        let mut gauges = gauges_of(row).into_iter();
        for (shown, value) in shown.iter_mut().zip(values) {
            match value {
                Shown::Counter(counted) => *shown += counted,
                Shown::Gauge => *shown = gauges.next().unwrap(),
            }
        }
        process.scrape(&series, burnwatch::model::TimestampMs(at * 1000), &shown);
    }
    process.end()
}

/// A detector and what it did to each stream.
struct Row {
    name: String,
    outcomes: Vec<(Half, Outcome)>,
}

/// Judges alerts by name, and all bundled ones together, each only where its signal can show the
/// change; what fires in vain counts whichever it is.
fn judged(streams: &[DriftStream], fired: &[Vec<Firing>], compared: &[Detector]) -> Vec<Row> {
    let instants = |stream: &DriftStream| {
        let rows: Vec<i64> = stream.rows.iter().map(|row| row.0).collect();
        rows.into_iter()
    };
    let mut rows = Vec::new();
    let mut together: Vec<(Half, Outcome)> = Vec::new();
    for (stream, firings) in streams.iter().zip(fired) {
        let mut any = judge(stream, &vec![false; stream.rows.len()]);
        for (alert, signal) in DRIFT_ALERTS {
            let one = judge(stream, &alarms(firings, alert, instants(stream)));
            any.false_alarms += one.false_alarms;
            if is_visible(stream, signal) {
                let found = [any.delay, one.delay].into_iter().flatten();
                any.delay = found.reduce(f64::min);
            }
        }
        together.push((stream.half, any));
    }
    rows.push(Row {
        name: "rules/drift.yml, all".to_owned(),
        outcomes: together,
    });
    let single = DRIFT_ALERTS.iter().map(|(alert, _)| (*alert, *alert));
    let detectors = compared.iter().map(|one| (one.alert, one.name));
    for (alert, name) in single.chain(detectors) {
        let fired = streams.iter().zip(fired);
        let outcomes = fired.map(|(stream, firings)| {
            let alarms = alarms(firings, alert, instants(stream));
            (stream.half, judge(stream, &alarms))
        });
        rows.push(Row {
            name: name.to_owned(),
            outcomes: outcomes.collect(),
        });
    }
    rows
}

fn tell(rows: &[Row]) {
    let mut table = Table::new(&[
        "detector",
        "half",
        "detected",
        "median delay h",
        "false/week",
        "false/week, seasonal",
        "delays by stream",
    ]);
    for row in rows {
        for half in [None, Some(Half::Tuned), Some(Half::Kept)] {
            let of_half = |one: &&(Half, Outcome)| half.is_none_or(|half| one.0 == half);
            let outcomes = row.outcomes.iter().filter(of_half);
            let outcomes: Vec<Outcome> = outcomes.map(|one| one.1.clone()).collect();
            let figures = figures(&outcomes);
            let delays = figures
                .delays
                .iter()
                .map(|(stream, delay)| format!("{stream} {}", number(*delay, 1)));
            table.add(vec![
                row.name.clone(),
                half.map_or("both".to_owned(), |half| format!("{half:?}").to_lowercase()),
                format!("{}/{}", figures.detected, figures.changes),
                number(figures.median_delay, 1),
                number(Some(figures.false_per_week), 2),
                number(Some(figures.false_per_week_seasonal), 2),
                match half {
                    None => delays.collect::<Vec<_>>().join(", "),
                    Some(_) => String::new(),
                },
            ]);
        }
    }
    say!("{table}");
}

/// Streams of two classes, which take less than a minute: another mix, and nothing.
const FEW: &[&str] = &["cancer_prior_abrupt", "cancer_stationary"];

/// Every change is found, within four hours in the middle, and nothing else is.
#[test]
fn all_changes_are_found_and_nothing_else() {
    if crate::recorded::folder().is_none() {
        say!("skipped, without BURNWATCH_SHARED: the drift streams");
        return;
    }
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let mut streams = drift();
    if !deep {
        streams.retain(|stream| FEW.contains(&stream.name.as_str()));
        assert_eq!(streams.len(), FEW.len());
    }
    let compared: &[Detector] = if deep { DRIFT_DETECTORS } else { &[] };
    let comparison = detector_rules(compared);
    let drift_rules = bundled("drift.yml");
    let mut files = vec![("drift.yml", drift_rules.as_str())];
    if deep {
        files.push(("detectors.yml", &comparison));
    }
    let fired = on_all(&streams, |stream| replay(stream, &files));
    let rows = judged(&streams, &fired, compared);
    tell(&rows);
    for (stream, (_, outcome)) in streams.iter().zip(&rows[0].outcomes) {
        let is_found = outcome.delay.is_some() || stream.truth.change.is_none();
        assert!(is_found, "{}: the change is not found", stream.name);
        assert_eq!(outcome.false_alarms, 0, "{}", stream.name);
    }
    let outcomes: Vec<Outcome> = rows[0].outcomes.iter().map(|one| one.1.clone()).collect();
    let median = figures(&outcomes).median_delay.unwrap();
    assert!(median <= 4.0, "median delay {median} h");
}
