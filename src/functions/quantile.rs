//! The quantile of some floats, interpolated linearly between ranks.

/// Orders floats ascending with NaN first, as Prometheus' quantile and `bottomk` do.
pub fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.partial_cmp(b).expect("neither is NaN"),
    }
}

/// Returns the `q`-quantile; NaN for no values, infinities for `q` outside of `[0, 1]`.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(nan_first);
    let n = values.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(n - 1.0);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_ranks() {
        let check = |q: f64, values: &[f64], expected: f64| {
            let got = quantile(q, &mut values.to_vec());
            assert!(
                got == expected || (got.is_nan() && expected.is_nan()),
                "{q} {values:?}"
            );
        };
        check(0.5, &[3.0, 1.0, 2.0], 2.0);
        check(0.25, &[0.0, 1.0], 0.25);
        check(1.0, &[0.0, 1.0], 1.0);
        check(-0.1, &[1.0], f64::NEG_INFINITY);
        check(1.1, &[1.0], f64::INFINITY);
        check(0.5, &[], f64::NAN);
        check(0.0, &[1.0, f64::NAN], f64::NAN);
    }
}
