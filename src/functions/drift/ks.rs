//! `drift_ks`: the Kolmogorov-Smirnov statistic.
//!
//! D = max |F(x) − G(x)| over the bounds that both have. Between bounds the distance may be
//! larger, so this is a lower bound of the statistic of the observations themselves.

use crate::functions::FunctionError;
use crate::functions::bins::Bins;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static KS: DriftFunction = DriftFunction {
    name: "drift_ks",
    about: "Returns the Kolmogorov-Smirnov statistic of two histograms: the largest distance of \
            their cumulative shares.",
    example: "drift_ks(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w))",
    is_ordered: true,
    measure,
};

fn measure(_: &mut Options<'_>) -> Result<Measure, FunctionError> {
    Ok(Box::new(|bins| statistic(bins)))
}

/// Returns the largest distance of the cumulative shares.
pub(super) fn statistic(bins: &Bins) -> f64 {
    let (mut reference, mut current, mut largest) = (0.0, 0.0, 0.0f64);
    for bin in bins.filled() {
        reference += bin.reference;
        current += bin.current;
        let difference = reference / bins.reference_total - current / bins.current_total;
        largest = largest.max(difference.abs());
    }
    largest
}
