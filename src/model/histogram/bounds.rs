//! Where the buckets of a schema lie.

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::histogram::fractions::FRACTIONS;

/// The finest schema there is.
const SCHEMA_MAX: i32 = 8;

/// Returns the upper bound of the bucket at `index`: of its absolute value in an exponential
/// schema, of `custom_values` otherwise.
pub(super) fn upper_bound(index: i32, schema: i32, custom_values: &[f64]) -> f64 {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(index) => custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        };
    }
    exponential_bound(index, schema)
}

/// Returns 2^(index · 2^-schema). The bucket that holds the largest float ends there; the one
/// above it holds infinity.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let index = i64::from(index);
    if schema < 0 {
        let exponent = index.saturating_mul(1 << schema.unsigned_abs().min(62));
        return if exponent == 1024 {
            f64::MAX
        } else {
            scale(1.0, exponent)
        };
    }
    let steps = 1i64 << schema.min(SCHEMA_MAX);
    let stride = FRACTIONS.len() as i64 / steps;
    let fraction = FRACTIONS[(index.rem_euclid(steps) * stride) as usize];
    let exponent = index.div_euclid(steps) + 1;
    if fraction == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    scale(fraction, exponent)
}

/// Returns `value · 2^exponent` without rounding twice.
fn scale(value: f64, exponent: i64) -> f64 {
    let power = |exponent: i64| 2f64.powi(exponent.clamp(-2000, 2000) as i32);
    if exponent > 1023 {
        value * power(1023) * power(exponent - 1023)
    } else if exponent < -1021 {
        value * power(-1021) * power(exponent + 1021)
    } else {
        value * power(exponent)
    }
}

/// Returns the index, in a coarser schema, of the bucket that holds the one at `index`.
pub(super) fn coarser_index(index: i32, from_schema: i32, to_schema: i32) -> i32 {
    let shift = (from_schema - to_schema).clamp(0, 31);
    (index.wrapping_sub(1) >> shift).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_the_base() {
        let check = |index: i32, schema: i32, expected: f64| {
            assert_eq!(
                exponential_bound(index, schema),
                expected,
                "{index} {schema}"
            );
        };
        check(0, 0, 1.0);
        check(1, 0, 2.0);
        check(-1, 0, 0.5);
        check(2, 1, 2.0);
        check(1, -1, 4.0);
        check(-1074, 0, f64::from_bits(1));
        check(1024, 0, f64::MAX);
        check(1025, 0, f64::INFINITY);
        check(64, -4, f64::MAX);
        check(65, -4, f64::INFINITY);
    }

    #[test]
    fn coarser_buckets_hold_finer_ones() {
        for index in -20..20 {
            let coarse = coarser_index(index, 3, 1);
            let (upper, lower) = (exponential_bound(index, 3), exponential_bound(index - 1, 3));
            assert!(upper <= exponential_bound(coarse, 1) * (1.0 + 1e-15));
            assert!(lower >= exponential_bound(coarse - 1, 1) * (1.0 - 1e-15));
        }
    }
}
