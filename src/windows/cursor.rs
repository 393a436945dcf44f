//! One place in a series' history: everything at or before the frontier less a lag is behind it.

use crate::history::{Cursor, SeriesHistory, WalkCursor, Walked, WalkedSample};
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};

/// So many samples before a new cursor are looked at to find two that are not stale markers.
const STEPS_BACK_MAX: usize = 64;

/// A NaN that stands for a native histogram, which is looked up by its time when it is needed.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// How many samples a cursor has passed since some beginning that all cursors of a series share.
/// Only differences mean anything, so the counts may wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Floats.
    pub floats: u32,
    /// Native histograms.
    pub histograms: u32,
    /// Samples that differ from the one before.
    pub changes: u32,
    /// Samples that are less than the one before.
    pub resets: u32,
}

impl Counts {
    /// Returns the counts of what lies between `earlier` and this.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            floats: self.floats.wrapping_sub(earlier.floats),
            histograms: self.histograms.wrapping_sub(earlier.histograms),
            changes: self.changes.wrapping_sub(earlier.changes),
            resets: self.resets.wrapping_sub(earlier.resets),
        }
    }
}

/// A place in a history, and the samples around it.
#[derive(Clone, Debug)]
pub(super) struct LagCursor {
    /// How far it is behind the frontier, ms; negative where a selector looks ahead.
    pub lag: DurationMs,
    pub walk: WalkCursor,
    /// The first sample that it has not passed, once it has been looked at.
    pub next: Option<FloatPoint>,
    /// The newest sample that it has passed, if that is a stale marker or not.
    pub newest: Option<FloatPoint>,
    /// The newest that is not a stale marker.
    pub last: Option<FloatPoint>,
    /// The one before that.
    pub before_last: Option<FloatPoint>,
    pub passed: Counts,
}

/// Tells whether a point stands for a native histogram.
pub(super) fn is_histogram(point: FloatPoint) -> bool {
    point.value.to_bits() == HISTOGRAM_BITS
}

/// Reduces a sample to a point; a histogram that ends the series is a stale marker like another.
fn reduced(sample: &WalkedSample) -> FloatPoint {
    let value = match &sample.value {
        Walked::Float(value) if value.to_bits() == HISTOGRAM_BITS => f64::NAN,
        Walked::Float(value) => *value,
        Walked::Histogram(histogram) if is_stale_nan(histogram.sum) => histogram.sum,
        Walked::Histogram(_) => f64::from_bits(HISTOGRAM_BITS),
    };
    FloatPoint {
        at: sample.at,
        value,
    }
}

/// Tells whether two neighbours are a reset of a counter.
pub(super) fn is_reset(before: FloatPoint, after: FloatPoint) -> bool {
    after.value < before.value
}

/// Tells whether two neighbours differ. NaN does not differ from NaN.
pub(super) fn is_change(before: FloatPoint, after: FloatPoint) -> bool {
    before.value != after.value && !(before.value.is_nan() && after.value.is_nan())
}

impl LagCursor {
    /// Returns a cursor at `until`, which has counted nothing yet.
    pub fn new(history: &SeriesHistory, lag: DurationMs, until: TimestampMs) -> Self {
        // What lies just before is known from the start, as if the cursor had come from there.
        let mut before = until;
        let older = std::iter::from_fn(|| {
            let point = history.last_at_or_before(before, &mut Cursor::default())?;
            before = TimestampMs(point.at.0.saturating_sub(1));
            Some(reduced(&WalkedSample {
                at: point.at,
                value: point.value.into(),
            }))
        });
        let mut older = older.take(STEPS_BACK_MAX).peekable();
        let newest = older.peek().copied();
        let mut older = older.filter(|point| !is_stale_nan(point.value));
        LagCursor {
            lag,
            // Behind the newest sample and not at `until`: another may still come up to there.
            walk: history.walk_from(newest.map_or(TimestampMs::MIN, |newest| newest.at)),
            next: None,
            newest,
            last: older.next(),
            before_last: older.next(),
            passed: Counts::default(),
        }
    }

    /// Moves over everything at or before `until`; `passed` is called with every sample that is
    /// a reset, and the value before it.
    pub fn advance(
        &mut self,
        history: &SeriesHistory,
        until: TimestampMs,
        mut reset: impl FnMut(FloatPoint),
    ) {
        loop {
            let next = match self.next {
                Some(next) => next,
                None => match history.walk_next(&mut self.walk, TimestampMs::MAX) {
                    Some(sample) => *self.next.insert(reduced(&sample)),
                    None => return,
                },
            };
            if next.at > until {
                return;
            }
            self.next = None;
            self.pass(next, &mut reset);
        }
    }

    fn pass(&mut self, point: FloatPoint, reset: &mut impl FnMut(FloatPoint)) {
        self.newest = Some(point);
        if is_stale_nan(point.value) {
            return;
        }
        if is_histogram(point) {
            self.passed.histograms = self.passed.histograms.wrapping_add(1);
        } else {
            self.passed.floats = self.passed.floats.wrapping_add(1);
        }
        if let Some(last) = self.last {
            if is_reset(last, point) {
                self.passed.resets = self.passed.resets.wrapping_add(1);
                reset(FloatPoint {
                    at: point.at,
                    value: last.value,
                });
            }
            if is_change(last, point) {
                self.passed.changes = self.passed.changes.wrapping_add(1);
            }
        }
        self.before_last = self.last;
        self.last = Some(point);
    }

    /// Returns the first sample ahead that is not a stale marker, if it is near; the cursor stays.
    pub fn first_ahead(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        let next = self.next?;
        if !is_stale_nan(next.value) {
            return Some(next);
        }
        let mut ahead = self.walk.clone();
        loop {
            let sample = history.walk_next(&mut ahead, TimestampMs::MAX)?;
            let point = reduced(&sample);
            if !is_stale_nan(point.value) {
                return Some(point);
            }
        }
    }
}
