//! Compensated sum and mean of many histograms.
//!
//! Every count is summed as floats are: Kahan's compensation with Neumaier's improvement, one
//! compensation per bucket. The mean is the sum divided at the end, or an incremental mean once
//! a count would overflow.

use crate::model::histogram::arithmetic::{
    IncompatibleSchema, Merged, common_bounds, merge, place,
};
use crate::model::histogram::buckets::{Side, Sparse, coarsen};
use crate::model::kahan::KahanSum;
use crate::model::{CounterResetHint, FloatHistogram};

fn add_value(sum: &mut KahanSum, value: f64) {
    *sum = sum.plus(value);
}

fn add_sum(sum: &mut KahanSum, other: KahanSum) {
    *sum = sum.plus(other.sum).plus(other.compensation);
}

/// Returns the value of a sum of `n`; of a sum of one, that one with the sign of its zero.
fn value_of(sum: &KahanSum, n: usize) -> f64 {
    if n == 1 { sum.sum } else { sum.value() }
}

/// The sum of histograms.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    /// Schema, bounds, threshold and hint of the sum; its counts are below.
    shape: FloatHistogram,
    zero_count: KahanSum,
    count: KahanSum,
    sum: KahanSum,
    positive: Sparse<KahanSum>,
    negative: Sparse<KahanSum>,
    n: usize,
    resets: (bool, bool),
    bounds_reconciled: bool,
}

impl HistogramSum {
    /// Starts from a first histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        let kahan = |side: Side| -> Sparse<KahanSum> {
            let counts = first.sparse(side).into_iter();
            counts
                .map(|(index, count)| (index, KahanSum::new(count)))
                .collect()
        };
        let mut sum = HistogramSum {
            zero_count: KahanSum::new(first.zero_count),
            count: KahanSum::new(first.count),
            sum: KahanSum::new(first.sum),
            positive: kahan(Side::Positive),
            negative: kahan(Side::Negative),
            shape: first.clone(),
            n: 1,
            resets: (false, false),
            bounds_reconciled: false,
        };
        sum.note_hint(first.counter_reset_hint);
        sum
    }

    fn note_hint(&mut self, hint: CounterResetHint) {
        self.resets.0 |= hint == CounterResetHint::Reset;
        self.resets.1 |= hint == CounterResetHint::NotReset;
    }

    /// Returns what came up among all histograms so far.
    pub fn seen(&self) -> Merged {
        Merged {
            counter_reset_collision: self.resets.0 && self.resets.1,
            bounds_reconciled: self.bounds_reconciled,
        }
    }

    /// Adds a histogram; on error the sum is as before.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<(), IncompatibleSchema> {
        self.note_hint(other.counter_reset_hint);
        if self.shape.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(IncompatibleSchema);
        }
        self.shape.merge_hint(other.counter_reset_hint);
        self.n += 1;
        add_value(&mut self.count, other.count);
        add_value(&mut self.sum, other.sum);
        if other.uses_custom_buckets() {
            self.add_custom(other);
        } else {
            self.add_exponential(other);
        }
        Ok(())
    }

    fn add_exponential(&mut self, other: &FloatHistogram) {
        let mut other = std::borrow::Cow::Borrowed(other);
        while other.zero_threshold != self.shape.zero_threshold {
            if self.shape.zero_threshold > other.zero_threshold {
                other.to_mut().widen_zero_bucket(self.shape.zero_threshold);
            } else {
                self.widen_zero_bucket(other.zero_threshold);
            }
            if self.shape.zero_threshold.is_nan() || other.zero_threshold.is_nan() {
                break;
            }
        }
        add_value(&mut self.zero_count, other.zero_count);
        let schema = self.shape.schema.min(other.schema);
        if schema < self.shape.schema {
            for counts in [&mut self.positive, &mut self.negative] {
                let fine = std::mem::take(counts);
                *counts = coarsen(fine, self.shape.schema, schema, add_sum);
            }
            self.shape.schema = schema;
        }
        if schema < other.schema {
            other = std::borrow::Cow::Owned(other.to_schema(schema));
        }
        for (side, counts) in [
            (Side::Positive, &mut self.positive),
            (Side::Negative, &mut self.negative),
        ] {
            let own = std::mem::take(counts);
            let addends = other.sparse_outside(side, self.shape.zero_threshold);
            *counts = merge(own, &addends, KahanSum::default(), add_value);
        }
    }

    fn widen_zero_bucket(&mut self, threshold: f64) {
        // The counts without compensation decide how wide it must be.
        let mut rounded = self.shape.clone();
        rounded.zero_count = self.zero_count.sum;
        for (side, counts) in [
            (Side::Positive, &self.positive),
            (Side::Negative, &self.negative),
        ] {
            let sums: Sparse<f64> = counts.iter().map(|(at, sum)| (*at, sum.sum)).collect();
            rounded.set_sparse(side, &sums);
        }
        let (_, threshold) = rounded.zero_count_for(threshold);
        for (side, counts) in [
            (Side::Positive, &mut self.positive),
            (Side::Negative, &mut self.negative),
        ] {
            let zero_count = &mut self.zero_count;
            counts.retain(|(index, count)| {
                let bucket = rounded.bucket(side, *index, 0.0);
                let covered = match side {
                    Side::Positive => bucket.lower < threshold,
                    Side::Negative => bucket.upper > -threshold,
                };
                if covered {
                    add_sum(zero_count, *count);
                }
                !covered
            });
        }
        self.shape.zero_threshold = threshold;
    }

    fn add_custom(&mut self, other: &FloatHistogram) {
        let counts = other.sparse(Side::Positive);
        let own = std::mem::take(&mut self.positive);
        if self.shape.custom_values == other.custom_values {
            self.positive = merge(own, &counts, KahanSum::default(), add_value);
            return;
        }
        self.bounds_reconciled = true;
        let bounds = common_bounds(&self.shape.custom_values, &other.custom_values);
        let mut sums = vec![KahanSum::default(); bounds.len() + 1];
        for (index, count) in own {
            add_sum(
                &mut sums[place(index, &self.shape.custom_values, &bounds)],
                count,
            );
        }
        for (index, count) in counts {
            add_value(
                &mut sums[place(index, &other.custom_values, &bounds)],
                count,
            );
        }
        let is_empty = |sum: &KahanSum| sum.sum == 0.0 && sum.compensation == 0.0;
        let placed = (0..).zip(sums).filter(|(_, sum)| !is_empty(sum));
        self.positive = placed.collect();
        self.shape.custom_values = bounds;
    }

    fn overflows(&self) -> bool {
        let buckets = self
            .positive
            .iter()
            .chain(&self.negative)
            .map(|(_, sum)| sum);
        let all = buckets.chain([&self.zero_count, &self.count, &self.sum]);
        let bounds = self.shape.custom_values.iter();
        all.map(|sum| &sum.sum)
            .chain(bounds)
            .any(|value| value.is_infinite())
    }

    fn each(&mut self, change: impl Fn(f64) -> f64) {
        let buckets = self.positive.iter_mut().chain(&mut self.negative);
        let buckets = buckets.map(|(_, sum)| sum);
        let all = buckets.chain([&mut self.zero_count, &mut self.count, &mut self.sum]);
        all.for_each(|sum| {
            sum.sum = change(sum.sum);
            sum.compensation = change(sum.compensation);
        });
    }

    /// Returns the sum.
    pub fn finish(&self) -> FloatHistogram {
        let mut out = self.shape.clone();
        out.zero_count = value_of(&self.zero_count, self.n);
        out.count = value_of(&self.count, self.n);
        out.sum = value_of(&self.sum, self.n);
        for (side, counts) in [
            (Side::Positive, &self.positive),
            (Side::Negative, &self.negative),
        ] {
            let sums = counts.iter().map(|(at, sum)| (*at, value_of(sum, self.n)));
            out.set_sparse(side, &sums.collect::<Sparse<f64>>());
        }
        out
    }
}

