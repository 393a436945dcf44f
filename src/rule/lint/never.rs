//! Comparisons that nothing can satisfy.

use crate::promql::ast::{Binary, BinaryOp, Expr, ExprKind};
use crate::promql::{SignatureTable, ValueType, type_of};
use crate::rule::lint::values::{Values, turned, values_of};
use crate::rule::lint::{At, Finding, Subject};

/// Finds comparisons whose sides have no values for which they hold.
pub(crate) fn never_true(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let functions = subject.context.functions;
    subject.rule.expr.walk(&mut |expr| {
        if let ExprKind::Binary(binary) = &expr.kind {
            findings.extend(of_comparison(expr, binary, functions));
            findings.extend(of_bounds(expr, binary, functions));
        }
    });
}

fn of_comparison(expr: &Expr, binary: &Binary, functions: &dyn SignatureTable) -> Option<Finding> {
    let fills = binary
        .matching
        .as_ref()
        .is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
    if !binary.op.is_comparison() || fills {
        return None;
    }
    let (lhs, rhs) = (&binary.lhs, &binary.rhs);
    let (left, right) = (values_of(lhs, functions), values_of(rhs, functions));
    if is_nan(lhs) || is_nan(rhs) {
        return (binary.op != BinaryOp::NotEqual).then(|| {
            Finding::at(
                At::Expr(expr.span),
                "NaN compares as false with everything",
                "to find NaN, compare the series with itself: `x != x`",
            )
        });
    }
    if left.can_pass(binary.op, right) {
        return None;
    }
    let counts = [lhs, rhs].into_iter().any(|side| counts_elements(side));
    let remedy = match counts {
        true => {
            "of nothing there is no count, not even 0: ask `absent(…)`, or write `… or vector(0)` \
             behind the count"
        }
        false => "turn the comparison round, or compare with a value that can occur",
    };
    let outcome = match binary.return_bool {
        true => "is always 0",
        false => "never holds",
    };
    let message = format!(
        "`{}` {outcome}: the left side is {}, the right side is {}",
        shown(expr),
        worded(left),
        worded(right)
    );
    Some(Finding::at(At::Expr(expr.span), message, remedy))
}

/// Finds `x > 5 and x < 3`.
fn of_bounds(expr: &Expr, binary: &Binary, functions: &dyn SignatureTable) -> Option<Finding> {
    let is_plain = binary
        .matching
        .as_ref()
        .is_some_and(|m| !m.on && m.labels.is_empty());
    if binary.op != BinaryOp::And || !is_plain {
        return None;
    }
    let (lhs, rhs) = (
        bounded(&binary.lhs, functions)?,
        bounded(&binary.rhs, functions)?,
    );
    if lhs.0 != rhs.0 {
        return None;
    }
    let any = values_of(lhs.0, functions);
    let first = any.narrowed(lhs.1, lhs.2);
    let both = first.narrowed(rhs.1, rhs.2);
    let strict = |op: BinaryOp| matches!(op, BinaryOp::Less | BinaryOp::Greater);
    let touches = both.low == both.high && (strict(lhs.1) || strict(rhs.1));
    (both.low > both.high || touches).then(|| {
        Finding::at(
            At::Expr(expr.span),
            format!(
                "`{}` never holds: no value is within both bounds",
                shown(expr)
            ),
            "turn one of the two comparisons round, or write `or`",
        )
    })
}

/// Returns what is compared with a constant, how, and with what.
fn bounded<'e>(
    expr: &'e Expr,
    functions: &dyn SignatureTable,
) -> Option<(&'e Expr, BinaryOp, Values)> {
    let ExprKind::Binary(binary) = &plain(expr).kind else {
        return None;
    };
    let is_number = |expr: &Expr| {
        type_of(expr, functions) == ValueType::Scalar && {
            let values = values_of(expr, functions);
            values.low == values.high
        }
    };
    if !binary.op.is_comparison() || binary.return_bool || binary.op == BinaryOp::NotEqual {
        return None;
    }
    match (is_number(&binary.lhs), is_number(&binary.rhs)) {
        (false, true) => Some((
            plain(&binary.lhs),
            binary.op,
            values_of(&binary.rhs, functions),
        )),
        (true, false) => Some((
            plain(&binary.rhs),
            turned(binary.op),
            values_of(&binary.lhs, functions),
        )),
        _ => None,
    }
}

fn plain(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Paren(inner) => plain(inner),
        _ => expr,
    }
}

fn is_nan(expr: &Expr) -> bool {
    matches!(&plain(expr).kind, ExprKind::Number(number) if number.value.is_nan())
}

fn counts_elements(expr: &Expr) -> bool {
    match &plain(expr).kind {
        ExprKind::Aggregate(aggregate) => aggregate.op.name() == "count",
        ExprKind::Call(call) => call.function == "count_over_time",
        _ => false,
    }
}

fn worded(values: Values) -> String {
    match (values.low, values.high) {
        (low, high) if low == high => format!("{low}"),
        (f64::NEG_INFINITY, high) => format!("at most {high}"),
        (low, f64::INFINITY) => format!("at least {low}"),
        (low, high) => format!("between {low} and {high}"),
    }
}

/// Prints an expression for a message, on one line and not too long.
pub(crate) fn shown(expr: &Expr) -> String {
    const CHARS_MAX: usize = 60;
    let text = expr.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
