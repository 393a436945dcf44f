//! `histogram_fraction`: which share of the observations lies between two bounds.

use crate::functions::annotation::Remark;
use crate::functions::call::Call;
use crate::functions::classic_histogram::{Bucket, map_histograms, prepare};
use crate::functions::histogram_quantile::narrow_zero_bucket;
use crate::functions::{Function, FunctionError, Output};
use crate::model::FloatHistogram;
use crate::model::elementary::log2;
use crate::model::histogram::Bucket as NativeBucket;
use crate::promql::{Signature, ValueType};

/// `histogram_fraction(lower, upper, v)`
pub(super) struct HistogramFraction;

impl Function for HistogramFraction {
    fn signature(&self) -> Signature {
        Signature {
            name: "histogram_fraction",
            args: &[ValueType::Scalar, ValueType::Scalar, ValueType::Vector],
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Estimates the share of observations between two bounds in classic or native histograms."
    }

    fn example(&self) -> &'static str {
        "histogram_fraction(0, 0.2, rate(http_request_duration_seconds[1h]))"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let bounds = (call.scalar(0), call.scalar(1));
        map_histograms(
            call,
            2,
            |call, labels, histogram| {
                let (fraction, has_nan) = native_fraction(bounds, histogram);
                if has_nan {
                    let metric = labels.metric_name().to_owned();
                    call.remark(2, Remark::FractionNans { metric });
                }
                fraction
            },
            |_, _, buckets| classic_fraction(bounds, buckets),
        )
    }
}

/// The ranks of the two bounds, as far as they are known.
struct Ranks {
    bounds: (f64, f64),
    ranks: (Option<f64>, Option<f64>),
}

impl Ranks {
    /// Looks at one bucket; `within` gives the rank of a value inside it.
    fn visit(&mut self, (lower, upper): (f64, f64), rank: f64, within: impl Fn(f64) -> f64) {
        for (bound, found) in [
            (self.bounds.0, &mut self.ranks.0),
            (self.bounds.1, &mut self.ranks.1),
        ] {
            if found.is_some() {
                continue;
            }
            if lower >= bound {
                *found = Some(rank);
            } else if upper > bound {
                *found = Some(within(bound));
            }
        }
    }

    fn are_known(&self) -> bool {
        self.ranks.0.is_some() && self.ranks.1.is_some()
    }

    /// Returns the observations between the bounds; a rank not found is all of them.
    fn between(&self, count: f64) -> f64 {
        let rank = |found: Option<f64>| match found {
            Some(rank) if rank > count => count,
            Some(rank) => rank,
            None => count,
        };
        rank(self.ranks.1) - rank(self.ranks.0)
    }
}

fn classic_fraction(bounds: (f64, f64), buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || bounds.0.is_nan() || bounds.1.is_nan() {
        return f64::NAN;
    }
    if bounds.0 >= bounds.1 {
        return 0.0;
    }
    let mut ranks = Ranks {
        bounds,
        ranks: (None, None),
    };
    let mut rank = 0.0;
    let mut lower = if buckets[0].upper <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    for bucket in buckets.iter() {
        ranks.visit((lower, bucket.upper), rank, |bound| {
            if lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            rank + (bucket.count - rank) * (bound - lower) / (bucket.upper - lower)
        });
        if ranks.are_known() {
            break;
        }
        rank = bucket.count;
        lower = bucket.upper;
    }
    ranks.between(count) / count
}

/// Returns the fraction, and whether NaN observations were left out of it.
fn native_fraction(bounds: (f64, f64), histogram: &FloatHistogram) -> (f64, bool) {
    if histogram.count == 0.0 || bounds.0.is_nan() || bounds.1.is_nan() {
        return (f64::NAN, false);
    }
    if bounds.0 >= bounds.1 {
        return (0.0, false);
    }
    let mut ranks = Ranks {
        bounds,
        ranks: (None, None),
    };
    let mut rank = 0.0;
    let mut in_buckets = 0.0;
    for mut bucket in histogram.buckets() {
        in_buckets += bucket.count;
        if ranks.are_known() {
            continue;
        }
        let is_zero_bucket = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero_bucket {
            narrow_zero_bucket(&mut bucket, histogram);
        }
        let is_linear = histogram.uses_custom_buckets() || is_zero_bucket;
        ranks.visit((bucket.lower, bucket.upper), rank, |bound| {
            if is_linear {
                linear_rank(&bucket, rank, bound)
            } else {
                exponential_rank(&bucket, rank, bound)
            }
        });
        rank += bucket.count;
    }
    let has_nan = histogram.sum.is_nan() && in_buckets < histogram.count;
    let count = if histogram.sum.is_nan() {
        in_buckets
    } else {
        histogram.count
    };
    (ranks.between(count) / histogram.count, has_nan)
}

fn linear_rank(bucket: &NativeBucket, rank: f64, bound: f64) -> f64 {
    if bucket.lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    rank + bucket.count * (bound - bucket.lower) / (bucket.upper - bucket.lower)
}

fn exponential_rank(bucket: &NativeBucket, rank: f64, bound: f64) -> f64 {
    let (log_lower, log_upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    let log_bound = log2(bound.abs());
    let fraction = if bound > 0.0 {
        (log_bound - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - ((log_bound - log_upper) / (log_lower - log_upper))
    };
    rank + bucket.count * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_interpolate_inside_buckets() {
        let check = |bounds: (f64, f64), expected: f64| {
            let bucket = |upper, count| Bucket { upper, count };
            let mut buckets = vec![
                bucket(1.0, 4.0),
                bucket(2.0, 8.0),
                bucket(f64::INFINITY, 10.0),
            ];
            assert_eq!(
                classic_fraction(bounds, &mut buckets),
                expected,
                "{bounds:?}"
            );
        };
        check((0.0, 1.0), 0.4);
        check((0.5, 1.5), 0.4);
        check((2.0, f64::INFINITY), 0.2);
        check((1.0, 1.0), 0.0);
    }
}
