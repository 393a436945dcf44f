//! Runs of bits, lowest bit first, and numbers of varying length in bytes.
//!
//! Cost: a few instructions; a reader loads eight bytes at once.

/// Bytes that are certain to hold the code of one sample, wherever in the first byte it begins.
pub const SAMPLE_BYTES_MAX: usize = 32;

/// Bytes that hold the code of nearly every sample.
pub const SAMPLE_BYTES_USUAL: usize = 16;

/// How many bits can be put or taken at once.
pub const BITS_AT_ONCE: u32 = 57;

/// Words that hold the code of any one sample.
const CODE_WORDS: usize = SAMPLE_BYTES_MAX / 8;

/// The code of one sample, on its way into its chunk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Code {
    words: [u64; CODE_WORDS],
    n_bits: u32,
}

impl Code {
    /// Puts the lowest `width` bits of `value`, at most [`BITS_AT_ONCE`]; its higher ones are zero.
    #[inline]
    pub fn put(&mut self, value: u64, width: u32) {
        debug_assert!(width <= BITS_AT_ONCE && value >> width == 0);
        let (word, shift) = ((self.n_bits / 64) as usize, self.n_bits % 64);
        self.words[word % CODE_WORDS] |= value << shift;
        if shift + width > 64 {
            self.words[(word + 1) % CODE_WORDS] |= value >> (64 - shift);
        }
        self.n_bits += width;
    }

    /// Returns its length in bits.
    #[inline]
    pub fn n_bits(&self) -> usize {
        self.n_bits as usize
    }

    /// Writes it behind the first `n_bits` of `bytes`, which has room for it; from there on there must
    /// be zeros.
    #[inline]
    pub fn write(&self, bytes: &mut [u8], n_bits: usize) {
        let (first, shift) = (n_bits / 8, (n_bits % 8) as u32);
        // Nearly every code is short, and there is room for more behind it.
        if self.n_bits + shift <= 64
            && let Some(eight) = bytes
                .get_mut(first..)
                .and_then(<[u8]>::first_chunk_mut::<8>)
        {
            let begun = u64::from(eight[0]) & !(!0 << shift);
            *eight = (begun | self.words[0] << shift).to_le_bytes();
            return;
        }
        let end = (n_bits + self.n_bits()).div_ceil(8);
        let Some(out) = bytes.get_mut(first..end) else {
            return;
        };
        let mut carry = match (out.first(), shift) {
            (Some(begun), 1..) => u64::from(*begun),
            _ => 0,
        };
        let words = self.words.iter().chain([&0]);
        for (eight, word) in out.chunks_mut(8).zip(words) {
            let bits = word << shift | carry;
            // Twice, since there may be none to shift by.
            carry = word >> (63 - shift) >> 1;
            match eight.first_chunk_mut() {
                Some(eight) => *eight = bits.to_le_bytes(),
                None => eight.copy_from_slice(&bits.to_le_bytes()[..eight.len()]),
            }
        }
    }
}

/// Reads bits from where they lie; behind the end of the bytes there are zeros.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The bits from `at` on.
    word: u64,
    /// How many of them there are.
    n_valid: u32,
}

impl<'a> Window<'a> {
    /// Begins at bit `at` of `bytes`.
    #[inline]
    pub fn of(bytes: &'a [u8], at: usize) -> Window<'a> {
        let mut window = Window {
            bytes,
            at,
            word: 0,
            n_valid: 0,
        };
        window.load();
        window
    }

    #[inline]
    fn load(&mut self) {
        let behind = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match behind.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => last_word(behind),
        };
        let shift = (self.at % 8) as u32;
        self.word = word >> shift;
        self.n_valid = 64 - shift;
    }

    /// Returns the bit at which it stands.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the next bits, at least `width`, which is at most [`BITS_AT_ONCE`].
    #[inline]
    pub fn peek(&mut self, width: u32) -> u64 {
        if self.n_valid < width {
            self.load();
        }
        self.word
    }

    /// Goes on by `width` bits, at most as many as were looked at.
    #[inline]
    pub fn skip(&mut self, width: u32) {
        self.at += width as usize;
        self.word >>= width;
        self.n_valid = self.n_valid.saturating_sub(width);
    }

    /// Takes `width` bits, at most [`BITS_AT_ONCE`].
    #[inline]
    pub fn take(&mut self, width: u32) -> u64 {
        let bits = self.peek(width) & !(!0 << width);
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

/// Returns the word that less than a word of bytes is the beginning of.
#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
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
        let (mut bytes, mut n_bits) = (vec![0; 64], 5);
        for (value, width) in cases {
            let mut code = Code::default();
            code.put(value, width);
            code.put(0x155, 9);
            assert_eq!(code.n_bits(), width as usize + 9);
            code.write(&mut bytes, n_bits);
            n_bits += code.n_bits();
        }
        let mut at = 5;
        for (value, width) in cases {
            let mut window = Window::of(&bytes, at);
            let taken = window.take_wide(width);
            assert_eq!(taken, value, "{width} bits at {at}");
            assert_eq!(window.take(9), 0x155);
            at += width as usize + 9;
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
