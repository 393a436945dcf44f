//! `deriv` and `predict_linear`: the line of least squares through a window.

use crate::functions::formula::{Window, WindowFunction};
use crate::model::kahan::KahanSum;
use crate::model::{FloatPoint, SampleValue, TimestampMs};
use crate::promql::ValueType;
use crate::windows::{self, Line, LiveForm, NeedsSamples};

pub(super) static DERIV: WindowFunction = WindowFunction::new(
    "deriv",
    "Returns the slope per second of the line of least squares through the window.",
    "deriv(node_filesystem_avail_bytes[1h])",
    |window| {
        // Times near the origin lose less to rounding.
        let line = line(window, |window| window.floats()[0].at);
        Ok(line.map(|(slope, _)| SampleValue::Float(slope)))
    },
)
.live(LiveForm::state_of_floats(&windows::LINE, |held, _| {
    let first = held.inside.first().ok_or(NeedsSamples)?;
    let line = held.get::<Line>()?.through(first, first.at)?;
    Ok(line.map(|(slope, _)| slope))
}));

pub(super) static PREDICT_LINEAR: WindowFunction = WindowFunction::new(
    "predict_linear",
    "Returns what the line of least squares through the window comes to in some seconds.",
    "predict_linear(node_filesystem_avail_bytes[1h], 4 * 3600) < 0",
    |window| {
        let line = line(window, |window| window.call.at);
        let ahead = window.call.scalar(1);
        Ok(line.map(|(slope, intercept)| SampleValue::Float(slope * ahead + intercept)))
    },
)
.with_args(&[ValueType::Matrix, ValueType::Scalar])
.live(LiveForm::state_over_time(&windows::LINE, |held, args| {
    let first = held.inside.first().ok_or(NeedsSamples)?;
    let ahead = args.scalars.first().copied().unwrap_or(f64::NAN);
    let line = held.get::<Line>()?.through(first, args.at)?;
    Ok(line.map(|(slope, intercept)| slope * ahead + intercept))
}));

/// Returns the line through a window of at least two floats, as [`linear_regression`] does.
fn line(
    window: &mut Window<'_, '_>,
    origin: fn(&Window<'_, '_>) -> TimestampMs,
) -> Option<(f64, f64)> {
    if !window.floats().is_empty() {
        window.remark_ignored_histograms();
    }
    (window.floats().len() >= 2).then(|| linear_regression(window.floats(), origin(window)))
}

/// Returns slope per second, and value at `origin`, of the line of least squares.
pub(super) fn linear_regression(points: &[FloatPoint], origin: TimestampMs) -> (f64, f64) {
    let first = points[0].value;
    let mut is_constant = true;
    let mut n = 0.0;
    let [mut x_sum, mut y_sum, mut xy_sum, mut x2_sum] = [KahanSum::default(); 4];
    for (index, point) in points.iter().enumerate() {
        if is_constant && index > 0 && point.value != first {
            is_constant = false;
        }
        n += 1.0;
        let x = (point.at.0 - origin.0) as f64 / 1e3;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(point.value);
        xy_sum = xy_sum.plus(x * point.value);
        x2_sum = x2_sum.plus(x * x);
    }
    if is_constant {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let (x, y, xy, x2) = (x_sum.value(), y_sum.value(), xy_sum.value(), x2_sum.value());
    let covariance = xy - x * y / n;
    let variance = x2 - x * x / n;
    let slope = covariance / variance;
    let intercept = y / n - slope * x / n;
    (slope, intercept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let point = |seconds: i64, value: f64| FloatPoint {
            at: TimestampMs(seconds * 1000),
            value,
        };
        let check = |points: &[FloatPoint], expected: (f64, f64)| {
            assert_eq!(linear_regression(points, TimestampMs(0)), expected);
        };
        check(
            &[point(0, 1.0), point(10, 21.0), point(20, 41.0)],
            (2.0, 1.0),
        );
        check(&[point(0, 3.0), point(10, 3.0)], (0.0, 3.0));
    }
}
