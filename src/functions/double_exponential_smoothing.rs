//! `double_exponential_smoothing`: Holt's linear method over a window.

use crate::functions::FunctionError;
use crate::functions::formula::WindowFunction;
use crate::model::float::format_fixed;
use crate::model::{FloatPoint, SampleValue};
use crate::promql::ValueType;

pub(super) static DOUBLE_EXPONENTIAL_SMOOTHING: WindowFunction = WindowFunction::new(
    "double_exponential_smoothing",
    "Smooths the window with a smoothing factor for the level and one for the trend.",
    "double_exponential_smoothing(node_load1[1h], 0.5, 0.1)",
    |window| {
        let (level, trend) = (window.call.scalar(1), window.call.scalar(2));
        let check = |word: &str, short: &str, factor: f64| {
            if factor <= 0.0 || factor >= 1.0 {
                return Err(FunctionError(format!(
                    "invalid {word} factor. Expected: 0 < {short} < 1, got: {}",
                    format_fixed(factor, 6)
                )));
            }
            Ok(())
        };
        check("smoothing", "sf", level)?;
        check("trend", "tf", trend)?;
        if window.floats().len() < 2 {
            if window.floats().len() == 1 {
                window.remark_ignored_histograms();
            }
            return Ok(None);
        }
        window.remark_ignored_histograms();
        Ok(Some(SampleValue::Float(smooth(
            window.floats(),
            level,
            trend,
        ))))
    },
)
.with_args(&[ValueType::Matrix, ValueType::Scalar, ValueType::Scalar])
.experimental();

fn smooth(points: &[FloatPoint], level_factor: f64, trend_factor: f64) -> f64 {
    let mut previous = 0.0;
    let mut level = points[0].value;
    let mut trend = points[1].value - points[0].value;
    for (index, point) in points.iter().enumerate().skip(1) {
        let new = level_factor * point.value;
        if index > 1 {
            trend = trend_factor * (level - previous) + (1.0 - trend_factor) * trend;
        }
        let kept = (1.0 - level_factor) * (level + trend);
        (previous, level) = (level, new + kept);
    }
    level
}
