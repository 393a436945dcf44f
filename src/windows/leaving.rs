//! What leaves a window next, and by how much less its counter has grown then.
//!
//! It is decoded already, as far as a run goes (`windows::run`), so what a window can lose until all of
//! that has left is known beforehand. Called for the bounds of sums (`eval::live::bounds`).

use crate::history::SeriesHistory;
use crate::model::{FloatPoint, TimestampMs};
use crate::windows::cursor::Stand;
use crate::windows::{SeriesWindows, Span};

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
    /// Returns what leaves when samples that lie in a window one after the other do, all but the last;
    /// `None` where there is none.
    fn of(points: &[FloatPoint], span: Span<'_>) -> Option<Leaving> {
        // What is no number leaves nothing known behind it: a stale marker, or what a counter was for once.
        let is_number = |point: &FloatPoint| point.value.is_finite();
        let n_numbers = points.iter().take_while(|point| is_number(point)).count();
        let points = &points[..n_numbers];
        let (first, last) = (points.first()?, points.last()?);
        let mut leaving = Leaving {
            until: span.leaves_at(last.at),
            n_samples: points.len() as u32 - 1,
            start: first.value,
            least: 0.0,
            most: 0.0,
        };
        let mut left = 0.0;
        for pair in points.windows(2) {
            let (before, next) = (pair[0].value, pair[1].value);
            // What was lost at a reset is not lost with what lay before.
            left += match next < before {
                true => next,
                false => next - before,
            };
            leaving.least = leaving.least.min(left);
            leaving.most = leaving.most.max(left);
        }
        Some(leaving)
    }
}

impl SeriesWindows {
    /// Returns what leaves a window next, so many samples at most: as far as it is decoded, and decodes
    /// what there is room for. `None` where that is not known. To be asked for after its
    /// [edges](SeriesWindows::edges).
    pub fn leaving(
        &mut self,
        history: &SeriesHistory,
        span: Span<'_>,
        n_max: u32,
    ) -> Option<Leaving> {
        let (lag, _) = span.lags?;
        let head = self.heads.iter_mut().find(|head| head.lag == lag);
        let Some(head) = head else {
            return Leaving::of(&[self.first], span);
        };
        let Stand::In(run) = &mut head.stand else {
            return Leaving::of(&[head.looked_at(history)?], span);
        };
        if span.ahead.decodes {
            run.top_up(history, span.ahead.cold);
        }
        let points = run.ahead();
        let n_points = points.len().min(n_max as usize + 1);
        Leaving::of(&points[..n_points], span)
    }
}
