//! A run of samples of one series, compressed.
//!
//! A chunk is bytes: what the encoder knew when it began ([`Predictor`]), then one code a sample.
//! Its `base` is the instant behind which its samples lie, and before which all samples of the
//! chunks before it do. Native histograms lie aside, with a marker where they belong.
//!
//! A chunk is full by bytes or by samples, whichever comes first, so that series of any kind take
//! the same memory for what is being written.

use std::sync::Arc;

use crate::history::bits::{
    SAMPLE_BYTES_MAX, WORD, Window, put_varint, take_varint, unzigzag, zigzag,
};
use crate::history::codec::{HISTOGRAM_BITS, Predictor};
use crate::history::form::Form;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{HistogramPoint, SampleValue, TimestampMs};

/// No further sample is written behind this many bytes.
pub const BYTES_FULL: usize = if cfg!(test) { 40 } else { 208 };
/// A chunk has at most this many samples.
pub const SAMPLES_MAX: usize = if cfg!(test) { 16 } else { 255 };

/// The chunk that is being written.
#[derive(Clone, Debug, Default)]
pub struct HeadChunk {
    predictor: Predictor,
    /// The bits of the newest value.
    newest: u64,
    bytes: Vec<u8>,
    n_bits: u32,
    n_samples: u32,
}

impl HeadChunk {
    /// Begins a chunk behind an instant, going on from what `self`, the chunk before, knows.
    pub fn begin(&mut self) {
        let newest = f64::from_bits(self.newest);
        let form = self.predictor.form.anew(newest);
        if let (true, Some(number)) = (form != self.predictor.form, form.number(newest)) {
            self.predictor = Predictor {
                form,
                number,
                slope: 0,
                is_fresh: true,
                ..self.predictor
            };
        }
        self.bytes = Vec::with_capacity(64);
        self.n_samples = 0;
        self.put_predictor();
    }

    fn put_predictor(&mut self) {
        put_predictor(&mut self.bytes, &self.predictor);
        self.n_bits = 8 * self.bytes.len() as u32;
        // Samples are written in whole words.
        let n_words = self.bytes.len().div_ceil(WORD);
        self.bytes.resize(n_words * WORD, 0);
    }

    /// Begins the first chunk of all.
    pub fn first(at: TimestampMs) -> HeadChunk {
        let mut head = HeadChunk {
            predictor: Predictor::before(at),
            newest: f64::NAN.to_bits(),
            ..HeadChunk::default()
        };
        head.begin();
        head
    }

    /// Begins a chunk as `predictor` says, for one that is written anew.
    pub fn again(predictor: Predictor) -> HeadChunk {
        let mut head = HeadChunk {
            predictor,
            newest: f64::NAN.to_bits(),
            ..HeadChunk::default()
        };
        head.put_predictor();
        head
    }

    /// Adds a sample behind all others; a histogram's value is its marker.
    pub fn push(&mut self, at: TimestampMs, value: f64) {
        if self.bytes.capacity() < self.bytes.len() + SAMPLE_BYTES_MAX {
            // Doubling would waste a third of what many small heads take.
            self.bytes.reserve_exact(2 * SAMPLE_BYTES_MAX);
        }
        let mut n_bits = self.n_bits as usize;
        self.predictor
            .encode(at, value, &mut self.bytes, &mut n_bits);
        self.n_bits = n_bits as u32;
        self.n_samples += 1;
        self.newest = value.to_bits();
    }

    /// Tells whether there is, or was, a sample.
    pub fn is_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Tells whether the next sample goes into another chunk.
    pub fn is_full(&self) -> bool {
        self.n_bits as usize >= 8 * BYTES_FULL || self.n_samples as usize >= SAMPLES_MAX
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.n_samples as usize
    }

    /// Returns the time and value of the newest sample, which may be one of the chunk before.
    pub fn newest(&self) -> (TimestampMs, f64) {
        (TimestampMs(self.predictor.at), f64::from_bits(self.newest))
    }

    /// Returns the bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        let n_bytes = (self.n_bits as usize).div_ceil(8);
        &self.bytes[..n_bytes.min(self.bytes.len())]
    }

    /// Returns the bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns the instant behind which the samples lie.
    pub fn base(&self) -> TimestampMs {
        base_of(&self.bytes)
    }

    /// Returns what has been written as a chunk of its own.
    pub fn seal(&self, histograms: Vec<HistogramPoint>) -> Arc<SealedChunk> {
        Arc::new(SealedChunk {
            base: self.base(),
            end: self.newest().0,
            n_samples: self.n_samples,
            bytes: self.bytes().into(),
            histograms: histograms.into(),
        })
    }
}

