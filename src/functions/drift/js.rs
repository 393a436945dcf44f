//! `drift_js`: the Jensen-Shannon divergence, or its square root, which is a distance.
//!
//! JS = (D(p ‖ m) + D(q ‖ m)) / 2, m = (p + q) / 2. It is symmetric, needs no smoothing, and is at
//! most ln 2, or 1 with base 2.

use crate::functions::FunctionError;
use crate::functions::drift::kl::divergence;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static JS: DriftFunction = DriftFunction {
    name: "drift_js",
    about: "Returns the Jensen-Shannon divergence of two histograms, or its square root. Options: \
            base=e|2, output=divergence|distance, label=LABEL.",
    example: "drift_js(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w), \"base=2,output=distance\")",
    is_ordered: false,
    measure,
};

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let unit = options.choice("base", &[("e", 1.0), ("2", std::f64::consts::LN_2)])?;
    let is_distance = options.choice("output", &[("divergence", false), ("distance", true)])?;
    Ok(Box::new(move |bins| {
        let to_mean = |of: fn((f64, f64)) -> f64| {
            divergence(bins.shares().map(|(p, q)| ((p + q) / 2.0, of((p, q)))))
        };
        let js = (to_mean(|shares| shares.0) + to_mean(|shares| shares.1)) / 2.0 / unit;
        if is_distance { js.sqrt() } else { js }
    }))
}
