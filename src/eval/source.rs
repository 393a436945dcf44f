//! What the interpreter asks for: what a leaf is worth at an instant.
//!
//! The interpreter resolves `offset` and `@` itself and asks with absolute instants.

use crate::functions::RangeSeries;
use crate::model::{Labels, SampleValue, TimestampMs};
use crate::promql::ast::VectorSelector;

/// What an instant selector found for one series.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSample {
    /// The series' labels, metric name included.
    pub labels: Labels,
    /// When the sample was taken (for `timestamp()`), ms.
    pub at: TimestampMs,
    /// Since when its counter has been counting (for `start_timestamp()`), ms;
    /// [`NO_START`](crate::model::NO_START) when it does not say.
    pub start: TimestampMs,
    /// Its value; never a stale marker.
    pub value: SampleValue,
}

/// Where leaves get their values.
pub trait Source {
    /// Returns, in one order for all instants, the newest sample in `(after, at]` of each series that
    /// `selector` matches; series whose newest sample there is a stale marker are left out.
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample>;

    /// Returns, in the same order, the samples in `(after, until]` without stale markers;
    /// series without any are left out.
    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<RangeSeries<'_>>;
}
