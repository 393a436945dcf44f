//! A native histogram in a template: its fields and the text Prometheus prints for it.

use crate::model::float::format_general;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{BucketSpan, FloatHistogram};
use crate::template::functions::{Method, Signature};
use crate::template::value::{GoValue, IntType};

pub(super) const METHODS: [Method; 1] = [Method {
    signature: Signature {
        name: "String",
        params: &[],
        variadic: None,
    },
    body: |receiver, _| match receiver {
        GoValue::Histogram(histogram) => Ok(GoValue::string(histogram_text(histogram))),
        receiver => Ok(receiver.clone()),
    },
}];

pub(super) fn field(histogram: &FloatHistogram, name: &str) -> Option<GoValue> {
    Some(match name {
        "Count" => GoValue::Float(histogram.count),
        "Sum" => GoValue::Float(histogram.sum),
        "ZeroCount" => GoValue::Float(histogram.zero_count),
        "ZeroThreshold" => GoValue::Float(histogram.zero_threshold),
        "Schema" => GoValue::Int(i64::from(histogram.schema), IntType::Int),
        _ => return None,
    })
}

/// Prints as Prometheus: `{count:3, sum:10, (1,2]:3}`, buckets from low to high.
pub fn histogram_text(histogram: &FloatHistogram) -> String {
    let mut parts = vec![
        format!("count:{}", format_general(histogram.count)),
        format!("sum:{}", format_general(histogram.sum)),
    ];
    let text = |open: char, lower: f64, upper: f64, close: char, count: f64| {
        let [lower, upper, count] = [lower, upper, count].map(format_general);
        format!("{open}{lower},{upper}{close}:{count}")
    };
    let negative = buckets(&histogram.negative_spans, &histogram.negative_buckets);
    for (idx, count) in negative.into_iter().rev() {
        let (lower, upper) = (bound(histogram, idx - 1), bound(histogram, idx));
        parts.push(text('[', -upper, -lower, ')', count));
    }
    if histogram.zero_count != 0.0 {
        let width = histogram.zero_threshold;
        parts.push(text('[', -width, width, ']', histogram.zero_count));
    }
    for (idx, count) in buckets(&histogram.positive_spans, &histogram.positive_buckets) {
        let is_lowest = histogram.schema == CUSTOM_BUCKETS_SCHEMA && idx == 0;
        let open = if is_lowest { '[' } else { '(' };
        let (lower, upper) = (bound(histogram, idx - 1), bound(histogram, idx));
        parts.push(text(open, lower, upper, ']', count));
    }
    format!("{{{}}}", parts.join(", "))
}

/// The buckets that hold something, with their indices.
fn buckets(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut indices = Vec::with_capacity(counts.len());
    let mut next = 0i32;
    for span in spans {
        next = next.saturating_add(span.offset);
        for _ in 0..span
            .length
            .min(u32::try_from(counts.len()).unwrap_or(u32::MAX))
        {
            indices.push(next);
            next = next.saturating_add(1);
        }
    }
    let filled = indices.into_iter().zip(counts.iter().copied());
    filled.filter(|(_, count)| *count != 0.0).collect()
}

/// The upper bound of the bucket with that index.
fn bound(histogram: &FloatHistogram, idx: i32) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        let values = &histogram.custom_values;
        return match usize::try_from(idx) {
            Ok(idx) => values.get(idx).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
    }
    (f64::from(idx) * f64::from(-histogram.schema).exp2()).exp2()
}
