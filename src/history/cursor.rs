//! A place in a history for whoever walks it forward, sample by sample.
//!
//! A sliding window is two of these over the one history of its series: one where samples come
//! in, one where they leave. They hold no borrow, so that histories and windows lie in different
//! places; whatever happens to the history in the meantime, a cursor goes on behind the last
//! sample that it has passed.
//!
//! Cost: a step decodes one sample, about 25 ns; the first one, and one after what lay under the
//! cursor was forgotten, search and decode half a chunk.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::bits::{SAMPLE_BYTES_MAX, Window};
use crate::history::chunk::{beginning_of, raw_before};
use crate::history::codec::Predictor;
use crate::history::cold::{ColdChunk, ColdPlace, ColdStore, Found, RECORD_BYTES_MAX};
use crate::history::place::Place;
use crate::history::series_history::ChunkView;
use crate::model::{FloatHistogram, SampleValue, TimestampMs};

/// A place between two samples of one history.
///
/// It survives appends, sealed chunks, and forgetting of what lies behind it or under it: then it
/// goes on with the first sample that is still there. After an insertion
/// ([`SeriesHistory::insertions`]) it goes on behind the last sample that it has passed.
#[derive(Clone, Copy, Debug)]
pub struct WalkCursor {
    /// What the samples passed let one know; the last of them was at `predictor.at`.
    pub(in crate::history) predictor: Predictor,
    /// The chunk that holds the next sample: a number, a place behind [`COLD`], or [`UNPLACED`].
    pub(in crate::history) chunk: u64,
    /// The insertions that were made before it found its place.
    pub(in crate::history) insertions: u32,
    /// The bit of its chunk at which the next sample begins.
    pub(in crate::history) bit: u16,
    /// How many samples of its chunk are passed.
    pub(in crate::history) n_passed: u8,
    /// How many samples its chunk has, if it is cold.
    pub(in crate::history) n_cold: u8,
}

/// There was no sample to stand before.
const UNPLACED: u64 = u64::MAX;
/// The chunk is in the store, at the place that follows.
const COLD: u64 = 1 << 63;

/// Returns the place of a chunk, if it is cold.
#[inline]
pub(in crate::history) fn cold_place(chunk: u64) -> Option<ColdPlace> {
    (chunk & COLD != 0 && chunk != UNPLACED).then_some(chunk & !COLD)
}

/// A sample under a cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkedSample {
    /// When, in ms.
    pub at: TimestampMs,
    /// What.
    pub value: Walked,
}

