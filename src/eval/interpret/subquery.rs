//! Subqueries: an expression evaluated on a grid of absolute multiples of the step.

use std::borrow::Cow;

use crate::eval::interpret::{Interpreter, unexpected};
use crate::eval::source::{SubqueryCall, SubqueryPoints, SubqueryWindow};
use crate::eval::{EvalError, EvalOptions, LiveSource, NESTED_STEPS_FACTOR, Source};
use crate::functions::{Argument, Element, LiveFunction, QueryTimes, RangeSeries, RangeVector};
use crate::model::{
    CounterResetHint, DurationMs, FloatPoint, HistogramPoint, Labels, LabelsMap, SampleValue,
    TimestampMs,
};
use crate::promql::Expr;
use crate::promql::ast::{ExprKind, RangeMode, Subquery};

impl<'a> Interpreter<'a> {
    /// Evaluates the inner expression at every grid point in `(end - range, end]`.
    pub(super) fn eval_subquery(
        &mut self,
        subquery: &Subquery,
        at: TimestampMs,
    ) -> Result<RangeVector<'a>, EvalError> {
        let inside = self.surroundings.needing_buckets();
        let outer = std::mem::take(&mut self.origins);
        let points = self.within(inside, |interpreter| interpreter.eval_points(subquery, at));
        self.origins = outer;
        points
    }

    fn eval_points(
        &mut self,
        subquery: &Subquery,
        at: TimestampMs,
    ) -> Result<RangeVector<'a>, EvalError> {
        let (window, n_steps_together) = self.subquery_window(subquery, at)?;
        let (start, end, step) = (window.after, window.until, window.step);
        let first = next_instant(start, step);
        let (known, mut point_at) = match self.known_points(&window) {
            Some(known) => {
                let known = known?;
                (known.series, next_instant(known.until, step).max(first))
            }
            None => (Vec::new(), first),
        };
        let steps_around = std::mem::replace(&mut self.n_steps_around, n_steps_together);
        let mut collected = Collected::of(known);
        let was_range = std::mem::replace(&mut self.is_range, first != end);
        let outer_first = std::mem::replace(&mut self.first_at, first);
        let outer = self.reading;
        while point_at <= end {
            self.reading = outer.in_subquery(subquery, (end, step), (first, point_at));
            let elements = self.eval_point(&subquery.expr, point_at)?;
            collected.add(elements, point_at);
            let next = point_at + step;
            if next == point_at {
                // The end of time itself.
                break;
            }
            point_at = next;
        }
        self.is_range = was_range;
        self.first_at = outer_first;
        self.n_steps_around = steps_around;
        self.reading = outer;
        let mut series: Vec<RangeSeries> = collected.series.into_values().collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(RangeVector {
            series,
            start,
            end,
            mode: RangeMode::Plain,
        })
    }

    fn eval_point(&mut self, expr: &Expr, at: TimestampMs) -> Result<Vec<Element>, EvalError> {
        match self.eval(expr, at)? {
            Argument::Vector(elements) => Ok(elements),
            Argument::Scalar(value) => Ok(vec![Element {
                labels: Labels::empty(),
                value: SampleValue::Float(value),
                at,
                drop_name: false,
            }]),
            _ => Err(unexpected("scalar or instant vector")),
        }
    }

    /// Returns the window of a subquery, and the steps that it has together with those around it.
    fn subquery_window<'r>(
        &mut self,
        subquery: &'r Subquery,
        at: TimestampMs,
    ) -> Result<(SubqueryWindow<'r>, usize), EvalError> {
        let range = self.positive(&subquery.range)?;
        let step = match &subquery.step {
            Some(step) => self.positive(step)?,
            None => DurationMs(self.options.default_step.0.max(1)),
        };
        let until = self.resolve(subquery.at, self.offset(&subquery.offset)?, at);
        let step = if step.0 > 0 {
            step
        } else {
            self.options.default_step
        };
        let max = self.options.subquery_steps_max;
        if range.0 / step.0 > i64::try_from(max).unwrap_or(i64::MAX) {
            return Err(EvalError::TooManySteps { range, step, max });
        }
        let n_steps = usize::try_from(range.0 / step.0).unwrap_or(0).max(1);
        let steps = self.n_steps_around.saturating_mul(n_steps);
        let max = max.saturating_mul(NESTED_STEPS_FACTOR);
        if steps > max {
            return Err(EvalError::TooManyNestedSteps { steps, max });
        }
        let window = SubqueryWindow {
            subquery,
            step,
            after: until - range,
            until,
        };
        Ok((window, steps))
    }

    /// Returns what the source knows of a window. Inside another subquery nothing is known: its
    /// steps lie in the past.
    fn known_points(
        &self,
        window: &SubqueryWindow<'_>,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        let source = self.live_source().filter(|_| self.n_steps_around == 1)?;
        source.subquery_points(window)
    }

    /// Evaluates a call of a function that has an incremental form over the points of a subquery.
    /// An error shows where the arguments are evaluated one by one.
    pub(super) fn live_subquery_call(
        &mut self,
        (source, live): (&dyn LiveSource, LiveFunction),
        exprs: &[&Expr],
        at: TimestampMs,
    ) -> Result<Option<Vec<Element>>, EvalError> {
        let mut subqueries = exprs.iter().filter_map(|expr| match &expr.kind {
            ExprKind::Subquery(subquery) => Some(&**subquery),
            _ => None,
        });
        let (Some(subquery), None) = (subqueries.next(), subqueries.next()) else {
            return Ok(None);
        };
        let Ok((window, _)) = self.subquery_window(subquery, at) else {
            return Ok(None);
        };
        let is_window = |expr: &&Expr| matches!(expr.kind, ExprKind::Matrix(_));
        if self.n_steps_around != 1 || exprs.iter().any(is_window) {
            return Ok(None);
        }
        let Some(given) = self.given_arguments(exprs, at)? else {
            return Ok(None);
        };
        let call = SubqueryCall {
            window,
            at,
            form: live.form,
            scalars: &given.scalars,
            options: given.options,
            keeps_name: live.keeps_name,
            delays_name_removal: self.options.features.delayed_name_removal,
        };
        let Some(elements) = source.subquery_windows(&call) else {
            return Ok(None);
        };
        self.hold(elements.len())?;
        self.unique(elements).map(Some)
    }
}

