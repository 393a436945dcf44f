//! Walks a remote write 1.0 body, `prometheus.WriteRequest`.

use crate::ingest::decode::labels::{RawLabels, label};
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{DecodeBuffers, HashKey, Visitor, sample};
use crate::model::TimestampMs;

/// The tag of `TimeSeries.labels`.
const LABEL_TAG: u8 = 0x0a;

/// Tells `visitor` what `body`, decompressed, holds.
pub fn decode<V: Visitor>(
    body: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match field {
            1 => {
                expect("WriteRequest", field, wire_type, WireType::Bytes)?;
                series(reader.bytes()?, key, buffers, visitor)?;
            }
            3 => {
                expect("WriteRequest", field, wire_type, WireType::Bytes)?;
                metadata(reader.bytes()?, visitor)?;
            }
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(())
}

fn series<V: Visitor>(
    bytes: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    buffers.spend(1)?;
    let mut reader = Reader::new(bytes);
    while reader.rest().first() == Some(&LABEL_TAG) {
        reader.tag()?;
        reader.bytes()?;
    }
    let labels = &bytes[..bytes.len() - reader.rest().len()];
    if has_labels(reader)? {
        // No known sender puts labels between or behind samples, but protobuf lets it.
        gather_labels(bytes, &mut buffers.scattered_labels)?;
        let labels = RawLabels::V1(&buffers.scattered_labels);
        visitor.series(key.hash(&buffers.scattered_labels), &labels)?;
    } else {
        visitor.series(key.hash(labels), &RawLabels::V1(labels))?;
    }
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
                let (at, value) = sample(bytes)?;
                visitor.float(at, value);
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
