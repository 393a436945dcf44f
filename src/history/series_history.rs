//! The samples of one series in memory, ascending in time.
//!
//! Full chunks are shared: who asks takes those of its interval along, and no sample is copied
//! but the few of the chunk that is being written. A chunk that somebody holds is copied before
//! an out-of-order sample changes it.
//!
//! Cost: 16 bytes a sample; appending in order is O(1) amortised, finding an instant O(log n),
//! and O(1) for one a little later than the last found.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::chunk::Chunk;
use crate::model::{
    CounterResetHint, FloatHistogram, FloatPoint, HistogramPoint, NO_START, Point, SampleValue,
    StartTimes, TimestampMs, is_stale_nan,
};

/// A cursor looks at this many samples ahead before it searches.
const STEPS_MAX: usize = 32;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is the newest sample of its series.
    InOrder,
    /// It was put between older samples.
    Inserted,
    /// The very same sample was there already; nothing changed.
    Duplicate,
    /// Another value stands at that instant; nothing changed.
    Conflict,
    /// It is older than the out-of-order window allows; nothing changed.
    TooOld,
}

/// The past of one series.
#[derive(Clone, Debug, Default)]
pub struct SeriesHistory {
    /// Chunks that are full, all before `head`.
    full: VecDeque<Arc<Chunk>>,
    /// The chunk that is being written.
    head: Chunk,
    /// The start timestamps, if any sample ever stated one; shared as chunks are.
    starts: Option<Arc<StartTimes>>,
    /// How many samples were put between others.
    insertions: u32,
}

/// Where a search ended, for the next one to begin at.
///
/// It belongs to one history, and to that as it was.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Every sample before `place` is at or before this instant.
    at: TimestampMs,
    place: Place,
}

impl Default for Cursor {
    fn default() -> Self {
        Cursor {
            at: TimestampMs::MIN,
            place: Place::default(),
        }
    }
}

/// A sample by the number of its chunk and its slot there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::history) struct Place {
    pub chunk: usize,
    pub slot: usize,
}

/// The samples of a window without stale markers; each list ascends in time.
#[derive(Clone, Debug, Default)]
pub struct Samples<'a> {
    /// The floats: those of the history itself, where they lie side by side.
    pub floats: Cow<'a, [FloatPoint]>,
    /// The native histograms.
    pub histograms: Vec<HistogramPoint>,
}

impl Samples<'_> {
    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }
}

impl SeriesHistory {
    /// Adds a sample that states no start. One behind the newest is taken only if it is newer
    /// than `oldest_allowed`.
    pub fn append(
        &mut self,
        at: TimestampMs,
        value: SampleValue,
        oldest_allowed: TimestampMs,
    ) -> Appended {
        self.append_started(at, NO_START, value, oldest_allowed)
    }

    /// Does the same with a sample that has been counting since `start`.
    pub fn append_started(
        &mut self,
        at: TimestampMs,
        start: TimestampMs,
        value: SampleValue,
        oldest_allowed: TimestampMs,
    ) -> Appended {
        if self.end().is_none_or(|end| at > end) {
            let value = self.hinted(value);
            if self.head.len() >= Chunk::LEN {
                self.full
                    .push_back(Arc::new(std::mem::take(&mut self.head)));
            }
            self.head.push(at, value);
            if let Some(starts) = self.starts_to_change(start) {
                starts.push(at, start);
            }
            return Appended::InOrder;
        }
        let before = TimestampMs(at.0.saturating_sub(1));
        let place = self.search(before);
        match self.chunk(place.chunk).and_then(|c| c.get(place.slot)) {
            Some(known) if known.at == at && is_same(&known.value, &value) => Appended::Duplicate,
            Some(known) if known.at == at => Appended::Conflict,
            _ if at <= oldest_allowed => Appended::TooOld,
            next => {
                let next = next.map_or(TimestampMs::MAX, |next| next.at);
                self.insert(place, at, value);
                self.insertions = self.insertions.wrapping_add(1);
                if let Some(starts) = self.starts_to_change(start) {
                    starts.insert(at, start, next);
                }
                Appended::Inserted
            }
        }
    }

