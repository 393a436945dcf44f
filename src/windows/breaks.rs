//! Where a series does not simply go on: resets of counters, and what else makes a difference
//! between first and last sample less than the whole story.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::{Walked, WalkedSample};
use crate::model::{CounterResetHint, FloatHistogram, FloatPoint, TimestampMs};
use crate::windows::cursor::{histogram_at, is_histogram};

/// So many are remembered. A series that has more in its windows is no counter, and is read.
const BREAKS_MAX: usize = 1024;

/// The breaks between the places of a series, ascending: when, and the value that was lost, or
/// that a histogram is concerned.
#[derive(Clone, Debug)]
pub(super) struct Breaks {
    pub(super) points: VecDeque<FloatPoint>,
    /// Breaks up to here may have been dropped.
    pub(super) dropped_until: TimestampMs,
    /// The newest sample, where that is a histogram.
    pub(super) histogram: Option<Arc<FloatHistogram>>,
}

impl Default for Breaks {
    fn default() -> Self {
        Breaks {
            points: VecDeque::new(),
            dropped_until: TimestampMs::MIN,
            histogram: None,
        }
    }
}

/// The breaks within a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct BreaksInside<'a> {
    all: Option<&'a Breaks>,
    from: u32,
    to: u32,
}

impl<'a> BreaksInside<'a> {
    /// There are none.
    pub const NONE: Self = BreaksInside {
        all: None,
        from: 0,
        to: 0,
    };

    /// Returns what was lost at resets of floats, in order of time.
    pub fn lost(self) -> impl Iterator<Item = f64> + 'a {
        let all = self
            .all
            .map(|breaks| breaks.points.range(self.from as usize..self.to as usize));
        all.into_iter().flatten().map(|point| point.value)
    }

    /// Returns how many there are.
    pub fn len(self) -> usize {
        (self.to - self.from) as usize
    }

    /// Tells whether any concerns a histogram.
    #[inline]
    pub fn has_histograms(self) -> bool {
        self.all.is_some() && self.finds_histograms()
    }

    fn finds_histograms(self) -> bool {
        self.lost().any(|value| {
            is_histogram(FloatPoint {
                at: TimestampMs(0),
                value,
            })
        })
    }
}

impl Breaks {
    /// Returns what is known at a place behind `last`, which may be a histogram.
    pub fn behind(last: Option<Arc<FloatHistogram>>) -> Breaks {
        Breaks {
            histogram: last,
            ..Breaks::default()
        }
    }

    /// Goes on behind another place, where the newest sample may be a histogram.
    pub fn go_on_behind(&mut self, last: Option<Arc<FloatHistogram>>) {
        self.histogram = last;
    }

    /// Compares a sample with the one before it, and notes it where it is a break. Most series have
    /// none, so what is noted in is asked for when there is something to note.
    #[inline]
    pub fn look<'b>(
        breaks: impl FnOnce() -> &'b mut Breaks,
        last: Option<FloatPoint>,
        sample: &WalkedSample,
    ) {
        let at = sample.at;
        let last_was_histogram = last.is_some_and(is_histogram);
        match &sample.value {
            Walked::Float(value) => match last {
                Some(_) if last_was_histogram => breaks().push(histogram_at(at)),
                Some(last) if *value < last.value => breaks().push(FloatPoint {
                    at,
                    value: last.value,
                }),
                _ => {}
            },
            Walked::Histogram(histogram) => {
                let breaks = breaks();
                let before = breaks.histogram.replace(Arc::clone(histogram));
                let goes_on = match (last, before) {
                    (None, _) => true,
                    (Some(_), Some(before)) => last_was_histogram && is_alike(&before, histogram),
                    // What it was is not known any more.
                    (Some(_), None) => false,
                };
                if !goes_on {
                    breaks.push(histogram_at(at));
                }
            }
        }
    }

    /// Adds one behind all others.
    fn push(&mut self, point: FloatPoint) {
        self.points.push_back(point);
        if self.points.len() > BREAKS_MAX
            && let Some(dropped) = self.points.pop_front()
        {
            self.dropped_until = dropped.at;
        }
    }

    /// Adds those before all others.
    pub fn put_before(&mut self, older: Breaks) {
        self.dropped_until = self.dropped_until.max(older.dropped_until);
        for point in older.points.into_iter().rev() {
            match self.points.len() < BREAKS_MAX {
                true => self.points.push_front(point),
                false => self.dropped_until = self.dropped_until.max(point.at),
            }
        }
    }

    /// Forgets what lies at or before `until`.
    pub fn forget(&mut self, until: TimestampMs) {
        while self.points.front().is_some_and(|point| point.at <= until) {
            self.points.pop_front();
        }
        if self.dropped_until <= until {
            self.dropped_until = TimestampMs::MIN;
        }
    }

    /// Tells whether there is nothing to remember.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.dropped_until == TimestampMs::MIN && self.histogram.is_none()
    }

    /// Tells whether breaks after `first` may be missing.
    #[inline]
    pub fn lack_some_after(&self, first: TimestampMs) -> bool {
        self.dropped_until > first
    }

    /// Returns the breaks after `first` up to `last`.
    pub fn between(&self, first: TimestampMs, last: TimestampMs) -> BreaksInside<'_> {
        let from = self.points.partition_point(|point| point.at <= first);
        let inside = self.points.range(from..).take_while(|p| p.at <= last);
        let to = from + inside.count();
        BreaksInside {
            all: Some(self),
            // There are at most `BREAKS_MAX`.
            from: from as u32,
            to: to as u32,
        }
    }
}

/// Tells whether a histogram goes on from the one before as a counter of the same layout.
fn is_alike(before: &FloatHistogram, histogram: &FloatHistogram) -> bool {
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    before.schema == histogram.schema
        && before.custom_values == histogram.custom_values
        && is_gauge(before) == is_gauge(histogram)
        && !histogram.detect_reset(before)
}
