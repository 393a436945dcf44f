//! Numbers, durations as numbers, quoted texts.

use crate::model::labels::quote;
use crate::model::raw_bytes::text_from_bytes;
use crate::model::time::parse_duration_nanoseconds;
use crate::promql::ast::Number;
use crate::promql::parse::{Parser, Result};
use crate::promql::token::{Token, TokenKind};

impl Parser<'_> {
    /// Returns the value of a number or duration token; durations are seconds.
    pub(super) fn number_literal(&self, token: Token) -> Result<Number> {
        let text = self.text_of(token);
        if token.kind == TokenKind::Duration {
            let nanoseconds = parse_duration_nanoseconds(text)
                .map_err(|e| self.error(token.span, e.to_string()))?;
            let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
            return Ok(Number {
                value: seconds as f64 + rest as f64 / 1e9,
                is_duration: true,
            });
        }
        let value = parse_number(text).map_err(|problem| {
            let text = quote(text);
            self.error(
                token.span,
                format!("error parsing number: strconv.ParseFloat: parsing {text}: {problem}"),
            )
        })?;
        Ok(Number {
            value,
            is_duration: false,
        })
    }
}

/// Reads a number as Go does: first as an integer with Go's prefixes, then as a float.
fn parse_number(text: &str) -> std::result::Result<f64, &'static str> {
    if let Some(integer) = parse_integer(text) {
        return Ok(integer as f64);
    }
    if !underscores_separate_digits(text) {
        return Err("invalid syntax");
    }
    let digits = text.replace('_', "");
    match digits.parse::<f64>() {
        Ok(value)
            if value.is_infinite()
                && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') =>
        {
            Err("value out of range")
        }
        Ok(value) => Ok(value),
        // Go reads hexadecimal floats only with a binary exponent, which the lexer refuses.
        Err(_) => Err("invalid syntax"),
    }
}

/// Reads what Go's `strconv.ParseInt(text, 0, 64)` reads.
fn parse_integer(text: &str) -> Option<i64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

/// Tells whether each `_` stands between digits, or behind the prefix `0x` or `0`.
fn underscores_separate_digits(text: &str) -> bool {
    let hex = text.len() > 1 && text[..2].eq_ignore_ascii_case("0x");
    let mut previous = 'x';
    for (at, c) in text.char_indices() {
        let is_prefix = hex && at == 1;
        let is_digit = c.is_ascii_digit() || is_prefix || (hex && c.is_ascii_hexdigit());
        let previous_is_digit = previous == '0';
        match (c, is_digit) {
            ('_', _) if !previous_is_digit => return false,
            ('_', _) => previous = '_',
            (_, true) => previous = '0',
            (_, false) if previous == '_' => return false,
            (_, false) => previous = 'x',
        }
    }
    previous != '_'
}

/// Removes the quotes of a text that the lexer accepted and replaces its escapes.
///
/// `\xff` and `\377` are bytes, and need not make UTF-8 ([`crate::model::raw_bytes`]).
pub(in crate::promql) fn unquote(text: &str) -> String {
    let quote = text.as_bytes().first().copied().unwrap_or(b'"');
    let inner = text.get(1..text.len() - 1).unwrap_or("");
    if quote == b'`' || !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    text_from_bytes(&out)
}

/// Writes what the escape at the start of `text` stands for and returns what follows it.
fn unescape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(kind) = text.chars().next() else {
        return text;
    };
    let (skip, digits, radix) = match kind {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='7' => (0, 3, 8),
        _ => {
            let plain = match kind {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                other => other,
            };
            out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
            return &text[kind.len_utf8()..];
        }
    };
    let code = text.get(skip..skip + digits).unwrap_or("");
    let value = u32::from_str_radix(code, radix).unwrap_or(0);
    if matches!(kind, 'u' | 'U') {
        let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.push((value & 0xff) as u8);
    }
    &text[skip + code.len()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_go() {
        let check = |text: &str, expected: std::result::Result<f64, &str>| {
            assert_eq!(parse_number(text), expected, "{text}");
        };
        check("017", Ok(15.0));
        check("08", Ok(8.0));
        check("0xAf", Ok(175.0));
        check("0X_1f", Ok(31.0));
        check("1_000", Ok(1000.0));
        check("1_000.5", Ok(1000.5));
        check("1.5e3", Ok(1500.0));
        check(".5", Ok(0.5));
        check("5.", Ok(5.0));
        check("iNf", Ok(f64::INFINITY));
        check("9223372036854775808", Ok(9_223_372_036_854_775_808.0));
        check("1e309", Err("value out of range"));
        check("0x", Err("invalid syntax"));
        check("0xffffffffffffffffff", Err("invalid syntax"));
        check("1_.5", Err("invalid syntax"));
        assert!(parse_number("NaN").is_ok_and(f64::is_nan));
    }

    #[test]
    fn texts_lose_their_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(unquote(text), expected, "{text}");
        check(r#""plain""#, "plain");
        check(r#""a\n\t\\\"b""#, "a\n\t\\\"b");
        check(r"'it\'s'", "it's");
        check(r"`raw \n`", r"raw \n");
        check(r#""\u00e9\U0001F600\x41\101""#, "é😀AA");
        check(r#""\xc3\xa9""#, "é");
        check(r#""\xff!""#, "\u{fddf}\u{fdef}!");
        check(r#""\xc3\xa9""#, "é");
        check(r#""ö\n""#, "ö\n");
    }
}
