//! Sum and mean of the native histograms in a window.

use std::sync::Arc;

use crate::functions::annotation::{HistogramOperation, Remark};
use crate::functions::formula::Window;
use crate::model::SampleValue;
use crate::model::histogram::{HistogramMean, HistogramSum, Merged};

/// Returns the sum; `None` with a remark where the layouts cannot be added.
pub(super) fn total(window: &mut Window<'_, '_>) -> Option<SampleValue> {
    let (first, rest) = window.histograms().split_first()?;
    let mut sum = HistogramSum::new(&first.value);
    let added = rest.iter().try_for_each(|point| sum.add(&point.value));
    let seen = sum.seen();
    let result = sum.finish();
    finish(window, added.is_ok(), seen, result)
}

/// Returns the mean; `None` with a remark where the layouts cannot be added.
pub(super) fn average(window: &mut Window<'_, '_>) -> Option<SampleValue> {
    let (first, rest) = window.histograms().split_first()?;
    let mut mean = HistogramMean::new(&first.value);
    let added = rest.iter().try_for_each(|point| mean.add(&point.value));
    let seen = mean.seen();
    let result = mean.finish();
    finish(window, added.is_ok(), seen, result)
}

fn finish(
    window: &mut Window<'_, '_>,
    is_compatible: bool,
    seen: Merged,
    result: crate::model::FloatHistogram,
) -> Option<SampleValue> {
    if !is_compatible {
        let metric = window.metric();
        window.remark(Remark::MixedExponentialCustomHistograms { metric });
        return None;
    }
    if seen.counter_reset_collision {
        window.remark(Remark::CounterResetCollision(
            HistogramOperation::Aggregation,
        ));
    }
    if seen.bounds_reconciled {
        window.remark(Remark::MismatchedCustomBuckets(
            HistogramOperation::Aggregation,
        ));
    }
    Some(SampleValue::Histogram(Arc::new(result)))
}
