//! `max_of`, `min_of`: the larger and the smaller of two scalars.

use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// Picks one of two scalars; NaN if either is.
pub(super) struct Extreme {
    name: &'static str,
    about: &'static str,
    example: &'static str,
    pick: fn(f64, f64) -> f64,
}

pub(super) static MAX_OF: Extreme = Extreme {
    name: "max_of",
    about: "Returns the larger of two scalars.",
    example: "max_of(scalar(up), 0.5)",
    pick: |a, b| {
        if a > b || (a == b && a.is_sign_positive()) {
            a
        } else {
            b
        }
    },
};

pub(super) static MIN_OF: Extreme = Extreme {
    name: "min_of",
    about: "Returns the smaller of two scalars.",
    example: "min_of(scalar(up), 0.5)",
    pick: |a, b| {
        if a < b || (a == b && a.is_sign_negative()) {
            a
        } else {
            b
        }
    },
};

impl Function for Extreme {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: &[ValueType::Scalar, ValueType::Scalar],
            variadic: 0,
            returns: ValueType::Scalar,
            experimental: true,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(Output::Scalar(self.of(call.scalar(0), call.scalar(1))))
    }
}

impl Extreme {
    fn of(&self, a: f64, b: f64) -> f64 {
        if !a.is_nan() && !b.is_nan() {
            return (self.pick)(a, b);
        }
        // Go prefers an infinity on the side asked for to NaN.
        let infinite = [a, b].into_iter().find(|value| value.is_infinite());
        let wins = infinite.filter(|value| (self.pick)(*value, 0.0) == *value);
        wins.unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_zeros_and_infinities_are_as_in_go() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for (a, b, larger, smaller) in [
            (1.0, 2.0, 2.0, 1.0),
            (0.0, -0.0, 0.0, -0.0),
            (nan, 1.0, nan, nan),
            (nan, inf, inf, nan),
            (-inf, nan, nan, -inf),
            (-inf, inf, inf, -inf),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let bits = |value: f64| if value.is_nan() { 1 } else { value.to_bits() };
                assert_eq!(bits(MAX_OF.of(a, b)), bits(larger), "max {a} {b}");
                assert_eq!(bits(MIN_OF.of(a, b)), bits(smaller), "min {a} {b}");
            }
        }
    }
}
