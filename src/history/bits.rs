//! Runs of bits, lowest bit first, and numbers of varying length in bytes.
//!
//! Cost: a few instructions; a reader looks at 32 bytes at a time, which hold any one sample.

/// Bytes that are certain to hold the code of one sample, wherever in the first byte it begins.
pub const SAMPLE_BYTES_MAX: usize = 32;

/// How many bits can be put or taken at once.
pub const BITS_AT_ONCE: u32 = 57;

/// Puts the lowest `width` bits of `value`, at most [`BITS_AT_ONCE`], behind the first `n_bits`
/// of `bytes`, whose other bits are zero; higher bits of `value` are zero.
pub fn put(bytes: &mut Vec<u8>, n_bits: &mut usize, value: u64, width: u32) {
    debug_assert!(width <= BITS_AT_ONCE && value >> width == 0);
    let (byte, shift) = (*n_bits / 8, *n_bits % 8);
    let begun = if shift == 0 {
        0
    } else {
        u64::from(bytes[byte])
    };
    let code = (begun | value << shift).to_le_bytes();
    bytes.truncate(byte);
    *n_bits += width as usize;
    bytes.extend_from_slice(&code[..n_bits.div_ceil(8) - byte]);
}

/// The bits of one sample, copied from where they lie.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    bytes: [u8; SAMPLE_BYTES_MAX],
    at: u32,
}

impl Window {
    /// Begins at bit `at % 8` of `bytes`.
    pub fn new(bytes: [u8; SAMPLE_BYTES_MAX], at: usize) -> Window {
        let at = (at % 8) as u32;
        Window { bytes, at }
    }

    /// Begins at bit `at` of `bytes`; behind their end there are zeros.
    #[inline]
    pub fn of(bytes: &[u8], at: usize) -> Window {
        let behind = bytes.get(at / 8..).unwrap_or_default();
        let window = match behind.first_chunk() {
            Some(window) => *window,
            None => {
                let mut window = [0; SAMPLE_BYTES_MAX];
                window[..behind.len()].copy_from_slice(behind);
                window
            }
        };
        Window {
            bytes: window,
            at: (at % 8) as u32,
        }
    }

    /// Returns how many bits lie before the place, counted from the byte where it began.
    #[inline]
    pub fn at(&self) -> usize {
        self.at as usize
    }

    /// Returns the next [`BITS_AT_ONCE`] bits and perhaps some more.
    #[inline]
    pub fn peek(&self) -> u64 {
        let from = (self.at / 8) as usize;
        let Some(eight) = self.bytes.get(from..).and_then(|rest| rest.first_chunk()) else {
            // Only bytes that no encoder wrote lead here.
            return 0;
        };
        u64::from_le_bytes(*eight) >> (self.at % 8)
    }

    /// Goes on by `width` bits.
    #[inline]
    pub fn skip(&mut self, width: u32) {
        self.at += width;
    }

    /// Takes `width` bits, at most [`BITS_AT_ONCE`].
    #[inline]
    pub fn take(&mut self, width: u32) -> u64 {
        let bits = self.peek() & !(!0 << width);
        self.skip(width);
        bits
    }

    /// Takes `width` bits, at most 64.
    pub fn take_wide(&mut self, width: u32) -> u64 {
        let low = width.min(32);
        let bits = self.take(low);
        bits | self.take(width - low) << low
    }
}

/// Appends `number`, seven bits a byte.
pub fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front of `bytes`; `None` where there is none.
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Maps numbers near zero, of either sign, to small ones.
#[inline]
pub fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// Undoes [`zigzag`].
#[inline]
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        let cases = [
            (0, 1),
            (5, 3),
            (0x1ff_ffff_ffff_ffff, 57),
            (1, 1),
            (0, 20),
            (0xabcd, 17),
        ];
        let (mut bytes, mut n_bits) = (Vec::new(), 0);
        for (value, width) in cases {
            put(&mut bytes, &mut n_bits, value, width);
            assert_eq!(bytes.len(), n_bits.div_ceil(8));
        }
        let mut at = 0;
        for (value, width) in cases {
            let mut window = Window::of(&bytes, at);
            let taken = window.take_wide(width);
            assert_eq!(taken, value, "{width} bits at {at}");
            at += width as usize;
        }
        for number in [0, 1, -1, 300, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, zigzag(number));
            assert_eq!(take_varint(&mut &bytes[..]).map(unzigzag), Some(number));
        }
        assert_eq!(take_varint(&mut &[0x80, 0x80][..]), None, "it is cut off");
        assert_eq!(take_varint(&mut &[0xff; 11][..]), None, "it has no end");
    }
}
