//! The scripts with which Prometheus tests its own engine, read from `BURNWATCH_SHARED`.
//!
//! Catches: any departure from the semantics that Prometheus' maintainers thought worth a test,
//! native histograms and experimental features included. The scripts are theirs and are not
//! kept here; without the folder the test says so and passes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burnwatch::eval::{EvalOptions, Outcome, Scan, evaluate, evaluate_range};
use burnwatch::functions::Functions;
use burnwatch::history::SeriesHistory;
use burnwatch::model::{
    DurationMs, FloatHistogram, Labels, SampleValue, SeriesPoints, TimestampMs, Value,
};
use burnwatch::promql::{Features, parse};
use burnwatch::series::Snapshot;

use crate::notation::Point;
use crate::script::{Command, Eval, Load, When, read_script};

/// The version whose behaviour is ours.
const VERSION: &str = "v3.12.0";

/// Where we do not do as the script says: file, line and why.
const EXCEPTIONS: [(&str, usize, &str); 1] = [(
    "aggregators.test",
    481,
    "it fails as it should, but the message cannot show bytes that are not UTF-8",
)];

#[test]
fn prometheus_own_scripts_pass() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        println!("skipped: BURNWATCH_SHARED is not set, so there are no scripts of promqltest");
        return;
    };
    let folder = Path::new(&shared)
        .join("conformance/promqltest")
        .join(VERSION);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "test")
    });
    files.sort();
    let (mut n_passed, mut failures) = (0, Vec::new());
    let mut exceptions = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let tally = run_file(&std::fs::read_to_string(&path).unwrap());
        println!(
            "{name}: {} of {} pass, {} skipped",
            tally.n_passed,
            tally.n_passed + tally.failures.len(),
            tally.n_skipped
        );
        n_passed += tally.n_passed;
        for (line, text) in tally.failures {
            match EXCEPTIONS.iter().find(|e| e.0 == name && e.1 == line) {
                Some(exception) => exceptions.push(exception),
                None => failures.push(format!("{name}:{line}: {text}")),
            }
        }
    }
    println!("{n_passed} evaluations pass");
    for (file, line, why) in &exceptions {
        println!("exception: {file}:{line}: {why}");
    }
    failures.iter().for_each(|failure| println!("{failure}"));
    assert!(failures.is_empty(), "{} evaluations fail", failures.len());
    assert_eq!(
        exceptions.len(),
        EXCEPTIONS.len(),
        "an exception is no longer one"
    );
}

#[derive(Default)]
struct Tally {
    n_passed: usize,
    n_skipped: usize,
    failures: Vec<(usize, String)>,
}

fn run_file(script: &str) -> Tally {
    let mut tally = Tally::default();
    let commands = match read_script(script) {
        Ok(commands) => commands,
        Err(text) => {
            tally.failures.push((0, text));
            return tally;
        }
    };
    let mut stored: BTreeMap<Labels, Vec<(i64, SampleValue)>> = BTreeMap::new();
    let mut is_supported = true;
    for command in commands {
        match command {
            Command::Clear => {
                stored.clear();
                is_supported = true;
            }
            Command::Unsupported => is_supported = false,
            Command::Load(load) => store(&load, &mut stored),
            Command::Eval(_) if !is_supported => tally.n_skipped += 1,
            Command::Eval(eval) => match run_eval(&eval, &snapshot(&stored)) {
                Ok(()) => tally.n_passed += 1,
                Err(text) => tally
                    .failures
                    .push((eval.line, format!("{}\n    {text}", eval.query))),
            },
        }
    }
    tally
}

fn store(load: &Load, stored: &mut BTreeMap<Labels, Vec<(i64, SampleValue)>>) {
    let mut loaded: BTreeMap<Labels, Vec<(i64, SampleValue)>> = BTreeMap::new();
    for (labels, points) in &load.series {
        let timed = (0..).map(|index| index * load.step_ms).zip(points);
        let samples = timed.filter_map(|(at, point)| Some((at, point.value()?)));
        // Of two lines for one series the later counts.
        loaded.insert(labels.clone(), samples.collect());
    }
    if load.with_nhcb {
        for (labels, samples) in custom_histograms(&loaded) {
            stored.entry(labels).or_default().extend(samples);
        }
    }
    for (labels, samples) in loaded {
        stored.entry(labels).or_default().extend(samples);
    }
}

