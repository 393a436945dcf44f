//! Start timestamps: since when the counter behind a sample has been counting.
//!
//! A sample may say so (remote write 2.0, `start_timestamp`); 0 says nothing, as on the wire.
//! Most series have none, and of a counter it changes only when the counter starts anew, so
//! runs of samples with the same start are kept beside the samples, not a start with each.

use crate::model::TimestampMs;
use crate::model::bytes::{ByteReader, ByteWriter, Read};

/// The start timestamp of a sample that states none.
pub const NO_START: TimestampMs = TimestampMs(0);

/// The start timestamps of one series' samples.
///
/// Cost: 16 bytes a run; a start in order is O(1), any other O(runs).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartTimes {
    /// `(from, start)`: samples at `from` and later have `start`, until the next run.
    runs: Vec<(TimestampMs, TimestampMs)>,
}

impl StartTimes {
    /// Returns the start timestamp of the sample at `at`, [`NO_START`] where it states none.
    pub fn of(&self, at: TimestampMs) -> TimestampMs {
        let behind = self.runs.partition_point(|run| run.0 <= at);
        match behind.checked_sub(1) {
            Some(run) => self.runs[run].1,
            None => NO_START,
        }
    }

    /// Notes the start of a sample that is newer than all others.
    pub fn push(&mut self, at: TimestampMs, start: TimestampMs) {
        if self.runs.last().map_or(NO_START, |run| run.1) != start {
            self.runs.push((at, start));
        }
    }

    /// Notes the start of a sample before that at `next`, which keeps its own.
    pub fn insert(&mut self, at: TimestampMs, start: TimestampMs, next: TimestampMs) {
        let behind = self.of(next);
        if self.of(at) == start {
            return;
        }
        let run = self.runs.partition_point(|run| run.0 < at);
        self.runs.insert(run, (at, start));
        if self.runs.get(run + 1).is_none_or(|after| after.0 > next) {
            self.runs.insert(run + 1, (next, behind));
        }
    }

    /// Forgets what concerns samples at or before `until` alone.
    pub fn forget(&mut self, until: TimestampMs) {
        let behind = self.runs.partition_point(|run| run.0 <= until);
        self.runs.drain(..behind.saturating_sub(1));
    }

    /// Puts the runs.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.runs.iter(), |out, (from, start)| {
            out.instant(*from);
            out.instant(*start);
        });
    }

    /// Takes what [`StartTimes::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<StartTimes> {
        let runs: Vec<_> = read.list(2, |read| Ok((read.instant()?, read.instant()?)))?;
        match runs.is_sorted_by(|a, b| a.0 < b.0) {
            true => Ok(StartTimes { runs }),
            false => Err(read.malformed("starts in order")),
        }
    }

    /// Tells whether no sample states a start.
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.1 == NO_START)
    }
}

/// The start timestamps of the samples of a list, by their positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedStarts(Vec<(u32, TimestampMs)>);

impl ListedStarts {
    /// Notes the start of the sample at `position`, which is behind all others noted.
    pub fn push(&mut self, position: usize, start: TimestampMs) {
        if let (true, Ok(position)) = (start != NO_START, u32::try_from(position)) {
            self.0.push((position, start));
        }
    }

    /// Returns a reader that is asked for ascending positions.
    pub fn in_order(&self) -> StartsInOrder<'_> {
        StartsInOrder { rest: &self.0 }
    }

    /// Iterates over position and start of those noted, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, TimestampMs)> {
        self.0.iter().copied()
    }

    /// Forgets all, keeping the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the heap bytes held, used or not.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u32, TimestampMs)>()
    }
}

/// Reads starts by ascending positions.
#[derive(Clone, Debug)]
pub struct StartsInOrder<'a> {
    rest: &'a [(u32, TimestampMs)],
}

impl StartsInOrder<'_> {
    /// Returns the start at `position`, [`NO_START`] where there is none.
    #[inline]
    pub fn of(&mut self, position: usize) -> TimestampMs {
        while let [(noted, start), rest @ ..] = self.rest {
            let noted = *noted as usize;
            if noted > position {
                break;
            }
            self.rest = rest;
            if noted == position {
                return *start;
            }
        }
        NO_START
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_keeps_the_start_it_came_with() {
        let mut starts = StartTimes::default();
        let mut all = std::collections::BTreeMap::new();
        // Even samples come in order; odd ones come late, in between.
        let start_of = |at: i64| TimestampMs([0, 5, 5, 7, 0, 0, 9][at as usize % 7]);
        for at in (2..60).step_by(2) {
            starts.push(TimestampMs(at), start_of(at / 6));
            all.insert(at, start_of(at / 6));
        }
        for at in (3..58).step_by(2) {
            starts.insert(TimestampMs(at), start_of(at), TimestampMs(at + 1));
            all.insert(at, start_of(at));
            for (at, start) in &all {
                assert_eq!(starts.of(TimestampMs(*at)), *start, "{at}");
            }
        }
        assert_eq!(starts.of(TimestampMs(1)), NO_START);
        starts.forget(TimestampMs(20));
        for (at, start) in all.range(21..) {
            assert_eq!(starts.of(TimestampMs(*at)), *start, "{at}");
        }
        let n_runs = starts.runs.len();
        assert!(n_runs < all.len(), "{n_runs} runs");
    }

    #[test]
    fn a_list_gives_starts_by_position() {
        let mut listed = ListedStarts::default();
        for (position, start) in [(1, 10), (2, 0), (4, 40)] {
            listed.push(position, TimestampMs(start));
        }
        let mut starts = listed.in_order();
        let found: Vec<i64> = (0..6).map(|position| starts.of(position).0).collect();
        assert_eq!(found, [0, 10, 0, 0, 40, 0]);
    }
}
