//! How far an expression that finds nothing is from finding something: what would have to grow.
//!
//! `sum(rate(errors[1h])) / sum(rate(total[1h])) > 0.1` finds something only once the errors have
//! grown, or what leaves the window takes more of the total than of the errors. Both can be bounded
//! when it is evaluated, and then it need not be evaluated until the bounds are used up. That is
//! told here from the expression alone; the bounds are [`SumBounds`](crate::eval::live::SumBounds).

use crate::eval::plan::failing::{only_aggregations_fail, windowed};
use crate::eval::plan::partition::grouped;
use crate::functions::call::plain;
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Expr, ExprKind, UnaryOp, VectorSelector,
};

/// How far an expression is from finding something, and that it can be evaluated at all.
#[derive(Clone, Debug)]
pub struct Distance<'e> {
    /// What has to be for it to find something.
    pub condition: Condition<'e>,
    /// The aggregations on which it hangs whether the evaluation fails; nothing else can.
    pub failing: Vec<&'e Aggregate>,
}

/// What has to be for an expression to find something.
#[derive(Clone, Debug)]
pub enum Condition<'e> {
    /// The ratio of two sums exceeds a limit.
    Exceeds(Ratio<'e>),
    /// All of these: as long as one finds nothing, the expression does not.
    All(Vec<Condition<'e>>),
    /// One of these.
    Any(Vec<Condition<'e>>),
}

/// A sum of counters' growth over another, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Ratio<'e> {
    /// What is divided.
    pub upper: Growth<'e>,
    /// By what.
    pub lower: Growth<'e>,
    /// As long as `upper <= limit * lower` of the sums of what counters have grown by within their
    /// windows, nothing is found; positive.
    pub limit: f64,
}

/// `sum by (…) (rate(selector[…]))` or the same of `increase`.
#[derive(Clone, Copy, Debug)]
pub struct Growth<'e> {
    /// The sum.
    pub aggregate: &'e Aggregate,
    /// The counters.
    pub selector: &'e VectorSelector,
    /// What a sum of growth is multiplied by to be the value.
    scale: f64,
}

impl<'e> Distance<'e> {
    /// Returns how far an expression is from finding something; `None` where no bound is known, or an
    /// error in one part of it would be missed.
    pub fn of(expr: &'e Expr) -> Option<Distance<'e>> {
        Some(Distance {
            failing: only_aggregations_fail(expr)?,
            condition: Condition::of(expr)?,
        })
    }
}

impl<'e> Condition<'e> {
    /// Of an expression in which [only aggregations fail](only_aggregations_fail), so that elements of
    /// which one is divided by the other agree in all labels.
    fn of(expr: &'e Expr) -> Option<Condition<'e>> {
        let ExprKind::Binary(binary) = &plain(expr).kind else {
            return None;
        };
        let (lhs, rhs) = (&binary.lhs, &binary.rhs);
        match binary.op {
            BinaryOp::And => match (Condition::of(lhs), Condition::of(rhs)) {
                (Some(lhs), Some(rhs)) => Some(Condition::All(vec![lhs, rhs])),
                (lhs, rhs) => lhs.or(rhs),
            },
            BinaryOp::Unless => Condition::of(lhs),
            BinaryOp::Or => {
                let both = vec![Condition::of(lhs)?, Condition::of(rhs)?];
                Some(Condition::Any(both))
            }
            BinaryOp::Greater | BinaryOp::GreaterEqual if !binary.return_bool => {
                exceeds(lhs, constant(rhs)?)
            }
            BinaryOp::Less | BinaryOp::LessEqual if !binary.return_bool => {
                exceeds(rhs, constant(lhs)?)
            }
            _ => None,
        }
    }

    /// Calls `visit` with each ratio.
    pub fn visit(&self, visit: &mut impl FnMut(&Ratio<'e>)) {
        match self {
            Condition::Exceeds(ratio) => visit(ratio),
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| part.visit(visit));
            }
        }
    }
}

/// Returns that a ratio exceeds a number.
fn exceeds(expr: &Expr, number: f64) -> Option<Condition<'_>> {
    let (upper, lower, factor) = ratio(expr)?;
    let limit = number / factor * (lower.scale / upper.scale);
    (limit > 0.0 && limit.is_finite()).then_some(Condition::Exceeds(Ratio {
        upper,
        lower,
        limit,
    }))
}

/// Returns an expression as a ratio, and what that is multiplied by.
fn ratio(expr: &Expr) -> Option<(Growth<'_>, Growth<'_>, f64)> {
    let ExprKind::Binary(binary) = &plain(expr).kind else {
        return None;
    };
    if let Some((inner, factor)) = scaled(binary) {
        let (upper, lower, known) = ratio(inner)?;
        return Some((upper, lower, known * factor));
    }
    if binary.op != BinaryOp::Div {
        return None;
    }
    let (upper, lower) = (growth(&binary.lhs)?, growth(&binary.rhs)?);
    let is_alike = grouped(upper.aggregate) == grouped(lower.aggregate);
    is_alike.then_some((upper, lower, 1.0))
}

/// Returns what an operator multiplies by a positive constant, and the constant.
fn scaled(binary: &Binary) -> Option<(&Expr, f64)> {
    let (inner, factor) = match (binary.op, constant(&binary.lhs), constant(&binary.rhs)) {
        (BinaryOp::Mul, Some(factor), None) => (&binary.rhs, factor),
        (BinaryOp::Mul, None, Some(factor)) => (&binary.lhs, factor),
        (BinaryOp::Div, None, Some(divisor)) => (&binary.lhs, 1.0 / divisor),
        _ => return None,
    };
    (factor > 0.0 && factor.is_finite()).then_some((inner, factor))
}

