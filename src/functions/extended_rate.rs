//! `rate`, `increase` and `delta` over `anchored` and `smoothed` windows, which reach beyond
//! their edges instead of extrapolating.
//!
//! An anchored window takes the last sample before its start as the value there; a smoothed one
//! interpolates at both edges.

use crate::functions::formula::Window;
use crate::functions::rate::Kind;
use crate::model::{FloatPoint, TimestampMs};
use crate::promql::ast::RangeMode;

/// Returns the change over the window, or `None` when nothing lies in it.
pub(super) fn extended_rate(window: &Window<'_, '_>, kind: &Kind) -> Option<f64> {
    let smoothed = window.mode == RangeMode::Smoothed;
    let span = EdgeValues::find(
        window.floats(),
        (window.start, window.end),
        smoothed,
        kind.is_counter,
    )?;
    if smoothed && window.floats()[span.first].at > window.end {
        return None;
    }
    let mut change = span.right - span.left;
    if kind.is_counter {
        let inside = span.inside(window.floats(), (window.start, window.end));
        change += reset_correction(span.left, span.right, inside);
    }
    if kind.per_second {
        change /= window.range_seconds();
    }
    Some(change)
}

/// Returns the samples inside a window with one at each edge; none when all lie before it.
pub fn cut_to_window(
    points: &[FloatPoint],
    (start, end): (TimestampMs, TimestampMs),
    smoothed: bool,
) -> Vec<FloatPoint> {
    let Some(edges) = EdgeValues::find(points, (start, end), smoothed, false) else {
        return Vec::new();
    };
    let edge = |at: TimestampMs, value: f64| FloatPoint { at, value };
    let mut out = vec![edge(start, edges.left)];
    out.extend_from_slice(edges.inside(points, (start, end)));
    out.push(edge(end, edges.right));
    out
}

/// Returns the value at `at` between the samples around it; after the last, the last value.
pub fn interpolated(points: &[FloatPoint], at: TimestampMs) -> Option<f64> {
    let next = points.partition_point(|point| point.at < at);
    match points.get(next) {
        Some(point) if point.at == at => Some(point.value),
        Some(point) => Some(interpolate(points[next.checked_sub(1)?], *point, at, false)),
        None => points.last().map(|point| point.value),
    }
}

/// The values at the edges of a window and the samples they come from.
struct EdgeValues {
    first: usize,
    last: usize,
    left: f64,
    right: f64,
}

impl EdgeValues {
    /// Finds the edge values of the window `edges` among samples that reach beyond it; `None`
    /// when all lie at or before the left edge.
    fn find(
        points: &[FloatPoint],
        (start, end): (TimestampMs, TimestampMs),
        smoothed: bool,
        is_counter: bool,
    ) -> Option<EdgeValues> {
        let mut last = points.len().checked_sub(1)?;
        let after_start = points[..last].partition_point(|point| point.at <= start);
        let first = after_start.saturating_sub(1);
        if smoothed {
            last = points[..last].partition_point(|point| point.at < end);
        }
        if points[last].at <= start {
            return None;
        }
        let left = if smoothed && points[first].at < start {
            interpolate(points[first], points[first + 1], start, is_counter)
        } else {
            points[first].value
        };
        let right = if smoothed && last > 0 && points[last].at > end {
            interpolate(points[last - 1], points[last], end, is_counter)
        } else {
            points[last].value
        };
        Some(EdgeValues {
            first,
            last,
            left,
            right,
        })
    }

    /// Returns the samples strictly inside the window.
    fn inside<'p>(
        &self,
        points: &'p [FloatPoint],
        (start, end): (TimestampMs, TimestampMs),
    ) -> &'p [FloatPoint] {
        let from = self.first + usize::from(points[self.first].at <= start);
        let to = self.last + usize::from(points[self.last].at < end);
        points.get(from..to).unwrap_or(&[])
    }
}

/// Returns the value at `at` on the line between two samples; a counter that fell between them
/// rises from zero.
fn interpolate(a: FloatPoint, b: FloatPoint, at: TimestampMs, is_counter: bool) -> f64 {
    let from = if is_counter && b.value < a.value {
        0.0
    } else {
        a.value
    };
    from + (b.value - from) * (at - a.at).0 as f64 / (b.at - a.at).0 as f64
}

fn reset_correction(left: f64, right: f64, inside: &[FloatPoint]) -> f64 {
    let mut correction = 0.0;
    let mut previous = left;
    for value in inside.iter().map(|point| point.value) {
        if value < previous {
            correction += previous;
        }
        previous = value;
    }
    if right < previous {
        correction += previous;
    }
    correction
}
