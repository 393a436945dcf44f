//! `histogram_count`, `histogram_sum`, `histogram_avg`, `histogram_stddev`, `histogram_stdvar`:
//! what one native histogram says as a whole.

use crate::functions::formula::HistogramFunction;
use crate::model::FloatHistogram;
use crate::model::kahan::KahanSum;

pub(super) static HISTOGRAM_COUNT: HistogramFunction = HistogramFunction {
    name: "histogram_count",
    about: "Returns the number of observations of every native histogram.",
    example: "histogram_count(rate(http_request_duration_seconds[5m]))",
    formula: |histogram| histogram.count,
};

pub(super) static HISTOGRAM_SUM: HistogramFunction = HistogramFunction {
    name: "histogram_sum",
    about: "Returns the sum of the observations of every native histogram.",
    example: "histogram_sum(rate(http_request_duration_seconds[5m]))",
    formula: |histogram| histogram.sum,
};

pub(super) static HISTOGRAM_AVG: HistogramFunction = HistogramFunction {
    name: "histogram_avg",
    about: "Returns the mean of the observations of every native histogram.",
    example: "histogram_avg(rate(http_request_duration_seconds[5m]))",
    formula: |histogram| histogram.sum / histogram.count,
};

pub(super) static HISTOGRAM_STDDEV: HistogramFunction = HistogramFunction {
    name: "histogram_stddev",
    about: "Estimates the standard deviation of the observations of every native histogram.",
    example: "histogram_stddev(rate(http_request_duration_seconds[5m]))",
    formula: |histogram| variance(histogram).sqrt(),
};

pub(super) static HISTOGRAM_STDVAR: HistogramFunction = HistogramFunction {
    name: "histogram_stdvar",
    about: "Estimates the variance of the observations of every native histogram.",
    example: "histogram_stdvar(rate(http_request_duration_seconds[5m]))",
    formula: variance,
};

/// Takes every observation to lie in the middle of its bucket: the geometric middle of an
/// exponential one, the arithmetic middle of a custom one, zero in the zero bucket.
fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut sum = KahanSum::default();
    for bucket in histogram.buckets() {
        if bucket.count == 0.0 {
            continue;
        }
        let middle = if histogram.uses_custom_buckets() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = middle - mean;
        sum = sum.plus(bucket.count * delta * delta);
    }
    sum.value() / histogram.count
}
