//! The keyed hash by which series are known to the door: 128 bits, fast on a few hundred bytes.
//!
//! What is hashed is summed up as NH does it (J. Black, S. Halevi, H. Krawczyk, T. Krovetz,
//! P. Rogaway, "UMAC: Fast and Secure Message Authentication", 1999): pairs of 64-bit words, a
//! key word added to each, are multiplied to 128 bits and added. Two texts chosen without knowledge of the key
//! have the same sum with a probability of 2⁻⁶⁴ at most: of 5 million series, any two meet once in
//! a million processes, if somebody tries. The sums of blocks are chained, and the end spreads
//! them over all bits, by steps that can be undone and so lose nothing.
//!
//! It lives within the process: nothing that is stored or sent depends on it.
//!
//! Cost: a multiplication and a few additions per 16 bytes, a third of XXH3 where only SSE2 may be
//! relied on.

/// Words of the key, and of a block.
const BLOCK_WORDS: usize = 64;
const BLOCK_BYTES: usize = BLOCK_WORDS * size_of::<u64>();
/// What one multiplication takes.
const PAIR_BYTES: usize = 2 * size_of::<u64>();
/// Odd numbers of the splitmix64 generator, which are known to spread bits well.
const SPREAD: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
];

/// The key of all hashes of a process. Keyed, so that nobody outside can make two series meet.
#[derive(Clone)]
pub struct HashKey {
    block: [u64; BLOCK_WORDS],
    /// For the last bytes of a text, which may have been in a block before.
    tail: [u64; 2],
}

impl HashKey {
    /// Derives a key from a seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        // Splitmix64: any seed, zero included, gives words without structure.
        let mut word = || {
            state = state.wrapping_add(SPREAD[0]);
            let mixed = (state ^ (state >> 30)).wrapping_mul(SPREAD[1]);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(SPREAD[2]);
            mixed ^ (mixed >> 31)
        };
        HashKey {
            block: std::array::from_fn(|_| word()),
            tail: std::array::from_fn(|_| word()),
        }
    }

    /// Returns the hash of `bytes`.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u128 {
        let mut state = bytes.len() as u128;
        let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
        for block in &mut blocks {
            state = spread(state.wrapping_add(self.sum(block)));
        }
        state = state.wrapping_add(self.sum(blocks.remainder()));
        // The last bytes once more rather than padded: their number need not be looked at.
        let last = bytes.last_chunk::<PAIR_BYTES>().copied();
        let last = last.unwrap_or_else(|| {
            let mut padded = [0; PAIR_BYTES];
            padded[..bytes.len()].copy_from_slice(bytes);
            padded
        });
        spread(state.wrapping_add(product(&last, &self.tail)))
    }

    /// Returns the hash of a sequence of hashes, in their order, and how many there are.
    #[inline]
    pub fn sequence<E>(
        &self,
        mut next: impl FnMut() -> Result<Option<u128>, E>,
    ) -> Result<(u128, usize), E> {
        let (mut state, mut n) = (0u128, 0);
        'blocks: loop {
            for key in self.block.chunks_exact(2) {
                let Some(hash) = next()? else { break 'blocks };
                let factor = |word: u64, key: u64| u128::from(word.wrapping_add(key));
                let (low, high) = (factor(hash as u64, key[0]), (hash >> 64) as u64);
                state = state.wrapping_add(low.wrapping_mul(factor(high, key[1])));
                n += 1;
            }
            state = spread(state);
        }
        // The lengths of sequences are told apart from those of texts.
        Ok((spread(state.wrapping_add((n as u128) << 64)), n))
    }

    /// Sums up the whole pairs of words of a block.
    #[inline]
    fn sum(&self, block: &[u8]) -> u128 {
        let pairs = block.chunks_exact(PAIR_BYTES);
        let keys = self.block.chunks_exact(2);
        let products = pairs.zip(keys).map(|(pair, key)| product(pair, key));
        products.fold(0, u128::wrapping_add)
    }
}

