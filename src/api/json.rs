//! JSON as Prometheus writes it: Go's escapes and numbers, byte for byte.
//!
//! Texts are written as by Go's `encoding/json`, which also escapes what HTML minds, with one
//! exception: Prometheus writes labels and points itself, and does not escape those. They are
//! handed over as bytes, which are taken as finished JSON.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter};

use crate::model::float::format_api;
use crate::model::{Labels, TimestampMs};

/// Writes a value.
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoFormatter);
    value
        .serialize(&mut serializer)
        .expect("our answers have text keys and no failing serializer");
    out
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(format_api(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // The first byte of the two that are not ASCII is that of few other characters.
        let may_be_special = |byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2);
        if !fragment.bytes().any(may_be_special) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, behind) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = behind.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
        }
    }

    /// Bytes are finished JSON.
    fn write_byte_array<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        writer.write_all(value)
    }
}

/// Writes labels as a JSON object; the empty set is `{}`.
#[derive(Clone, Copy, Debug)]
pub struct LabelsJson<'a>(pub &'a Labels);

impl Serialize for LabelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_labels(self.0.iter(), serializer)
    }
}

/// Writes pairs as labels, in the order of names.
#[derive(Clone, Copy, Debug)]
pub struct PairsJson<'a>(pub &'a [(String, String)]);

impl Serialize for PairsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs: Vec<_> = self
            .0
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        pairs.sort_unstable();
        serialize_labels(pairs.into_iter(), serializer)
    }
}

fn serialize_labels<'a, S: Serializer>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut out = Vec::with_capacity(128);
    out.push(b'{');
    for (name, value) in labels {
        if out.len() > 1 {
            out.push(b',');
        }
        push_plain_text(&mut out, name);
        out.push(b':');
        push_plain_text(&mut out, value);
    }
    out.push(b'}');
    serializer.serialize_bytes(&out)
}

/// Writes a text with the escapes that JSON demands and no others.
fn push_plain_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Writes a point's time: seconds, with three decimals where they are not whole.
#[derive(Clone, Copy)]
pub struct PointTimeJson(pub TimestampMs);

impl Serialize for PointTimeJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = self.0.0;
        if ms % 1000 == 0 {
            return serializer.serialize_i64(ms / 1000);
        }
        let sign = if ms < 0 { "-" } else { "" };
        let ms = ms.unsigned_abs();
        let text = format!("{sign}{}.{:03}", ms / 1000, ms % 1000);
        serializer.serialize_bytes(text.as_bytes())
    }
}

/// Writes a time as the float of its seconds.
#[derive(Clone, Copy)]
pub struct SecondsJson(pub TimestampMs);

impl Serialize for SecondsJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.seconds())
    }
}

/// Writes an instant as RFC 3339; `None` is Go's zero time.
#[derive(Clone, Copy, Debug)]
pub struct TimeJson(pub Option<TimestampMs>);

impl std::fmt::Display for TimeJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let instant = self
            .0
            .and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
        match instant {
            Some(instant) => write!(f, "{instant}"),
            None => f.write_str("0001-01-01T00:00:00Z"),
        }
    }
}

impl Serialize for TimeJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Serialize, expected: &str) {
        assert_eq!(String::from_utf8(to_json(&value)).unwrap(), expected);
    }

    #[test]
    fn texts_are_escaped_as_in_go_and_labels_are_not() {
        let odd = "<&>\u{2028}\u{8}\u{c}\u{1}\"\\\n\r\t/é\u{7f}";
        let escaped = r#""\u003c\u0026\u003e\u2028\u0008\u000c\u0001\"\\\n\r\t/é"#;
        check(odd, &format!("{escaped}\u{7f}\""));
        let labels = Labels::from_pairs([("a", odd), ("<b>", "1")]);
        let plain = "<&>\u{2028}\\u0008\\u000c\\u0001\\\"\\\\\\n\\r\\t/é\u{7f}";
        check(
            LabelsJson(&labels),
            &format!("{{\"<b>\":\"1\",\"a\":\"{plain}\"}}"),
        );
        let pairs = [
            ("b".to_owned(), "1".to_owned()),
            ("a".to_owned(), String::new()),
        ];
        check(PairsJson(&pairs), r#"{"a":"","b":"1"}"#);
    }

    #[test]
    fn numbers_are_written_as_in_go() {
        check(15.0, "15");
        check(0.25, "0.25");
        check(2.57e-7, "2.57e-07");
        check(1e21, "1e+21");
        let point = |ms| PointTimeJson(TimestampMs(ms));
        check(point(1_500), "1.500");
        check(point(-1_001), "-1.001");
        check(point(-5), "-0.005");
        check(point(2_000), "2");
        check(SecondsJson(TimestampMs(1_500)), "1.5");
    }

    #[test]
    fn times_are_written_as_in_go() {
        let check = |ms: Option<i64>, expected: &str| {
            assert_eq!(TimeJson(ms.map(TimestampMs)).to_string(), expected);
        };
        check(None, "0001-01-01T00:00:00Z");
        check(Some(0), "1970-01-01T00:00:00Z");
        check(Some(1_435_781_451_780), "2015-07-01T20:10:51.78Z");
        check(Some(i64::MAX / 4), "0001-01-01T00:00:00Z");
    }
}