impl HeadChunk {
    /// Puts the chunk, to be gone on with.
    pub fn save(&self, out: &mut ByteWriter) {
        let mut predictor = Vec::new();
        put_predictor(&mut predictor, &self.predictor);
        out.bytes(&predictor);
        out.word(self.newest);
        out.number(self.n_bits.into());
        out.number(self.n_samples.into());
        out.bytes(&self.bytes);
    }

    /// Takes what [`HeadChunk::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<HeadChunk> {
        let predictor = take_predictor(&mut read.bytes()?);
        let predictor = predictor.ok_or_else(|| read.malformed("what foretells samples"))?;
        let head = HeadChunk {
            predictor,
            newest: read.word()?,
            n_bits: read.small()?,
            n_samples: read.small()?,
            bytes: read.bytes()?.to_vec(),
        };
        let n_words = (head.n_bits as usize).div_ceil(8 * WORD);
        match head.bytes.len() == n_words * WORD && head.n_samples as usize <= 2 * SAMPLES_MAX {
            true => Ok(head),
            false => Err(read.malformed("a chunk that is being written")),
        }
    }
}

/// A chunk that is full, in memory.
#[derive(Clone, Debug)]
pub struct SealedChunk {
    /// The instant behind which the samples lie.
    pub base: TimestampMs,
    /// When the last sample is.
    pub end: TimestampMs,
    /// The number of samples.
    pub n_samples: u32,
    /// The samples.
    pub bytes: Box<[u8]>,
    /// The native histograms among them, ascending.
    pub histograms: Box<[HistogramPoint]>,
}

/// Reads the samples of a chunk one after another.
#[derive(Clone, Debug, Default)]
pub struct ChunkReader<'a> {
    bytes: &'a [u8],
    at_bit: usize,
    n_left: usize,
    predictor: Predictor,
}

impl<'a> ChunkReader<'a> {
    /// Begins before the first sample; bytes that are no chunk give none.
    pub fn new(bytes: &'a [u8], n_samples: usize) -> ChunkReader<'a> {
        let mut rest = bytes;
        let predictor = take_predictor(&mut rest);
        ChunkReader {
            bytes,
            at_bit: 8 * (bytes.len() - rest.len()),
            n_left: predictor.map_or(0, |_| n_samples),
            predictor: predictor.unwrap_or_default(),
        }
    }

    /// Returns the next sample if it is at or before `until`; a histogram as its marker.
    #[inline]
    pub fn next_until(&mut self, until: TimestampMs) -> Option<(TimestampMs, f64)> {
        if self.n_left == 0 {
            return None;
        }
        let mut window = Window::of(self.bytes, self.at_bit);
        let time = self.predictor.peek_time(&mut window);
        if time.at > until {
            return None;
        }
        let value = self.predictor.decode_value(&time, &mut window);
        self.at_bit = window.at();
        self.n_left -= 1;
        Some((time.at, value))
    }

    /// Returns the number of samples not read yet.
    pub fn n_left(&self) -> usize {
        self.n_left
    }

    /// Goes on at a bit, knowing what lies before it.
    pub fn at(
        bytes: &'a [u8],
        at_bit: usize,
        n_left: usize,
        predictor: Predictor,
    ) -> ChunkReader<'a> {
        ChunkReader {
            bytes,
            at_bit,
            n_left,
            predictor,
        }
    }
}

/// Returns the value that a float out of a chunk stands for.
pub fn sample_value(at: TimestampMs, value: f64, histograms: &[HistogramPoint]) -> SampleValue {
    if value.to_bits() != HISTOGRAM_BITS {
        return SampleValue::Float(value);
    }
    match histograms.binary_search_by_key(&at, |point| point.at) {
        Ok(found) => SampleValue::Histogram(Arc::clone(&histograms[found].value)),
        Err(_) => SampleValue::Float(f64::NAN),
    }
}

/// Returns the instant behind which the samples of a chunk lie.
pub fn base_of(mut bytes: &[u8]) -> TimestampMs {
    take_varint(&mut bytes).map_or(TimestampMs::MIN, |at| TimestampMs(unzigzag(at)))
}

/// Returns what the encoder knew when the chunk began, and at which bit its samples do.
pub fn beginning_of(mut bytes: &[u8]) -> Option<(usize, Predictor)> {
    let n_bytes = bytes.len();
    let predictor = take_predictor(&mut bytes)?;
    Some((8 * (n_bytes - bytes.len()), predictor))
}

