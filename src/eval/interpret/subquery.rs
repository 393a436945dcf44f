//! Subqueries: an expression evaluated on a grid of absolute multiples of the step.

use std::borrow::Cow;

use crate::eval::interpret::{Interpreter, unexpected};
use crate::eval::{EvalError, NESTED_STEPS_FACTOR};
use crate::functions::{Argument, Element, RangeSeries, RangeVector};
use crate::model::{
    CounterResetHint, DurationMs, FloatPoint, HistogramPoint, Labels, LabelsMap, SampleValue,
    TimestampMs,
};
use crate::promql::ast::{RangeMode, Subquery};

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
        let range = self.positive(&subquery.range)?;
        let step = match &subquery.step {
            Some(step) => self.positive(step)?,
            None => DurationMs(self.options.default_step.0.max(1)),
        };
        let end = self.resolve(subquery.at, self.offset(&subquery.offset)?, at);
        let start = end - range;
        let step = if step.0 > 0 {
            step
        } else {
            self.options.default_step
        };
        let max = self.options.subquery_steps_max;
        if range.0 / step.0 > i64::try_from(max).unwrap_or(i64::MAX) {
            return Err(EvalError::TooManySteps { range, step, max });
        }
        let steps_around = self.n_steps_around;
        let n_steps = usize::try_from(range.0 / step.0).unwrap_or(0).max(1);
        let (steps, max) = (
            steps_around.saturating_mul(n_steps),
            max.saturating_mul(NESTED_STEPS_FACTOR),
        );
        if steps > max {
            return Err(EvalError::TooManyNestedSteps { steps, max });
        }
        self.n_steps_around = steps;
        let first = TimestampMs((start.0.div_euclid(step.0) + 1).saturating_mul(step.0));
        let mut collected = Collected::default();
        let was_range = std::mem::replace(&mut self.is_range, first != end);
        let outer_first = std::mem::replace(&mut self.first_at, first);
        let outer = self.reading;
        let mut point_at = first;
        while point_at <= end {
            self.reading = outer.in_subquery(subquery, (end, step), (first, point_at));
            match self.eval(&subquery.expr, point_at)? {
                Argument::Vector(elements) => collected.add(elements, point_at),
                Argument::Scalar(value) => collected.add(
                    vec![Element {
                        labels: Labels::empty(),
                        value: SampleValue::Float(value),
                        at: point_at,
                        drop_name: false,
                    }],
                    point_at,
                ),
                _ => return Err(unexpected("scalar or instant vector")),
            }
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
}

/// Points of several instants, by series.
#[derive(Default)]
struct Collected {
    series: LabelsMap<RangeSeries<'static>>,
}

impl Collected {
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