    /// Sets a counter histogram's hint as Prometheus' store gives it back: whether there was a
    /// reset is known where the histogram before it could lie in one chunk with it, and is left
    /// to those who ask everywhere else.
    fn hinted(&self, value: SampleValue) -> SampleValue {
        let SampleValue::Histogram(mut histogram) = value else {
            return value;
        };
        if histogram.counter_reset_hint == CounterResetHint::Gauge || is_stale_nan(histogram.sum) {
            return SampleValue::Histogram(histogram);
        }
        let goes_on = match self.newest().map(|newest| newest.value) {
            Some(SampleValue::Histogram(newest)) => {
                !is_stale_nan(newest.sum) && histogram.goes_on_from(&newest)
            }
            _ => false,
        };
        let hint = match goes_on {
            true => CounterResetHint::NotReset,
            false => CounterResetHint::Unknown,
        };
        if histogram.counter_reset_hint != hint {
            Arc::make_mut(&mut histogram).counter_reset_hint = hint;
        }
        SampleValue::Histogram(histogram)
    }

    /// Returns the start timestamps if there are any or `start` is one.
    fn starts_to_change(&mut self, start: TimestampMs) -> Option<&mut StartTimes> {
        if self.starts.is_none() && start == NO_START {
            return None;
        }
        Some(Arc::make_mut(self.starts.get_or_insert_default()))
    }

    /// Returns the start timestamps, if any sample states one.
    pub fn starts(&self) -> Option<&StartTimes> {
        self.starts.as_deref()
    }

    fn insert(&mut self, place: Place, at: TimestampMs, value: SampleValue) {
        let Some(shared) = self.full.get_mut(place.chunk) else {
            self.head.insert(place.slot, at, value);
            return;
        };
        let chunk = Arc::make_mut(shared);
        chunk.insert(place.slot, at, value);
        if chunk.len() > 2 * Chunk::LEN {
            let rest = chunk.split_off(Chunk::LEN);
            self.full.insert(place.chunk + 1, Arc::new(rest));
        }
    }

    pub(in crate::history) fn chunk(&self, number: usize) -> Option<&Chunk> {
        match self.full.get(number) {
            Some(chunk) => Some(chunk),
            None if number == self.full.len() => Some(&self.head),
            None => None,
        }
    }

    fn chunks(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        let full = self.full.iter().map(|chunk| &**chunk);
        full.chain(std::iter::once(&self.head))
    }

    fn end(&self) -> Option<TimestampMs> {
        self.chunks().rev().find_map(Chunk::end)
    }

    /// Returns the place of the first sample after `at`, or the one behind the last sample.
    pub(in crate::history) fn search(&self, at: TimestampMs) -> Place {
        let is_before = |chunk: &Arc<Chunk>| chunk.end().is_none_or(|end| end <= at);
        let chunk = self.full.partition_point(is_before);
        let slot = self.chunk(chunk).map_or(0, |chunk| chunk.slot_after(at));
        Place { chunk, slot }
    }

    /// Does the same, beginning at a cursor, which moves there.
    fn seek(&self, at: TimestampMs, cursor: &mut Cursor) -> Place {
        let place = if cursor.at <= at {
            self.walk(at, cursor.place)
        } else {
            None
        };
        let place = place.unwrap_or_else(|| self.search(at));
        *cursor = Cursor { at, place };
        place
    }

    fn walk(&self, at: TimestampMs, mut place: Place) -> Option<Place> {
        let mut chunk = self.chunk(place.chunk)?;
        for _ in 0..STEPS_MAX {
            match chunk.time(place.slot) {
                Some(time) if time <= at => place.slot += 1,
                None if place.chunk < self.full.len() => {
                    place = Place {
                        chunk: place.chunk + 1,
                        slot: 0,
                    };
                    chunk = self.chunk(place.chunk)?;
                }
                _ => return Some(place),
            }
        }
        None
    }

    /// Returns the newest sample, stale markers included.
    pub fn newest(&self) -> Option<Point> {
        let last = |chunk: &Chunk| chunk.get(chunk.len().checked_sub(1)?);
        self.chunks().rev().find_map(last)
    }

    /// Returns the newest sample at or before `at`, stale markers included.
    pub fn last_at_or_before(&self, at: TimestampMs, cursor: &mut Cursor) -> Option<Point> {
        let place = self.seek(at, cursor);
        if let Some(slot) = place.slot.checked_sub(1) {
            return self.chunk(place.chunk)?.get(slot);
        }
        let chunk = self.chunk(place.chunk.checked_sub(1)?)?;
        chunk.get(chunk.len().checked_sub(1)?)
    }

