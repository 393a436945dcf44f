//! Reads Prometheus' chunks of floats: delta of deltas for times, XOR for values.
//!
//! The format is `tsdb/docs/format/chunks.md` of Prometheus, after Gorilla (Pelkonen et al., VLDB
//! 2015, section 4.1).

use crate::model::TimestampMs;

/// Why a chunk cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It says that there are more samples than it holds.
    #[error("a chunk ends after {read} of its {stated} samples")]
    Ends {
        /// Samples it begins with.
        stated: u16,
        /// Samples there are.
        read: u16,
    },
    /// A value has more bits than there are.
    #[error("a value of a chunk is wider than 64 bits")]
    TooWide,
}

/// Bits of bytes, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn bits(&mut self, n: u32) -> Option<u64> {
        let mut bits = 0;
        let mut left = n;
        while left > 0 {
            let byte = u64::from(*self.bytes.get(self.at / 8)?);
            let in_byte = 8 - (self.at % 8) as u32;
            let taken = left.min(in_byte);
            let part = byte >> (in_byte - taken) & ((1 << taken) - 1);
            bits = bits << taken | part;
            self.at += taken as usize;
            left -= taken;
        }
        Some(bits)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8)?;
            number |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }
}

/// Calls `sample` with every sample of a chunk, in order.
pub fn read(chunk: &[u8], mut sample: impl FnMut(TimestampMs, f64)) -> Result<(), ChunkError> {
    let [high, low, bytes @ ..] = chunk else {
        return Err(ChunkError::Ends { stated: 0, read: 0 });
    };
    let stated = u16::from_be_bytes([*high, *low]);
    let mut reader = Reader {
        bits: Bits { bytes, at: 0 },
        at: 0,
        delta: 0,
        value: 0,
        leading: 0,
        trailing: 0,
    };
    for read in 0..stated {
        match reader.next(read) {
            Some(true) => sample(TimestampMs(reader.at), f64::from_bits(reader.value)),
            Some(false) => return Err(ChunkError::TooWide),
            None => return Err(ChunkError::Ends { stated, read }),
        }
    }
    Ok(())
}

struct Reader<'a> {
    bits: Bits<'a>,
    at: i64,
    delta: i64,
    value: u64,
    leading: u32,
    trailing: u32,
}

impl Reader<'_> {
    /// Goes to the next sample. `None` at the end of the bytes, `false` where they make no sense.
    fn next(&mut self, n_read: u16) -> Option<bool> {
        match n_read {
            0 => {
                self.at = self.bits.signed()?;
                self.value = self.bits.bits(64)?;
                return Some(true);
            }
            1 => self.delta = self.bits.unsigned()? as i64,
            _ => self.delta = self.delta.wrapping_add(self.change_of_delta()?),
        }
        self.at = self.at.wrapping_add(self.delta);
        self.next_value()
    }

    fn change_of_delta(&mut self) -> Option<i64> {
        let mut width = 64;
        for known in [0, 14, 17, 20] {
            if !self.bits.bit()? {
                width = known;
                break;
            }
        }
        if width == 0 {
            return Some(0);
        }
        let bits = self.bits.bits(width)?;
        // The largest positive number has one bit of its own, so the middle is positive.
        let is_negative = width < 64 && bits > 1 << (width - 1);
        Some(match is_negative {
            true => (bits as i64) - (1 << width),
            false => bits as i64,
        })
    }

    fn next_value(&mut self) -> Option<bool> {
        if !self.bits.bit()? {
            return Some(true);
        }
        if self.bits.bit()? {
            self.leading = self.bits.bits(5)? as u32;
            // 64 does not fit into six bits, and 0 is never meant.
            let width = match self.bits.bits(6)? as u32 {
                0 => 64,
                width => width,
            };
            let Some(trailing) = 64_u32.checked_sub(self.leading + width) else {
                return Some(false);
            };
            self.trailing = trailing;
        }
        let width = 64 - self.leading - self.trailing;
        self.value ^= self.bits.bits(width)? << self.trailing;
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_out_as_they_went_in() {
        let mut chunk = vec![0, 3, 0xd0, 0x0f];
        chunk.extend(1.0_f64.to_bits().to_be_bytes());
        // 15 seconds later the same, and 15 seconds after that 1.5: twelve leading zeros, one bit.
        chunk.extend([0x98, 0x75, 0b0011_0110, 0b0000_0011, 0]);
        let mut found = Vec::new();
        read(&chunk, |at, value| found.push((at.0, value))).unwrap();
        let expected = [(1_000, 1.0), (16_000, 1.0), (31_000, 1.5)];
        assert_eq!(found, expected);
    }

    #[test]
    fn bytes_that_are_no_chunk_are_errors_and_nothing_else() {
        let check = |bytes: &[u8], expected| {
            let mut n = 0;
            assert_eq!(read(bytes, |_, _| n += 1), expected, "{bytes:?}");
        };
        check(&[], Err(ChunkError::Ends { stated: 0, read: 0 }));
        check(&[0, 0], Ok(()));
        check(&[0, 2, 2], Err(ChunkError::Ends { stated: 2, read: 0 }));
        let random = (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
        let random: Vec<u8> = random.collect();
        for chunk in random.chunks(97) {
            let _ = read(chunk, |_, _| {});
        }
    }
}