/// Makes native histograms with custom buckets out of classic ones.
fn custom_histograms(
    loaded: &BTreeMap<Labels, Vec<(i64, SampleValue)>>,
) -> BTreeMap<Labels, Vec<(i64, SampleValue)>> {
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut classic: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in loaded {
        let name = labels.metric_name();
        let Some((base, suffix)) = name.rsplit_once('_') else {
            continue;
        };
        if !["bucket", "count", "sum"].contains(&suffix) {
            continue;
        }
        let upper = labels.value("le").parse::<f64>();
        if suffix == "bucket" && !upper.as_ref().is_ok_and(|upper| !upper.is_nan()) {
            continue;
        }
        let base = labels.with("le", "").with("__name__", base);
        let of_base = classic.entry(base).or_default();
        for (at, value) in samples {
            let Some(value) = value.as_float() else {
                continue;
            };
            let histogram = of_base.entry(*at).or_default();
            match (suffix, &upper) {
                ("bucket", Ok(upper)) => histogram.buckets.push((*upper, value)),
                ("count", _) => histogram.count = Some(value),
                _ => histogram.sum = value,
            }
        }
    }
    let convert = |mut classic: Classic| {
        classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        classic.buckets.dedup_by_key(|bucket| bucket.0);
        let last = classic.buckets.last().map_or(0.0, |bucket| bucket.1);
        let count = classic.count.unwrap_or(last);
        if classic
            .buckets
            .last()
            .is_none_or(|bucket| bucket.0 != f64::INFINITY)
        {
            classic.buckets.push((f64::INFINITY, count));
        }
        let mut histogram = FloatHistogram {
            schema: burnwatch::model::histogram::CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: classic.sum,
            ..FloatHistogram::default()
        };
        let mut previous = 0.0;
        for (upper, count) in &classic.buckets {
            histogram.positive_buckets.push(count - previous);
            previous = *count;
            if upper.is_finite() {
                histogram.custom_values.push(*upper);
            }
        }
        histogram.positive_spans = vec![burnwatch::model::BucketSpan {
            offset: 0,
            length: histogram.positive_buckets.len() as u32,
        }];
        SampleValue::Histogram(Arc::new(histogram))
    };
    let convert_all = |histograms: BTreeMap<i64, Classic>| {
        histograms
            .into_iter()
            .map(|(at, classic)| (at, convert(classic)))
            .collect()
    };
    classic
        .into_iter()
        .map(|(labels, histograms)| (labels, convert_all(histograms)))
        .collect()
}

/// Returns the series as a Prometheus that stored them gives them back.
fn snapshot(stored: &BTreeMap<Labels, Vec<(i64, SampleValue)>>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (labels, samples) in stored {
        let mut history = SeriesHistory::default();
        for (at, value) in samples {
            history.append(TimestampMs(*at), value.clone(), TimestampMs::MIN);
        }
        snapshot.insert(labels.clone(), history);
    }
    snapshot
}

fn run_eval(eval: &Eval, snapshot: &Snapshot) -> Result<(), String> {
    let options = EvalOptions {
        features: Features::ALL,
        delayed_name_removal: true,
        ..EvalOptions::default()
    };
    let outcome = parse(&eval.query, &Functions, Features::ALL)
        .map_err(|error| error.to_string())
        .and_then(|expr| {
            let scan = Scan::new(snapshot);
            let result = match eval.when {
                When::Range { start, end, step } => {
                    let times = (TimestampMs(start), TimestampMs(end), DurationMs(step));
                    evaluate_range(&expr, &scan, times, &options).map(|outcome| Outcome {
                        value: Value::Matrix(outcome.value),
                        warnings: outcome.warnings,
                        infos: outcome.infos,
                        n_samples: outcome.n_samples,
                        steps: outcome.steps,
                        peak_samples: outcome.peak_samples,
                    })
                }
                When::Instant(at) => {
                    let at = eval.expect.range_vector.map_or(at, |(_, end, _)| end);
                    evaluate(&expr, &scan, TimestampMs(at), &options)
                }
            };
            result.map_err(|error| error.to_string())
        });
    let outcome = match (outcome, &eval.expect.fail) {
        (Ok(outcome), None) => outcome,
        (Ok(outcome), Some(_)) => return Err(format!("does not fail: {:?}", outcome.value)),
        (Err(error), None) => return Err(format!("fails: {error}")),
        (Err(error), Some(pattern)) if pattern.matches(&error) => return Ok(()),
        (Err(error), Some(pattern)) => return Err(format!("fails with {error}, not {pattern:?}")),
    };
    check_remarks(eval, &outcome)?;
    check_value(eval, &outcome.value)
}

fn check_remarks(eval: &Eval, outcome: &Outcome<Value>) -> Result<(), String> {
    let checks = [
        (&outcome.warnings, &eval.expect.warn, eval.expect.no_warn),
        (&outcome.infos, &eval.expect.info, eval.expect.no_info),
    ];
    for (found, wanted, none) in checks {
        if none && !found.is_empty() {
            return Err(format!("unexpected remarks {found:?}"));
        }
        let all_found = wanted
            .iter()
            .all(|p| found.iter().any(|text| p.matches(text)));
        let all_wanted = found
            .iter()
            .all(|text| wanted.iter().any(|p| p.matches(text)));
        let agree = wanted.is_empty() || (all_found && all_wanted);
        if !agree {
            return Err(format!("remarks {found:?}, wanted {wanted:?}"));
        }
    }
    Ok(())
}

