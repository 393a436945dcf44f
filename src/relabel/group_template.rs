//! Texts with `$1` and `${name}` in them, which a match fills.

use regex::Captures;

use crate::relabel::NameValidation;

/// Tells whether a text with `$1` in it can give a label name. In UTF-8 any text can; otherwise
/// it must be `^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$`, as in Prometheus.
pub(crate) fn is_name_template(text: &str, names: NameValidation) -> bool {
    if names == NameValidation::Utf8 {
        return !text.is_empty();
    }
    // Only the first character of that pattern cannot be a digit, and every `$` must begin a group.
    let mut rest = text;
    if rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    while let Some(first) = rest.chars().next() {
        if first != '$' {
            if !is_word(first) {
                return false;
            }
            rest = &rest[1..];
            continue;
        }
        match group_name(&rest[1..]) {
            Some((_, tail)) => rest = tail,
            None => return false,
        }
    }
    true
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Reads `name` or `{name}` behind a dollar; returns the name and what follows.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (inner, is_braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let end = inner.find(|c: char| !is_word(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if name.is_empty() {
        return None;
    }
    if is_braced {
        return Some((name, rest.strip_prefix('}')?));
    }
    Some((name, rest))
}

/// Fills a template as Go's `Regexp.Expand`: `$$` is a dollar, an unknown group is empty, a
/// dollar that begins no group stands for itself.
pub(crate) fn expand(template: &str, groups: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = group_name(rest) {
            let group = match name.parse::<usize>() {
                Ok(number) => groups.get(number),
                Err(_) => groups.name(name),
            };
            out.push_str(group.map_or("", |found| found.as_str()));
            rest = tail;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}