    /// Iterates over the samples in `(after, until]`, stale markers included.
    pub fn range(
        &self,
        after: TimestampMs,
        until: TimestampMs,
    ) -> impl Iterator<Item = Point> + '_ {
        let (from, to) = (self.search(after), self.search(until.max(after)));
        self.between(from, to)
            .flat_map(|(chunk, from, to)| chunk.points(from, to))
    }

    /// Returns the samples in `(after, until]` without stale markers.
    pub fn window(&self, after: TimestampMs, until: TimestampMs) -> Samples<'_> {
        let (from, to) = (self.search(after), self.search(until.max(after)));
        let mut samples = Samples::default();
        if let Some(floats) = self.side_by_side(from, to) {
            samples.floats = Cow::Borrowed(floats);
            return samples;
        }
        let n_samples = self.between(from, to).map(|(_, from, to)| to - from);
        samples.floats.to_mut().reserve(n_samples.sum());
        self.between(from, to)
            .for_each(|run| copy_run(run, &mut samples));
        samples
    }

    /// Returns the samples from one place up to before another if they are floats in one chunk.
    fn side_by_side(&self, from: Place, to: Place) -> Option<&[FloatPoint]> {
        let mut runs = self.between(from, to);
        let Some((chunk, from, to)) = runs.next() else {
            return Some(&[]);
        };
        match runs.next() {
            Some(_) => None,
            None => chunk.plain(from, to),
        }
    }

    /// Iterates over the chunks from one place up to before another, with the slots meant.
    fn between(&self, from: Place, to: Place) -> impl Iterator<Item = Run<'_>> {
        let numbers = from.chunk..=to.chunk;
        numbers.filter_map(move |number| {
            let chunk = self.chunk(number)?;
            let first = if number == from.chunk { from.slot } else { 0 };
            let end = if number == to.chunk {
                to.slot
            } else {
                chunk.len()
            };
            (first < end).then_some((chunk, first, end))
        })
    }

    /// Returns the history of `(after, until]` and perhaps a little more: what is full is shared,
    /// not copied.
    pub fn part(&self, after: TimestampMs, until: TimestampMs) -> SeriesHistory {
        let (from, to) = (self.search(after), self.search(until.max(after)));
        let shared = from.chunk.min(self.full.len())..(to.chunk + 1).min(self.full.len());
        SeriesHistory {
            full: self.full.range(shared).cloned().collect(),
            head: self.head.part(after, until),
            starts: self.starts.clone(),
            insertions: 0,
        }
    }

    /// Forgets what lies at or before `until`.
    pub fn forget(&mut self, until: TimestampMs) {
        let is_old = |chunk: &Arc<Chunk>| chunk.end().is_none_or(|end| end <= until);
        while self.full.front().is_some_and(is_old) {
            self.full.pop_front();
        }
        match self.full.front_mut() {
            Some(chunk) if chunk.time(0).is_some_and(|first| first <= until) => {
                Arc::make_mut(chunk).forget(until);
            }
            Some(_) => {}
            None => self.head.forget(until),
        }
        if let Some(starts) = &mut self.starts {
            let kept = Arc::make_mut(starts);
            kept.forget(until);
            if kept.is_empty() {
                self.starts = None;
            }
        }
    }

    /// Grows whenever a sample is put between others: who has counted what lies behind a cursor
    /// counts anew.
    pub fn insertions(&self) -> u32 {
        self.insertions
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.chunks().map(Chunk::len).sum()
    }

    /// Returns the number of samples after `after`.
    pub fn len_after(&self, after: TimestampMs) -> usize {
        let (from, to) = (self.search(after), self.search(TimestampMs::MAX));
        self.between(from, to).map(|(_, from, to)| to - from).sum()
    }

    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.chunks().all(Chunk::is_empty)
    }
}

/// Tells whether two samples are the same but for what was found out of counter resets.
fn is_same(known: &SampleValue, value: &SampleValue) -> bool {
    match (known, value) {
        (SampleValue::Histogram(known), SampleValue::Histogram(value)) => {
            let hint = known.counter_reset_hint;
            let mut value = FloatHistogram::clone(value);
            value.counter_reset_hint = hint;
            **known == value
        }
        _ => known == value,
    }
}

/// A chunk and the slots meant, the end excluded.
type Run<'a> = (&'a Chunk, usize, usize);