/// What a walked sample holds; a stale marker is the NaN that says so, or a histogram with that
/// NaN as its sum.
#[derive(Clone, Debug)]
pub enum Walked {
    /// An ordinary float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl PartialEq for Walked {
    /// Compares floats by their bits, so that NaN equals itself.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Walked::Float(a), Walked::Float(b)) => a.to_bits() == b.to_bits(),
            (Walked::Histogram(a), Walked::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

impl From<SampleValue> for Walked {
    fn from(value: SampleValue) -> Self {
        match value {
            SampleValue::Float(value) => Walked::Float(value),
            SampleValue::Histogram(value) => Walked::Histogram(value),
        }
    }
}

/// Why a cursor does not move.
enum Stop {
    /// The next sample, if there is one, is later.
    Behind,
    /// What it stood before is not where it was.
    Lost,
}

impl WalkCursor {
    /// Returns a cursor that finds the first sample after `after` when it is first moved.
    pub fn unplaced(after: TimestampMs) -> WalkCursor {
        WalkCursor {
            predictor: Predictor {
                at: after.0,
                ..Predictor::default()
            },
            chunk: UNPLACED,
            insertions: 0,
            bit: 0,
            n_passed: 0,
            n_cold: 0,
        }
    }

    /// Returns the instant up to which everything is passed.
    pub fn passed(&self) -> TimestampMs {
        TimestampMs(self.predictor.at)
    }

    /// Returns what the samples passed let one know.
    pub(in crate::history) fn predictor(&self) -> Predictor {
        self.predictor
    }

    /// Returns the bit of its chunk, of its record if it is cold, where the next sample begins.
    pub(in crate::history) fn bit(&self) -> usize {
        self.bit.into()
    }

    /// Returns the number of the chunk that holds the next sample, if it is not cold.
    pub(in crate::history) fn number(&self) -> Option<u32> {
        u32::try_from(self.chunk).ok()
    }

    /// Returns the place of its chunk, if it is cold.
    pub(in crate::history) fn place(&self) -> Option<ColdPlace> {
        cold_place(self.chunk)
    }

    /// Returns how many samples of its chunk are passed.
    pub(in crate::history) fn n_passed(&self) -> usize {
        self.n_passed.into()
    }

    /// Returns the place for one that will be kept.
    pub fn pack(&self) -> Place {
        Place::new(
            &self.predictor,
            self.chunk,
            self.bit,
            (self.n_passed, self.n_cold),
        )
    }
}

impl SeriesHistory {
    /// Returns the cursor that was packed; the history has had no insertion since.
    #[inline]
    pub fn unpack(&self, place: &Place) -> WalkCursor {
        let (n_passed, n_cold) = place.counts();
        WalkCursor {
            predictor: place.predictor(),
            chunk: place.chunk(),
            insertions: self.insertions,
            bit: place.bit(),
            n_passed,
            n_cold,
        }
    }

    /// Returns the sample that the cursor has passed last, if it has passed one since it was put
    /// where it is.
    pub fn walk_last(&self, cursor: &WalkCursor) -> Walked {
        let value = cursor.predictor.last_value();
        let value = value.unwrap_or_else(|| {
            let mut record = [0; RECORD_BYTES_MAX];
            let chunk = self.view(cursor, &mut record);
            chunk.map_or(f64::NAN, |chunk| raw_before(chunk.bytes, cursor.bit()))
        });
        self.point(cursor.passed(), value).value.into()
    }

    /// Returns a cursor before the first sample after `after`.
    pub fn walk_from(&self, after: TimestampMs) -> WalkCursor {
        self.find(after)
            .unwrap_or_else(|| WalkCursor::unplaced(after))
    }

    /// Moves the cursor over the next sample if that is at or before `until`, and returns it,
    /// stale markers included.
    pub fn walk_next(&self, cursor: &mut WalkCursor, until: TimestampMs) -> Option<WalkedSample> {
        let (at, value) = self.step(cursor, until)?;
        Some(WalkedSample {
            at,
            value: self.point(at, value).value.into(),
        })
    }

    /// Returns the next sample without moving.
    pub fn walk_peek(&self, cursor: &WalkCursor) -> Option<WalkedSample> {
        self.walk_next(&mut { *cursor }, TimestampMs(i64::MAX))
    }

    /// Tells whether a cursor stands where it was put.
    pub(in crate::history) fn is_placed(&self, cursor: &WalkCursor) -> bool {
        cursor.chunk != UNPLACED && cursor.insertions == self.insertions
    }

    /// Does [`SeriesHistory::walk_next`] with a histogram as its marker.
    #[inline]
    pub(in crate::history) fn step(
        &self,
        cursor: &mut WalkCursor,
        until: TimestampMs,
    ) -> Option<(TimestampMs, f64)> {
        self.step_by(cursor, until, None)
    }

    #[inline]
    pub(in crate::history) fn step_by(
        &self,
        cursor: &mut WalkCursor,
        until: TimestampMs,
        cold: Option<&dyn ColdStore>,
    ) -> Option<(TimestampMs, f64)> {
        match self.advance(cursor, until, cold) {
            Ok(sample) => Some(sample),
            Err(Stop::Behind) => None,
            Err(Stop::Lost) => {
                let found = self.walk_from(cursor.passed());
                if self.leads_back(cursor, &found) {
                    return None;
                }
                *cursor = found;
                self.advance(cursor, until, None).ok()
            }
        }
    }

    /// Tells whether the place found for a lost cursor is one that it has passed: in damaged bytes
    /// time may go back, and from there it would be lost here again.
    fn leads_back(&self, lost: &WalkCursor, found: &WalkCursor) -> bool {
        if !self.is_placed(lost) || !self.is_placed(found) {
            return false;
        }
        match (lost.number(), found.number()) {
            (Some(lost_in), Some(found_in)) => match found_in.wrapping_sub(lost_in) as i32 {
                0 => found.bit <= lost.bit,
                ahead => ahead < 0,
            },
            // What has left memory since is cold.
            (Some(lost_in), None) => self.chunk(lost_in).is_some(),
            (None, Some(_)) => false,
            (None, None) => (found.chunk, found.bit) <= (lost.chunk, lost.bit),
        }
    }

    fn advance(
        &self,
        cursor: &mut WalkCursor,
        until: TimestampMs,
        view: Option<&dyn ColdStore>,
    ) -> Result<(TimestampMs, f64), Stop> {
        if !self.is_placed(cursor) {
            return Err(Stop::Lost);
        }
        loop {
            let mut cold = [0; SAMPLE_BYTES_MAX];
            let Some(bytes) = self.next_code(cursor, &mut cold, view) else {
                if self.is_at_end(cursor) {
                    return Err(Stop::Behind);
                }
                let next = self.gone_cold(cursor).or_else(|| self.next_chunk(cursor));
                *cursor = next.ok_or(Stop::Lost)?;
                continue;
            };
            let skipped = cursor.bit % 8;
            let mut window = Window::of(bytes, skipped.into());
            let time = cursor.predictor.peek_time(&mut window);
            if time.at > until {
                return Err(Stop::Behind);
            }
            let value = cursor.predictor.decode_value(&time, &mut window);
            cursor.bit += window.at() as u16 - skipped;
            cursor.n_passed += 1;
            if time.at > self.forgotten {
                return Ok((time.at, value));
            }
        }
    }

    /// Returns the bytes of the next sample, if it is in the cursor's chunk and that is there.
    #[inline]
    fn next_code<'a>(
        &'a self,
        cursor: &WalkCursor,
        cold: &'a mut [u8; SAMPLE_BYTES_MAX],
        view: Option<&dyn ColdStore>,
    ) -> Option<&'a [u8]> {
        let byte = cursor.bit() / 8;
        if let Some(number) = cursor.number() {
            let chunk = self.chunk(number)?;
            let is_there = cursor.n_passed() < chunk.n_samples;
            return chunk.bytes.get(byte..).filter(|_| is_there);
        }
        if cursor.n_passed >= cursor.n_cold {
            return None;
        }
        let (chain, place) = (self.cold()?, cursor.place()?);
        let is_in_view = view.is_some_and(|view| view.read(place, byte, cold) > 0);
        (is_in_view || chain.read(place, byte, cold)).then_some(cold)
    }

