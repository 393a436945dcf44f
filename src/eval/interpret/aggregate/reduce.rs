//! `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar`, `quantile`: one value for
//! each group.
//!
//! Floats are summed with compensation, and the mean goes over to an incremental one where the
//! sum would overflow, in Prometheus' order of operations.

use std::sync::Arc;

use crate::eval::interpret::Interpreter;
use crate::eval::interpret::aggregate::Groups;
use crate::functions::quantile::quantile;
use crate::functions::{Annotations, Element, HistogramOperation, Remark};
use crate::model::histogram::{HistogramMean, HistogramSum, Merged};
use crate::model::kahan::{KahanMean, KahanSum};
use crate::model::{FloatHistogram, SampleValue, TimestampMs};
use crate::promql::ast::{Aggregate, AggregateOp, Span};

impl Interpreter<'_> {
    /// Reduces each group to one element; `q` is the parameter of `quantile`.
    pub(super) fn reduce(
        &mut self,
        aggregate: &Aggregate,
        q: f64,
        elements: Vec<Element>,
        at: TimestampMs,
    ) -> Vec<Element> {
        let place = crate::functions::call::plain(&aggregate.expr).span;
        if aggregate.op == AggregateOp::Quantile && (q.is_nan() || !(0.0..=1.0).contains(&q)) {
            let parameter = aggregate.parameter.as_ref();
            let place = parameter.map_or(place, |p| crate::functions::call::plain(p).span);
            self.annotations
                .add_parameter(Remark::InvalidQuantile(q), place);
        }
        let mut keys = self.of_aggregations.take(aggregate);
        let mut groups: Groups<Group> = Groups::new(aggregate, &mut keys);
        for element in elements {
            let group = groups.find_or_insert(&element.labels, || Group::new(aggregate.op));
            group.drop_name |= element.drop_name;
            group.add(aggregate.op, &element, place, &mut self.annotations);
        }
        let mut out = Vec::with_capacity(groups.groups.len());
        for (labels, group) in groups.finish() {
            let drop_name = group.drop_name;
            if let Some(value) = group.finish(q, place, &mut self.annotations) {
                out.push(Element {
                    labels,
                    value,
                    at,
                    drop_name,
                });
            }
        }
        self.of_aggregations.put(aggregate, keys);
        out
    }
}

/// What a group has seen.
pub(in crate::eval) struct Group {
    state: State,
    drop_name: bool,
}

enum State {
    Sum(Total<KahanSum, HistogramSum>),
    Mean(Total<KahanMean, HistogramMean>),
    Count(f64),
    Present,
    Extreme(AggregateOp, Option<f64>),
    Variance(AggregateOp, Variance),
    Quantile(Vec<f64>),
}

/// A sum or mean of floats or of histograms; a mix has none.
struct Total<F, H> {
    floats: Option<F>,
    /// Boxed, so that groups of floats lie close together.
    histograms: Option<Box<H>>,
    /// Exponential and custom buckets came together: there is no result.
    is_incompatible: bool,
    /// A float came before the first histogram: there is no result, so the histograms' layouts
    /// are not looked at.
    started_with_float: bool,
}

impl<F, H> Default for Total<F, H> {
    fn default() -> Self {
        Total {
            floats: None,
            histograms: None,
            is_incompatible: false,
            started_with_float: false,
        }
    }
}

impl Group {
    /// Returns a group that has seen nothing.
    pub fn new(op: AggregateOp) -> Self {
        let state = match op {
            AggregateOp::Sum => State::Sum(Total::default()),
            AggregateOp::Avg => State::Mean(Total::default()),
            AggregateOp::Count => State::Count(0.0),
            AggregateOp::Min | AggregateOp::Max => State::Extreme(op, None),
            AggregateOp::Stddev | AggregateOp::Stdvar => State::Variance(op, Variance::default()),
            AggregateOp::Quantile => State::Quantile(Vec::new()),
            _ => State::Present,
        };
        Group {
            state,
            drop_name: false,
        }
    }

    fn add(
        &mut self,
        op: AggregateOp,
        element: &Element,
        place: Span,
        annotations: &mut Annotations,
    ) {
        match element.value.as_float() {
            Some(value) => self.add_float(value),
            None => self.add_histogram(op, element, place, annotations),
        }
    }

    /// Adds a float.
    #[inline]
    pub fn add_float(&mut self, value: f64) {
        match &mut self.state {
            // What is asked for most.
            State::Sum(Total {
                floats: Some(sum),
                is_incompatible: false,
                ..
            }) => *sum = sum.plus(value),
            _ => self.add_other_float(value),
        }
    }

