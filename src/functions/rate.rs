//! `rate`, `increase`, `delta`: the change over a window, extrapolated to its edges.
//!
//! Where the first or last sample is nearer to its edge than 1.1 times the mean distance of
//! samples, the series is taken to go on to the edge; else half a mean distance beyond the
//! sample. A counter is not extrapolated below zero. The order of operations is Prometheus'
//! `extrapolatedRate`, so that values agree bit for bit.

use std::sync::Arc;

use crate::functions::FunctionError;
use crate::functions::annotation::{HistogramOperation, Remark};
use crate::functions::extended_rate::extended_rate;
use crate::functions::formula::{Window, WindowFunction};
use crate::model::{CounterResetHint, FloatHistogram, FloatPoint, SampleValue, TimestampMs};
use crate::promql::ast::RangeMode;

const MODES: &[RangeMode] = &[RangeMode::Anchored, RangeMode::Smoothed];

pub(super) static RATE: WindowFunction = WindowFunction::new(
    "rate",
    "Returns the increase per second of a counter over the window.",
    "rate(http_requests_total[5m])",
    |window| {
        change(
            window,
            &Kind {
                is_counter: true,
                per_second: true,
            },
        )
    },
)
.with_modes(MODES);

pub(super) static INCREASE: WindowFunction = WindowFunction::new(
    "increase",
    "Returns the increase of a counter over the window.",
    "increase(http_requests_total[5m])",
    |window| {
        change(
            window,
            &Kind {
                is_counter: true,
                per_second: false,
            },
        )
    },
)
.with_modes(MODES);

pub(super) static DELTA: WindowFunction = WindowFunction::new(
    "delta",
    "Returns the change of a gauge over the window.",
    "delta(node_hwmon_temp_celsius[2h])",
    |window| {
        change(
            window,
            &Kind {
                is_counter: false,
                per_second: false,
            },
        )
    },
)
.with_modes(MODES);

/// Which of the three.
pub(super) struct Kind {
    /// Whether a fall is a reset.
    pub is_counter: bool,
    /// Whether to divide by the window's length.
    pub per_second: bool,
}

fn change(window: &mut Window<'_, '_>, kind: &Kind) -> Result<Option<SampleValue>, FunctionError> {
    let result = if window.mode != RangeMode::Plain {
        extended_rate(window, kind).map(SampleValue::Float)
    } else if !window.floats().is_empty() && !window.histograms().is_empty() {
        let metric = window.metric();
        window.remark(Remark::MixedFloatsHistograms { metric });
        None
    } else if window.floats().is_empty() {
        histogram_change(window, kind).map(|h| SampleValue::Histogram(Arc::new(h)))
    } else {
        float_change(window, kind).map(SampleValue::Float)
    };
    if kind.is_counter && matches!(result, Some(SampleValue::Float(_))) {
        remark_non_counter(window);
    }
    Ok(result)
}

fn remark_non_counter(window: &mut Window<'_, '_>) {
    let metric = window.metric_name();
    let endings = ["_total", "_sum", "_count", "_bucket"];
    if !metric.is_empty() && !endings.iter().any(|ending| metric.ends_with(ending)) {
        let metric = window.metric();
        window.remark(Remark::PossibleNonCounter { metric });
    }
}

fn float_change(window: &Window<'_, '_>, kind: &Kind) -> Option<f64> {
    let points = window.floats();
    let [first, .., last] = points else {
        return None;
    };
    let mut change = last.value - first.value;
    if kind.is_counter {
        change = corrected_change(points);
    }
    let edges = Edges {
        first: first.at,
        last: last.at,
        n_samples: points.len(),
        // What the counter had at the first sample, as a part of its increase.
        start_part: (kind.is_counter && change > 0.0 && first.value >= 0.0)
            .then(|| first.value / change),
    };
    Some(change * edges.factor(window, kind))
}

/// Returns last minus first, with what was lost at each reset added in order.
fn corrected_change(points: &[FloatPoint]) -> f64 {
    let mut change = points[points.len() - 1].value - points[0].value;
    for pair in points.windows(2) {
        if pair[1].value < pair[0].value {
            change += pair[0].value;
        }
    }
    change
}

