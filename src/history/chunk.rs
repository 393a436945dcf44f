//! A run of samples, ascending in time.
//!
//! Floats lie in one list of 16 bytes each; a native histogram leaves a marker there and lies
//! aside, so that a series of floats, which nearly all are, pays nothing for them.

use std::sync::Arc;

use crate::model::{FloatHistogram, FloatPoint, HistogramPoint, Point, SampleValue, TimestampMs};

/// A NaN that no sender's sample can be, since it is replaced on the way in.
const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// Samples in time order.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    slots: Vec<FloatPoint>,
    histograms: Vec<HistogramPoint>,
    /// `true` once there was anything but floats: a histogram or a stale marker.
    is_mixed: bool,
}

impl Chunk {
    /// A chunk is full with this many samples, which are 2 KiB.
    pub const LEN: usize = 128;

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the time of the sample at `slot`.
    pub fn time(&self, slot: usize) -> Option<TimestampMs> {
        self.slots.get(slot).map(|point| point.at)
    }

    /// Returns the time of the last sample.
    pub fn end(&self) -> Option<TimestampMs> {
        self.slots.last().map(|point| point.at)
    }

    /// Returns the sample at `slot`.
    pub fn get(&self, slot: usize) -> Option<Point> {
        self.slots.get(slot).map(|slot| self.point(*slot))
    }

    /// Iterates over the samples from slot `from` up to before `to`.
    pub fn points(&self, from: usize, to: usize) -> impl Iterator<Item = Point> + '_ {
        self.slots[from..to].iter().map(|slot| self.point(*slot))
    }

    /// Returns the samples from slot `from` up to before `to` if they are floats and not stale
    /// markers, one and all.
    pub fn plain(&self, from: usize, to: usize) -> Option<&[FloatPoint]> {
        (!self.is_mixed).then(|| &self.slots[from..to])
    }

    /// Returns the slot of the first sample after `at`.
    pub fn slot_after(&self, at: TimestampMs) -> usize {
        self.slots.partition_point(|slot| slot.at <= at)
    }

    /// Adds a sample behind all others.
    pub fn push(&mut self, at: TimestampMs, value: SampleValue) {
        self.insert(self.slots.len(), at, value);
    }

    /// Adds a sample at `slot`, where it belongs by its time.
    pub fn insert(&mut self, slot: usize, at: TimestampMs, value: SampleValue) {
        if self.slots.len() == self.slots.capacity() {
            // Doubling, but not beyond a full chunk, of which there are many.
            let room = Chunk::LEN.saturating_sub(self.slots.len()).max(1);
            self.slots.reserve_exact(room.min(self.slots.len().max(4)));
        }
        self.is_mixed |= value.is_stale();
        let value = match value {
            SampleValue::Float(value) if value.to_bits() == HISTOGRAM_BITS => f64::NAN,
            SampleValue::Float(value) => value,
            SampleValue::Histogram(value) => {
                self.is_mixed = true;
                let aside = self.histograms.partition_point(|point| point.at < at);
                self.histograms.insert(aside, HistogramPoint { at, value });
                f64::from_bits(HISTOGRAM_BITS)
            }
        };
        self.slots.insert(slot, FloatPoint { at, value });
    }

    /// Takes off the samples from `slot` on.
    pub fn split_off(&mut self, slot: usize) -> Chunk {
        let slots = self.slots.split_off(slot);
        let from = slots.first().map_or(TimestampMs::MAX, |slot| slot.at);
        let aside = self.histograms.partition_point(|point| point.at < from);
        Chunk {
            slots,
            histograms: self.histograms.split_off(aside),
            is_mixed: self.is_mixed,
        }
    }

    /// Drops what lies at or before `until`.
    pub fn forget(&mut self, until: TimestampMs) {
        self.slots.drain(..self.slot_after(until));
        let aside = self.histograms.partition_point(|point| point.at <= until);
        self.histograms.drain(..aside);
    }

    /// Returns a copy of the samples in `(after, until]`.
    pub fn part(&self, after: TimestampMs, until: TimestampMs) -> Chunk {
        let from = self.slot_after(after);
        let to = self.slot_after(until).max(from);
        let inside = |point: &&HistogramPoint| after < point.at && point.at <= until;
        Chunk {
            slots: self.slots[from..to].to_vec(),
            histograms: self.histograms.iter().filter(inside).cloned().collect(),
            is_mixed: self.is_mixed,
        }
    }

    fn point(&self, slot: FloatPoint) -> Point {
        let value = if slot.value.to_bits() == HISTOGRAM_BITS {
            self.histogram(slot.at)
        } else {
            SampleValue::Float(slot.value)
        };
        Point { at: slot.at, value }
    }

    fn histogram(&self, at: TimestampMs) -> SampleValue {
        let found: Option<&Arc<FloatHistogram>> = self
            .histograms
            .binary_search_by_key(&at, |point| point.at)
            .ok()
            .map(|aside| &self.histograms[aside].value);
        match found {
            Some(histogram) => SampleValue::Histogram(Arc::clone(histogram)),
            None => SampleValue::Float(f64::NAN),
        }
    }
}
