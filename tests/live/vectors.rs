//! The recorded vectors of scores, change detectors and forecasts, through rules.
//!
//! What other programs (scipy, pandas, river, numpy) made of some samples lies in
//! `tests/data/ml`, one file a function. Each vector is a series that is streamed into an engine
//! with rules over it; what the rules are worth, by windows and by scanning, must be what is
//! recorded. Vectors that give an initial state are compared where that can be given, in the unit
//! tests of `functions/anomaly/holt_winters.rs`.

use std::io::{BufRead, BufReader};
use std::path::Path;

use burnwatch::engine::{Engine, Leaves, View};
use burnwatch::model::{
    DurationMs, EngineSettings, EvaluationMode, Grid, Labels, SampleValue, TimestampMs,
};
use serde_json::Value as Json;

use crate::answer::read_float;
use crate::world::{Door, Sample};

/// A boundary of the blocks of a window of [`RANGE`]: detectors begin here.
const BEGIN_MS: i64 = 1_700_000_000_000;
const RANGE: &str = "20000s";
const STEP_MS: i64 = 5000;

/// Of long series, so many samples lie between two at which all is scanned.
const SCANNED_EVERY: usize = 37;

fn vectors(function: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ml");
    let file = std::fs::File::open(path.join(format!("{function}.jsonl.gz"))).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(read_number).collect()
}

fn read_number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| read_float(json))
}

/// Returns the arguments of a vector as a text of options.
fn options(vector: &Json, more: &str) -> String {
    let args = vector["args"].as_object().unwrap().iter();
    let text = |(name, value): (&String, &Json)| match value {
        Json::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    let mut all: Vec<String> = args.map(text).collect();
    all.push(more.to_owned());
    all.join(",")
}

/// An engine with rules `r0`, `r1`, … over the series `m`.
struct Asked {
    engine: Engine,
    door: Door,
}

impl Asked {
    fn new(expressions: &[String]) -> Self {
        let rules = expressions.iter().enumerate().map(|(number, expr)| {
            let expr = expr.replace('\'', "''");
            format!("  - {{record: r{number}, expr: '{expr}'}}\n")
        });
        let rules: String = rules.collect();
        let text = format!("groups:\n- name: g\n  rules:\n{rules}");
        let settings = EngineSettings {
            grid: Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs::from_seconds(86_400),
                group_order: None,
            },
            mode: EvaluationMode::Tick,
            ..EngineSettings::default()
        };
        let (mut engine, mut door, mut effects) = (Engine::new(), Door::new(), Vec::new());
        engine.apply(&door.rules(&text, &settings), &|| 0.0, &mut effects);
        assert!(effects.is_empty(), "{text}: {effects:?}");
        Asked { engine, door }
    }

    /// Sends a sample, and one of another target: the clock believes a leap that two attest.
    fn push(&mut self, name: &str, at: i64, value: f64) {
        let at = TimestampMs(at);
        let sample = |labels: &[(&str, &str)], value: f64| -> Sample {
            let labels = Labels::from_pairs(labels.iter().copied());
            (labels, at, SampleValue::Float(value))
        };
        let beside = sample(&[("__name__", "beside"), ("job", "other")], 0.0);
        let samples = [sample(&[("__name__", name)], value), beside];
        let entry = self.door.request(at, &samples);
        self.engine.apply(&entry, &|| 0.0, &mut Vec::new());
    }

    /// Returns what a rule is worth; `None` for nothing.
    fn value(&mut self, rule: usize, leaves: Leaves) -> Option<f64> {
        let value = self.engine.rule_value(rule, leaves, View::Appended);
        let elements = value.unwrap().elements.unwrap();
        assert!(elements.len() < 2, "{elements:?}");
        elements.first().map(|element| match element.value {
            SampleValue::Float(value) => value,
            SampleValue::Histogram(_) => panic!("{element:?}"),
        })
    }
}

