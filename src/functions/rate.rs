//! `rate`, `increase`, `delta`: the change over a window, extrapolated to its edges.
//!
//! Where the first or last sample is nearer to its edge than 1.1 times the mean distance of
//! samples, the series is taken to go on to the edge; else half a mean distance beyond the
//! sample. A counter is not extrapolated below zero. The order of operations is Prometheus'
//! `extrapolatedRate`, so that values agree bit for bit.

use std::sync::Arc;

use crate::functions::FunctionError;
use crate::functions::annotation::{HistogramOperation, Remark};
use crate::functions::extended_histogram_rate::extended_histogram_rate;
use crate::functions::extended_rate::extended_rate;
use crate::functions::formula::{Window, WindowFunction};
use crate::model::histogram::{IncompatibleSchema, Merged};
use crate::model::{
    CounterResetHint, FloatHistogram, FloatPoint, NO_START, SampleValue, TimestampMs,
};
use crate::promql::ast::RangeMode;
use crate::windows::{
    self, Extrapolation, Fixed, HistogramEdges, LiveArgs, LiveForm, LiveResult, NeedsSamples,
    Spacing,
};

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
.with_modes(MODES)
.live(LiveForm::line(
    live_increase,
    |spacing, args| Extrapolation::new(spacing, args, args.range_seconds()),
    |fixed, extrapolation| extrapolation.of_counter(fixed),
    |edges, args| extrapolated_histogram(edges, args, true, args.range_seconds()),
));

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
.with_modes(MODES)
.live(LiveForm::line(
    live_increase,
    |spacing, args| Extrapolation::new(spacing, args, 1.0),
    |fixed, extrapolation| extrapolation.of_counter(fixed),
    |edges, args| extrapolated_histogram(edges, args, true, 1.0),
));

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
.with_modes(MODES)
.live(LiveForm::line(
    |edges| (edges.last.value - edges.first.value, f64::NAN),
    |spacing, args| Extrapolation::new(spacing, args, 1.0),
    |fixed, extrapolation| extrapolation.of_gauge(fixed),
    |edges, args| extrapolated_histogram(edges, args, false, 1.0),
));

/// Which of the three.
pub(super) struct Kind {
    /// Whether a fall is a reset.
    pub is_counter: bool,
    /// Whether to divide by the window's length.
    pub per_second: bool,
}

/// Returns the increase over a window, last minus first with what was lost at each reset added in
/// order, and what the counter had at first.
fn live_increase(edges: &windows::Edges<'_>) -> (f64, f64) {
    let change = edges.last.value - edges.first.value;
    let change = edges.lost().fold(change, |change, lost| change + lost);
    // A counter is not taken to have been below zero.
    let since_zero = change > 0.0 && edges.first.value >= 0.0;
    let start = if since_zero {
        edges.first.value
    } else {
        f64::NAN
    };
    (change, start)
}

/// Returns the change of a histogram over a window in which it goes on from sample to sample, or
/// of which the first and the last sample say all.
fn extrapolated_histogram(
    edges: &HistogramEdges<'_>,
    args: &LiveArgs<'_>,
    is_counter: bool,
    per: f64,
) -> LiveResult<SampleValue> {
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
        return Ok(None);
    };
    let (first_at, last_at) = (first.at, last.at);
    let (SampleValue::Histogram(first), SampleValue::Histogram(last), true) =
        (first.value, last.value, edges.is_steady())
    else {
        return Err(NeedsSamples);
    };
    let mut change = FloatHistogram::clone(&last);
    if edges.n_samples() < 2 || change.subtract(&first).is_err() {
        return Ok(None);
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    let since_zero = is_counter && change.count > 0.0 && first.count >= 0.0;
    let fixed = Fixed {
        change: change.count,
        start: if since_zero { first.count } else { f64::NAN },
        spacing: Spacing {
            first: first_at,
            last: last_at,
            n_samples: u32::try_from(edges.n_samples()).unwrap_or(u32::MAX),
        },
    };
    let extrapolation = Extrapolation::new(&fixed.spacing, args, per);
    change.scale(extrapolation.factor_near_zero(&fixed).0 / per);
    Ok(Some(SampleValue::Histogram(Arc::new(change))))
}

fn change(window: &mut Window<'_, '_>, kind: &Kind) -> Result<Option<SampleValue>, FunctionError> {
    let is_plain = window.mode == RangeMode::Plain;
    let result = if !window.floats().is_empty() && !window.histograms().is_empty() {
        let metric = window.metric();
        window.remark(Remark::MixedFloatsHistograms { metric });
        None
    } else if window.floats().is_empty() {
        let change = match is_plain {
            true => histogram_change(window, kind),
            false => extended_histogram_rate(window, kind),
        };
        change.map(|h| SampleValue::Histogram(Arc::new(h)))
    } else {
        let change = match is_plain {
            true => float_change(window, kind),
            false => extended_rate(window, kind),
        };
        change.map(SampleValue::Float)
    };
    if kind.is_counter && matches!(result, Some(SampleValue::Float(_))) {
        remark_non_counter(window);
    }
    Ok(result)
}

