//! Floats as Prometheus prints them.

/// Prints as Go's `strconv.FormatFloat(v, 'f', -1, 64)`: plain decimal, `NaN`, `+Inf`, `-Inf`.
pub fn format_plain(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Rust's shortest round-trip decimal without an exponent is Go's 'f', -1.
    format!("{value}")
}

/// Prints as Go's `'e', -1`: shortest mantissa, exponent of at least two digits (`1e+00`).
pub fn format_exponent(value: f64) -> String {
    if value.is_nan() || value.is_infinite() {
        return format_plain(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Prints as Go's `%v` (`'g', -1` with exponents below -4 and from 21 on).
pub fn format_general(value: f64) -> String {
    with_exponent_limits(value, -4, 21)
}

/// Prints as the query API does: plain decimal, an exponent only below 1e-6 or from 1e21 on.
pub fn format_api(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let magnitude = value.abs();
    if !(1e-6..1e21).contains(&magnitude) {
        format_exponent(value)
    } else {
        format_plain(value)
    }
}

fn with_exponent_limits(value: f64, low: i32, high: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let text = format!("{value:e}");
    let exponent: i32 = text
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    if exponent < low || exponent >= high {
        format_exponent(value)
    } else {
        format_plain(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let cases = [
            (1.0, "1", "1e+00", "1", "1"),
            (0.525, "0.525", "5.25e-01", "0.525", "0.525"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21", "1e+21"),
            (1e-5, "0.00001", "1e-05", "1e-05", "0.00001"),
            (1e-7, "0.0000001", "1e-07", "1e-07", "1e-07"),
            (-0.0, "-0", "-0e+00", "-0", "-0"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN", "NaN", "NaN"),
        ];
        for (value, plain, exponent, general, api) in cases {
            assert_eq!(format_plain(value), plain);
            assert_eq!(format_exponent(value), exponent);
            assert_eq!(format_general(value), general);
            assert_eq!(format_api(value), api);
        }
    }
}
