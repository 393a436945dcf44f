//! The floats of a series side by side, for whoever asks for one window after the other.
//!
//! Cost: a copy once; then a window a little later than the last is found in O(1) and is a slice.

use std::cell::Cell;

use crate::history::SeriesHistory;
use crate::model::{FloatPoint, TimestampMs};

/// So many samples are looked at one by one before the rest is searched.
const STEPS_MAX: usize = 64;

/// The floats of a series from an instant on, without stale markers.
#[derive(Debug)]
pub struct FlatFloats {
    after: TimestampMs,
    points: Vec<FloatPoint>,
    /// Where the last window began and ended.
    last: Cell<(usize, usize)>,
}

impl FlatFloats {
    /// Copies what lies after `after`; `None` where there are histograms, or more than
    /// `n_samples_max` samples.
    pub fn new(
        history: &SeriesHistory,
        after: TimestampMs,
        n_samples_max: usize,
    ) -> Option<FlatFloats> {
        if history.len_after(after) > n_samples_max {
            return None;
        }
        let samples = history.window(after, TimestampMs::MAX);
        samples.histograms.is_empty().then(|| FlatFloats {
            after,
            points: samples.floats.into_owned(),
            last: Cell::default(),
        })
    }

    /// Returns the number of floats.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Returns the floats in `(after, until]`; `None` when some may be missing.
    pub fn window(&self, after: TimestampMs, until: TimestampMs) -> Option<&[FloatPoint]> {
        if after < self.after {
            return None;
        }
        let (from, to) = self.last.get();
        let from = self.first_after(after, from);
        let to = self.first_after(until, to.max(from));
        self.last.set((from, to));
        Some(&self.points[from..to])
    }

    /// Returns where the first sample after `at` stands, looking from `near` on.
    fn first_after(&self, at: TimestampMs, near: usize) -> usize {
        let (before, behind) = self.points.split_at(near);
        if before.last().is_some_and(|point| point.at > at) {
            return before.partition_point(|point| point.at <= at);
        }
        let ahead = behind.iter().take(STEPS_MAX);
        let n_ahead = ahead.take_while(|point| point.at <= at).count();
        if n_ahead < STEPS_MAX {
            return near + n_ahead;
        }
        near + behind.partition_point(|point| point.at <= at)
    }
}
