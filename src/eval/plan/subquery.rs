//! Which subqueries can be kept as series of points, one for each instant of their grid.
//!
//! A point is what the inner expression was worth when the frontier stood at its instant. So the
//! grid must not depend on the query, and the inner expression must read nothing that comes after
//! the instant, nor anything that depends on the steps before it.

use std::collections::HashSet;

use crate::eval::NESTED_STEPS_FACTOR;
use crate::eval::interpret::invariant::is_step_invariant;
use crate::eval::interpret::origins::may_mix_names;
use crate::eval::plan::output::output_labels;
use crate::functions::call::plain;
use crate::model::{DurationMs, METRIC_NAME};
use crate::promql::ast::{DurationExpr, Expr, ExprKind, Subquery};
use crate::promql::selectors;

/// Functions that tell something of the whole query.
const OF_THE_QUERY: [&str; 4] = ["start", "end", "range", "step"];

/// The grid of a subquery that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptGrid {
    /// How long its window is, ms.
    pub range: DurationMs,
    /// The distance of its instants, ms.
    pub step: DurationMs,
    /// How far back the window ends, ms.
    pub offset: DurationMs,
}

/// Returns the grid of a subquery if its points can be kept, else why they cannot.
///
/// `default_step` is that of subqueries which name none, `steps_max` the most steps that one may
/// have: beyond that an evaluation fails, which only an evaluation can tell.
pub fn kept_grid(
    subquery: &Subquery,
    default_step: DurationMs,
    steps_max: usize,
) -> Result<KeptGrid, &'static str> {
    let grid = grid(subquery, default_step)?;
    if grid.offset < DurationMs::ZERO {
        return Err("it looks ahead");
    }
    let steps_max = steps_max as i64;
    let n_steps = grid.range.0 / grid.step.0;
    let nested = nested_steps(&subquery.expr, default_step)?;
    let nested_max = steps_max.saturating_mul(NESTED_STEPS_FACTOR as i64);
    if n_steps > steps_max || n_steps.max(1).saturating_mul(nested) > nested_max {
        return Err("it has too many steps");
    }
    for used in selectors(&subquery.expr) {
        if used.at.is_some() {
            return Err("@ is used in it");
        }
        if used.forward > DurationMs::ZERO {
            return Err("it looks ahead");
        }
    }
    let mut obstacle = None;
    subquery.expr.walk(&mut |node| {
        if obstacle.is_none() {
            obstacle = obstacle_at(node);
        }
    });
    match obstacle {
        None => Ok(grid),
        Some(obstacle) => Err(obstacle),
    }
}

/// Returns the subqueries of an expression that are in no other, in the order written.
pub fn outermost(expr: &Expr) -> Vec<&Subquery> {
    let (mut found, mut inside) = (Vec::new(), HashSet::new());
    expr.walk(&mut |node| {
        let ExprKind::Subquery(subquery) = &node.kind else {
            return;
        };
        if inside.contains(&std::ptr::from_ref(&**subquery)) {
            return;
        }
        found.push(&**subquery);
        subquery.expr.walk(&mut |within| {
            if let ExprKind::Subquery(nested) = &within.kind {
                inside.insert(std::ptr::from_ref(&**nested));
            }
        });
    });
    found
}

fn grid(subquery: &Subquery, default_step: DurationMs) -> Result<KeptGrid, &'static str> {
    if subquery.at.is_some() {
        return Err("@ pins it");
    }
    let known = |span: &DurationExpr| span.literal().ok_or("a duration depends on the query");
    let step = match &subquery.step {
        Some(step) => known(step)?,
        None => default_step,
    };
    Ok(KeptGrid {
        range: known(&subquery.range)?,
        step: DurationMs(step.0.max(1)),
        offset: known(&subquery.offset)?,
    })
}

/// Returns the most steps that subqueries within one another have together; 1 without any.
fn nested_steps(expr: &Expr, default_step: DurationMs) -> Result<i64, &'static str> {
    let mut most = 1;
    for subquery in outermost(expr) {
        let grid = grid(subquery, default_step)?;
        let n_steps = (grid.range.0 / grid.step.0).max(1);
        let within = nested_steps(&subquery.expr, default_step)?;
        most = most.max(n_steps.saturating_mul(within));
    }
    Ok(most)
}

