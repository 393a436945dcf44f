//! Walks a remote write 1.0 body, `prometheus.WriteRequest`.
//!
//! A series is labels and then, nearly always, one sample. So where the labels end is not found
//! out by walking over them: if a series ends in what looks like one sample, all before that is
//! hashed, and if these very bytes are known to be the labels of a series, they are its labels
//! here, too: what protobuf bytes mean does not depend on what follows them. If they are not
//! known, the labels are walked over.

use smallvec::SmallVec;

use crate::ingest::decode::labels::{RawLabels, label};
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{
    AHEAD, DecodeBuffers, HashKey, PLAIN_SAMPLE_BYTES, PLAIN_ZERO_BYTES, PlainSample, Visitor,
    has_labels, plain_sample, sample,
};
use crate::model::TimestampMs;

/// The tag of `TimeSeries.labels`.
const LABEL_TAG: u8 = 0x0a;

/// A series whose labels are hashed and whose samples are still to be read.
struct Begun<'a, F> {
    hash: u128,
    found: Option<F>,
    bytes: &'a [u8],
    /// How many of the bytes are labels.
    labels: usize,
    /// What the series ends in, if that looks like a sample; then `labels` is not certain yet.
    sample: Option<PlainSample>,
}

type Ahead<'a, F> = SmallVec<[Begun<'a, F>; AHEAD]>;

/// Tells `visitor` what `body`, decompressed, holds.
pub fn decode<V: Visitor>(
    body: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut ahead: Ahead<'_, V::Found> = SmallVec::new();
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match field {
            1 => {
                expect("WriteRequest", field, wire_type, WireType::Bytes)?;
                buffers.spend(1)?;
                let begun = begin(reader.bytes()?, key)?;
                visitor.expect(begun.hash);
                ahead.push(begun);
                if ahead.len() == AHEAD {
                    finish(&mut ahead, key, buffers, visitor)?;
                }
            }
            3 => {
                expect("WriteRequest", field, wire_type, WireType::Bytes)?;
                buffers.spend(1)?;
                metadata(reader.bytes()?, visitor)?;
            }
            _ => reader.skip(wire_type)?,
        }
    }
    finish(&mut ahead, key, buffers, visitor)
}

/// Returns the labels of the first series, as far as they lie at its beginning.
pub fn first_labels(body: &[u8]) -> Result<Option<RawLabels<'_>>, DecodeError> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 1 {
            reader.skip(wire_type)?;
            continue;
        }
        expect("WriteRequest", field, wire_type, WireType::Bytes)?;
        let bytes = reader.bytes()?;
        return Ok(Some(RawLabels::V1(&bytes[..labels_end(bytes)?])));
    }
    Ok(None)
}

/// Hashes what seem to be the labels of a series.
#[inline]
fn begin<'a, F>(bytes: &'a [u8], key: &HashKey) -> Result<Begun<'a, F>, DecodeError> {
    let (labels, sample) = match sample_at_end(bytes) {
        Some((labels, sample)) => (labels, Some(sample)),
        None => (labels_end(bytes)?, None),
    };
    Ok(Begun {
        hash: key.hash(&bytes[..labels]),
        found: None,
        bytes,
        labels,
        sample,
    })
}

/// Returns what looks like the only sample at the end of a series, and where it begins.
#[inline]
fn sample_at_end(bytes: &[u8]) -> Option<(usize, PlainSample)> {
    [PLAIN_SAMPLE_BYTES, PLAIN_ZERO_BYTES]
        .into_iter()
        .find_map(|n_bytes| {
            let begins = bytes.len().checked_sub(n_bytes)?;
            match plain_sample(&bytes[begins..])? {
                (sample, []) => Some((begins, sample)),
                _ => None,
            }
        })
}

/// Returns where the labels at the beginning of a series end.
fn labels_end(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(bytes);
    while reader.skip_tag(LABEL_TAG) {
        reader.bytes()?;
    }
    Ok(bytes.len() - reader.rest().len())
}