/// The mean of histograms.
#[derive(Clone, Debug)]
pub struct HistogramMean {
    sum: HistogramSum,
    n: f64,
    is_incremental: bool,
}

impl HistogramMean {
    /// Starts from a first histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        HistogramMean {
            sum: HistogramSum::new(first),
            n: 1.0,
            is_incremental: false,
        }
    }

    /// Returns what came up among all histograms so far.
    pub fn seen(&self) -> Merged {
        self.sum.seen()
    }

    /// Adds a histogram.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<(), IncompatibleSchema> {
        self.n += 1.0;
        if !self.is_incremental {
            let mut sum = self.sum.clone();
            sum.add(other)?;
            if !sum.overflows() {
                self.sum = sum;
                return Ok(());
            }
            self.is_incremental = true;
            let n = self.n - 1.0;
            self.sum.each(|value| value / n);
        }
        let weight = (self.n - 1.0) / self.n;
        self.sum.each(|value| value * weight);
        let mut share = other.clone();
        share.divide(self.n);
        self.sum.add(&share)
    }

    /// Returns the mean.
    pub fn finish(&self) -> FloatHistogram {
        if self.is_incremental {
            return self.sum.finish();
        }
        let mut sum = self.sum.clone();
        let n = self.n;
        sum.each(|value| value / n);
        sum.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[(i32, f64)], sum: f64) -> FloatHistogram {
        let mut out = FloatHistogram {
            count: counts.iter().map(|(_, count)| count).sum(),
            sum,
            ..FloatHistogram::default()
        };
        out.set_sparse(Side::Positive, counts);
        out
    }

    #[test]
    fn sums_do_not_lose_small_terms() {
        let mut sum = HistogramSum::new(&histogram(&[(1, 1.0)], 1.0));
        for term in [1e100, 1.0, -1e100] {
            sum.add(&histogram(&[(1, 0.0), (2, 1.0)], term))
                .expect("same kind");
        }
        let sum = sum.finish();
        assert_eq!(sum.sum, 2.0);
        assert_eq!(sum.sparse(Side::Positive), [(1, 1.0), (2, 3.0)]);
    }

    #[test]
    fn means_do_not_overflow() {
        let mut mean = HistogramMean::new(&histogram(&[(1, 2.0)], f64::MAX));
        mean.add(&histogram(&[(1, 4.0)], f64::MAX))
            .expect("same kind");
        let mean = mean.finish();
        assert_eq!((mean.sum, mean.count), (f64::MAX, 3.0));
    }
}
