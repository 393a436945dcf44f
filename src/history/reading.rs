//! Windows, ranges and single instants of a history.
//!
//! Cost: finding an instant decodes half a chunk; from there on, about 20 ns a sample.

use std::borrow::Cow;

use crate::history::chunk::{ChunkReader, sample_value};
use crate::history::codec::HISTOGRAM_BITS;
use crate::history::cold::{ColdChain, RECORD_BYTES_MAX};
use crate::history::{SeriesHistory, WalkCursor};
use crate::model::{FloatPoint, HistogramPoint, Point, SampleValue, TimestampMs, is_stale_nan};

/// A cursor looks at this many samples ahead before it searches.
const STEPS_MAX: usize = 32;

/// Where a search for the newest sample ended, for the next one to begin at.
///
/// It belongs to one history, and to that as it was.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The instant that was asked for last.
    at: TimestampMs,
    /// The sample found then.
    found: (TimestampMs, f64),
    /// Behind it.
    walk: Option<WalkCursor>,
}

impl Default for Cursor {
    fn default() -> Self {
        Cursor {
            at: TimestampMs::MIN,
            found: (TimestampMs::MIN, 0.0),
            walk: None,
        }
    }
}

/// The samples of a window without stale markers; each list ascends in time.
#[derive(Clone, Debug, Default)]
pub struct Samples<'a> {
    /// The floats.
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
    /// Returns the newest sample at or before `at`, stale markers included.
    pub fn last_at_or_before(&self, at: TimestampMs, cursor: &mut Cursor) -> Option<Point> {
        if let Some((newest, value)) = self.newest_float().filter(|newest| newest.0 <= at) {
            return Some(self.point(newest, value));
        }
        if !self.step_ahead(at, cursor) {
            let (found, walk) = self.find_last(at)?;
            *cursor = Cursor {
                at,
                found,
                walk: Some(walk),
            };
        }
        cursor.at = at;
        let (found, value) = cursor.found;
        (found > self.forgotten).then(|| self.point(found, value))
    }

    /// Moves a cursor on to `at` if that is near.
    fn step_ahead(&self, at: TimestampMs, cursor: &mut Cursor) -> bool {
        let Some(walk) = &mut cursor.walk else {
            return false;
        };
        if cursor.at > at || !self.is_placed(walk) {
            return false;
        }
        for _ in 0..STEPS_MAX {
            match self.step(walk, at) {
                Some(sample) => cursor.found = sample,
                None => return true,
            }
        }
        false
    }

    /// Finds the last sample at or before `at`, and the place behind it.
    fn find_last(&self, at: TimestampMs) -> Option<((TimestampMs, f64), WalkCursor)> {
        let mut before = at.0;
        loop {
            if before <= self.forgotten.0 {
                return None;
            }
            let mut walk = self.chunk_before(TimestampMs(before))?;
            before = walk.passed().0;
            let steps = std::iter::from_fn(|| self.step(&mut walk, at));
            // Where a chunk begins behind `at`, the sample is the last one of those before it.
            if let Some(found) = steps.last() {
                return Some((found, walk));
            }
        }
    }

    /// Returns the first sample after `after`.
    pub(in crate::history) fn first_after(&self, after: TimestampMs) -> Option<Point> {
        let mut walk = self.walk_from(after);
        let (at, value) = self.step(&mut walk, TimestampMs(i64::MAX))?;
        Some(self.point(at, value))
    }

    /// Iterates over the samples in `(after, until]`, stale markers included.
    pub fn range(
        &self,
        after: TimestampMs,
        until: TimestampMs,
    ) -> impl Iterator<Item = Point> + '_ {
        let mut walk = self.walk_from(after);
        std::iter::from_fn(move || {
            let (at, value) = self.step(&mut walk, until)?;
            Some(self.point(at, value))
        })
    }

    /// Returns the samples in `(after, until]` without stale markers.
    pub fn window(&self, after: TimestampMs, until: TimestampMs) -> Samples<'_> {
        let (mut floats, mut histograms) = (Vec::new(), Vec::new());
        self.visit(after, until, &mut |at, value, aside| {
            if value.to_bits() != HISTOGRAM_BITS {
                if !is_stale_nan(value) {
                    floats.push(FloatPoint { at, value });
                }
            } else if let SampleValue::Histogram(value) = sample_value(at, value, aside)
                && !is_stale_nan(value.sum)
            {
                histograms.push(HistogramPoint { at, value });
            }
        });
        Samples {
            floats: Cow::Owned(floats),
            histograms,
        }
    }

    /// Calls `visit` for every sample in `(after, until]`, a histogram as its marker, with the
    /// histograms of its chunk.
    fn visit(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        visit: &mut impl FnMut(TimestampMs, f64, &[HistogramPoint]),
    ) {
        let mut walk = self.find(after);
        let mut record = [0; RECORD_BYTES_MAX];
        while let Some(at) = &walk {
            let Some(chunk) = self.view(at, &mut record) else {
                return;
            };
            let n_left = chunk.n_samples - at.n_passed().min(chunk.n_samples);
            let mut reader = ChunkReader::at(chunk.bytes, at.bit(), n_left, at.predictor());
            while let Some((at, value)) = reader.next_until(until) {
                visit(at, value, chunk.histograms);
            }
            if reader.n_left() > 0 {
                return;
            }
            walk = self.next_chunk(at);
        }
    }

    /// Returns the history of `(after, until]` and perhaps a little more: what is full is shared,
    /// not copied.
    pub fn part(&self, after: TimestampMs, until: TimestampMs) -> SeriesHistory {
        let sealed = self.sealed();
        let from = sealed.partition_point(|chunk| chunk.end <= after);
        let to = sealed.partition_point(|chunk| chunk.base < until);
        let is_in_memory = self.memory_base().is_some_and(|base| base <= after);
        let cold = self.cold().filter(|_| !is_in_memory);
        let kept = sealed.range(from..to.max(from)).cloned().collect();
        self.with(kept, cold.map(ColdChain::pinned))
    }

    /// Returns the number of samples after `after`.
    pub fn len_after(&self, after: TimestampMs) -> usize {
        let Some(walk) = self.find(after) else {
            return 0;
        };
        let n_cold = self.n_cold_from(&walk);
        let n_chunks = self.sealed().len() as u32 + 1;
        let number = walk.number().unwrap_or(self.first());
        let numbers = (0..n_chunks).map(|n| number.wrapping_add(n));
        let chunks = numbers.map_while(|number| self.chunk(number));
        n_cold + chunks.map(|chunk| chunk.n_samples).sum::<usize>() - walk.n_passed()
    }
}
