//! A detector over the samples of one window, from the boundary where [`crate::windows::Blocks`]
//! says that it begins: the plain loop.

use crate::functions::formula::Window;
use crate::model::TimestampMs;
use crate::windows::{Detector, first_boundary};

/// Returns what a detector has become by the floats of a window, but for those up to `since`;
/// `None` where it has seen none.
pub fn run<D: Detector>(mut detector: D, window: &Window<'_, '_>, since: TimestampMs) -> Option<D> {
    let begin = first_boundary(window.start, window.end - window.start).max(since);
    let points = window.floats();
    let seen = &points[points.partition_point(|point| point.at <= begin)..];
    seen.iter().for_each(|point| detector.take(*point));
    (!seen.is_empty()).then_some(detector)
}
