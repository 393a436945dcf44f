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
    formula: ln,
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

/// The natural logarithm as Go computes it for amd64, bit for bit: the polynomial of FreeBSD's
/// `e_log.c`. A subnormal number is taken as if it were normal, which is an error of Go's.
pub fn ln(value: f64) -> f64 {
    if value.is_nan() || value == f64::INFINITY {
        return value;
    }
    if value < 0.0 {
        return f64::NAN;
    }
    if value == 0.0 {
        return f64::NEG_INFINITY;
    }
    let bits = value.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1022.0;
    let mut mantissa = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    if mantissa < std::f64::consts::FRAC_1_SQRT_2 {
        mantissa *= 2.0;
        exponent -= 1.0;
    }
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let [l1, l2, l3, l4, l5, l6, l7] = LOG_COEFFICIENTS;
    let odd = s2 * (l1 + s4 * (l3 + s4 * (l5 + s4 * l7)));
    let even = s4 * (l2 + s4 * (l4 + s4 * l6));
    let rest = odd + even;
    let half_square = 0.5 * f * f;
    exponent * LN2_HIGH - ((half_square - (s * (half_square + rest) + exponent * LN2_LOW)) - f)
}

/// ln 2 in two parts, the first with so few bits that a small multiple of it is exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238_164_90e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_700_02e-10;

const LOG_COEFFICIENTS: [f64; 7] = [
    6.666_666_666_666_735_130e-1,
    3.999_999_999_940_941_908e-1,
    2.857_142_874_366_239_149e-1,
    2.222_219_843_214_978_396e-1,
    1.818_357_216_161_805_012e-1,
    1.531_383_769_920_937_332e-1,
    1.479_819_860_511_658_591e-1,
];

/// The binary logarithm as Go computes it: from the exponent and the mantissa's logarithm, so
/// that powers of two are exact.
pub(super) fn log2(value: f64) -> f64 {
    let (mantissa, exponent) = split(value);
    if mantissa == 0.5 {
        return (exponent - 1) as f64;
    }
    ln(mantissa) * (1.0 / std::f64::consts::LN_2) + exponent as f64
}

/// The decimal logarithm as Go computes it: through the binary one.
fn log10(value: f64) -> f64 {
    log2(value) * (std::f64::consts::LN_2 / std::f64::consts::LN_10)
}

/// Two to a power as Go computes it: the polynomial of FreeBSD's `e_exp.c`.
pub(super) fn exp2(value: f64) -> f64 {
    if value.is_nan() || value == f64::INFINITY {
        return value;
    }
    if value > 1.023_999_999_999_999_9e3 {
        return f64::INFINITY;
    }
    if value < -1.0740e3 {
        return 0.0;
    }
    // Truncated after adding a half away from zero: the nearest integer.
    let whole = (value + 0.5f64.copysign(value)).trunc();
    let part = value - whole;
    let (high, low) = (part * LN2_HIGH, -part * LN2_LOW);
    let r = high - low;
    let t = r * r;
    let [p1, p2, p3, p4, p5] = EXP_COEFFICIENTS;
    let c = r - t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))));
    let y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    join(y, whole as i64)
}

const EXP_COEFFICIENTS: [f64; 5] = [
    1.666_666_666_666_666_574_15e-1,
    -2.777_777_777_701_559_338_42e-3,
    6.613_756_321_437_934_361_17e-5,
    -1.653_390_220_546_525_153_90e-6,
    4.138_136_797_057_238_460_39e-8,
];

/// A power as Go computes it: the whole part of the exponent by repeated squaring, the rest by
/// the exponential function.
pub fn pow(base: f64, exponent: f64) -> f64 {
    let is_special = base == 0.0 || !base.is_finite() || !exponent.is_finite();
    if exponent == 0.0 || base == 1.0 || is_special {
        return base.powf(exponent);
    }
    if exponent == 1.0 {
        return base;
    }
    if exponent == 0.5 {
        return base.sqrt();
    }
    if exponent == -0.5 {
        return 1.0 / base.sqrt();
    }
    let (mut whole, mut rest) = (exponent.abs().trunc(), exponent.abs().fract());
    if rest != 0.0 && base < 0.0 {
        return f64::NAN;
    }
    if whole >= 9.223_372_036_854_775_808e18 {
        return base.powf(exponent);
    }
    let (mut result, mut result_exponent) = (1.0, 0i64);
    if rest != 0.0 {
        if rest > 0.5 {
            rest -= 1.0;
            whole += 1.0;
        }
        result = (rest * ln(base)).exp();
    }
    let (mut square, mut square_exponent) = split(base);
    let mut bits = whole as i64;
    while bits != 0 {
        if square_exponent.abs() > 1 << 12 {
            // Overflow or underflow is certain.
            result_exponent += square_exponent;
            break;
        }
        if bits & 1 == 1 {
            result *= square;
            result_exponent += square_exponent;
        }
        square *= square;
        square_exponent <<= 1;
        if square < 0.5 {
            square += square;
            square_exponent -= 1;
        }
        bits >>= 1;
    }
    if exponent < 0.0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    join(result, result_exponent)
}

/// Splits into a mantissa in `[0.5, 1)` and a binary exponent, as C's `frexp`.
fn split(value: f64) -> (f64, i64) {
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

/// Returns `value · 2^exponent`, rounded once, as C's `ldexp`.
fn join(value: f64, exponent: i64) -> f64 {
    let power = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    let exponent = exponent.clamp(-4000, 4000);
    if exponent > 1023 {
        return join(value * power(1023), exponent - 1023);
    }
    if exponent < -1022 {
        // Not below the normal range before the last step, so that it alone rounds.
        return join(value * power(-1022 + 53), exponent + 1022 - 53);
    }
    value * power(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_powers_are_exact() {
        for exponent in [-1074, -1022, -3, 0, 1, 52, 1023] {
            let power = join(1.0, exponent);
            assert_eq!(log2(power), exponent as f64);
            assert_eq!(exp2(exponent as f64), power);
            assert_eq!(pow(2.0, exponent as f64), power);
        }
        assert_eq!(log10(100.0), 2.0);
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(log2(0.0), f64::NEG_INFINITY);
        assert!(log2(-1.0).is_nan());
    }

    #[test]
    fn powers_agree_with_the_library_to_the_last_places() {
        for base in [1e-300, 0.1, 0.9, 1.5, 3.0, 123.456, 1e10, -2.5] {
            for exponent in [-7.0, -1.0, 0.5, 2.0, 2.5, 3.0, 20.0, 1.0 / 3.0] {
                let (ours, theirs) = (pow(base, exponent), f64::powf(base, exponent));
                let near = (ours - theirs).abs() <= 1e-14 * theirs.abs();
                assert!(near || ours == theirs || (ours.is_nan() && theirs.is_nan()));
            }
        }
    }
}
