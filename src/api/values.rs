//! Query results as JSON: `[t, "v"]` pairs, histograms as counted buckets.
//!
//! Everything borrows from the result and is written straight into the body; a range query of
//! a million points builds no tree of JSON values.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::api::response::LabelsJson;
use crate::model::float::format_api;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{
    BucketSpan, FloatHistogram, Point, SampleValue, SeriesPoints, TimestampMs, Value, VectorElement,
};

/// A result at `at`, as `result` shows it.
#[derive(Clone, Copy, Debug)]
pub struct ValueJson<'a> {
    /// The result.
    pub value: &'a Value,
    /// The evaluation time, which elements and scalars carry, ms.
    pub at: TimestampMs,
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = SecondsJson(self.at);
        match self.value {
            Value::Scalar(value) => (at, FloatJson(*value)).serialize(serializer),
            Value::String(text) => (at, text).serialize(serializer),
            Value::Vector(elements) => {
                serializer.collect_seq(elements.iter().map(|element| ElementJson {
                    element,
                    at: self.at,
                }))
            }
            Value::Matrix(series) => serializer.collect_seq(series.iter().map(SeriesJson)),
        }
    }
}

struct ElementJson<'a> {
    element: &'a VectorElement,
    at: TimestampMs,
}

impl Serialize for ElementJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Element", 2)?;
        object.serialize_field("metric", &LabelsJson(&self.element.labels))?;
        let at = SecondsJson(self.at);
        match &self.element.value {
            SampleValue::Float(value) => {
                object.serialize_field("value", &(at, FloatJson(*value)))?;
            }
            SampleValue::Histogram(histogram) => {
                object.serialize_field("histogram", &(at, HistogramJson(histogram)))?;
            }
        }
        object.end()
    }
}

struct SeriesJson<'a>(&'a SeriesPoints);

impl Serialize for SeriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("metric", &LabelsJson(&self.0.labels))?;
        let points = &self.0.points;
        let is_float = |point: &Point| point.value.as_float().is_some();
        if points.iter().any(is_float) {
            object.serialize_entry("values", &FloatPointsJson(points))?;
        }
        if !points.iter().all(is_float) {
            object.serialize_entry("histograms", &HistogramPointsJson(points))?;
        }
        object.end()
    }
}

struct FloatPointsJson<'a>(&'a [Point]);

impl Serialize for FloatPointsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter_map(|point| {
            let value = point.value.as_float()?;
            Some((SecondsJson(point.at), FloatJson(value)))
        }))
    }
}

struct HistogramPointsJson<'a>(&'a [Point]);

impl Serialize for HistogramPointsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter_map(|point| match &point.value {
            SampleValue::Float(_) => None,
            SampleValue::Histogram(histogram) => {
                Some((SecondsJson(point.at), HistogramJson(histogram)))
            }
        }))
    }
}

/// Seconds with up to three decimals.
#[derive(Clone, Copy)]
pub struct SecondsJson(pub TimestampMs);

impl Serialize for SecondsJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.0.0;
        if ms % 1000 == 0 {
            serializer.serialize_i64(ms / 1000)
        } else {
            // The shortest text that reads back as this float has at most three decimals.
            serializer.serialize_f64(ms as f64 / 1000.0)
        }
    }
}

/// A float as text, since JSON has no NaN.
struct FloatJson(f64);

impl Serialize for FloatJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_api(self.0))
    }
}

struct HistogramJson<'a>(&'a FloatHistogram);

impl Serialize for HistogramJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("count", &FloatJson(self.0.count))?;
        object.serialize_entry("sum", &FloatJson(self.0.sum))?;
        let buckets = BucketsJson(buckets(self.0));
        if !buckets.0.is_empty() {
            object.serialize_entry("buckets", &buckets)?;
        }
        object.end()
    }
}

struct BucketsJson(Vec<Bucket>);

impl Serialize for BucketsJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for bucket in &self.0 {
            list.serialize_element(&(
                bucket.boundary_rule(),
                FloatJson(bucket.lower),
                FloatJson(bucket.upper),
                FloatJson(bucket.count),
            ))?;
        }
        list.end()
    }
}

struct Bucket {
    lower: f64,
    upper: f64,
    lower_inclusive: bool,
    upper_inclusive: bool,
    count: f64,
}

impl Bucket {
    /// 0: open on the left, 1: open on the right, 2: open on both sides, 3: closed.
    fn boundary_rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

/// Lists the non-empty buckets from low to high.
fn buckets(histogram: &FloatHistogram) -> Vec<Bucket> {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return custom_buckets(histogram);
    }
    let schema = histogram.schema;
    let threshold = histogram.zero_threshold;
    let positive = indices(&histogram.positive_spans)
        .zip(&histogram.positive_buckets)
        .map(|(index, count)| exponential_bucket(index, schema, threshold, *count));
    let negative: Vec<_> = indices(&histogram.negative_spans)
        .zip(&histogram.negative_buckets)
        .map(|(index, count)| mirrored(exponential_bucket(index, schema, threshold, *count)))
        .collect();
    let zero = Bucket {
        lower: -threshold,
        upper: threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    };
    let all = negative.into_iter().rev().chain([zero]).chain(positive);
    all.filter(|bucket| bucket.count != 0.0).collect()
}

fn custom_buckets(histogram: &FloatHistogram) -> Vec<Bucket> {
    let bound = |index: i32| match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(index) => *histogram.custom_values.get(index).unwrap_or(&f64::INFINITY),
    };
    indices(&histogram.positive_spans)
        .zip(&histogram.positive_buckets)
        .filter(|(_, count)| **count != 0.0)
        .map(|(index, count)| Bucket {
            lower: bound(index - 1),
            upper: bound(index),
            lower_inclusive: index == 0,
            upper_inclusive: true,
            count: *count,
        })
        .collect()
}

