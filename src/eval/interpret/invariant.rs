//! What Prometheus evaluates once for all steps, at the first of them.
//!
//! A part whose selectors all carry `@` is worth the same at every step, and evaluating it at
//! each would only cost time. It shows in one place: Prometheus does not look at an aggregation's
//! parameter, so that `quantile(time() / 1e3, x @ 60)` has the parameter of the first step.

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::functions::Argument;
use crate::functions::call::plain;
use crate::promql::Expr;
use crate::promql::ast::{Call, ExprKind};

/// Functions that depend on the evaluation time whatever they are given.
const TIMED: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "range",
    "start",
    "end",
    "step",
];

impl<'a> Interpreter<'a> {
    /// Evaluates at the first step, as if it were the only one.
    pub(super) fn eval_once(&mut self, expr: &Expr) -> Result<Argument<'a>, EvalError> {
        let was_range = std::mem::replace(&mut self.is_range, false);
        let value = self.eval(expr, self.first_at);
        self.is_range = was_range;
        value
    }
}

/// Tells whether Prometheus evaluates `expr` once for all steps of a range.
pub(in crate::eval) fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(selector) => selector.at.is_some(),
        ExprKind::Matrix(matrix) => matrix.selector.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => is_step_invariant(inner),
        ExprKind::Binary(binary) => {
            is_step_invariant(&binary.lhs) && is_step_invariant(&binary.rhs)
        }
        ExprKind::Aggregate(aggregate) => is_step_invariant(&aggregate.expr),
        ExprKind::Call(call) => is_call_step_invariant(call),
    }
}

/// Tells whether Prometheus evaluates a call once for all steps of a range.
pub(super) fn is_call_step_invariant(call: &Call) -> bool {
    let is_timed = TIMED.contains(&call.function.as_str());
    if is_timed && call.function != "timestamp" {
        return false;
    }
    call.args.iter().all(|argument| {
        // `timestamp` of anything but a selector is the evaluation time.
        let argument = plain(argument);
        is_step_invariant(argument) && (!is_timed || matches!(argument.kind, ExprKind::Vector(_)))
    })
}

#[cfg(test)]
mod tests {
    use crate::eval::{EvalOptions, Scan, evaluate, evaluate_range};
    use crate::functions::Functions;
    use crate::history::SeriesHistory;
    use crate::model::{DurationMs, Labels, SampleValue, TimestampMs, Value};
    use crate::promql::{Features, parse};
    use crate::series::Snapshot;

    /// `x` counts seconds, with a sample every 30 s up to 600 s.
    fn snapshot() -> Snapshot {
        let mut history = SeriesHistory::default();
        for at in (0..=600_000).step_by(30_000) {
            let value = SampleValue::Float(at as f64 / 1000.0);
            history.append(TimestampMs(at), value, TimestampMs::MIN);
        }
        let mut snapshot = Snapshot::default();
        snapshot.insert(Labels::from_pairs([("__name__", "x")]), history);
        snapshot
    }

    /// Checks the values of the only series from 0 s to 120 s by steps of 60 s, and the warnings.
    fn check(query: &str, values: &[f64], warnings: &[&str]) {
        let snapshot = snapshot();
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let times = (TimestampMs(0), TimestampMs(120_000), DurationMs(60_000));
        let options = EvalOptions::default();
        let outcome = evaluate_range(&expr, &Scan::new(&snapshot), times, &options).unwrap();
        let points = outcome.value[0].points.iter();
        let found: Vec<f64> = points.filter_map(|p| p.value.as_float()).collect();
        assert_eq!(found, values, "{query}");
        assert_eq!(outcome.warnings, warnings, "{query}");
    }

    #[test]
    fn an_aggregation_of_the_invariant_has_the_parameter_of_the_first_step() {
        check("topk(time() + 1, x @ 90)", &[90.0; 3], &[]);
        check("limitk(1 - time(), vector(7))", &[7.0; 3], &[]);
        check("limitk(1 - time() / 60, x)", &[0.0], &[]);
        let out_of_bounds = "PromQL warning: quantile value should be between 0 and 1, got 2";
        check(
            "quantile(time() + 2, x @ 90)",
            &[f64::INFINITY; 3],
            &[out_of_bounds],
        );
    }

    #[test]
    fn sorting_what_is_evaluated_once_is_no_mistake() {
        let ineffective = "PromQL warning: sort is ineffective for range queries since results \
                           are always ordered by labels";
        check("sort(x)", &[0.0, 60.0, 120.0], &[ineffective]);
        check("sort(x @ 90)", &[90.0; 3], &[]);
        check("abs(sort(x @ 90))", &[90.0; 3], &[]);
    }

    #[test]
    fn timestamps_are_looked_at_from_the_instant_of_the_modifier() {
        let snapshot = snapshot();
        let check = |query: &str, expected: Option<f64>| {
            let expr = parse(query, &Functions, Features::ALL).unwrap();
            let options = EvalOptions::default();
            let at = TimestampMs(600_000);
            let outcome = evaluate(&expr, &Scan::new(&snapshot), at, &options).unwrap();
            let Value::Vector(elements) = outcome.value else {
                panic!("not a vector");
            };
            let found = elements.first().and_then(|e| e.value.as_float());
            assert_eq!(found, expected, "{query}");
        };
        check("timestamp(x @ 300)", Some(300.0));
        check("timestamp(x offset 1m)", Some(540.0));
        check("timestamp(x @ 300 offset 1m)", Some(240.0));
        check("timestamp(x @ 300 offset 5m)", None);
        check("timestamp(x @ 300 offset -1m)", Some(300.0));
        check("timestamp(x @ 300 offset -5m)", None);
        check("x @ 300 offset -5m", Some(600.0));
    }
}
