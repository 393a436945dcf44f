//! A place in a history for whoever walks it forward, sample by sample.
//!
//! A sliding window is two of these over the one history of its series: one where samples come
//! in, one where they leave. They hold no borrow, so that histories and windows lie in different
//! places; whatever happens to the history in the meantime, a cursor goes on behind the last
//! sample that it has passed.
//!
//! Cost: O(1) a step; O(log n) for the first one, and after what lay under it was forgotten.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::series_history::Place;
use crate::model::{FloatHistogram, SampleValue, TimestampMs};

/// A place between two samples of one history.
///
/// It survives appends, sealed chunks, and forgetting of what lies behind it or under it: then it
/// goes on with the first sample that is still there. After an insertion
/// ([`SeriesHistory::insertions`]) it still gives each sample after its place once, and so also
/// one that was put there late.
#[derive(Clone, Debug)]
pub struct WalkCursor {
    /// Every sample at or before this instant is passed.
    after: TimestampMs,
    /// Where the next one was when it was last looked for.
    place: Place,
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

impl SeriesHistory {
    /// Returns a cursor before the first sample after `after`.
    pub fn walk_from(&self, after: TimestampMs) -> WalkCursor {
        WalkCursor {
            after,
            place: self.search(after),
        }
    }

    /// Moves the cursor over the next sample if that is at or before `until`, and returns it,
    /// stale markers included.
    pub fn walk_next(&self, cursor: &mut WalkCursor, until: TimestampMs) -> Option<WalkedSample> {
        let place = self.next_place(cursor);
        let sample = self.walked(place).filter(|sample| sample.at <= until)?;
        cursor.after = sample.at;
        cursor.place = Place {
            chunk: place.chunk,
            slot: place.slot + 1,
        };
        Some(sample)
    }

    /// Returns the next sample without moving.
    pub fn walk_peek(&self, cursor: &WalkCursor) -> Option<WalkedSample> {
        self.walked(self.next_place(cursor))
    }

    fn walked(&self, place: Place) -> Option<WalkedSample> {
        let point = self.chunk(place.chunk)?.get(place.slot)?;
        Some(WalkedSample {
            at: point.at,
            value: point.value.into(),
        })
    }

    /// Returns the place of the first sample after what the cursor has passed.
    fn next_place(&self, cursor: &WalkCursor) -> Place {
        let Place { chunk, slot } = cursor.place;
        let time = |chunk: usize, slot: usize| self.chunk(chunk)?.time(slot);
        // What lies before the place must be passed, or chunks were dropped or samples put in.
        let before = match slot.checked_sub(1) {
            Some(slot) => time(chunk, slot),
            None => chunk
                .checked_sub(1)
                .and_then(|chunk| self.chunk(chunk)?.end()),
        };
        let is_passed = before.is_some_and(|before| before <= cursor.after);
        let next = time(chunk, slot).map_or_else(
            || time(chunk + 1, 0).map(|at| (chunk + 1, 0, at)),
            |at| Some((chunk, slot, at)),
        );
        match next {
            Some((chunk, slot, at)) if is_passed && at > cursor.after => Place { chunk, slot },
            _ => self.search(cursor.after),
        }
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
