//! `drift_psi`: the population stability index.
//!
//! PSI = Σ (q − p) ln(q / p), p the baseline's share of a bin, q the current one. It is the sum of
//! both Kullback-Leibler divergences. Credit scoring's rule of thumb: below 0.1 nothing has
//! changed, above 0.25 (or 0.2) something has (Siddiqi, Credit Risk Scorecards, 2006).

use crate::functions::FunctionError;
use crate::functions::bins::Bins;
use crate::functions::drift::smoothing::{added_count, laplace, least_share};
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static PSI: DriftFunction = DriftFunction {
    name: "drift_psi",
    about: "Returns the population stability index of two histograms: 0 if alike, above 0.2 \
            usually called drift. Options: smoothing=floor|laplace|none|evidently, eps=1e-4, \
            alpha=0.5, bins=given|quantile, n=10, label=LABEL.",
    example: "drift_psi(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w))",
    is_ordered: false,
    measure,
};

/// What is done about empty bins.
#[derive(Clone, Copy)]
enum Smoothing {
    Floor,
    Laplace,
    None,
    Evidently,
}

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let smoothing = options.choice(
        "smoothing",
        &[
            ("floor", Smoothing::Floor),
            ("laplace", Smoothing::Laplace),
            ("none", Smoothing::None),
            ("evidently", Smoothing::Evidently),
        ],
    )?;
    let psi: Measure = match smoothing {
        Smoothing::Floor => {
            let eps = least_share(options)?;
            Box::new(move |bins| {
                let shares = bins.shares();
                sum(shares.map(|(p, q)| (p.max(eps), q.max(eps))))
            })
        }
        Smoothing::Laplace => {
            let alpha = added_count(options)?;
            Box::new(move |bins| sum(laplace(bins, alpha)))
        }
        Smoothing::None => Box::new(|bins| sum(bins.shares())),
        Smoothing::Evidently => Box::new(evidently),
    };
    let is_by_quantile = options.choice("bins", &[("given", false), ("quantile", true)])?;
    if !is_by_quantile {
        return Ok(psi);
    }
    let n = options.count("n", 10, 2, 1000)?;
    Ok(Box::new(move |bins| match bins.merge_to_quantiles(n) {
        1 => f64::NAN,
        _ => psi(bins),
    }))
}

/// Adds the terms up; a bin that one side alone has makes infinity.
fn sum(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    shares
        .map(|(p, q)| if p == q { 0.0 } else { (q - p) * (q / p).ln() })
        .sum()
}

/// Does as the library of that name does: shares that are zero become 1e-4, or a millionth of the
/// side's least share where that is not above 1e-4.
fn evidently(bins: &mut Bins) -> f64 {
    const LEAST: f64 = 1e-4;
    let least = |share: fn((f64, f64)) -> f64| {
        let shares = bins.shares().map(share).filter(|share| *share > 0.0);
        let least = shares.fold(f64::INFINITY, f64::min);
        if least <= LEAST { least / 1e6 } else { LEAST }
    };
    let (for_reference, for_current) = (least(|shares| shares.0), least(|shares| shares.1));
    let or = |share: f64, other: f64| if share == 0.0 { other } else { share };
    sum(bins
        .shares()
        .map(|(p, q)| (or(p, for_reference), or(q, for_current))))
}
