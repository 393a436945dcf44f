//! `abs`, `ceil`, `exp`, `floor`, `ln`, `log2`, `log10`, `sgn`, `sqrt`: one formula per float.

use crate::functions::call::FloatFunction;

pub(super) static ABS: FloatFunction = FloatFunction {
    name: "abs",
    about: "Returns the absolute value of every float.",
    example: "abs(node_hwmon_temp_celsius - 40)",
    formula: f64::abs,
};

pub(super) static CEIL: FloatFunction = FloatFunction {
    name: "ceil",
    about: "Rounds every float up to an integer.",
    example: "ceil(node_load1)",
    formula: f64::ceil,
};

pub(super) static EXP: FloatFunction = FloatFunction {
    name: "exp",
    about: "Returns e to the power of every float.",
    example: "exp(node_load1)",
    formula: f64::exp,
};

pub(super) static FLOOR: FloatFunction = FloatFunction {
    name: "floor",
    about: "Rounds every float down to an integer.",
    example: "floor(node_load1)",
    formula: f64::floor,
};

pub(super) static LN: FloatFunction = FloatFunction {
    name: "ln",
    about: "Returns the natural logarithm of every float.",
    example: "ln(node_load1)",
    formula: f64::ln,
};

pub(super) static LOG10: FloatFunction = FloatFunction {
    name: "log10",
    about: "Returns the decimal logarithm of every float.",
    example: "log10(node_load1)",
    formula: log10,
};

pub(super) static LOG2: FloatFunction = FloatFunction {
    name: "log2",
    about: "Returns the binary logarithm of every float.",
    example: "log2(node_load1)",
    formula: log2,
};

pub(super) static SGN: FloatFunction = FloatFunction {
    name: "sgn",
    about: "Returns the sign of every float: -1, 0 or 1.",
    example: "sgn(delta(node_load1[5m]))",
    formula: |value| {
        if value < 0.0 {
            -1.0
        } else if value > 0.0 {
            1.0
        } else {
            value
        }
    },
};

pub(super) static SQRT: FloatFunction = FloatFunction {
    name: "sqrt",
    about: "Returns the square root of every float.",
    example: "sqrt(node_load1)",
    formula: f64::sqrt,
};

/// The binary logarithm as Go computes it: from the exponent and the mantissa's logarithm, so
/// that powers of two are exact.
pub(super) fn log2(value: f64) -> f64 {
    let (mantissa, exponent) = split(value);
    if mantissa == 0.5 {
        return (exponent - 1) as f64;
    }
    mantissa.ln() * (1.0 / std::f64::consts::LN_2) + exponent as f64
}

/// The decimal logarithm as Go computes it: through the binary one.
fn log10(value: f64) -> f64 {
    log2(value) * (std::f64::consts::LN_2 / std::f64::consts::LN_10)
}

/// Splits into a mantissa in `[0.5, 1)` and a binary exponent, as C's `frexp`.
pub(super) fn split(value: f64) -> (f64, i64) {
    if value == 0.0 || !value.is_finite() {
        return (value, 0);
    }
    let (normal, shift) = if value.abs() < f64::MIN_POSITIVE {
        (value * (1u64 << 52) as f64, -52)
    } else {
        (value, 0)
    };
    let bits = normal.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1022 + shift;
    let mantissa = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (mantissa, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_powers_are_exact() {
        for exponent in [-1074, -1022, -3, 0, 1, 52, 1023] {
            assert_eq!(log2(2f64.powi(exponent)), f64::from(exponent));
        }
        assert_eq!(log10(100.0), 2.0);
        assert_eq!(log2(0.0), f64::NEG_INFINITY);
        assert!(log2(-1.0).is_nan());
    }
}
