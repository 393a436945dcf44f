//! How many samples lie before a place, without reading them: chunks know how many they hold.
//!
//! So a place that is made anew has counted as if it had always been there.

use crate::history::chunk::{ChunkReader, is_stale};
use crate::history::cold::RECORD_BYTES_MAX;
use crate::history::{SeriesHistory, WalkCursor};
use crate::model::TimestampMs;

/// How many samples lie before a place, counted from the first that the series ever had; both may
/// wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub n_samples: u32,
    /// Those that are no stale markers.
    pub n_live: u32,
}

impl Counted {
    /// Returns the count with so many samples more, and so many stale markers among them.
    pub(in crate::history) fn plus(self, n_samples: u32, n_stale: u32) -> Counted {
        Counted {
            n_samples: self.n_samples.wrapping_add(n_samples),
            n_live: self.n_live.wrapping_add(n_samples).wrapping_sub(n_stale),
        }
    }

    /// Returns the count without what another has counted.
    pub(in crate::history) fn less(self, other: Counted) -> Counted {
        Counted {
            n_samples: self.n_samples.wrapping_sub(other.n_samples),
            n_live: self.n_live.wrapping_sub(other.n_live),
        }
    }
}

impl SeriesHistory {
    /// Returns how many samples have ever come.
    #[inline]
    pub fn counted(&self) -> Counted {
        Counted {
            n_samples: self.n_taken,
            n_live: self.n_taken.wrapping_sub(self.n_stale),
        }
    }

    /// Counts one that comes.
    pub(in crate::history) fn count(&mut self, is_stale: bool) {
        self.n_taken = self.n_taken.wrapping_add(1);
        self.n_stale = self.n_stale.wrapping_add(is_stale.into());
    }

    /// Returns a cursor before the first sample after `after`, and how many samples lie before it.
    ///
    /// Cost: that of [`SeriesHistory::walk_from`], and a look at each full chunk in memory.
    pub fn walk_counted(&self, after: TimestampMs) -> (WalkCursor, Counted) {
        let mut record = [0; RECORD_BYTES_MAX];
        let found = self.chunk_of(after).and_then(|beginning| {
            let chunk = self.view(&beginning, &mut record)?;
            Some((beginning, chunk))
        });
        let Some((beginning, chunk)) = found else {
            return (WalkCursor::unplaced(after), self.counted());
        };
        let mut counted = self.counted_before(&beginning);
        let (bit, n_samples) = (beginning.bit(), chunk.n_samples);
        let mut reader = ChunkReader::at(chunk.bytes, bit, n_samples, beginning.predictor());
        // What is forgotten is counted as well.
        let after = after.max(self.forgotten);
        while let Some((at, value)) = reader.next_until(after) {
            counted = counted.plus(1, is_stale(at, value, chunk.histograms).into());
        }
        let (bit, predictor) = reader.position();
        let cursor = WalkCursor {
            predictor,
            bit: bit as u16,
            n_passed: (n_samples - reader.n_left()) as u8,
            ..beginning
        };
        (cursor, counted)
    }

    /// Returns how many samples lie before the beginning of a cursor's chunk.
    fn counted_before(&self, cursor: &WalkCursor) -> Counted {
        let sealed = || self.sealed().iter();
        let in_memory = Counted::default().plus(
            self.head.len() as u32 + sealed().map(|chunk| chunk.n_samples).sum::<u32>(),
            self.head.n_stale() as u32 + sealed().map(|chunk| chunk.n_stale).sum::<u32>(),
        );
        let mut counted = self.counted().less(in_memory);
        match cursor.number() {
            Some(number) => {
                let n_before = number.wrapping_sub(self.first()) as usize;
                for chunk in sealed().take(n_before) {
                    counted = counted.plus(chunk.n_samples, chunk.n_stale);
                }
            }
            None => {
                let cold = self.cold();
                let header = cold.and_then(|cold| cold.header(cursor.place()?));
                if let (Some(cold), Some(header)) = (cold, header) {
                    let all = Counted::default().plus(cold.n_samples, cold.n_stale);
                    let before = Counted::default().plus(header.n_before, header.n_stale_before);
                    counted = counted.less(all.less(before));
                }
            }
        }
        counted
    }
}
