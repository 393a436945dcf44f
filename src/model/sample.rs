//! One sample of a series: a timestamp and a float or a native histogram.

use std::sync::Arc;

use crate::model::{FloatHistogram, TimestampMs};

/// The bits of the staleness marker, a NaN that says "this series ends here".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Returns the staleness marker.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Tells whether `value` is the staleness marker; an ordinary NaN is not.
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// What a sample holds.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// An ordinary float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl SampleValue {
    /// Returns the float, or `None` for a histogram.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            SampleValue::Float(value) => Some(*value),
            SampleValue::Histogram(_) => None,
        }
    }

    /// Tells whether this ends the series: the marker itself, or a histogram whose sum is one.
    pub fn is_stale(&self) -> bool {
        match self {
            SampleValue::Float(value) => is_stale_nan(*value),
            SampleValue::Histogram(histogram) => is_stale_nan(histogram.sum),
        }
    }
}

impl PartialEq for SampleValue {
    /// Compares by bits, so that NaN equals itself: "the same sample again".
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
            (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

/// A value at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The instant, in ms since 1970.
    pub at: TimestampMs,
    /// The value.
    pub value: SampleValue,
}

/// A float at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatPoint {
    /// The instant, ms.
    pub at: TimestampMs,
    /// The value.
    pub value: f64,
}

/// A native histogram at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// The instant, ms.
    pub at: TimestampMs,
    /// The value.
    pub value: Arc<FloatHistogram>,
}
