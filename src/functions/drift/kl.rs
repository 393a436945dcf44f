//! `drift_kl`: the Kullback-Leibler divergence.
//!
//! D(current ‖ baseline) = Σ q ln(q / p), in nats: p the baseline's share of a bin, q the current
//! one. It is not symmetric: the arguments cannot be exchanged.

use crate::functions::FunctionError;
use crate::functions::drift::smoothing::{added_count, laplace, least_share};
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static KL: DriftFunction = DriftFunction {
    name: "drift_kl",
    about: "Returns the Kullback-Leibler divergence of the first histogram from the second, in \
            nats. Options: smoothing=laplace|none|floor_renorm, alpha=0.5, eps=1e-4, label=LABEL.",
    example: "drift_kl(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w), \"smoothing=none\")",
    is_ordered: false,
    measure,
};

/// What is done about empty bins.
#[derive(Clone, Copy)]
enum Smoothing {
    Laplace,
    None,
    FloorRenorm,
}

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let smoothing = options.choice(
        "smoothing",
        &[
            ("laplace", Smoothing::Laplace),
            ("none", Smoothing::None),
            ("floor_renorm", Smoothing::FloorRenorm),
        ],
    )?;
    Ok(match smoothing {
        Smoothing::Laplace => {
            let alpha = added_count(options)?;
            Box::new(move |bins| divergence(laplace(bins, alpha)))
        }
        Smoothing::None => Box::new(|bins| divergence(bins.shares())),
        Smoothing::FloorRenorm => {
            let eps = least_share(options)?;
            Box::new(move |bins| {
                let floored = || bins.shares().map(|(p, q)| (p.max(eps), q.max(eps)));
                let sums = floored().fold((0.0, 0.0), |sums, (p, q)| (sums.0 + p, sums.1 + q));
                divergence(floored().map(|(p, q)| (p / sums.0, q / sums.1)))
            })
        }
    })
}

/// Adds the terms up; rounding must not make it negative.
pub(super) fn divergence(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    let terms = shares.map(|(p, q)| if q == 0.0 { 0.0 } else { q * (q / p).ln() });
    terms.sum::<f64>().max(0.0)
}