fn put_predictor(bytes: &mut Vec<u8>, predictor: &Predictor) {
    put_varint(bytes, zigzag(predictor.at));
    let fresh = u64::from(predictor.is_fresh) << 4;
    put_varint(bytes, fresh | u64::from(predictor.form.code()));
    put_varint(bytes, predictor.time_rice.into());
    put_varint(bytes, predictor.value_rice.into());
    put_varint(bytes, zigzag(predictor.interval.into()));
    put_varint(bytes, zigzag(predictor.phase.into()));
    put_varint(bytes, zigzag(predictor.number));
    put_varint(bytes, zigzag(predictor.slope));
}

fn take_predictor(bytes: &mut &[u8]) -> Option<Predictor> {
    let at = unzigzag(take_varint(bytes)?);
    let form = take_varint(bytes)?;
    let mut next = || take_varint(bytes);
    Some(Predictor {
        at,
        form: Form::of_code(form as u8 & 15),
        is_fresh: form >> 4 & 1 == 1,
        time_rice: next()? as u16,
        value_rice: next()? as u16,
        interval: unzigzag(next()?) as i32,
        phase: unzigzag(next()?) as i32,
        number: unzigzag(next()?),
        slope: unzigzag(next()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::stale_nan;

    /// Returns the bytes of samples, after comparing what comes out with what went in.
    fn bytes_of(samples: &[(i64, f64)]) -> usize {
        let mut head = HeadChunk::first(TimestampMs(samples[0].0));
        for (at, value) in samples {
            head.push(TimestampMs(*at), *value);
        }
        let mut reader = ChunkReader::new(head.bytes(), head.len());
        for (at, value) in samples {
            let (read_at, read) = reader
                .next_until(TimestampMs(i64::MAX))
                .expect("as many as were put in");
            assert_eq!((read_at.0, read.to_bits()), (*at, value.to_bits()));
        }
        assert!(reader.next_until(TimestampMs(i64::MAX)).is_none());
        head.bytes().len()
    }

    fn float() -> impl Strategy<Value = f64> {
        let special = [
            stale_nan(),
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1e300,
            -1e300,
            5e-324,
            f64::MAX,
            9_007_199_254_740_993.0,
            f64::from_bits(HISTOGRAM_BITS),
        ];
        prop_oneof![
            (-1000_i64..1000).prop_map(|n| n as f64),
            (-1_000_000_i64..1_000_000, 0..12).prop_map(|(n, p)| n as f64 / 10_f64.powi(p)),
            any::<f32>().prop_map(f64::from),
            any::<u64>().prop_map(f64::from_bits),
            proptest::sample::select(special.to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_was_put_in_comes_out(
            start in prop_oneof![Just(1_700_000_000_000), any::<i64>()],
            samples in proptest::collection::vec(
                (
                    prop_oneof![Just(15_000_i64), 14_990..15_010_i64, any::<i64>()],
                    prop_oneof![3 => Just(None), 1 => float().prop_map(Some)],
                    -5_i64..50,
                ),
                1..120,
            ),
        ) {
            let (mut at, mut value) = (start, 0.0);
            let mut all = Vec::new();
            for (step, given, more) in samples {
                at = at.wrapping_add(step);
                // Between odd values there are runs in which the last one moves on.
                value = given.unwrap_or(value + more as f64);
                all.push((at, value));
            }
            bytes_of(&all);
        }
    }

    #[test]
    fn usual_series_take_few_bytes() {
        // What a counter, a gauge with decimals and a constant take at most, in bits a sample.
        let jitter = |n: i64| (n * 7919 % 11) - 5;
        let of = |value: &dyn Fn(i64) -> f64, jitter: &dyn Fn(i64) -> i64| {
            let sample = |n| (1_700_000_000_000 + 15_000 * n + jitter(n), value(n));
            let samples: Vec<_> = (0..240).map(sample).collect();
            8 * bytes_of(&samples) / samples.len()
        };
        let noise = |n: i64| n * n * 7919 % 101;
        let counter = |n: i64| (n * 1500 + noise(n)) as f64;
        assert!(of(&counter, &jitter) <= 15, "{}", of(&counter, &jitter));
        assert!(of(&counter, &|_| 0) <= 10, "{}", of(&counter, &|_| 0));
        let gauge = |n: i64| (5000 + noise(n)) as f64 / 100.0;
        assert!(of(&gauge, &|_| 0) <= 10, "{}", of(&gauge, &|_| 0));
        assert!(of(&|_| 1.0, &|_| 0) <= 3, "{}", of(&|_| 1.0, &|_| 0));
    }
}
