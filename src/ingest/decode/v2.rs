//! Walks a remote write 2.0 body, `io.prometheus.write.v2.Request`.
//!
//! Every symbol is hashed once a request; a series' hash is that of its symbols' hashes in
//! order, so a series of twelve labels costs one hash over 384 bytes, however long its texts.

use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{DecodeBuffers, HashKey, Visitor, sample};
use crate::ingest::rejection::Reason;
use crate::model::TimestampMs;

/// References of a series that are looked at: twice as many as any limit of labels would let
/// through. Beyond, they are read and left out; the series is refused for its labels anyway.
const REFS_MAX: usize = 1 << 16;

/// Where a symbol lies in the body, and its hash.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    start: usize,
    length: usize,
    hash: u128,
}

/// The symbol table of a request.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    body: &'a [u8],
    table: &'a [Symbol],
}

impl<'a> Symbols<'a> {
    /// Returns a symbol's text.
    pub fn get(&self, symbol: u32) -> Option<&'a [u8]> {
        let symbol = self.table.get(symbol as usize)?;
        self.body.get(symbol.start..symbol.start + symbol.length)
    }
}

/// Tells `visitor` what `body`, decompressed, holds.
pub fn decode<V: Visitor>(
    body: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    // Nothing forbids series before symbols, so the symbols are read first.
    let mut table = std::mem::take(&mut buffers.symbols);
    read_symbols(body, key, buffers, &mut table)?;
    let symbols = Symbols {
        body,
        table: &table,
    };
    let mut reader = Reader::new(body);
    let mut outcome = Ok(());
    while outcome.is_ok() && !reader.is_empty() {
        outcome = next_field(&mut reader, symbols, key, buffers, visitor);
    }
    buffers.symbols = table;
    outcome
}

fn next_field<V: Visitor>(
    reader: &mut Reader<'_>,
    symbols: Symbols<'_>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let (field, wire_type) = reader.tag()?;
    if field != 5 {
        return reader.skip(wire_type);
    }
    expect("Request", field, wire_type, WireType::Bytes)?;
    series(reader.bytes()?, symbols, key, buffers, visitor)
}

fn read_symbols(
    body: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    table: &mut Vec<Symbol>,
) -> Result<(), DecodeError> {
    table.clear();
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 4 {
            reader.skip(wire_type)?;
            continue;
        }
        expect("Request", field, wire_type, WireType::Bytes)?;
        let text = reader.bytes()?;
        if table.is_empty() && !text.is_empty() {
            return Err(DecodeError::FirstSymbolNotEmpty);
        }
        buffers.spend(1)?;
        table.push(Symbol {
            start: body.len() - reader.rest().len() - text.len(),
            length: text.len(),
            hash: key.hash(text),
        });
    }
    Ok(())
}

fn series<V: Visitor>(
    bytes: &[u8],
    symbols: Symbols<'_>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    buffers.spend(1)?;
    let mut refs = std::mem::take(&mut buffers.refs);
    refs.clear();
    let samples_from = match label_refs(bytes, &mut refs) {
        Ok(rest) => rest,
        Err(error) => {
            buffers.refs = refs;
            return Err(error);
        }
    };
    let labels = RawLabels::V2 {
        refs: &refs,
        symbols,
    };
    let is_new = match hash_of(&refs, symbols, key, &mut buffers.ref_hashes) {
        Some(hash) => visitor.series(hash, &labels),
        None => {
            visitor.unreadable_series(Reason::BadSymbolRef, &labels);
            Ok(false)
        }
    };
    buffers.refs = refs;
    let is_new = is_new?;
    let mut reader = Reader::new(samples_from);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if !(2..=5).contains(&field) {
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
            3 => {
                let at = buffers.histogram.read(bytes)?;
                buffers.spend(buffers.histogram.n_buckets())?;
                visitor.histogram(at, &mut buffers.histogram);
            }
            4 => {
                let (at, verdict) = exemplar(bytes, symbols)?;
                visitor.exemplar(at, verdict);
            }
            _ if is_new => metadata(bytes, symbols, visitor)?,
            _ => {}
        }
    }
    visitor.series_end();
    Ok(())
}

