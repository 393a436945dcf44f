//! A run of samples of one series, compressed.
//!
//! A chunk is bytes: what the encoder knew when it began ([`Predictor`]), then one code a sample.
//! Its `base` is the instant behind which its samples lie, and before which all samples of the
//! chunks before it do. Native histograms lie aside, with a marker where they belong.
//!
//! A chunk is full by bytes or by samples, whichever comes first, so that series of any kind take
//! the same memory for what is being written.

use std::sync::Arc;

use crate::history::bits::{Window, put_varint, take_varint, unzigzag, zigzag};
use crate::history::codec::{HISTOGRAM_BITS, Kind, Predictor};
use crate::history::form::Form;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{HistogramPoint, SampleValue, TimestampMs, is_stale_nan};

/// No further sample is written behind this many bytes.
pub const BYTES_FULL: usize = if cfg!(test) { 40 } else { 208 };
/// A chunk has at most this many samples.
pub const SAMPLES_MAX: usize = if cfg!(test) { 16 } else { 255 };

/// The chunk that is being written.
#[derive(Clone, Debug, Default)]
pub struct HeadChunk {
    predictor: Predictor,
    /// What is written, and zeros; as long as a size that allocators have. It grows once: the next
    /// chunk of a series is about as long as the last one, and is written into the same room.
    bytes: Box<[u8]>,
    n_bits: u16,
    n_samples: u16,
    n_stale: u16,
    n_breaks: u16,
}

impl HeadChunk {
    /// Begins a chunk behind an instant, going on from what `self`, the chunk before, knows.
    pub fn begin(&mut self) {
        let newest = self.predictor.form.value(self.predictor.number);
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
        (self.n_samples, self.n_stale, self.n_breaks) = (0, 0, 0);
        self.put_predictor();
    }

    fn put_predictor(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        if !(ROOM_MIN..=ROOM_FULL).contains(&bytes.len()) {
            // What late samples have made longer is not kept.
            bytes = Vec::with_capacity(ROOM_MIN);
        }
        bytes.clear();
        put_predictor(&mut bytes, &self.predictor);
        self.n_bits = 8 * bytes.len() as u16;
        let room = room_for(bytes.len()).max(bytes.capacity());
        bytes.resize(room, 0);
        self.bytes = bytes.into();
    }

    /// Begins the first chunk of all.
    pub fn first(at: TimestampMs) -> HeadChunk {
        HeadChunk::again(Predictor::before(at))
    }

    /// Begins a chunk as `predictor` says, for one that is written anew.
    pub fn again(predictor: Predictor) -> HeadChunk {
        let mut head = HeadChunk {
            predictor,
            ..HeadChunk::default()
        };
        head.put_predictor();
        head
    }

    /// Adds a sample behind all others; a histogram's value is its marker.
    pub fn push(&mut self, at: TimestampMs, value: f64, is_stale: bool) {
        if self.predictor.may_break(value) {
            self.note_break();
        }
        let code = self.predictor.encode(at, value);
        let n_bits = usize::from(self.n_bits);
        let n_bytes = (n_bits + code.n_bits()).div_ceil(8);
        if n_bytes > self.bytes.len() {
            let mut bytes = std::mem::take(&mut self.bytes).into_vec();
            let n_more = room_for(n_bytes) - bytes.len();
            bytes.reserve_exact(n_more);
            bytes.resize(room_for(n_bytes), 0);
            self.bytes = bytes.into();
        }
        code.write(&mut self.bytes, n_bits);
        self.n_bits += code.n_bits() as u16;
        self.n_samples += 1;
        self.n_stale += u16::from(is_stale);
    }

    /// Tells whether there is, or was, a sample.
    pub fn is_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Tells whether the next sample goes into another chunk.
    pub fn is_full(&self) -> bool {
        usize::from(self.n_bits) >= 8 * BYTES_FULL || self.len() >= SAMPLES_MAX
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.n_samples.into()
    }

    /// Returns how many of the samples are stale markers.
    pub fn n_stale(&self) -> usize {
        self.n_stale.into()
    }

    /// Returns at how many of the samples a counter may have been reset.
    pub fn n_breaks(&self) -> usize {
        self.n_breaks.into()
    }

    /// Has the chunk count for one in which a counter was reset.
    pub fn note_break(&mut self) {
        self.n_breaks = self.n_breaks.saturating_add(1);
    }

    /// Returns when the newest sample was, which may be one of the chunk before.
    #[inline]
    pub fn newest_at(&self) -> TimestampMs {
        TimestampMs(self.predictor.at)
    }

    /// Returns the time and value of the newest sample.
    #[inline]
    pub fn newest(&self) -> (TimestampMs, f64) {
        let value = self.predictor.last_value();
        let value = value.unwrap_or_else(|| raw_before(&self.bytes, self.n_bits.into()));
        (self.newest_at(), value)
    }

