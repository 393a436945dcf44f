//! One model of a group of series, from the boundary of a block at which it begins.
//!
//! The value of the function over a window of length `w` is to follow from the samples inside,
//! whoever looks and since when, and yet cost a bounded time a point. So the model that answers is
//! the one that began at the first boundary inside the window, of blocks of `w / 2` on an absolute
//! grid ([`first_boundary`]): it has seen all points since, between half of the window and all of
//! it. Whoever moves along with time keeps the models that begin at boundaries still ahead of the
//! window's left edge: two, or three for an instant.
//!
//! Called by the function itself, which goes through a window from the boundary on, and by
//! `eval::live`, which keeps models and shows each the points that come.

use std::sync::Arc;

use crate::functions::forest::half_space_trees::HalfSpaceForest;
use crate::functions::forest::isolation::IsolationForest;
use crate::functions::forest::random_cut::RandomCutForest;
use crate::functions::forest::settings::{Kind, Settings};
use crate::model::{DurationMs, Labels, TimestampMs};
use crate::windows::first_boundary;

/// The grid at which models begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundaries {
    range: DurationMs,
}

impl Boundaries {
    /// Returns the boundaries of a window's length.
    pub fn of(range: DurationMs) -> Self {
        Boundaries { range }
    }

    /// Returns the first boundary at or after an instant.
    pub fn first_from(self, at: TimestampMs) -> TimestampMs {
        first_boundary(at, self.range)
    }

    /// Returns the next boundary.
    pub fn next(self, boundary: TimestampMs) -> TimestampMs {
        self.first_from(TimestampMs(boundary.0.saturating_add(1)))
    }
}

/// What a model says of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    /// The higher the odder.
    pub score: f64,
    /// Whether it is above the threshold, where there is one.
    pub is_rare: bool,
}

/// A model.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) trees: Trees,
    /// The end of its first block.
    pub(super) first_block_ends: TimestampMs,
    pub(super) n_seen: u64,
    /// Whether a point has been scored.
    pub(super) has_scored: bool,
    pub(super) value: Option<f64>,
}

/// What a model has learned. A clone is had at once; the next point copies what two have.
#[derive(Clone, Debug)]
pub(super) enum Trees {
    HalfSpace(Arc<HalfSpaceForest>),
    RandomCut(Arc<RandomCutForest>),
    Isolation(Arc<IsolationForest>),
}

impl Model {
    /// Begins the model of a group at a boundary.
    pub fn begin(
        settings: &Settings,
        (group, n_dims): (&Labels, usize),
        (boundaries, boundary): (Boundaries, TimestampMs),
    ) -> Self {
        let seed = settings.seed_of(group, boundary.0);
        Model {
            trees: match settings.kind {
                Kind::HalfSpaceTrees => {
                    Trees::HalfSpace(HalfSpaceForest::begin(settings, n_dims, seed).into())
                }
                Kind::RandomCut => {
                    Trees::RandomCut(RandomCutForest::begin(settings, n_dims, seed).into())
                }
                Kind::Isolation => Trees::Isolation(IsolationForest::begin(n_dims, seed).into()),
            },
            first_block_ends: boundaries.next(boundary),
            n_seen: 0,
            has_scored: false,
            value: None,
        }
    }

    /// Shows it the next point; all values of it, in the order of the dimension label. One that is
    /// not finite is answered by NaN and not learned.
    pub fn observe(&mut self, settings: &Settings, at: TimestampMs, point: &[f64]) {
        let is_warm = self.n_seen >= settings.min_points;
        if point.iter().any(|value| !value.is_finite()) {
            self.value = self.has_scored.then_some(f64::NAN);
            return;
        }
        self.n_seen += 1;
        let verdict = match &mut self.trees {
            Trees::HalfSpace(forest) => Arc::make_mut(forest).observe(settings, point),
            Trees::RandomCut(forest) => Arc::make_mut(forest).observe(settings, point, is_warm),
            Trees::Isolation(forest) => {
                let is_trained = at > self.first_block_ends;
                Arc::make_mut(forest).observe(settings, point, is_trained)
            }
        };
        let value = |verdict: Verdict| match settings.contamination {
            Some(_) => f64::from(u8::from(verdict.is_rare)),
            None => verdict.score,
        };
        self.value = verdict.filter(|_| is_warm).map(value);
        self.has_scored |= self.value.is_some();
    }

    /// Returns what the last point is worth; nothing during warm-up.
    pub fn value(&self) -> Option<f64> {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_boundary_in_a_window() {
        let boundaries = Boundaries::of(DurationMs(100));
        let first = |at: i64| boundaries.first_from(TimestampMs(at)).0;
        assert_eq!([first(0), first(1), first(50), first(51)], [0, 50, 50, 100]);
        assert_eq!([first(-1), first(-50), first(-51)], [0, -50, -50]);
        assert_eq!(
            Boundaries::of(DurationMs(1)).first_from(TimestampMs(7)).0,
            7
        );
    }
}