/// Tells why an operation must be evaluated from step to step.
fn obstacle_at(node: &Expr) -> Option<&'static str> {
    let computed = |span: &DurationExpr| span.literal().is_none();
    match &node.kind {
        ExprKind::Vector(selector) if computed(&selector.offset) => {
            Some("a duration depends on the query")
        }
        ExprKind::Matrix(matrix)
            if computed(&matrix.selector.offset) || computed(&matrix.range) =>
        {
            Some("a duration depends on the query")
        }
        ExprKind::Call(call) if OF_THE_QUERY.contains(&call.function.as_str()) => {
            Some("a function tells something of the query")
        }
        // Two series that become one are an error though they come at different steps.
        ExprKind::Call(call) if call.args.iter().any(may_become_one) => {
            Some("series of several names are in one window")
        }
        // Prometheus takes the parameter of the first step for all of them.
        ExprKind::Aggregate(aggregate)
            if aggregate.parameter.is_some() && is_step_invariant(&aggregate.expr) =>
        {
            Some("a parameter is that of the first step")
        }
        _ => None,
    }
}

/// Tells whether an argument is a window over series that differ perhaps in name alone.
fn may_become_one(argument: &Expr) -> bool {
    let is_window = matches!(
        plain(argument).kind,
        ExprKind::Matrix(_) | ExprKind::Subquery(_)
    );
    if !is_window || !may_mix_names(argument) {
        return false;
    }
    let labels = output_labels(argument);
    labels.among.contains(METRIC_NAME) && !labels.fixed.contains_key(METRIC_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    fn found(text: &str) -> Result<KeptGrid, &'static str> {
        let expr = parse(text, &Functions, Features::ALL).expect(text);
        let subqueries = outermost(&expr);
        assert_eq!(subqueries.len(), 1, "{text}");
        kept_grid(subqueries[0], DurationMs::from_seconds(60), 1000)
    }

    #[test]
    fn what_follows_from_the_instant_alone_is_kept() {
        for text in [
            "max_over_time(rate(x[5m])[1h:1m])",
            "max_over_time(rate(x[5m])[1h:])",
            "avg_over_time((a > 5)[30m:] offset 1m)",
            "min_over_time(sum by (job)(up)[10m:1m] offset 5m)",
            "max_over_time(max_over_time(x[1h:1m])[2h:10m])",
            "max_over_time((rate(a[5m]) / rate(b[5m]))[1h:])",
            "max_over_time(abs(a / b)[1h:])",
            "max_over_time(avg_over_time((a / b)[10m:])[1h:])",
            "max_over_time(topk(3, x)[1h:])",
            "max_over_time((time() - x)[1h:])",
            "max_over_time((x offset 5m)[1h:])",
        ] {
            assert!(found(text).is_ok(), "{text}: {:?}", found(text));
        }
        assert_eq!(
            found("max_over_time(x[1h:30s] offset 5m)"),
            Ok(KeptGrid {
                range: DurationMs::from_seconds(3600),
                step: DurationMs::from_seconds(30),
                offset: DurationMs::from_seconds(300),
            })
        );
    }

    #[test]
    fn what_does_not_is_scanned_with_a_reason() {
        let check = |text: &str, reason: &str| assert_eq!(found(text), Err(reason), "{text}");
        check("max_over_time(x[1h:1m] @ 0)", "@ pins it");
        check("max_over_time((x @ 0)[1h:1m])", "@ is used in it");
        check("max_over_time(x[1h:1m] offset -1m)", "it looks ahead");
        check("max_over_time((x offset -1m)[1h:])", "it looks ahead");
        check("max_over_time(rate(x[5m] smoothed)[1h:])", "it looks ahead");
        check("max_over_time(x[1h:1s])", "it has too many steps");
        let nested = "max_over_time(max_over_time(x[10m:1s])[1h:10s])";
        check(nested, "it has too many steps");
        let computed = "a duration depends on the query";
        check("max_over_time(x[step() + 1m:])", computed);
        check("max_over_time(rate(x[step() + 1m])[1h:])", computed);
        check(
            "max_over_time((x > bool end())[1h:])",
            "a function tells something of the query",
        );
        check(
            "max_over_time(rate({job=\"a\"}[5m])[1h:])",
            "series of several names are in one window",
        );
        check(
            "max_over_time(limitk(time(), vector(1))[1h:])",
            "a parameter is that of the first step",
        );
    }
}
