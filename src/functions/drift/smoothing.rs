//! What is done about bins that one side has nothing in, where a logarithm would be infinite.

use crate::functions::FunctionError;
use crate::functions::bins::Bins;
use crate::functions::options::Options;

/// Reads `eps`, the least share.
pub(super) fn least_share(options: &mut Options<'_>) -> Result<f64, FunctionError> {
    let is_good = |eps| eps > 0.0 && eps < 1.0;
    options.number("eps", 1e-4, "a number between 0 and 1", is_good)
}

/// Reads `alpha`, the count that is added to each bin.
pub(super) fn added_count(options: &mut Options<'_>) -> Result<f64, FunctionError> {
    let is_good = |alpha: f64| alpha > 0.0 && alpha.is_finite();
    options.number("alpha", 0.5, "a number above 0", is_good)
}

/// Returns Laplace's shares, baseline first: (n + alpha) / (total + alpha · bins).
pub(super) fn laplace(bins: &Bins, alpha: f64) -> impl Iterator<Item = (f64, f64)> {
    let added = alpha * bins.n_filled() as f64;
    let totals = (bins.reference_total + added, bins.current_total + added);
    bins.filled().map(move |bin| {
        let reference = (bin.reference + alpha) / totals.0;
        (reference, (bin.current + alpha) / totals.1)
    })
}