/// A positive bucket; the zero bucket, where it reaches into it, cuts its lower bound.
fn exponential_bucket(index: i32, schema: i32, threshold: f64, count: f64) -> Bucket {
    let lower = exponential_bound(index.saturating_sub(1), schema);
    Bucket {
        lower: if lower < threshold { threshold } else { lower },
        upper: exponential_bound(index, schema),
        lower_inclusive: false,
        upper_inclusive: true,
        count,
    }
}

fn mirrored(bucket: Bucket) -> Bucket {
    Bucket {
        lower: -bucket.upper,
        upper: -bucket.lower,
        lower_inclusive: bucket.upper_inclusive,
        upper_inclusive: bucket.lower_inclusive,
        count: bucket.count,
    }
}

/// Returns the upper bound of an exponential bucket: 2^(index · 2^-schema). The bucket that
/// ends the finite floats is bounded by the largest of them, not by infinity.
fn exponential_bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * f64::from(-schema).exp2();
    if exponent == 1024.0 {
        return f64::MAX;
    }
    let whole = exponent.floor();
    // The fraction's power lies in [1, 2), where exp2 is at its most exact; scaling by a whole
    // power of two then is exact.
    (exponent - whole).exp2() * whole.exp2()
}

/// Iterates over the indices of the buckets that spans name.
fn indices(spans: &[BucketSpan]) -> impl Iterator<Item = i32> {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let from = next.saturating_add(span.offset);
        next = from.saturating_add(i32::try_from(span.length).unwrap_or(i32::MAX));
        from..next
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use std::sync::Arc;

    fn check(value: &Value, expected: &str) {
        let at = TimestampMs(1_500);
        let written = serde_json::to_string(&ValueJson { value, at }).unwrap();
        assert_eq!(written, expected);
    }

    fn histogram() -> FloatHistogram {
        let span = |offset, length| BucketSpan { offset, length };
        FloatHistogram {
            schema: 0,
            zero_threshold: 0.25,
            zero_count: 3.0,
            count: 42.0,
            sum: 34_593.34,
            positive_spans: vec![span(-1, 2), span(1, 1)],
            positive_buckets: vec![12.0, 21.0, 6.0],
            negative_spans: vec![span(0, 1)],
            negative_buckets: vec![0.5],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn scalars_and_texts_are_pairs() {
        check(&Value::Scalar(f64::NAN), r#"[1.5,"NaN"]"#);
        check(&Value::Scalar(1e21), r#"[1.5,"1e+21"]"#);
        check(&Value::String("a\"b".into()), r#"[1.5,"a\"b"]"#);
        check(&Value::Vector(vec![]), "[]");
        check(&Value::Matrix(vec![]), "[]");
    }

    #[test]
    fn elements_carry_the_evaluation_time() {
        let element = |value| VectorElement {
            labels: Labels::from_pairs([("__name__", "up"), ("job", "a")]),
            value,
        };
        check(
            &Value::Vector(vec![
                element(SampleValue::Float(-0.0)),
                element(SampleValue::Histogram(Arc::new(histogram()))),
            ]),
            concat!(
                r#"[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"-0"]},"#,
                r#"{"metric":{"__name__":"up","job":"a"},"histogram":[1.5,{"count":"42","#,
                r#""sum":"34593.34","buckets":[[1,"-1","-0.5","0.5"],[3,"-0.25","0.25","3"],"#,
                r#"[0,"0.25","0.5","12"],[0,"0.5","1","21"],[0,"2","4","6"]]}]}]"#
            ),
        );
    }

    #[test]
    fn lists_without_points_are_left_out() {
        let point = |ms, value| Point {
            at: TimestampMs(ms),
            value,
        };
        let empty = FloatHistogram::default();
        let series = |points| SeriesPoints {
            labels: Labels::empty(),
            points,
        };
        check(
            &Value::Matrix(vec![
                series(vec![point(-1_001, SampleValue::Float(1.0))]),
                series(vec![point(2_000, SampleValue::Histogram(Arc::new(empty)))]),
                series(vec![]),
            ]),
            concat!(
                r#"[{"metric":{},"values":[[-1.001,"1"]]},"#,
                r#"{"metric":{},"histograms":[[2,{"count":"0","sum":"0"}]]},"#,
                r#"{"metric":{}}]"#
            ),
        );
    }

    #[test]
    fn bounds_are_powers_of_two() {
        let check = |index: i32, schema: i32, expected: f64| {
            assert_eq!(
                exponential_bound(index, schema),
                expected,
                "{index} {schema}"
            );
        };
        check(0, 3, 1.0);
        check(8, 3, 2.0);
        check(4, 3, std::f64::consts::SQRT_2);
        check(-1, 0, 0.5);
        check(1, -2, 16.0);
        check(1024, 0, f64::MAX);
        check(1025, 0, f64::INFINITY);
        check(256, -2, f64::MAX);
    }

    #[test]
    fn custom_buckets_begin_at_minus_infinity() {
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![BucketSpan {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 0.0, 2.0],
            custom_values: vec![0.1, 0.5],
            count: 3.0,
            ..FloatHistogram::default()
        };
        let written = serde_json::to_string(&HistogramJson(&custom)).unwrap();
        assert!(
            written.ends_with(r#""buckets":[[3,"-Inf","0.1","1"],[0,"0.5","+Inf","2"]]}"#),
            "{written}"
        );
    }
}
