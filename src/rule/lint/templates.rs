//! Labels and annotations against what the expression leaves of its series.

use crate::promql::ast::{BinaryOp, ExprKind};
use crate::rule::RuleKind;
use crate::rule::lint::output::output_labels;
use crate::rule::lint::{At, Finding, Subject};
use crate::template::Template;

/// Finds `{{ $labels.x }}` where the result cannot have a label x.
pub(crate) fn missing_label(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let rule = subject.rule;
    let RuleKind::Alerting { annotations, .. } = &rule.kind else {
        return;
    };
    let possible = output_labels(&rule.expr, subject.context.functions);
    let labels = rule.labels.iter().map(|entry| ("labels", entry));
    let entries = labels.chain(annotations.iter().map(|entry| ("annotations", entry)));
    for (field, (name, text)) in entries {
        let Ok(template) = Template::parse(name, text) else {
            continue;
        };
        for label in template.shown_labels() {
            if possible.may_have(&label) {
                continue;
            }
            let own = rule.labels.iter().any(|(name, _)| *name == label);
            let remedy = match (own, label.as_str()) {
                (true, _) => format!(
                    "$labels has the labels of the result, not those of the rule: write out the \
                     value of {label}"
                ),
                (false, "alertname") => "write out the alert's name".to_owned(),
                (false, _) => match possible.listed() {
                    Some(left) if left.is_empty() => format!(
                        "keep it in the expression, for example by `sum by ({label}) (…)`; it \
                         leaves no labels now"
                    ),
                    Some(left) => {
                        let left: Vec<&str> = left.iter().map(String::as_str).collect();
                        format!(
                            "keep it in the expression, for example in `by ({label}, …)`; it \
                             leaves {} now",
                            left.join(", ")
                        )
                    }
                    None => "keep it in the expression: it is taken away there".to_owned(),
                },
            };
            findings.push(Finding::at(
                At::Entry(field, name.clone()),
                format!("$labels.{label} is always empty: no element of the result has that label"),
                remedy,
            ));
        }
    }
}

/// Finds labels that change with the value, so that no alert lasts.
pub(crate) fn value_in_label(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let rule = subject.rule;
    if !subject.is_alert() || has_one_value(subject) {
        return;
    }
    for (name, text) in &rule.labels {
        let shows = Template::parse(name, text).is_ok_and(|template| template.shows_value());
        if shows {
            findings.push(Finding::at(
                At::Entry("labels", name.clone()),
                format!(
                    "the label {name} shows $value: each new value is another alert, which begins \
                     its `for` anew, and the one before is resolved"
                ),
                "show the value in an annotation",
            ));
        }
    }
}

/// Tells whether the alert fires at one value only.
fn has_one_value(subject: &Subject<'_>) -> bool {
    let mut expr = &subject.rule.expr;
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    match &expr.kind {
        ExprKind::Binary(binary) => binary.op == BinaryOp::Equal,
        ExprKind::Call(call) => call.function.starts_with("absent") || call.function == "vector",
        _ => false,
    }
}
