//! Filling a text with the groups of a match, as Go's `Regexp.Expand` does.

use regex::Captures;

/// Fills `$1`, `$name` and `${1}` with groups of the match; `$$` is a dollar, an unknown group is
/// empty, a dollar that begins no group stands for itself.
pub fn expand(template: &str, groups: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = group_name(rest) {
            // In Go, `01` is a name.
            let is_number = name == "0" || !name.starts_with('0');
            let group = match name.parse::<usize>() {
                Ok(number) if is_number => groups.get(number),
                _ => groups.name(name),
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

/// Splits `name` or `{name}`, the name as long as it can be, from what follows.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (inner, is_braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::regex::compile_anchored;

    #[test]
    fn replacements_expand_as_in_go() {
        let regex = compile_anchored("(?P<host>[^:]+):(.*)").expect("valid");
        let captures = regex.captures("node:9100").expect("matches");
        let check = |template: &str, expected: &str| {
            assert_eq!(expand(template, &captures), expected, "{template}");
        };
        check("$1", "node");
        check("$1x", "");
        check("${1}x-$2", "nodex-9100");
        check("$host/$$", "node/$");
        check("a$", "a$");
        check("$01-$0", "-node:9100");
        check("$3|${unclosed", "|${unclosed");
    }
}
