//! Walks a remote write 2.0 body, `io.prometheus.write.v2.Request`.
//!
//! Every symbol is hashed once a request; a series' hash is that of its symbols' hashes in
//! order, so a series of twelve labels costs 24 multiplications, however long its texts. The
//! references are read where they lie; nobody writes them down for a series that is known.

use smallvec::SmallVec;

use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::decode::{
    AHEAD, DecodeBuffers, HashKey, PlainSample, Visitor, has_labels, plain_sample, sample,
};
use crate::ingest::rejection::Reason;
use crate::model::{NO_START, TimestampMs};

/// The tag of `TimeSeries.labels_refs`, packed.
const REFS_TAG: u8 = 0x0a;
/// The tag of `TimeSeries.metadata`.
const METADATA_TAG: u8 = 0x2a;

/// Where a symbol lies in the body.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    start: usize,
    length: usize,
}

/// The symbol table of a request.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    body: &'a [u8],
    table: &'a [Symbol],
}

impl<'a> Symbols<'a> {
    /// Returns a symbol's text.
    pub fn get(&self, symbol: u64) -> Option<&'a [u8]> {
        let symbol = self.table.get(usize::try_from(symbol).ok()?)?;
        self.body.get(symbol.start..symbol.start + symbol.length)
    }
}

/// What all series of a request are read with.
#[derive(Clone, Copy)]
struct Request<'a> {
    key: &'a HashKey,
    symbols: Symbols<'a>,
    /// The hash of each symbol.
    hashes: &'a [u128],
}

/// A series whose labels are hashed and whose samples are still to be read.
struct Begun<'a, F> {
    /// `None` where a reference is bad.
    hash: Option<u128>,
    found: Option<F>,
    /// Its references, packed.
    refs: &'a [u8],
    rest: &'a [u8],
    /// The only sample, if `rest` holds nothing else but metadata, and how many fields it holds.
    sample: Option<(PlainSample, usize)>,
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
    let mut hashes = std::mem::take(&mut buffers.symbol_hashes);
    table.clear();
    hashes.clear();
    // Nothing forbids series before symbols, so the symbols are read first.
    let hash = |text: &[u8]| hashes.push(key.hash(text));
    let outcome = read_symbols(body, buffers, &mut table, hash).and_then(|()| {
        let symbols = Symbols {
            body,
            table: &table,
        };
        let request = Request {
            key,
            symbols,
            hashes: &hashes,
        };
        read_series(request, buffers, visitor)
    });
    (buffers.symbols, buffers.symbol_hashes) = (table, hashes);
    outcome
}

/// Calls `look` with the labels of the first series, as far as they lie at its beginning.
pub fn first_labels(
    body: &[u8],
    buffers: &mut DecodeBuffers,
    look: impl FnOnce(&RawLabels<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 5 {
            reader.skip(wire_type)?;
            continue;
        }
        expect("Request", field, wire_type, WireType::Bytes)?;
        let mut series = Reader::new(reader.bytes()?);
        if !series.skip_tag(REFS_TAG) {
            return Ok(());
        }
        let refs = series.bytes()?;
        let mut table = std::mem::take(&mut buffers.symbols);
        table.clear();
        let outcome = read_symbols(body, buffers, &mut table, |_| {}).and_then(|()| {
            let table = &table;
            look(&RawLabels::V2 {
                refs,
                symbols: Symbols { body, table },
            })
        });
        buffers.symbols = table;
        return outcome;
    }
    Ok(())
}

/// Reads the symbols into `table` and calls `each` with the text of each.
fn read_symbols(
    body: &[u8],
    buffers: &mut DecodeBuffers,
    table: &mut Vec<Symbol>,
    mut each: impl FnMut(&[u8]),
) -> Result<(), DecodeError> {
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
        });
        each(text);
    }
    Ok(())
}

fn read_series<V: Visitor>(
    request: Request<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut ahead: Ahead<'_, V::Found> = SmallVec::new();
    let mut reader = Reader::new(request.symbols.body);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 5 {
            reader.skip(wire_type)?;
            continue;
        }
        expect("Request", field, wire_type, WireType::Bytes)?;
        buffers.spend(1)?;
        let bytes = reader.bytes()?;
        match begin(bytes, request)? {
            Some(begun) => {
                begun.hash.inspect(|hash| visitor.expect(*hash));
                ahead.push(begun);
            }
            None => {
                finish(&mut ahead, request, buffers, visitor)?;
                scattered(bytes, request, buffers, visitor)?;
            }
        }
        if ahead.len() == AHEAD {
            finish(&mut ahead, request, buffers, visitor)?;
        }
    }
    finish(&mut ahead, request, buffers, visitor)
}

