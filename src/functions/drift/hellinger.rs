//! `drift_hellinger`: the Hellinger distance.
//!
//! ‖√p − √q‖₂ / √2, between 0 and 1. The form √(1 − Σ√(pq)) would lose half of the digits near 0.

use crate::functions::FunctionError;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static HELLINGER: DriftFunction = DriftFunction {
    name: "drift_hellinger",
    about: "Returns the Hellinger distance of two histograms, from 0 (alike) to 1 (nothing in \
            common). Option: label=LABEL.",
    example: "drift_hellinger(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w))",
    is_ordered: false,
    measure,
};

fn measure(_: &mut Options<'_>) -> Result<Measure, FunctionError> {
    Ok(Box::new(|bins| {
        let squares = bins.shares().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2));
        (squares.sum::<f64>() / 2.0).sqrt()
    }))
}
