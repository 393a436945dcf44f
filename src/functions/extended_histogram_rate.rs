//! `rate`, `increase` and `delta` of native histograms over `anchored` and `smoothed` windows.
//!
//! As with floats, an anchored window takes the last sample before its start as the value there,
//! and a smoothed one interpolates at both edges.

use crate::functions::annotation::{HistogramOperation, Remark};
use crate::functions::formula::Window;
use crate::functions::rate::{Kind, add, subtract};
use crate::model::histogram::IncompatibleSchema;
use crate::model::{CounterResetHint, FloatHistogram, HistogramPoint, TimestampMs};
use crate::promql::ast::RangeMode;

/// Returns the change over the window, or `None` when nothing lies in it or, with a remark, when
/// layouts differ.
pub(super) fn extended_histogram_rate(
    window: &mut Window<'_, '_>,
    kind: &Kind,
) -> Option<FloatHistogram> {
    let smoothed = window.mode == RangeMode::Smoothed;
    let samples = window.histograms().to_vec();
    let mut last = samples.len().checked_sub(1)?;
    let after_start = samples[..last].partition_point(|point| point.at <= window.start);
    let first = after_start.saturating_sub(1);
    if smoothed {
        last = samples[..last].partition_point(|point| point.at < window.end);
    }
    if samples[last].at <= window.start || (smoothed && samples[first].at > window.end) {
        return None;
    }
    check_layouts(window, &samples[first..=last], kind)?;
    let (start, end) = (window.start, window.end);
    let left = match smoothed && samples[first].at < start {
        true => between(window, &samples[first..=first + 1], start, kind.is_counter)?,
        false => (*samples[first].value).clone(),
    };
    let right = match smoothed && last > 0 && samples[last].at > end {
        true => between(window, &samples[last - 1..=last], end, kind.is_counter)?,
        false => (*samples[last].value).clone(),
    };
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let are_gauges = is_gauge(&left) && is_gauge(&right);
    if !kind.is_counter && !are_gauges {
        let metric = window.metric();
        window.remark(Remark::HistogramNotGauge { metric });
    }
    let mut change = right.clone();
    subtract(window, &mut change, &left)?;
    if kind.is_counter {
        let crossed = smoothed && samples[first].at < start;
        let edges = (&left, &right);
        if let Some(lost) = lost_at_resets(window, &samples[first..=last], edges, crossed)? {
            add(window, &mut change, &lost)?;
        }
    }
    if kind.per_second {
        change.divide(window.range_seconds());
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    Some(change)
}

/// Remarks on gauges where a counter is wanted; `None` where layouts are mixed.
fn check_layouts(
    window: &mut Window<'_, '_>,
    samples: &[HistogramPoint],
    kind: &Kind,
) -> Option<()> {
    let uses_custom = samples[0].value.uses_custom_buckets();
    for sample in samples {
        let metric = window.metric();
        if sample.value.uses_custom_buckets() != uses_custom {
            window.remark(Remark::MixedExponentialCustomHistograms { metric });
            return None;
        }
        if kind.is_counter && sample.value.counter_reset_hint == CounterResetHint::Gauge {
            window.remark(Remark::HistogramNotCounter { metric });
        }
    }
    Some(())
}

fn between(
    window: &mut Window<'_, '_>,
    pair: &[HistogramPoint],
    at: TimestampMs,
    is_counter: bool,
) -> Option<FloatHistogram> {
    let mut reconciled = Vec::new();
    let value = interpolate_histograms(&pair[0], &pair[1], at, is_counter, &mut reconciled);
    for operation in reconciled {
        window.remark(Remark::MismatchedCustomBuckets(operation));
    }
    if value.is_err() {
        let metric = window.metric();
        window.remark(Remark::MixedExponentialCustomHistograms { metric });
    }
    value.ok()
}

/// Returns the histogram at `at` on the line between two samples; a counter that was reset
/// between them rises from zero. Operations that reconciled custom bounds are added to
/// `reconciled`.
pub fn interpolate_histograms(
    a: &HistogramPoint,
    b: &HistogramPoint,
    at: TimestampMs,
    is_counter: bool,
    reconciled: &mut Vec<HistogramOperation>,
) -> Result<FloatHistogram, IncompatibleSchema> {
    if at == a.at {
        return Ok((*a.value).clone());
    }
    let mut value = (*b.value).clone();
    if at == b.at {
        return Ok(value);
    }
    let part = (at - a.at).0 as f64 / (b.at - a.at).0 as f64;
    if is_counter && b.value.detect_reset(&a.value) {
        value.scale(part);
        return Ok(value);
    }
    if value.subtract(&a.value)?.bounds_reconciled {
        reconciled.push(HistogramOperation::Subtraction);
    }
    value.scale(part);
    if value.add(&a.value)?.bounds_reconciled {
        reconciled.push(HistogramOperation::Addition);
    }
    Ok(value)
}

/// Returns the sum of what was lost at the resets between the edges; the outer `None` where
/// layouts differ. `crossed`: the left edge lies between the first two samples.
fn lost_at_resets(
    window: &mut Window<'_, '_>,
    samples: &[HistogramPoint],
    (left, right): (&FloatHistogram, &FloatHistogram),
    crossed: bool,
) -> Option<Option<FloatHistogram>> {
    // The first sample is what `left` stands for, the last what `right` does.
    let (mut from, to) = (1, samples.len() - 1);
    let mut previous = left;
    if crossed && samples[1].value.detect_reset(&samples[0].value) {
        // Interpolating took account of this reset.
        previous = &samples[1].value;
        from = 2;
    }
    if from > to {
        return Some(None);
    }
    let mut lost: Option<FloatHistogram> = None;
    let inside = samples[from..to].iter().map(|sample| &*sample.value);
    for sample in inside.chain([right]) {
        if sample.detect_reset(previous) {
            match &mut lost {
                None => lost = Some(previous.clone()),
                Some(lost) => add(window, lost, previous)?,
            }
        }
        previous = sample;
    }
    Some(lost)
}