fn copy_run((chunk, from, to): Run<'_>, samples: &mut Samples<'_>) {
    let floats = samples.floats.to_mut();
    if let Some(plain) = chunk.plain(from, to) {
        floats.extend_from_slice(plain);
        return;
    }
    for point in chunk
        .points(from, to)
        .filter(|point| !point.value.is_stale())
    {
        let at = point.at;
        match point.value {
            SampleValue::Float(value) => floats.push(FloatPoint { at, value }),
            SampleValue::Histogram(value) => {
                samples.histograms.push(HistogramPoint { at, value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::FlatFloats;

    fn at(seconds: i64) -> TimestampMs {
        TimestampMs(seconds * 1000)
    }

    fn float(value: f64) -> SampleValue {
        SampleValue::Float(value)
    }

    #[test]
    fn samples_are_taken_as_prometheus_takes_them() {
        let mut history = SeriesHistory::default();
        let newest_only = at(100);
        let cases = [
            (10, 1.0, TimestampMs::MIN, Appended::InOrder),
            (100, 2.0, TimestampMs::MIN, Appended::InOrder),
            (100, 2.0, newest_only, Appended::Duplicate),
            (100, 3.0, newest_only, Appended::Conflict),
            (50, 4.0, newest_only, Appended::TooOld),
            (50, 4.0, at(40), Appended::Inserted),
            (10, f64::NAN, at(40), Appended::Conflict),
        ];
        for (seconds, value, oldest, expected) in cases {
            assert_eq!(
                history.append(at(seconds), float(value), oldest),
                expected,
                "{seconds}"
            );
        }
        let all: Vec<_> = history.range(at(0), at(100)).map(|p| p.at).collect();
        assert_eq!(all, [at(10), at(50), at(100)]);
    }

    #[test]
    fn ranges_are_open_on_the_left() {
        let mut history = SeriesHistory::default();
        for n in 1..=5 {
            history.append(at(n), float(n as f64), TimestampMs::MIN);
        }
        let times: Vec<_> = history.range(at(2), at(4)).map(|p| p.at).collect();
        assert_eq!(times, [at(3), at(4)]);
        assert_eq!(
            history.last_at_or_before(at(0), &mut Cursor::default()),
            None
        );
        history.forget(at(3));
        let times: Vec<_> = history.range(at(0), at(9)).map(|p| p.at).collect();
        assert_eq!(times, [at(4), at(5)]);
    }

    /// Compares every window of a history with a filter over all that was put in.
    #[test]
    fn windows_hold_what_lies_inside_wherever_the_cursors_are() {
        let mut history = SeriesHistory::default();
        let mut all = std::collections::BTreeMap::new();
        // Every seventh sample comes late, into a chunk that is full already.
        let n = 5 * Chunk::LEN as i64;
        let late = |n: &i64| n % 7 == 3;
        let in_order = (0..n).filter(|n| !late(n));
        for second in in_order.chain((0..n).filter(late)) {
            let value = match second {
                200 => crate::model::stale_nan(),
                _ => second as f64,
            };
            history.append(at(second), float(value), TimestampMs::MIN);
            all.insert(at(second), value);
        }
        history.forget(at(9));
        all.retain(|at, value| *at > self::at(9) && !crate::model::is_stale_nan(*value));
        let mut cursor = Cursor::default();
        let flat = FlatFloats::new(&history, at(100), 10_000).expect("there are no histograms");
        let windows = (0..n).step_by(3).map(|end| (end, (end * 37) % 300));
        for (end, length) in windows.chain([(40, 30), (n + 50, 100), (5, 4), (n, 2 * n)]) {
            let (after, until) = (at(end - length), at(end));
            let expected: Vec<FloatPoint> = all
                .iter()
                .filter(|(time, _)| after < **time && **time <= until)
                .map(|(at, value)| FloatPoint {
                    at: *at,
                    value: *value,
                })
                .collect();
            let samples = history.window(after, until);
            assert_eq!(*samples.floats, expected, "({after:?}, {until:?}]");
            let part = history.part(after, until);
            let of_part = part.window(after, until);
            assert_eq!(
                history.len_after(after),
                history.range(after, at(n)).count()
            );
            assert_eq!(*of_part.floats, expected, "({after:?}, {until:?}]");
            if end - length >= 100 {
                let of_flat = flat.window(after, until).expect("it begins before");
                assert_eq!(of_flat, expected, "({after:?}, {until:?}]");
            }
            let newest = history.last_at_or_before(until, &mut cursor);
            let expected = history.range(TimestampMs::MIN, until).last();
            assert_eq!(newest, expected, "{until:?}");
        }
    }

    #[test]
    fn what_was_taken_along_does_not_change() {
        let mut history = SeriesHistory::default();
        for n in 0..1000 {
            history.append(at(2 * n), float(n as f64), TimestampMs::MIN);
        }
        let part = history.part(at(-1), at(3000));
        let before: Vec<Point> = part.range(at(-1), at(3000)).collect();
        assert_eq!(before.len(), 1000);
        for n in 0..1000 {
            history.append(at(2 * n + 1), float(0.0), TimestampMs::MIN);
        }
        history.forget(at(1000));
        assert_eq!(part.range(at(-1), at(3000)).collect::<Vec<_>>(), before);
        assert_eq!(history.len(), 999);
    }
}
