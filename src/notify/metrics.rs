//! What notifying counts, under the names of Prometheus where it has one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::TimestampMs;
use crate::notify::RecordedSample;
use crate::notify::latency::NotificationLatency;
use crate::notify::outcome::Outcome;
use crate::telemetry::Summary;

/// Prometheus' own buckets for a push, seconds.
const PUSH_BUCKETS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// Names a receiver by its push URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AlertmanagerLabel {
    /// The push URL.
    pub alertmanager: String,
}

/// Names a receiver of written samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RemoteLabel {
    /// Its name.
    pub remote_name: String,
    /// Its URL, without a password.
    pub url: String,
}

type ByAlertmanager<M> = Family<AlertmanagerLabel, M>;
type ByAlertmanagerHistogram = Family<AlertmanagerLabel, Histogram, fn() -> Histogram>;

/// Counts of notifying; clones count together.
#[derive(Clone, Debug)]
pub struct NotifyMetrics {
    pub(crate) sent: ByAlertmanager<Counter>,
    pub(crate) errors: ByAlertmanager<Counter>,
    pub(crate) dropped: ByAlertmanager<Counter>,
    pub(crate) queue_length: ByAlertmanager<Gauge>,
    pub(crate) queue_capacity: Gauge,
    pub(crate) discovered: Gauge,
    pub(crate) latency_summary: Summary,
    pub(crate) latency_histogram: ByAlertmanagerHistogram,
    pub(crate) latency: NotificationLatency,
    pub(crate) remote: RemoteMetrics,
}

/// Counts of writing samples back.
#[derive(Clone, Debug, Default)]
pub struct RemoteMetrics {
    pub(crate) samples: Family<RemoteLabel, Counter>,
    pub(crate) failed: Family<RemoteLabel, Counter>,
    pub(crate) retried: Family<RemoteLabel, Counter>,
    pub(crate) dropped: Family<RemoteLabel, Counter>,
    pub(crate) pending: Family<RemoteLabel, Gauge>,
    pub(crate) bytes: Family<RemoteLabel, Counter>,
    pub(crate) shards: Family<RemoteLabel, Gauge>,
    pub(crate) shards_max: Family<RemoteLabel, Gauge>,
    pub(crate) shards_desired: Family<RemoteLabel, Gauge>,
    pub(crate) highest_sent: Family<RemoteLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
    pub(crate) samples_in: Counter,
    pub(crate) highest_in: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl NotifyMetrics {
    /// Registers the metrics; summaries are not the registry's to hold, see
    /// [`NotifyMetrics::summaries`].
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = NotifyMetrics {
            sent: Family::default(),
            errors: Family::default(),
            dropped: Family::default(),
            queue_length: Family::default(),
            queue_capacity: Gauge::default(),
            discovered: Gauge::default(),
            latency_summary: Summary::new(
                "prometheus_notifications_latency_seconds",
                "Latency quantiles for sending alert notifications.",
                &[0.5, 0.9, 0.99],
                &["alertmanager"],
            ),
            latency_histogram: Family::new_with_constructor(|| Histogram::new(PUSH_BUCKETS)),
            latency: NotificationLatency::register(registry),
            remote: RemoteMetrics::default(),
        };
        let name = |tail: &str| format!("prometheus_notifications_{tail}");
        registry.register(
            name("sent"),
            "Total number of alerts sent",
            metrics.sent.clone(),
        );
        registry.register(
            name("errors"),
            "Total number of sent alerts affected by errors",
            metrics.errors.clone(),
        );
        registry.register(
            name("dropped"),
            "Total number of alerts dropped because they were refused or too many waited",
            metrics.dropped.clone(),
        );
        registry.register(
            name("queue_length"),
            "The number of alert notifications in the queue",
            metrics.queue_length.clone(),
        );
        registry.register(
            name("queue_capacity"),
            "The capacity of the alert notifications queue",
            metrics.queue_capacity.clone(),
        );
        registry.register(
            name("alertmanagers_discovered"),
            "The number of alertmanagers discovered and active",
            metrics.discovered.clone(),
        );
        registry.register(
            name("latency_histogram_seconds"),
            "Latency histogram for sending alert notifications",
            metrics.latency_histogram.clone(),
        );
        metrics.remote.register(registry);
        metrics
    }

    /// Returns the summaries, for whoever writes the exposition.
    pub fn summaries(&self) -> Vec<Summary> {
        vec![self.latency_summary.clone()]
    }

    /// Counts a push of `n_alerts` that began at `begun`.
    pub(crate) fn count(
        &self,
        label: &AlertmanagerLabel,
        outcome: &Outcome,
        n_alerts: usize,
        begun: TimestampMs,
        now: TimestampMs,
    ) {
        let n_alerts = n_alerts as u64;
        match outcome {
            Outcome::Delivered => {
                let seconds = (now - begun).seconds();
                self.sent.get_or_create(label).inc_by(n_alerts);
                self.latency_histogram.get_or_create(label).observe(seconds);
                self.latency_summary
                    .observe(&[&label.alertmanager], seconds);
            }
            Outcome::Refused(_) => {
                self.errors.get_or_create(label).inc_by(n_alerts);
                self.dropped.get_or_create(label).inc_by(n_alerts);
            }
            Outcome::Retry { .. } => {
                self.errors.get_or_create(label).inc_by(n_alerts);
            }
        }
    }

