//! `label_replace`: a label from a part of another.

use crate::functions::call::{is_label_name, set_label};
use crate::functions::{Call, Function, FunctionError, Output};
use crate::model::METRIC_NAME;
use crate::model::regex::compile_anchored;
use crate::promql::{Signature, ValueType};

/// `label_replace(v, dst, replacement, src, regex)`
pub(super) struct LabelReplace;

impl Function for LabelReplace {
    fn signature(&self) -> Signature {
        Signature {
            name: "label_replace",
            args: &[
                ValueType::Vector,
                ValueType::String,
                ValueType::String,
                ValueType::String,
                ValueType::String,
            ],
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Sets a label to a replacement text, with the groups of a regular expression that \
         matches another label."
    }

    fn example(&self) -> &'static str {
        "label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let (target, pattern) = (call.text(1).to_owned(), call.text(4).to_owned());
        let regex = compile_anchored(&pattern).map_err(|_| {
            FunctionError(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        if !is_label_name(&target) {
            return Err(FunctionError(format!(
                "invalid destination label name in label_replace(): {target}"
            )));
        }
        let (replacement, source) = (call.text(2).to_owned(), call.text(3).to_owned());
        let mut elements = call.take_vector(0);
        for element in &mut elements {
            let value = element.labels.value(&source);
            let Some(captures) = regex.captures(value) else {
                continue;
            };
            let new = expand(&replacement, &captures);
            if element.labels.value(&target) != new {
                element.labels = set_label(&element.labels, &target, &new)?;
            }
            if target == METRIC_NAME {
                element.drop_name = false;
            }
        }
        Ok(Output::Vector(elements))
    }
}

/// Expands `$1`, `$name`, `${1}` and `$$` as Go does. A name is as long as it can be, and a
/// group that does not exist is empty.
fn expand(template: &str, captures: &regex::Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        match reference(rest) {
            Some((name, tail)) => {
                let group = match name.parse::<usize>() {
                    Ok(index) => captures.get(index),
                    Err(_) => captures.name(name),
                };
                out.push_str(group.map_or("", |group| group.as_str()));
                rest = tail;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

/// Splits `name` or `{name}` from what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (body, braced) = match text.strip_prefix('{') {
        Some(body) => (body, true),
        None => (text, false),
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = body.find(|c: char| !is_word(c)).unwrap_or(body.len());
    let (name, tail) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    if !braced {
        return Some((name, tail));
    }
    tail.strip_prefix('}').map(|tail| (name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check("$3|${unclosed", "|${unclosed");
    }
}
