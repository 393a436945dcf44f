//! Detectors that go from sample to sample and never forget, over windows.
//!
//! What such a detector comes to depends on where it began, so a window has to say that, and so
//! that it need not begin anew at every evaluation. Time is cut into blocks of half a window, on
//! the grid of the Unix epoch. **The detector of a window `(t - w, t]` begins at the first boundary
//! of blocks at or after `t - w`**, so it has seen between half of the window and all of it, as
//! far as there are samples. That is a function of the samples in the window alone, and at any
//! time only two or three boundaries are of use: a detector is begun at each, and every sample is
//! given to all of them once.
//!
//! ```text
//!   blocks  │         │         │         │         │
//!   window       (────────w─────────]                  the detector begun at a has seen
//!                     a                                 (a, t], later that begun at b
//!   later             (────────w─────────]
//!                               b
//! ```
//!
//! Cost: two or three steps of the detector a sample, and as many times its memory.

use std::any::Any;
use std::fmt::Debug;

use smallvec::SmallVec;

use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Inside, WindowState};

/// What takes one sample after another. What it comes to depends on those alone.
pub trait Detector: Clone + Debug + Send + 'static {
    /// Goes on by one sample.
    fn take(&mut self, sample: FloatPoint);
}

/// Returns how long a block of a window is.
fn block_of(range: DurationMs) -> i64 {
    (range.0 / 2).max(1)
}

/// Returns the first boundary of blocks at or after a window's beginning: samples after it count.
pub fn first_boundary(start: TimestampMs, range: DurationMs) -> TimestampMs {
    let block = block_of(range);
    let is_beside = start.0.rem_euclid(block) != 0;
    let block_number = start.0.div_euclid(block) + i64::from(is_beside);
    TimestampMs(block_number.saturating_mul(block))
}

/// A detector with the boundary that it began at.
#[derive(Clone, Debug)]
struct Begun<D> {
    at: TimestampMs,
    detector: D,
}

/// The detectors of a window that moves.
#[derive(Clone, Debug)]
pub struct Blocks<D> {
    /// One that has seen nothing.
    fresh: D,
    range: DurationMs,
    /// Samples up to here are not looked at.
    since: TimestampMs,
    /// By boundary; those between which nothing has come are one, at the last.
    begun: SmallVec<[Begun<D>; 1]>,
}

impl<D: Detector> Blocks<D> {
    /// Makes one for windows of a length, which does not look at what was up to `since`.
    pub fn new(fresh: D, range: DurationMs, since: TimestampMs) -> Self {
        Blocks {
            fresh,
            range,
            since,
            begun: SmallVec::new(),
        }
    }

    /// Returns the detector of a window, and the boundary that it began at: it is that of all
    /// windows that begin up to there. `None` where it has seen nothing.
    pub fn of_window(&self, start: TimestampMs) -> Option<(&D, TimestampMs)> {
        let begun = self.begun.iter().find(|begun| begun.at >= start)?;
        Some((&begun.detector, begun.at))
    }
}

impl<D: Detector> WindowState for Blocks<D> {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if sample.at <= self.since {
            return;
        }
        // The window that ends here or later begins here or later.
        let start = sample.at - self.range;
        self.begun.retain(|begun| begun.at >= start);
        let block = block_of(self.range);
        let boundary = TimestampMs((sample.at.0 - 1).div_euclid(block).saturating_mul(block));
        if self.begun.last().is_none_or(|begun| begun.at < boundary) {
            self.begun.push(Begun {
                at: boundary,
                detector: self.fresh.clone(),
            });
        }
        for begun in &mut self.begun {
            begun.detector.take(sample);
        }
    }

    fn leave(&mut self, _: FloatPoint, _: &Inside<'_>) {
        // A detector that has seen it is of no use any more, since the window begins after the
        // boundary.
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
