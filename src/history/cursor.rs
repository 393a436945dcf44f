//! A place in a history for whoever walks it forward, sample by sample.
//!
//! A sliding window is two of these over the one history of its series: one where samples come
//! in, one where they leave. They hold no borrow, so that histories and windows lie in different
//! places; whatever happens to the history in the meantime, a cursor goes on behind the last
//! sample that it has passed.
//!
//! Cost: a step decodes one sample, about 10 ns; the first one, and one after what lay under the
//! cursor was forgotten, search and decode half a chunk.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::bits::Window;
use crate::history::chunk::{ChunkReader, beginning_of};
use crate::history::codec::Predictor;
use crate::model::{FloatHistogram, SampleValue, TimestampMs};

/// A place between two samples of one history.
///
/// It survives appends, sealed chunks, and forgetting of what lies behind it or under it: then it
/// goes on with the first sample that is still there. After an insertion
/// ([`SeriesHistory::insertions`]) it goes on behind the last sample that it has passed.
#[derive(Clone, Copy, Debug)]
pub struct WalkCursor {
    /// What the samples passed let one know; the last of them was at `predictor.at`.
    predictor: Predictor,
    /// The number of the chunk that holds the next sample, or [`UNPLACED`].
    chunk: u64,
    /// The insertions that were made before it found its place.
    insertions: u32,
    /// The bit of its chunk at which the next sample begins.
    bit: u16,
    /// How many samples of its chunk are passed.
    n_passed: u8,
}

/// There was no sample to stand before.
const UNPLACED: u64 = u64::MAX;

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

impl WalkCursor {
    fn unplaced(after: TimestampMs) -> WalkCursor {
        WalkCursor {
            predictor: Predictor {
                at: after.0,
                ..Predictor::default()
            },
            chunk: UNPLACED,
            insertions: 0,
            bit: 0,
            n_passed: 0,
        }
    }

    /// Returns the instant up to which everything is passed.
    pub(in crate::history) fn passed(&self) -> TimestampMs {
        TimestampMs(self.predictor.at)
    }

    /// Returns the number of the chunk that holds the next sample.
    pub(in crate::history) fn number(&self) -> u32 {
        self.chunk as u32
    }

    /// Returns how many samples of its chunk are passed.
    pub(in crate::history) fn n_passed(&self) -> usize {
        self.n_passed.into()
    }
}

impl SeriesHistory {
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
        self.walk_next(&mut cursor.clone(), TimestampMs(i64::MAX))
    }

    /// Tells whether a cursor stands where it was put.
    pub(in crate::history) fn is_placed(&self, cursor: &WalkCursor) -> bool {
        cursor.chunk != UNPLACED && cursor.insertions == self.insertions
    }

    /// Returns a reader of the rest of a cursor's chunk.
    pub(in crate::history) fn reader(&self, cursor: &WalkCursor) -> ChunkReader<'_> {
        let chunk = self.chunk(cursor.number());
        chunk.map_or_else(ChunkReader::default, |chunk| {
            let n_left = chunk.n_samples - cursor.n_passed();
            ChunkReader::at(chunk.bytes, cursor.bit.into(), n_left, cursor.predictor)
        })
    }

    /// Does [`SeriesHistory::walk_next`] with a histogram as its marker.
    pub(in crate::history) fn step(
        &self,
        cursor: &mut WalkCursor,
        until: TimestampMs,
    ) -> Option<(TimestampMs, f64)> {
        loop {
            if !self.is_placed(cursor) {
                self.place_anew(cursor)?;
            }
            let number = cursor.number();
            let Some(chunk) = self.chunk(number) else {
                self.place_anew(cursor)?;
                continue;
            };
            if cursor.n_passed() >= chunk.n_samples {
                if number == self.head_number() {
                    return None;
                }
                *cursor = self.beginning(number.wrapping_add(1))?;
                continue;
            }
            let mut window = Window::of(chunk.bytes, cursor.bit.into());
            let began = window.at();
            let time = cursor.predictor.peek_time(&mut window);
            if time.at > until {
                return None;
            }
            let value = cursor.predictor.decode_value(&time, &mut window);
            cursor.bit += (window.at() - began) as u16;
            cursor.n_passed += 1;
            if time.at > self.forgotten {
                return Some((time.at, value));
            }
        }
    }

    /// Finds a place for a cursor that has none here; `None` while nothing lies ahead of it.
    #[cold]
    fn place_anew(&self, cursor: &mut WalkCursor) -> Option<()> {
        let passed = cursor.passed();
        match self.find(passed) {
            Some(found) => *cursor = found,
            None => {
                *cursor = WalkCursor::unplaced(passed);
                return None;
            }
        }
        Some(())
    }

    /// Returns the place before the first sample after `after`, if there is one.
    pub(in crate::history) fn find(&self, after: TimestampMs) -> Option<WalkCursor> {
        let after = after.max(self.forgotten);
        self.newest_at().filter(|newest| *newest > after)?;
        let behind = TimestampMs(after.0.saturating_add(1));
        let first = || self.beginning(self.first);
        let mut cursor = self.chunk_before(behind).or_else(first)?;
        while self.step(&mut cursor, after).is_some() {}
        Some(cursor)
    }

    /// Returns the beginning of the last chunk whose base is before `at`.
    pub(in crate::history) fn chunk_before(&self, at: TimestampMs) -> Option<WalkCursor> {
        if self.head.is_begun() && self.head.base() < at {
            return self.beginning(self.head_number());
        }
        let behind = self.sealed.partition_point(|chunk| chunk.base < at);
        let place = behind.checked_sub(1)?;
        self.beginning(self.first.wrapping_add(place as u32))
    }

    fn beginning(&self, number: u32) -> Option<WalkCursor> {
        let (bit, predictor) = beginning_of(self.chunk(number)?.bytes)?;
        Some(WalkCursor {
            predictor,
            chunk: number.into(),
            insertions: self.insertions,
            bit: bit as u16,
            n_passed: 0,
        })
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
