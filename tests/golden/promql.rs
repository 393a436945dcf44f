//! What Prometheus 3.12.0 answered to 1,475 queries at 16 instants and over dense grids.
//!
//! Catches: any value, label, error or remark that differs from Prometheus'. How the recorded
//! files are to be read stands in their README; `tests/data/promql` holds copies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use burnwatch::eval::{EvalError, EvalOptions, Outcome, Scan, evaluate, evaluate_range};
use burnwatch::functions::Functions;
use burnwatch::history::SeriesHistory;
use burnwatch::model::{
    BucketSpan, CounterResetHint, DurationMs, FloatHistogram, Labels, Matcher, SampleValue,
    TimestampMs, Value, stale_nan,
};
use burnwatch::promql::ast::{AggregateOp, ExprKind};
use burnwatch::promql::{Expr, Features, parse};
use burnwatch::series::SeriesReader;
use serde_json::Value as Json;

use crate::answer::{
    Agreement, Sample, compare_samples, read_float, read_labels, read_matrix, read_vector,
    shown_matrix, shown_vector,
};

/// The API shows at most this many remarks of a kind, then how many it left out.
const REMARKS_MAX: usize = 10;

fn lines(name: &str) -> impl Iterator<Item = Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/promql")
        .join(name);
    let file = std::fs::File::open(path).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// The recorded series in the order of the file, which is how the recorded server stored them:
/// where PromQL leaves open which of equal elements is taken, this makes the answers comparable.
struct Stored(Vec<(Labels, SeriesHistory)>);

impl SeriesReader for Stored {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(&'a Labels, &'a SeriesHistory),
    ) {
        let is_selected = |labels: &Labels| matchers.iter().all(|m| m.matches_labels(labels));
        for (labels, history) in self.0.iter().filter(|(labels, _)| is_selected(labels)) {
            visit(labels, history);
        }
    }
}

fn load_series() -> Stored {
    let mut stored = Vec::new();
    for json in lines("series.jsonl.gz") {
        let mut history = SeriesHistory::default();
        for sample in json["samples"].as_array().unwrap() {
            let at = TimestampMs(sample[0].as_i64().unwrap());
            history.append(at, read_value(&sample[1]), TimestampMs::MIN);
        }
        stored.push((read_labels(&json["labels"]), history));
    }
    Stored(stored)
}

fn read_value(json: &Json) -> SampleValue {
    match json.as_str() {
        Some("stale") => SampleValue::Float(stale_nan()),
        Some("NaN") => SampleValue::Float(f64::NAN),
        Some(_) => SampleValue::Float(read_float(json)),
        None => SampleValue::Histogram(Arc::new(read_histogram(json))),
    }
}

/// Counts and thresholds may be numbers or texts.
fn number(json: &Json) -> f64 {
    match json {
        Json::Null => 0.0,
        Json::String(_) => read_float(json),
        _ => json.as_f64().unwrap(),
    }
}

fn read_histogram(json: &Json) -> FloatHistogram {
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let spans = |key: &str| -> Vec<BucketSpan> {
        let span = |span: &Json| BucketSpan {
            offset: span[0].as_i64().unwrap() as i32,
            length: span[1].as_u64().unwrap() as u32,
        };
        list(key).iter().map(span).collect()
    };
    let numbers = |key: &str| list(key).iter().map(number).collect();
    FloatHistogram {
        counter_reset_hint: match json["hint"].as_str() {
            Some("gauge") => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        },
        schema: json["schema"].as_i64().unwrap() as i32,
        zero_threshold: number(&json["zero_threshold"]),
        zero_count: number(&json["zero_count"]),
        count: number(&json["count"]),
        sum: number(&json["sum"]),
        positive_spans: spans("positive_spans"),
        negative_spans: spans("negative_spans"),
        positive_buckets: numbers("positive_buckets"),
        negative_buckets: numbers("negative_buckets"),
        custom_values: numbers("custom_values"),
    }
}

/// Where we do not answer as the recorded server did, and why.
const EXCEPTIONS: [(&str, Option<&str>, &str); 1] = [(
    r#"sort_by_label(opt, "b", "a")"#,
    None,
    "there an absent label is neither before nor after another: the order is no order",
)];

fn exception(place: &str) -> Option<usize> {
    EXCEPTIONS.iter().position(|(query, at, _)| match at {
        Some(at) => place == format!("{query} @ {at}"),
        None => place.starts_with(&format!("{query} @ ")),
    })
}

/// What is computed by the platform's library may differ in the last bits, and so may what is
/// added over series in no specified order.
fn may_round(query: &str) -> bool {
    let words = ["sin", "cos", "tan", "exp(", "^", "sum("];
    words.iter().any(|word| query.contains(word))
}

