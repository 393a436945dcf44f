//! Numbers and texts as bytes: what records of the log are made of.
//!
//! Counts and differences are variable-length integers (LEB128, signed ones zigzag), everything
//! else is little-endian. Reading is total: whatever the bytes, it ends in a value or in
//! [`Malformed`], and nothing is allocated for a count that the bytes cannot hold.

/// Bytes that are no record: what was expected where they end or go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Appends an unsigned integer.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer; short when it is near zero.
#[inline]
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a count, then so many bytes.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a float by its bits.
#[inline]
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// What is yet to be read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Returns a reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    /// Returns how many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Tells whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads so many bytes.
    #[inline]
    pub fn bytes(&mut self, n_bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(n_bytes)
            .ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads one byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Reads an unsigned integer.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is too long"))
    }

    /// Reads a signed integer.
    #[inline]
    pub fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads an unsigned integer of 32 bits.
    pub fn varint32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("a number is too large"))
    }

    /// Reads how many things of at least `bytes_each` follow.
    #[inline]
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        let most = self.rest.len() / bytes_each.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(Malformed("a count is larger than what follows")),
        }
    }

    /// Reads a float.
    #[inline]
    pub fn float(&mut self) -> Result<f64, Malformed> {
        let bytes = self.bytes(8)?.first_chunk();
        let bytes = bytes.ok_or(Malformed("it ends too early"))?;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let n_bytes = self.count(1)?;
        let bytes = self.bytes(n_bytes)?;
        std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// Reads a switch.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a switch is neither on nor off")),
        }
    }

    /// Ends reading.
    pub fn finish(self) -> Result<(), Malformed> {
        match self.rest {
            [] => Ok(()),
            _ => Err(Malformed("there is more than there ought to be")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let edges = [
            0,
            1,
            63,
            64,
            127,
            128,
            1 << 20,
            i64::MAX,
            i64::MIN,
            -1,
            -64,
            -65,
        ];
        for value in edges {
            let mut bytes = Vec::new();
            put_zigzag(&mut bytes, value);
            put_varint(&mut bytes, value as u64);
            let mut input = Input::new(&bytes);
            assert_eq!(input.zigzag(), Ok(value));
            assert_eq!(input.varint(), Ok(value as u64));
            assert_eq!(input.finish(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_number_is_said() {
        let mut endless = Input::new(&[0xff; 11]);
        assert_eq!(endless.varint(), Err(Malformed("a number is too long")));
        let mut cut = Input::new(&[0x80]);
        assert_eq!(cut.varint(), Err(Malformed("it ends too early")));
        let mut much = Input::new(&[200, 1, 0]);
        let error = Malformed("a count is larger than what follows");
        assert_eq!(much.count(1), Err(error));
    }
}