/// Hashes the labels of a series; `None` where its references do not lie together at its
/// beginning, as every sender puts them.
#[inline]
fn begin<'a, F>(
    bytes: &'a [u8],
    request: Request<'_>,
) -> Result<Option<Begun<'a, F>>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if !reader.skip_tag(REFS_TAG) {
        return Ok(None);
    }
    let refs = reader.bytes()?;
    let rest = reader.rest();
    let sample = match plain_sample(rest) {
        Some((sample, behind)) if is_metadata(behind) => {
            Some((sample, 1 + usize::from(!behind.is_empty())))
        }
        _ if has_labels(reader)? => return Ok(None),
        _ => None,
    };
    Ok(Some(Begun {
        hash: hash_of(refs, request)?,
        found: None,
        refs,
        rest,
        sample,
    }))
}

/// Tells whether `bytes` are one field of metadata or nothing.
#[inline]
fn is_metadata(bytes: &[u8]) -> bool {
    match *bytes {
        [] => true,
        [METADATA_TAG, length, ref rest @ ..] => length < 0x80 && rest.len() == usize::from(length),
        _ => false,
    }
}

/// Looks up the series begun, then reads their samples.
#[inline]
fn finish<V: Visitor>(
    ahead: &mut Ahead<'_, V::Found>,
    request: Request<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    for begun in ahead.iter_mut() {
        begun.found = begun.hash.map(|hash| visitor.find(hash));
    }
    for begun in ahead.drain(..) {
        match (begun.sample, begun.hash, begun.found) {
            (Some((sample, n_fields)), _, Some(found)) if visitor.pass_over(found, sample.at) => {
                buffers.spend(n_fields)?;
            }
            (Some((sample, n_fields)), Some(hash), Some(found)) if visitor.knows(found) => {
                visitor.series(hash, found, &raw_labels(begun.refs, request))?;
                buffers.spend(n_fields)?;
                visitor.float(sample.at, sample.value);
                visitor.series_end();
            }
            _ => whole(&begun, request, buffers, visitor)?,
        }
    }
    Ok(())
}

fn raw_labels<'a>(refs: &'a [u8], request: Request<'a>) -> RawLabels<'a> {
    let symbols = request.symbols;
    RawLabels::V2 { refs, symbols }
}

/// Reads a series field by field.
fn whole<V: Visitor>(
    begun: &Begun<'_, V::Found>,
    request: Request<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let labels = raw_labels(begun.refs, request);
    let is_new = match (begun.hash, begun.found) {
        (Some(hash), Some(found)) => visitor.series(hash, found, &labels)?,
        _ => {
            visitor.unreadable_series(Reason::BadSymbolRef, &labels);
            false
        }
    };
    samples(begun.rest, is_new, request.symbols, buffers, visitor)
}

/// Reads a series whose references are not packed or do not lie together: no known sender
/// writes such, but protobuf lets it.
fn scattered<V: Visitor>(
    bytes: &[u8],
    request: Request<'_>,
    buffers: &mut DecodeBuffers,
    visitor: &mut V,
) -> Result<(), DecodeError> {
    let mut refs = std::mem::take(&mut buffers.scattered_refs);
    refs.clear();
    let outcome = gather_refs(bytes, &mut refs).and_then(|()| {
        let hash = hash_of(&refs, request)?;
        let begun = Begun {
            hash,
            found: hash.map(|hash| visitor.find(hash)),
            refs: &refs,
            rest: bytes,
            sample: None,
        };
        whole(&begun, request, buffers, visitor)
    });
    buffers.scattered_refs = refs;
    outcome
}

fn gather_refs(bytes: &[u8], gathered: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if field != 1 {
            reader.skip(wire_type)?;
        } else if wire_type == WireType::Varint {
            let before = reader.rest();
            reader.varint()?;
            gathered.extend_from_slice(&before[..before.len() - reader.rest().len()]);
        } else {
            expect("labels_refs", 1, wire_type, WireType::Bytes)?;
            gathered.extend_from_slice(reader.bytes()?);
        }
    }
    Ok(())
}

/// Returns the hash of a series' symbols, or `None` where a reference is bad or has no pair.
#[inline]
fn hash_of(refs: &[u8], request: Request<'_>) -> Result<Option<u128>, DecodeError> {
    let mut reader = Reader::new(refs);
    let mut all_good = true;
    let next = || {
        if reader.is_empty() {
            return Ok(None);
        }
        let symbol = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let hash = request.hashes.get(symbol).copied();
        all_good &= hash.is_some();
        Ok(Some(hash.unwrap_or_default()))
    };
    let (hash, n_refs) = request.key.sequence(next)?;
    Ok((all_good && n_refs.is_multiple_of(2)).then_some(hash))
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
    let text = |symbol: u64| symbols.get(symbol).unwrap_or_default();
    visitor.metadata(None, kind, text(help), text(unit));
    Ok(())
}
