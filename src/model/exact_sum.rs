//! Sums of floats without rounding.
//!
//! A sum is kept as one long integer of as many limbs as its terms reach over, so adding and
//! taking away are exact: what it is worth depends on the terms that are in it alone, and it is
//! zero exactly when they cancel. Nothing is ever lost, however long it is used and however
//! different the terms are. (The idea of a long accumulator is Kulisch's.)
//!
//! Cost: amortised O(1) for terms of similar magnitude; 40 bytes for terms that reach over 128
//! bits beside the limb they share, up to some 300 for those that reach from 1e-308 to 1e308.

use smallvec::SmallVec;

/// Bits of a limb.
const LIMB: i32 = 64;

/// An exact sum; `N` limbs are kept without an allocation.
///
/// Two sums are equal when they are worth the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExactSum<const N: usize = 3> {
    /// Two's complement, the least significant limb first; neither it nor the most significant
    /// one can be left out.
    limbs: SmallVec<[u64; N]>,
    /// The least significant limb counts in units of 2^(64 `low`).
    low: i32,
}

/// What a finite float is: a whole number times a power of two.
#[derive(Clone, Copy, Debug)]
struct Parts {
    is_negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Parts {
    /// Takes a finite float apart; the mantissa is odd or zero.
    fn of(value: f64) -> Parts {
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let biased = ((bits >> 52) & 0x7ff) as i32;
        let (mantissa, exponent) = match biased {
            0 => (fraction, -1074),
            _ => (fraction | (1 << 52), biased - 1075),
        };
        let zeros = mantissa.trailing_zeros() & 63;
        Parts {
            is_negative: value.is_sign_negative(),
            mantissa: mantissa >> zeros,
            exponent: exponent + zeros as i32,
        }
    }
}

impl<const N: usize> ExactSum<N> {
    /// Adds a finite float.
    pub fn add(&mut self, value: f64) {
        let parts = Parts::of(value);
        self.add_whole(
            parts.is_negative,
            u128::from(parts.mantissa),
            parts.exponent,
        );
    }

    /// Takes a finite float away.
    pub fn subtract(&mut self, value: f64) {
        self.add(-value);
    }

    /// Adds the exact product of two finite floats.
    pub fn add_product(&mut self, a: f64, b: f64) {
        let (a, b) = (Parts::of(a), Parts::of(b));
        let mantissa = u128::from(a.mantissa) * u128::from(b.mantissa);
        let is_negative = a.is_negative != b.is_negative;
        self.add_whole(is_negative, mantissa, a.exponent + b.exponent);
    }

    /// Takes the exact product of two finite floats away.
    pub fn subtract_product(&mut self, a: f64, b: f64) {
        self.add_product(-a, b);
    }

    /// Adds another sum.
    pub fn add_sum<const M: usize>(&mut self, other: &ExactSum<M>) {
        self.add_limbs(false, &other.magnitude(), other.low, other.is_negative());
    }

    /// Takes another sum away.
    pub fn subtract_sum<const M: usize>(&mut self, other: &ExactSum<M>) {
        self.add_limbs(true, &other.magnitude(), other.low, other.is_negative());
    }

    /// Returns the product of two sums.
    pub fn times<const M: usize, const R: usize>(&self, other: &ExactSum<M>) -> ExactSum<R> {
        let (a, b) = (self.magnitude(), other.magnitude());
        let mut limbs: SmallVec<[u64; R]> = SmallVec::from_elem(0, a.len() + b.len());
        for (i, a) in a.iter().enumerate() {
            let mut carry = 0;
            for (j, b) in b.iter().enumerate() {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(limbs[i + j]) + carry;
                limbs[i + j] = sum as u64;
                carry = sum >> LIMB;
            }
            limbs[i + b.len()] = carry as u64;
        }
        let mut product = ExactSum::default();
        let is_negative = self.is_negative() != other.is_negative();
        product.add_limbs(is_negative, &limbs, self.low + other.low, false);
        product
    }

