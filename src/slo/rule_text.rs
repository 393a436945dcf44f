//! Rules as text: what the compiler makes, and how it is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::DurationMs;

/// A group of rules as text.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroupText {
    /// Its name.
    pub name: String,
    /// How often it is evaluated.
    pub interval: Option<DurationMs>,
    /// Its rules, in order.
    pub rules: Vec<RuleText>,
}

/// One rule as text.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleText {
    /// The name of what is recorded, or of the alert.
    pub name: String,
    /// What only an alert has.
    pub alert: Option<AlertText>,
    /// The expression.
    pub expr: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What only an alert has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertText {
    /// `for`
    pub hold: DurationMs,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl RuleText {
    /// Makes a recording rule.
    pub(crate) fn record(
        name: impl Into<String>,
        expr: impl Into<String>,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        RuleText {
            name: name.into(),
            alert: None,
            expr: expr.into(),
            labels: labels.clone(),
        }
    }
}

/// What the text is to be loaded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A rule file.
    RuleFile,
    /// A `PrometheusRule`, the resource of Prometheus' operator.
    PrometheusRule,
}

/// Writes groups as YAML, and says on which line (1-based) each begins.
pub fn to_yaml(
    groups: &[RuleGroupText],
    layout: Layout,
    resource_name: &str,
    comment: &str,
) -> (String, Vec<usize>) {
    let mut out = String::new();
    for line in comment.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
    let indent = match layout {
        Layout::RuleFile => "",
        Layout::PrometheusRule => {
            let _ = write!(
                out,
                "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: {}\n\
                 spec:\n",
                scalar(resource_name)
            );
            "  "
        }
    };
    let _ = match groups.is_empty() {
        true => writeln!(out, "{indent}groups: []"),
        false => writeln!(out, "{indent}groups:"),
    };
    let mut begins = Vec::with_capacity(groups.len());
    let mut n_lines = out.matches('\n').count();
    for group in groups {
        begins.push(n_lines + 1);
        let mut text = String::new();
        write_group(&mut text, group, indent);
        n_lines += text.matches('\n').count();
        out += &text;
    }
    (out, begins)
}

fn write_group(out: &mut String, group: &RuleGroupText, indent: &str) {
    let _ = writeln!(out, "{indent}- name: {}", scalar(&group.name));
    if let Some(interval) = group.interval {
        let _ = writeln!(out, "{indent}  interval: {interval}");
    }
    let _ = writeln!(out, "{indent}  rules:");
    for rule in &group.rules {
        let kind = match &rule.alert {
            Some(_) => "alert",
            None => "record",
        };
        let _ = writeln!(out, "{indent}  - {kind}: {}", scalar(&rule.name));
        let inner = format!("{indent}    ");
        let _ = writeln!(out, "{inner}expr: {}", expression(&rule.expr, &inner));
        if let Some(alert) = &rule.alert
            && alert.hold > DurationMs::ZERO
        {
            let _ = writeln!(out, "{inner}for: {}", alert.hold);
        }
        write_texts(out, "labels", &rule.labels, &inner);
        if let Some(alert) = &rule.alert {
            write_texts(out, "annotations", &alert.annotations, &inner);
        }
    }
}

fn write_texts(out: &mut String, field: &str, texts: &BTreeMap<String, String>, indent: &str) {
    if texts.is_empty() {
        return;
    }
    let _ = writeln!(out, "{indent}{field}:");
    for (name, value) in texts {
        let _ = writeln!(out, "{indent}  {}: {}", scalar(name), scalar(value));
    }
}

/// Writes an expression: as a block where it has several lines, so that people can read it.
fn expression(text: &str, indent: &str) -> String {
    let text = text.trim_end();
    let is_block = text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.contains(|c: char| c.is_control() && c != '\n')
        && !text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']);
    if !is_block {
        return scalar(text);
    }
    let mut out = "|-".to_owned();
    for line in text.lines() {
        match line.is_empty() {
            true => out.push('\n'),
            false => {
                let _ = write!(out, "\n{indent}  {line}");
            }
        }
    }
    out
}

/// Writes a scalar so that YAML reads it as this text.
fn scalar(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let begins_plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
    // What looks like a number, a truth value or nothing is quoted, and what ends as a key does.
    let looks_else = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    if begins_plain && text.chars().all(is_word) && !text.ends_with(':') && !looks_else {
        return text.to_owned();
    }
    let is_printable = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{feff}".contains(c);
    if text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            c if is_printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{NodeKind, first_document};

    #[test]
    fn scalars_are_read_back_as_they_were() {
        for text in [
            "",
            "a",
            "a: b",
            "- a",
            "yes",
            "1",
            "1.5",
            "'",
            "\"",
            "\\",
            "a\nb",
            "a # b",
            "#",
            "a:",
            "{{ $labels.a }}",
            "\u{7f}\u{1}",
            "é",
            "\u{feff}",
            "null",
            "~",
            "*a",
            "&a",
            "%",
            " a ",
        ] {
            let written = format!("x: {}\n", scalar(text));
            let document = first_document(&written).unwrap();
            let NodeKind::Mapping(pairs) = &document.root.kind else {
                panic!("{written}");
            };
            assert_eq!(pairs[0].1.text(), Some(text), "{written}");
        }
    }

    #[test]
    fn expressions_of_several_lines_are_blocks() {
        let text = "(\n    a\n\n) or\nb\n";
        let written = format!("x:\n  expr: {}\n", expression(text, "  "));
        assert!(
            written.contains("|-\n    (\n        a\n\n    ) or"),
            "{written}"
        );
        for text in [text, " a\nb", "a\tb\nc", "a"] {
            let written = format!("x:\n  expr: {}\n", expression(text, "  "));
            let document = first_document(&written).unwrap();
            let NodeKind::Mapping(pairs) = &document.root.kind else {
                panic!("{written}");
            };
            let NodeKind::Mapping(pairs) = &pairs[0].1.kind else {
                panic!("{written}");
            };
            assert_eq!(pairs[0].1.text(), Some(text.trim_end()), "{written}");
        }
    }
}
