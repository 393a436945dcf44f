//! Names of recorded series, what kind of value a rule has, and what `absent()` is asked for.

use crate::model::MatchOp;
use crate::promql::ast::ExprKind;
use crate::promql::{ValueType, type_of};
use crate::rule::RuleKind;
use crate::rule::lint::{At, Finding, Subject};

/// Finds recorded series whose names look like scraped ones.
pub(crate) fn record_name(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let name = &subject.rule.name;
    if matches!(subject.rule.kind, RuleKind::Recording) && !name.contains(':') {
        findings.push(Finding::at(
            At::Field("record"),
            "the name does not tell that a rule records the series",
            format!(
                "name it by level, metric and operations: `job:{name}:sum`; \
                 queries that use the old name have to follow"
            ),
        ));
    }
}

/// Finds expressions that have a value, but none that a rule can have.
pub(crate) fn wrong_type(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let rule = subject.rule;
    let (kind, remedy) = match type_of(&rule.expr, subject.context.functions) {
        ValueType::Matrix => (
            "range vector",
            "apply a function to the window, for example `rate(…)` or `max_over_time(…)`",
        ),
        ValueType::String => ("string", "write an expression of series, without quotes"),
        ValueType::Vector | ValueType::Scalar => return,
    };
    findings.push(Finding::at(
        At::Expr(rule.expr.span),
        format!("every evaluation will fail: the expression is a {kind}, not an instant vector"),
        remedy,
    ));
}

/// Finds `absent(x{job=~"a|b"})`.
pub(crate) fn absent_of_alternatives(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.rule.expr.walk(&mut |expr| {
        let ExprKind::Call(call) = &expr.kind else {
            return;
        };
        let matchers = match (
            call.function.as_str(),
            call.args.first().map(|arg| &arg.kind),
        ) {
            ("absent", Some(ExprKind::Vector(selector))) => &selector.matchers,
            ("absent_over_time", Some(ExprKind::Matrix(matrix))) => &matrix.selector.matchers,
            _ => return,
        };
        let alternatives = matchers
            .iter()
            .find(|m| m.op == MatchOp::Matches && are_alternatives(&m.value));
        if let Some(matcher) = alternatives {
            findings.push(Finding::at(
                At::Expr(expr.span),
                format!(
                    "{}() of {matcher} holds only when none of them is left, and its element has \
                     no label {}",
                    call.function, matcher.name
                ),
                format!(
                    "where each of them has to be there, write one {}() for each, joined by `or`",
                    call.function
                ),
            ));
        }
    });
}

/// Tells whether an expression lists texts: `a|b`, `(a|b)`.
fn are_alternatives(regex: &str) -> bool {
    let inner = regex.strip_prefix('(').and_then(|r| r.strip_suffix(')'));
    let texts: Vec<&str> = inner.unwrap_or(regex).split('|').collect();
    let is_text = |text: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | ':');
        !text.is_empty() && text.chars().all(plain)
    };
    texts.len() > 1 && texts.iter().all(|text| is_text(&text))
}
