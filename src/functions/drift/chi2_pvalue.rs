//! `drift_chi2_pvalue`: how probable so large a chi-squared statistic is by chance.
//!
//! p = Q(df / 2, χ² / 2), the upper regularised incomplete gamma function, df = filled bins − 1.

use puruspe::gammq;

use crate::functions::FunctionError;
use crate::functions::drift::chi2::{mode, statistic};
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static CHI2_PVALUE: DriftFunction = DriftFunction {
    name: "drift_chi2_pvalue",
    about: "Returns the p-value of the chi-squared statistic of two histograms of counts. \
            Options: mode=two_sample|gof, label=LABEL.",
    example: "drift_chi2_pvalue(sum by (class) (increase(predictions_total[1h])), \
              sum by (class) (increase(predictions_total[1h] offset 1w)), \"label=class\")",
    is_ordered: false,
    measure,
};

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let mode = mode(options)?;
    Ok(Box::new(move |bins| {
        let statistic = statistic(bins, mode);
        let freedom = bins.n_filled().saturating_sub(1);
        match (freedom, statistic) {
            (0, _) => 1.0,
            (_, f64::INFINITY) => 0.0,
            _ => gammq(freedom as f64 / 2.0, statistic / 2.0),
        }
    }))
}
