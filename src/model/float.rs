//! Floats as Prometheus prints and reads them.
//!
//! The shortest digits that read back as the float come from `zmij`, which takes the even one of two
//! that are equally near, as Go does; the standard library takes the upper.

/// Prints as Go's `strconv.FormatFloat(v, 'f', -1, 64)`: plain decimal, `NaN`, `+Inf`, `-Inf`.
pub fn format_plain(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    Shortest::of(value).plain()
}

/// Prints as Go's `'e', -1`: shortest mantissa, exponent of at least two digits (`1e+00`).
pub fn format_exponent(value: f64) -> String {
    if value.is_nan() || value.is_infinite() {
        return format_plain(value);
    }
    Shortest::of(value).scientific()
}

/// Prints as Go's `%v` and `%g` (`'g', -1`): with an exponent below 1e-4 and from 1e6 on, so
/// `1.5`, `1e+06`, `1.048576e+06`.
pub fn format_general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let shortest = Shortest::of(value);
    if (-4..6).contains(&shortest.exponent) {
        shortest.plain()
    } else {
        shortest.scientific()
    }
}

/// No float has more digits than this that are not zero; Rust refuses to print 65,536 of them.
const DIGITS_MAX: usize = 1_100;

/// Prints as Go's `%.<precision>e`.
pub fn format_exponent_rounded(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return format_plain(value);
    }
    let digits = precision.min(DIGITS_MAX);
    let shown = two_digit_exponent(&format!("{value:.digits$e}"));
    if digits == precision {
        return shown;
    }
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "+00"));
    let zeros = "0".repeat(precision - digits);
    format!("{mantissa}{zeros}e{exponent}")
}

/// Prints as Go's `%.<precision>f`.
pub fn format_fixed(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return format_plain(value);
    }
    let digits = precision.min(DIGITS_MAX);
    let mut shown = format!("{value:.digits$}");
    shown.extend(std::iter::repeat_n('0', precision - digits));
    shown
}

/// Prints as Go's `%.<precision>g`: that many significant digits, no trailing zeros.
pub fn format_general_rounded(value: f64, precision: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let precision = precision.max(1);
    let rounded = format!("{value:.*e}", (precision - 1).min(DIGITS_MAX));
    let exponent = decimal_exponent(&rounded);
    let mantissa = rounded.split('e').next().unwrap_or("");
    let n_digits = mantissa
        .trim_end_matches('0')
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    let n_digits_i32 = i32::try_from(n_digits).unwrap_or(i32::MAX);
    let precision_i32 = i32::try_from(precision).unwrap_or(i32::MAX);
    // Go: the exponent form starts at the precision, or at the digits there are, if fewer.
    let exponent_from = if precision_i32 > n_digits_i32 && n_digits_i32 > exponent {
        n_digits_i32
    } else {
        precision_i32
    };
    if exponent < -4 || exponent >= exponent_from {
        two_digit_exponent(&format!("{value:.*e}", n_digits - 1))
    } else {
        let decimals = usize::try_from(n_digits_i32 - exponent - 1).unwrap_or(0);
        format!("{value:.decimals$}")
    }
}

/// Prints as the query API does: plain decimal, an exponent only below 1e-6 or from 1e21 on.
pub fn format_api(value: f64) -> String {
    let mut buffer = ApiFloat::default();
    buffer.format(value).to_owned()
}

/// Prints floats as the query API does, one after the other: there may be millions in an answer.
#[derive(Default)]
pub struct ApiFloat {
    digits: zmij::Buffer,
    rare: String,
}

impl ApiFloat {
    /// Prints a float.
    pub fn format(&mut self, value: f64) -> &str {
        let magnitude = value.abs();
        // Here the shortest digits that read back as the float have no exponent.
        if (1e-4..1e15).contains(&magnitude) {
            let text = self.digits.format_finite(value);
            return text.strip_suffix(".0").unwrap_or(text);
        }
        if value == 0.0 {
            return if value.is_sign_negative() { "-0" } else { "0" };
        }
        let is_plain = !value.is_finite() || (1e-6..1e21).contains(&magnitude);
        self.rare = if is_plain {
            format_plain(value)
        } else {
            format_exponent(value)
        };
        &self.rare
    }
}

/// The shortest decimal that reads back as a finite float: `d.ddd × 10^exponent`.
struct Shortest {
    is_negative: bool,
    /// Without leading or trailing zeros; one `0` for zero.
    digits: String,
    exponent: i32,
}

impl Shortest {
    fn of(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let n_zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0');
        let is_zero = digits.is_empty();
        let places = i32::try_from(whole.len()).unwrap_or(0) - i32::try_from(n_zeros).unwrap_or(0);
        Shortest {
            is_negative: value.is_sign_negative(),
            digits: if is_zero { "0" } else { digits }.to_owned(),
            exponent: if is_zero {
                0
            } else {
                exponent.parse().unwrap_or(0) + places - 1
            },
        }
    }

    /// Writes it out without an exponent.
    fn plain(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let Ok(n_whole) = usize::try_from(self.exponent + 1) else {
            let zeros = "0".repeat(usize::try_from(-1 - self.exponent).unwrap_or(0));
            return format!("{sign}0.{zeros}{}", self.digits);
        };
        match self.digits.split_at_checked(n_whole) {
            Some((whole, "")) => format!("{sign}{whole}"),
            Some(("", fraction)) => format!("{sign}0.{fraction}"),
            Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
            None => format!("{sign}{:0<n_whole$}", self.digits),
        }
    }

