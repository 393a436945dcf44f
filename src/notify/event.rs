//! What the engines tell the notifiers.

use std::sync::Arc;

use crate::model::{AlertMessage, AlertStatus, Labels, SampleValue, TimestampMs};

/// Something about one alert.
#[derive(Clone, Debug, PartialEq)]
pub enum AlertEvent {
    /// Its newest state.
    State(AlertMessage),
    /// It is pending (again): if it was resolved before, that is told once and not repeated.
    Pending(Labels),
    /// It is not ours to speak of any more: nothing is sent, receivers let it expire.
    Forget(Labels),
}

impl AlertEvent {
    /// Returns whose event it is.
    pub fn labels(&self) -> &Labels {
        match self {
            AlertEvent::State(message) => &message.labels,
            AlertEvent::Pending(labels) | AlertEvent::Forget(labels) => labels,
        }
    }
}

/// One alert's event, shared between receivers.
#[derive(Clone, Debug)]
pub enum AlertUpdate {
    /// Its newest state.
    State(Arc<AlertMessage>),
    /// It is pending; see [`AlertEvent::Pending`].
    Pending(Labels),
    /// It is not ours to speak of any more.
    Forget(Labels),
}

impl From<AlertEvent> for AlertUpdate {
    fn from(event: AlertEvent) -> Self {
        match event {
            AlertEvent::State(message) => AlertUpdate::State(Arc::new(message)),
            AlertEvent::Pending(labels) => AlertUpdate::Pending(labels),
            AlertEvent::Forget(labels) => AlertUpdate::Forget(labels),
        }
    }
}

/// A sample that a rule wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedSample {
    /// The series, metric name included.
    pub labels: Labels,
    /// Its timestamp, ms.
    pub at: TimestampMs,
    /// Its value; a stale marker ends the series.
    pub value: SampleValue,
}

/// Tells whether two messages of one alert are of the same firing or the same resolution; the
/// texts may differ.
pub(crate) fn is_same_state(old: &AlertMessage, new: &AlertMessage) -> bool {
    match (old.status, new.status) {
        (AlertStatus::Firing, AlertStatus::Firing) => old.fired_at == new.fired_at,
        (old, new) => old == new,
    }
}
