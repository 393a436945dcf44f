//! `resets`: how often a counter fell within a window.

use std::sync::Arc;

use crate::functions::formula::{Window, WindowFunction};
use crate::model::{Point, SampleValue};
use crate::promql::ast::RangeMode;
use crate::windows::{LiveForm, NeedsSamples};

pub(super) static RESETS: WindowFunction = WindowFunction::new(
    "resets",
    "Returns how often a counter was reset within the window.",
    "resets(http_requests_total[1h])",
    |window| Ok(count_pairs(window, is_reset)),
)
.with_modes(&[RangeMode::Anchored])
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.n_resets() as f64),
    |edges, _| match edges.is_steady() {
        true => Ok(Some(SampleValue::Float(0.0))),
        false => Err(NeedsSamples),
    },
));

fn is_reset(window: &Window<'_, '_>, previous: &Point, point: &Point) -> bool {
    let began = || {
        let previous = window.counted(previous.at);
        window.counted(point.at).began_after(previous)
    };
    match (&previous.value, &point.value) {
        (SampleValue::Float(a), SampleValue::Float(b)) => b < a || began(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => began() || b.detect_reset(a),
        _ => true,
    }
}

/// Counts the neighbours in the window for which `holds`; `None` where there is no sample.
pub(super) fn count_pairs(
    window: &Window<'_, '_>,
    holds: fn(&Window<'_, '_>, &Point, &Point) -> bool,
) -> Option<SampleValue> {
    let points = in_order(window);
    let mut points = points.as_slice();
    if window.mode == RangeMode::Anchored {
        // The value at the start is that of the last sample at or before it.
        if points.last()?.at <= window.start {
            return None;
        }
        let before = points.partition_point(|point| point.at <= window.start);
        points = &points[before.saturating_sub(1)..];
    }
    let pairs = points.windows(2);
    let count = pairs
        .filter(|pair| holds(window, &pair[0], &pair[1]))
        .count();
    Some(SampleValue::Float(count as f64))
}

/// Returns floats and histograms merged by time.
fn in_order(window: &Window<'_, '_>) -> Vec<Point> {
    let floats = window.floats().iter().map(|point| Point {
        at: point.at,
        value: SampleValue::Float(point.value),
    });
    let histograms = window.histograms().iter().map(|point| Point {
        at: point.at,
        value: SampleValue::Histogram(Arc::clone(&point.value)),
    });
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    if !window.histograms().is_empty() {
        points.sort_by_key(|point| point.at);
    }
    points
}
