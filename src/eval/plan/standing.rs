//! What time alone can do to a result, between two events of its leaves.
//!
//! As long as no sample comes, leaves or goes stale, most leaves keep their bits, and a `rate` whose
//! window is full differs by rounding at most. An alerting rule that found nothing need not be
//! evaluated again until then, if on the way from its leaves nothing turns on rounding: that is
//! told here from the expression, and for the values that come up by [`is_delicate`].
//!
//! A leaf is off by no more than 1e-14 of itself; operators add to that a bit each, and a
//! difference a factor of `CANCELLED_MIN` at most. That stays far below `CLOSE`.

use crate::functions;
use crate::functions::call::plain;
use crate::model::{DurationMs, SampleValue};
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, ExprKind, RangeMode, UnaryOp,
    VectorSelector,
};

/// Two values compared are told apart by less than this part of themselves.
const CLOSE: f64 = 1e-9;
/// A difference that is less than this part of its sides has lost too much to rounding.
const CANCELLED_MIN: f64 = 1e-2;
/// So many differences may be taken one of the other.
const DIFFERENCES_MAX: usize = 2;
/// Results beyond this, or nearer to zero than its inverse, are near the ends of what floats hold.
const LARGE: f64 = 1e250;

/// What elements do while time goes on and nothing happens; worse from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// They keep their bits.
    Exact,
    /// None is negative, and they differ by rounding.
    Rounded,
    /// They differ by rounding.
    Signed,
    /// Nothing is known.
    Moving,
}

/// Tells whether the elements of an expression keep their bits.
pub fn stands_exactly(expr: &Expr) -> bool {
    standing(expr) == Standing::Exact
}

/// Returns what the elements of an expression do while nothing happens to its leaves. Which
/// elements there are does not change, unless it is [`Standing::Moving`].
pub fn standing(expr: &Expr) -> Standing {
    match n_differences(expr) > DIFFERENCES_MAX {
        true => Standing::Moving,
        false => of(expr),
    }
}

/// Tells whether rounding on a side of an operator could turn its result: by the verdict of a
/// comparison, or by making rounding matter to what is made of it.
#[inline]
pub fn is_delicate(
    op: BinaryOp,
    sides: (&SampleValue, &SampleValue),
    result: &SampleValue,
) -> bool {
    let (SampleValue::Float(lhs), SampleValue::Float(rhs)) = sides else {
        return true;
    };
    let (lhs, rhs) = (*lhs, *rhs);
    let largest = lhs.abs().max(rhs.abs());
    if op.is_comparison() {
        return largest != 0.0 && (lhs - rhs).abs() <= CLOSE * largest;
    }
    let SampleValue::Float(result) = result else {
        return true;
    };
    let size = result.abs();
    let is_cancelled =
        matches!(op, BinaryOp::Add | BinaryOp::Sub) && size < CANCELLED_MIN * largest;
    // What is divided by zero, which keeps its bits, is infinite as long as it is anything.
    let is_by_zero = op == BinaryOp::Div && rhs == 0.0;
    let is_product = matches!(op, BinaryOp::Mul | BinaryOp::Div);
    let is_extreme = match size == 0.0 {
        true => is_product && lhs != 0.0 && rhs != 0.0,
        false => !(1.0 / LARGE..=LARGE).contains(&size),
    };
    is_cancelled || (is_extreme && !is_by_zero && !size.is_nan())
}

/// Returns how many differences are taken of each other at most.
fn n_differences(expr: &Expr) -> usize {
    let mut n_found = 0;
    expr.walk(&mut |node| {
        if let ExprKind::Binary(binary) = &node.kind {
            let is_difference = matches!(binary.op, BinaryOp::Add | BinaryOp::Sub);
            n_found += usize::from(is_difference);
        }
    });
    n_found
}

fn of(expr: &Expr) -> Standing {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => Standing::Exact,
        ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => of(inner),
        ExprKind::Unary(UnaryOp::Minus, inner) => signed(of(inner)),
        ExprKind::Vector(selector) => of_selector(selector),
        ExprKind::Binary(binary) => of_binary(binary),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate),
        ExprKind::Call(call) => of_call(call),
        ExprKind::Matrix(_) | ExprKind::Subquery(_) => Standing::Moving,
    }
}