    /// Tells whether a cursor is behind the newest sample.
    fn is_at_end(&self, cursor: &WalkCursor) -> bool {
        cursor.number() == Some(self.number) && cursor.n_passed() >= self.head.len()
    }

    /// Returns the same place as that of a cursor whose chunk has left memory, in the store: its
    /// bytes lie there as they were.
    #[cold]
    fn gone_cold(&self, cursor: &WalkCursor) -> Option<WalkCursor> {
        let number = cursor.number().filter(|n| self.chunk(*n).is_none())?;
        let Found::Last(chunk) = self.cold()?.find(|chunk| chunk.number <= number)? else {
            return None;
        };
        (chunk.number == number && cursor.n_passed <= chunk.n_samples).then(|| WalkCursor {
            chunk: COLD | chunk.place,
            bit: cursor.bit + 8 * chunk.offset as u16,
            n_cold: chunk.n_samples,
            ..*cursor
        })
    }

    /// Returns the beginning of the chunk behind that of a cursor; `None` where that is gone, or
    /// has moved.
    pub(in crate::history) fn next_chunk(&self, cursor: &WalkCursor) -> Option<WalkCursor> {
        if let Some(number) = cursor.number() {
            self.chunk(number)?;
            return self.beginning(number.wrapping_add(1));
        }
        let (place, cold) = (cursor.place()?, self.cold()?);
        if cursor.n_passed < cursor.n_cold && cold.header(place).is_none() {
            return None;
        }
        if cold.is_newest(place) {
            return self.beginning(self.first());
        }
        self.cold_beginning(&cold.next(place)?)
    }

    /// Returns the place before the first sample after `after`, if there is one.
    pub(in crate::history) fn find(&self, after: TimestampMs) -> Option<WalkCursor> {
        let mut cursor = self.chunk_of(after)?;
        while self
            .advance(&mut cursor, after.max(self.forgotten), None)
            .is_ok()
        {}
        Some(cursor)
    }

    /// Returns the beginning of a chunk from which few steps lead to the first sample after
    /// `after`, if there is one.
    pub(in crate::history) fn chunk_of(&self, after: TimestampMs) -> Option<WalkCursor> {
        let after = after.max(self.forgotten);
        self.newest_at().filter(|newest| *newest > after)?;
        let behind = TimestampMs(after.0.saturating_add(1));
        self.chunk_before(behind).or_else(|| self.oldest_chunk())
    }

    /// Returns the beginning of the last chunk whose base is before `at`.
    pub(in crate::history) fn chunk_before(&self, at: TimestampMs) -> Option<WalkCursor> {
        if self.head.is_begun() && self.head.base() < at {
            return self.beginning(self.number);
        }
        let behind = self.sealed().partition_point(|chunk| chunk.base < at);
        if let Some(place) = behind.checked_sub(1) {
            return self.beginning(self.first().wrapping_add(place as u32));
        }
        match self.cold()?.find(|chunk| chunk.base < at)? {
            Found::Last(chunk) => self.cold_beginning(&chunk),
            Found::Oldest(_) => None,
        }
    }

    fn oldest_chunk(&self) -> Option<WalkCursor> {
        match self.cold().and_then(|cold| cold.find(|_| false)) {
            Some(Found::Oldest(chunk)) => self.cold_beginning(&chunk),
            _ => self.beginning(self.first()),
        }
    }

