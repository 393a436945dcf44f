//! `histogram_quantile`: the value below which a share of the observations lies.
//!
//! Inside a bucket observations are taken to be spread evenly (classic and custom buckets, the
//! zero bucket) or exponentially (exponential buckets). Counts of a classic histogram that fall
//! with `le` are raised to what is before them; Prometheus' `BucketQuantile` and
//! `HistogramQuantile` give the order of operations.

use crate::functions::annotation::{ForcedBuckets, Remark};
use crate::functions::call::Call;
use crate::functions::classic_histogram::{Bucket, map_histograms, name_for_remarks, prepare};
use crate::functions::{Function, FunctionError, Output};
use crate::model::elementary::{exp2, log2};
use crate::model::histogram::Bucket as NativeBucket;
use crate::model::{FloatHistogram, Labels, is_stale_nan};
use crate::promql::{Signature, ValueType};

/// `histogram_quantile(q, v)`
pub(super) struct HistogramQuantile;

impl Function for HistogramQuantile {
    fn signature(&self) -> Signature {
        Signature {
            name: "histogram_quantile",
            args: &[ValueType::Scalar, ValueType::Vector],
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Estimates a quantile of the observations in classic or native histograms."
    }

    fn example(&self) -> &'static str {
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let q = call.scalar(0);
        remark_invalid(call, 0, q);
        map_histograms(
            call,
            1,
            |call, labels, histogram| native_quantile(call, 1, (q, labels, histogram)),
            |call, labels, buckets| classic_quantile(call, 1, (q, labels, buckets)),
        )
    }
}

/// Remarks on a quantile outside of `[0, 1]`.
pub(super) fn remark_invalid(call: &mut Call<'_>, index: usize, q: f64) {
    if q.is_nan() || !(0.0..=1.0).contains(&q) {
        call.remark(index, Remark::InvalidQuantile(q));
    }
}

/// Returns the quantile of a classic histogram; the vector is the argument at `index`.
pub(super) fn classic_quantile(
    call: &mut Call<'_>,
    index: usize,
    (q, labels, buckets): (f64, &Labels, &mut Vec<Bucket>),
) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if !prepare(buckets) {
        return f64::NAN;
    }
    if let Some(forced) = force_monotonic(buckets) {
        let metric = name_for_remarks(call, labels);
        let seen = ForcedBuckets {
            at: (call.at, call.at),
            ..forced
        };
        call.remark(index, Remark::ForcedMonotonicity { metric, seen });
    }
    rank_in_buckets(q, buckets)
}

fn rank_in_buckets(q: f64, buckets: &[Bucket]) -> f64 {
    let [.., second_last, last] = buckets else {
        return f64::NAN;
    };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * last.count;
    let below_last = &buckets[..buckets.len() - 1];
    let at = below_last.partition_point(|bucket| bucket.count < rank || bucket.count.is_nan());
    if at == below_last.len() {
        return second_last.upper;
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return buckets[0].upper;
    }
    let (mut lower, upper, mut count) = (0.0, buckets[at].upper, buckets[at].count);
    if at > 0 {
        lower = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    lower + (upper - lower) * (rank / count)
}

/// Raises counts that fall with `le`; tiny differences, from rounding, are evened out silently.
fn force_monotonic(buckets: &mut [Bucket]) -> Option<ForcedBuckets> {
    let zero = crate::model::TimestampMs(0);
    let mut forced = ForcedBuckets {
        at: (zero, zero),
        bounds: (f64::INFINITY, f64::NEG_INFINITY),
        diff_max: 0.0,
        n_samples: 1,
    };
    let mut is_forced = false;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == previous {
            continue;
        }
        if almost_equal(previous, count, 1e-12) {
            bucket.count = previous;
            continue;
        }
        if count < previous {
            bucket.count = previous;
            is_forced = true;
            forced.bounds.0 = forced.bounds.0.min(bucket.upper);
            forced.bounds.1 = forced.bounds.1.max(bucket.upper);
            forced.diff_max = forced.diff_max.max(previous - count);
            continue;
        }
        previous = count;
    }
    is_forced.then_some(forced)
}

/// Compares with a relative tolerance; NaN equals NaN.
fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < tolerance * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < tolerance
}