fn check_value(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar(got) => match eval.scalar {
            Some(wanted) if almost_equal(*got, wanted) => Ok(()),
            wanted => Err(format!("scalar {got}, wanted {wanted:?}")),
        },
        Value::String(got) => match &eval.expect.string {
            Some(wanted) if wanted == got => Ok(()),
            wanted => Err(format!("string {got:?}, wanted {wanted:?}")),
        },
        Value::Vector(elements) => {
            let got: Vec<(&Labels, &SampleValue)> =
                elements.iter().map(|e| (&e.labels, &e.value)).collect();
            let wanted: Vec<(&Labels, &Point)> = eval
                .series
                .iter()
                .map(|(labels, points)| (labels, points.first().unwrap_or(&Point::Omitted)))
                .collect();
            check_vector(eval, &got, &wanted).map_err(|text| format!("{text}: {elements:?}"))
        }
        Value::Matrix(series) => check_matrix(eval, series),
    }
}

fn check_vector(
    eval: &Eval,
    got: &[(&Labels, &SampleValue)],
    wanted: &[(&Labels, &Point)],
) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{} elements, wanted {}", got.len(), wanted.len()));
    }
    for (index, (labels, value)) in got.iter().enumerate() {
        let Some(at) = wanted.iter().position(|(other, _)| other == labels) else {
            return Err(format!("{labels} is not wanted"));
        };
        if eval.expect.ordered && at != index {
            return Err(format!("{labels} at {index}, wanted at {at}"));
        }
        if !same_value(value, wanted[at].1) {
            return Err(format!("{labels} {value:?}, wanted {:?}", wanted[at].1));
        }
    }
    Ok(())
}

fn check_matrix(eval: &Eval, series: &[SeriesPoints]) -> Result<(), String> {
    let (start, step) = match (eval.expect.range_vector, &eval.when) {
        (Some((start, _, step)), _) => (start, step),
        (None, When::Range { start, step, .. }) => (*start, *step),
        (None, When::Instant(_)) => return Err(format!("matrix {series:?}")),
    };
    let mut wanted: Vec<(Labels, Vec<(i64, &Point)>)> = Vec::new();
    let scalar = eval
        .scalar
        .map(|value| Point::Value(SampleValue::Float(value)));
    if let Some(point) = &scalar {
        wanted.push((Labels::empty(), vec![(start, point)]));
    }
    for (labels, points) in &eval.series {
        let timed = (0..).map(|index| start + index * step).zip(points);
        let present = timed.filter(|(_, point)| !matches!(point, Point::Omitted));
        wanted.push((labels.clone(), present.collect()));
    }
    if series.len() != wanted.len() {
        return Err(format!(
            "{} series, wanted {}: {series:?}",
            series.len(),
            wanted.len()
        ));
    }
    for found in series {
        let Some((_, points)) = wanted.iter().find(|(labels, _)| *labels == found.labels) else {
            return Err(format!("{} is not wanted", found.labels));
        };
        let same_length = points.len() == found.points.len();
        let mut pairs = found.points.iter().zip(points);
        if !same_length || !pairs.all(|(p, (at, w))| p.at.0 == *at && same_value(&p.value, w)) {
            return Err(format!(
                "{} {:?}, wanted {points:?}",
                found.labels, found.points
            ));
        }
    }
    Ok(())
}

fn same_value(got: &SampleValue, wanted: &Point) -> bool {
    match (got, wanted) {
        (SampleValue::Float(a), Point::Value(SampleValue::Float(b))) => almost_equal(*a, *b),
        (SampleValue::Histogram(a), Point::Histogram(b, hint_set)) => {
            same_histogram(a, b, *hint_set)
        }
        _ => false,
    }
}

fn same_histogram(got: &FloatHistogram, wanted: &FloatHistogram, hint_set: bool) -> bool {
    let (mut a, mut b) = (got.clone(), wanted.clone());
    a.compact();
    b.compact();
    let near = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
    };
    a.schema == b.schema
        && near(
            &[a.count, a.sum, a.zero_count],
            &[b.count, b.sum, b.zero_count],
        )
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && near(&a.positive_buckets, &b.positive_buckets)
        && near(&a.negative_buckets, &b.negative_buckets)
        && (!hint_set || a.counter_reset_hint == b.counter_reset_hint)
}

/// Compares as the original runner does: relative to the sum, with room for 1e-6.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}
