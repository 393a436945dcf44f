//! Samples that come late: their chunk is written anew.
//!
//! Cost: decoding and encoding one chunk, and what chunks lie behind it if it was cold.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::chunk::{
    BYTES_FULL, ChunkReader, HeadChunk, SAMPLES_MAX, SealedChunk, beginning_of, is_stale,
};
use crate::history::codec::{HISTOGRAM_BITS, Predictor};
use crate::history::series_history::{ChunkView, float_of};
use crate::model::{HistogramPoint, SampleValue, TimestampMs, is_stale_nan};

/// The samples of a chunk on their way from one encoding to another.
struct Rewritten {
    /// What to begin with.
    predictor: Predictor,
    samples: Vec<(TimestampMs, f64)>,
    histograms: Vec<HistogramPoint>,
}

impl SeriesHistory {
    /// Puts a sample before the newest one; there is none at its instant.
    pub(in crate::history) fn insert(&mut self, at: TimestampMs, value: SampleValue) {
        self.take_back(at);
        let chunk = self.sealed().partition_point(|chunk| chunk.base < at);
        if self.head.base() < at || self.sealed().is_empty() {
            let (full, (head, aside)) = self.rewritten(self.number, at, value).halves();
            if let Some(full) = full {
                self.sealed_mut().push_back(full);
                self.number = self.number.wrapping_add(1);
            }
            self.head = head;
            if !aside.is_empty() || self.rest.is_some() {
                self.more_mut().aside = aside;
                self.rest_mut().tidy();
            }
            return;
        }
        let chunk = chunk.saturating_sub(1);
        let number = self.first().wrapping_add(chunk as u32);
        let (full, (rest, aside)) = self.rewritten(number, at, value).halves();
        let sealed = self.sealed_mut();
        sealed[chunk] = rest.seal(aside);
        // The first sample behind may have come to lie behind a greater one.
        match sealed.get_mut(chunk + 1) {
            Some(behind) => {
                let n_breaks = &mut Arc::make_mut(behind).n_breaks;
                *n_breaks = n_breaks.saturating_add(1);
            }
            None => self.head.note_break(),
        }
        let sealed = self.sealed_mut();
        if let Some(full) = full {
            sealed.insert(chunk, full);
            self.number = self.number.wrapping_add(1);
        }
    }

    /// Takes chunks out of the store until the one is here to which `at` belongs.
    fn take_back(&mut self, at: TimestampMs) {
        while self.memory_base().is_some_and(|base| base >= at) {
            let Some(cold) = self.rest.as_mut().and_then(|rest| rest.cold.as_mut()) else {
                return;
            };
            if cold.is_empty() {
                return;
            }
            let n_breaks = cold.n_breaks;
            let Some((chunk, bytes)) = cold.pop() else {
                cold.clear();
                return;
            };
            let mut reader = ChunkReader::new(&bytes, chunk.n_samples.into());
            let (mut end, mut n_stale) = (chunk.base, 0);
            while let Some((at, value)) = reader.next_until(TimestampMs(i64::MAX)) {
                end = at;
                n_stale += u32::from(is_stale_nan(value));
            }
            let n_breaks = n_breaks.wrapping_sub(chunk.n_breaks_before);
            self.sealed_mut().push_front(Arc::new(SealedChunk {
                base: chunk.base,
                end,
                n_samples: chunk.n_samples.into(),
                n_stale,
                n_breaks,
                bytes: bytes.into(),
                histograms: Box::default(),
            }));
        }
    }

    fn rewritten(&self, number: u32, at: TimestampMs, value: SampleValue) -> Rewritten {
        let nothing = ChunkView {
            bytes: &[],
            n_samples: 0,
            histograms: &[],
        };
        let mut chunk = Rewritten::of(self.chunk(number).unwrap_or(nothing), at);
        let value = match value {
            SampleValue::Float(value) => float_of(value),
            SampleValue::Histogram(value) => {
                let aside = chunk.histograms.partition_point(|point| point.at < at);
                chunk.histograms.insert(aside, HistogramPoint { at, value });
                f64::from_bits(HISTOGRAM_BITS)
            }
        };
        let place = chunk.samples.partition_point(|sample| sample.0 < at);
        chunk.samples.insert(place, (at, value));
        chunk
    }
}

impl Rewritten {
    /// Takes the samples of a chunk to which one at `at` is added.
    fn of(chunk: ChunkView<'_>, at: TimestampMs) -> Rewritten {
        let mut reader = ChunkReader::new(chunk.bytes, chunk.n_samples);
        let samples = std::iter::from_fn(|| reader.next_until(TimestampMs(i64::MAX)));
        let samples: Vec<_> = samples.collect();
        let known = beginning_of(chunk.bytes).map(|(_, predictor)| predictor);
        let known = known.filter(|predictor| predictor.at < at.0);
        Rewritten {
            predictor: known.unwrap_or_else(|| Predictor::before(at)),
            samples,
            histograms: chunk.histograms.to_vec(),
        }
    }

    /// Writes one chunk, or two where one would be too large.
    fn halves(self) -> (Option<Arc<SealedChunk>>, (HeadChunk, Vec<HistogramPoint>)) {
        let mut histograms = self.histograms;
        let push = |head: &mut HeadChunk, samples: &[(TimestampMs, f64)], aside: &[_]| {
            for (at, value) in samples {
                head.push(*at, *value, is_stale(*at, *value, aside));
            }
        };
        let mut head = HeadChunk::again(self.predictor);
        push(&mut head, &self.samples, &histograms);
        if head.len() <= SAMPLES_MAX && head.bytes().len() <= 2 * BYTES_FULL {
            return (None, (head, histograms));
        }
        let (before, behind) = self.samples.split_at(self.samples.len() / 2);
        let mut head = HeadChunk::again(self.predictor);
        push(&mut head, before, &histograms);
        let end = head.newest_at();
        let rest = histograms.split_off(histograms.partition_point(|point| point.at <= end));
        let full = head.seal(histograms);
        head.begin();
        push(&mut head, behind, &rest);
        (Some(full), (head, rest))
    }
}
