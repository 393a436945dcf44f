//! Counting the samples that a query uses, as Prometheus' statistics have it.
//!
//! Every step counts what it would need alone. What it shares with the step before counts as
//! new only once: Prometheus walks each window from step to step and a subquery's grid once.

use crate::eval::EvalError;
use crate::eval::interpret::{Interpreter, histogram_weight, n_samples, n_samples_in};
use crate::functions::call::plain;
use crate::functions::{Argument, RangeSeries, RangeVector};
use crate::model::{DurationMs, TimestampMs};
use crate::promql::Expr;
use crate::promql::ast::{AggregateOp, ExprKind, Subquery};

/// Which of the samples that are now found are new.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    /// The step from the instant before, which has had the older samples; `None` at the first.
    since: Option<DurationMs>,
    /// Whether an earlier step has been here already, for all that lies below.
    is_again: bool,
}

impl Reading {
    /// Returns how the step behind the first reads.
    pub(super) fn later(step: DurationMs) -> Self {
        Reading {
            since: Some(step),
            is_again: false,
        }
    }

    /// Returns how a point of a subquery's grid reads; the window ends at `end`.
    pub(super) fn in_subquery(
        self,
        subquery: &Subquery,
        (end, step): (TimestampMs, DurationMs),
        (first, at): (TimestampMs, TimestampMs),
    ) -> Self {
        let was_walked = self
            .since
            .is_some_and(|since| subquery.at.is_some() || at <= end - since);
        let is_first = self.since.is_none() && at == first;
        Reading {
            since: (!is_first).then_some(step),
            is_again: self.is_again || was_walked,
        }
    }
}

impl<'a> Interpreter<'a> {
    /// Keeps the highest number of samples held.
    pub(super) fn note_peak(&mut self, n_held: usize) {
        self.n_peak = self.n_peak.max(n_held);
    }

    /// Notes what a function of a window holds: Prometheus goes from series to series, and has
    /// besides the results so far one window at a time.
    pub(super) fn note_windows(&mut self, held_before: usize, window: &[usize], n_results: usize) {
        let most = window
            .iter()
            .enumerate()
            .map(|(at, n_samples)| n_samples + n_results.min(at + 1));
        let n_held = held_before + most.max().unwrap_or(0);
        self.note_peak(n_held);
    }

    /// Counts the samples of an instant selector.
    pub(super) fn count(&mut self, n_samples: usize, is_pinned: bool) {
        self.counted.used += n_samples;
        if !self.reading.is_again && (self.reading.since.is_none() || !is_pinned) {
            self.counted.new += n_samples;
        }
    }

    /// Counts the samples of a window that ends at `until`.
    pub(super) fn count_window(
        &mut self,
        series: &[RangeSeries<'_>],
        until: TimestampMs,
        is_pinned: bool,
    ) {
        let all = series.iter().map(n_samples_in).sum();
        self.counted.used += all;
        self.counted.new += match self.reading.since {
            _ if self.reading.is_again => 0,
            None => all,
            Some(_) if is_pinned => 0,
            Some(step) => {
                let newer = series.iter().map(|series| behind(series, until - step));
                newer.sum()
            }
        };
    }

    /// Evaluates the subquery that a function is called with. What counts as used is the points
    /// that it gives the function, not what they were made of.
    pub(super) fn eval_subquery_argument(
        &mut self,
        expr: &Expr,
        at: TimestampMs,
    ) -> Result<Argument<'a>, EvalError> {
        let used = self.counted.used;
        let value = self.eval(expr, at)?;
        self.counted.used = used + n_samples(&value);
        Ok(value)
    }

    /// Counts a window's samples anew, after it was cut to its edges.
    pub(super) fn recount_window(&mut self, n_before: usize, window: &RangeVector<'_>) {
        let n_now: usize = window.series.iter().map(n_samples_in).sum();
        self.counted.used = self.counted.used - n_before + n_now;
        self.counted.new = self.counted.new - n_before + n_now;
    }
}

/// Returns what the samples of a series behind an instant weigh.
fn behind(series: &RangeSeries<'_>, instant: TimestampMs) -> usize {
    // Newest first: there are few behind the instant, and many before it in a long window.
    let newest = series.floats.iter().rev();
    let floats = newest.take_while(|point| point.at > instant).count();
    let histograms = series.histograms.iter();
    let histograms = histograms.filter(|point| point.at > instant);
    let histograms = histograms.map(|point| histogram_weight(&point.value));
    floats + histograms.sum::<usize>()
}

