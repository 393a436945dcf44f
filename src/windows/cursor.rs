//! Places in a series' history: everything at or before the frontier less a lag is behind them.
//!
//! A [`Head`] is where samples leave, so all that it needs is to count them; what comes next is
//! looked at when it is asked for. A [`Tail`] is where they come in, and knows the last few.

use std::sync::Arc;

use crate::history::{Cursor, SeriesHistory, WalkCursor, Walked, WalkedSample};
use crate::model::{
    DurationMs, FloatHistogram, FloatPoint, Point, SampleValue, TimestampMs, is_stale_nan,
};

/// So many samples before a new tail are looked at to find two that are not stale markers.
const STEPS_BACK_MAX: usize = 64;

/// A NaN that stands for a native histogram, which is looked up by its time when it is needed.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// There is no sample at this time.
const NEVER: TimestampMs = TimestampMs::MIN;

/// How far a place is behind the frontier, in four bytes; negative where a selector looks ahead.
///
/// In milliseconds up to twelve days, in whole seconds beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag(i32);

impl Lag {
    /// Returns the lag; `None` for one of more than 34 years, or of more than twelve days and not
    /// of whole seconds.
    pub fn of(span: DurationMs) -> Option<Lag> {
        let code = match span.0 {
            ms if ms.abs() < 1 << 30 => ms << 1,
            ms if ms % 1000 == 0 && (ms / 1000).abs() < 1 << 30 => (ms / 1000) << 1 | 1,
            _ => return None,
        };
        i32::try_from(code).ok().map(Lag)
    }

    /// Returns it in ms.
    pub fn span(self) -> DurationMs {
        let number = i64::from(self.0 >> 1);
        DurationMs(match self.0 & 1 {
            0 => number,
            _ => number * 1000,
        })
    }
}

/// A place where samples are counted as they go by.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub walk: WalkCursor,
    pub lag: Lag,
    /// How many samples it has passed since some beginning that all places of a series share,
    /// stale markers left out. Only differences mean anything, so it may wrap.
    pub n_passed: u32,
    /// The first sample that it has not passed, once that has been looked at: asked for at every
    /// evaluation, while the place moves once a sample.
    pub next: FloatPoint,
}

/// No sample has been looked at.
pub(super) const UNKNOWN: FloatPoint = FloatPoint {
    at: NEVER,
    value: 0.0,
};

/// A place where samples come in.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub place: Head,
    /// When the newest sample was taken, if that is a stale marker; else earlier than `last`.
    ended: TimestampMs,
    last: FloatPoint,
    before_last: FloatPoint,
}

/// Tells whether a point stands for a native histogram.
pub(super) fn is_histogram(point: FloatPoint) -> bool {
    point.value.to_bits() == HISTOGRAM_BITS
}

/// Returns a point that stands for a histogram.
pub(super) fn histogram_at(at: TimestampMs) -> FloatPoint {
    let value = f64::from_bits(HISTOGRAM_BITS);
    FloatPoint { at, value }
}

/// Reduces a sample to a point; a histogram that ends the series is a stale marker like another.
pub(super) fn reduced(sample: &WalkedSample) -> FloatPoint {
    let at = sample.at;
    match &sample.value {
        Walked::Float(value) if value.to_bits() == HISTOGRAM_BITS => FloatPoint {
            at,
            value: f64::NAN,
        },
        Walked::Float(value) => FloatPoint { at, value: *value },
        Walked::Histogram(histogram) if is_stale_nan(histogram.sum) => FloatPoint {
            at,
            value: histogram.sum,
        },
        Walked::Histogram(_) => histogram_at(at),
    }
}

/// Returns the sample that a point stands for.
pub(super) fn resolved(history: &SeriesHistory, point: FloatPoint) -> Option<Point> {
    if is_histogram(point) {
        return history.last_at_or_before(point.at, &mut Cursor::default());
    }
    Some(Point {
        at: point.at,
        value: SampleValue::Float(point.value),
    })
}

