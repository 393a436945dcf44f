//! Selectors that no series fits, and operators whose sides never meet.

use crate::model::{METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::{Binary, BinaryOp, Expr, ExprKind};
use crate::promql::{ValueType, type_of};
use crate::rule::lint::output::output_labels;
use crate::rule::lint::{At, Finding, Subject};

/// Finds selectors such as `x{a="b", a!~"b|c"}`.
pub(crate) fn contradictory_matchers(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.rule.expr.walk(&mut |expr| {
        let matchers = match &expr.kind {
            ExprKind::Vector(selector) => &selector.matchers,
            ExprKind::Matrix(matrix) => &matrix.selector.matchers,
            _ => return,
        };
        if let Some((equal, other)) = contradiction(matchers) {
            findings.push(Finding::at(
                At::Expr(expr.span),
                format!("no series fits both {equal} and {other}"),
                "remove one of the two, or join them with a regular expression: `=~\"a|b\"`",
            ));
        }
    });
}

fn contradiction(matchers: &[Matcher]) -> Option<(&Matcher, &Matcher)> {
    let equals = matchers.iter().filter(|m| m.op == MatchOp::Equal);
    equals
        .flat_map(|equal| matchers.iter().map(move |other| (equal, other)))
        .find(|(equal, other)| other.name == equal.name && !other.matches(&equal.value))
}

/// Finds operators between vectors of which no two elements can match.
pub(crate) fn never_matches(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let functions = subject.context.functions;
    let is_vector = |expr: &Expr| type_of(expr, functions) == ValueType::Vector;
    subject.rule.expr.walk(&mut |expr| {
        let ExprKind::Binary(binary) = &expr.kind else {
            return;
        };
        if is_vector(&binary.lhs) && is_vector(&binary.rhs) {
            findings.extend(mismatch(binary, subject));
        }
    });
}

fn mismatch(binary: &Binary, subject: &Subject<'_>) -> Option<Finding> {
    let matching = binary.matching.as_ref()?;
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if matches!(binary.op, BinaryOp::Or | BinaryOp::Unless) || fills {
        return None;
    }
    let functions = subject.context.functions;
    let lhs = output_labels(&binary.lhs, functions);
    let rhs = output_labels(&binary.rhs, functions);
    let is_compared = |name: &str| {
        name != METRIC_NAME && matching.labels.iter().any(|label| label == name) == matching.on
    };
    let names = lhs.known_names().chain(rhs.known_names());
    for name in names.filter(|name| is_compared(name)) {
        let said = |value: Option<&str>, may_have: bool| match value {
            Some(value) => Some(format!("{name}={value:?}")),
            None if may_have => None,
            None => Some(format!("no label {name}")),
        };
        let left = said(lhs.known(name), lhs.may_have(name));
        let right = said(rhs.known(name), rhs.may_have(name));
        if let (Some(left), Some(right)) = (left, right)
            && left != right
        {
            let remedy = match matching.on {
                true => format!("take {name} out of on(…), or keep it on both sides"),
                false => {
                    format!(
                        "write ignoring({name}) behind `{}`, or on(…) with the labels that \
                             both sides have",
                        binary.op
                    )
                }
            };
            return Some(Finding::at(
                At::Expr(binary.rhs.span),
                format!(
                    "`{}` has no result: its left side has {left}, its right side {right}",
                    binary.op
                ),
                remedy,
            ));
        }
    }
    None
}