/// Reads the label references, packed or not, wherever they lie. Returns the series' bytes from
/// the first other field on.
fn label_refs<'a>(bytes: &'a [u8], refs: &mut Vec<u32>) -> Result<&'a [u8], DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut rest = None;
    while !reader.is_empty() {
        let before = reader.rest();
        let (field, wire_type) = reader.tag()?;
        match (field, wire_type) {
            (1, _) => read_refs(&mut reader, wire_type, refs)?,
            _ => {
                rest.get_or_insert(before);
                reader.skip(wire_type)?;
            }
        }
    }
    Ok(rest.unwrap_or_default())
}

fn read_refs(
    reader: &mut Reader<'_>,
    wire_type: WireType,
    refs: &mut Vec<u32>,
) -> Result<(), DecodeError> {
    let mut add = |symbol: u64| {
        if refs.len() < REFS_MAX {
            refs.push(u32::try_from(symbol).unwrap_or(u32::MAX));
        }
    };
    if wire_type == WireType::Varint {
        add(reader.varint()?);
        return Ok(());
    }
    expect("labels_refs", 1, wire_type, WireType::Bytes)?;
    let mut packed = Reader::new(reader.bytes()?);
    while !packed.is_empty() {
        add(packed.varint()?);
    }
    Ok(())
}

/// Returns the hash of a series' symbols, or `None` where a reference is bad or has no pair.
fn hash_of(
    refs: &[u32],
    symbols: Symbols<'_>,
    key: &HashKey,
    gathered: &mut Vec<u8>,
) -> Option<u128> {
    if !refs.len().is_multiple_of(2) {
        return None;
    }
    gathered.clear();
    for symbol in refs {
        let symbol = symbols.table.get(*symbol as usize)?;
        gathered.extend_from_slice(&symbol.hash.to_le_bytes());
    }
    Some(key.hash(gathered))
}

/// Reads an `Exemplar`'s timestamp and checks its references; nothing here keeps the rest.
fn exemplar(
    bytes: &[u8],
    symbols: Symbols<'_>,
) -> Result<(TimestampMs, Result<(), Reason>), DecodeError> {
    let (mut at, mut n_refs, mut verdict) = (0, 0usize, Ok(()));
    let mut check = |symbol: u64| {
        n_refs += 1;
        if symbol >= symbols.table.len() as u64 {
            verdict = Err(Reason::BadSymbolRef);
        }
    };
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match (field, wire_type) {
            (1, WireType::Varint) => check(reader.varint()?),
            (1, _) => {
                expect("Exemplar", field, wire_type, WireType::Bytes)?;
                let mut packed = Reader::new(reader.bytes()?);
                while !packed.is_empty() {
                    check(packed.varint()?);
                }
            }
            (2, _) => {
                expect("Exemplar", field, wire_type, WireType::Fixed64)?;
                reader.fixed64()?;
            }
            (3, _) => {
                expect("Exemplar", field, wire_type, WireType::Varint)?;
                at = reader.varint()? as i64;
            }
            _ => reader.skip(wire_type)?,
        }
    }
    if !n_refs.is_multiple_of(2) {
        verdict = Err(Reason::BadSymbolRef);
    }
    Ok((TimestampMs(at), verdict))
}

fn metadata<V: Visitor>(
    bytes: &[u8],
    symbols: Symbols<'_>,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let (mut kind, mut help, mut unit) = (0, 0, 0);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        let number = match field {
            1 => &mut kind,
            3 => &mut help,
            4 => &mut unit,
            _ => {
                reader.skip(wire_type)?;
                continue;
            }
        };
        expect("Metadata", field, wire_type, WireType::Varint)?;
        *number = reader.varint()?;
    }
    let text = |symbol: u64| symbols.get(symbol as u32).unwrap_or_default();
    visitor.metadata(None, kind, text(help), text(unit));
    Ok(())
}
