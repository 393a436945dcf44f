//! What a template computes with: the Go values that Prometheus puts into one.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::model::{FloatHistogram, Labels, SampleValue, VectorElement};

/// A Go value. Only the types that a rule's template can get hold of exist.
#[derive(Clone, Debug)]
pub enum GoValue {
    /// No value at all: Go's zero `reflect.Value`.
    Invalid,
    /// An `interface{}` that holds nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64, IntType),
    /// A `float64`.
    Float(f64),
    /// A `string`.
    String(Rc<str>),
    /// `template.HTML`: what `safeHtml` returns.
    Html(Rc<str>),
    /// `map[string]string`
    Labels(Labels),
    /// `map[string]interface{}`: what `args` returns.
    Args(Rc<Args>),
    /// What `query` returns.
    QueryResult(Rc<Vec<Rc<Sample>>>),
    /// One element of it.
    Sample(Rc<Sample>),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
    /// An instant.
    Time(Time),
    /// A span.
    Duration(Duration),
    /// What `.` is at the start.
    Data(Rc<Data>),
}

/// The integer types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum IntType {
    Int,
    Int64,
    /// `uint8`: a byte of a text.
    Byte,
    Weekday,
    Month,
}

/// An element of a query's result.
#[derive(Debug)]
pub struct Sample {
    /// Its labels with the metric name.
    pub labels: Labels,
    /// A float or a histogram.
    pub value: GoValue,
}

/// The map that `args` returns.
#[derive(Debug)]
pub struct Args {
    /// By name, `arg0` and on.
    pub entries: BTreeMap<String, GoValue>,
    /// How many `args` lie in each other.
    pub depth: usize,
    /// About how long it is when printed, in bytes.
    pub n_bytes: usize,
}

/// An instant of UTC.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Nanoseconds since 1970.
    pub nanoseconds: i128,
    /// `true` for `*time.Time`, which is what `toTime` returns.
    pub is_pointer: bool,
}

/// A span.
#[derive(Clone, Copy, Debug)]
pub struct Duration {
    /// Nanoseconds.
    pub nanoseconds: i64,
    /// `true` for `*time.Duration`, which is what `toDuration` returns.
    pub is_pointer: bool,
}

/// The fields of `.` at the start.
#[derive(Debug)]
pub struct Data {
    /// `.Labels`
    pub labels: Labels,
    /// `.ExternalLabels`
    pub external_labels: Labels,
    /// `.ExternalURL`
    pub external_url: Rc<str>,
    /// `.Value`
    pub value: GoValue,
}

impl From<&SampleValue> for GoValue {
    fn from(value: &SampleValue) -> Self {
        match value {
            SampleValue::Float(value) => GoValue::Float(*value),
            SampleValue::Histogram(histogram) => GoValue::Histogram(histogram.clone()),
        }
    }
}

impl From<VectorElement> for Sample {
    fn from(element: VectorElement) -> Self {
        Sample {
            value: GoValue::from(&element.value),
            labels: element.labels,
        }
    }
}

impl GoValue {
    /// Returns a `string`.
    pub fn string(text: impl Into<Rc<str>>) -> Self {
        GoValue::String(text.into())
    }

    /// Returns an `int`.
    pub fn int(value: usize) -> Self {
        GoValue::Int(i64::try_from(value).unwrap_or(i64::MAX), IntType::Int)
    }

    /// Returns the type as Go names it.
    pub fn type_name(&self) -> &'static str {
        match self {
            GoValue::Invalid => "<nil>",
            GoValue::Nil => "interface {}",
            GoValue::Bool(_) => "bool",
            GoValue::Int(_, IntType::Int) => "int",
            GoValue::Int(_, IntType::Int64) => "int64",
            GoValue::Int(_, IntType::Byte) => "uint8",
            GoValue::Int(_, IntType::Weekday) => "time.Weekday",
            GoValue::Int(_, IntType::Month) => "time.Month",
            GoValue::Float(_) => "float64",
            GoValue::String(_) => "string",
            GoValue::Html(_) => "template.HTML",
            GoValue::Labels(_) => "map[string]string",
            GoValue::Args(_) => "map[string]interface {}",
            GoValue::QueryResult(_) => "template.queryResult",
            GoValue::Sample(_) => "*template.sample",
            GoValue::Histogram(_) => "*histogram.FloatHistogram",
            GoValue::Time(time) if time.is_pointer => "*time.Time",
            GoValue::Time(_) => "time.Time",
            GoValue::Duration(duration) if duration.is_pointer => "*time.Duration",
            GoValue::Duration(_) => "time.Duration",
            GoValue::Data(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; \
                 ExternalURL string; Value interface {} }"
            }
        }
    }

    /// Tells whether `if` takes the value for true: not the zero of its type, not empty.
    pub fn is_true(&self) -> bool {
        match self {
            GoValue::Invalid | GoValue::Nil => false,
            GoValue::Bool(value) => *value,
            GoValue::Int(value, _) => *value != 0,
            GoValue::Float(value) => *value != 0.0,
            GoValue::String(text) | GoValue::Html(text) => !text.is_empty(),
            GoValue::Labels(labels) => !labels.is_empty(),
            GoValue::Args(args) => !args.entries.is_empty(),
            GoValue::QueryResult(elements) => !elements.is_empty(),
            GoValue::Duration(duration) => duration.is_pointer || duration.nanoseconds != 0,
            GoValue::Sample(_) | GoValue::Histogram(_) | GoValue::Time(_) | GoValue::Data(_) => {
                true
            }
        }
    }

    /// Returns the text of a `string`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            GoValue::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Converts as Go does on amd64: what does not fit becomes the smallest integer.
pub fn float_to_int(value: f64) -> i64 {
    // 2^63, the first float beyond.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}
