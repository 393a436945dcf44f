//! The comparisons that make an expression true: its criteria, with value and threshold apart.
//!
//! `a > 5` is one criterion, `a > 5 and on (job) b > c` two. Of `0.1 < x < 0.5` the value is `x`
//! both times.

use crate::functions::Functions;
use crate::promql::ast::{Binary, BinaryOp, ExprKind, VectorMatching};
use crate::promql::{Expr, ValueType, type_of};

/// A value, and what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// The criterion as it is written, canonical.
    pub text: String,
    /// What is compared, without the comparison.
    pub value: Expr,
    /// The operator, as seen from the value, and the other side; `None` where nothing is compared.
    pub threshold: Option<(BinaryOp, Expr)>,
    /// How elements of the two sides find each other, where both are vectors.
    pub matching: Option<VectorMatching>,
}

/// Returns the criteria of an alert's expression, the first written first. One that compares
/// nothing is its own value.
pub fn criteria(expr: &Expr) -> Vec<Criterion> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    if found.is_empty() {
        found.push(Criterion {
            text: expr.to_string(),
            value: expr.clone(),
            threshold: None,
            matching: None,
        });
    }
    found
}

fn collect(expr: &Expr, found: &mut Vec<Criterion>) {
    match &expr.kind {
        ExprKind::Paren(inner) => collect(inner, found),
        ExprKind::Binary(binary) if binary.op == BinaryOp::Unless => collect(&binary.lhs, found),
        ExprKind::Binary(binary) if binary.op.is_set() => {
            collect(&binary.lhs, found);
            collect(&binary.rhs, found);
        }
        ExprKind::Binary(binary) if filters(binary) => {
            let (value, op, threshold) = sides(binary);
            // Of `0.1 < x < 0.5` the left side is a criterion, too.
            collect_comparison(value, found);
            found.push(Criterion {
                text: expr.to_string(),
                value: unfiltered(value).clone(),
                threshold: Some((op, threshold.clone())),
                matching: binary.matching.clone(),
            });
        }
        _ => {}
    }
}

fn collect_comparison(expr: &Expr, found: &mut Vec<Criterion>) {
    match &expr.kind {
        ExprKind::Paren(inner) => collect_comparison(inner, found),
        ExprKind::Binary(binary) if filters(binary) => collect(expr, found),
        _ => {}
    }
}

fn filters(binary: &Binary) -> bool {
    binary.op.is_comparison() && !binary.return_bool
}

/// Returns value, operator and threshold; where the vector stands on the right, turned around.
fn sides(binary: &Binary) -> (&Expr, BinaryOp, &Expr) {
    let Binary { op, lhs, rhs, .. } = binary;
    if type_of(lhs, &Functions) != ValueType::Scalar {
        return (lhs, *op, rhs);
    }
    let op = match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        other => *other,
    };
    (rhs, op, lhs)
}

/// Returns what a comparison lets through, without the comparison.
fn unfiltered(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Paren(inner) => unfiltered(inner),
        ExprKind::Binary(binary) if filters(binary) => unfiltered(sides(binary).0),
        _ => expr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    #[test]
    fn criteria_are_the_comparisons_that_filter() {
        let check = |text: &str, expected: &[&str]| {
            let expr = parse(text, &Functions, Features::default()).expect("valid");
            let shown = |criterion: Criterion| match criterion.threshold {
                Some((op, threshold)) => format!("{} {op} {threshold}", criterion.value),
                None => criterion.value.to_string(),
            };
            let found: Vec<String> = criteria(&expr).into_iter().map(shown).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a > 5", &["a > 5"]);
        check("(5 < a)", &["a > 5"]);
        check("0.1 < x < 0.5", &["x > 0.1", "x < 0.5"]);
        check("a > 1 and on (job) b >= c", &["a > 1", "b >= c"]);
        check("a > 1 or b < 2", &["a > 1", "b < 2"]);
        check("a > 1 unless b > 2", &["a > 1"]);
        check("count(a > 1) > 3", &["count(a > 1) > 3"]);
        check("absent(a)", &["absent(a)"]);
        check("a > bool 5", &["a > bool 5"]);
        check(
            "rate(a[5m]) > 2 * rate(a[5m] offset 1d)",
            &["rate(a[5m]) > 2 * rate(a[5m] offset 1d)"],
        );
    }
}
