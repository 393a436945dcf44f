//! Alerts that no value keeps from firing.

use crate::model::{METRIC_NAME, Matcher};
use crate::promql::ast::{BinaryOp, Expr, ExprKind};
use crate::promql::{ValueType, type_of};
use crate::rule::lint::{At, Finding, Subject, equal_value};

/// Finds alerts whose outermost comparison answers 0 or 1, which both fire.
pub(crate) fn bool_comparison(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut expr = &subject.rule.expr;
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    let ExprKind::Binary(binary) = &expr.kind else {
        return;
    };
    if subject.is_alert() && binary.return_bool && !filters(expr) {
        findings.push(Finding::at(
            At::Expr(expr.span),
            format!(
                "`{} bool` answers 0 or 1 for every series, and the alert fires for both",
                binary.op
            ),
            "remove `bool`: a comparison without it keeps only the series for which it holds",
        ));
    }
}

/// Finds alerts that fire for every series, whatever its value.
pub(crate) fn no_condition(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let expr = &subject.rule.expr;
    let is_vector = type_of(expr, subject.context.functions) == ValueType::Vector;
    let mut outer = expr;
    while let ExprKind::Paren(inner) = &outer.kind {
        outer = inner;
    }
    let is_bool = matches!(&outer.kind, ExprKind::Binary(binary) if binary.return_bool);
    if !subject.is_alert() || !is_vector || is_bool || filters(expr) {
        return;
    }
    let mut n_selectors = 0;
    let mut may_be_condition = false;
    expr.walk(&mut |node| {
        let matchers = match &node.kind {
            ExprKind::Vector(selector) => &selector.matchers,
            ExprKind::Matrix(matrix) => &matrix.selector.matchers,
            _ => return,
        };
        n_selectors += 1;
        // Series that rules make may be there only while something holds.
        may_be_condition |= match equal_value(matchers, METRIC_NAME) {
            Some(name) => {
                let recorded = subject.context.recorded(matchers);
                // A matcher on a label that tells a state is a condition: `x_info{ready!="True"}`.
                let asks = |m: &Matcher| m.name != METRIC_NAME && m.name != "job";
                matchers.iter().any(asks)
                    || name.starts_with("ALERTS")
                    || recorded.iter().any(|(_, rule)| filters(&rule.expr))
                    || (recorded.is_empty() && name.contains(':'))
            }
            None => true,
        };
    });
    // An alert on a constant is there to fire always.
    if n_selectors == 0 || may_be_condition {
        return;
    }
    findings.push(Finding::at(
        At::Expr(expr.span),
        "the alert fires for every series there is, whatever its value: nothing is compared",
        "compare with a threshold, for example `… > 0`",
    ));
}

/// Tells whether something in an expression can leave elements out.
fn filters(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |node| {
        found |= match &node.kind {
            ExprKind::Binary(binary) => {
                let joins = binary.matching.as_ref().is_some_and(|m| {
                    // A join with another metric asks for its presence.
                    m.on || !m.labels.is_empty()
                });
                (binary.op.is_comparison() && !binary.return_bool)
                    || matches!(binary.op, BinaryOp::And | BinaryOp::Unless)
                    || (joins && binary.op == BinaryOp::Mul)
            }
            ExprKind::Call(call) => call.function.starts_with("absent"),
            _ => false,
        };
    });
    found
}