/// Holds what a rule is worth against what is recorded, within the vector's tolerance.
fn check(vector: &Json, what: &str, got: Option<f64>, expected: Option<f64>) {
    let tolerance = |which: &str| vector["tolerance"][which].as_f64().unwrap();
    let agrees = match (got, expected) {
        (None, None) => true,
        (Some(got), Some(expected)) if expected.is_finite() => {
            (got - expected).abs() <= tolerance("abs").max(tolerance("rel") * expected.abs())
        }
        (Some(got), Some(expected)) => got == expected || got.is_nan() && expected.is_nan(),
        _ => false,
    };
    let id = &vector["id"];
    assert!(agrees, "{id} {what}: {got:?}, recorded {expected:?}");
}

/// Both sources.
const BOTH: [Leaves; 2] = [Leaves::Live, Leaves::Scan];

/// Compares the score of a value after the samples of a window.
fn check_scores(function: &str, file: &str) {
    let found = vectors(file);
    for vector in &found {
        let mut samples = numbers(&vector["inputs"]["window"]);
        samples.push(read_number(&vector["inputs"]["value"]));
        let options = options(vector, "min_samples=0,warmup=nan");
        let mut asked = Asked::new(&[format!("{function}(m[{RANGE}], \"{options}\")")]);
        for (number, value) in samples.iter().enumerate() {
            asked.push("m", BEGIN_MS + number as i64 * STEP_MS, *value);
        }
        let expected = read_number(&vector["expected"]);
        for leaves in BOTH {
            check(vector, "", asked.value(0, leaves), Some(expected));
        }
    }
    assert!(found.len() >= 20, "{} vectors", found.len());
}

#[test]
fn zscores_are_those_of_scipy() {
    check_scores("anomaly_zscore", "zscore");
}

#[test]
fn scores_by_the_median_are_those_of_scipy() {
    check_scores("anomaly_mad", "mad_zscore");
}

#[test]
fn seasonal_scores_are_those_recorded() {
    let found = vectors("seasonal_zscore");
    for vector in &found {
        let inputs = &vector["inputs"];
        let history = inputs["history"].as_array().unwrap();
        let now = inputs["time"].as_i64().unwrap();
        let first = history[0][0].as_i64().unwrap();
        let (range, options) = (now - first + 1, options(vector, "warmup=nan"));
        let mut asked = Asked::new(&[format!("anomaly_seasonal(m[{range}s], \"{options}\")")]);
        for sample in history {
            let at = sample[0].as_i64().unwrap() * 1000;
            asked.push("m", at, read_number(&sample[1]));
        }
        asked.push("m", now * 1000, read_number(&inputs["value"]));
        let expected = read_number(&vector["expected"]);
        for leaves in BOTH {
            check(vector, "", asked.value(0, leaves), Some(expected));
        }
    }
    assert!(found.len() >= 20, "{} vectors", found.len());
}

/// Streams a vector's values, and compares what each of some outputs is worth behind each of them;
/// `expected` knows that of a value's number and output's number, where anything is recorded.
fn check_stream(
    vector: &Json,
    function: &str,
    (outputs, more): (&[&str], &str),
    expected: impl Fn(usize, usize) -> Option<Option<f64>>,
) {
    let values = numbers(&vector["inputs"]["values"]);
    let expressions = outputs.iter().map(|output| {
        let options = options(vector, &format!("output={output}{more}"));
        format!("{function}(m[{RANGE}], \"{options}\")")
    });
    let mut asked = Asked::new(&expressions.collect::<Vec<_>>());
    for (number, value) in values.iter().enumerate() {
        asked.push("m", BEGIN_MS + (number as i64 + 1) * STEP_MS, *value);
        for (output, name) in outputs.iter().enumerate() {
            let Some(expected) = expected(number, output) else {
                continue;
            };
            let what = format!("{name} at {number}");
            check(vector, &what, asked.value(output, Leaves::Live), expected);
            let is_telling = expected.is_some_and(|value| value == 1.0);
            if is_telling || number % SCANNED_EVERY == 0 || number + 1 == values.len() {
                check(vector, &what, asked.value(output, Leaves::Scan), expected);
            }
        }
    }
}

