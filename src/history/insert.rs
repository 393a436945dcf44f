//! Samples that come late: their chunk is written anew.
//!
//! Cost: decoding and encoding one chunk, and what chunks lie behind it if it was cold.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::chunk::{
    BYTES_FULL, ChunkReader, HeadChunk, SAMPLES_MAX, SealedChunk, beginning_of,
};
use crate::history::codec::{HISTOGRAM_BITS, Predictor};
use crate::history::series_history::{ChunkView, float_of};
use crate::model::{HistogramPoint, SampleValue, TimestampMs};

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
        let chunk = self.sealed.partition_point(|chunk| chunk.base < at);
        if self.head.base() < at || self.sealed.is_empty() {
            let (full, rest) = self.rewritten(self.head_number(), at, value).halves();
            self.sealed.extend(full);
            (self.head, self.aside) = rest;
            return;
        }
        let chunk = chunk.saturating_sub(1);
        let number = self.first.wrapping_add(chunk as u32);
        let (full, (rest, aside)) = self.rewritten(number, at, value).halves();
        let aside = aside.map_or_else(Vec::new, |aside| *aside);
        self.sealed[chunk] = rest.seal(aside);
        if let Some(full) = full {
            self.sealed.insert(chunk, full);
        }
    }

    /// Takes chunks out of the store until the one is here to which `at` belongs.
    fn take_back(&mut self, at: TimestampMs) {
        while self.memory_base().is_some_and(|base| base >= at) {
            let Some(cold) = self.cold.as_mut().filter(|cold| !cold.is_empty()) else {
                return;
            };
            let Some((chunk, bytes)) = cold.pop() else {
                cold.clear();
                return;
            };
            let mut reader = ChunkReader::new(&bytes, chunk.n_samples.into());
            let samples = std::iter::from_fn(|| reader.next_until(TimestampMs(i64::MAX)));
            self.sealed.push_front(Arc::new(SealedChunk {
                base: chunk.base,
                end: samples.last().map_or(chunk.base, |last| last.0),
                n_samples: chunk.n_samples.into(),
                bytes: bytes.into(),
                histograms: Box::default(),
            }));
            self.first = chunk.number;
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
    fn halves(self) -> (Option<Arc<SealedChunk>>, (HeadChunk, Aside)) {
        let mut head = HeadChunk::again(self.predictor);
        for (at, value) in &self.samples {
            head.push(*at, *value);
        }
        if head.len() <= SAMPLES_MAX && head.bytes().len() <= 2 * BYTES_FULL {
            return (None, (head, aside(self.histograms)));
        }
        let (before, behind) = self.samples.split_at(self.samples.len() / 2);
        let mut head = HeadChunk::again(self.predictor);
        for (at, value) in before {
            head.push(*at, *value);
        }
        let end = head.newest().0;
        let mut histograms = self.histograms;
        let rest = histograms.split_off(histograms.partition_point(|point| point.at <= end));
        let full = head.seal(histograms);
        head.begin();
        for (at, value) in behind {
            head.push(*at, *value);
        }
        (Some(full), (head, aside(rest)))
    }
}

/// The native histograms of a head.
type Aside = Option<Box<Vec<HistogramPoint>>>;

fn aside(histograms: Vec<HistogramPoint>) -> Aside {
    (!histograms.is_empty()).then(|| Box::new(histograms))
}
