//! A rule set as it lies in a record: in the encoding that checkpoints have of it, after its length.

use crate::log::bytes::{Input, Malformed, put_varint};
use crate::model::RuleSource;
use crate::model::bytes::{ByteReader, ByteWriter};

/// Writes a rule set.
pub fn put(out: &mut Vec<u8>, rules: &RuleSource) {
    let mut encoded = ByteWriter::default();
    rules.save(&mut encoded);
    let encoded = encoded.into_bytes();
    put_varint(out, encoded.len() as u64);
    out.extend_from_slice(&encoded);
}

/// Reads what [`put`] has written.
pub fn read(input: &mut Input<'_>) -> Result<RuleSource, Malformed> {
    let n_bytes = input.count(1)?;
    let mut encoded = ByteReader::new(input.bytes(n_bytes)?);
    let rules = RuleSource::load(&mut encoded).and_then(|rules| encoded.end().map(|()| rules));
    rules.map_err(|_| Malformed("its rule set cannot be read"))
}
