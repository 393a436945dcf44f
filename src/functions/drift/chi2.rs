//! `drift_chi2`: the chi-squared statistic of two histograms of counts.
//!
//! Two samples: the 2 × k test of homogeneity, Σ (n − e)² / e over both rows, e the row's total
//! times the bin's share of both, without Yates' correction. Goodness of fit: the baseline is taken
//! as known, e = p · B over the current row alone. It grows with the number of observations: it
//! wants `increase`, not `rate`.

use crate::functions::FunctionError;
use crate::functions::bins::Bins;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static CHI2: DriftFunction = DriftFunction {
    name: "drift_chi2",
    about: "Returns the chi-squared statistic of two histograms of counts. Options: \
            mode=two_sample|gof, label=LABEL.",
    example: "drift_chi2(sum by (class) (increase(predictions_total[1h])), \
              sum by (class) (increase(predictions_total[1h] offset 1w)), \"label=class\")",
    is_ordered: false,
    measure,
};

/// Which test.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    TwoSample,
    GoodnessOfFit,
}

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let mode = mode(options)?;
    Ok(Box::new(move |bins| statistic(bins, mode)))
}

/// Reads `mode`.
pub(super) fn mode(options: &mut Options<'_>) -> Result<Mode, FunctionError> {
    options.choice(
        "mode",
        &[
            ("two_sample", Mode::TwoSample),
            ("gof", Mode::GoodnessOfFit),
        ],
    )
}

/// Returns the statistic; it has one degree of freedom less than there are filled bins.
pub(super) fn statistic(bins: &Bins, mode: Mode) -> f64 {
    let (a, b) = (bins.reference_total, bins.current_total);
    let term = |count: f64, expected: f64| {
        let difference = count - expected;
        difference * (difference / expected)
    };
    match mode {
        _ if bins.n_filled() < 2 => 0.0,
        Mode::TwoSample => bins
            .filled()
            .map(|bin| {
                let both = bin.reference + bin.current;
                let of_reference = term(bin.reference, a / (a + b) * both);
                of_reference + term(bin.current, b / (a + b) * both)
            })
            .sum(),
        Mode::GoodnessOfFit => bins
            .filled()
            .map(|bin| match bin.reference == 0.0 {
                true => f64::INFINITY,
                false => term(bin.current, bin.reference / a * b),
            })
            .sum(),
    }
}