    pub(crate) fn set_waiting(&self, label: &AlertmanagerLabel, n_waiting: usize) {
        let n_waiting = i64::try_from(n_waiting).unwrap_or(i64::MAX);
        self.queue_length.get_or_create(label).set(n_waiting);
    }

    pub(crate) fn add_dropped(&self, label: &AlertmanagerLabel, n_dropped: usize) {
        self.dropped.get_or_create(label).inc_by(n_dropped as u64);
    }

    /// Makes a receiver's series exist at zero, so that rates over them work from the start.
    pub(crate) fn begin(&self, label: &AlertmanagerLabel) {
        self.sent.get_or_create(label).inc_by(0);
        self.errors.get_or_create(label).inc_by(0);
        self.dropped.get_or_create(label).inc_by(0);
        self.queue_length.get_or_create(label).set(0);
    }

    /// Ends a receiver's series.
    pub(crate) fn end(&self, label: &AlertmanagerLabel) {
        self.sent.remove(label);
        self.errors.remove(label);
        self.dropped.remove(label);
        self.queue_length.remove(label);
        self.latency_histogram.remove(label);
    }
}

impl RemoteMetrics {
    fn register(&self, registry: &mut Registry) {
        let name = |tail: &str| format!("prometheus_remote_storage_{tail}");
        let counters = [
            ("samples", "Total number of samples sent", &self.samples),
            (
                "samples_failed",
                "Total number of samples that the receiver refused",
                &self.failed,
            ),
            (
                "samples_retried",
                "Total number of samples sent again after a failure",
                &self.retried,
            ),
            (
                "samples_dropped",
                "Total number of samples dropped by relabelling, age or a full queue",
                &self.dropped,
            ),
            (
                "bytes",
                "Total number of bytes sent, compressed",
                &self.bytes,
            ),
        ];
        for (tail, help, family) in counters {
            registry.register(name(tail), help, family.clone());
        }
        let gauges = [
            (
                "samples_pending",
                "Samples waiting to be sent",
                &self.pending,
            ),
            ("shards", "Senders that run", &self.shards),
            ("shards_max", "Senders that may run", &self.shards_max),
            (
                "shards_desired",
                "Senders that the load asks for",
                &self.shards_desired,
            ),
        ];
        for (tail, help, family) in gauges {
            registry.register(name(tail), help, family.clone());
        }
        registry.register(
            name("queue_highest_sent_timestamp_seconds"),
            "Timestamp of the newest sample that was sent",
            self.highest_sent.clone(),
        );
        registry.register(
            name("samples_in"),
            "Samples that rules wrote",
            self.samples_in.clone(),
        );
        registry.register(
            name("highest_timestamp_in_seconds"),
            "Timestamp of the newest sample that rules wrote",
            self.highest_in.clone(),
        );
    }

    pub(crate) fn note_in(&self, samples: &[RecordedSample]) {
        self.samples_in.inc_by(samples.len() as u64);
        let newest = samples.iter().map(|sample| sample.at).max();
        if let Some(newest) = newest.filter(|newest| newest.seconds() > self.highest_in.get()) {
            self.highest_in.set(newest.seconds());
        }
    }

    pub(crate) fn count(
        &self,
        label: &RemoteLabel,
        outcome: &Outcome,
        samples: &[RecordedSample],
        n_bytes: usize,
    ) {
        let n_samples = samples.len() as u64;
        match outcome {
            Outcome::Delivered => {
                self.samples.get_or_create(label).inc_by(n_samples);
                self.bytes.get_or_create(label).inc_by(n_bytes as u64);
                let newest = samples.iter().map(|sample| sample.at).max();
                let highest = self.highest_sent.get_or_create(label);
                if let Some(newest) = newest.filter(|newest| newest.seconds() > highest.get()) {
                    highest.set(newest.seconds());
                }
            }
            Outcome::Refused(_) => {
                self.failed.get_or_create(label).inc_by(n_samples);
            }
            Outcome::Retry { .. } => {
                self.retried.get_or_create(label).inc_by(n_samples);
            }
        }
    }

    pub(crate) fn set_pending(&self, label: &RemoteLabel, n_waiting: usize) {
        let n_waiting = i64::try_from(n_waiting).unwrap_or(i64::MAX);
        self.pending.get_or_create(label).set(n_waiting);
    }

    pub(crate) fn add_dropped(&self, label: &RemoteLabel, n_dropped: usize) {
        self.dropped.get_or_create(label).inc_by(n_dropped as u64);
    }

    /// Makes a receiver's series exist; there is one sender, whatever the load.
    pub(crate) fn begin(&self, label: &RemoteLabel) {
        for counter in [
            &self.samples,
            &self.failed,
            &self.retried,
            &self.dropped,
            &self.bytes,
        ] {
            counter.get_or_create(label).inc_by(0);
        }
        self.pending.get_or_create(label).set(0);
        for gauge in [&self.shards, &self.shards_max, &self.shards_desired] {
            gauge.get_or_create(label).set(1);
        }
    }

    /// Ends a receiver's series.
    pub(crate) fn end(&self, label: &RemoteLabel) {
        for counter in [
            &self.samples,
            &self.failed,
            &self.retried,
            &self.dropped,
            &self.bytes,
        ] {
            counter.remove(label);
        }
        for gauge in [
            &self.pending,
            &self.shards,
            &self.shards_max,
            &self.shards_desired,
        ] {
            gauge.remove(label);
        }
        self.highest_sent.remove(label);
    }
}
