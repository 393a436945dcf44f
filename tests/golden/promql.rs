//! What Prometheus 3.12.0 answered to 1,475 queries at 16 instants and over dense grids.
//!
//! Catches: any value, label, error or remark that differs from Prometheus'. How the recorded
//! files are to be read stands in their README; `tests/data/promql` holds copies.

use burnwatch::eval::{EvalError, EvalOptions, Outcome, Scan, evaluate, evaluate_range};
use burnwatch::functions::Functions;
use burnwatch::history::SeriesHistory;
use burnwatch::model::{DurationMs, Labels, Matcher, TimestampMs, Value};
use burnwatch::promql::{Expr, Features, parse};
use burnwatch::series::SeriesReader;
use serde_json::Value as Json;

use crate::answer::{
    Agreement, Sample, compare_samples, read_float, read_labels, read_matrix, read_vector,
    shown_matrix, shown_vector,
};
use crate::compare::{Tally, is_ordered, same_matrix, same_order, same_vector};
use crate::recorded::{lines, milliseconds, read_value};

/// The API shows at most this many remarks of a kind, then how many it left out.
const REMARKS_MAX: usize = 10;

/// The recorded series in the order of the file, which is how the recorded server stored them:
/// where PromQL leaves open which of equal elements is taken, this makes the answers comparable.
struct Stored(Vec<(Labels, SeriesHistory)>);

impl SeriesReader for Stored {
    fn select_numbered<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(u64, &'a Labels, &'a SeriesHistory),
    ) {
        let is_selected = |labels: &Labels| matchers.iter().all(|m| m.matches_labels(labels));
        for (number, (labels, history)) in (0..).zip(&self.0) {
            if is_selected(labels) {
                visit(number, labels, history);
            }
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

fn options(query: &str) -> EvalOptions {
    EvalOptions {
        features: Features::ALL,
        query: Some(query.into()),
        ..EvalOptions::default()
    }
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
    tally.check_changed();
    tally.finish();
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