/// Returns the quantile of a native histogram; the vector is the argument at `index`.
pub(super) fn native_quantile(
    call: &mut Call<'_>,
    index: usize,
    (q, labels, histogram): (f64, &Labels, &FloatHistogram),
) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // NaN observations are in the count and in no bucket, as if above all: then only counting
    // from below is right.
    let has_nan = histogram.sum.is_nan();
    let from_below = has_nan || q < 0.5;
    let metric = labels.metric_name().to_owned();
    let mut buckets = if from_below {
        histogram.buckets()
    } else {
        histogram.buckets_reversed()
    }
    .into_iter();
    let mut rank = if from_below {
        q * histogram.count
    } else {
        (1.0 - q) * histogram.count
    };
    let mut count = 0.0;
    let mut bucket = NativeBucket::default();
    for candidate in buckets.by_ref() {
        bucket = candidate;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    if let Some(bound) = settle_edges(&mut bucket, histogram) {
        return bound;
    }
    // Rounding may have made the sum of the buckets exceed the count.
    if count > histogram.count {
        count = histogram.count;
    }
    if count < rank {
        if has_nan {
            call.remark(index, Remark::QuantileNanResult { metric });
            return f64::NAN;
        }
        return bucket.upper;
    }
    if from_below {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    if has_nan {
        let mut all = count;
        for candidate in buckets {
            // Prometheus goes on with the last bucket from here; so do we.
            bucket = candidate;
            all += bucket.count;
        }
        if all < histogram.count {
            call.remark(index, Remark::QuantileNanSkew { metric });
        }
    }
    inside(
        &bucket,
        rank / bucket.count,
        histogram.uses_custom_buckets(),
    )
}

/// Narrows the zero bucket of a one-sided histogram, and answers for buckets without an end.
fn settle_edges(bucket: &mut NativeBucket, histogram: &FloatHistogram) -> Option<f64> {
    if !histogram.uses_custom_buckets() {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            narrow_zero_bucket(bucket, histogram);
        }
        return None;
    }
    if bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return Some(bucket.upper);
        }
        bucket.lower = 0.0;
    } else if bucket.upper == f64::INFINITY {
        return Some(bucket.lower);
    }
    None
}

/// Cuts the zero bucket at zero when all other observations are on one side of it.
pub(super) fn narrow_zero_bucket(bucket: &mut NativeBucket, histogram: &FloatHistogram) {
    let has_negative = !histogram.negative_buckets.is_empty();
    let has_positive = !histogram.positive_buckets.is_empty();
    match (has_negative, has_positive) {
        (false, true) => bucket.lower = 0.0,
        (true, false) => bucket.upper = 0.0,
        _ => {}
    }
}

fn inside(bucket: &NativeBucket, fraction: f64, is_custom: bool) -> f64 {
    if is_custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (log_lower, log_upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        return exp2(log_lower + (log_upper - log_lower) * fraction);
    }
    -exp2(log_upper + (log_lower - log_upper) * (1.0 - fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_on_the_line_through_a_bucket() {
        let check = |q: f64, counts: &[(f64, f64)], expected: f64| {
            let bucket = |(upper, count): &(f64, f64)| Bucket {
                upper: *upper,
                count: *count,
            };
            let mut buckets: Vec<Bucket> = counts.iter().map(bucket).collect();
            assert!(prepare(&mut buckets));
            force_monotonic(&mut buckets);
            let got = rank_in_buckets(q, &buckets);
            assert!(
                got == expected || (got.is_nan() && expected.is_nan()),
                "{q}: {got}"
            );
        };
        let inf = f64::INFINITY;
        check(0.5, &[(1.0, 5.0), (2.0, 10.0), (inf, 10.0)], 1.0);
        check(0.75, &[(inf, 10.0), (2.0, 10.0), (1.0, 5.0)], 1.5);
        check(1.0, &[(1.0, 5.0), (inf, 10.0)], 1.0);
        check(0.5, &[(1.0, 0.0), (inf, 0.0)], f64::NAN);
        check(0.5, &[(1.0, 6.0), (2.0, 4.0), (inf, 10.0)], 5.0 / 6.0);
    }
}
