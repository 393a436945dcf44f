//! What leaves a window next, and by how much less its counter has grown then.
//!
//! It is decoded already, as far as a run goes (`windows::run`), so what a window can lose until all of
//! that has left is known beforehand. Called for the bounds of sums (`eval::live::bounds`).

use crate::history::SeriesHistory;
use crate::model::{FloatPoint, TimestampMs};
use crate::windows::Span;
use crate::windows::cursor::{Head, Stand};

/// What leaves a window, until some place of the frontier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaving {
    /// Before this place of the frontier, ms, nothing else leaves.
    pub until: TimestampMs,
    /// How many samples do.
    pub n_samples: u32,
    /// The oldest sample's value.
    pub start: f64,
    /// How much of a counter's growth leaves at least: negative where it was reset to less than
    /// nothing.
    pub least: f64,
    /// How much leaves at most.
    pub most: f64,
}

impl Leaving {
    /// Returns that nothing leaves before the oldest sample, which does so when the frontier is at a
    /// place, ms.
    pub(super) fn nothing_before(oldest: FloatPoint, until: TimestampMs) -> Leaving {
        Leaving {
            until,
            n_samples: 0,
            start: oldest.value,
            least: 0.0,
            most: 0.0,
        }
    }
}

impl Head {
    /// Returns what leaves next, so many samples at most, as far as it is decoded.
    pub fn leaving(
        &mut self,
        history: &SeriesHistory,
        span: Span<'_>,
        n_max: u32,
    ) -> Option<Leaving> {
        let run = match &mut self.stand {
            Stand::At(_) => {
                let next = self.looked_at(history)?;
                return Some(Leaving::nothing_before(next, span.leaves_at(next.at)));
            }
            Stand::In(run) => run,
        };
        if span.ahead.decodes {
            run.top_up(history, span.ahead.cold);
        }
        let mut points = run.ahead().iter();
        let mut first = *points.next()?;
        let mut leaving = Leaving::nothing_before(first, first.at);
        let mut left = 0.0;
        for next in points.take(n_max as usize) {
            // What was lost at a reset is not lost with what lay before.
            left += match next.value < first.value {
                true => next.value,
                false => next.value - first.value,
            };
            leaving.least = leaving.least.min(left);
            leaving.most = leaving.most.max(left);
            leaving.n_samples += 1;
            first = *next;
        }
        leaving.until = span.leaves_at(first.at);
        Some(leaving)
    }
}
