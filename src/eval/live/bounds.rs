//! What sums of counters' growth may come to, while samples leave their windows and new ones come.
//!
//! What leaves next is decoded already, so by how much a sum can shrink until all of that has left is
//! known. By how much it grows is counted as samples come, by who asks. A value is growth stretched
//! to the edges of a window: by at most 1.1 mean distances of samples at each end
//! (see [`Extrapolation`](crate::windows::Extrapolation)), and never shrunk.

use std::cell::RefCell;

use crate::model::{Labels, TimestampMs};
use crate::promql::ast::Aggregate;
use crate::windows::{Known, Leaving, NEAR, Spacing};

/// By how many mean distances of samples growth is stretched at most, at both ends together.
const STRETCHED_MAX: f64 = 2.0 * NEAR;

/// What rounding takes from a sum of a few numbers at most, as a part of them.
const ROUNDED: f64 = 1e-9;
/// What it takes from growth over as many resets as are remembered, as a part of what a counter had.
const ROUNDED_OF_START: f64 = 1e-12;

/// What the groups of one aggregation may come to, of which no two series are one without their names.
#[derive(Debug)]
pub struct SumBounds {
    /// Where it lies in memory, which tells it from the others of its expression.
    aggregate: usize,
    /// The groups, in no order; `None` where no bounds are known.
    pub groups: Option<Vec<GroupBounds>>,
}

/// What a group may come to, in what its counters grow by within their windows.
#[derive(Clone, Debug)]
pub struct GroupBounds {
    /// Its labels.
    pub labels: Labels,
    /// It comes to no more than this and `stretched` times what comes in addition.
    pub high: f64,
    /// How far growth may be stretched.
    pub stretched: f64,
    /// It comes to no less than this, as long as no counter falls.
    pub low: f64,
    /// Before this place of the frontier, ms.
    pub until: TimestampMs,
}

/// The bounds of the sums in an expression, gathered while it is evaluated.
#[derive(Debug, Default)]
pub struct Bounds(RefCell<Option<Vec<SumBounds>>>);

impl Bounds {
    /// Has them gathered from here on.
    pub fn gather(&self) {
        self.0.replace(Some(Vec::new()));
    }

    /// Tells whether they are gathered.
    pub fn are_gathered(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Adds those of an aggregation.
    pub(super) fn add(&self, aggregate: &Aggregate, groups: Option<Vec<GroupBounds>>) {
        if let Some(sums) = &mut *self.0.borrow_mut() {
            let aggregate = std::ptr::from_ref(aggregate).addr();
            sums.push(SumBounds { aggregate, groups });
        }
    }

    /// Returns what was gathered, if anything was to be, and ends that.
    pub fn take(&self) -> Option<Vec<SumBounds>> {
        self.0.take()
    }

    /// Takes what was gathered elsewhere.
    pub fn set(&self, gathered: Option<Vec<SumBounds>>) {
        self.0.replace(gathered);
    }
}

impl SumBounds {
    /// Tells whether they are those of an aggregation in the expression that was evaluated.
    pub fn are_of(&self, aggregate: &Aggregate) -> bool {
        self.aggregate == std::ptr::from_ref(aggregate).addr()
    }
}

impl GroupBounds {
    /// Returns the bounds of a group without members.
    pub(super) fn of_nothing(labels: Labels) -> GroupBounds {
        GroupBounds {
            labels,
            high: 0.0,
            stretched: 1.0,
            low: 0.0,
            until: TimestampMs::MAX,
        }
    }

    /// Has nothing known of it.
    pub(super) fn lose(&mut self) {
        self.until = TimestampMs::MIN;
    }

    /// Adds a member.
    pub(super) fn add(&mut self, known: &Known, leaving: impl FnOnce(u32) -> Option<Leaving>) {
        match known {
            // There is one sample at most, and of what comes the first two are stretched most.
            Known::Absent => self.stretched = self.stretched.max(1.0 + STRETCHED_MAX),
            Known::Fixed(fixed) => {
                let Spacing { n_samples, .. } = fixed.spacing;
                // Half of them stay, so that what is left is not stretched far.
                let Some(leaving) = leaving(n_samples / 2).filter(|_| fixed.change.is_finite())
                else {
                    return self.lose();
                };
                let n_distances = (n_samples - leaving.n_samples).max(2) - 1;
                let stretched = 1.0 + STRETCHED_MAX / f64::from(n_distances);
                self.stretched = self.stretched.max(stretched);
                let off = fixed.change.abs().max(leaving.most) * ROUNDED
                    + leaving.start.abs() * ROUNDED_OF_START;
                self.high += (fixed.change - leaving.least + off).max(0.0) * stretched;
                let low = fixed.change - leaving.most - off;
                self.low += match low > 0.0 {
                    // It may have no value any more.
                    true if n_samples - leaving.n_samples < 2 => 0.0,
                    true => low,
                    false => low * stretched,
                };
                // What falls takes from the others, and sums of both lose what is to be told.
                if low < -2.0 * off {
                    return self.lose();
                }
                self.until = self.until.min(leaving.until);
            }
            Known::Exact(..) => self.lose(),
        }
    }
}