    /// Tells whether the sum is zero.
    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Returns the sum rounded once, to the nearest float, half to even.
    pub fn value(&self) -> f64 {
        self.divided(1)
    }

    /// Returns the sum divided by a count, rounded once. NaN where the count is zero.
    pub fn divided(&self, count: u64) -> f64 {
        if count == 0 {
            return f64::NAN;
        }
        let magnitude = self.magnitude();
        let rounded = match count {
            1 => rounded(&magnitude, self.low, false),
            _ => {
                // Two more limbs: the quotient has more bits than a float, whatever the count.
                let mut quotient: SmallVec<[u64; 16]> = SmallVec::from_elem(0, 2);
                quotient.extend_from_slice(&magnitude);
                let mut rest = 0;
                for limb in quotient.iter_mut().rev() {
                    let dividend = (rest << LIMB) | u128::from(*limb);
                    *limb = (dividend / u128::from(count)) as u64;
                    rest = dividend % u128::from(count);
                }
                rounded(&quotient, self.low - 2, rest != 0)
            }
        };
        match self.is_negative() {
            true => -rounded,
            false => rounded,
        }
    }

    /// Returns the bytes that the sum takes outside of itself.
    pub fn heap_bytes(&self) -> usize {
        match self.limbs.spilled() {
            true => self.limbs.capacity() * size_of::<u64>(),
            false => 0,
        }
    }

    fn is_negative(&self) -> bool {
        self.limbs.last().is_some_and(|top| (*top as i64) < 0)
    }

    /// Returns the sum without its sign.
    fn magnitude(&self) -> SmallVec<[u64; 16]> {
        let mut limbs: SmallVec<[u64; 16]> = SmallVec::from_slice(&self.limbs);
        if self.is_negative() {
            let mut carries = true;
            for limb in &mut limbs {
                (*limb, carries) = (!*limb).overflowing_add(u64::from(carries));
            }
        }
        limbs
    }

    /// Adds a whole number of up to 106 bits times a power of two.
    fn add_whole(&mut self, is_negative: bool, number: u128, exponent: i32) {
        let shift = exponent.rem_euclid(LIMB) as u32;
        let spilled = match shift {
            0 => 0,
            _ => (number >> (128 - shift)) as u64,
        };
        let shifted = number << shift;
        let limbs = [shifted as u64, (shifted >> LIMB) as u64, spilled];
        self.add_limbs(is_negative, &limbs, exponent.div_euclid(LIMB), false);
    }

    /// Adds or subtracts a number without sign, whose least significant limb is number `low`.
    fn add_limbs(&mut self, subtracts: bool, number: &[u64], low: i32, negated: bool) {
        let subtracts = subtracts != negated;
        let first = number.iter().position(|limb| *limb != 0);
        let Some(first) = first else { return };
        let last = number.iter().rposition(|limb| *limb != 0).unwrap_or(first);
        let number = &number[first..=last];
        let low = low + first as i32;
        self.reach(low, low + number.len() as i32);
        let at = (low - self.low) as usize;
        let extension = self.extension();
        let mut carry = false;
        for (index, limb) in self.limbs[at..].iter_mut().enumerate() {
            let term = match number.get(index) {
                Some(term) => *term,
                None if !carry => break,
                None => 0,
            };
            let (sum, first, second);
            if subtracts {
                (sum, first) = limb.overflowing_sub(term);
                (*limb, second) = sum.overflowing_sub(u64::from(carry));
            } else {
                (sum, first) = limb.overflowing_add(term);
                (*limb, second) = sum.overflowing_add(u64::from(carry));
            }
            carry = first || second;
        }
        let top = match (carry, subtracts) {
            (false, _) => extension,
            (true, false) => extension.wrapping_add(1),
            (true, true) => extension.wrapping_sub(1),
        };
        if top != self.extension() {
            self.limbs.push(top);
        }
        self.trim();
    }

    /// Returns the limb that all limbs above the most significant one are.
    fn extension(&self) -> u64 {
        match self.is_negative() {
            true => u64::MAX,
            false => 0,
        }
    }

