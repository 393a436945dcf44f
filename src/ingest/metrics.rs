//! What receiving counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::ingest::answer::Refusal;
use crate::ingest::rejection::Reason;
use crate::model::TimestampMs;

/// The label of a reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: &'static str,
}

/// The labels of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    protocol: &'static str,
    code: u16,
}

/// The label of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SenderLabel {
    sender: String,
}

/// Senders told apart; further ones share the sender `other`.
const SENDERS_MAX: usize = 64;

/// A sender and how it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// Requests since start.
    pub requests: u64,
    /// Samples taken since start.
    pub samples: u64,
    /// Wall clock of its last request, ms.
    pub last_request: TimestampMs,
    /// Requests that were refused whole and are to come again.
    pub refused: u64,
    /// Why its last request was refused, where it was.
    pub last_error: Option<String>,
}

/// Returns the name under which a sender is counted.
fn told_apart<'a>(known: &BTreeMap<String, Sender>, sender: &'a str) -> &'a str {
    if known.contains_key(sender) || known.len() < SENDERS_MAX {
        return sender;
    }
    "other"
}

/// The metrics of receiving. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct IngestMetrics {
    accepted: Counter,
    dropped: Family<ReasonLabel, Counter>,
    rejected: Family<ReasonLabel, Counter>,
    requests: Family<RequestLabels, Counter>,
    refused: Family<ReasonLabel, Counter>,
    refused_of: Family<SenderLabel, Counter>,
    samples_of: Family<SenderLabel, Counter>,
    clock_lag: Family<SenderLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
    series_of: Family<SenderLabel, Gauge>,
    senders: Arc<Mutex<BTreeMap<String, Sender>>>,
    invalid_labels: Counter,
    repeated: Counter,
    series: Gauge,
    series_unread: Gauge,
}

impl IngestMetrics {
    /// Registers all metrics.
    pub fn register(&self, registry: &mut Registry) {
        // Every reason from the start, so that the first refusal shows as an increase.
        for reason in Reason::ALL {
            self.add_rejected(reason, 0);
        }
        for reason in ["unread", "recorded"] {
            self.dropped
                .get_or_create(&ReasonLabel { reason })
                .inc_by(0);
        }
        for refusal in Refusal::ALL {
            let reason = refusal.name();
            self.refused
                .get_or_create(&ReasonLabel { reason })
                .inc_by(0);
        }
        registry.register(
            "burnwatch_samples_accepted",
            "Valid samples received, read by a rule or not",
            self.accepted.clone(),
        );
        registry.register(
            "burnwatch_samples_dropped_at_door",
            "Valid samples dropped because no rule reads them, or because a rule records them",
            self.dropped.clone(),
        );
        registry.register(
            "burnwatch_samples_rejected",
            "Samples, histograms and exemplars refused",
            self.rejected.clone(),
        );
        registry.register(
            "burnwatch_remote_write_requests",
            "Remote-write requests by protocol and status code",
            self.requests.clone(),
        );
        registry.register(
            "burnwatch_remote_write_requests_refused",
            "Requests refused whole though nothing is wrong with them, answered 503 or 429: the \
             sender is to come again",
            self.refused.clone(),
        );
        registry.register(
            "burnwatch_sender_requests_refused",
            "The same by sender",
            self.refused_of.clone(),
        );
        registry.register(
            "burnwatch_sender_samples",
            "Valid samples by sender",
            self.samples_of.clone(),
        );
        registry.register(
            "burnwatch_remote_write_requests_repeated",
            "Requests that were an exact repetition and answered as before",
            self.repeated.clone(),
        );
        registry.register(
            "burnwatch_clock_lag_seconds",
            "Wall clock less the newest timestamp of a sender's last request",
            self.clock_lag.clone(),
        );
        registry.register(
            "burnwatch_sender_series",
            "Series that rules read and that the sender was the first to send, where limits: \
             per_sender: series bounds them",
            self.series_of.clone(),
        );
        registry.register(
            "burnwatch_ingest_series",
            "Series that rules read",
            self.series.clone(),
        );
        registry.register(
            "burnwatch_ingest_series_unread",
            "Series that no rule reads and whose route is remembered",
            self.series_unread.clone(),
        );
        registry.register(
            "prometheus_api_remote_write_invalid_labels_samples",
            "Samples and histograms rejected due to invalid labels",
            self.invalid_labels.clone(),
        );
    }

    /// Counts valid samples.
    pub fn add_accepted(&self, n: u64) {
        self.accepted.inc_by(n);
    }

    /// Counts samples dropped because no rule reads them.
    pub fn add_unread(&self, n: u64) {
        if n > 0 {
            self.dropped
                .get_or_create(&ReasonLabel { reason: "unread" })
                .inc_by(n);
        }
    }

