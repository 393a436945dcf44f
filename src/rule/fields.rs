//! The fields of a group or rule: which a level knows, and how each kind of value is read.
//!
//! Prometheus' decoder takes any scalar as text and skips null; what it refuses is noted with
//! its place, and reading goes on.

use std::collections::{BTreeMap, HashMap};

use crate::model::DurationMs;
use crate::rule::dialect;
use crate::rule::file::Reading;
use crate::rule::hint::{self, Level};
use crate::yaml::{Node, NodeKind, Place};

/// The fields of a mapping that its level knows, by name.
pub(crate) type Fields<'a> = HashMap<&'a str, &'a Node>;

/// Reads a mapping of texts: each name's value and the place of the name.
pub(crate) fn read_texts(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    field: &str,
    about: &str,
) -> BTreeMap<String, (String, Place)> {
    let mut texts = BTreeMap::new();
    let Some(node) = fields.get(field) else {
        return texts;
    };
    let pairs = match &node.kind {
        NodeKind::Null => return texts,
        NodeKind::Mapping(pairs) => pairs,
        _ => {
            let message = format!(
                "{about}: field '{field}' must be a mapping, found {}",
                node.described()
            );
            let hint = format!("write `{field}:` with one `name: value` a line below it");
            reading.refuse(node.place, message, Some(hint));
            return texts;
        }
    };
    for (key, value) in pairs {
        match (&key.kind, &value.kind) {
            // A null name is skipped and a null value is empty, as in Prometheus' decoder.
            (NodeKind::Null, _) => {}
            (NodeKind::Scalar { text, .. }, NodeKind::Null) => {
                texts.insert(text.clone(), (String::new(), key.place));
            }
            (NodeKind::Scalar { text: name, .. }, NodeKind::Scalar { text, .. }) => {
                texts.insert(name.clone(), (text.clone(), key.place));
            }
            (NodeKind::Scalar { text: name, .. }, _) => {
                let message = format!(
                    "{about}: {name} in '{field}' must be text, found {}",
                    value.described()
                );
                reading.refuse(value.place, message, hint::for_no_text(value));
            }
            _ => {
                let message = format!(
                    "{about}: a name in '{field}' must be text, found {}",
                    key.described()
                );
                reading.refuse(key.place, message, hint::for_no_text(key));
            }
        }
    }
    texts
}

pub(crate) fn read_duration(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    field: &str,
    about: &str,
) -> Option<DurationMs> {
    if !read_text(reading, fields, field, about) {
        return None;
    }
    let node = fields.get(field)?;
    let text = node.text()?;
    if text.is_empty() && reading.is_resource {
        return None;
    }
    match DurationMs::parse(text) {
        Ok(duration) => Some(duration),
        Err(e) => {
            let message = format!("{about}: field '{field}': {e}");
            reading.refuse(node.place, message, hint::for_duration(text));
            None
        }
    }
}

pub(crate) fn read_limit(reading: &mut Reading<'_>, fields: &Fields<'_>, about: &str) -> usize {
    let Some(node) = fields.get("limit") else {
        return 0;
    };
    let number = match &node.kind {
        NodeKind::Null => return 0,
        NodeKind::Scalar {
            text,
            is_text: false,
            ..
        } => integer(text),
        _ => None,
    };
    if number.is_none() {
        let message = format!(
            "{about}: field 'limit' must be an integer, found {}",
            node.described()
        );
        let hint = "0, or no `limit`, is no limit".to_owned();
        reading.refuse(node.place, message, Some(hint));
    }
    // Prometheus takes a negative limit for none.
    number.map_or(0, |number| usize::try_from(number).unwrap_or(0))
}

/// Reads an integer as YAML 1.1 and Go write it: `10`, `1_000`, `0x10`, `0o17`, `017`, `1e3`.
fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => (-1, &plain[1..]),
        b'+' => (1, &plain[1..]),
        _ => (1, plain.as_str()),
    };
    let based = |prefixes: [&str; 2], base| {
        let digits = prefixes
            .iter()
            .find_map(|prefix| digits.strip_prefix(prefix))?;
        i64::from_str_radix(digits, base).ok()
    };
    let number = based(["0x", "0X"], 16)
        .or_else(|| based(["0o", "0O"], 8))
        .or_else(|| based(["0b", "0B"], 2))
        .or_else(|| {
            digits
                .strip_prefix("0")
                .and_then(|digits| i64::from_str_radix(digits, 8).ok())
        })
        .or_else(|| digits.parse().ok());
    // A float is cut to its integer, as Prometheus' decoder does.
    let whole = || {
        let float: f64 = plain.parse().ok()?;
        let digits_only = plain.bytes().any(|b| b.is_ascii_digit());
        (digits_only && float.abs() < i64::MAX as f64).then_some(float as i64)
    };
    number.map(|number| sign * number).or_else(whole)
}

/// Returns the known fields of a mapping; notes the others.
pub(crate) fn known_fields<'a>(
    reading: &mut Reading<'_>,
    node: &'a Node,
    level: Level,
    about: &str,
) -> Option<Fields<'a>> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        let message = format!(
            "{about}: {} must be a mapping, found {}",
            level.described(),
            node.described()
        );
        let hint = "write its fields below each other, as `name: value`".to_owned();
        reading.refuse(node.place, message, Some(hint));
        return None;
    };
    let mut fields = Fields::new();
    for (key, value) in pairs {
        match key.text() {
            Some(name) if level.fields().contains(&name) => {
                fields.insert(name, value);
            }
            Some(name) if dialect::take(reading, level, key, value, &format!("{about}: ")) => {
                fields.insert(name, value);
            }
            Some(_) if reading.options.format.ignore_unknown_fields => {}
            Some(name) => {
                let message = format!("{about}: field {name} not found in {}", level.described());
                let hint = hint::unknown_field(level, name, value);
                reading.refuse(key.place, message, Some(hint));
            }
            None if key.is_null() => {}
            None => {
                let message = format!(
                    "{about}: a field name must be text, found {}",
                    key.described()
                );
                reading.refuse(key.place, message, hint::for_no_text(key));
            }
        }
    }
    Some(fields)
}

/// Notes a field that is neither text nor null; tells whether all is well.
pub(crate) fn read_text(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    field: &str,
    about: &str,
) -> bool {
    match fields.get(field) {
        Some(node) if matches!(node.kind, NodeKind::Sequence(_) | NodeKind::Mapping(_)) => {
            let message = format!(
                "{about}: field '{field}' must be text, found {}",
                node.described()
            );
            reading.refuse(node.place, message, hint::for_no_text(node));
            false
        }
        _ => true,
    }
}

/// Returns the text of a known field; empty where it is absent, null or none.
pub(crate) fn node_text<'a>(fields: &Fields<'a>, field: &str) -> &'a str {
    fields.get(field).and_then(|node| node.text()).unwrap_or("")
}

/// Returns the text of a field before the mapping has been checked, so that errors can name
/// their group and rule.
pub(crate) fn peek_text<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        return None;
    };
    let found = pairs.iter().find(|(key, _)| key.text() == Some(field));
    found.and_then(|(_, value)| value.text())
}
