//! Bytes that are no UTF-8 in texts of the expression language: `"\xff"` is a text there.
//!
//! Prometheus keeps such a text as it is, and refuses it where a label's name is wanted. Here a
//! text is UTF-8, so a byte that is none is kept as two of the characters that Unicode sets
//! apart for a program's own use (U+FDD0 … U+FDEF): one for each half of the byte.

use std::borrow::Cow;

const HIGH: u32 = 0xfdd0;
const LOW: u32 = 0xfde0;

/// Returns the text of some bytes, UTF-8 or not.
pub fn text_from_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let halves = [HIGH + u32::from(byte >> 4), LOW + u32::from(byte & 15)];
            out.extend(halves.into_iter().filter_map(char::from_u32));
        }
    }
    out
}

/// Returns the byte, not part of UTF-8, that `text` begins with.
pub fn first_raw_byte(text: &str) -> Option<u8> {
    let mut chars = text.chars().map(u32::from);
    // A byte below 0x80 is always UTF-8.
    let high = chars.next().filter(|c| (HIGH + 8..LOW).contains(c))? - HIGH;
    let low = chars.next().filter(|c| (LOW..LOW + 16).contains(c))? - LOW;
    u8::try_from(high << 4 | low).ok()
}

/// Tells whether there are bytes in `text` that are not UTF-8.
pub fn has_raw_bytes(text: &str) -> bool {
    text.char_indices()
        .any(|(at, _)| first_raw_byte(&text[at..]).is_some())
}

/// Returns `text` as everything that leaves shows it: U+FFFD for each byte that is not UTF-8.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !has_raw_bytes(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = first_raw_byte(rest).is_some();
        out.push(if raw { char::REPLACEMENT_CHARACTER } else { c });
        let n_chars = if raw { 2 } else { 1 };
        rest = &rest[rest.chars().take(n_chars).map(char::len_utf8).sum()..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_and_show() {
        let check = |bytes: &[u8], raw: bool, shown_as: &str| {
            let text = text_from_bytes(bytes);
            assert_eq!(has_raw_bytes(&text), raw, "{bytes:?}");
            assert_eq!(shown(&text), shown_as, "{bytes:?}");
        };
        check(b"plain \xc3\xa9", false, "plain é");
        check(b"a\xc5z\xff\xfe", true, "a\u{fffd}z\u{fffd}\u{fffd}");
        // Characters of one half alone, and U+FFFD itself, are themselves.
        check("\u{fdd9}é\u{fffd}".as_bytes(), false, "\u{fdd9}é\u{fffd}");
        assert_eq!(first_raw_byte(&text_from_bytes(b"\xc5z")), Some(0xc5));
        assert_eq!(first_raw_byte("z"), None);
    }
}