/// Returns an expression as a sum of what counters have grown by.
fn growth(expr: &Expr) -> Option<Growth<'_>> {
    match &plain(expr).kind {
        ExprKind::Binary(binary) => {
            let (inner, factor) = scaled(binary)?;
            let known = growth(inner)?;
            let scale = known.scale * factor;
            Some(Growth { scale, ..known })
        }
        ExprKind::Aggregate(aggregate) if aggregate.op == AggregateOp::Sum => {
            let (call, matrix) = windowed(aggregate)?;
            let selector = &matrix.selector;
            let is_here = selector.offset.literal()?.0 == 0 && selector.at.is_none();
            let scale = match call.function.as_str() {
                "rate" => 1e3 / matrix.range.literal()?.0 as f64,
                "increase" => 1.0,
                _ => return None,
            };
            is_here.then_some(Growth {
                aggregate,
                selector,
                scale,
            })
        }
        _ => None,
    }
}

/// Returns the value of an expression of numbers.
fn constant(expr: &Expr) -> Option<f64> {
    Some(match &plain(expr).kind {
        ExprKind::Number(number) => number.value,
        ExprKind::Unary(UnaryOp::Plus, inner) => constant(inner)?,
        ExprKind::Unary(UnaryOp::Minus, inner) => -constant(inner)?,
        ExprKind::Binary(binary) => {
            let (lhs, rhs) = (constant(&binary.lhs)?, constant(&binary.rhs)?);
            match binary.op {
                BinaryOp::Add => lhs + rhs,
                BinaryOp::Sub => lhs - rhs,
                BinaryOp::Mul => lhs * rhs,
                BinaryOp::Div => lhs / rhs,
                _ => return None,
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    fn text(condition: &Condition<'_>) -> String {
        let all = |parts: &[Condition<'_>], word: &str| {
            let parts: Vec<String> = parts.iter().map(text).collect();
            format!("({})", parts.join(word))
        };
        match condition {
            Condition::Exceeds(Ratio {
                upper,
                lower,
                limit,
            }) => format!("{}/{} > {limit:.4}", upper.selector, lower.selector),
            Condition::All(parts) => all(parts, " and "),
            Condition::Any(parts) => all(parts, " or "),
        }
    }

    #[test]
    fn what_would_have_to_grow() {
        let ratio = "sum by (m) (rate(e[5m])) / sum by (m) (rate(t[5m]))";
        let cases = [
            (format!("{ratio} > 0.1"), "e/t > 0.1000"),
            (format!("0.1 <= ({ratio})"), "e/t > 0.1000"),
            (format!("100 * {ratio} > 5"), "e/t > 0.0500"),
            (format!("({ratio}) * 100 > (2 + 3)"), "e/t > 0.0500"),
            (format!("{ratio} > (14.4 * 0.001)"), "e/t > 0.0144"),
            (
                "sum(increase(e[5m])) / sum(rate(t[10m])) > 6".to_owned(),
                "e/t > 0.0100",
            ),
            (
                format!("{ratio} > 0.1 and {ratio} > 0.2"),
                "(e/t > 0.1000 and e/t > 0.2000)",
            ),
            (format!("{ratio} > 0.1 and on (m) up == 1"), "e/t > 0.1000"),
            (format!("{ratio} > 0.1 unless up == 1"), "e/t > 0.1000"),
            (
                format!("{ratio} > 0.1 or {ratio} > 0.2"),
                "(e/t > 0.1000 or e/t > 0.2000)",
            ),
        ];
        for (given, expected) in cases {
            let expr = parse(&given, &Functions, Features::ALL).expect(&given);
            let found = Distance::of(&expr).map(|distance| text(&distance.condition));
            assert_eq!(found.as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_no_bound_is_known_of() {
        let ratio = "sum by (m) (rate(e[5m])) / sum by (m) (rate(t[5m]))";
        for given in [
            ratio.to_owned(),
            format!("{ratio} < 0.1"),
            format!("{ratio} > bool 0.1"),
            format!("{ratio} > -1"),
            format!("{ratio} > 0"),
            format!("{ratio} > 0.1 or up == 0"),
            format!("{ratio} > 0.1 unless up * 2 > 1"),
            format!("{ratio} > 0.1 and on (m) e / on (m) t > 1"),
            format!("{ratio} > scalar(x)"),
            "sum(rate(e[5m])) > 1".to_owned(),
            "sum by (m) (rate(e[5m])) / sum by (n) (rate(t[5m])) > 1".to_owned(),
            "sum by (m) (rate(e[5m])) / on (m) sum by (m) (rate(t[5m])) > 1".to_owned(),
            "sum(rate(e[5m] offset 1h)) / sum(rate(t[5m])) > 1".to_owned(),
            "sum(rate(e[5m] @ 0)) / sum(rate(t[5m])) > 1".to_owned(),
            "avg(rate(e[5m])) / sum(rate(t[5m])) > 1".to_owned(),
            "sum(irate(e[5m])) / sum(rate(t[5m])) > 1".to_owned(),
        ] {
            let expr = parse(&given, &Functions, Features::ALL).expect(&given);
            assert!(Distance::of(&expr).is_none(), "{given}");
        }
    }
}
