//! A native histogram with float counts, as Prometheus' `FloatHistogram`.
//!
//! Buckets are held as spans over absolute counts. Exponential schemas are -4 to 8; schema
//! [`CUSTOM_BUCKETS_SCHEMA`] has its upper bounds in `custom_values`.

mod arithmetic;
mod bounds;
mod buckets;
mod fractions;
mod mean;
mod reset;
mod trim;

pub use arithmetic::{IncompatibleSchema, Merged};
pub use buckets::Bucket;
pub use mean::{HistogramMean, HistogramSum};

/// The schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The gap to the run before (for the first run: the index of its first bucket).
    pub offset: i32,
    /// The number of buckets in the run.
    pub length: u32,
}

/// What a sender says about counter resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterResetHint {
    /// Nothing is known.
    #[default]
    Unknown,
    /// This sample comes after a reset.
    Reset,
    /// There was no reset before this sample.
    NotReset,
    /// A gauge histogram: resets have no meaning.
    Gauge,
}

/// A native histogram; counts are absolute, not deltas.
#[derive(Clone, Debug, Default)]
pub struct FloatHistogram {
    /// What is known about resets.
    pub counter_reset_hint: CounterResetHint,
    /// The resolution: bucket bounds grow by 2^(2^-schema).
    pub schema: i32,
    /// The half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// The sum of all observations; the staleness marker ends the series.
    pub sum: f64,
    /// Which positive buckets exist.
    pub positive_spans: Vec<Span>,
    /// Which negative buckets exist.
    pub negative_spans: Vec<Span>,
    /// Counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds without +Inf; only for [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
}

impl FloatHistogram {
    /// Returns the bytes of a histogram on the heap, its lists included.
    pub fn heap_bytes(&self) -> usize {
        let spans = self.positive_spans.capacity() + self.negative_spans.capacity();
        let floats = self.positive_buckets.capacity()
            + self.negative_buckets.capacity()
            + self.custom_values.capacity();
        size_of::<Self>() + spans * size_of::<Span>() + floats * size_of::<f64>()
    }
}

impl PartialEq for FloatHistogram {
    /// Compares by bits, so that NaN equals itself: "the same sample again".
    fn eq(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.schema == other.schema
            && self.counter_reset_hint == other.counter_reset_hint
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && bits(&self.positive_buckets) == bits(&other.positive_buckets)
            && bits(&self.negative_buckets) == bits(&other.negative_buckets)
            && bits(&self.custom_values) == bits(&other.custom_values)
    }
}
