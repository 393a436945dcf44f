//! Places in a series' history: everything at or before the frontier less a lag is behind them.
//!
//! A [`Head`] is where samples leave, so all that it needs is to count them and to know the next
//! one. A [`Tail`] is where they come in, and knows the last few; most often it has passed all that
//! its history has, or all but one, and then it needs no place of its own.

use std::sync::Arc;

use crate::history::{ColdStore, Counted, Cursor, Place, SeriesHistory, Walked, WalkedSample};
use crate::model::{
    DurationMs, FloatHistogram, FloatPoint, Point, SampleValue, TimestampMs, is_stale_nan,
};
use crate::windows::run::InRun;

/// So many samples before a new tail are looked at to find two that are not stale markers.
const STEPS_BACK_MAX: usize = 64;

/// There is no sample at this time.
pub(super) const NEVER: TimestampMs = TimestampMs::MIN;

/// No sample has come.
pub(super) const NOTHING: FloatPoint = FloatPoint {
    at: NEVER,
    value: 0.0,
};

/// A NaN that stands for a native histogram, which is looked up by its time when it is needed.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// How far a place is behind the frontier, in four bytes; negative where a selector looks ahead.
///
/// In milliseconds up to twelve days, in whole seconds beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag(pub(super) i32);

impl Lag {
    /// Returns the lag; `None` for one of more than 34 years, or of more than twelve days and not
    /// of whole seconds.
    pub fn of(span: DurationMs) -> Option<Lag> {
        let code = match span.0 {
            ms if ms.unsigned_abs() < 1 << 30 => ms << 1,
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
    pub(super) stand: Stand,
    pub lag: Lag,
    /// How many samples it has passed since the series began, stale markers left out. Only
    /// differences mean anything, so it may wrap.
    pub n_passed: u32,
}

/// Where a head stands.
#[derive(Clone, Debug)]
pub(super) enum Stand {
    /// Behind the first sample that it has not passed, once it has looked at that: asked for at
    /// every evaluation, while the place moves once a sample.
    At(Place),
    /// Before the next sample of a run.
    In(InRun),
}

/// There are many series, with some of these each.
const _: () = assert!(size_of::<Head>() == 48 && size_of::<Tail>() == 56);

/// How heads read what they are going to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead<'a> {
    /// A view of the store of what is not in memory.
    pub cold: Option<&'a dyn ColdStore>,
    /// Whether they decode several samples at once, and keep them.
    pub decodes: bool,
}

/// A place where samples come in.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// The newest sample passed that is not a stale marker.
    pub(super) last: FloatPoint,
    /// When the newest sample was taken, if that is a stale marker; else earlier than `last`.
    pub(super) ended: TimestampMs,
    /// The value of the one before `last`.
    pub(super) before_last: f64,
    /// How long before `last` it was, ms; [`NONE`] or [`FAR`].
    pub(super) gap: u32,
    /// What it has passed since the series began.
    pub(super) passed: Counted,
    pub lag: Lag,
    /// Where it goes on, if it has last been seen with more than one sample before it.
    pub(super) walk: Option<Box<Place>>,
}

