//! `drift_wasserstein`: the first Wasserstein distance, in the unit of the observations.
//!
//! ∫ |F(x) − G(x)| dx: how far observations would have to be moved on average. What is in a bucket
//! is spread evenly over it, or lies in its middle. What lies beyond the last bound is taken to be
//! at it, as in `histogram_quantile`, so this is a lower bound.

use crate::functions::FunctionError;
use crate::functions::bins::Bins;
use crate::functions::drift::{DriftFunction, Measure};
use crate::functions::options::Options;

pub(in crate::functions) static WASSERSTEIN: DriftFunction = DriftFunction {
    name: "drift_wasserstein",
    about: "Returns the first Wasserstein (earth mover's) distance of two histograms, in the unit \
            of what they observe. Option: within=linear|midpoint.",
    example: "drift_wasserstein(rate(prediction_score_bucket[1h]), \
              rate(prediction_score_bucket[1h] offset 1w))",
    is_ordered: true,
    measure,
};

fn measure(options: &mut Options<'_>) -> Result<Measure, FunctionError> {
    let is_midpoint = options.choice("within", &[("linear", false), ("midpoint", true)])?;
    Ok(Box::new(move |bins| distance(bins, is_midpoint)))
}

fn distance(bins: &Bins, is_midpoint: bool) -> f64 {
    let (mut reference, mut current) = (0.0, 0.0);
    let (mut difference, mut sum) = (0.0f64, 0.0);
    let mut place: Option<f64> = None;
    for bin in bins.filled() {
        let (lower, upper) = match is_midpoint {
            true => {
                let middle = bin.lower + (bin.upper - bin.lower) / 2.0;
                (middle, middle)
            }
            false => (bin.lower, bin.upper),
        };
        // Buckets inside the zero bucket begin before it ends.
        sum += difference.abs() * (lower - place.unwrap_or(lower)).max(0.0);
        reference += bin.reference;
        current += bin.current;
        let next = reference / bins.reference_total - current / bins.current_total;
        sum += area(difference, next) * (upper - lower);
        (difference, place) = (next, Some(upper));
    }
    sum
}

/// Returns the mean of a line's absolute value that goes from one value to the other.
fn area(from: f64, to: f64) -> f64 {
    let (size, sum) = (from.abs(), from.abs() + to.abs());
    match from * to < 0.0 {
        true => (size * size + to * to) / (2.0 * sum),
        false => sum / 2.0,
    }
}
