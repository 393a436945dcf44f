//! Histograms of which only count and sum are asked for: `histogram_count`, `histogram_sum`,
//! `histogram_avg` over selectors.
//!
//! Their buckets are left out on reading. Since resets can then no longer be seen, they are
//! looked for first, sample by sample, and put down as hints, as Prometheus does; its warnings
//! about conflicting resets come from there.

use std::sync::Arc;

use crate::eval::interpret::Interpreter;
use crate::functions::{Element, RangeSeries};
use crate::model::{CounterResetHint, FloatHistogram, HistogramPoint, SampleValue, TimestampMs};
use crate::promql::ast::VectorSelector;

/// What the expressions around a selector make of its histograms.
#[derive(Clone, Copy, Default)]
pub(super) struct Surroundings {
    /// How many ask for count and sum.
    n_statistics: usize,
    /// How many need the buckets; one is enough.
    n_whole: usize,
}

impl Surroundings {
    /// Returns the surroundings of the arguments of a function.
    pub(super) fn inside_call(self, function: &str) -> Self {
        match function {
            "histogram_count" | "histogram_sum" | "histogram_avg" => Surroundings {
                n_statistics: self.n_statistics + 1,
                ..self
            },
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
                self.needing_buckets()
            }
            _ => self,
        }
    }

    /// Returns the surroundings inside a subquery, or beside a trim operator.
    pub(super) fn needing_buckets(self) -> Self {
        Surroundings {
            n_whole: self.n_whole + 1,
            ..self
        }
    }

    fn want_statistics_only(self) -> bool {
        self.n_statistics > 0 && self.n_whole == 0
    }
}

impl<'a> Interpreter<'a> {
    /// Reduces the histograms of a window. The sample at its open end is looked at, too.
    pub(super) fn reduce_window(
        &self,
        selector: &VectorSelector,
        series: &mut [RangeSeries<'_>],
        (after, until): (TimestampMs, TimestampMs),
    ) {
        let has_histograms = series.iter().any(|series| !series.histograms.is_empty());
        if !self.surroundings.want_statistics_only() || !has_histograms {
            return;
        }
        let before = TimestampMs(after.0.saturating_sub(1));
        let found = self.source.range(selector, before, until);
        for series in series {
            let wider = found.iter().find(|found| found.labels == series.labels);
            let Some(wider) = wider else {
                continue;
            };
            series.histograms = with_hints(&wider.histograms);
            series.histograms.retain(|point| point.at > after);
        }
    }

    /// Reduces the histograms of an instant vector.
    pub(super) fn reduce_elements(
        &self,
        selector: &VectorSelector,
        elements: &mut [Element],
        (after, until): (TimestampMs, TimestampMs),
    ) {
        let is_histogram = |element: &Element| element.value.as_float().is_none();
        if !self.surroundings.want_statistics_only() || !elements.iter().any(is_histogram) {
            return;
        }
        let says_nothing = |element: &Element| match &element.value {
            SampleValue::Histogram(h) => h.counter_reset_hint == CounterResetHint::Unknown,
            SampleValue::Float(_) => false,
        };
        let past = if elements.iter().any(says_nothing) {
            self.source.range(selector, after, until)
        } else {
            Vec::new()
        };
        for element in elements {
            let SampleValue::Histogram(histogram) = &element.value else {
                continue;
            };
            let mut reduced = statistics(histogram, histogram.counter_reset_hint);
            let of_series = past.iter().find(|series| series.labels == element.labels);
            let histograms = of_series.map_or(&[][..], |series| &series.histograms);
            if let Some(last) = with_hints(histograms).pop() {
                reduced.counter_reset_hint = last.value.counter_reset_hint;
            }
            element.value = SampleValue::Histogram(Arc::new(reduced));
        }
    }
}

/// Reduces histograms in order of time, each with the hint that follows from the one before.
fn with_hints(points: &[HistogramPoint]) -> Vec<HistogramPoint> {
    let mut previous: Option<&FloatHistogram> = None;
    let reduced = points.iter().map(|point| {
        let own = point.value.counter_reset_hint;
        let hint = match previous {
            Some(previous) if own == CounterResetHint::Unknown => {
                if point.value.detect_reset(previous) {
                    CounterResetHint::Reset
                } else {
                    CounterResetHint::NotReset
                }
            }
            _ => own,
        };
        let value = Arc::new(statistics(&point.value, hint));
        previous = Some(&point.value);
        HistogramPoint {
            at: point.at,
            value,
        }
    });
    reduced.collect()
}

fn statistics(histogram: &FloatHistogram, hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: hint,
        schema: histogram.schema,
        count: histogram.count,
        sum: histogram.sum,
        ..FloatHistogram::default()
    }
}