    /// Makes room for limbs from number `low` up to before `end`.
    fn reach(&mut self, low: i32, end: i32) {
        if self.limbs.is_empty() {
            self.low = low;
        }
        if low < self.low {
            let missing = (self.low - low) as usize;
            self.limbs.insert_many(0, std::iter::repeat_n(0, missing));
            self.low = low;
        }
        let extension = self.extension();
        let n_limbs = (end - self.low) as usize;
        if n_limbs > self.limbs.len() {
            self.limbs.resize(n_limbs, extension);
        }
    }

    /// Leaves out limbs that say nothing.
    fn trim(&mut self) {
        while let Some(top) = self.limbs.last().copied() {
            let below = self.limbs.iter().rev().nth(1).copied().unwrap_or(0);
            let extends = match (below as i64) < 0 {
                true => u64::MAX,
                false => 0,
            };
            if top != extends {
                break;
            }
            self.limbs.pop();
        }
        let n_zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        if n_zeros > 0 {
            self.limbs.drain(..n_zeros);
            self.low += n_zeros as i32;
        }
        if self.limbs.is_empty() {
            self.low = 0;
        }
        if self.limbs.spilled() && self.limbs.len() <= N {
            self.limbs.shrink_to_fit();
        }
    }
}

/// Rounds a number without sign, whose least significant limb is number `low`, to the nearest
/// float, half to even; `has_more` when it is a little more than its limbs say.
fn rounded(limbs: &[u64], low: i32, has_more: bool) -> f64 {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else {
        return 0.0;
    };
    let zeros = limbs[top].leading_zeros();
    let below = |back: usize| top.checked_sub(back).map_or(0, |index| limbs[index]);
    // The 64 bits that begin with the first one that is set, and whether any is set below.
    let (leading, rest) = match zeros {
        0 => (limbs[top], below(1)),
        _ => (
            limbs[top] << zeros | below(1) >> (64 - zeros),
            below(1) << zeros,
        ),
    };
    let has_more =
        has_more || rest != 0 || limbs[..top.saturating_sub(1)].iter().any(|limb| *limb != 0);
    let exponent = LIMB * (low + top as i32) - zeros as i32;
    if exponent + 63 > 1023 {
        return f64::INFINITY;
    }
    // Of a subnormal number fewer bits are kept.
    let dropped = (-1074 - exponent).max(11);
    if dropped > 64 {
        return 0.0;
    }
    let leading = u128::from(leading);
    let kept = (leading >> dropped) as u64;
    let rest = leading & ((1 << dropped) - 1);
    let half = 1 << (dropped - 1);
    let rounds_up = rest > half || (rest == half && (has_more || kept & 1 == 1));
    let kept = kept + u64::from(rounds_up);
    kept as f64 * power_of_two(exponent + dropped)
}

/// Returns 2^`exponent` for exponents from -1074 to 1023.
fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..-1022 => f64::from_bits(1 << (exponent + 1074)),
        _ => f64::from_bits(((exponent + 1023) as u64) << 52),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn sums_are_what_they_ought_to_be() {
        let tiny = f64::from_bits(1);
        let cases: &[(&[f64], f64)] = &[
            (&[], 0.0),
            (&[-0.0], 0.0),
            (&[0.1; 10], 1.0),
            (&[1.0, 1e100, 1.0, -1e100], 2.0),
            (&[1e300, 1.0, 1e150, -1e300, -1e150], 1.0),
            (&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX),
            (&[f64::MAX, f64::MAX], f64::INFINITY),
            (&[-f64::MAX, -f64::MAX], f64::NEG_INFINITY),
            (&[tiny, tiny, -tiny], tiny),
            (&[f64::MAX, -tiny], f64::MAX),
            (&[-1.0, 1e-300], -1.0),
            (&[9_007_199_254_740_992.0, 1.0], 9_007_199_254_740_992.0),
            (
                &[9_007_199_254_740_992.0, 1.0, 1e-300],
                9_007_199_254_740_994.0,
            ),
            (&[f64::MIN_POSITIVE, -tiny], f64::MIN_POSITIVE - tiny),
        ];
        for (values, expected) in cases {
            assert_eq!(sum_of(values).value(), *expected, "{values:?}");
        }
    }

