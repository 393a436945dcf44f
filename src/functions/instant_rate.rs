//! `irate` and `idelta`: the change between the last two samples of a window.

use std::sync::Arc;

use crate::functions::FunctionError;
use crate::functions::annotation::{HistogramOperation, Remark};
use crate::functions::formula::{Window, WindowFunction};
use crate::model::{
    CounterResetHint, FloatHistogram, FloatPoint, HistogramPoint, Point, SampleValue,
};
use crate::windows::{HistogramEdges, LiveForm};

pub(super) static IRATE: WindowFunction = WindowFunction::new(
    "irate",
    "Returns the increase per second of a counter between the window's last two samples.",
    "irate(http_requests_total[5m])",
    |window| change(window, Kind::Rate),
)
.live(LiveForm::edges_of_any(
    |edges, _| rate_of_floats(edges.before_last()?, edges.last),
    |edges, _| {
        Ok(match last_two_of(edges) {
            Some(Pair::Floats(before, last)) => {
                rate_of_floats(before, last).map(SampleValue::Float)
            }
            Some(Pair::Histograms(before, last)) => {
                let goes_on = !last.value.detect_reset(&before.value);
                difference(goes_on.then_some(&before), &last).map(|mut change| {
                    change.divide((last.at - before.at).seconds());
                    SampleValue::Histogram(Arc::new(change))
                })
            }
            None => None,
        })
    },
));

pub(super) static IDELTA: WindowFunction = WindowFunction::new(
    "idelta",
    "Returns the change of a gauge between the window's last two samples.",
    "idelta(node_hwmon_temp_celsius[5m])",
    |window| change(window, Kind::Delta),
)
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.last.value - edges.before_last()?.value),
    |edges, _| {
        Ok(match last_two_of(edges) {
            Some(Pair::Floats(before, last)) => Some(SampleValue::Float(last.value - before.value)),
            Some(Pair::Histograms(before, last)) => {
                let change = difference(Some(&before), &last);
                change.map(|change| SampleValue::Histogram(Arc::new(change)))
            }
            None => None,
        })
    },
));

/// The last two samples of a window, where they are of one kind.
enum Pair {
    Floats(FloatPoint, FloatPoint),
    Histograms(HistogramPoint, HistogramPoint),
}

fn last_two_of(edges: &HistogramEdges<'_>) -> Option<Pair> {
    let (before, last) = (edges.before_last()?, edges.last()?);
    let (first_at, last_at) = (before.at, last.at);
    match (before.value, last.value) {
        (SampleValue::Float(before), SampleValue::Float(last)) => Some(Pair::Floats(
            FloatPoint {
                at: first_at,
                value: before,
            },
            FloatPoint {
                at: last_at,
                value: last,
            },
        )),
        (SampleValue::Histogram(before), SampleValue::Histogram(last)) => Some(Pair::Histograms(
            HistogramPoint {
                at: first_at,
                value: before,
            },
            HistogramPoint {
                at: last_at,
                value: last,
            },
        )),
        _ => None,
    }
}

fn rate_of_floats(before: FloatPoint, last: FloatPoint) -> Option<f64> {
    let seconds = (last.at - before.at).0 as f64 / 1000.0;
    let fell = last.value < before.value;
    let change = if fell {
        last.value
    } else {
        last.value - before.value
    };
    Some(change / seconds)
}

/// Returns a histogram less the one before, which is left out where the counter was reset;
/// `None` where their layouts differ.
fn difference(before: Option<&HistogramPoint>, last: &HistogramPoint) -> Option<FloatHistogram> {
    let mut change = FloatHistogram::clone(&last.value);
    if let Some(before) = before {
        change.subtract(&before.value).ok()?;
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    Some(change)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rate,
    Delta,
}

fn change(window: &mut Window<'_, '_>, kind: Kind) -> Result<Option<SampleValue>, FunctionError> {
    let Some([previous, last]) = last_two(window) else {
        return Ok(None);
    };
    let seconds = (last.at - previous.at).0 as f64 / 1000.0;
    if seconds == 0.0 {
        return Ok(None);
    }
    let began = window
        .counted(last.at)
        .began_after(window.counted(previous.at));
    Ok(match (previous.value, last.value) {
        (SampleValue::Float(previous), SampleValue::Float(last)) => {
            let was_reset = kind == Kind::Rate && (last < previous || began);
            let change = if was_reset { last } else { last - previous };
            Some(SampleValue::Float(match kind {
                Kind::Rate => change / seconds,
                Kind::Delta => change,
            }))
        }
        (SampleValue::Histogram(previous), SampleValue::Histogram(last)) => {
            let was_reset = kind == Kind::Rate && (began || last.detect_reset(&previous));
            histogram_change(window, kind, (&previous, &last, was_reset), seconds)
        }
        _ => {
            let metric = window.metric();
            window.remark(Remark::MixedFloatsHistograms { metric });
            None
        }
    })
}

fn last_two(window: &Window<'_, '_>) -> Option<[Point; 2]> {
    let floats = window.floats().iter().rev().take(2).map(|point| Point {
        at: point.at,
        value: SampleValue::Float(point.value),
    });
    let histograms = window.histograms().iter().rev().take(2).map(|point| Point {
        at: point.at,
        value: SampleValue::Histogram(Arc::clone(&point.value)),
    });
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    points.sort_by_key(|point| point.at);
    let last = points.pop()?;
    let previous = points.pop()?;
    Some([previous, last])
}

fn histogram_change(
    window: &mut Window<'_, '_>,
    kind: Kind,
    (previous, last, was_reset): (&FloatHistogram, &FloatHistogram, bool),
    seconds: f64,
) -> Option<SampleValue> {
    let metric = window.metric();
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if kind == Kind::Rate && (is_gauge(previous) || is_gauge(last)) {
        window.remark(Remark::HistogramNotCounter {
            metric: metric.clone(),
        });
    }
    if kind == Kind::Delta && !(is_gauge(previous) && is_gauge(last)) {
        window.remark(Remark::HistogramNotGauge {
            metric: metric.clone(),
        });
    }
    let mut change = last.clone();
    if !was_reset {
        match change.subtract(previous) {
            Err(_) => {
                window.remark(Remark::MixedExponentialCustomHistograms { metric });
                return None;
            }
            Ok(merged) if merged.bounds_reconciled => {
                let operation = HistogramOperation::Subtraction;
                window.remark(Remark::MismatchedCustomBuckets(operation));
            }
            Ok(_) => {}
        }
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    change.compact();
    if kind == Kind::Rate {
        change.divide(seconds);
    }
    Some(SampleValue::Histogram(Arc::new(change)))
}
