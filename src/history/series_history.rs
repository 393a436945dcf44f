//! The samples of one series, ascending in time.
//!
//! Samples lie in compressed chunks. The one that is being written belongs to the history alone;
//! full ones are shared: who asks takes those of its interval along, and no sample is copied but
//! the few hundred bytes of the chunk that is being written. An out-of-order sample has its chunk
//! written anew.
//!
//! Cost: below 2 bytes a sample for what is usual; appending is O(1), and so is the newest
//! sample; finding an instant takes O(log n) and reading half a chunk, going on from there O(1).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::chunk::{HeadChunk, SealedChunk, sample_value};
use crate::history::codec::HISTOGRAM_BITS;
use crate::history::cold::ColdChain;
use crate::history::rest::{More, Rest};
use crate::model::{
    CounterResetHint, FloatHistogram, FloatPoint, HistogramPoint, NO_START, Point, SampleValue,
    StartTimes, TimestampMs, is_stale_nan,
};

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
///
/// There are as many as there are series, so it is small: what only some have lies in `Rest`.
#[derive(Debug)]
pub struct SeriesHistory {
    /// The chunk that is being written.
    pub(in crate::history) head: HeadChunk,
    /// What lies at or before this is gone, though its bytes may be there.
    pub(in crate::history) forgotten: TimestampMs,
    /// What is not in `head`.
    pub(in crate::history) rest: Option<Box<Rest>>,
    /// The number of `head`; those before it have the numbers before.
    pub(in crate::history) number: u32,
    /// How many samples were put between others.
    pub(in crate::history) insertions: u32,
    /// How many samples have ever come; it may wrap.
    pub(in crate::history) n_taken: u32,
    /// How many of them were stale markers.
    pub(in crate::history) n_stale: u32,
}

const _: () = assert!(size_of::<SeriesHistory>() == 88);

impl Default for SeriesHistory {
    fn default() -> Self {
        SeriesHistory {
            head: HeadChunk::default(),
            forgotten: NOTHING_FORGOTTEN,
            rest: None,
            number: 0,
            insertions: 0,
            n_taken: 0,
            n_stale: 0,
        }
    }
}

impl Clone for SeriesHistory {
    /// Returns a history of its own, which takes no more to the store of cold chunks.
    fn clone(&self) -> Self {
        let cold = self.cold().map(ColdChain::pinned);
        self.with(self.sealed().clone(), cold)
    }
}

/// Before all that can be written.
const NOTHING_FORGOTTEN: TimestampMs = TimestampMs(i64::MIN);