#[test]
fn exponentially_weighted_scores_are_those_of_pandas() {
    let found = vectors("ewma");
    for vector in &found {
        let outputs = ["mean", "var", "z"].map(|name| numbers(&vector["expected"][name]));
        let names = ["mean", "var", "score"];
        check_stream(
            vector,
            "anomaly_ewma",
            (&names, ",min_samples=0"),
            |number, output| Some(Some(outputs[output][number])),
        );
    }
    assert!(found.len() >= 20, "{} vectors", found.len());
}

/// Compares alarms, from where there are values on, and what is left at the end.
fn check_changes(function: &str, outputs: [&'static str; 3], n_warmup: impl Fn(&Json) -> u64) {
    let found = vectors(function);
    let mut n_alarms = 0;
    for vector in &found {
        let recorded = vector["expected"]["alarms"].as_array().unwrap();
        let alarms = recorded.iter().map(|alarm| {
            let number = alarm.as_u64().or_else(|| alarm[0].as_u64());
            number.unwrap() as usize
        });
        let alarms: Vec<usize> = alarms.collect();
        n_alarms += alarms.len();
        let n_warmup = n_warmup(&vector["args"]) as usize;
        let n_values = vector["inputs"]["values"].as_array().unwrap().len();
        let function = format!("change_{function}");
        check_stream(vector, &function, (&outputs, ""), |number, output| {
            if output == 0 {
                let is_alarm = alarms.contains(&number);
                return Some((number >= n_warmup).then_some(f64::from(u8::from(is_alarm))));
            }
            let left = &vector["expected"][outputs[output]];
            let is_asked = number + 1 == n_values && !left.is_null();
            is_asked.then(|| Some(read_number(left)))
        });
    }
    assert!(found.len() >= 20, "{} vectors", found.len());
    assert!(n_alarms > 15, "{n_alarms} alarms");
}

#[test]
fn cumulative_sums_raise_the_recorded_alarms() {
    check_changes("cusum", ["alarm", "pos", "neg"], |_| 0);
}

#[test]
fn the_page_hinkley_test_raises_the_alarms_of_river() {
    let outputs = ["alarm", "sum_increase", "sum_decrease"];
    check_changes("page_hinkley", outputs, |args| {
        args["min_instances"].as_u64().unwrap() - 1
    });
}

#[test]
fn the_adaptive_window_raises_the_alarms_of_river() {
    let outputs = ["alarm", "width", "estimation"];
    check_changes("adwin", outputs, |args| {
        args["grace_period"].as_u64().unwrap()
    });
}

/// Compares what is forecast from some samples at a later time.
fn check_forecasts(file: &str, call: impl Fn(&Json, &str) -> String) {
    let found = vectors(file);
    for vector in &found {
        let inputs = &vector["inputs"];
        let samples = inputs["samples"].as_array().unwrap();
        let now = inputs["time"].as_i64().unwrap();
        let first = samples.first().map_or(now, |s| s[0].as_i64().unwrap());
        let window = format!("m[{}s]", now - first + 1);
        let mut asked = Asked::new(&[call(vector, &window), "clock".to_owned()]);
        for sample in samples {
            let at = sample[0].as_i64().unwrap() * 1000;
            asked.push("m", at, read_number(&sample[1]));
        }
        asked.push("clock", now * 1000, 0.0);
        let expected = &vector["expected"];
        let expected = (!expected.is_null()).then(|| read_number(expected));
        for leaves in BOTH {
            check(vector, "", asked.value(0, leaves), expected);
        }
    }
    assert!(found.len() >= 20, "{} vectors", found.len());
}

#[test]
fn times_to_thresholds_are_those_recorded() {
    check_forecasts("time_to_threshold", |vector, window| {
        let (threshold, options) = (&vector["inputs"]["threshold"], options(vector, ""));
        format!("forecast_time_to({window}, {threshold}, \"{options}\")")
    });
}

#[test]
fn predictions_are_those_recorded() {
    check_forecasts("predict_linear", |vector, window| {
        format!("predict_linear({window}, {})", vector["args"]["horizon_s"])
    });
}