/// How many answers agreed, by kind; and what did not.
#[derive(Default)]
struct Tally {
    by_kind: BTreeMap<String, (usize, usize)>,
    exceptions: BTreeSet<usize>,
    failures: Vec<String>,
}

impl Tally {
    fn count(&mut self, kind: &str, query: &str, verdict: Result<Agreement, String>) {
        let (bits, near) = self.by_kind.entry(kind.to_owned()).or_default();
        match verdict {
            Ok(Agreement::Bits) => *bits += 1,
            Ok(Agreement::Tolerance) if may_round(query) => *near += 1,
            Ok(Agreement::Tolerance) => {
                self.failures.push(format!(
                    "{query}
    differs in the last bits"
                ));
            }
            Err(text) => match exception(query) {
                Some(index) => drop(self.exceptions.insert(index)),
                None => self.failures.push(format!("{query}\n    {text}")),
            },
        }
    }

    fn finish(self) {
        for (kind, (bits, near)) in &self.by_kind {
            println!("{kind}: {} agree, {bits} of them bit for bit", bits + near);
        }
        for index in &self.exceptions {
            let (query, _, why) = EXCEPTIONS[*index];
            println!("exception: {query}: {why}");
        }
        for failure in self.failures.iter().take(200) {
            println!("{failure}");
        }
        assert!(
            self.failures.is_empty(),
            "{} answers differ",
            self.failures.len()
        );
    }
}

fn options(query: &str) -> EvalOptions {
    EvalOptions {
        features: Features::ALL,
        query: Some(query.into()),
        ..EvalOptions::default()
    }
}

fn milliseconds(json: &Json) -> i64 {
    (json.as_str().unwrap().parse::<f64>().unwrap() * 1000.0).round() as i64
}

#[test]
fn instant_queries_answer_as_prometheus_does() {
    let stored = load_series();
    let mut tally = Tally::default();
    let mut parsed: (String, Option<Result<Expr, String>>) = (String::new(), None);
    for json in lines("expected.jsonl.gz") {
        let query = json["query"].as_str().unwrap();
        if parsed.0 != query || parsed.1.is_none() {
            let expr = parse(query, &Functions, Features::ALL).map_err(|e| e.to_string());
            parsed = (query.to_owned(), Some(expr));
        }
        let at = milliseconds(&json["time"]);
        let kind = json["errorType"]
            .as_str()
            .or(json["resultType"].as_str())
            .unwrap();
        let place = format!("{query} @ {at}");
        let verdict = match parsed.1.as_ref().expect("just parsed") {
            Err(error) if kind == "bad_data" => same_parse_error(error, &json),
            Err(error) => Err(format!("does not parse: {error}")),
            Ok(_) if kind == "bad_data" => Err(format!("parses, wanted {}", json["error"])),
            Ok(expr) => {
                let scan = Scan::new(&stored);
                let got = evaluate(expr, &scan, TimestampMs(at), &options(query));
                same_answer(expr, got, &json)
            }
        };
        tally.count(kind, &place, verdict);
    }
    let n_exceptions = tally.exceptions.len();
    tally.finish();
    assert_eq!(
        n_exceptions,
        EXCEPTIONS.len(),
        "an exception is no longer one"
    );
}

#[test]
fn range_queries_answer_as_prometheus_does() {
    let stored = load_series();
    let mut tally = Tally::default();
    for json in lines("dense.jsonl.gz") {
        let query = json["query"].as_str().unwrap();
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let [start, end, step] = ["start", "end", "step"].map(|key| milliseconds(&json[key]));
        let times = (TimestampMs(start), TimestampMs(end), DurationMs(step));
        let got = evaluate_range(&expr, &Scan::new(&stored), times, &options(query)).unwrap();
        let verdict = same_matrix(&shown_matrix(&got.value), &read_matrix(&json["result"]));
        tally.count("range", query, verdict);
    }
    tally.finish();
}

fn same_parse_error(error: &str, json: &Json) -> Result<Agreement, String> {
    let wanted = json["error"].as_str().unwrap();
    let wanted = wanted
        .strip_prefix("invalid parameter \"query\": ")
        .unwrap_or(wanted);
    if error == wanted {
        return Ok(Agreement::Bits);
    }
    Err(format!("error: {error}\n    wanted {wanted}"))
}

