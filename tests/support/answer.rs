//! Answers of the query API, read from recorded JSON and compared with what we evaluate.

use std::collections::BTreeMap;

use burnwatch::model::{FloatHistogram, Labels, SampleValue, SeriesPoints, Value};
use serde_json::Value as Json;

/// A recorded or computed sample.
#[derive(Clone, Debug)]
pub enum Sample {
    Float(f64),
    Histogram {
        count: f64,
        sum: f64,
        buckets: Vec<(i64, f64, f64, f64)>,
    },
}

/// How well two answers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    Bits,
    Tolerance,
}

/// The relative error allowed where the order of additions is not specified.
const TOLERANCE: f64 = 1e-12;

pub fn read_float(json: &Json) -> f64 {
    let text = json.as_str().expect("numbers are strings");
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text}"))
}

pub fn read_labels(json: &Json) -> Labels {
    let pairs = json.as_object().expect("labels are an object");
    Labels::from_pairs(
        pairs
            .iter()
            .map(|(name, value)| (name, value.as_str().unwrap())),
    )
}

fn read_histogram(json: &Json) -> Sample {
    let empty = Vec::new();
    let buckets = json["buckets"].as_array().unwrap_or(&empty).iter();
    let bucket = |b: &Json| {
        let rule = b[0].as_i64().unwrap();
        (
            rule,
            read_float(&b[1]),
            read_float(&b[2]),
            read_float(&b[3]),
        )
    };
    Sample::Histogram {
        count: read_float(&json["count"]),
        sum: read_float(&json["sum"]),
        buckets: buckets.map(bucket).collect(),
    }
}

/// Returns a vector's elements as recorded: labels and sample, in order.
pub fn read_vector(json: &Json) -> Vec<(Labels, Sample)> {
    let element = |e: &Json| {
        let sample = match e.get("value") {
            Some(value) => Sample::Float(read_float(&value[1])),
            None => read_histogram(&e["histogram"][1]),
        };
        (read_labels(&e["metric"]), sample)
    };
    json.as_array().unwrap().iter().map(element).collect()
}

/// Returns a matrix' samples by series and time in ms.
pub fn read_matrix(json: &Json) -> BTreeMap<Labels, BTreeMap<i64, Sample>> {
    let series = |s: &Json| {
        let mut points = BTreeMap::new();
        let at = |point: &Json| (point[0].as_f64().unwrap() * 1000.0).round() as i64;
        for point in s["values"].as_array().into_iter().flatten() {
            points.insert(at(point), Sample::Float(read_float(&point[1])));
        }
        for point in s["histograms"].as_array().into_iter().flatten() {
            points.insert(at(point), read_histogram(&point[1]));
        }
        (read_labels(&s["metric"]), points)
    };
    json.as_array().unwrap().iter().map(series).collect()
}

/// Returns our sample as the API would show it.
pub fn shown(value: &SampleValue) -> Sample {
    match value {
        SampleValue::Float(value) => Sample::Float(*value),
        SampleValue::Histogram(histogram) => shown_histogram(histogram),
    }
}

fn shown_histogram(histogram: &FloatHistogram) -> Sample {
    let buckets = histogram
        .buckets()
        .into_iter()
        .filter(|bucket| bucket.count != 0.0);
    let buckets = buckets.map(|bucket| {
        let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        (rule, bucket.lower, bucket.upper, bucket.count)
    });
    Sample::Histogram {
        count: histogram.count,
        sum: histogram.sum,
        buckets: buckets.collect(),
    }
}

pub fn shown_vector(value: &Value) -> Vec<(Labels, Sample)> {
    let Value::Vector(elements) = value else {
        panic!("not a vector: {value:?}");
    };
    let elements = elements.iter();
    elements
        .map(|e| (e.labels.clone(), shown(&e.value)))
        .collect()
}

pub fn shown_matrix(series: &[SeriesPoints]) -> BTreeMap<Labels, BTreeMap<i64, Sample>> {
    let points = |s: &SeriesPoints| s.points.iter().map(|p| (p.at.0, shown(&p.value))).collect();
    series
        .iter()
        .map(|s| (s.labels.clone(), points(s)))
        .collect()
}

fn compare_floats(ours: f64, theirs: f64) -> Option<Agreement> {
    if ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()) {
        return Some(Agreement::Bits);
    }
    let is_near = (ours - theirs).abs() <= TOLERANCE * ours.abs().max(theirs.abs());
    let same_zero = ours != 0.0 || theirs != 0.0;
    (is_near && same_zero).then_some(Agreement::Tolerance)
}

pub fn compare_samples(ours: &Sample, theirs: &Sample) -> Option<Agreement> {
    match (ours, theirs) {
        (Sample::Float(a), Sample::Float(b)) => compare_floats(*a, *b),
        (
            Sample::Histogram {
                count,
                sum,
                buckets,
            },
            Sample::Histogram {
                count: their_count,
                sum: their_sum,
                buckets: their_buckets,
            },
        ) => {
            let mut worst =
                compare_floats(*count, *their_count)?.max(compare_floats(*sum, *their_sum)?);
            if buckets.len() != their_buckets.len() {
                return None;
            }
            for (a, b) in buckets.iter().zip(their_buckets) {
                if a.0 != b.0 {
                    return None;
                }
                for (x, y) in [(a.1, b.1), (a.2, b.2), (a.3, b.3)] {
                    worst = worst.max(compare_floats(x, y)?);
                }
            }
            Some(worst)
        }
        _ => None,
    }
}
