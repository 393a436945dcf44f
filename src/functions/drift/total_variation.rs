//! `drift_total_variation`: the share of observations that would have to change their bin.
//!
//! Σ |p − q| / 2, between 0 and 1.

use crate::functions::FunctionError;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static TOTAL_VARIATION: DriftFunction = DriftFunction {
    name: "drift_total_variation",
    about: "Returns the total variation distance of two histograms: the share that would have to \
            change its bucket. Option: label=LABEL.",
    example: "drift_total_variation(sum by (class) (rate(predictions_total[1h])), \
              sum by (class) (rate(predictions_total[1h] offset 1w)), \"label=class\")",
    is_ordered: false,
    measure,
};

fn measure(_: &mut Options<'_>) -> Result<Measure, FunctionError> {
    Ok(Box::new(|bins| {
        let differences = bins.shares().map(|(p, q)| (p - q).abs());
        differences.sum::<f64>() / 2.0
    }))
}
