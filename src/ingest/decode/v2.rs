//! Walks a remote write 2.0 body, `io.prometheus.write.v2.Request`.
//!
//! Every symbol is hashed once a request; a series' hash is that of its symbols' hashes in
//! order, so a series of twelve labels costs one hash over 384 bytes, however long its texts.

use std::ops::Range;

use smallvec::SmallVec;

use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{AHEAD, DecodeBuffers, HashKey, Visitor, sample};
use crate::ingest::rejection::Reason;
use crate::model::{NO_START, TimestampMs};

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

/// A series whose labels are hashed and whose samples are still to be read.
struct Begun<'a, F> {
    /// `None` where a reference is bad.
    hash: Option<u128>,
    found: Option<F>,
    /// Where its references lie in the buffer of references.
    refs: Range<usize>,
    rest: &'a [u8],
}

type Ahead<'a, F> = SmallVec<[Begun<'a, F>; AHEAD]>;

/// Tells `visitor` what `body`, decompressed, holds.
pub fn decode<V: Visitor>(
    body: &[u8],
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    // Taken out for the time being, so that labels can refer to them while the rest is used.
    let mut table = std::mem::take(&mut buffers.symbols);
    let mut refs = std::mem::take(&mut buffers.refs);
    // Nothing forbids series before symbols, so the symbols are read first.
    let outcome = read_symbols(body, key, buffers, &mut table).and_then(|()| {
        let table = &table[..];
        let symbols = Symbols { body, table };
        read_series(symbols, key, buffers, &mut refs, visitor)
    });
    (buffers.symbols, buffers.refs) = (table, refs);
    outcome
}

fn read_series<V: Visitor>(
    symbols: Symbols<'_>,
    key: &HashKey,
    buffers: &mut DecodeBuffers,
    refs: &mut Vec<u32>,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut ahead: Ahead<'_, V::Found> = SmallVec::new();
    refs.clear();
    let mut reader = Reader::new(symbols.body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 5 {
            reader.skip(wire_type)?;
            continue;
        }
        expect("Request", field, wire_type, WireType::Bytes)?;
        buffers.spend(1)?;
        let from = refs.len();
        let rest = label_refs(reader.bytes()?, refs)?;
        ahead.push(Begun {
            hash: hash_of(&refs[from..], symbols, key, &mut buffers.ref_hashes),
            found: None,
            refs: from..refs.len(),
            rest,
        });
        if ahead.len() == AHEAD {
            finish(&mut ahead, symbols, refs, buffers, visitor)?;
            refs.clear();
        }
    }
    finish(&mut ahead, symbols, refs, buffers, visitor)
}

/// Looks up the series begun, then reads their samples.
fn finish<V: Visitor>(
    ahead: &mut Ahead<'_, V::Found>,
    symbols: Symbols<'_>,
    refs: &[u32],
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    for begun in ahead.iter_mut() {
        begun.found = begun.hash.map(|hash| visitor.find(hash));
    }
    for begun in ahead.drain(..) {
        let refs = &refs[begun.refs];
        let labels = RawLabels::V2 { refs, symbols };
        let is_new = match (begun.hash, begun.found) {
            (Some(hash), Some(found)) => visitor.series(hash, found, &labels)?,
            _ => {
                visitor.unreadable_series(Reason::BadSymbolRef, &labels);
                false
            }
        };
        samples(begun.rest, is_new, symbols, buffers, visitor)?;
    }
    Ok(())
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

/// Reads everything of a series but its labels; metadata only of a new one.
fn samples<V: Visitor>(
    bytes: &[u8],
    is_new: bool,
    symbols: Symbols<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
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
                let sample = sample(bytes)?;
                if sample.start != NO_START {
                    visitor.start_timestamp(sample.start);
                }
                visitor.float(sample.at, sample.value);
            }
            3 => {
                let at = buffers.histogram.read(bytes)?;
                let start = buffers.histogram.start();
                if start != NO_START {
                    visitor.start_timestamp(start);
                }
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
    let refs_max = refs.len() + REFS_MAX;
    let mut reader = Reader::new(bytes);
    let mut rest = None;
    while !reader.is_empty() {
        let before = reader.rest();
        let (field, wire_type) = reader.tag()?;
        match (field, wire_type) {
            (1, _) => read_refs(&mut reader, wire_type, refs, refs_max)?,
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
    refs_max: usize,
) -> Result<(), DecodeError> {
    let mut add = |symbol: u64| {
        if refs.len() < refs_max {
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
    let n_bytes = refs.len() * size_of::<u128>();
    if gathered.len() < n_bytes {
        gathered.resize(n_bytes, 0);
    }
    let gathered = &mut gathered[..n_bytes];
    for (symbol, hash) in refs
        .iter()
        .zip(gathered.chunks_exact_mut(size_of::<u128>()))
    {
        let symbol = symbols.table.get(*symbol as usize)?;
        hash.copy_from_slice(&symbol.hash.to_le_bytes());
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
