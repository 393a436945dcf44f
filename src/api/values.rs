//! Query results as JSON: `[t, "v"]` pairs, histograms as counted buckets.
//!
//! Everything borrows from the result and is written straight into the body; a range query of
//! a million points builds no tree of JSON values.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::api::json::{LabelsJson, PointTimeJson, SecondsJson};
use crate::model::float::{ApiFloat, format_plain};
use crate::model::histogram::Bucket;
use crate::model::{
    FloatHistogram, Point, SampleValue, SeriesPoints, TimestampMs, Value, VectorElement,
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
        // Scalars and texts go another way in Prometheus than points do.
        let at = SecondsJson(self.at);
        match self.value {
            Value::Scalar(value) => (at, format_plain(*value)).serialize(serializer),
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
        let at = PointTimeJson(self.at);
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
            Some((PointTimeJson(point.at), FloatJson(value)))
        }))
    }
}

struct HistogramPointsJson<'a>(&'a [Point]);

impl Serialize for HistogramPointsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter_map(|point| match &point.value {
            SampleValue::Float(_) => None,
            SampleValue::Histogram(histogram) => {
                Some((PointTimeJson(point.at), HistogramJson(histogram)))
            }
        }))
    }
}

/// A float as text, since JSON has no NaN.
struct FloatJson(f64);

impl Serialize for FloatJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ApiFloat::default().format(self.0))
    }
}

struct HistogramJson<'a>(&'a FloatHistogram);

impl Serialize for HistogramJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("count", &FloatJson(self.0.count))?;
        object.serialize_entry("sum", &FloatJson(self.0.sum))?;
        let mut buckets = self.0.buckets();
        buckets.retain(|bucket| bucket.count != 0.0);
        if !buckets.is_empty() {
            object.serialize_entry("buckets", &BucketsJson(&buckets))?;
        }
        object.end()
    }
}

struct BucketsJson<'a>(&'a [Bucket]);

impl Serialize for BucketsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|bucket| {
            (
                boundary_rule(bucket),
                FloatJson(bucket.lower),
                FloatJson(bucket.upper),
                FloatJson(bucket.count),
            )
        }))
    }
}

/// 0: open on the left, 1: open on the right, 2: open on both sides, 3: closed.
fn boundary_rule(bucket: &Bucket) -> u8 {
    match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::to_json;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
    use crate::model::{BucketSpan, Labels};
    use std::sync::Arc;

    fn check(value: &Value, expected: &str) {
        let at = TimestampMs(1_500);
        let written = to_json(&ValueJson { value, at });
        assert_eq!(String::from_utf8(written).unwrap(), expected);
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
        check(&Value::Scalar(1e21), r#"[1.5,"1000000000000000000000"]"#);
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
                r#"[{"metric":{"__name__":"up","job":"a"},"value":[1.500,"-0"]},"#,
                r#"{"metric":{"__name__":"up","job":"a"},"histogram":[1.500,{"count":"42","#,
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
        let written = String::from_utf8(to_json(&HistogramJson(&custom))).unwrap();
        assert!(
            written.ends_with(r#""buckets":[[3,"-Inf","0.1","1"],[0,"0.5","+Inf","2"]]}"#),
            "{written}"
        );
    }
}