    /// Returns the bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        let n_bytes = usize::from(self.n_bits).div_ceil(8);
        &self.bytes[..n_bytes.min(self.bytes.len())]
    }

    /// Returns the bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the instant behind which the samples lie.
    pub fn base(&self) -> TimestampMs {
        base_of(&self.bytes)
    }

    /// Returns what has been written as a chunk of its own.
    pub fn seal(&self, histograms: Vec<HistogramPoint>) -> Arc<SealedChunk> {
        Arc::new(SealedChunk {
            base: self.base(),
            end: self.newest_at(),
            n_samples: self.n_samples.into(),
            n_stale: self.n_stale.into(),
            n_breaks: self.n_breaks.into(),
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
        for number in [self.n_bits, self.n_samples, self.n_stale, self.n_breaks] {
            out.number(number.into());
        }
        out.bytes(self.bytes());
    }

    /// Takes what [`HeadChunk::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<HeadChunk> {
        let predictor = take_predictor(&mut read.bytes()?);
        let predictor = predictor.ok_or_else(|| read.malformed("what foretells samples"))?;
        let mut narrow = || {
            let number = u16::try_from(read.small()?);
            number.map_err(|_| read.malformed("a number of 16 bits"))
        };
        let [n_bits, n_samples, n_stale, n_breaks] = [narrow()?, narrow()?, narrow()?, narrow()?];
        let mut bytes = read.bytes()?.to_vec();
        if bytes.len() != usize::from(n_bits).div_ceil(8)
            || usize::from(n_samples) > SAMPLES_MAX
            || n_stale > n_samples
        {
            return Err(read.malformed("a chunk that is being written"));
        }
        // Behind the last bit there are zeros.
        if let (Some(last), begun @ 1..) = (bytes.last_mut(), n_bits % 8) {
            *last &= !(!0 << begun);
        }
        bytes.resize(room_for(bytes.len()), 0);
        Ok(HeadChunk {
            predictor,
            bytes: bytes.into(),
            n_bits,
            n_samples,
            n_stale,
            n_breaks,
        })
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
    /// How many of them are stale markers.
    pub n_stale: u32,
    /// At how many of them a counter may have been reset, or floats and histograms meet.
    pub n_breaks: u32,
    /// The samples.
    pub bytes: Box<[u8]>,
    /// The native histograms among them, ascending.
    pub histograms: Box<[HistogramPoint]>,
}

/// The room that a chunk begins with, which holds what the encoder knows; a size of mimalloc's, as
/// the others are.
const ROOM_MIN: usize = 64;
/// The room of a full chunk.
const ROOM_FULL: usize = 224;

/// Returns a length for at least so many bytes: one of few, because all series of a scrape outgrow
/// a length together, and the room of the shorter ones then lies between what stays.
fn room_for(n_bytes: usize) -> usize {
    match n_bytes {
        0..=ROOM_MIN => ROOM_MIN,
        65..=128 => 128,
        129..=ROOM_FULL => ROOM_FULL,
        _ => n_bytes.next_multiple_of(64),
    }
}

/// Returns the float whose bits end before a bit of a chunk.
#[cold]
pub fn raw_before(bytes: &[u8], at_bit: usize) -> f64 {
    f64::from_bits(Window::of(bytes, at_bit.saturating_sub(64)).take_wide(64))
}

/// Tells whether a sample as it lies in a chunk is a stale marker.
pub fn is_stale(at: TimestampMs, value: f64, histograms: &[HistogramPoint]) -> bool {
    match value.to_bits() {
        HISTOGRAM_BITS => sample_value(at, value, histograms).is_stale(),
        _ => is_stale_nan(value),
    }
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

    /// Returns the bit at which the next sample begins, and what is known before it.
    pub fn position(&self) -> (usize, Predictor) {
        (self.at_bit, self.predictor)
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
    let fresh = u8::from(predictor.is_fresh) << 4;
    let kind = predictor.kind.code() << 5;
    put_varint(bytes, (kind | fresh | predictor.form.code()).into());
    put_varint(bytes, predictor.time_rice.into());
    put_varint(bytes, predictor.value_rice.into());
    put_varint(bytes, zigzag(predictor.interval.into()));
    put_varint(bytes, zigzag(predictor.phase.into()));
    put_varint(bytes, zigzag(predictor.number));
    put_varint(bytes, zigzag(predictor.slope.into()));
}

fn take_predictor(bytes: &mut &[u8]) -> Option<Predictor> {
    let at = unzigzag(take_varint(bytes)?);
    let form = take_varint(bytes)?;
    let mut next = || take_varint(bytes);
    let (time_rice, value_rice) = Predictor::rices(next()?, next()?)?;
    Some(Predictor {
        at,
        form: Form::of_code(form as u8 & 15),
        is_fresh: form >> 4 & 1 == 1,
        time_rice,
        value_rice,
        interval: unzigzag(next()?) as i32,
        phase: unzigzag(next()?) as i16,
        number: unzigzag(next()?),
        slope: unzigzag(next()?) as i32,
        kind: Kind::of_code((form >> 5) as u8),
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
            head.push(TimestampMs(*at), *value, is_stale_nan(*value));
            assert_eq!(head.newest().0.0, *at);
            assert_eq!(head.newest().1.to_bits(), value.to_bits());
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
