//! The fields of a unit test file: read one by one, so that one wrong field hides no other.

use std::collections::HashMap;

use crate::model::labels::quote;
use crate::model::{DurationMs, TimestampMs};
use crate::rule::RuleError;
use crate::rule::hint::for_duration;
use crate::rule::test_file::Texts;
use crate::yaml::{Node, NodeKind, Place};

/// The known fields of a mapping, by name.
pub(crate) type Fields<'a> = HashMap<&'a str, &'a Node>;

/// A test file being read, and what has been found wrong with it.
pub(crate) struct Reading<'a> {
    pub path: &'a str,
    pub ignore_unknown_fields: bool,
    pub errors: Vec<RuleError>,
}

impl Reading<'_> {
    pub(crate) fn refuse(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let error = RuleError::at(self.path, place, message, hint);
        self.errors.push(error);
    }

    /// Returns the known fields of a mapping; notes the others.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, known: &[&str], about: &str) -> Fields<'n> {
        let mut fields = Fields::new();
        let pairs = match &node.kind {
            NodeKind::Null => return fields,
            NodeKind::Mapping(pairs) => pairs,
            _ => {
                let message = format!("{about} must be a mapping, found {}", node.described());
                self.refuse(node.place, message, None);
                return fields;
            }
        };
        for (key, value) in pairs {
            match &key.kind {
                NodeKind::Scalar { text, .. } if known.contains(&text.as_str()) => {
                    fields.insert(text, value);
                }
                NodeKind::Scalar { text, .. } if !self.ignore_unknown_fields => {
                    let message = format!("field {text} not found in {about}");
                    let hint = format!("the fields here are {}", known.join(", "));
                    self.refuse(key.place, message, Some(hint));
                }
                NodeKind::Scalar { .. } | NodeKind::Null => {}
                _ => {
                    let message = format!("a field name must be text, found {}", key.described());
                    self.refuse(key.place, message, None);
                }
            }
        }
        fields
    }

    pub(crate) fn items<T>(
        &mut self,
        fields: &Fields<'_>,
        field: &str,
        read: impl Fn(&mut Self, &Node) -> T,
    ) -> Vec<T> {
        let Some(node) = fields.get(field) else {
            return Vec::new();
        };
        match &node.kind {
            NodeKind::Null => Vec::new(),
            NodeKind::Sequence(items) => items.iter().map(|item| read(self, item)).collect(),
            _ => {
                let message = format!("field '{field}' must be a list, found {}", node.described());
                self.refuse(node.place, message, None);
                Vec::new()
            }
        }
    }

    pub(crate) fn texts(&mut self, fields: &Fields<'_>, field: &str) -> Vec<String> {
        self.items(fields, field, |reading, item| {
            reading.text_of(item, field).to_owned()
        })
    }

    fn text_of<'n>(&mut self, node: &'n Node, field: &str) -> &'n str {
        match &node.kind {
            NodeKind::Null => "",
            NodeKind::Scalar { text, .. } => text,
            _ => {
                let message = format!("field '{field}' must be text, found {}", node.described());
                self.refuse(node.place, message, None);
                ""
            }
        }
    }

    pub(crate) fn text(&mut self, fields: &Fields<'_>, field: &str) -> String {
        match fields.get(field) {
            Some(node) => self.text_of(node, field).to_owned(),
            None => String::new(),
        }
    }

    pub(crate) fn map(&mut self, fields: &Fields<'_>, field: &str) -> Texts {
        let Some(node) = fields.get(field) else {
            return Texts::new();
        };
        let pairs = match &node.kind {
            NodeKind::Null => return Texts::new(),
            NodeKind::Mapping(pairs) => pairs,
            _ => {
                let message = format!(
                    "field '{field}' must be a mapping, found {}",
                    node.described()
                );
                self.refuse(node.place, message, None);
                return Texts::new();
            }
        };
        let mut texts = Texts::new();
        for (key, value) in pairs {
            let name = self.text_of(key, field).to_owned();
            texts.push((name, self.text_of(value, field).to_owned()));
        }
        texts.sort();
        texts
    }

    pub(crate) fn duration(&mut self, fields: &Fields<'_>, field: &str) -> DurationMs {
        let text = self.text(fields, field);
        let is_scalar = |node: &&&Node| matches!(node.kind, NodeKind::Scalar { .. });
        let Some(node) = fields.get(field).filter(is_scalar) else {
            return DurationMs::ZERO;
        };
        DurationMs::parse(&text).unwrap_or_else(|e| {
            self.refuse(
                node.place,
                format!("field '{field}': {e}"),
                for_duration(&text),
            );
            DurationMs::ZERO
        })
    }

    pub(crate) fn boolean(&mut self, fields: &Fields<'_>, field: &str) -> bool {
        let text = self.text(fields, field).to_lowercase();
        match text.as_str() {
            "true" | "yes" | "on" | "y" => true,
            "" | "false" | "no" | "off" | "n" => false,
            _ => {
                let place = fields.get(field).map(|node| node.place).unwrap_or_default();
                let message = format!("field '{field}' must be true or false, found `{text}`");
                self.refuse(place, message, None);
                false
            }
        }
    }

    /// A float as YAML writes one; what is quoted is none.
    pub(crate) fn number(&mut self, fields: &Fields<'_>, field: &str) -> f64 {
        let Some(node) = fields.get(field) else {
            return 0.0;
        };
        let (text, is_text) = match &node.kind {
            NodeKind::Null => return 0.0,
            NodeKind::Scalar { text, is_text, .. } => (text.as_str(), *is_text),
            _ => ("", true),
        };
        let found = (!is_text).then(|| number_of(text)).flatten();
        found.unwrap_or_else(|| {
            let message = format!(
                "field '{field}' must be a number, found {}",
                node.described()
            );
            let hint = match is_text {
                true => "a number stands without quotes",
                false => "YAML writes .nan, .inf and -.inf",
            };
            self.refuse(node.place, message, Some(hint.to_owned()));
            0.0
        })
    }

    /// Unix seconds or RFC 3339.
    pub(crate) fn start(&mut self, fields: &Fields<'_>) -> TimestampMs {
        let text = self.text(fields, "start_timestamp");
        let Some(node) = fields.get("start_timestamp").filter(|_| !text.is_empty()) else {
            return TimestampMs(0);
        };
        if let Ok(seconds) = text.parse::<f64>()
            && seconds.abs() < 1e12
        {
            return TimestampMs((seconds * 1000.0).trunc() as i64);
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) => TimestampMs(timestamp.as_millisecond()),
            Err(_) => {
                let message = format!("cannot parse {} to a valid timestamp", quote(&text));
                let hint = "write Unix seconds or RFC 3339, as in 2026-01-02T03:04:05Z".to_owned();
                self.refuse(node.place, message, Some(hint));
                TimestampMs(0)
            }
        }
    }
}

/// Reads a number of YAML: whole ones may be binary, octal or hexadecimal.
fn number_of(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let whole = |radix| move |digits: &str| i64::from_str_radix(digits, radix).ok();
    let prefixed = [
        ("0x", 16),
        ("0X", 16),
        ("0b", 2),
        ("0B", 2),
        ("0o", 8),
        ("0O", 8),
        ("0", 8),
    ];
    for (prefix, radix) in prefixed {
        if let Some(number) = digits.strip_prefix(prefix).and_then(whole(radix)) {
            return Some(sign * number as f64);
        }
    }
    let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit());
    digits
        .parse::<f64>()
        .ok()
        .filter(|_| is_decimal)
        .map(|number| sign * number)
}