fn same_answer(
    expr: &Expr,
    got: Result<Outcome<Value>, EvalError>,
    json: &Json,
) -> Result<Agreement, String> {
    if let Some(wanted) = json["error"].as_str() {
        return match got {
            Err(error) if error.to_string() == wanted => Ok(Agreement::Bits),
            Err(error) => Err(format!("error: {error}\n    wanted {wanted}")),
            Ok(outcome) => Err(format!(
                "no error: {:?}\n    wanted {wanted}",
                outcome.value
            )),
        };
    }
    let outcome = got.map_err(|error| format!("error: {error}"))?;
    for (ours, key) in [(&outcome.warnings, "warnings"), (&outcome.infos, "infos")] {
        same_remarks(ours, &json[key])?;
    }
    let result = &json["result"];
    match (json["resultType"].as_str().unwrap(), &outcome.value) {
        ("scalar", Value::Scalar(value)) => {
            let ours = Sample::Float(*value);
            let theirs = Sample::Float(read_float(&result[1]));
            compare_samples(&ours, &theirs).ok_or_else(|| format!("{ours:?}, wanted {theirs:?}"))
        }
        ("string", Value::String(text)) if Some(text.as_str()) == result[1].as_str() => {
            Ok(Agreement::Bits)
        }
        ("vector", value) => {
            let (ours, theirs) = (shown_vector(value), read_vector(result));
            if is_ordered(expr) {
                return same_order(&ours, &theirs);
            }
            same_vector(&ours, &theirs)
        }
        ("matrix", Value::Matrix(series)) => {
            same_matrix(&shown_matrix(series), &read_matrix(result))
        }
        (kind, value) => Err(format!("{value:?}, wanted {kind} {result}")),
    }
}

fn same_remarks(ours: &[String], json: &Json) -> Result<(), String> {
    let theirs: Vec<&str> = json
        .as_array()
        .into_iter()
        .flatten()
        .map(|t| t.as_str().unwrap())
        .collect();
    let is_omission = |text: &str| text.ends_with("annotations omitted");
    let shown: Vec<&str> = theirs
        .iter()
        .copied()
        .filter(|text| !is_omission(text))
        .collect();
    let all_found = shown.iter().all(|text| ours.iter().any(|our| our == text));
    let same_count = if shown.len() < theirs.len() {
        ours.len() > REMARKS_MAX
    } else {
        ours.len() == shown.len()
    };
    if all_found && same_count {
        return Ok(());
    }
    Err(format!("remarks {ours:?}\n    wanted {theirs:?}"))
}

fn is_ordered(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => is_ordered(inner),
        ExprKind::Call(call) => call.function.starts_with("sort"),
        ExprKind::Aggregate(aggregate) => {
            let picks = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
            picks && aggregate.grouping.is_empty() && !aggregate.without
        }
        _ => false,
    }
}

type Elements = [(Labels, Sample)];

fn same_vector(ours: &Elements, theirs: &Elements) -> Result<Agreement, String> {
    let differ = || format!("{ours:?}\n    wanted {theirs:?}");
    let by_labels =
        |elements: &Elements| -> BTreeMap<Labels, Sample> { elements.iter().cloned().collect() };
    let (a, b) = (by_labels(ours), by_labels(theirs));
    if ours.len() != theirs.len() || a.len() != b.len() || a.len() != ours.len() {
        return Err(differ());
    }
    let mut worst = Agreement::Bits;
    for ((our_labels, ours), (their_labels, theirs)) in a.iter().zip(&b) {
        if our_labels != their_labels {
            return Err(differ());
        }
        worst = worst.max(compare_samples(ours, theirs).ok_or_else(differ)?);
    }
    Ok(worst)
}

/// The same elements, and at each place the same value: equal ones may swap.
fn same_order(ours: &Elements, theirs: &Elements) -> Result<Agreement, String> {
    let differ = || format!("order of {ours:?}\n    wanted {theirs:?}");
    let worst = same_vector(ours, theirs)?;
    let is_tie = |a: &Sample, b: &Sample| match (a, b) {
        (Sample::Float(a), Sample::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => false,
    };
    let mut pairs = ours.iter().zip(theirs);
    if pairs.all(|(a, b)| a.0 == b.0 || is_tie(&a.1, &b.1)) {
        return Ok(worst);
    }
    Err(differ())
}

type Matrix = BTreeMap<Labels, BTreeMap<i64, Sample>>;

fn same_matrix(ours: &Matrix, theirs: &Matrix) -> Result<Agreement, String> {
    if !ours.keys().eq(theirs.keys()) {
        let keys = |m: &Matrix| m.keys().cloned().collect::<Vec<_>>();
        return Err(format!(
            "series {:?}\n    wanted {:?}",
            keys(ours),
            keys(theirs)
        ));
    }
    let mut worst = Agreement::Bits;
    for ((labels, a), (_, b)) in ours.iter().zip(theirs) {
        let times: BTreeSet<&i64> = a.keys().chain(b.keys()).collect();
        for at in times {
            let agreement = match (a.get(at), b.get(at)) {
                (Some(ours), Some(theirs)) => compare_samples(ours, theirs),
                _ => None,
            };
            let differ = || {
                format!(
                    "{labels} at {at}: {:?}\n    wanted {:?}",
                    a.get(at),
                    b.get(at)
                )
            };
            worst = worst.max(agreement.ok_or_else(differ)?);
        }
    }
    Ok(worst)
}
