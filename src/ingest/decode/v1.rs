//! Walks a remote write 1.0 body, `prometheus.WriteRequest`.

use smallvec::SmallVec;

use crate::ingest::decode::labels::{RawLabels, label};
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{AHEAD, DecodeBuffers, HashKey, Visitor, sample};
use crate::model::TimestampMs;

/// The tag of `TimeSeries.labels`.
const LABEL_TAG: u8 = 0x0a;

/// A series whose labels are hashed and whose samples are still to be read.
struct Begun<'a, F> {
    hash: u128,
    found: Option<F>,
    labels: &'a [u8],
    rest: Reader<'a>,
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
                let bytes = reader.bytes()?;
                let begun = begin(bytes, key)?;
                if has_labels(begun.rest)? {
                    // No known sender puts labels between or behind samples, but protobuf
                    // lets it.
                    finish(&mut ahead, buffers, visitor)?;
                    scattered(bytes, begun.rest, key, buffers, visitor)?;
                    continue;
                }
                ahead.push(begun);
                if ahead.len() == AHEAD {
                    finish(&mut ahead, buffers, visitor)?;
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
    finish(&mut ahead, buffers, visitor)
}

/// Finds the end of a series' labels and hashes them.
#[inline]
fn begin<'a, F>(bytes: &'a [u8], key: &HashKey) -> Result<Begun<'a, F>, DecodeError> {
    let mut reader = Reader::new(bytes);
    while reader.skip_tag(LABEL_TAG) {
        reader.bytes()?;
    }
    let labels = &bytes[..bytes.len() - reader.rest().len()];
    Ok(Begun {
        hash: key.hash(labels),
        found: None,
        labels,
        rest: reader,
    })
}

/// Looks up the series begun, then reads their samples.
fn finish<V: Visitor>(
    ahead: &mut Ahead<'_, V::Found>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    for begun in ahead.iter_mut() {
        begun.found = Some(visitor.find(begun.hash));
    }
    for begun in ahead.drain(..) {
        let Some(found) = begun.found else { continue };
        visitor.series(begun.hash, found, &RawLabels::V1(begun.labels))?;
        samples(begun.rest, buffers, visitor)?;
    }
    Ok(())
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

/// Tells whether there is a label in what is left of a series.
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
