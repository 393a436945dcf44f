//! From a request's body to callbacks: snappy, then a walk over the protobuf bytes.
//!
//! No message is built. A [`Visitor`] is told of each series by the keyed hash of its labels as
//! they were sent, then of its samples; labels become [`crate::model::Labels`] only when the
//! visitor asks, which it does for series it has not met. So a known series costs a hash and a
//! walk, and no allocation.
//!
//! A malformed body is an error for the whole request; a series that is well-formed but wrong
//! (bad references, labels, histograms) is refused alone.

pub mod hash;
pub mod histogram;
pub mod labels;
pub mod snappy;
pub mod v1;
pub mod v2;
pub mod wire;

use crate::ingest::decode::histogram::RawHistogram;
use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::received::Protocol;
use crate::ingest::rejection::Reason;
use crate::model::TimestampMs;

pub use crate::ingest::decode::hash::HashKey;

/// Is told what a request holds, series by series.
pub trait Visitor {
    /// What the visitor knows of a series by its hash.
    type Found: Copy;
    /// Tells that the keyed hash of a series' labels will be looked up soon, after those of a few
    /// more series: time to bring near what the look-up will touch.
    fn expect(&mut self, hash: u128);
    /// Looks up the keyed hash of a series' labels as sent.
    fn find(&mut self, hash: u128) -> Self::Found;
    /// Tells whether the labels of what was found need not be looked at, because the very bytes
    /// that were hashed have been a series' labels before. Without that no is the answer: bytes
    /// are hashed on the supposition that they are labels.
    fn knows(&self, found: Self::Found) -> bool;
    /// A series of the one float at `at` and nothing else, whose labels were looked up: the
    /// shortest way, for a visitor to whom its value does not matter. `false` asks to be told of
    /// it in full; then nothing has happened.
    fn pass_over(&mut self, _found: Self::Found, _at: TimestampMs) -> bool {
        false
    }
    /// A series begins. Returns whether it is new to the visitor, who is then told its metadata
    /// too.
    fn series(
        &mut self,
        hash: u128,
        found: Self::Found,
        labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError>;
    /// A series begins whose labels cannot be read.
    fn unreadable_series(&mut self, reason: Reason, labels: &RawLabels<'_>);
    /// The next sample, float or histogram, states since when it has been counting.
    fn start_timestamp(&mut self, start: TimestampMs);
    /// A float of the current series.
    fn float(&mut self, at: TimestampMs, value: f64);
    /// A native histogram of the current series, not validated yet.
    fn histogram(&mut self, at: TimestampMs, histogram: &mut RawHistogram);
    /// An exemplar of the current series, or why it is wrong.
    fn exemplar(&mut self, at: TimestampMs, verdict: Result<(), Reason>);
    /// The current series is over.
    fn series_end(&mut self);
    /// Metadata of a metric: of one in a message of 1.0, of the current series (`metric` is
    /// `None`) in 2.0.
    fn metadata(&mut self, metric: Option<&[u8]>, kind: u64, help: &[u8], unit: &[u8]);
}

/// Series whose labels are hashed and looked up together. More would not be faster: a core has
/// ten to sixteen misses under way at a time.
const AHEAD: usize = 16;

/// Tells whether there are labels in what is left of a series: in either protocol its field 1.
#[inline]
fn has_labels(mut reader: Reader<'_>) -> Result<bool, DecodeError> {
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field == 1 {
            return Ok(true);
        }
        reader.skip(wire_type)?;
    }
    Ok(false)
}

/// Memory that decoding reuses from one request to the next.
#[derive(Debug, Default)]
pub struct DecodeBuffers {
    /// Items that the current request may still hold, and might at first.
    items_left: usize,
    items_max: usize,
    scattered_labels: Vec<u8>,
    symbols: Vec<v2::Symbol>,
    symbol_hashes: Vec<u128>,
    scattered_refs: Vec<u8>,
    histogram: RawHistogram,
}

impl DecodeBuffers {
    /// Begins a request of at most `items_max` items (see [`crate::ingest::Limits`]).
    pub fn begin(&mut self, items_max: usize) {
        self.items_left = items_max;
        self.items_max = items_max;
    }

    /// Returns the heap bytes held, used or not.
    pub fn heap_bytes(&self) -> usize {
        self.scattered_labels.capacity()
            + self.symbols.capacity() * size_of::<v2::Symbol>()
            + self.symbol_hashes.capacity() * size_of::<u128>()
            + self.scattered_refs.capacity()
    }