/// There is no sample before the last.
const NONE: u32 = 0;
/// It is too long ago for its distance, or has not been looked at.
const FAR: u32 = u32::MAX;

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
    /// Returns the head that stands at a place.
    pub fn new(place: Place, lag: Lag, n_passed: u32) -> Head {
        Head {
            stand: Stand::At(place),
            lag,
            n_passed,
        }
    }

    /// Returns the place behind everything at or before `until`.
    pub fn at(history: &SeriesHistory, lag: Lag, until: TimestampMs) -> Head {
        let (place, passed) = counted_place(history, until);
        let mut head = Head::new(place, lag, passed.n_live);
        head.advance(history, until, Ahead::default());
        head
    }

    /// Returns where it would stand if it had no run.
    pub fn place(&self, history: &SeriesHistory) -> Place {
        match &self.stand {
            Stand::At(place) => *place,
            Stand::In(run) => run.place(history),
        }
    }

    /// Moves over everything at or before `until`.
    #[inline]
    pub fn advance(&mut self, history: &SeriesHistory, until: TimestampMs, ahead: Ahead<'_>) {
        if !self.advance_in_run(until) {
            self.go_on(history, until, ahead);
        }
    }

    /// Moves over everything at or before `until` as it has moved before.
    pub fn catch_up(&mut self, history: &SeriesHistory, until: TimestampMs) {
        let ahead = Ahead {
            cold: None,
            decodes: matches!(self.stand, Stand::In(_)),
        };
        self.advance(history, until, ahead);
    }

    /// Moves over everything at or before `until` in its run, and tells whether there is more.
    #[inline]
    fn advance_in_run(&mut self, until: TimestampMs) -> bool {
        let Stand::In(run) = &mut self.stand else {
            return false;
        };
        while let Some(next) = run.next() {
            if next.at > until {
                return true;
            }
            run.pass();
            self.n_passed = self.n_passed.wrapping_add(1);
        }
        false
    }

    fn go_on(&mut self, history: &SeriesHistory, until: TimestampMs, ahead: Ahead<'_>) {
        loop {
            if let Some(next) = self.looked_at(history) {
                if next.at > until {
                    return;
                }
                let is_counted = !is_stale_nan(next.value);
                self.n_passed = self.n_passed.wrapping_add(u32::from(is_counted));
            }
            if self.find_run(history, ahead) {
                if self.advance_in_run(until) {
                    return;
                }
            } else if let Stand::At(place) = &mut self.stand
                && !history.look_over(place, ahead.cold)
            {
                return;
            }
        }
    }

    /// Decodes what comes behind its place, or behind its run, of which all is passed; tells whether
    /// that is in a run. Else it stands at a place, and has looked at nothing ahead.
    fn find_run(&mut self, history: &SeriesHistory, ahead: Ahead<'_>) -> bool {
        match &mut self.stand {
            Stand::In(run) => {
                if ahead.decodes && run.refill(history, ahead.cold) {
                    return true;
                }
                self.stand = Stand::At(run.end());
            }
            Stand::At(place) => {
                place.set_looked_at(false);
                let run = || InRun::behind(*place, history, ahead.cold);
                if let Some(run) = ahead.decodes.then(run).flatten() {
                    self.stand = Stand::In(run);
                    return true;
                }
            }
        }
        false
    }

    /// Looks at what is going to be looked at when the next sample is passed; see
    /// [`SeriesWindows::look_ahead`](crate::windows::SeriesWindows::look_ahead).
    #[inline]
    pub fn look_ahead(&self, cold: &dyn ColdStore) -> usize {
        match &self.stand {
            Stand::At(place) => place.look_ahead(cold),
            Stand::In(run) => run.look_ahead(cold),
        }
    }

    /// Returns the first sample that is not passed, if it has been looked at.
    #[inline]
    fn next(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        match &self.stand {
            Stand::At(_) => self.looked_at(history),
            Stand::In(run) => run.next(),
        }
    }

    /// Returns the sample that its place is behind, if that is not passed.
    #[inline]
    pub(super) fn looked_at(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        let Stand::At(place) = &self.stand else {
            return None;
        };
        if !place.is_looked_at() {
            return None;
        }
        let at = place.passed();
        Some(match place.number() {
            Some(value) => FloatPoint { at, value },
            None => odd_sample(history, place),
        })
    }

    /// Returns the first sample ahead that is not a stale marker.
    #[inline(always)]
    pub fn first_ahead(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        match self.next(history) {
            Some(next) if !is_stale_nan(next.value) => Some(next),
            _ => self.first_behind_markers(history),
        }
    }

    #[cold]
    fn first_behind_markers(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        let mut ahead = history.unpack(&self.place(history));
        loop {
            let sample = history.walk_next(&mut ahead, TimestampMs::MAX)?;
            let point = reduced(&sample);
            if !is_stale_nan(point.value) {
                return Some(point);
            }
        }
    }
}

/// Returns the sample that a place has passed last, where that may be no ordinary number.
#[cold]
fn odd_sample(history: &SeriesHistory, place: &Place) -> FloatPoint {
    reduced(&WalkedSample {
        at: place.passed(),
        value: history.walk_last(&history.unpack(place)),
    })
}

/// Returns the place behind the newest sample at or before `until`, and what lies before it. It is
/// not at `until`: another sample may still come up to there.
fn counted_place(history: &SeriesHistory, until: TimestampMs) -> (Place, Counted) {
    let newest = Tail::newest_at(history, until);
    let newest = newest.map_or(TimestampMs::MIN, |newest| newest.at);
    let (cursor, passed) = history.walk_counted(newest);
    (cursor.pack(), passed)
}

impl Tail {
    /// Returns the tail behind everything at or before `until`. What lies just before is known from
    /// the start, as if it had come from there.
    pub fn at(history: &SeriesHistory, lag: Lag, until: TimestampMs) -> Self {
        let (place, passed) = counted_place(history, until);
        let older = points_until(history, until);
        let mut older = older.take(STEPS_BACK_MAX).peekable();
        let ended = older.peek().filter(|newest| is_stale_nan(newest.value));
        let ended = ended.map_or(NEVER, |newest| newest.at);
        let mut older = older.filter(|point| !is_stale_nan(point.value));
        let mut tail = Tail {
            last: NOTHING,
            ended,
            before_last: 0.0,
            gap: NONE,
            passed,
            lag,
            walk: (n_behind(history, passed) > 1).then(|| Box::new(place)),
        };
        if let Some(last) = older.next() {
            if let Some(before_last) = older.next() {
                tail.set_last(before_last);
            }
            tail.set_last(last);
        }
        tail
    }

    /// Returns how many samples have come and are not passed.
    #[inline]
    fn n_ahead(&self, history: &SeriesHistory) -> u32 {
        n_behind(history, self.passed)
    }

