//! Adding, subtracting and scaling histograms.
//!
//! Of two histograms the result has the coarser schema and the wider zero bucket, or, with
//! custom buckets, the bounds that both have.

use crate::model::CounterResetHint;
use crate::model::histogram::bounds::exponential_bound;
use crate::model::histogram::buckets::{Side, Sparse};
use crate::model::histogram::{FloatHistogram, IncompatibleSchema as Incompatible};
use crate::model::kahan::KahanSum;

/// Exponential and custom buckets cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot apply this operation on histograms with a mix of exponential and custom bucket schemas"
)]
pub struct IncompatibleSchema;

/// What came up while two histograms were put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// One said that there was a reset, the other that there was none.
    pub counter_reset_collision: bool,
    /// The custom bounds differed.
    pub bounds_reconciled: bool,
}

impl FloatHistogram {
    /// Multiplies all counts and the sum.
    pub fn scale(&mut self, factor: f64) {
        self.each_count(|count| *count *= factor);
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. Divided by zero, no buckets are left.
    pub fn divide(&mut self, divisor: f64) {
        self.each_count(|count| *count /= divisor);
        if divisor == 0.0 {
            self.set_sparse(Side::Positive, &[]);
            self.set_sparse(Side::Negative, &[]);
        } else if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    fn each_count(&mut self, mut change: impl FnMut(&mut f64)) {
        change(&mut self.zero_count);
        change(&mut self.count);
        change(&mut self.sum);
        self.positive_buckets.iter_mut().for_each(&mut change);
        self.negative_buckets.iter_mut().for_each(&mut change);
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Merged, Incompatible> {
        self.combine(other, |a, b| a + b)
    }

    /// Subtracts another histogram.
    pub fn subtract(&mut self, other: &FloatHistogram) -> Result<Merged, Incompatible> {
        self.combine(other, |a, b| a - b)
    }

    /// Returns both with the coarser schema and the wider zero bucket. Both have exponential
    /// buckets.
    pub fn aligned_with(&self, other: &FloatHistogram) -> (FloatHistogram, FloatHistogram) {
        align(self, other)
    }

    fn combine(
        &mut self,
        other: &FloatHistogram,
        op: fn(f64, f64) -> f64,
    ) -> Result<Merged, Incompatible> {
        if self.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(Incompatible);
        }
        let mut merged = Merged {
            counter_reset_collision: self.merge_hint(other.counter_reset_hint),
            bounds_reconciled: false,
        };
        if self.uses_custom_buckets() {
            self.count = op(self.count, other.count);
            self.sum = op(self.sum, other.sum);
            merged.bounds_reconciled = self.combine_custom(other, op);
            return Ok(merged);
        }
        let (mut a, b) = align(self, other);
        a.zero_count = op(a.zero_count, b.zero_count);
        a.count = op(a.count, b.count);
        a.sum = op(a.sum, b.sum);
        for side in [Side::Positive, Side::Negative] {
            let addends = b.sparse_outside(side, a.zero_threshold);
            let counts = merge(a.sparse(side), &addends, 0.0, |a, b| *a = op(*a, b));
            a.set_sparse(side, &counts);
        }
        *self = a;
        Ok(merged)
    }

    fn combine_custom(&mut self, other: &FloatHistogram, op: fn(f64, f64) -> f64) -> bool {
        let (a, b) = (self.sparse(Side::Positive), other.sparse(Side::Positive));
        if self.custom_values == other.custom_values {
            let counts = merge(a, &b, 0.0, |a, b| *a = op(*a, b));
            self.set_sparse(Side::Positive, &counts);
            return false;
        }
        let bounds = common_bounds(&self.custom_values, &other.custom_values);
        let mut sums = vec![KahanSum::default(); bounds.len() + 1];
        for (index, count) in a {
            let sum = &mut sums[place(index, &self.custom_values, &bounds)];
            *sum = sum.plus(count);
        }
        for (index, count) in b {
            let sum = &mut sums[place(index, &other.custom_values, &bounds)];
            *sum = sum.plus(op(0.0, count));
        }
        let counts: Sparse<f64> = (0..).zip(sums.iter().map(|sum| sum.sum)).collect();
        let counts: Sparse<f64> = counts
            .into_iter()
            .filter(|(_, count)| *count != 0.0)
            .collect();
        self.set_sparse(Side::Positive, &counts);
        self.custom_values = bounds;
        true
    }

    /// Takes over what both hints say; `true` where they contradict each other.
    pub(super) fn merge_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        let own = self.counter_reset_hint;
        let (hint, collides) = match (own, other) {
            _ if own == other => (own, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        };
        self.counter_reset_hint = hint;
        collides
    }

    /// Returns the count of a zero bucket widened to at least `threshold`, and the threshold
    /// it takes not to cut a bucket that is not empty.
    pub(super) fn zero_count_for(&self, mut threshold: f64) -> (f64, f64) {
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        'wider: loop {
            let mut count = KahanSum::new(self.zero_count);
            for bucket in self.side_buckets(Side::Positive) {
                if bucket.lower >= threshold {
                    break;
                }
                count = count.plus(bucket.count);
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for bucket in self.side_buckets(Side::Negative) {
                if bucket.upper <= -threshold {
                    break;
                }
                count = count.plus(bucket.count);
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        threshold = -bucket.lower;
                        continue 'wider;
                    }
                    break;
                }
            }
            return (count.sum, threshold);
        }
    }

