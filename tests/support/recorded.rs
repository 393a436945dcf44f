//! Reading the recorded files; how they are to be read stands in their README.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use burnwatch::model::{BucketSpan, CounterResetHint, FloatHistogram, SampleValue, stale_nan};
use serde_json::Value as Json;

use crate::answer::read_float;

pub fn lines(name: &str) -> impl Iterator<Item = Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/promql")
        .join(name);
    let file = std::fs::File::open(path).unwrap();
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

pub fn read_value(json: &Json) -> SampleValue {
    match json.as_str() {
        Some("stale") => SampleValue::Float(stale_nan()),
        Some("NaN") => SampleValue::Float(f64::NAN),
        Some(_) => SampleValue::Float(read_float(json)),
        None => SampleValue::Histogram(Arc::new(read_histogram(json))),
    }
}

/// Counts and thresholds may be numbers or texts.
pub fn number(json: &Json) -> f64 {
    match json {
        Json::Null => 0.0,
        Json::String(_) => read_float(json),
        _ => json.as_f64().unwrap(),
    }
}

pub fn read_histogram(json: &Json) -> FloatHistogram {
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

pub fn milliseconds(json: &Json) -> i64 {
    (json.as_str().unwrap().parse::<f64>().unwrap() * 1000.0).round() as i64
}
