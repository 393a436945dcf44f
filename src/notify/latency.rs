//! From the first byte of a request to the first byte of the notification that it caused.
//!
//! The request is the one that let the frontier pass the sample that crossed the line, so what
//! the rest of a scrape, `for` or a sender's batching take is not in it; a webhook's `group_wait`
//! and pauses after failures are. Counted is each new state of an alert, once for each receiver,
//! when the receiver has taken it. Not counted: resends, alerts that only read differently, what
//! was found in a backlog, and what the wall clock alone brought about, for lack of a request.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::arrivals::{Arrivals, Moment};
use crate::model::{AlertMessage, AlertStatus};

/// Seconds: fine around what an idle and a busy machine take, up to where waiting is by design.
const BUCKETS: [f64; 22] = [
    0.000_25, 0.000_5, 0.000_75, 0.001, 0.001_5, 0.002, 0.003, 0.004, 0.005, 0.007_5, 0.01, 0.02,
    0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 60.0,
];

/// A kind of receiver of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// An Alertmanager.
    Alertmanager,
    /// A webhook.
    Webhook,
}

impl Receiver {
    fn name(self) -> &'static str {
        match self {
            Receiver::Alertmanager => "alertmanager",
            Receiver::Webhook => "webhook",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LatencyLabels {
    receiver: &'static str,
    status: &'static str,
}

const FIRING: &str = "firing";
const RESOLVED: &str = "resolved";

/// The histogram; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct NotificationLatency(Family<LatencyLabels, Histogram, fn() -> Histogram>);

impl NotificationLatency {
    /// Registers the histogram.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let family = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> _);
        registry.register_with_unit(
            "burnwatch_notification_latency",
            "From the first byte of the request that caused a notification to the first byte of \
             the notification",
            Unit::Seconds,
            family.clone(),
        );
        NotificationLatency(family)
    }

    /// Makes the histograms of a kind of receiver exist at zero, so that rates over them work
    /// from the start.
    pub(crate) fn begin(&self, receiver: Receiver) {
        for status in [FIRING, RESOLVED] {
            let receiver = receiver.name();
            drop(self.0.get_or_create(&LatencyLabels { receiver, status }));
        }
    }

    /// Notes what a receiver took that it had not had before, in a request whose first byte left
    /// then.
    pub(crate) fn observe<'a>(
        &self,
        receiver: Receiver,
        news: impl Iterator<Item = &'a AlertMessage>,
        departed: Moment,
        arrivals: &Arrivals,
    ) {
        let receiver = receiver.name();
        for message in news.filter(|message| !message.backlog) {
            let stamped = message.caused_at_wall;
            if let Some(latency) = arrivals.until(message.caused_by, stamped, departed) {
                let status = match message.status {
                    AlertStatus::Firing => FIRING,
                    AlertStatus::Resolved { .. } => RESOLVED,
                };
                let labels = LatencyLabels { receiver, status };
                self.0.get_or_create(&labels).observe(latency.as_secs_f64());
            }
        }
    }
}
