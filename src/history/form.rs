//! Floats as whole numbers: how most values of monitoring can be written without loss.
//!
//! Counters are integers; many gauges have a few decimals; some were single precision once. In
//! such a form neighbours differ by small whole numbers, which take few bits. What fits none is
//! taken by its bits, in which, too, neighbours are near each other.
//!
//! Cost: a multiplication and a division to encode, a division to decode.

/// Decimals that are looked for; with more, the digits of measured floats would be met by chance.
const DECIMALS_MAX: u8 = 9;

/// Whole numbers below this have each a float of their own: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

const POWERS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e0, 1e0, 1e0, 1e0, 1e0, 1e0,
];

/// How a float is written as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form(u8);

impl Default for Form {
    fn default() -> Self {
        Form::NONE
    }
}

impl Form {
    /// The bits without the last 29, which are zero in what was single precision once.
    const SINGLE: Form = Form(13);
    /// The bits.
    const DOUBLE: Form = Form(14);
    /// No value has been seen yet.
    pub const NONE: Form = Form(15);

    /// Returns the number, below 16, by which the form is written down.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Returns the form of a number; those that are none are taken for [`Form::NONE`].
    pub fn of_code(code: u8) -> Form {
        match code {
            0..=DECIMALS_MAX | 13 | 14 => Form(code),
            _ => Form::NONE,
        }
    }

    /// Returns the whole number for `value` if this form gives back its very bits.
    #[inline]
    pub fn number(self, value: f64) -> Option<i64> {
        let number = match self {
            Form::NONE => return None,
            Form::DOUBLE => ordered(value),
            Form::SINGLE => ordered(value) >> 29,
            Form(decimals) => {
                let scaled = value * POWERS[usize::from(decimals & 15)];
                if scaled.is_nan() || scaled.abs() >= EXACT_MAX {
                    return None;
                }
                match decimals {
                    0 => scaled as i64,
                    _ => (scaled + 0.5_f64.copysign(scaled)) as i64,
                }
            }
        };
        (self.value(number).to_bits() == value.to_bits()).then_some(number)
    }

    /// Returns the float that `number` stands for.
    #[inline]
    pub fn value(self, number: i64) -> f64 {
        match self {
            Form::DOUBLE => disordered(number),
            Form::SINGLE => disordered(number << 29),
            Form(0) => number as f64,
            Form(decimals) => number as f64 / POWERS[usize::from(decimals & 15)],
        }
    }

    /// Returns the form to go on with from this one, which does not fit `value`.
    pub fn better_for(self, value: f64) -> Form {
        let more = match self.0 {
            decimals @ 0..=DECIMALS_MAX => decimals + 1,
            _ => 0,
        };
        let decimals = (more..=DECIMALS_MAX).map(Form);
        let mut candidates = decimals.chain([Form::SINGLE]);
        let found = candidates.find(|form| form.number(value).is_some());
        found.unwrap_or(Form::DOUBLE)
    }

    /// Returns the form to begin a chunk with, behind `value` in this one: values by their bits
    /// may have been an exception.
    pub fn anew(self, value: f64) -> Form {
        if self == Form::DOUBLE || self == Form::SINGLE {
            return Form::NONE.better_for(value);
        }
        self
    }
}

/// Returns the bits so that they ascend with the values.
#[inline]
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[inline]
fn disordered(number: i64) -> f64 {
    f64::from_bits((number ^ ((number >> 63) as u64 >> 1) as i64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_form_with_the_smallest_numbers() {
        let cases = [
            (0.0, 0),
            (-17.0, 0),
            (4e15, 0),
            (0.5, 1),
            (99.97, 2),
            (-0.0625, 4),
            (0.1_f32 as f64, 13),
            (0.1 + 0.2, 14),
            (1e300, 14),
            (-0.0, 14),
            (f64::NAN, 14),
            (f64::NEG_INFINITY, 14),
            (9_007_199_254_740_993.0, 14),
        ];
        for (value, code) in cases {
            let form = Form::NONE.better_for(value);
            let back = form
                .number(value)
                .map(|number| form.value(number).to_bits());
            assert_eq!(back, Some(value.to_bits()), "{value}");
            // What is large or special may as well be taken for single precision.
            let is_same = form.code() == code || (code == 14 && form.code() == 13);
            assert!(is_same, "{value} has form {form:?}");
        }
        let ascending = [-1e300, -1.5, -1e-300, -0.0, 0.0, 1e-300, 2.5, 1e300];
        let numbers = ascending.map(|value| Form::DOUBLE.number(value));
        assert!(numbers.is_sorted());
    }
}