/// A chunk in memory, as readers want it.
#[derive(Clone, Copy, Debug)]
pub(in crate::history) struct ChunkView<'a> {
    /// The samples.
    pub bytes: &'a [u8],
    /// How many there are.
    pub n_samples: usize,
    /// The native histograms among them.
    pub histograms: &'a [HistogramPoint],
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
        if self.newest_at().is_none_or(|newest| at > newest) {
            let value = self.hinted(value);
            self.push(at, value, oldest_allowed);
            if let Some(starts) = self.starts_to_change(start) {
                starts.push(at, start);
            }
            return Appended::InOrder;
        }
        let next = self.first_after(TimestampMs(at.0.saturating_sub(1)));
        match next {
            Some(known) if known.at == at && is_same(&known.value, &value) => Appended::Duplicate,
            Some(known) if known.at == at => Appended::Conflict,
            _ if at <= oldest_allowed => Appended::TooOld,
            // It is taken, and at once forgotten again.
            _ if at <= self.forgotten => Appended::Inserted,
            next => {
                let next = next.map_or(TimestampMs::MAX, |next| next.at);
                self.count(value.is_stale());
                self.insert(at, value);
                self.insertions = self.insertions.wrapping_add(1);
                if let Some(starts) = self.starts_to_change(start) {
                    starts.insert(at, start, next);
                }
                Appended::Inserted
            }
        }
    }

    fn push(&mut self, at: TimestampMs, value: SampleValue, oldest_allowed: TimestampMs) {
        if !self.head.is_begun() {
            self.head = HeadChunk::first(at);
            if at <= self.forgotten {
                // All was forgotten, and a sender is far behind the others.
                self.forgotten = TimestampMs(at.0.saturating_sub(1));
                self.insertions = self.insertions.wrapping_add(1);
            }
        } else if self.head.is_full() {
            self.seal();
            self.spill(oldest_allowed);
        }
        let is_stale = value.is_stale();
        self.count(is_stale);
        let value = match value {
            SampleValue::Float(value) => float_of(value),
            SampleValue::Histogram(value) => {
                self.more_mut().aside.push(HistogramPoint { at, value });
                f64::from_bits(HISTOGRAM_BITS)
            }
        };
        self.head.push(at, value, is_stale);
    }

    /// Returns what there is besides the head, made where there was nothing.
    pub(in crate::history) fn rest_mut(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Returns what few have, made where there was nothing.
    pub(in crate::history) fn more_mut(&mut self) -> &mut More {
        self.rest_mut().more.get_or_insert_default()
    }

    #[inline]
    fn more(&self) -> Option<&More> {
        self.rest.as_ref()?.more.as_deref()
    }

    /// Returns the chunks that are full and in memory.
    #[inline]
    pub(in crate::history) fn sealed(&self) -> &VecDeque<Arc<SealedChunk>> {
        static NONE: VecDeque<Arc<SealedChunk>> = VecDeque::new();
        self.more().map_or(&NONE, |more| &more.sealed)
    }

    /// Returns the same, to be changed.
    pub(in crate::history) fn sealed_mut(&mut self) -> &mut VecDeque<Arc<SealedChunk>> {
        &mut self.more_mut().sealed
    }

    /// Returns the chunks that are not in memory.
    #[inline]
    pub(in crate::history) fn cold(&self) -> Option<&ColdChain> {
        self.rest.as_ref()?.cold.as_ref()
    }

    /// Returns the number of the first chunk in memory.
    pub(in crate::history) fn first(&self) -> u32 {
        self.number.wrapping_sub(self.sealed().len() as u32)
    }

    /// Tells whether the next sample begins a chunk.
    pub fn is_chunk_full(&self) -> bool {
        self.head.is_begun() && self.head.is_full()
    }

    /// Tells whether a chunk was begun by the newest sample, which is a good time to cut.
    pub fn is_chunk_begun(&self) -> bool {
        self.head.len() == 1
    }

    /// Returns a history that is like this one but for what is sealed and cold.
    pub(in crate::history) fn with(
        &self,
        sealed: VecDeque<Arc<SealedChunk>>,
        cold: Option<ColdChain>,
    ) -> Self {
        let rest = self.rest.as_ref().map(|rest| {
            let more = rest.more.as_ref();
            let more = More {
                aside: more.map_or_else(Vec::new, |more| more.aside.clone()),
                sealed,
                starts: more.and_then(|more| more.starts.clone()),
            };
            let more = Some(Box::new(more));
            let mut rest = Rest { cold, more };
            rest.tidy();
            Box::new(rest)
        });
        SeriesHistory {
            head: self.head.clone(),
            rest,
            ..*self
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
        if self.starts().is_none() && start == NO_START {
            return None;
        }
        Some(Arc::make_mut(
            self.more_mut().starts.get_or_insert_default(),
        ))
    }

    /// Returns the start timestamps, if any sample states one.
    pub fn starts(&self) -> Option<&StartTimes> {
        self.more()?.starts.as_deref()
    }

    /// Returns the newest sample, stale markers included.
    pub fn newest(&self) -> Option<Point> {
        let (at, value) = self.newest_float()?;
        Some(self.point(at, value))
    }

    /// Returns when the newest sample was, ms.
    pub fn newest_at(&self) -> Option<TimestampMs> {
        let newest = self.head.newest_at();
        (self.head.is_begun() && newest > self.forgotten).then_some(newest)
    }

    /// Returns the newest sample, a histogram as its marker.
    pub(in crate::history) fn newest_float(&self) -> Option<(TimestampMs, f64)> {
        self.newest_at().map(|_| self.head.newest())
    }

    /// Returns the newest sample where that is a float, or a stale marker that is one.
    #[inline]
    pub fn newest_if_float(&self) -> Option<FloatPoint> {
        let (at, value) = self.newest_float()?;
        (value.to_bits() != HISTOGRAM_BITS).then_some(FloatPoint { at, value })
    }

    /// Returns a sample as others know it.
    pub(in crate::history) fn point(&self, at: TimestampMs, value: f64) -> Point {
        let value = if value.to_bits() == HISTOGRAM_BITS {
            sample_value(at, value, self.histograms_around(at))
        } else {
            SampleValue::Float(value)
        };
        Point { at, value }
    }

    fn histograms_around(&self, at: TimestampMs) -> &[HistogramPoint] {
        let number = self.sealed().partition_point(|chunk| chunk.end < at);
        match self.sealed().get(number) {
            Some(chunk) => &chunk.histograms,
            None => self.head_histograms(),
        }
    }

    pub(in crate::history) fn head_histograms(&self) -> &[HistogramPoint] {
        self.more().map_or(&[], |more| more.aside.as_slice())
    }

    /// Returns the chunk of a number, if it is in memory.
    pub(in crate::history) fn chunk(&self, number: u32) -> Option<ChunkView<'_>> {
        if number == self.number {
            return self.head.is_begun().then(|| ChunkView {
                bytes: self.head.bytes(),
                n_samples: self.head.len(),
                histograms: self.head_histograms(),
            });
        }
        let place = number.wrapping_sub(self.first()) as usize;
        let chunk = self.sealed().get(place)?;
        Some(ChunkView {
            bytes: &chunk.bytes,
            n_samples: chunk.n_samples as usize,
            histograms: &chunk.histograms,
        })
    }

    /// Grows whenever a sample is put where others are or were: cursors made before are to be made
    /// anew.
    pub fn insertions(&self) -> u32 {
        self.insertions
    }

    /// Returns the instant up to which samples are gone, ms.
    #[inline]
    pub fn forgotten(&self) -> TimestampMs {
        self.forgotten
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.len_after(self.forgotten)
    }

    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.newest_at().is_none()
    }

    /// Returns the bytes held, those shared with others included; native histograms count as
    /// much as the place that they are kept at.
    pub fn bytes(&self) -> usize {
        let sealed = self.sealed().iter().map(|chunk| {
            size_of::<SealedChunk>() + chunk.bytes.len() + size_of_val(&*chunk.histograms)
        });
        size_of::<Self>()
            + self.head.heap_bytes()
            + self.sealed().capacity() * size_of::<Arc<SealedChunk>>()
            + sealed.sum::<usize>()
            + size_of_val(self.head_histograms())
            + self.rest.as_ref().map_or(0, |_| size_of::<Rest>())
            + self.more().map_or(0, |_| size_of::<More>())
    }
}

/// Returns a float that is not taken for a histogram's marker.
pub(in crate::history) fn float_of(value: f64) -> f64 {
    match value.to_bits() {
        HISTOGRAM_BITS => f64::NAN,
        _ => value,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::chunk::SAMPLES_MAX;
    use crate::history::{Cursor, FlatFloats};
    use crate::model::FloatPoint;

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
        let n = 5 * SAMPLES_MAX as i64;
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
