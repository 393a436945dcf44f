//! The labels of a series as they lie in a request, and how they become [`Labels`].
//!
//! Rules are Prometheus': any UTF-8 in names and values, sorted here when they come unsorted,
//! empty values dropped, repeated and empty names refused.

use crate::ingest::decode::v2::Symbols;
use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect};
use crate::ingest::limits::Limits;
use crate::ingest::rejection::Reason;
use crate::model::{Labels, METRIC_NAME};

/// Labels in their encoding.
#[derive(Clone, Copy, Debug)]
pub enum RawLabels<'a> {
    /// The label fields of a 1.0 series, tags included, one after the other.
    V1(&'a [u8]),
    /// References into the symbols of a 2.0 request.
    V2 {
        /// Names and values in turn, as packed varints.
        refs: &'a [u8],
        /// What they refer to.
        symbols: Symbols<'a>,
    },
}

/// Labels that are well-formed but not those of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLabels {
    /// Why.
    pub reason: Reason,
    /// The labels as far as they can be shown, and the one at fault.
    pub example: String,
}

impl<'a> RawLabels<'a> {
    /// Calls `pair` for each label in the order sent; references out of range are empty texts.
    fn for_each(&self, mut pair: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), DecodeError> {
        match *self {
            RawLabels::V1(fields) => {
                let mut reader = Reader::new(fields);
                while !reader.is_empty() {
                    reader.tag()?;
                    let (name, value) = label(reader.bytes()?)?;
                    pair(name, value);
                }
            }
            RawLabels::V2 { refs, symbols } => {
                let mut reader = Reader::new(refs);
                let text = |reader: &mut Reader<'_>| {
                    if reader.is_empty() {
                        return Ok(&[][..]);
                    }
                    let symbol = reader.varint()?;
                    Ok(symbols.get(symbol).unwrap_or_default())
                };
                while !reader.is_empty() {
                    let name = text(&mut reader)?;
                    pair(name, text(&mut reader)?);
                }
            }
        }
        Ok(())
    }

    /// Reads the labels, or says why they are not those of a series.
    pub fn read(&self, limits: &Limits) -> Result<Result<Labels, InvalidLabels>, DecodeError> {
        let mut pairs = Vec::with_capacity(16);
        self.for_each(|name, value| {
            // One more than the limit is enough to know that there are too many.
            if pairs.len() <= limits.labels_per_series {
                pairs.push((name, value));
            }
        })?;
        Ok(checked(&mut pairs, limits).map_err(|(reason, at_fault)| {
            let mut example = self.shown();
            if !at_fault.is_empty() {
                example.push_str(&format!(" (label {})", show(at_fault)));
            }
            InvalidLabels { reason, example }
        }))
    }

    /// Returns the values of labels, the last where a label is sent twice.
    pub fn values_of<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<&'a [u8]>; N], DecodeError> {
        let mut values = [None; N];
        self.for_each(|name, value| {
            let at = names.iter().position(|wanted| wanted.as_bytes() == name);
            if let Some(at) = at {
                values[at] = Some(value);
            }
        })?;
        Ok(values)
    }

    /// Returns the labels for people, as sent: long and many ones are cut.
    pub fn shown(&self) -> String {
        const PAIRS_MAX: usize = 16;
        let (mut text, mut n) = (String::from("{"), 0);
        // What is malformed was found before; whatever comes before it is shown.
        let _ = self.for_each(|name, value| {
            n += 1;
            if n <= PAIRS_MAX {
                let separator = if n == 1 { "" } else { ", " };
                text.push_str(&format!("{separator}{}={}", show(name), show_quoted(value)));
            }
        });
        if n > PAIRS_MAX {
            text.push_str(&format!(", … {} more", n - PAIRS_MAX));
        }
        text.push('}');
        text
    }
}

fn show(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 64;
    let cut = &bytes[..bytes.len().min(BYTES_MAX)];
    let mut text = String::from_utf8_lossy(cut).into_owned();
    if bytes.len() > BYTES_MAX {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

fn show_quoted(bytes: &[u8]) -> String {
    crate::model::labels::quote(&show(bytes))
}

/// Reads a `Label` of 1.0.
pub fn label(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match field {
            1 | 2 => {
                expect("Label", field, wire_type, WireType::Bytes)?;
                let text = reader.bytes()?;
                *(if field == 1 { &mut name } else { &mut value }) = text;
            }
            _ => reader.skip(wire_type)?,
        }
    }
    Ok((name, value))
}

/// Checks labels and builds the set; an error names the label at fault.
fn checked<'a>(
    pairs: &mut Vec<(&'a [u8], &'a [u8])>,
    limits: &Limits,
) -> Result<Labels, (Reason, &'a [u8])> {
    if pairs.len() > limits.labels_per_series {
        return Err((Reason::TooManyLabels, &[]));
    }
    for (name, value) in pairs.iter() {
        let utf8 = std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
        let name_max = limits.label_name_bytes.min(Labels::TEXT_BYTES_MAX);
        let value_max = limits.label_value_bytes.min(Labels::TEXT_BYTES_MAX);
        let fault = match () {
            () if name.is_empty() => Reason::EmptyLabelName,
            () if name.len() > name_max => Reason::LabelNameTooLong,
            () if value.len() > value_max => Reason::LabelValueTooLong,
            () if !utf8 => Reason::InvalidUtf8,
            () => continue,
        };
        return Err((fault, name));
    }
    if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
        pairs.sort_by_key(|(name, _)| *name);
    }
    if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err((Reason::DuplicateLabel, twice[0].0));
    }
    let named =
        |(name, value): &(&[u8], &[u8])| *name == METRIC_NAME.as_bytes() && !value.is_empty();
    if !pairs.iter().any(named) {
        return Err((Reason::MissingName, &[]));
    }
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
    let kept = pairs.iter().filter(|(_, value)| !value.is_empty());
    Ok(Labels::from_sorted(
        kept.map(|(name, value)| (text(name), text(value))),
    ))
}