    /// Writes it with an exponent of at least two digits.
    fn scientific(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let exponent_sign = if self.exponent < 0 { '-' } else { '+' };
        let exponent = self.exponent.unsigned_abs();
        match self.digits.split_at(1) {
            (first, "") => format!("{sign}{first}e{exponent_sign}{exponent:0>2}"),
            (first, rest) => format!("{sign}{first}.{rest}e{exponent_sign}{exponent:0>2}"),
        }
    }
}

/// Why a text is no float, in the words of Go's `strconv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloatError {
    /// It is no number at all.
    #[error("invalid syntax")]
    Syntax,
    /// It is larger than any float.
    #[error("value out of range")]
    Range,
}

/// Reads as Go's `strconv.ParseFloat`: decimal or hexadecimal, digits apart by underscores,
/// `inf` and `nan` in any case.
pub fn parse(text: &str) -> Result<f64, FloatError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Ok(sign * f64::INFINITY),
        "nan" if unsigned == text => return Ok(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        let value = parse_hexadecimal(&hex.replace('_', ""));
        return value.map(|value| sign * value).ok_or(FloatError::Syntax);
    }
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-' | '_');
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !lower.chars().all(plain) {
        return Err(FloatError::Syntax);
    }
    let digits = without_underscores(text).ok_or(FloatError::Syntax)?;
    match digits.parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(FloatError::Range),
        Ok(value) => Ok(value),
        Err(_) => Err(FloatError::Syntax),
    }
}

/// Drops underscores, which may only separate digits.
pub fn without_underscores(digits: &str) -> Option<String> {
    let misplaced = digits.ends_with('_') || digits.contains("__");
    (!misplaced).then(|| digits.replace('_', ""))
}

/// Parses what follows `0x`: `1.8p3`. The mantissa is exact up to 52 bits, which is all that
/// anyone writes by hand.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 13 {
        return None;
    }
    let value = u64::from_str_radix(&digits, 16).ok()?;
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    Some(value as f64 * f64::from(shift).exp2())
}

/// Returns the exponent of Rust's `{:e}` text.
fn decimal_exponent(text: &str) -> i32 {
    text.split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// Turns Rust's `1e6` into Go's `1e+06`.
fn two_digit_exponent(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let cases = [
            (1.0, "1", "1e+00", "1", "1"),
            (0.525, "0.525", "5.25e-01", "0.525", "0.525"),
            (
                1048576.0,
                "1048576",
                "1.048576e+06",
                "1.048576e+06",
                "1048576",
            ),
            (100000.0, "100000", "1e+05", "100000", "100000"),
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

    #[test]
    fn of_two_equally_near_the_even_one_is_printed() {
        let cases = [
            (916932553898250.25, "916932553898250.2"),
            (916932553898250.75, "916932553898250.8"),
            (916932553898251.25, "916932553898251.2"),
            (-916932553898251.75, "-916932553898251.8"),
            (4503599627370496.5, "4503599627370496"),
        ];
        for (value, text) in cases {
            assert_eq!(format_plain(value), text);
            assert_eq!(format_api(value), text);
        }
        assert_eq!(format_exponent(916932553898250.25), "9.169325538982502e+14");
    }

    #[test]
    fn the_fast_way_of_the_api_prints_the_same_and_all_read_back() {
        let mut bits: u64 = 1;
        for n in 0..20_000 {
            // Knuth's generator; every second exponent around 1, where the API prints the fast way.
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let exponent = match n % 2 {
                0 => 1023 - 14 + (bits >> 40) % 66,
                _ => (bits >> 40) % 2047,
            };
            let value = f64::from_bits((bits >> 12) | exponent << 52 | bits & 1 << 63);
            for value in [value, value.trunc()] {
                let plain = format_plain(value);
                if (1e-6..1e21).contains(&value.abs()) {
                    assert_eq!(format_api(value), plain);
                }
                let bits = |text: &str| text.parse::<f64>().map(f64::to_bits);
                assert_eq!(bits(&plain), Ok(value.to_bits()));
                assert_eq!(bits(&format_exponent(value)), Ok(value.to_bits()));
            }
        }
    }

    #[test]
    fn rounded_floats_print_as_in_go() {
        let check = |value: f64, precision: usize, general: &str, fixed: &str, exponent: &str| {
            assert_eq!(format_general_rounded(value, precision), general);
            assert_eq!(format_fixed(value, precision), fixed);
            assert_eq!(format_exponent_rounded(value, precision), exponent);
        };
        check(999.99, 4, "1000", "999.9900", "9.9999e+02");
        check(100000.0, 4, "1e+05", "100000.0000", "1.0000e+05");
        check(-0.0000421, 4, "-4.21e-05", "-0.0000", "-4.2100e-05");
        check(1234.5678, 4, "1235", "1234.5678", "1.2346e+03");
        check(0.5, 0, "0.5", "0", "5e-01");
        check(12345.0, 6, "12345", "12345.000000", "1.234500e+04");
        check(f64::NEG_INFINITY, 4, "-Inf", "-Inf", "-Inf");
    }
}
