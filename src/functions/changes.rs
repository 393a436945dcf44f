//! `changes`: how often the value of a series changed within a window.

use crate::functions::formula::{Window, WindowFunction};
use crate::functions::resets::count_pairs;
use crate::model::{Point, SampleValue};
use crate::promql::ast::RangeMode;
use crate::windows::{self, Changes, LiveForm};

pub(super) static CHANGES: WindowFunction = WindowFunction::new(
    "changes",
    "Returns how often the value changed within the window.",
    "changes(process_start_time_seconds[1h])",
    |window| Ok(count_pairs(window, differ)),
)
.with_modes(&[RangeMode::Anchored])
.live(LiveForm::state(&windows::CHANGES, |held, _| {
    Ok(Some(held.get::<Changes>()?.count().into()))
}));

fn differ(_: &Window<'_, '_>, previous: &Point, point: &Point) -> bool {
    match (&previous.value, &point.value) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => !a.equals(b),
        _ => true,
    }
}