/// Where elements may have either sign.
fn signed(standing: Standing) -> Standing {
    match standing {
        Standing::Rounded => Standing::Signed,
        other => other,
    }
}

/// Returns what a function that does not know the time makes of an argument that keeps its bits.
fn if_exact(standing: Standing) -> Standing {
    match standing {
        Standing::Exact => Standing::Exact,
        _ => Standing::Moving,
    }
}

fn of_selector(selector: &VectorSelector) -> Standing {
    let is_here = selector.offset.literal() == Some(DurationMs::ZERO) && selector.at.is_none();
    match is_here && selector.mode == RangeMode::Plain {
        true => Standing::Exact,
        false => Standing::Moving,
    }
}

fn of_binary(binary: &Binary) -> Standing {
    use BinaryOp::{Add, And, Div, Mul, Or, Sub, Unless};
    let (lhs, rhs) = (of(&binary.lhs), of(&binary.rhs));
    let both = lhs.max(rhs);
    let fills =
        |m: &crate::promql::ast::VectorMatching| m.fill_left.is_some() || m.fill_right.is_some();
    if both == Standing::Moving || binary.matching.as_ref().is_some_and(fills) {
        return Standing::Moving;
    }
    match binary.op {
        _ if both == Standing::Exact => Standing::Exact,
        And | Unless => lhs,
        Or => both,
        op if op.is_comparison() && !compares_vectors(binary) => Standing::Moving,
        op if op.is_comparison() && binary.return_bool => Standing::Exact,
        op if op.is_comparison() => both,
        Add | Mul | Div if is_unsigned(&binary.lhs) && is_unsigned(&binary.rhs) => both,
        Add | Sub | Mul | Div => signed(both),
        _ => Standing::Moving,
    }
}

/// Tells whether a comparison has a vector on a side: what two numbers make is not looked at.
fn compares_vectors(binary: &Binary) -> bool {
    use crate::eval::plan::is_vector;
    is_vector(&binary.lhs) || is_vector(&binary.rhs)
}

/// Tells whether all that an expression gives is known not to be negative, so that nothing cancels.
fn is_unsigned(expr: &Expr) -> bool {
    match &plain(expr).kind {
        ExprKind::Number(number) => number.value >= 0.0,
        _ => of(expr) == Standing::Rounded,
    }
}

fn of_aggregate(aggregate: &Aggregate) -> Standing {
    let parameter = aggregate.parameter.as_ref().map_or(Standing::Exact, of);
    if parameter != Standing::Exact {
        return Standing::Moving;
    }
    let elements = of(&aggregate.expr);
    match aggregate.op {
        _ if elements == Standing::Moving => Standing::Moving,
        AggregateOp::Count | AggregateOp::Group => Standing::Exact,
        AggregateOp::Min | AggregateOp::Max => elements,
        AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Quantile
            if elements == Standing::Rounded =>
        {
            elements
        }
        _ => if_exact(elements),
    }
}

fn of_call(call: &Call) -> Standing {
    let windows = call.args.iter().map(plain).find_map(|arg| match &arg.kind {
        ExprKind::Matrix(matrix) => Some(&matrix.selector),
        _ => None,
    });
    if let Some(selector) = windows {
        return of_window(call, selector);
    }
    let args = call.args.iter().map(of);
    let args = args.max().unwrap_or(Standing::Exact);
    match call.function.as_str() {
        // Rounding stays what it is, or becomes less.
        "abs" | "clamp" | "clamp_max" | "clamp_min" | "label_join" | "label_replace" | "sort"
        | "sort_by_label" | "sort_by_label_desc" | "sort_desc" | "sqrt" => args,
        "absent" if args != Standing::Moving => Standing::Exact,
        "ceil" | "exp" | "floor" | "histogram_quantile" | "ln" | "log10" | "log2" | "round"
        | "scalar" | "sgn" => if_exact(args),
        // Nobody asked yet for the rest; the calendar and its like know the time.
        _ => Standing::Moving,
    }
}

