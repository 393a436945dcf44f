//! State that samples enter and leave: sums, extremes, regressions.

use std::any::Any;

use crate::history::{SeriesHistory, WalkCursor, Walked};
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};

/// What is kept of the samples between two cursors.
///
/// Samples leave in the order in which they entered. What a state is worth must follow from the
/// samples that are inside, and not from those that have been.
pub trait WindowState: Any + Send + std::fmt::Debug {
    /// A sample has come in at the newer end.
    fn enter(&mut self, sample: FloatPoint);

    /// The oldest sample inside has left.
    fn leave(&mut self, sample: FloatPoint);

    /// Returns the state as what it is, for the formulas that know.
    fn as_any(&self) -> &dyn Any;
}

/// A kind of state, by which functions of one window share it.
#[derive(Debug)]
pub struct StateKind {
    /// Its name, one of a kind.
    pub name: &'static str,
    /// Makes one in which there is nothing.
    pub make: fn() -> Box<dyn WindowState>,
}

/// A window with a state of its own.
#[derive(Debug)]
pub(super) struct StatefulWindow {
    pub head_lag: DurationMs,
    pub tail_lag: DurationMs,
    pub kind: &'static StateKind,
    head: WalkCursor,
    tail: WalkCursor,
    pub state: Box<dyn WindowState>,
    pub n_floats: usize,
    pub n_histograms: usize,
}

impl StatefulWindow {
    /// Returns an empty window at `after`; [`StatefulWindow::advance`] fills it.
    pub fn new(
        history: &SeriesHistory,
        (head_lag, tail_lag): (DurationMs, DurationMs),
        kind: &'static StateKind,
        after: TimestampMs,
    ) -> Self {
        StatefulWindow {
            head_lag,
            tail_lag,
            kind,
            head: history.walk_from(after),
            tail: history.walk_from(after),
            state: (kind.make)(),
            n_floats: 0,
            n_histograms: 0,
        }
    }

    /// Moves the window to `(after, until]`. Everything that leaves has entered before, also what
    /// the window passed over in one leap.
    pub fn advance(&mut self, history: &SeriesHistory, after: TimestampMs, until: TimestampMs) {
        while let Some(sample) = history.walk_next(&mut self.tail, until) {
            match sample.value {
                Walked::Float(value) if is_stale_nan(value) => {}
                Walked::Float(value) => {
                    self.n_floats += 1;
                    let at = sample.at;
                    self.state.enter(FloatPoint { at, value });
                }
                Walked::Histogram(histogram) if is_stale_nan(histogram.sum) => {}
                Walked::Histogram(_) => self.n_histograms += 1,
            }
        }
        while let Some(sample) = history.walk_next(&mut self.head, after) {
            match sample.value {
                Walked::Float(value) if is_stale_nan(value) => {}
                Walked::Float(value) => {
                    self.n_floats -= 1;
                    let at = sample.at;
                    self.state.leave(FloatPoint { at, value });
                }
                Walked::Histogram(histogram) if is_stale_nan(histogram.sum) => {}
                Walked::Histogram(_) => self.n_histograms -= 1,
            }
        }
    }
}
