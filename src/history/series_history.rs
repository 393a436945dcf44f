//! The samples of one series in memory, ascending in time.
//!
//! A sample takes 16 bytes: floats lie in one ring; a native histogram leaves a marker there
//! and lies aside, so that a series of floats, which nearly all are, pays nothing for them.
//!
//! Cost: appending in order is O(1) amortised, finding an instant O(log n).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::model::{FloatHistogram, Point, SampleValue, TimestampMs};

/// A NaN that no sender's sample can be, since it is replaced on the way in.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

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
    slots: VecDeque<(TimestampMs, f64)>,
    histograms: BTreeMap<TimestampMs, Arc<FloatHistogram>>,
}

impl SeriesHistory {
    /// Adds a sample. One behind the newest is taken only if it is newer than `oldest_allowed`.
    pub fn append(
        &mut self,
        at: TimestampMs,
        value: SampleValue,
        oldest_allowed: TimestampMs,
    ) -> Appended {
        let newest = self.slots.back().map(|slot| slot.0);
        if newest.is_none_or(|newest| at > newest) {
            let bits = self.slot_value(at, value);
            self.slots.push_back((at, bits));
            return Appended::InOrder;
        }
        match self.slots.binary_search_by_key(&at, |slot| slot.0) {
            Ok(index) if self.value_of(self.slots[index]) == value => Appended::Duplicate,
            Ok(_) => Appended::Conflict,
            Err(_) if at <= oldest_allowed => Appended::TooOld,
            Err(index) => {
                let bits = self.slot_value(at, value);
                self.slots.insert(index, (at, bits));
                Appended::Inserted
            }
        }
    }

    fn slot_value(&mut self, at: TimestampMs, value: SampleValue) -> f64 {
        match value {
            SampleValue::Float(value) if value.to_bits() == HISTOGRAM_BITS => f64::NAN,
            SampleValue::Float(value) => value,
            SampleValue::Histogram(histogram) => {
                self.histograms.insert(at, histogram);
                f64::from_bits(HISTOGRAM_BITS)
            }
        }
    }

    fn value_of(&self, (at, value): (TimestampMs, f64)) -> SampleValue {
        if value.to_bits() != HISTOGRAM_BITS {
            return SampleValue::Float(value);
        }
        match self.histograms.get(&at) {
            Some(histogram) => SampleValue::Histogram(Arc::clone(histogram)),
            None => SampleValue::Float(f64::NAN),
        }
    }

    /// Returns the newest sample, stale markers included.
    pub fn newest(&self) -> Option<Point> {
        self.slots.back().map(|slot| Point {
            at: slot.0,
            value: self.value_of(*slot),
        })
    }

    /// Returns the newest sample at or before `at`, stale markers included.
    pub fn last_at_or_before(&self, at: TimestampMs) -> Option<Point> {
        let index = self
            .slots
            .partition_point(|slot| slot.0 <= at)
            .checked_sub(1)?;
        let slot = self.slots[index];
        Some(Point {
            at: slot.0,
            value: self.value_of(slot),
        })
    }

    /// Iterates over the samples in `(after, until]`, stale markers included.
    pub fn range(
        &self,
        after: TimestampMs,
        until: TimestampMs,
    ) -> impl Iterator<Item = Point> + '_ {
        let from = self.slots.partition_point(|slot| slot.0 <= after);
        let to = self.slots.partition_point(|slot| slot.0 <= until).max(from);
        self.slots.range(from..to).map(|slot| Point {
            at: slot.0,
            value: self.value_of(*slot),
        })
    }

    /// Forgets what lies at or before `until`.
    pub fn forget(&mut self, until: TimestampMs) {
        let drop = self.slots.partition_point(|slot| slot.0 <= until);
        self.slots.drain(..drop);
        if !self.histograms.is_empty() {
            self.histograms = self.histograms.split_off(&TimestampMs(until.0 + 1));
        }
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(history.last_at_or_before(at(0)), None);
        history.forget(at(3));
        let times: Vec<_> = history.range(at(0), at(9)).map(|p| p.at).collect();
        assert_eq!(times, [at(4), at(5)]);
    }
}
