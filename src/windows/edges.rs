//! What is known of a window from its edges: its first and last samples, how many there are, and
//! where in between the series was reset.

use crate::history::SeriesHistory;
use crate::model::{FloatPoint, Point};
use crate::windows::Spacing;
use crate::windows::breaks::BreaksInside;
use crate::windows::cursor::{Tail, resolved};

/// A window of floats, at least one.
#[derive(Clone, Copy, Debug)]
pub struct Edges<'a> {
    /// The oldest sample.
    pub first: FloatPoint,
    /// The newest.
    pub last: FloatPoint,
    /// How many there are.
    pub n_samples: usize,
    pub(super) breaks: BreaksInside<'a>,
    pub(super) history: &'a SeriesHistory,
    pub(super) tail: &'a Tail,
}

impl Edges<'_> {
    /// Returns the sample before the newest, where there are two.
    pub fn before_last(&self) -> Option<FloatPoint> {
        before_last(self.tail, self.history, self.n_samples)
    }

    /// Returns where the samples lie, if there are two at least.
    #[inline]
    pub fn spacing(&self) -> Option<Spacing> {
        let n_samples = u32::try_from(self.n_samples).ok().filter(|n| *n >= 2)?;
        Some(Spacing {
            first: self.first.at,
            last: self.last.at,
            n_samples,
        })
    }

    /// Returns how often a sample is less than the one before it.
    pub fn n_resets(&self) -> usize {
        self.breaks.len()
    }

    /// Iterates over the values that were lost in resets within the window, in order of time.
    pub fn lost(&self) -> impl Iterator<Item = f64> + '_ {
        self.breaks.lost()
    }
}

/// A window with native histograms in it, perhaps among floats.
#[derive(Clone, Copy, Debug)]
pub struct HistogramEdges<'a> {
    pub(super) history: &'a SeriesHistory,
    pub(super) first: FloatPoint,
    pub(super) last: FloatPoint,
    pub(super) tail: &'a Tail,
    /// How many samples there are.
    pub n_samples: usize,
    /// Whether all are histograms of one layout, and each goes on from the one before.
    pub is_steady: bool,
}

impl HistogramEdges<'_> {
    /// Returns the oldest sample.
    pub fn first(&self) -> Option<Point> {
        resolved(self.history, self.first)
    }

    /// Returns the newest.
    pub fn last(&self) -> Option<Point> {
        resolved(self.history, self.last)
    }

    /// Returns the one before the newest, where there are two.
    pub fn before_last(&self) -> Option<Point> {
        let before_last = before_last(self.tail, self.history, self.n_samples)?;
        resolved(self.history, before_last)
    }
}

/// Returns the sample before the newest of a window that has so many and ends at a tail.
fn before_last(tail: &Tail, history: &SeriesHistory, n_samples: usize) -> Option<FloatPoint> {
    tail.before_last(history).filter(|_| n_samples > 1)
}
