//! Constants as Go writes them: quoted texts, characters, numbers.

use crate::model::float;
use crate::model::labels::quote;
use crate::template::ast::Number;

/// Returns what a quoted text says, or `None` where it is not well-formed.
///
/// A `\xNN` above 0x7f is the character of that number's byte only where the bytes are UTF-8
/// together; else the replacement character stands for it.
pub fn unquote(quoted: &str) -> Option<String> {
    if let Some(raw) = quoted.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        rest = unquote_char(rest, '"', &mut bytes)?;
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Takes one character or escape off `text` and returns the rest.
fn unquote_char<'a>(text: &'a str, quote: char, out: &mut Vec<u8>) -> Option<&'a str> {
    let mut chars = text.chars();
    let c = chars.next()?;
    let mut push = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    if c != '\\' {
        if c == quote || c == '\n' {
            return None;
        }
        push(c);
        return Some(chars.as_str());
    }
    let escaped = chars.next()?;
    let rest = chars.as_str();
    let (length, radix) = match escaped {
        'a' => return Some((push('\x07'), rest).1),
        'b' => return Some((push('\x08'), rest).1),
        'f' => return Some((push('\x0c'), rest).1),
        'n' => return Some((push('\n'), rest).1),
        'r' => return Some((push('\r'), rest).1),
        't' => return Some((push('\t'), rest).1),
        'v' => return Some((push('\x0b'), rest).1),
        '\\' => return Some((push('\\'), rest).1),
        '"' | '\'' if escaped == quote => return Some((push(escaped), rest).1),
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='7' => (3, 8),
        _ => return None,
    };
    let digits = if radix == 8 { &text[1..] } else { rest };
    let number = digits.get(..length)?;
    if !number.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(number, radix).ok()?;
    match escaped {
        'u' | 'U' => push(char::from_u32(value)?),
        _ => out.push(u8::try_from(value).ok()?),
    }
    Some(&digits[length..])
}

/// Parses a character constant (`'a'`) or a number; the error is Go's.
pub fn parse_number(text: &str) -> Result<Number, String> {
    let number = |int, float| {
        Ok(Number {
            text: text.to_owned(),
            int,
            float,
        })
    };
    if let Some(inner) = text.strip_prefix('\'') {
        let mut bytes = Vec::new();
        let rest = unquote_char(inner, '\'', &mut bytes).ok_or("invalid syntax")?;
        if rest != "'" {
            return Err(format!("malformed character constant: {text}"));
        }
        let code = match std::str::from_utf8(&bytes).map(|text| text.chars().next()) {
            Ok(Some(c)) => u32::from(c),
            _ => bytes.first().copied().map_or(0, u32::from),
        };
        return number(Some(i64::from(code)), Some(f64::from(code)));
    }
    // A complex number parses; whoever expands it is told that there are none here.
    if text
        .strip_suffix('i')
        .is_some_and(|real| parse_float(real).is_ok())
    {
        return number(None, None);
    }
    match parse_integer(text) {
        Some(Some(int)) => return number(Some(int), Some(int as f64)),
        // A whole number that only fits without a sign: known, but of no use to anyone.
        Some(None) if !text.starts_with('-') => {
            let is_unsigned = parse_unsigned(text.trim_start_matches('+')).is_some();
            return if is_unsigned {
                number(None, None)
            } else {
                Err(format!("integer overflow: {}", quote(text)))
            };
        }
        Some(None) => return Err(format!("integer overflow: {}", quote(text))),
        None => {}
    }
    match parse_float(text) {
        Ok(float) if text.contains(['.', 'e', 'E', 'p', 'P']) => {
            let int = (float.trunc() == float && float.abs() < 9.2e18).then_some(float as i64);
            number(int, Some(float))
        }
        // A float that looks whole (09) is taken for one that is too large.
        Ok(_) => Err(format!("integer overflow: {}", quote(text))),
        Err(_) => Err(format!("illegal number syntax: {}", quote(text))),
    }
}

/// Returns `None` where this is no integer, `Some(None)` where it does not fit.
fn parse_integer(text: &str) -> Option<Option<i64>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix_of(digits);
    let digits = float::without_underscores(digits)?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&digits, radix).unwrap_or(i128::MAX);
    Some(i64::try_from(if negative { -value } else { value }).ok())
}

fn parse_unsigned(text: &str) -> Option<u64> {
    let (radix, digits) = radix_of(text);
    u64::from_str_radix(&float::without_underscores(digits)?, radix).ok()
}

fn radix_of(digits: &str) -> (u32, &str) {
    let prefix = digits.get(..2).unwrap_or("").to_ascii_lowercase();
    match prefix.as_str() {
        "0x" => (16, &digits[2..]),
        "0o" => (8, &digits[2..]),
        "0b" => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    }
}

/// Parses as Go's `strconv.ParseFloat`; the error is Go's.
pub fn parse_float(text: &str) -> Result<f64, String> {
    float::parse(text).map_err(|why| format!("strconv.ParseFloat: parsing {}: {why}", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unquoted_as_go_does() {
        let check = |quoted: &str, text: Option<&str>| {
            assert_eq!(unquote(quoted).as_deref(), text, "{quoted}");
        };
        check(r#""a\tb\"\\""#, Some("a\tb\"\\"));
        check("`a\\n\"`", Some("a\\n\""));
        check(r#""\x41\101\u00e9\U0001F600""#, Some("AAé😀"));
        check(r#""\xc3\xa9""#, Some("é"));
        check(r#""\'""#, None);
        check(r#""\q""#, None);
        check(r#""\u12""#, None);
        check(r#""\xé""#, None);
    }

    #[test]
    fn numbers_are_what_go_takes_them_for() {
        let check = |text: &str, int: Option<i64>, float: Option<f64>| {
            let number = parse_number(text).expect(text);
            assert_eq!((number.int, number.float), (int, float), "{text}");
        };
        check("1", Some(1), Some(1.0));
        check("-0x1F", Some(-31), Some(-31.0));
        check("0b101", Some(5), Some(5.0));
        check("017", Some(15), Some(15.0));
        check("1_000", Some(1000), Some(1000.0));
        check("1.5", None, Some(1.5));
        check("1e3", Some(1000), Some(1000.0));
        check("'a'", Some(97), Some(97.0));
        check(r"'\n'", Some(10), Some(10.0));
        check("0x1p-2", None, Some(0.25));
        check("+0x_1.e_0p+0_2", None, Some(7.5));
        check("18446744073709551615", None, None);
        check("2i", None, None);
        for text in ["1e", "089", "0xg", "1__0", "'ab'", "99999999999999999999"] {
            assert!(parse_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn floats_are_parsed_as_go_does() {
        assert_eq!(parse_float("+Inf"), Ok(f64::INFINITY));
        assert_eq!(parse_float(".5"), Ok(0.5));
        assert_eq!(
            parse_float("1e999").expect_err("too large"),
            r#"strconv.ParseFloat: parsing "1e999": value out of range"#
        );
        for text in ["", "one", "+nan", "1 ", "e5", ".", "-"] {
            assert!(parse_float(text).is_err(), "{text}");
        }
    }
}
