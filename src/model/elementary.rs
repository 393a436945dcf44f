//! Logarithms, powers of two and powers, bit for bit as Go computes them.
//!
//! Thresholds are compared with `>=`, so the last bit of a quantile of a native histogram or of
//! a power matters; the platform's library rounds differently. The method is that of FreeBSD's
//! `e_log.c` and `e_exp.c` (Sun Microsystems, 1993), which Go follows.

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
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

const LOG_COEFFICIENTS: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];

/// The binary logarithm as Go computes it: from the exponent and the mantissa's logarithm, so
/// that powers of two are exact.
pub fn log2(value: f64) -> f64 {
    let (mantissa, exponent) = split(value);
    if mantissa == 0.5 {
        return (exponent - 1) as f64;
    }
    ln(mantissa) * std::f64::consts::LOG2_E + exponent as f64
}

/// The decimal logarithm as Go computes it: through the binary one.
pub fn log10(value: f64) -> f64 {
    log2(value) * std::f64::consts::LOG10_2
}

/// Two to a power as Go computes it: the polynomial of FreeBSD's `e_exp.c`.
pub fn exp2(value: f64) -> f64 {
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
    1.666_666_666_666_666_6e-1,
    -2.777_777_777_701_559_3e-3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
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
    if whole >= 9.223_372_036_854_776e18 {
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