    /// Counts items; what is counted may be kept in memory.
    #[inline]
    fn spend(&mut self, n: usize) -> Result<(), DecodeError> {
        match self.items_left.checked_sub(n) {
            Some(left) => self.items_left = left,
            None => {
                let limit = self.items_max;
                return Err(DecodeError::TooManyItems { limit });
            }
        }
        Ok(())
    }
}

/// Calls `named` with the labels of the series at the given positions (ascending) of a request
/// that was decoded before.
pub fn name_series(
    body: &[u8],
    protocol: Protocol,
    positions: &[u32],
    buffers: &mut DecodeBuffers,
    named: impl FnMut(u32, &RawLabels<'_>),
) {
    let mut namer = Namer {
        positions,
        ordinal: 0,
        named,
    };
    buffers.begin(usize::MAX);
    // Any key will do, since no hash is used; the body was found well-formed before.
    let key = HashKey::new(0);
    let _ = match protocol {
        Protocol::V1 => v1::decode(body, &key, buffers, &mut namer),
        Protocol::V2 => v2::decode(body, &key, buffers, &mut namer),
    };
}

struct Namer<'a, F> {
    positions: &'a [u32],
    ordinal: u32,
    named: F,
}

impl<F: FnMut(u32, &RawLabels<'_>)> Visitor for Namer<'_, F> {
    type Found = ();

    fn expect(&mut self, _hash: u128) {}

    fn find(&mut self, _hash: u128) {}

    fn knows(&self, (): ()) -> bool {
        false
    }

    fn series(
        &mut self,
        _hash: u128,
        _found: (),
        labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError> {
        if self.positions.binary_search(&self.ordinal).is_ok() {
            (self.named)(self.ordinal, labels);
        }
        Ok(false)
    }

    fn unreadable_series(&mut self, _reason: Reason, labels: &RawLabels<'_>) {
        let _ = self.series(0, (), labels);
    }

    fn start_timestamp(&mut self, _start: TimestampMs) {}

    fn float(&mut self, _at: TimestampMs, _value: f64) {}

    fn histogram(&mut self, _at: TimestampMs, _histogram: &mut RawHistogram) {}

    fn exemplar(&mut self, _at: TimestampMs, _verdict: Result<(), Reason>) {}

    fn series_end(&mut self) {
        self.ordinal += 1;
    }

    fn metadata(&mut self, _metric: Option<&[u8]>, _kind: u64, _help: &[u8], _unit: &[u8]) {}
}

/// A `Sample` as sent.
struct RawSample {
    at: TimestampMs,
    value: f64,
    /// [`crate::model::NO_START`] where it states none; 1.0 has no such field, and skips it as any unknown one.
    start: TimestampMs,
}

/// The bytes of a field `samples` with one sample as every sender writes it: the value, then the
/// timestamp.
const PLAIN_SAMPLE_BYTES: usize = 18;
/// The same of a value of 0, which most senders leave out, as protobuf has it.
const PLAIN_ZERO_BYTES: usize = 9;

/// A sample without a start timestamp.
#[derive(Clone, Copy)]
struct PlainSample {
    at: TimestampMs,
    value: f64,
}

/// Reads the field `samples` (2 in both protocols, tag included) that `bytes` begin with, if it
/// is written as every sender does, with a timestamp between 1971 and 2109. Returns what follows,
/// too; `None` says nothing about whether there is a sample.
#[inline]
fn plain_sample(bytes: &[u8]) -> Option<(PlainSample, &[u8])> {
    let sample = |varint, value| {
        let at = six_byte_varint(varint)?;
        Some(PlainSample { at, value })
    };
    if let Some((field, rest)) = bytes.split_first_chunk::<PLAIN_SAMPLE_BYTES>()
        && let [0x12, 0x10, 0x09, a, b, c, d, e, f, g, h, 0x10, varint @ ..] = *field
    {
        let value = f64::from_le_bytes([a, b, c, d, e, f, g, h]);
        return Some((sample(varint, value)?, rest));
    }
    let (field, rest) = bytes.split_first_chunk::<PLAIN_ZERO_BYTES>()?;
    match *field {
        [0x12, 0x07, 0x10, ref varint @ ..] => Some((sample(*varint, 0.0)?, rest)),
        _ => None,
    }
}

/// Reads a timestamp that is written in exactly six bytes.
#[inline]
fn six_byte_varint([p, q, r, s, t, u]: [u8; 6]) -> Option<TimestampMs> {
    let varint = u64::from_le_bytes([p, q, r, s, t, u, 0, 0]);
    // All bytes but the last say that more follows.
    if varint & 0x8080_8080_8080 != 0x0080_8080_8080 {
        return None;
    }
    let seven = |at: u32| (varint >> (8 * at) & 0x7f) << (7 * at);
    let at = seven(0) | seven(1) | seven(2) | seven(3) | seven(4) | seven(5);
    Some(TimestampMs(at as i64))
}

/// Reads a `Sample`: the same in both protocols but for the start timestamp of 2.0.
fn sample(bytes: &[u8]) -> Result<RawSample, DecodeError> {
    let (mut at, mut value, mut start) = (0, 0.0, 0);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match field {
            1 => {
                expect("Sample", field, wire_type, WireType::Fixed64)?;
                value = reader.double()?;
            }
            2 => {
                expect("Sample", field, wire_type, WireType::Varint)?;
                at = reader.varint()? as i64;
            }
            3 if wire_type == WireType::Varint => start = reader.varint()? as i64,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(RawSample {
        at: TimestampMs(at),
        value,
        start: TimestampMs(start),
    })
}