    fn beginning(&self, number: u32) -> Option<WalkCursor> {
        let (bit, predictor) = beginning_of(self.chunk(number)?.bytes)?;
        Some(WalkCursor {
            predictor,
            chunk: number.into(),
            insertions: self.insertions,
            bit: bit as u16,
            n_passed: 0,
            n_cold: 0,
        })
    }

    fn cold_beginning(&self, chunk: &ColdChunk) -> Option<WalkCursor> {
        let mut bytes = [0; 64];
        let is_there = self.cold()?.read(chunk.place, chunk.offset, &mut bytes);
        let (bit, predictor) = beginning_of(is_there.then_some(&bytes)?)?;
        Some(WalkCursor {
            predictor,
            chunk: COLD | chunk.place,
            insertions: self.insertions,
            bit: (8 * chunk.offset + bit) as u16,
            n_passed: 0,
            n_cold: chunk.n_samples,
        })
    }

    /// Returns the chunk of a cursor, read into `record` if it is cold.
    pub(in crate::history) fn view<'a>(
        &'a self,
        cursor: &WalkCursor,
        record: &'a mut [u8; RECORD_BYTES_MAX],
    ) -> Option<ChunkView<'a>> {
        if let Some(number) = cursor.number() {
            return self.chunk(number);
        }
        let cold = self.cold()?;
        let header = cold.header(cursor.place()?)?;
        Some(ChunkView {
            bytes: cold.bytes(&header, record)?,
            n_samples: header.n_samples.into(),
            histograms: &[],
        })
    }

    /// Returns the number of cold samples from the beginning of a cursor's chunk on.
    pub(in crate::history) fn n_cold_from(&self, cursor: &WalkCursor) -> usize {
        let (Some(place), Some(cold)) = (cursor.place(), self.cold()) else {
            return 0;
        };
        let before = cold
            .header(place)
            .map_or(cold.n_samples, |chunk| chunk.n_before);
        cold.n_samples.wrapping_sub(before) as usize
    }

    /// Returns the instant behind which the samples in memory lie.
    pub(in crate::history) fn memory_base(&self) -> Option<TimestampMs> {
        let first = self.sealed().front().map(|chunk| chunk.base);
        first.or_else(|| self.head.is_begun().then(|| self.head.base()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;

    /// Walks all that there is up to `until` seconds.
    fn walk(history: &SeriesHistory, cursor: &mut WalkCursor, until: i64) -> Vec<i64> {
        let until = TimestampMs(until * 1000);
        let steps = std::iter::from_fn(|| history.walk_next(cursor, until));
        steps.map(|sample| sample.at.0 / 1000).collect()
    }

    fn push(history: &mut SeriesHistory, seconds: impl IntoIterator<Item = i64>) {
        for second in seconds {
            let value = SampleValue::Float(second as f64);
            history.append(TimestampMs(second * 1000), value, TimestampMs::MIN);
        }
    }

    #[test]
    fn a_cursor_gives_every_sample_once_whatever_happens_to_the_history() {
        let mut history = SeriesHistory::default();
        let mut cursor = history.walk_from(TimestampMs(5000));
        assert!(history.walk_peek(&cursor).is_none());
        push(&mut history, 0..1000);
        assert_eq!(
            walk(&history, &mut cursor, 299),
            (6..300).collect::<Vec<_>>()
        );
        assert!(
            history
                .walk_peek(&cursor)
                .is_some_and(|s| s.at.0 == 300_000)
        );
        // What lies behind it goes, then what lies under it.
        history.forget(TimestampMs(200_000));
        assert_eq!(
            walk(&history, &mut cursor, 399),
            (300..400).collect::<Vec<_>>()
        );
        history.forget(TimestampMs(600_000));
        push(&mut history, (1000..2000).step_by(2));
        let rest = (601..1000).chain((1000..2000).step_by(2));
        assert_eq!(walk(&history, &mut cursor, 9999), rest.collect::<Vec<_>>());
        // A late one behind the cursor is not seen, one before it is.
        let mut second = history.walk_from(TimestampMs(1_500_000));
        assert_eq!(history.insertions(), 0);
        push(&mut history, [1601, 1401]);
        assert_eq!(history.insertions(), 2);
        assert_eq!(walk(&history, &mut second, 1602), {
            let mut all: Vec<i64> = (1502..1603).step_by(2).collect();
            all.insert(50, 1601);
            all
        });
        assert!(walk(&history, &mut cursor, 9999).is_empty());
        history.append(
            TimestampMs(2_500_000),
            SampleValue::Float(stale_nan()),
            TimestampMs::MIN,
        );
        let marker = history.walk_next(&mut cursor, TimestampMs::MAX);
        assert_eq!(
            marker.map(|m| m.value),
            Some(Walked::Float(stale_nan())),
            "stale markers come along"
        );
    }
}
