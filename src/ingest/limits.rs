//! What one node takes in before it says no.
//!
//! Every bound has a name, a default and a clear refusal; the refusal is told to the sender.

use http::HeaderName;

use crate::model::DurationMs;

/// The bounds of receiving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body as sent. Beyond: 413.
    pub request_bytes: usize,
    /// Bytes of a request's body once decompressed, by its own header. Beyond: 413.
    pub request_decoded_bytes: usize,
    /// Series, samples, exemplars, histogram buckets and symbols of a request, together: a few
    /// bytes each on the wire, up to a few hundred in memory. Beyond: 413.
    pub request_items: usize,
    /// Labels of a series, metric name included. Beyond: the series is refused, 400.
    pub labels_per_series: usize,
    /// Bytes of a label's name. Beyond: the series is refused, 400.
    pub label_name_bytes: usize,
    /// Bytes of a label's value. Beyond: the series is refused, 400.
    pub label_value_bytes: usize,
    /// Requests that are read and written at a time. Beyond: 503.
    pub requests_in_flight: usize,
    /// Bytes that these requests take in memory, bodies and what they are decoded to. Beyond: 503.
    pub in_flight_bytes: usize,
    /// What one sender may send. Beyond: 429.
    pub per_sender: PerSender,
    /// How far ahead of the wall clock a sample may lie. Beyond: the sample is refused, 400.
    pub future: DurationMs,
    /// Series that rules read, and as many that none reads. Beyond: a new series that is read is
    /// refused, 400; one that is not read is looked at anew with every sample, which is slower.
    pub series: usize,
    /// Samples that may wait for one shard's engine, 24 bytes each; what holds more memory than a
    /// float counts for as many. Beyond: 503 with `Retry-After`.
    pub log_samples: usize,
    /// Metrics whose metadata is kept. Beyond: that of further metrics is not kept.
    pub metadata: usize,
}

/// What one sender may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerSender {
    /// Samples a second; 0 = as many as it can.
    pub samples_per_second: u64,
    /// Samples at once, saved up while it sent less.
    pub burst: u64,
    /// Series that rules read and that it was the first to send; 0 = any number. Beyond: a new
    /// series is refused, 400.
    pub series: usize,
    /// The header that names the sender; without it senders are told apart by whom they were
    /// authenticated as, or by address.
    pub header: Option<HeaderName>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes: 32 << 20,
            request_decoded_bytes: 128 << 20,
            request_items: 1_000_000,
            labels_per_series: 128,
            label_name_bytes: 1024,
            label_value_bytes: 16_384,
            requests_in_flight: 256,
            in_flight_bytes: 1 << 30,
            per_sender: PerSender::default(),
            future: DurationMs::from_seconds(600),
            series: 5_000_000,
            log_samples: 5_000_000,
            metadata: 100_000,
        }
    }
}
