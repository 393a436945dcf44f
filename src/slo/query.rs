//! The queries of a specification: templates with a window in them, and selectors.
//!
//! They are parsed when the file is read, so that what is wrong with one is said where it stands.

use crate::model::labels::is_legacy_metric_name;
use crate::model::{DurationMs, METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::ExprKind;
use crate::promql::{Expr, ValueType, parse, parse_selector, type_of};
use crate::slo::fields::{Reading, SpecReader};
use crate::slo::objective::WINDOW;
use crate::yaml::{Node, Place};

/// The window with which a template is tried.
const TRIED: DurationMs = DurationMs::from_seconds(300);

/// Fills the window into a template.
pub(crate) fn with_window(template: &str, window: DurationMs) -> String {
    template.replace(WINDOW, &window.to_string())
}

/// Brings `{{ .window }}` into one spelling; `Err` has what else stands between braces.
fn normalized(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, behind) = rest.split_at(start);
        out += before;
        let end = behind.find("}}").ok_or_else(|| behind.to_owned())?;
        let inner = behind[2..end].trim_matches(|c: char| c.is_whitespace() || c == '-');
        match inner {
            ".window" => out += WINDOW,
            _ => return Err(behind[..end + 2].to_owned()),
        }
        rest = &behind[end + 2..];
    }
    Ok(out + rest)
}

/// Reads a query that has a window in it.
pub(crate) fn template(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<String> {
    let text = query_text(reading, node, about)?;
    let template = normalized_query(reading, node, about, &text)?;
    if !template.contains(WINDOW) {
        let message = format!("{about}: the query has no {WINDOW}");
        let hint = format!(
            "write `rate(x[{WINDOW}])` where the range stands: it is recorded over several windows"
        );
        reading.refuse(node.place, message, hint);
        return None;
    }
    parsed(reading, node.place, about, &with_window(&template, TRIED)).map(|_| template)
}

/// Reads a query, with or without a window in it.
pub(crate) fn any_query(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
) -> Option<(String, Expr)> {
    let text = query_text(reading, node, about)?;
    let template = normalized_query(reading, node, about, &text)?;
    let expr = parsed(reading, node.place, about, &with_window(&template, TRIED))?;
    Some((template, expr))
}

fn query_text(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<String> {
    match node.text().map(str::trim) {
        Some("") | None => {
            let message = format!("{about} must be a query, found {}", node.described());
            reading.refuse(node.place, message, "write an expression of PromQL");
            None
        }
        Some(_) => node.text().map(str::to_owned),
    }
}

fn normalized_query(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
    text: &str,
) -> Option<String> {
    match normalized(text) {
        Ok(template) => Some(template),
        Err(other) => {
            let shown: String = other.chars().take(40).collect();
            let message = format!("{about}: {shown} is not known");
            reading.refuse(
                node.place,
                message,
                format!("{WINDOW} is all that stands between braces"),
            );
            None
        }
    }
}

fn parsed(reading: &mut Reading<'_>, place: Place, about: &str, text: &str) -> Option<Expr> {
    let language = reading.language;
    let expr = match parse(text, language.functions, language.features) {
        Ok(expr) => expr,
        Err(e) => {
            let hint = format!(
                "with a window of {TRIED} it is no expression of PromQL; try it with `burnwatch explain`"
            );
            reading.refuse(place, format!("{about}: {e}"), hint);
            return None;
        }
    };
    match type_of(&expr, language.functions) {
        ValueType::Vector | ValueType::Scalar => Some(expr),
        other => {
            let message = format!("{about} is of type {}", other.documented());
            reading.refuse(
                place,
                message,
                "it must yield numbers: an instant vector or a scalar",
            );
            None
        }
    }
}

/// A selector of series, such as `errors_total{job="api"}`.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub name: String,
    /// All but that of the name.
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// Reads one that names its metric.
    pub(crate) fn read(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<Self> {
        let text = query_text(reading, node, about)?;
        let language = reading.language;
        let hint = "write a metric's name with matchers, such as errors_total{job=\"api\"}";
        let matchers = match parse_selector(&text, language.functions, language.features) {
            Ok(matchers) => matchers,
            Err(e) => {
                reading.refuse(
                    node.place,
                    format!("{about} is no selector of series: {e}"),
                    hint,
                );
                return None;
            }
        };
        let name = Matcher::exact_name(&matchers).map(str::to_owned);
        let Some(name) = name.filter(|name| is_legacy_metric_name(name)) else {
            reading.refuse(node.place, format!("{about} names no metric"), hint);
            return None;
        };
        let matchers = matchers.into_iter().filter(|m| m.name != METRIC_NAME);
        Some(Selector {
            name,
            matchers: matchers.collect(),
        })
    }

    /// Returns the value that `label="value"` asks for.
    pub(crate) fn value_of(&self, label: &str) -> Option<&str> {
        let found = self
            .matchers
            .iter()
            .find(|m| m.name == label && m.op == MatchOp::Equal);
        found.map(|m| m.value.as_str())
    }

    /// Returns the same series under another name, with other matchers behind its own.
    pub(crate) fn renamed(&self, name: String, extra: &[String]) -> String {
        let own = self.matchers.iter().map(ToString::to_string);
        let all: Vec<String> = own.chain(extra.iter().cloned()).collect();
        match all.is_empty() {
            true => name,
            false => format!("{name}{{{}}}", all.join(",")),
        }
    }

    /// Returns it as text.
    pub(crate) fn text(&self) -> String {
        self.renamed(self.name.clone(), &[])
    }
}

/// Makes a template of a query over counters or gauges that has no window: each selector gets
/// `function(selector[window])` around it. `None` where the query has ranges of its own.
pub(crate) fn over_window(text: &str, expr: &Expr, function: &str) -> Option<String> {
    let mut spans = Vec::new();
    let mut has_ranges = false;
    expr.walk(&mut |expr| match &expr.kind {
        ExprKind::Vector(_) => spans.push(expr.span),
        ExprKind::Matrix(_) | ExprKind::Subquery(_) => has_ranges = true,
        _ => {}
    });
    if has_ranges || spans.is_empty() {
        return None;
    }
    spans.sort_by_key(|span| span.start);
    let mut out = text.to_owned();
    for span in spans.iter().rev() {
        let selector = text.get(span.start..span.end)?.trim();
        out.replace_range(
            span.start..span.end,
            &format!("{function}({selector}[{WINDOW}])"),
        );
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_has_one_spelling() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let got = normalized(text);
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        };
        check("rate(x[{{.window}}])", Ok("rate(x[{{.window}}])"));
        check("rate(x[{{ .window }}])", Ok("rate(x[{{.window}}])"));
        check("rate(x[{{- .window -}}])", Ok("rate(x[{{.window}}])"));
        check("x{a=\"b\"}", Ok("x{a=\"b\"}"));
        check("x{{ .labels }}", Err("{{ .labels }}"));
        check("x{{ .window ", Err("{{ .window "));
    }
}
