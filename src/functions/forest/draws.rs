//! Numbers that trees are drawn with: they follow from a seed, wherever and whenever.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA
//! 2014). A few lines here, because the same seed has to give the same trees in every version:
//! a model that was begun by one is gone on with by another.

/// A sequence of numbers that look random.
#[derive(Clone, Debug)]
pub(super) struct Draws(pub(super) u64);

impl Draws {
    /// Begins the sequence of a seed.
    pub fn of(seed: u64) -> Self {
        Draws(seed)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in `[0, 1)`.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a whole number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        let product = u128::from(self.bits()) * end as u128;
        (product >> 64) as usize
    }

    /// Returns which number of a row of so many the next one of an even sample takes, if any: of
    /// a sample of `size`, from which every one that has come so far is as likely to be left out
    /// (algorithm R, Vitter 1985). `n_before` have come before it.
    pub fn place_in_sample(&mut self, n_before: u64, size: usize) -> Option<usize> {
        let n_before = usize::try_from(n_before).unwrap_or(usize::MAX - 1);
        if n_before < size {
            return Some(n_before);
        }
        let place = self.below(n_before + 1);
        (place < size).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_that_it_has_always_given() {
        // The reference implementation's first numbers for the seed 1234567.
        let mut draws = Draws::of(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([draws.bits(), draws.bits()], expected);
    }

    #[test]
    fn a_sample_is_even() {
        let (mut draws, mut n_kept) = (Draws::of(3), [0u32; 100]);
        for _ in 0..2_000 {
            let mut sample = [0usize; 10];
            for number in 0..100 {
                if let Some(place) = draws.place_in_sample(number, 10) {
                    sample[place] = number as usize;
                }
            }
            sample.iter().for_each(|number| n_kept[*number] += 1);
        }
        // 200 times each, with a standard deviation of 13.4.
        assert!(n_kept.iter().all(|n| (140..=260).contains(n)), "{n_kept:?}");
    }
}
