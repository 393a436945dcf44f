//! `smoothed` instant selectors: the value between the samples around the instant.

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::functions::{Element, RangeSeries, Remark, interpolate_histograms, interpolated};
use crate::model::{CounterResetHint, FloatHistogram, SampleValue, TimestampMs};
use crate::promql::ast::{Span, VectorSelector};

impl Interpreter<'_> {
    /// Returns each series' value between the samples around the instant; after the last
    /// sample, the last value.
    pub(super) fn smoothed_vector(
        &mut self,
        selector: &VectorSelector,
        span: Span,
        at: TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        let samples_at = self.resolve(selector.at, self.offset(&selector.offset)?, at);
        let lookback = self.options.lookback;
        let series = self.read(selector, samples_at - lookback, samples_at + lookback)?;
        let mut elements = Vec::new();
        for series in series {
            let value = if series.histograms.is_empty() {
                interpolated(&series.floats, samples_at).map(SampleValue::Float)
            } else if series.floats.is_empty() {
                self.histogram_between(&series, span, samples_at)
                    .map(|histogram| SampleValue::Histogram(histogram.into()))
            } else {
                let metric = series.labels.metric_name().to_owned();
                self.annotations
                    .add(Remark::MixedFloatsHistograms { metric }, span);
                None
            };
            elements.extend(value.map(|value| Element {
                labels: series.labels,
                value,
                at,
                drop_name: false,
            }));
        }
        Ok(elements)
    }

    fn histogram_between(
        &mut self,
        series: &RangeSeries<'_>,
        span: Span,
        at: TimestampMs,
    ) -> Option<FloatHistogram> {
        let samples = &series.histograms;
        let next = samples.partition_point(|point| point.at < at);
        if let Some(exact) = samples.get(next).filter(|point| point.at == at) {
            return Some((*exact.value).clone());
        }
        let before = &samples[next.checked_sub(1)?];
        let Some(after) = samples.get(next) else {
            // What is known of resets holds between two samples, not of a value carried on.
            return Some(FloatHistogram {
                counter_reset_hint: CounterResetHint::Unknown,
                ..(*before.value).clone()
            });
        };
        let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
        let is_counter = !(is_gauge(&before.value) && is_gauge(&after.value));
        let mut reconciled = Vec::new();
        let is_mixed = before.value.uses_custom_buckets() != after.value.uses_custom_buckets();
        let value = interpolate_histograms(before, after, at, is_counter, &mut reconciled);
        for operation in reconciled {
            let remark = Remark::MismatchedCustomBuckets(operation);
            self.annotations.add(remark, span);
        }
        if is_mixed || value.is_err() {
            let metric = series.labels.metric_name().to_owned();
            let remark = Remark::MixedExponentialCustomHistograms { metric };
            self.annotations.add(remark, span);
            return None;
        }
        value.ok()
    }
}
