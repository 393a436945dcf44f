//! A native histogram in a template: its fields and its text.

use crate::model::FloatHistogram;
use crate::template::functions::{Method, Signature};
use crate::template::value::{GoValue, IntType};

pub(super) const METHODS: [Method; 1] = [Method {
    signature: Signature {
        name: "String",
        params: &[],
        variadic: None,
    },
    body: |receiver, _| match receiver {
        GoValue::Histogram(histogram) => Ok(GoValue::string(histogram.to_string())),
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