    #[test]
    fn quotients_are_rounded_once() {
        let cases: &[(&[f64], u64, f64)] = &[
            (&[0.1, 0.1, 0.1], 3, 0.1),
            (&[1.0], 3, 1.0 / 3.0),
            (&[f64::MAX, f64::MAX], 2, f64::MAX),
            (&[-7.0], 2, -3.5),
            (&[f64::from_bits(3)], 2, f64::from_bits(2)),
            (&[f64::from_bits(1)], 2, 0.0),
            (&[1e300, -1e300], 5, 0.0),
        ];
        for (values, count, expected) in cases {
            assert_eq!(sum_of(values).divided(*count), *expected, "{values:?}");
        }
        assert!(sum_of(&[1.0]).divided(0).is_nan());
    }

    #[test]
    fn products_are_exact() {
        let (a, b) = (sum_of(&[1e20, 0.1]), sum_of(&[-3.0, 1e-9]));
        let mut expected: ExactSum<8> = ExactSum::default();
        for x in [1e20, 0.1] {
            for y in [-3.0, 1e-9] {
                expected.add_product(x, y);
            }
        }
        let mut product: ExactSum<8> = a.times(&b);
        assert_eq!(product, expected);
        product.subtract_sum(&a.times::<3, 4>(&b));
        assert!(product.is_zero());
        expected.add_sum(&a);
        expected.subtract_product(1e20, -3.0);
        expected.subtract_product(1e20, 1e-9);
        expected.subtract_product(0.1, -3.0);
        expected.subtract_product(0.1, 1e-9);
        assert_eq!(expected.value(), 1e20);
    }

    #[test]
    fn nothing_is_left_of_terms_that_have_gone() {
        let mut sum = sum_of(&[1.5]);
        let before = sum.clone();
        for exponent in [-1074, -500, -70, 64, 300, 1023] {
            let far = power_of_two(exponent);
            sum.add(far);
            sum.add(-3.0 * (far / 4.0));
            sum.subtract(far);
            sum.subtract(-3.0 * (far / 4.0));
            assert_eq!(sum, before, "{exponent}");
            assert_eq!(sum.heap_bytes(), 0, "{exponent}");
        }
        assert_eq!(size_of::<ExactSum>(), 40);
    }

    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1000i32..1000).prop_map(f64::from),
            (-10.0..10.0f64),
            any::<u64>().prop_map(f64::from_bits),
            (any::<bool>(), -70..70i32).prop_map(|(sign, exponent)| {
                let value = power_of_two(exponent);
                if sign { -value } else { value }
            }),
        ]
        .prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn a_sum_is_of_its_terms_alone(
            stays in prop::collection::vec(finite(), 0..20),
            goes in prop::collection::vec((finite(), any::<prop::sample::Index>()), 0..20),
        ) {
            let mut sum = sum_of(&stays);
            let fresh = sum.clone();
            goes.iter().for_each(|(value, _)| sum.add(*value));
            let mut order: Vec<_> = goes.iter().map(|(value, at)| (at.index(1000), *value)).collect();
            order.sort_by_key(|(at, _)| *at);
            order.iter().for_each(|(_, value)| sum.subtract(*value));
            prop_assert_eq!(&sum, &fresh);
            prop_assert_eq!(sum.value().to_bits(), fresh.value().to_bits());
        }

        #[test]
        fn two_terms_are_added_as_floats_are(a in finite(), b in finite()) {
            prop_assert_eq!(sum_of(&[a, b]).value(), a + b);
            let mut product: ExactSum = ExactSum::default();
            product.add_product(a, b);
            prop_assert_eq!(product.value(), a * b);
        }

        #[test]
        fn a_term_is_divided_as_floats_are(a in finite(), count in 1u64..1 << 53) {
            prop_assert_eq!(sum_of(&[a]).divided(count), a / count as f64);
        }
    }
}
