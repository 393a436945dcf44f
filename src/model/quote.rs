//! Texts in quotes, as Go's `strconv.Quote` and `%q` write them.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

use crate::model::raw_bytes::first_raw_byte;

/// Quotes a text as Go's `strconv.Quote` does; bytes that are not UTF-8 become `\xff`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let raw_byte = match c {
            '\u{fdd0}'..='\u{fddf}' => first_raw_byte(&text[at..]),
            _ => None,
        };
        match raw_byte {
            Some(byte) => {
                out.push_str(&format!("\\x{byte:02x}"));
                chars.next();
            }
            None => escape(c, '"', &mut out),
        }
    }
    out.push('"');
    out
}

/// Quotes a character as Go's `strconv.QuoteRune` does.
pub fn quote_char(c: char) -> String {
    let mut out = String::from('\'');
    escape(c, '\'', &mut out);
    out.push('\'');
    out
}

fn escape(c: char, quote: char, out: &mut String) {
    match c {
        c if c == quote || c == '\\' => {
            out.push('\\');
            out.push(c);
        }
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0b' => out.push_str("\\v"),
        '\x0c' => out.push_str("\\f"),
        c if is_printable(c) => out.push(c),
        c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

/// Names a character as Go's `%#U` does: `U+0071 'q'`.
pub fn code_point(c: char) -> String {
    if is_printable(c) {
        format!("U+{:04X} '{c}'", u32::from(c))
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}

/// Tells whether Go's `strconv.IsPrint` holds: letters, marks, numbers, punctuation, symbols and
/// the space.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let ranges = PRINTABLE.ranges();
    let at = ranges.partition_point(|range| range.end() < c);
    ranges.get(at).is_some_and(|range| range.start() <= c)
}

/// The printable characters of Unicode 15.0, which is what Go knows.
static PRINTABLE: LazyLock<ClassUnicode> = LazyLock::new(|| {
    let tree = regex_syntax::parse(r"[[\p{L}\p{M}\p{N}\p{P}\p{S}]&&\p{age=15.0}]");
    match tree.map(|tree| tree.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        _ => ClassUnicode::empty(),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(quote(text), expected);
        check("plain \"é\" 'x' \\", r#""plain \"é\" 'x' \\""#);
        check("\n\t\r\x07\x08\x0b\x0c", r#""\n\t\r\a\b\v\f""#);
        check("\x00\x1f\x7f", r#""\x00\x1f\x7f""#);
        check(
            "\u{85}\u{a0}\u{ad}\u{feff}",
            r#""\u0085\u00a0\u00ad\ufeff""#,
        );
        check("\u{2028}\u{e000}\u{fffd}", "\"\\u2028\\ue000\u{fffd}\"");
        check("😀\u{e0001}\u{10ffff}", "\"😀\\U000e0001\\U0010ffff\"");
        check("e\u{301}\u{fdd0}", "\"e\u{301}\\ufdd0\"");
        let raw = crate::model::raw_bytes::text_from_bytes(b"\xc5z");
        check(&raw, r#""\xc5z""#);
        // Assigned in Unicode 16.
        check("\u{1c89}", r#""\u1c89""#);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_such() {
        let text = crate::model::raw_bytes::text_from_bytes(b"\xc5z");
        assert_eq!(quote(&text), r#""\xc5z""#);
        assert_eq!(quote("\u{fdd0}"), r#""\ufdd0""#);
    }

    #[test]
    fn of_quotes_only_ones_own_is_escaped() {
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('"'), "'\"'");
        assert_eq!(quote_char('\u{feff}'), r"'\ufeff'");
    }

    #[test]
    fn code_points_show_what_can_be_shown() {
        assert_eq!(code_point('q'), "U+0071 'q'");
        assert_eq!(code_point('\u{ad}'), "U+00AD");
    }
}