impl Head {
    /// Moves over everything at or before `until`.
    pub fn advance(&mut self, history: &SeriesHistory, until: TimestampMs) {
        loop {
            if self.next.at == NEVER {
                match history.walk_peek(&self.walk) {
                    Some(sample) => self.next = reduced(&sample),
                    None => return,
                }
            }
            if self.next.at > until {
                return;
            }
            history.walk_next(&mut self.walk, self.next.at);
            let is_counted = !is_stale_nan(self.next.value);
            self.n_passed = self.n_passed.wrapping_add(u32::from(is_counted));
            self.next = UNKNOWN;
        }
    }

    /// Returns the first sample ahead that is not a stale marker.
    pub fn first_ahead(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        if self.next.at != NEVER && !is_stale_nan(self.next.value) {
            return Some(self.next);
        }
        let mut ahead = self.walk;
        loop {
            let sample = history.walk_next(&mut ahead, TimestampMs::MAX)?;
            let point = reduced(&sample);
            if !is_stale_nan(point.value) {
                return Some(point);
            }
        }
    }
}

impl Tail {
    /// Returns the tail at a place. What lies just before is known from the start, as if it had
    /// come from there.
    pub fn new(history: &SeriesHistory, place: Head, until: TimestampMs) -> Self {
        let mut before = until;
        let older = std::iter::from_fn(|| {
            let point = Tail::newest_at(history, before)?;
            before = TimestampMs(point.at.0.saturating_sub(1));
            Some(point)
        });
        let never = FloatPoint {
            at: NEVER,
            value: 0.0,
        };
        let mut older = older.take(STEPS_BACK_MAX).peekable();
        let ended = older.peek().filter(|newest| is_stale_nan(newest.value));
        let ended = ended.map_or(NEVER, |newest| newest.at);
        let mut older = older.filter(|point| !is_stale_nan(point.value));
        Tail {
            place: Head {
                next: UNKNOWN,
                ..place
            },
            ended,
            last: older.next().unwrap_or(never),
            before_last: older.next().unwrap_or(never),
        }
    }

    /// Moves over everything at or before `until`; `passed` is called with every sample that is
    /// not a stale marker, and what was last before it.
    pub fn advance(
        &mut self,
        history: &SeriesHistory,
        until: TimestampMs,
        mut passed: impl FnMut(Option<FloatPoint>, &WalkedSample),
    ) {
        // Most often nothing has come since it was last asked.
        if history
            .newest_at()
            .is_none_or(|newest| newest <= self.last.at.max(self.ended))
        {
            return;
        }
        while let Some(sample) = history.walk_next(&mut self.place.walk, until) {
            let point = reduced(&sample);
            if is_stale_nan(point.value) {
                self.ended = point.at;
                continue;
            }
            passed(self.last(), &sample);
            self.place.n_passed = self.place.n_passed.wrapping_add(1);
            self.before_last = self.last;
            self.last = point;
        }
    }

    /// Returns the newest sample at or before an instant, stale markers included.
    pub fn newest_at(history: &SeriesHistory, until: TimestampMs) -> Option<FloatPoint> {
        let point = history.last_at_or_before(until, &mut Cursor::default())?;
        Some(reduced(&WalkedSample {
            at: point.at,
            value: point.value.into(),
        }))
    }

    /// Returns the last sample where that is a histogram.
    pub fn last_histogram(&self, history: &SeriesHistory) -> Option<Arc<FloatHistogram>> {
        match resolved(history, self.last().filter(|last| is_histogram(*last))?)?.value {
            SampleValue::Histogram(histogram) => Some(histogram),
            SampleValue::Float(_) => None,
        }
    }

    /// Returns the newest sample passed, unless that is a stale marker.
    pub fn newest(&self) -> Option<FloatPoint> {
        self.last().filter(|last| last.at > self.ended)
    }

    /// Returns the newest that is not a stale marker.
    pub fn last(&self) -> Option<FloatPoint> {
        (self.last.at != NEVER).then_some(self.last)
    }

    /// Returns the one before that.
    pub fn before_last(&self) -> Option<FloatPoint> {
        (self.before_last.at != NEVER).then_some(self.before_last)
    }
}