/// Returns how much of its inputs Prometheus copies before it evaluates an expression at an
/// instant; `None` where it has no such moment.
pub(super) fn copied_inputs(expr: &Expr, n_inputs: usize) -> Option<usize> {
    let is_window = |arg: &Expr| matches!(arg.kind, ExprKind::Matrix(_) | ExprKind::Subquery(_));
    match &expr.kind {
        ExprKind::Binary(_) => Some(n_inputs),
        ExprKind::Call(call) => {
            let mut args = call.args.iter().map(plain);
            match call.function.as_str() {
                "label_replace" | "label_join" | "info" => None,
                // It goes to the samples itself.
                "timestamp" if args.all(|arg| matches!(arg.kind, ExprKind::Vector(_))) => Some(0),
                _ if args.any(is_window) => None,
                _ => Some(n_inputs),
            }
        }
        ExprKind::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => {
            Some(n_inputs)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use crate::eval::{EvalError, EvalOptions, Scan, evaluate, evaluate_range};
    use crate::functions::Functions;
    use crate::history::SeriesHistory;
    use crate::model::{DurationMs, Labels, SampleValue, TimestampMs};
    use crate::promql::{Features, parse};
    use crate::series::Snapshot;

    /// Two series with a sample every 10 s from 10 s to 1000 s.
    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for job in ["a", "b"] {
            let mut history = SeriesHistory::default();
            for at in (10_000..=1_000_000).step_by(10_000) {
                let value = SampleValue::Float(at as f64);
                history.append(TimestampMs(at), value, TimestampMs::MIN);
            }
            let labels = Labels::from_pairs([("__name__", "x_total"), ("job", job)]);
            snapshot.insert(labels, history);
        }
        snapshot
    }

    fn check(query: &str, used: &[usize], new: &[usize]) {
        let snapshot = snapshot();
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let options = EvalOptions::default();
        let times = (
            TimestampMs(500_000),
            TimestampMs(560_000),
            DurationMs(30_000),
        );
        let outcome = evaluate_range(&expr, &Scan::new(&snapshot), times, &options).unwrap();
        let found = |of: fn(&crate::eval::StepSamples) -> usize| {
            outcome.steps.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(found(|step| step.used), used, "{query}");
        assert_eq!(found(|step| step.new), new, "{query}");
        assert_eq!(outcome.n_samples, used.iter().sum::<usize>(), "{query}");
    }

    #[test]
    fn windows_count_whole_and_are_read_once() {
        check("x_total", &[2, 2, 2], &[2, 2, 2]);
        check("rate(x_total[1m])", &[12, 12, 12], &[12, 6, 6]);
        check("rate(x_total[1m] @ 500)", &[12, 12, 12], &[12, 0, 0]);
        check("x_total @ 500", &[2, 2, 2], &[2, 0, 0]);
        check("1 + 2", &[0, 0, 0], &[0, 0, 0]);
    }

    /// The function gets the points of the subquery; what was read is what they are made of.
    #[test]
    fn subqueries_count_their_points_and_read_each_of_them_once() {
        check("sum_over_time(x_total[1m:10s])", &[12, 12, 12], &[12, 6, 6]);
        let rates = "sum_over_time(rate(x_total[20s])[1m:10s])";
        check(rates, &[12, 12, 12], &[14, 6, 6]);
        check("sum_over_time(x_total[20s:10s])", &[4, 4, 4], &[4, 4, 4]);
        check(
            "sum_over_time(x_total[1m:10s] @ 500)",
            &[12, 12, 12],
            &[12, 0, 0],
        );
    }

    #[test]
    fn the_peak_is_what_prometheus_holds_at_once() {
        let peak = |query: &str| {
            let snapshot = snapshot();
            let expr = parse(query, &Functions, Features::ALL).unwrap();
            let at = TimestampMs(500_000);
            let options = EvalOptions::default();
            let outcome = evaluate(&expr, &Scan::new(&snapshot), at, &options).unwrap();
            outcome.peak_samples
        };
        assert_eq!(peak("x_total"), 2);
        assert_eq!(peak("sum(x_total)"), 2);
        assert_eq!(peak("abs(x_total)"), 6);
        assert_eq!(peak("x_total + 1"), 8);
        assert_eq!(peak("x_total[1m]"), 12);
    }

    #[test]
    fn a_stopped_evaluation_ends() {
        let snapshot = snapshot();
        let expr = parse("sum(x_total)", &Functions, Features::ALL).unwrap();
        let options = EvalOptions {
            stop: Some(Arc::new(AtomicBool::new(true))),
            ..EvalOptions::default()
        };
        let outcome = evaluate(&expr, &Scan::new(&snapshot), TimestampMs(500_000), &options);
        assert_eq!(outcome.unwrap_err(), EvalError::Stopped);
    }
}
