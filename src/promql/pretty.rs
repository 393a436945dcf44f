//! An expression over several lines, as Prometheus' `format_query` writes it.
//!
//! What is longer than a line is taken apart: its parts stand on lines of their own, two spaces
//! further in. What fits a line is printed as everywhere else.

use crate::promql::ast::{Aggregate, Binary, Expr, ExprKind, UnaryOp};
use crate::promql::print::{AggregateHead, SubqueryTail};

/// A longer text is taken apart, in bytes.
const LINE_BYTES_MAX: usize = 100;

/// Prints an expression over as many lines as it takes.
pub fn pretty(expr: &Expr) -> String {
    pretty_at(expr, 0)
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

/// Prints an expression that stands `level` deep; at level 0 it does not begin a line.
fn pretty_at(expr: &Expr, level: usize) -> String {
    let indent = indent(level);
    let whole = expr.to_string();
    let fits = whole.len() <= LINE_BYTES_MAX;
    match &expr.kind {
        ExprKind::Unary(op, inner) => {
            let sign = match op {
                UnaryOp::Plus => '+',
                UnaryOp::Minus => '-',
            };
            let inner = pretty_at(inner, level);
            format!("{indent}{sign}{}", inner.trim())
        }
        // Prometheus does not indent a subquery that fits.
        ExprKind::Subquery(_) if fits => whole,
        _ if fits => format!("{indent}{whole}"),
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            format!("{indent}{whole}")
        }
        ExprKind::Paren(inner) => {
            format!("{indent}(\n{}\n{indent})", pretty_at(inner, level + 1))
        }
        ExprKind::Binary(binary) => pretty_binary(binary, level),
        ExprKind::Aggregate(aggregate) => pretty_aggregate(aggregate, level),
        ExprKind::Call(call) => {
            let args = call.args.iter().map(|arg| pretty_at(arg, level + 1));
            let args: Vec<String> = args.collect();
            format!(
                "{indent}{}(\n{}\n{indent})",
                call.function,
                args.join(",\n")
            )
        }
        ExprKind::Subquery(subquery) => {
            let inner = pretty_at(&subquery.expr, level);
            format!("{inner}{}", SubqueryTail(subquery))
        }
    }
}

fn pretty_binary(binary: &Binary, level: usize) -> String {
    let lhs = pretty_at(&binary.lhs, level + 1);
    let rhs = pretty_at(&binary.rhs, level + 1);
    let returns_bool = if binary.return_bool { " bool" } else { "" };
    let matching = match &binary.matching {
        Some(matching) => matching.to_string(),
        None => String::new(),
    };
    let indent = indent(level);
    format!(
        "{lhs}\n{indent}{}{returns_bool}{matching}\n{rhs}",
        binary.op
    )
}

fn pretty_aggregate(aggregate: &Aggregate, level: usize) -> String {
    let indent = indent(level);
    let parameter = match &aggregate.parameter {
        Some(parameter) => format!("{},\n", pretty_at(parameter, level + 1)),
        None => String::new(),
    };
    let inner = pretty_at(&aggregate.expr, level + 1);
    format!(
        "{indent}{}(\n{parameter}{inner}\n{indent})",
        AggregateHead(aggregate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::test_functions::PrometheusFunctions;
    use crate::promql::{Features, parse};

    fn check(text: &str, expected: &[&str]) {
        let expr = parse(text, &PrometheusFunctions, Features::ALL).expect(text);
        assert_eq!(pretty(&expr), expected.join("\n"), "{text}");
    }

    #[test]
    fn what_fits_a_line_stays_on_it() {
        check("sum(up)by(job)", &["sum by (job) (up)"]);
        check("-(a+b)", &["-(a + b)"]);
    }

    #[test]
    fn what_does_not_is_taken_apart() {
        let (a, b) = ("a".repeat(60), "b".repeat(60));
        check(
            &format!("topk by (x) (5, {a} + on (y) {b})"),
            &[
                "topk by (x) (",
                "  5,",
                &format!("    {a}"),
                "  + on (y)",
                &format!("    {b}"),
                ")",
            ],
        );
        let sign = [
            "-(",
            &format!("    {a}"),
            "  > bool",
            &format!("    {b}"),
            ")",
        ];
        check(&format!("-({a} > bool {b})"), &sign);
        check(
            &format!("max_over_time(({a} + {b})[5m:1m])"),
            &[
                "max_over_time(",
                "  (",
                &format!("      {a}"),
                "    +",
                &format!("      {b}"),
                "  )[5m:1m]",
                ")",
            ],
        );
    }
}
