//! How a function of a window is had without looking at the window's samples.

use crate::model::TimestampMs;
use crate::windows::{Edges, Held, StateKind};

/// What a formula is given besides the window.
#[derive(Clone, Copy, Debug)]
pub struct LiveArgs<'a> {
    /// The window's open left end, ms.
    pub start: TimestampMs,
    /// The window's closed right end, ms.
    pub end: TimestampMs,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The scalar arguments, in the order written.
    pub scalars: &'a [f64],
}

impl LiveArgs<'_> {
    /// Returns the window's length in seconds, rounded as Go rounds a duration.
    pub fn range_seconds(&self) -> f64 {
        let range = (self.end - self.start).0;
        (range / 1000) as f64 + (range % 1000 * 1_000_000) as f64 / 1e9
    }
}

/// What a window does not tell: its samples have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsSamples;

/// The incremental form of a function of one window of floats; `None` leaves the series out.
#[derive(Clone, Copy)]
pub enum LiveForm {
    /// From the edges alone.
    Edges(fn(&Edges<'_>, &LiveArgs<'_>) -> Option<f64>),
    /// From a state that every sample enters and leaves once.
    State {
        /// Which state; functions may share one.
        kind: &'static StateKind,
        /// What it is worth.
        formula: fn(&Held<'_>, &LiveArgs<'_>) -> Result<Option<f64>, NeedsSamples>,
    },
}
