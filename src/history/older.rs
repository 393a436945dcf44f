//! Samples from before the first one of a history, put in front of it.
//!
//! Cost: all of both is written anew; it happens once for a window that is new or got longer.

use crate::history::SeriesHistory;
use crate::model::{NO_START, Point, TimestampMs};

impl SeriesHistory {
    /// Returns a history of older samples, ascending, and then those of this one. Samples that are
    /// not older than the first one here are left out. Cursors begin anew in it.
    pub fn with_older(&self, older: Vec<Point>) -> SeriesHistory {
        let mut joined = SeriesHistory::default();
        let own = || self.range(TimestampMs::MIN, TimestampMs::MAX);
        let first = own().next().map_or(TimestampMs::MAX, |first| first.at);
        for Point { at, value } in older.into_iter().take_while(|point| point.at < first) {
            joined.append(at, value, TimestampMs::MAX);
        }
        for Point { at, value } in own() {
            let start = self.starts().map_or(NO_START, |starts| starts.of(at));
            joined.append_started(at, start, value, TimestampMs::MAX);
        }
        joined.insertions = self.insertions.wrapping_add(1);
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SampleValue;

    fn points(times: std::ops::Range<i64>) -> Vec<Point> {
        let point = |n: i64| Point {
            at: TimestampMs(n * 15_000),
            value: SampleValue::Float(n as f64),
        };
        times.map(point).collect()
    }

    #[test]
    fn older_samples_come_before_and_cursors_begin_anew() {
        let mut own = SeriesHistory::default();
        for point in points(1_000..1_500) {
            own.append(point.at, point.value, TimestampMs::MAX);
        }
        let joined = own.with_older(points(0..1_200));
        let found: Vec<Point> = joined.range(TimestampMs(-1), TimestampMs::MAX).collect();
        assert_eq!(found, points(0..1_500));
        assert_ne!(joined.insertions(), own.insertions());

        let nothing = SeriesHistory::default().with_older(points(0..3));
        assert_eq!(nothing.len(), 3);
    }
}
