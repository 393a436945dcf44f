//! `drift_ks_pvalue`: how probable so large a Kolmogorov-Smirnov statistic is by chance.
//!
//! p = Q(√n D), n = AB / (A + B), Q(x) = 2 Σ (−1)^(i−1) exp(−2 i² x²), Kolmogorov's distribution
//! of large samples. Stephens (1970) takes (√n + 0.12 + 0.11/√n) D for small ones. Bins only raise
//! p. It depends on how many observations there are: it wants `increase`, not `rate`.

use std::f64::consts::PI;

use crate::functions::FunctionError;
use crate::functions::drift::ks::statistic;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static KS_PVALUE: DriftFunction = DriftFunction {
    name: "drift_ks_pvalue",
    about: "Returns the p-value of the Kolmogorov-Smirnov statistic of two histograms of counts. \
            Option: method=asymptotic|stephens.",
    example: "drift_ks_pvalue(increase(prediction_score_bucket[1h]), \
              increase(prediction_score_bucket[1h] offset 1w))",
    is_ordered: true,
    measure,
};

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let is_stephens = options.choice("method", &[("asymptotic", false), ("stephens", true)])?;
    Ok(Box::new(move |bins| {
        let (a, b) = (bins.reference_total, bins.current_total);
        // a · b may be more than a float holds.
        let root = (a / (a + b) * b).sqrt();
        let factor = match is_stephens {
            true => root + 0.12 + 0.11 / root,
            false => root,
        };
        kolmogorov(factor * statistic(bins))
    }))
}

/// Returns Q(x). The series converges fast for large x; for small ones Jacobi's other form does:
/// Q(x) = 1 − √(2π)/x Σ exp(−(2i − 1)² π² / 8x²).
fn kolmogorov(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let terms = (1..=5).map(|i: i32| {
            let odd = f64::from(2 * i - 1);
            (-(odd * PI / x).powi(2) / 8.0).exp()
        });
        return 1.0 - (2.0 * PI).sqrt() / x * terms.sum::<f64>();
    }
    let terms = (1..=10).map(|i: i32| {
        let sign = if i % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * (f64::from(i) * x).powi(2)).exp()
    });
    2.0 * terms.sum::<f64>()
}
