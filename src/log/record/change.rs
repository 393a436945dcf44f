//! A change as it lies in a record: in the encoding that checkpoints have of it, after its length.

use crate::log::bytes::{Input, Malformed, put_varint};
use crate::model::Change;
use crate::model::bytes::{ByteReader, ByteWriter};

/// Writes a change.
pub fn put(out: &mut Vec<u8>, change: &Change) {
    let mut encoded = ByteWriter::default();
    change.save(&mut encoded);
    let encoded = encoded.into_bytes();
    put_varint(out, encoded.len() as u64);
    out.extend_from_slice(&encoded);
}

/// Reads what [`put`] has written.
pub fn read(input: &mut Input<'_>) -> Result<Change, Malformed> {
    let n_bytes = input.count(1)?;
    let mut encoded = ByteReader::new(input.bytes(n_bytes)?);
    let change = Change::load(&mut encoded).and_then(|change| encoded.end().map(|()| change));
    change.map_err(|_| Malformed("its change cannot be read"))
}
