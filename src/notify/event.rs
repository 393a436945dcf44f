//! What the engines tell the notifiers.

use crate::model::{AlertMessage, Labels, SampleValue, TimestampMs};

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
