//! The same query with `@` at every selector, and the instants to ask it at.

use burnwatch::functions::Functions;
use burnwatch::model::TimestampMs;
use burnwatch::promql::ast::{At, Expr, ExprKind};
use burnwatch::promql::{Features, parse};

/// What these return depends on the evaluation time whatever their arguments say.
const BY_EVALUATION_TIME: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// Returns the query with `@ at` at every selector and subquery that has none, and the instants,
/// in ms, at which it must be worth the same; none for a query that depends on the time anyway.
pub fn with_at(query: &str, at: i64) -> (String, Vec<i64>) {
    let Ok(mut expr) = parse(query, &Functions, Features::ALL) else {
        return (query.to_owned(), Vec::new());
    };
    let mut by_time = false;
    expr.walk(&mut |node| {
        if let ExprKind::Call(call) = &node.kind {
            by_time |= BY_EVALUATION_TIME.contains(&call.function.as_str());
        }
    });
    if by_time {
        return (query.to_owned(), Vec::new());
    }
    set_at(&mut expr, TimestampMs(at));
    let times = match at {
        0 => vec![-1000, 0, 1000],
        at => vec![-10 * at, 0, at / 5, at, 10 * at],
    };
    (expr.to_string(), times)
}

/// Sets `@` where there is none; what is inside a subquery keeps to the subquery's.
fn set_at(expr: &mut Expr, at: TimestampMs) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => set_at(inner, at),
        ExprKind::Binary(binary) => {
            set_at(&mut binary.lhs, at);
            set_at(&mut binary.rhs, at);
        }
        ExprKind::Aggregate(aggregate) => {
            set_at(&mut aggregate.expr, at);
            if let Some(param) = &mut aggregate.parameter {
                set_at(param, at);
            }
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| set_at(arg, at)),
        ExprKind::Vector(selector) => {
            pin(&mut selector.at, at);
        }
        ExprKind::Matrix(matrix) => {
            pin(&mut matrix.selector.at, at);
        }
        ExprKind::Subquery(subquery) => {
            pin(&mut subquery.at, at);
        }
    }
}

/// `@ start()` and `@ end()` mean the same instant.
fn pin(modifier: &mut Option<At>, at: TimestampMs) {
    if !matches!(modifier, Some(At::Instant(_))) {
        *modifier = Some(At::Instant(at));
    }
}
