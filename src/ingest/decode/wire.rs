//! Reading protobuf's wire format from bytes: varints, tags, lengths. Strict and without copies.
//!
//! Anything that a correct encoder cannot have written is an error: cut varints, lengths beyond
//! the end, field number 0, groups (proto3 has none), a known field of another wire type.

/// Why a body cannot be decoded. The whole request is refused, since nothing after the fault
/// can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body ends in the middle of a value.
    #[error("malformed protobuf: the message ends in the middle of a value")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("malformed protobuf: a varint is longer than 64 bits")]
    VarintTooLong,
    /// A tag that no field can have.
    #[error("malformed protobuf: invalid tag {0}")]
    InvalidTag(u64),
    /// A group, which proto3 does not have.
    #[error("malformed protobuf: groups are not supported (field {0})")]
    Group(u32),
    /// A known field with another wire type than its own.
    #[error("malformed protobuf: field {field} of {message} has wire type {found}")]
    WireType {
        /// The message.
        message: &'static str,
        /// The field's number.
        field: u32,
        /// The wire type found.
        found: u8,
    },
    /// The symbol table of 2.0 does not begin with the empty text.
    #[error("symbols must start with an empty string")]
    FirstSymbolNotEmpty,
    /// The body is no snappy block.
    #[error("snappy: {0}")]
    Snappy(String),
    /// More series, samples, buckets or symbols than the limit.
    #[error(
        "the request holds more than {limit} series, samples, buckets and symbols; send smaller requests"
    )]
    TooManyItems {
        /// The limit.
        limit: usize,
    },
    /// The body would be larger than the limit once decompressed.
    #[error("decompressed body of {declared} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What the body's header says.
        declared: usize,
        /// The limit.
        limit: usize,
    },
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// A number of 1 to 10 bytes.
    Varint = 0,
    /// Eight bytes.
    Fixed64 = 1,
    /// A length and as many bytes.
    Bytes = 2,
    /// Four bytes.
    Fixed32 = 5,
}

/// Reads a message's bytes from front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Tells whether all is read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns what is not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads a varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            // Lengths of series and most references take two bytes.
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | (u64::from(second) << 7))
            }
            _ => self.long_varint(),
        }
    }

    #[inline]
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                // The tenth byte holds the 64th bit alone.
                if at == 9 && *byte > 1 {
                    return Err(DecodeError::VarintTooLong);
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            DecodeError::Truncated
        } else {
            DecodeError::VarintTooLong
        })
    }

    /// Reads a field's number and wire type.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, WireType), DecodeError> {
        let tag = self.varint()?;
        let field = match u32::try_from(tag) {
            Ok(tag) if tag >= 8 => tag >> 3,
            _ => return Err(DecodeError::InvalidTag(tag)),
        };
        let wire_type = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            5 => WireType::Fixed32,
            3 | 4 => return Err(DecodeError::Group(field)),
            _ => return Err(DecodeError::InvalidTag(tag)),
        };
        Ok((field, wire_type))
    }

    /// Skips a tag of one byte, if it is the next.
    #[inline]
    pub fn skip_tag(&mut self, tag: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == tag => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads a length and as many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads eight bytes, little-endian.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<8>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Reads a double.
    #[inline]
    pub fn double(&mut self) -> Result<f64, DecodeError> {
        self.fixed64().map(f64::from_bits)
    }

    /// Skips a field's value.
    #[inline]
    pub fn skip(&mut self, wire_type: WireType) -> Result<(), DecodeError> {
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.fixed64().map(drop),
            WireType::Bytes => self.bytes().map(drop),
            WireType::Fixed32 => {
                self.rest = self.rest.get(4..).ok_or(DecodeError::Truncated)?;
                Ok(())
            }
        }
    }
}

/// Returns an error unless a known field has its own wire type.
#[inline]
pub fn expect(
    message: &'static str,
    field: u32,
    found: WireType,
    wanted: WireType,
) -> Result<(), DecodeError> {
    if found == wanted {
        return Ok(());
    }
    Err(DecodeError::WireType {
        message,
        field,
        found: found as u8,
    })
}

/// Undoes the zigzag of `sint32` and `sint64`.
#[inline]
pub fn zigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_and_refuse_as_the_format_says() {
        let check = |bytes: &[u8], expected: Result<u64, DecodeError>| {
            assert_eq!(Reader::new(bytes).varint(), expected, "{bytes:?}");
        };
        check(&[0], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0x80, 0x01], Ok(128));
        let mut longest = [0xff; 10];
        longest[9] = 1;
        check(&longest, Ok(u64::MAX));
        longest[9] = 2;
        check(&longest, Err(DecodeError::VarintTooLong));
        check(&[0xff; 11], Err(DecodeError::VarintTooLong));
        check(&[], Err(DecodeError::Truncated));
        check(&[0x80], Err(DecodeError::Truncated));
    }

    #[test]
    fn tags_that_no_field_has_are_refused() {
        let check = |bytes: &[u8], expected: Result<(u32, WireType), DecodeError>| {
            assert_eq!(Reader::new(bytes).tag(), expected, "{bytes:?}");
        };
        check(&[0x0a], Ok((1, WireType::Bytes)));
        check(&[0x02], Err(DecodeError::InvalidTag(2)));
        check(&[0x0b], Err(DecodeError::Group(1)));
        check(&[0x0c], Err(DecodeError::Group(1)));
        check(&[0x0e], Err(DecodeError::InvalidTag(14)));
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        assert_eq!(Reader::new(&[2, 7]).bytes(), Err(DecodeError::Truncated));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1];
        assert_eq!(Reader::new(&huge).bytes(), Err(DecodeError::Truncated));
        let mut reader = Reader::new(&[1, 7, 9]);
        assert_eq!(reader.bytes(), Ok(&[7][..]));
        assert_eq!(reader.rest(), &[9]);
    }

    #[test]
    fn zigzag_goes_both_ways() {
        for (written, value) in [(0, 0), (1, -1), (2, 1), (u64::MAX, i64::MIN)] {
            assert_eq!(zigzag(written), value);
        }
    }
}