fn remark_non_counter(window: &mut Window<'_, '_>) {
    let metric = window.metric_name();
    if window.call.features.type_and_unit_labels {
        let got = window.series.labels.value("__type__");
        if !metric.is_empty() && !matches!(got, "counter" | "histogram") {
            let (metric, got) = (window.metric(), got.to_owned());
            window.remark(Remark::PossibleNonCounterByType { metric, got });
        }
        return;
    }
    let endings = ["_total", "_sum", "_count", "_bucket"];
    if !metric.is_empty() && !endings.iter().any(|ending| metric.ends_with(ending)) {
        let metric = window.metric();
        window.remark(Remark::PossibleNonCounter { metric });
    }
}

fn float_change(window: &mut Window<'_, '_>, kind: &Kind) -> Option<f64> {
    let points = window.floats();
    let (first, last) = (*points.first()?, *points.last()?);
    let mut edges = Edges {
        first: first.at,
        last: last.at,
        n_samples: points.len(),
        start_part: None,
    };
    let mut change = if kind.is_counter {
        corrected_change(window)
    } else {
        last.value - first.value
    };
    if let Some(start) = zero_inside(window, first.at, kind) {
        change += first.value;
        return Some(change * edges.factor_from_zero(start, window, kind));
    }
    if edges.n_samples == 1 {
        return None;
    }
    // What the counter had at the first sample, as a part of its increase.
    edges.start_part =
        (kind.is_counter && change > 0.0 && first.value >= 0.0).then(|| first.value / change);
    Some(change * edges.factor(window, kind))
}

/// Returns last minus first, with what was lost at each reset added in order.
fn corrected_change(window: &mut Window<'_, '_>) -> f64 {
    if window.series.starts.is_some() {
        return corrected_change_by_starts(window);
    }
    let points = window.floats();
    let mut change = points[points.len() - 1].value - points[0].value;
    // Resets are rare: searching for the next takes half the time of asking at every sample.
    let mut rest = points;
    let is_reset = |pair: &[FloatPoint]| pair[1].value < pair[0].value;
    while let Some(last) = rest.windows(2).position(is_reset) {
        change += rest[last].value;
        rest = &rest[last + 1..];
    }
    change
}

/// The same where start timestamps tell of resets that no falling value shows.
fn corrected_change_by_starts(window: &mut Window<'_, '_>) -> f64 {
    let points = window.floats();
    let mut change = points[points.len() - 1].value - points[0].value;
    for pair in points.windows(2) {
        let fell = pair[1].value < pair[0].value;
        let previous = window.counted(pair[0].at);
        if fell || window.counted(pair[1].at).began_after(previous) {
            change += pair[0].value;
        }
    }
    let times: Vec<TimestampMs> = points.iter().map(|point| point.at).collect();
    remark_overlaps(window, &times);
    change
}

/// Returns the start timestamp of the first sample if it lies inside the window: the counter was
/// zero then.
fn zero_inside(window: &Window<'_, '_>, first: TimestampMs, kind: &Kind) -> Option<TimestampMs> {
    let start = window.counted(first).start;
    let is_inside = start != NO_START && start > window.start && start < first;
    (kind.is_counter && is_inside).then_some(start)
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
        let sampled = (self.last - self.first).0 as f64 / 1000.0;
        let mean_distance = self.mean_distance();
        if to_start >= mean_distance * 1.1 {
            to_start = mean_distance / 2.0;
        }
        if let Some(part) = self.start_part {
            let to_zero = sampled * part;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        self.extended(sampled, to_start, window, kind)
    }

    /// Does the same for a counter that was zero at `start`, inside the window: nothing is to be
    /// added before it.
    fn factor_from_zero(&self, start: TimestampMs, window: &Window<'_, '_>, kind: &Kind) -> f64 {
        let counted = (self.last - start).0 as f64 / 1000.0;
        self.extended(counted, 0.0, window, kind)
    }

    fn mean_distance(&self) -> f64 {
        let sampled = (self.last - self.first).0 as f64 / 1000.0;
        match self.n_samples {
            1 => 0.0,
            n => sampled / (n - 1) as f64,
        }
    }

    fn extended(&self, counted: f64, to_start: f64, window: &Window<'_, '_>, kind: &Kind) -> f64 {
        let mut to_end = (window.end - self.last).0 as f64 / 1000.0;
        let mean_distance = self.mean_distance();
        if to_end >= mean_distance * 1.1 {
            to_end = mean_distance / 2.0;
        }
        let mut factor = 1.0;
        if counted != 0.0 {
            factor = (counted + to_start + to_end) / counted;
        }
        if kind.per_second {
            factor /= window.range_seconds();
        }
        factor
    }
}