/// Looks up the series begun, then reads their samples.
#[inline]
fn finish<V: Visitor>(
    ahead: &mut Ahead<'_, V::Found>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    for begun in ahead.iter_mut() {
        begun.found = Some(visitor.find(begun.hash));
    }
    for begun in ahead.drain(..) {
        match (begun.sample, begun.found) {
            (Some(sample), Some(found)) if visitor.pass_over(found, sample.at) => {
                buffers.spend(1)?;
            }
            (Some(sample), Some(found)) if visitor.knows(found) => {
                let labels = RawLabels::V1(&begun.bytes[..begun.labels]);
                visitor.series(begun.hash, found, &labels)?;
                buffers.spend(1)?;
                visitor.float(sample.at, sample.value);
                visitor.series_end();
            }
            _ => walk(&begun, key, buffers, visitor)?,
        }
    }
    Ok(())
}

/// Reads a series by walking over its labels.
fn walk<V: Visitor>(
    begun: &Begun<'_, V::Found>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let labels = labels_end(begun.bytes)?;
    let (fields, rest) = begun.bytes.split_at(labels);
    let rest = Reader::new(rest);
    if has_labels(rest)? {
        // No known sender puts labels between or behind samples, but protobuf lets it.
        return scattered(begun.bytes, rest, key, buffers, visitor);
    }
    // What was looked up ahead may be other bytes than the labels.
    let hash = if labels == begun.labels {
        begun.hash
    } else {
        key.hash(fields)
    };
    let found = match begun.found {
        Some(found) if labels == begun.labels => found,
        _ => visitor.find(hash),
    };
    visitor.series(hash, found, &RawLabels::V1(fields))?;
    samples(rest, buffers, visitor)
}

/// Reads a series whose labels do not lie together.
fn scattered<V: Visitor>(
    bytes: &[u8],
    rest: Reader<'_>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    gather_labels(bytes, &mut buffers.scattered_labels)?;
    let labels = &buffers.scattered_labels;
    let hash = key.hash(labels);
    let found = visitor.find(hash);
    visitor.series(hash, found, &RawLabels::V1(labels))?;
    samples(rest, buffers, visitor)
}

/// Reads everything of a series but its labels.
fn samples<V: Visitor>(
    mut reader: Reader<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if !(1..=4).contains(&field) {
            reader.skip(wire_type)?;
            continue;
        }
        expect("TimeSeries", field, wire_type, WireType::Bytes)?;
        let bytes = reader.bytes()?;
        buffers.spend(1)?;
        match field {
            2 => {
                let sample = sample(bytes)?;
                visitor.float(sample.at, sample.value);
            }
            3 => visitor.exemplar(exemplar(bytes)?, Ok(())),
            4 => {
                let at = buffers.histogram.read(bytes)?;
                buffers.spend(buffers.histogram.n_buckets())?;
                visitor.histogram(at, &mut buffers.histogram);
            }
            _ => {}
        }
    }
    visitor.series_end();
    Ok(())
}

fn gather_labels(bytes: &[u8], gathered: &mut Vec<u8>) -> Result<(), DecodeError> {
    gathered.clear();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let before = reader.rest();
        let (field, wire_type) = reader.tag()?;
        if field == 1 {
            expect("TimeSeries", field, wire_type, WireType::Bytes)?;
        }
        reader.skip(wire_type)?;
        if field == 1 {
            gathered.extend_from_slice(&before[..before.len() - reader.rest().len()]);
        }
    }
    Ok(())
}

/// Reads an `Exemplar`'s timestamp; nothing here keeps the rest, which is checked all the same.
fn exemplar(bytes: &[u8]) -> Result<TimestampMs, DecodeError> {
    let mut at = 0;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        let wanted = match field {
            1 => WireType::Bytes,
            2 => WireType::Fixed64,
            3 => WireType::Varint,
            _ => wire_type,
        };
        expect("Exemplar", field, wire_type, wanted)?;
        match field {
            1 => drop(label(reader.bytes()?)?),
            3 => at = reader.varint()? as i64,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(TimestampMs(at))
}

fn metadata<V: Visitor>(bytes: &[u8], visitor: &mut V) -> Result<(), DecodeError> {
    let mut kind = 0;
    let (mut metric, mut help, mut unit): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        let text = match field {
            1 => {
                expect("MetricMetadata", field, wire_type, WireType::Varint)?;
                kind = reader.varint()?;
                continue;
            }
            2 => &mut metric,
            4 => &mut help,
            5 => &mut unit,
            _ => {
                reader.skip(wire_type)?;
                continue;
            }
        };
        expect("MetricMetadata", field, wire_type, WireType::Bytes)?;
        *text = reader.bytes()?;
    }
    visitor.metadata(Some(metric), kind, help, unit);
    Ok(())
}