    /// Counts samples dropped because a rule records their name.
    pub fn add_recorded(&self, n: u64) {
        if n > 0 {
            self.dropped
                .get_or_create(&ReasonLabel { reason: "recorded" })
                .inc_by(n);
        }
    }

    /// Counts what was refused.
    pub fn add_rejected(&self, reason: Reason, n: u64) {
        let label = ReasonLabel {
            reason: reason.name(),
        };
        self.rejected.get_or_create(&label).inc_by(n);
        if reason.is_about_labels() {
            self.invalid_labels.inc_by(n);
        }
    }

    /// Counts a request.
    pub fn add_request(&self, protocol: &'static str, code: u16) {
        self.requests
            .get_or_create(&RequestLabels { protocol, code })
            .inc();
    }

    /// Counts a request that is to come again.
    pub fn add_refused(&self, refusal: Refusal, sender: &str) {
        let reason = refusal.name();
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
        let mut senders = self.senders.lock();
        let sender = told_apart(&senders, sender).to_owned();
        senders.entry(sender.clone()).or_default().refused += 1;
        self.refused_of.get_or_create(&SenderLabel { sender }).inc();
    }

    /// Counts a repeated request.
    pub fn add_repeated(&self) {
        self.repeated.inc();
    }

    /// Sets how far a sender's newest sample is behind the wall clock, in seconds.
    pub fn set_clock_lag(&self, sender: &str, seconds: f64) {
        let sender = told_apart(&self.senders.lock(), sender).to_owned();
        self.clock_lag
            .get_or_create(&SenderLabel { sender })
            .set(seconds);
    }

    /// Sets how many series a sender has brought.
    pub fn set_series_of(&self, sender: &str, n_series: usize) {
        let sender = told_apart(&self.senders.lock(), sender).to_owned();
        let gauge = self.series_of.get_or_create(&SenderLabel { sender });
        gauge.set(i64::try_from(n_series).unwrap_or(i64::MAX));
    }

    /// Sets the numbers of series.
    pub fn set_series(&self, read: usize, unread: usize) {
        self.series.set(i64::try_from(read).unwrap_or(i64::MAX));
        self.series_unread
            .set(i64::try_from(unread).unwrap_or(i64::MAX));
    }

    /// Returns the number of refused samples so far.
    pub fn rejected(&self) -> u64 {
        let of = |reason: Reason| ReasonLabel {
            reason: reason.name(),
        };
        let counts = Reason::ALL
            .into_iter()
            .map(|reason| self.rejected.get_or_create(&of(reason)).get());
        counts.sum()
    }

    /// Returns the series that are read and those that are not, as counted last.
    pub fn n_series(&self) -> (usize, usize) {
        let of = |gauge: &Gauge| usize::try_from(gauge.get()).unwrap_or(0);
        (of(&self.series), of(&self.series_unread))
    }

    /// Returns who sends, sorted by name.
    pub fn senders(&self) -> Vec<(String, Sender)> {
        let senders = self.senders.lock();
        senders
            .iter()
            .map(|(name, sender)| (name.clone(), sender.clone()))
            .collect()
    }

    /// Notes a sender's request at an instant of the wall clock: the samples taken, and why not
    /// all, where it was refused.
    pub fn add_request_of(&self, sender: &str, now: TimestampMs, samples: u64, error: &str) {
        let mut senders = self.senders.lock();
        let name = told_apart(&senders, sender).to_owned();
        if samples > 0 {
            let sender = name.clone();
            let counter = self.samples_of.get_or_create(&SenderLabel { sender });
            counter.inc_by(samples);
        }
        let sender = senders.entry(name).or_default();
        sender.requests += 1;
        sender.samples += samples;
        sender.last_request = now;
        sender.last_error = (!error.is_empty()).then(|| error.to_owned());
    }

    /// Returns the number of valid samples so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_from_the_start_and_senders_are_bounded() {
        let (metrics, mut registry) = (IngestMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics.add_rejected(Reason::DuplicateLabel, 3);
        metrics.add_request("1.0", 204);
        for n in 0..100 {
            let sender = format!("10.0.0.{n}");
            metrics.add_request_of(&sender, TimestampMs(0), 1, "");
            metrics.set_clock_lag(&sender, 1.5);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            "burnwatch_samples_dropped_at_door_total{reason=\"recorded\"} 0",
            "burnwatch_samples_rejected_total{reason=\"out_of_order\"} 0",
            "burnwatch_samples_rejected_total{reason=\"duplicate_label\"} 3",
            "prometheus_api_remote_write_invalid_labels_samples_total 3",
            "burnwatch_remote_write_requests_total{protocol=\"1.0\",code=\"204\"} 1",
            "burnwatch_clock_lag_seconds{sender=\"other\"} 1.5",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} in:\n{text}"
            );
        }
        let senders = text.matches("burnwatch_clock_lag_seconds{").count();
        assert_eq!(senders, SENDERS_MAX + 1);
    }
}