fn histogram_change(window: &mut Window<'_, '_>, kind: &Kind) -> Option<FloatHistogram> {
    let points = window.histograms();
    let (first, last) = (points.first()?.clone(), points.last()?.clone());
    let mut edges = Edges {
        first: first.at,
        last: last.at,
        n_samples: points.len(),
        start_part: None,
    };
    let mut change = match edges.n_samples {
        1 => None,
        _ => Some(histogram_difference(window, kind)?),
    };
    if let Some(start) = zero_inside(window, first.at, kind) {
        match &mut change {
            None => change = Some((*first.value).clone()),
            Some(change) => add(window, change, &first.value)?,
        }
        let mut change = change?;
        change.scale(edges.factor_from_zero(start, window, kind));
        return Some(change);
    }
    let mut change = change?;
    let applies = kind.is_counter && change.count > 0.0 && first.value.count >= 0.0;
    edges.start_part = applies.then(|| first.value.count / change.count);
    change.scale(edges.factor(window, kind));
    Some(change)
}

/// Adds `other` and remarks on what is to be said of it; `None` where layouts differ.
pub(super) fn add(
    window: &mut Window<'_, '_>,
    sum: &mut FloatHistogram,
    other: &FloatHistogram,
) -> Option<()> {
    let merged = sum.add(other);
    remark_merged(window, merged, HistogramOperation::Addition)
}

/// Does the same with a subtraction.
pub(super) fn subtract(
    window: &mut Window<'_, '_>,
    difference: &mut FloatHistogram,
    other: &FloatHistogram,
) -> Option<()> {
    let merged = difference.subtract(other);
    remark_merged(window, merged, HistogramOperation::Subtraction)
}

fn remark_merged(
    window: &mut Window<'_, '_>,
    merged: Result<Merged, IncompatibleSchema>,
    operation: HistogramOperation,
) -> Option<()> {
    match merged {
        Ok(merged) => {
            // Conflicting hints are expected here: resets are looked for by the caller.
            if merged.bounds_reconciled {
                window.remark(Remark::MismatchedCustomBuckets(operation));
            }
            Some(())
        }
        Err(IncompatibleSchema) => {
            let metric = window.metric();
            window.remark(Remark::MixedExponentialCustomHistograms { metric });
            None
        }
    }
}

/// Returns last minus first with resets corrected; `None` with a remark where layouts differ.
fn histogram_difference(window: &mut Window<'_, '_>, kind: &Kind) -> Option<FloatHistogram> {
    let samples = window.histograms().to_vec();
    let points: Vec<&FloatHistogram> = samples.iter().map(|sample| &*sample.value).collect();
    let metric = window.metric();
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let (first, last) = (points[0], points[points.len() - 1]);
    let began = |window: &Window<'_, '_>, index: usize| {
        let previous = window.counted(samples[index - 1].at);
        window.counted(samples[index].at).began_after(previous)
    };
    let mut lost = None;
    if kind.is_counter && (began(window, 1) || points[1].detect_reset(first)) {
        // The first sample's layout does not matter when its counts are lost anyway.
        lost = Some(FloatHistogram {
            schema: points[1].schema,
            custom_values: points[1].custom_values.clone(),
            ..FloatHistogram::default()
        });
    }
    let baseline = lost.as_ref().unwrap_or(first);
    let uses_custom = baseline.uses_custom_buckets();
    let is_other = |point: &&FloatHistogram| point.uses_custom_buckets() != uses_custom;
    let between = if kind.is_counter {
        &points[1..points.len() - 1]
    } else {
        &[]
    };
    let ends_differ = is_other(&last);
    let is_mixed = ends_differ || between.iter().any(is_other);
    let is_remarked = match (is_mixed, ends_differ) {
        (false, _) => points.iter().any(|point| is_gauge(point)),
        // What is mixed between the ends is all there is to say.
        (true, ends_differ) => ends_differ && (is_gauge(first) || is_gauge(last)),
    };
    if kind.is_counter && is_remarked {
        window.remark(Remark::HistogramNotCounter {
            metric: metric.clone(),
        });
    }
    if is_mixed {
        window.remark(Remark::MixedExponentialCustomHistograms { metric });
        return None;
    }
    let schemas = between.iter().map(|point| point.schema);
    let schema = schemas.fold(last.schema.min(baseline.schema), i32::min);
    let mut change = last.to_schema(schema);
    subtract(window, &mut change, baseline)?;
    if kind.is_counter {
        let mut previous = baseline;
        for (index, point) in (1..).zip(&points[1..]) {
            if began(window, index) || point.detect_reset(previous) {
                add(window, &mut change, previous)?;
            }
            previous = point;
        }
        let times: Vec<TimestampMs> = samples.iter().map(|sample| sample.at).collect();
        remark_overlaps(window, &times);
    } else if !is_gauge(first) || !is_gauge(last) {
        window.remark(Remark::HistogramNotGauge { metric });
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    Some(change)
}

/// Warns when a sample claims to have been counting before the one before it was taken.
fn remark_overlaps(window: &mut Window<'_, '_>, times: &[TimestampMs]) {
    let overlaps = |pair: &[TimestampMs]| {
        let (previous, sample) = (window.counted(pair[0]), window.counted(pair[1]));
        sample.overlaps(previous)
    };
    if window.series.starts.is_some() && times.windows(2).any(overlaps) {
        let metric = window.metric();
        window.remark(Remark::StartTimeOverlap { metric, n: 1 });
    }
}