    /// Adds a float to anything but a sum that has begun.
    fn add_other_float(&mut self, value: f64) {
        match &mut self.state {
            State::Sum(total) if !total.is_incompatible => {
                total.floats = Some(KahanSum::new(value));
            }
            State::Mean(total) if !total.is_incompatible => match &mut total.floats {
                Some(mean) => mean.add(value),
                None => total.floats = Some(KahanMean::new(value)),
            },
            State::Sum(_) | State::Mean(_) | State::Present => {}
            State::Count(count) => *count += 1.0,
            State::Extreme(op, best) => {
                let better = |best: f64| match op {
                    AggregateOp::Max => best < value,
                    _ => best > value,
                };
                if best.is_none_or(|best| better(best) || best.is_nan()) {
                    *best = Some(value);
                }
            }
            State::Variance(_, variance) => variance.add(value),
            State::Quantile(values) => values.push(value),
        }
    }

    fn add_histogram(
        &mut self,
        op: AggregateOp,
        element: &Element,
        place: Span,
        annotations: &mut Annotations,
    ) {
        let SampleValue::Histogram(histogram) = &element.value else {
            return;
        };
        let added = match &mut self.state {
            State::Sum(total) => {
                total.add_histogram(histogram, HistogramSum::new, |sum, h| sum.add(h).is_ok())
            }
            State::Mean(total) => {
                total.add_histogram(histogram, HistogramMean::new, |mean, h| mean.add(h).is_ok())
            }
            State::Count(count) => {
                *count += 1.0;
                true
            }
            State::Present => true,
            State::Extreme(..) | State::Variance(..) | State::Quantile(_) => {
                let aggregation = op.name();
                let remark = Remark::HistogramIgnoredInAggregation { aggregation };
                annotations.add(remark, place);
                true
            }
        };
        if !added {
            let metric = element.labels.metric_name().to_owned();
            annotations.add(Remark::MixedExponentialCustomHistograms { metric }, place);
        }
    }

    /// Returns what the group comes to.
    pub fn finish(self, q: f64, place: Span, annotations: &mut Annotations) -> Option<SampleValue> {
        let value = match self.state {
            State::Sum(total) => {
                let seen = total.histograms.as_deref().map(HistogramSum::seen);
                return total.finish(
                    (KahanSum::value, |sum| sum.finish()),
                    seen,
                    place,
                    annotations,
                );
            }
            State::Mean(total) => {
                let seen = total.histograms.as_deref().map(HistogramMean::seen);
                return total.finish(
                    (|mean| mean.value(), |mean| mean.finish()),
                    seen,
                    place,
                    annotations,
                );
            }
            State::Count(count) => count,
            State::Present => 1.0,
            State::Extreme(_, best) => best?,
            State::Variance(op, variance) => match op {
                AggregateOp::Stddev => variance.value()?.sqrt(),
                _ => variance.value()?,
            },
            State::Quantile(values) if values.is_empty() => return None,
            State::Quantile(mut values) => quantile(q, &mut values),
        };
        Some(SampleValue::Float(value))
    }
}

impl<F, H> Total<F, H> {
    /// Adds a histogram; `false` when its layout does not go with the others'.
    fn add_histogram(
        &mut self,
        histogram: &FloatHistogram,
        new: impl Fn(&FloatHistogram) -> H,
        add: impl Fn(&mut H, &FloatHistogram) -> bool,
    ) -> bool {
        if self.is_incompatible {
            return true;
        }
        match &mut self.histograms {
            None => {
                self.started_with_float = self.floats.is_some();
                self.histograms = Some(Box::new(new(histogram)));
            }
            Some(_) if self.started_with_float => {}
            Some(total) => self.is_incompatible = !add(total, histogram),
        }
        !self.is_incompatible
    }

    fn finish(
        self,
        (float, histogram): (impl Fn(F) -> f64, impl Fn(&H) -> FloatHistogram),
        seen: Option<Merged>,
        place: Span,
        annotations: &mut Annotations,
    ) -> Option<SampleValue> {
        let seen = seen.unwrap_or_default();
        if seen.bounds_reconciled {
            let operation = HistogramOperation::Aggregation;
            annotations.add(Remark::MismatchedCustomBuckets(operation), place);
        }
        let value = match (self.floats, self.histograms) {
            (Some(_), Some(_)) => {
                annotations.add(Remark::MixedFloatsHistogramsInAggregation, place);
                return None;
            }
            _ if self.is_incompatible => return None,
            (Some(total), None) => SampleValue::Float(float(total)),
            (None, Some(total)) => {
                let mut total = histogram(&total);
                total.compact();
                SampleValue::Histogram(Arc::new(total))
            }
            (None, None) => return None,
        };
        if seen.counter_reset_collision {
            let operation = HistogramOperation::Aggregation;
            annotations.add(Remark::CounterResetCollision(operation), place);
        }
        Some(value)
    }
}

/// Welford's variance. Prometheus starts it from the first value instead of from zero.
#[derive(Default)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.squares / self.count)
    }
}