    /// Widens the zero bucket to at least `threshold`, taking in the buckets it covers.
    pub(super) fn widen_zero_bucket(&mut self, threshold: f64) {
        (self.zero_count, self.zero_threshold) = self.zero_count_for(threshold);
        for side in [Side::Positive, Side::Negative] {
            let threshold = self.zero_threshold;
            let mut counts = self.sparse(side);
            let bucket = |index: i32| self.bucket(side, index, 0.0);
            counts.retain(|(index, count)| {
                let bucket = bucket(*index);
                let covered = match side {
                    Side::Positive => bucket.lower < threshold,
                    Side::Negative => bucket.upper > -threshold,
                };
                !covered && *count != 0.0
            });
            self.set_sparse(side, &counts);
        }
    }
}

impl FloatHistogram {
    /// Returns one side's counts without the buckets that lie in a zero bucket this wide, where
    /// a sound histogram has none: Prometheus does not add them.
    pub(super) fn sparse_outside(&self, side: Side, threshold: f64) -> Sparse<f64> {
        let mut counts = self.sparse(side);
        let n_inside = counts
            .partition_point(|(index, _)| exponential_bound(*index, self.schema) <= threshold);
        counts.drain(..n_inside);
        counts
    }
}

/// Returns both histograms with one zero threshold and one schema.
fn align(a: &FloatHistogram, b: &FloatHistogram) -> (FloatHistogram, FloatHistogram) {
    let (mut a, mut b) = (a.clone(), b.clone());
    while a.zero_threshold != b.zero_threshold {
        if a.zero_threshold > b.zero_threshold {
            b.widen_zero_bucket(a.zero_threshold);
        } else {
            a.widen_zero_bucket(b.zero_threshold);
        }
        if a.zero_threshold.is_nan() || b.zero_threshold.is_nan() {
            break;
        }
    }
    let schema = a.schema.min(b.schema);
    (a.to_schema(schema), b.to_schema(schema))
}

/// Puts two lists of counts together, index by index.
pub(super) fn merge<T: Copy>(
    a: Sparse<T>,
    b: &[(i32, f64)],
    none: T,
    op: impl Fn(&mut T, f64),
) -> Sparse<T> {
    let mut out: Sparse<T> = Vec::with_capacity(a.len().max(b.len()));
    let mut others = b.iter().copied().peekable();
    for (index, value) in a {
        while let Some((other, count)) = others.next_if(|(other, _)| *other < index) {
            out.push((other, none));
            op(&mut out.last_mut().expect("pushed above").1, count);
        }
        out.push((index, value));
        if let Some((_, count)) = others.next_if(|(other, _)| *other == index) {
            op(&mut out.last_mut().expect("pushed above").1, count);
        }
    }
    for (other, count) in others {
        out.push((other, none));
        op(&mut out.last_mut().expect("pushed above").1, count);
    }
    out
}

/// Returns the bounds that are in both lists.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut others = b.iter().peekable();
    let shared = a.iter().filter(|bound| {
        while others.next_if(|other| *other < bound).is_some() {}
        others.peek().is_some_and(|other| **other == **bound)
    });
    shared.copied().collect()
}

/// Returns which bucket of `targets` holds the bucket at `index` of `bounds`.
pub(super) fn place(index: i32, bounds: &[f64], targets: &[f64]) -> usize {
    let upper = usize::try_from(index)
        .ok()
        .and_then(|index| bounds.get(index));
    upper.map_or(targets.len(), |upper| {
        targets.partition_point(|target| target < upper)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, threshold: f64, counts: &[(i32, f64)]) -> FloatHistogram {
        let mut out = FloatHistogram {
            schema,
            zero_threshold: threshold,
            count: counts.iter().map(|(_, count)| count).sum(),
            ..FloatHistogram::default()
        };
        out.set_sparse(Side::Positive, counts);
        out
    }

    #[test]
    fn sums_take_the_coarser_schema_and_the_wider_zero_bucket() {
        let mut sum = histogram(1, 0.5, &[(1, 1.0), (2, 2.0), (3, 4.0)]);
        let other = histogram(0, 0.001, &[(-1, 8.0), (1, 16.0)]);
        sum.add(&other).expect("both are exponential");
        assert_eq!(sum.sparse(Side::Positive), [(1, 19.0), (2, 4.0)]);
        assert_eq!((sum.zero_count, sum.zero_threshold), (8.0, 0.5));
        assert_eq!(sum.count, 31.0);
    }

    #[test]
    fn custom_bounds_are_reduced_to_those_in_both() {
        let custom = |bounds: &[f64], counts: &[(i32, f64)]| FloatHistogram {
            custom_values: bounds.to_vec(),
            ..histogram(-53, 0.0, counts)
        };
        let mut sum = custom(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 2.0), (3, 4.0)]);
        let merged = sum.add(&custom(&[2.0, 5.0, 9.0], &[(0, 8.0), (2, 16.0)]));
        assert!(merged.expect("both are custom").bounds_reconciled);
        assert_eq!(sum.custom_values, [2.0, 5.0]);
        assert_eq!(sum.sparse(Side::Positive), [(0, 11.0), (2, 20.0)]);
        assert_eq!(sum.add(&histogram(0, 0.0, &[])), Err(IncompatibleSchema));
    }
}
