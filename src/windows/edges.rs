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
        let before_last = self.tail.before_last(self.history);
        before_last.filter(|_| self.n_samples > 1)
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

/// A window with native histograms in it, perhaps among floats: the first and the last sample here
/// may stand for one.
#[derive(Clone, Copy, Debug)]
pub struct HistogramEdges<'a>(pub(super) Edges<'a>);

impl HistogramEdges<'_> {
    /// Returns the oldest sample.
    pub fn first(&self) -> Option<Point> {
        resolved(self.0.history, self.0.first)
    }

    /// Returns the newest.
    pub fn last(&self) -> Option<Point> {
        resolved(self.0.history, self.0.last)
    }

    /// Returns the one before the newest, where there are two.
    pub fn before_last(&self) -> Option<Point> {
        resolved(self.0.history, self.0.before_last()?)
    }

    /// Returns how many samples there are.
    pub fn n_samples(&self) -> usize {
        self.0.n_samples
    }

    /// Tells whether all are histograms of one layout, and each goes on from the one before.
    pub fn is_steady(&self) -> bool {
        !self.0.breaks.has_histograms()
    }
}
