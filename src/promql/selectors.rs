//! Which series an expression reads, and how far back.

use crate::model::{DurationMs, Matcher};
use crate::promql::Expr;
use crate::promql::ast::{DurationExpr, ExprKind, RangeMode, VectorSelector};

/// How far an instant selector looks back.
const LOOKBACK: DurationMs = DurationMs::from_seconds(300);
/// The reach of what `@` pins: for ever.
const PINNED: DurationMs = DurationMs(i64::MAX / 4);

/// One selector of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectorUse {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// How far before the evaluation it reads, ms: range, offset and the ranges of subqueries
    /// around it, and the lookback of an instant selector.
    pub reach: DurationMs,
}

/// Returns all selectors of an expression, in the order of the text. Durations that depend on a
/// query's step count as nothing.
pub fn selectors(expr: &Expr) -> Vec<SelectorUse> {
    let mut found = Vec::new();
    collect(expr, DurationMs::ZERO, &mut found);
    found
}

fn collect(expr: &Expr, around: DurationMs, found: &mut Vec<SelectorUse>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => collect(inner, around, found),
        ExprKind::Binary(binary) => {
            collect(&binary.lhs, around, found);
            collect(&binary.rhs, around, found);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(parameter) = &aggregate.parameter {
                collect(parameter, around, found);
            }
            collect(&aggregate.expr, around, found);
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| collect(arg, around, found)),
        ExprKind::Vector(selector) => found.push(used(selector, LOOKBACK, around)),
        ExprKind::Matrix(matrix) => {
            let window = span(&matrix.range);
            let looks_further = matrix.selector.mode != RangeMode::Plain;
            let lookback = if looks_further {
                LOOKBACK
            } else {
                DurationMs::ZERO
            };
            found.push(used(&matrix.selector, add(window, lookback), around));
        }
        ExprKind::Subquery(subquery) => {
            let window = add(span(&subquery.range), span(&subquery.offset));
            let around = if subquery.at.is_some() {
                PINNED
            } else {
                add(around, window)
            };
            collect(&subquery.expr, around, found);
        }
    }
}

fn used(selector: &VectorSelector, window: DurationMs, around: DurationMs) -> SelectorUse {
    let reach = add(add(window, span(&selector.offset)), around).max(DurationMs::ZERO);
    SelectorUse {
        matchers: selector.matchers.clone(),
        reach: if selector.at.is_some() {
            PINNED
        } else {
            reach.min(PINNED)
        },
    }
}

fn span(duration: &DurationExpr) -> DurationMs {
    duration.literal().unwrap_or_default()
}

fn add(a: DurationMs, b: DurationMs) -> DurationMs {
    DurationMs(a.0.saturating_add(b.0))
}