/// Returns the first instant of a grid after `at`.
fn next_instant(at: TimestampMs, step: DurationMs) -> TimestampMs {
    TimestampMs((at.0.div_euclid(step.0) + 1).saturating_mul(step.0))
}

/// Evaluates what is in a subquery at instants in order, each as if it were the only one, and
/// calls `visit` with what it comes to. Returns how many samples were read.
pub(in crate::eval) fn evaluate_points(
    expr: &Expr,
    source: &dyn Source,
    instants: &[TimestampMs],
    options: &EvalOptions,
    visit: &mut dyn FnMut(TimestampMs, Result<Vec<Element>, EvalError>),
) -> usize {
    let mut n_samples = 0;
    let mut interpreter = None;
    for at in instants {
        let query = QueryTimes {
            start: *at,
            end: *at,
            step: DurationMs::ZERO,
        };
        let mut current = interpreter
            .take()
            .unwrap_or_else(|| Interpreter::new(source, options, query));
        current.query = query;
        current.first_at = *at;
        current.n_held = 0;
        let before = current.counted.used;
        let inside = current.surroundings.needing_buckets();
        let elements = current.within(inside, |current| current.eval_point(expr, *at));
        n_samples += current.counted.used - before;
        // One that has failed has not put everything back in its place.
        interpreter = elements.is_ok().then_some(current);
        visit(*at, elements);
    }
    n_samples
}

/// Points of several instants, by series.
#[derive(Default)]
struct Collected {
    series: LabelsMap<RangeSeries<'static>>,
}

impl Collected {
    fn of(series: Vec<RangeSeries<'static>>) -> Self {
        let series = series.into_iter();
        Collected {
            series: series
                .map(|series| (series.labels.clone(), series))
                .collect(),
        }
    }

    fn add(&mut self, elements: Vec<Element>, at: TimestampMs) {
        for element in elements {
            let drop_name = element.drop_name;
            let entry = self.series.entry(element.labels);
            let series = entry.or_insert_with_key(|labels| RangeSeries {
                labels: labels.clone(),
                floats: Cow::default(),
                histograms: Vec::new(),
                starts: None,
                drop_name,
            });
            match element.value {
                SampleValue::Float(value) => series.floats.to_mut().push(FloatPoint { at, value }),
                SampleValue::Histogram(value) => {
                    series.histograms.push(HistogramPoint { at, value });
                }
            }
        }
    }
}

/// Forgets what samples say of resets: a subquery may leave out or repeat the sample that says
/// so.
pub(super) fn forget_reset_hints(range: &mut RangeVector<'_>) {
    let series = range.series.iter_mut();
    for point in series.flat_map(|series| &mut series.histograms) {
        let hint = point.value.counter_reset_hint;
        if matches!(hint, CounterResetHint::Reset | CounterResetHint::NotReset) {
            let mut changed = (*point.value).clone();
            changed.counter_reset_hint = CounterResetHint::Unknown;
            point.value = changed.into();
        }
    }
}