/// Multiplies two words, each with its key added.
#[inline]
fn product(pair: &[u8], key: &[u64]) -> u128 {
    let word = |at: usize| {
        let bytes = pair.get(at..at + size_of::<u64>());
        let bytes = bytes.and_then(|bytes| bytes.first_chunk());
        u64::from_le_bytes(bytes.copied().unwrap_or_default())
    };
    let factor = |at: usize| {
        let key = key.get(at).copied().unwrap_or_default();
        u128::from(word(at * size_of::<u64>()).wrapping_add(key))
    };
    factor(0).wrapping_mul(factor(1))
}

/// Spreads what the bits say over all of them; different inputs have different outputs.
#[inline]
fn spread(state: u128) -> u128 {
    let (mut low, mut high) = (state as u64, (state >> 64) as u64);
    low = (low ^ SPREAD[0]).wrapping_mul(SPREAD[1]);
    low ^= low >> 32;
    high = high.wrapping_add(low).wrapping_mul(SPREAD[2]);
    high ^= high >> 29;
    low = low.wrapping_add(high).wrapping_mul(SPREAD[0]);
    low ^= low >> 32;
    high = high.wrapping_add(low).wrapping_mul(SPREAD[1]);
    high ^= high >> 32;
    (u128::from(high) << 64) | u128::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Texts that differ in little: by a byte, by their length, by what stands at a block's end.
    fn texts() -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        for length in (0..=66).chain(510..=530).chain([1022, 1024, 1040]) {
            texts.push(vec![0; length]);
            for at in [0, 1, 7, 8, 15, 16, 17, 500, 511, 512, 527, 1023] {
                if at < length {
                    let mut text = vec![0; length];
                    text[at] = 1;
                    texts.push(text);
                }
            }
        }
        let named = |n: u32| format!("name\x05value{n:06}\x03podmodel-server-{:04}", n % 97);
        texts.extend((0..20_000).map(|n| named(n).into_bytes()));
        texts.sort();
        texts.dedup();
        texts
    }

    #[test]
    fn texts_that_differ_in_little_have_hashes_that_differ_in_every_part() {
        for seed in [0, 1, u64::MAX] {
            let key = HashKey::new(seed);
            let texts = texts();
            let hashes: Vec<u128> = texts.iter().map(|text| key.hash(text)).collect();
            for shift in [0, 64] {
                let halves: HashSet<u64> = hashes.iter().map(|h| (h >> shift) as u64).collect();
                assert_eq!(halves.len(), texts.len(), "shift {shift} of seed {seed}");
            }
            // Each bit is set in half of them, within six standard deviations.
            let slack = 3.0 * (texts.len() as f64).sqrt();
            for bit in 0..128 {
                let n_set = hashes.iter().filter(|h| (**h >> bit) & 1 == 1).count();
                let off = (n_set as f64 - texts.len() as f64 / 2.0).abs();
                assert!(off < slack, "bit {bit} of seed {seed}: {n_set}");
            }
        }
    }

    #[test]
    fn a_hash_depends_on_its_key() {
        let hash = |seed| HashKey::new(seed).hash(b"ml_predictions_total");
        assert_ne!(hash(1), hash(2));
        assert_eq!(hash(1), hash(1));
    }

    #[test]
    fn sequences_differ_by_order_length_and_what_is_in_them() {
        let key = HashKey::new(3);
        let of = |hashes: &[u128]| {
            let mut hashes_left = hashes.iter().copied();
            let next = || Ok::<_, std::convert::Infallible>(hashes_left.next());
            let (hash, n) = key.sequence(next).unwrap_or_else(|never| match never {});
            assert_eq!(n, hashes.len());
            hash
        };
        let (a, b) = (key.hash(b"a"), key.hash(b"b"));
        let mut sequences = vec![vec![], vec![a], vec![b], vec![a, b], vec![b, a], vec![a, a]];
        // The key's words come round after 32: a pair that is exchanged across that is told.
        let mut long = vec![a; 70];
        for at in [0, 31, 32, 33, 64, 69] {
            long[at] = b;
            sequences.push(long.clone());
            long[at] = a;
        }
        sequences.push(long);
        let hashes: HashSet<u128> = sequences.iter().map(|sequence| of(sequence)).collect();
        assert_eq!(hashes.len(), sequences.len());
    }
}