/// Where the samples lie in the window.
struct Edges {
    first: TimestampMs,
    last: TimestampMs,
    n_samples: usize,
    start_part: Option<f64>,
}

impl Edges {
    /// Returns what the change between first and last sample is to be multiplied by.
    fn factor(&self, window: &Window<'_, '_>, kind: &Kind) -> f64 {
        let mut to_start = (self.first - window.start).0 as f64 / 1000.0;
        let mut to_end = (window.end - self.last).0 as f64 / 1000.0;
        let sampled = (self.last - self.first).0 as f64 / 1000.0;
        let mean_distance = sampled / (self.n_samples - 1) as f64;
        let threshold = mean_distance * 1.1;
        if to_start >= threshold {
            to_start = mean_distance / 2.0;
        }
        if let Some(part) = self.start_part {
            let to_zero = sampled * part;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        if to_end >= threshold {
            to_end = mean_distance / 2.0;
        }
        let mut factor = (sampled + to_start + to_end) / sampled;
        if kind.per_second {
            factor /= window.range_seconds();
        }
        factor
    }
}

fn histogram_change(window: &mut Window<'_, '_>, kind: &Kind) -> Option<FloatHistogram> {
    if window.histograms().len() < 2 {
        return None;
    }
    let mut change = histogram_difference(window, kind)?;
    let points = window.histograms();
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let applies = kind.is_counter && change.count > 0.0 && first.value.count >= 0.0;
    let edges = Edges {
        first: first.at,
        last: last.at,
        n_samples: points.len(),
        start_part: applies.then(|| first.value.count / change.count),
    };
    change.scale(edges.factor(window, kind));
    Some(change)
}

/// Returns last minus first with resets corrected; `None` with a remark where layouts differ.
fn histogram_difference(window: &mut Window<'_, '_>, kind: &Kind) -> Option<FloatHistogram> {
    let points: Vec<Arc<FloatHistogram>> = window
        .histograms()
        .iter()
        .map(|point| Arc::clone(&point.value))
        .collect();
    let metric = window.metric();
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let (first, last) = (&points[0], &points[points.len() - 1]);
    if kind.is_counter && points.iter().any(|point| is_gauge(point)) {
        window.remark(Remark::HistogramNotCounter {
            metric: metric.clone(),
        });
    }
    let mut baseline = Arc::clone(first);
    if kind.is_counter && points[1].detect_reset(first) {
        // The first sample's layout does not matter when its counts are lost anyway.
        baseline = Arc::new(FloatHistogram {
            schema: points[1].schema,
            custom_values: points[1].custom_values.clone(),
            ..FloatHistogram::default()
        });
    }
    let uses_custom = baseline.uses_custom_buckets();
    let between = if kind.is_counter {
        &points[1..]
    } else {
        &points[points.len() - 1..]
    };
    if between
        .iter()
        .any(|point| point.uses_custom_buckets() != uses_custom)
    {
        window.remark(Remark::MixedExponentialCustomHistograms { metric });
        return None;
    }
    let mut schema = last.schema.min(baseline.schema);
    if kind.is_counter {
        schema = between
            .iter()
            .map(|point| point.schema)
            .fold(schema, i32::min);
    }
    let mut change = last.to_schema(schema);
    // Conflicting hints are expected here: resets are looked for below.
    let merged = change.subtract(&baseline).ok()?;
    if merged.bounds_reconciled {
        window.remark(Remark::MismatchedCustomBuckets(
            HistogramOperation::Subtraction,
        ));
    }
    if kind.is_counter {
        let mut previous = &baseline;
        for point in &points[1..] {
            if point.detect_reset(previous) {
                let merged = change.add(previous).ok()?;
                if merged.bounds_reconciled {
                    let operation = HistogramOperation::Addition;
                    window.remark(Remark::MismatchedCustomBuckets(operation));
                }
            }
            previous = point;
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        window.remark(Remark::HistogramNotGauge { metric });
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    Some(change)
}