/// A function of a window of series.
fn of_window(call: &Call, selector: &VectorSelector) -> Standing {
    let is_number = |arg: &Expr| matches!(arg.kind, ExprKind::Number(_) | ExprKind::String(_));
    let is_window = |arg: &Expr| matches!(arg.kind, ExprKind::Matrix(_));
    let mut args = call.args.iter().map(plain);
    let is_simple = args.all(|arg| is_number(arg) || is_window(arg));
    let is_live = functions::find(&call.function).is_some_and(|f| f.live().is_some());
    if !is_simple || !is_live || of_selector(selector) != Standing::Exact {
        return Standing::Moving;
    }
    match call.function.as_str() {
        "rate" | "increase" => Standing::Rounded,
        "delta" => Standing::Signed,
        "forecast_time_to" | "predict_linear" => Standing::Moving,
        _ => Standing::Exact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    #[test]
    fn what_stands_by_itself() {
        use Standing::{Exact, Moving, Rounded, Signed};
        let check = |text: &str, expected: Standing| {
            let expr = parse(text, &Functions, Features::ALL).expect(text);
            assert_eq!(standing(&expr), expected, "{text}");
        };
        check("up == 0", Exact);
        check("up offset 5m", Moving);
        check("up @ 5", Moving);
        check("max_over_time(a[5m])", Exact);
        check("quantile_over_time(scalar(b), a[5m])", Moving);
        check("predict_linear(a[1h], 3600)", Moving);
        check("max_over_time(a[5m:1m])", Moving);
        check("rate(a[5m])", Rounded);
        check(
            "sum by (job) (rate(a[5m])) / sum by (job) (rate(b[5m])) > 0.1",
            Rounded,
        );
        check("1 - sum(rate(a[5m])) / sum(rate(b[5m]))", Signed);
        check("sum(rate(a[5m]) - rate(b[5m]))", Moving);
        check("sum(rate(a[5m]) + rate(b[5m]))", Rounded);
        check("sum(rate(a[5m]) * b)", Moving);
        check("max(delta(a[5m]))", Signed);
        check("sum(delta(a[5m]))", Moving);
        check("sum(rate(a[5m]) > bool 1)", Exact);
        check("scalar(a) > bool 2", Exact);
        check("count(rate(a[5m]) > 1)", Exact);
        check("topk(3, rate(a[5m]))", Moving);
        check("topk(3, a)", Exact);
        check("floor(rate(a[5m]))", Moving);
        check("clamp_max(rate(a[5m]), 5)", Rounded);
        check("histogram_quantile(0.9, sum by (le) (rate(a[5m])))", Moving);
        check("a unless b > time()", Moving);
        check("a and hour() > 5", Moving);
        check("a and rate(b[5m]) > 1", Exact);
        check("a or vector(0)", Moving);
        check("absent(up)", Exact);
        check("timestamp(a)", Moving);
        check("a - b - c - rate(d[5m])", Moving);
        check("a - b - rate(d[5m])", Signed);
        check("rate(a[5m]) % 3", Moving);
    }

    #[test]
    fn what_rounding_could_turn() {
        let check = |op: BinaryOp, lhs: f64, rhs: f64, result: f64, expected: bool| {
            let [lhs, rhs, result] = [lhs, rhs, result].map(SampleValue::Float);
            let found = is_delicate(op, (&lhs, &rhs), &result);
            assert_eq!(found, expected, "{lhs:?} {op} {rhs:?}");
        };
        check(BinaryOp::Greater, 1.0, 2.0, 1.0, false);
        check(BinaryOp::Greater, 1.0, 1.0 + 1e-12, 1.0, true);
        check(BinaryOp::Greater, 0.0, 0.0, 0.0, false);
        check(BinaryOp::Greater, 0.0, 1e-300, 0.0, false);
        check(BinaryOp::Equal, f64::NAN, 1.0, f64::NAN, false);
        check(BinaryOp::Sub, 1.0, 0.5, 0.5, false);
        check(BinaryOp::Sub, 1.0, 0.999, 0.001, true);
        check(BinaryOp::Sub, 0.0, 0.0, 0.0, false);
        check(BinaryOp::Mul, 1e200, 1e100, 1e300, true);
        check(BinaryOp::Mul, 1e-200, 1e-200, 0.0, true);
        check(BinaryOp::Div, 1.0, 0.0, f64::INFINITY, false);
        check(BinaryOp::Div, 0.0, 0.0, f64::NAN, false);
    }
}
