//! An alert on its way out of the engine: what a notifier is told.

use std::sync::Arc;

use crate::model::{DurationMs, Labels, TimestampMs};

/// Whether an alert is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertStatus {
    /// It holds now.
    Firing,
    /// It held and was taken back at `resolved_at` (event time, ms).
    Resolved {
        /// When it was taken back.
        resolved_at: TimestampMs,
    },
}

/// The newest state of one alert. It says for how long it is valid, not until when: the notifier
/// stamps the end by the wall clock at sending (DESIGN 2.10).
#[derive(Clone, Debug, PartialEq)]
pub struct AlertMessage {
    /// The alert's labels with `alertname`, without external labels; its identity.
    pub labels: Labels,
    /// Annotations, expanded, sorted by name; an empty text is kept.
    pub annotations: Arc<[(String, String)]>,
    /// What surrounds it, as JSON, where its rule asks for that.
    pub context: Option<Arc<str>>,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// When it began to fire, event time in ms.
    pub fired_at: TimestampMs,
    /// How long a receiver may believe in it: four times the longer of interval and resend delay.
    pub valid_for: DurationMs,
    /// The rule's expression, canonical, for the generator URL.
    pub expr: Arc<str>,
    /// The number of the stamp that let the frontier pass what caused it, for the latency meter.
    pub caused_by: u64,
    /// The wall clock (ms) of that stamp.
    pub caused_at_wall: TimestampMs,
    /// `true` when found in a backlog or replay: coalesced to the newest state before sending.
    pub backlog: bool,
}