    /// Returns when the newest sample passed was.
    fn newest_passed(&self) -> TimestampMs {
        self.last.at.max(self.ended)
    }

    /// Moves over everything at or before `until`; `passed` is called with every sample that is
    /// not a stale marker, and what was last before it.
    #[inline]
    pub fn advance(
        &mut self,
        history: &SeriesHistory,
        until: TimestampMs,
        passed: impl FnMut(Option<FloatPoint>, &WalkedSample),
    ) {
        // Windows that end alike ask one after the other: no sample is newer and yet not after this.
        if self.last.at == until {
            return;
        }
        // Most often nothing has come since it was last asked, else one float.
        match (self.n_ahead(history), history.newest_if_float()) {
            (0, _) => {}
            (1, Some(newest)) if newest.at > self.newest_passed() && newest.at <= until => {
                self.walk = None;
                let (at, value) = (newest.at, Walked::Float(newest.value));
                self.pass(&WalkedSample { at, value }, &mut { passed });
            }
            _ => self.go_on(history, until, passed),
        }
    }

    #[inline(never)]
    fn go_on(
        &mut self,
        history: &SeriesHistory,
        until: TimestampMs,
        mut passed: impl FnMut(Option<FloatPoint>, &WalkedSample),
    ) {
        let newest = history.newest();
        let newest = newest.filter(|newest| newest.at > self.newest_passed());
        let Some(newest) = newest else {
            // What came has been forgotten.
            self.passed = history.counted();
            return;
        };
        if self.n_ahead(history) == 1 {
            self.walk = None;
            if newest.at <= until {
                let (at, value) = (newest.at, newest.value.into());
                self.pass(&WalkedSample { at, value }, &mut passed);
            }
            return;
        }
        if newest.at <= until && self.leaps_to(&newest, history) {
            return;
        }
        let mut cursor = match &self.walk {
            Some(place) => history.unpack(place),
            None => history.walk_from(self.newest_passed()),
        };
        while let Some(sample) = history.walk_next(&mut cursor, until) {
            self.pass(&sample, &mut passed);
        }
        match &mut self.walk {
            Some(place) => **place = cursor.pack(),
            None => self.walk = Some(Box::new(cursor.pack())),
        }
        if self.newest_passed() >= newest.at {
            self.passed = history.counted();
        }
    }

    /// Passes all up to the newest sample without looking at what lies between, if nothing there could
    /// be a break: a rule that has room to its threshold does not look at every sample as it comes.
    fn leaps_to(&mut self, newest: &Point, history: &SeriesHistory) -> bool {
        let SampleValue::Float(value) = newest.value else {
            return false;
        };
        let is_between_floats = self.last().is_some_and(|last| !is_histogram(last));
        let leaps = is_between_floats
            && !is_stale_nan(value)
            && history.goes_on_since(self.newest_passed());
        if leaps {
            self.walk = None;
            self.passed = history.counted();
            self.gap = FAR;
            self.last = FloatPoint {
                at: newest.at,
                value,
            };
        }
        leaps
    }

    #[inline]
    fn pass(
        &mut self,
        sample: &WalkedSample,
        passed: &mut impl FnMut(Option<FloatPoint>, &WalkedSample),
    ) {
        let point = reduced(sample);
        self.passed.n_samples = self.passed.n_samples.wrapping_add(1);
        if is_stale_nan(point.value) {
            self.ended = point.at;
            return;
        }
        passed(self.last(), sample);
        self.passed.n_live = self.passed.n_live.wrapping_add(1);
        self.set_last(point);
    }

    fn set_last(&mut self, point: FloatPoint) {
        if self.last.at != NEVER {
            self.gap = u32::try_from((point.at - self.last.at).0).unwrap_or(FAR);
            self.before_last = self.last.value;
        }
        self.last = point;
    }

    /// Returns how many samples it has passed since the series began, stale markers left out.
    #[inline]
    pub fn n_passed(&self) -> u32 {
        self.passed.n_live
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
    #[inline]
    pub fn before_last(&self, history: &SeriesHistory) -> Option<FloatPoint> {
        match self.gap {
            NONE => None,
            FAR => points_until(history, TimestampMs(self.last.at.0.saturating_sub(1)))
                .find(|point| !is_stale_nan(point.value)),
            gap => Some(FloatPoint {
                at: self.last.at - DurationMs(gap.into()),
                value: self.before_last,
            }),
        }
    }
}

/// Returns how many samples have come since so many.
fn n_behind(history: &SeriesHistory, passed: Counted) -> u32 {
    history.counted().n_samples.wrapping_sub(passed.n_samples)
}

/// Iterates backwards over the samples at or before an instant, stale markers included; each step
/// is a search.
fn points_until(
    history: &SeriesHistory,
    mut until: TimestampMs,
) -> impl Iterator<Item = FloatPoint> + '_ {
    std::iter::from_fn(move || {
        let point = Tail::newest_at(history, until)?;
        until = TimestampMs(point.at.0.saturating_sub(1));
        Some(point)
    })
}
