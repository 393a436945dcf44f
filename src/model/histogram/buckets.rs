//! The buckets of a histogram, one after the other, and back to spans.

use std::fmt;

use crate::model::float::format_general;
use crate::model::histogram::bounds::{coarser_index, upper_bound};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};

/// Counts by bucket index, ascending; what arithmetic works on.
pub(super) type Sparse<T> = Vec<(i32, T)>;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether `lower` itself belongs to it.
    pub lower_inclusive: bool,
    /// Whether `upper` itself belongs to it.
    pub upper_inclusive: bool,
    /// The observations in it.
    pub count: f64,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_general);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// Which side of zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Positive,
    Negative,
}

impl FloatHistogram {
    /// Tells whether the buckets have bounds of their own.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Returns all buckets, lowest values first; the zero bucket only if it holds something.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut negative = self.side_buckets(Side::Negative);
        negative.reverse();
        let zero = self.zero_bucket().filter(|bucket| bucket.count > 0.0);
        let positive = self.side_buckets(Side::Positive);
        let all = negative.into_iter().chain(zero).chain(positive);
        all.map(|bucket| self.outside_zero_bucket(bucket)).collect()
    }

    /// Returns the same, but that buckets wholly inside the zero bucket, where a sound histogram
    /// has none, keep their bounds.
    pub fn buckets_with_width(&self) -> Vec<Bucket> {
        let mut negative = self.side_buckets(Side::Negative);
        negative.reverse();
        let zero = self.zero_bucket().filter(|bucket| bucket.count > 0.0);
        let positive = self.side_buckets(Side::Positive);
        let all = negative.into_iter().chain(zero).chain(positive);
        let inside = |bucket: &Bucket| {
            bucket.lower >= -self.zero_threshold && bucket.upper <= self.zero_threshold
        };
        all.map(|bucket| match inside(&bucket) {
            true => bucket,
            false => self.outside_zero_bucket(bucket),
        })
        .collect()
    }

    /// Returns all buckets, highest values first.
    pub fn buckets_reversed(&self) -> Vec<Bucket> {
        let mut buckets = self.buckets();
        buckets.reverse();
        buckets
    }

    /// Returns the bucket around zero; there is none among custom buckets.
    pub fn zero_bucket(&self) -> Option<Bucket> {
        (!self.uses_custom_buckets()).then_some(Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        })
    }

    /// Cuts off what the zero bucket covers.
    fn outside_zero_bucket(&self, mut bucket: Bucket) -> Bucket {
        let threshold = self.zero_threshold;
        if bucket.upper < 0.0 && bucket.upper > -threshold {
            bucket.upper = -threshold;
        } else if bucket.lower > 0.0 && bucket.lower < threshold {
            bucket.lower = threshold;
        }
        bucket
    }

    /// Returns one side's buckets in the order of their indices: away from zero.
    pub(super) fn side_buckets(&self, side: Side) -> Vec<Bucket> {
        let counts = self.sparse(side).into_iter();
        counts
            .map(|(index, count)| self.bucket(side, index, count))
            .collect()
    }

    pub(super) fn bucket(&self, side: Side, index: i32, count: f64) -> Bucket {
        let bound = |index: i32| upper_bound(index, self.schema, &self.custom_values);
        let (outer, inner) = (bound(index), bound(index.wrapping_sub(1)));
        let (lower, upper) = match side {
            Side::Positive => (inner, outer),
            Side::Negative => (-outer, -inner),
        };
        let custom = self.uses_custom_buckets();
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
        }
    }

    /// Returns one side's counts by index.
    pub(super) fn sparse(&self, side: Side) -> Sparse<f64> {
        let (spans, buckets) = match side {
            Side::Positive => (&self.positive_spans, &self.positive_buckets),
            Side::Negative => (&self.negative_spans, &self.negative_buckets),
        };
        let mut out = Vec::with_capacity(buckets.len());
        let mut counts = buckets.iter();
        let mut index = 0i32;
        for span in spans {
            index = index.wrapping_add(span.offset);
            for count in counts.by_ref().take(span.length as usize) {
                out.push((index, *count));
                index = index.wrapping_add(1);
            }
        }
        out
    }

    /// Replaces one side's buckets.
    pub(super) fn set_sparse(&mut self, side: Side, counts: &[(i32, f64)]) {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0i32;
        for (index, _) in counts {
            match spans.last_mut() {
                Some(span) if *index == next => span.length += 1,
                _ => spans.push(Span {
                    offset: index.wrapping_sub(if spans.is_empty() { 0 } else { next }),
                    length: 1,
                }),
            }
            next = index.wrapping_add(1);
        }
        let buckets = counts.iter().map(|(_, count)| *count).collect();
        match side {
            Side::Positive => (self.positive_spans, self.positive_buckets) = (spans, buckets),
            Side::Negative => (self.negative_spans, self.negative_buckets) = (spans, buckets),
        }
    }

    /// Removes empty buckets and joins spans that touch.
    pub fn compact(&mut self) {
        for side in [Side::Positive, Side::Negative] {
            let mut counts = self.sparse(side);
            counts.retain(|(_, count)| *count != 0.0);
            self.set_sparse(side, &counts);
        }
    }

    /// Returns the histogram in a coarser (or the same) schema.
    pub fn to_schema(&self, schema: i32) -> FloatHistogram {
        let mut out = self.clone();
        if schema >= self.schema || self.uses_custom_buckets() {
            return out;
        }
        for side in [Side::Positive, Side::Negative] {
            let coarse = coarsen(self.sparse(side), self.schema, schema, |a, b| *a += b);
            out.set_sparse(side, &coarse);
        }
        out.schema = schema;
        out
    }

    /// Compares as Prometheus' `==` does: by bits, whatever the spans are cut into, without the
    /// hint.
    pub fn equals(&self, other: &FloatHistogram) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let same_side = |side| {
            let (a, b) = (self.sparse(side), other.sparse(side));
            let mut pairs = a.iter().zip(&b);
            a.len() == b.len() && pairs.all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && same_side(Side::Positive)
            && same_side(Side::Negative)
    }
}

/// Merges counts into the buckets of a coarser schema.
pub(super) fn coarsen<T: Copy>(
    counts: Sparse<T>,
    from_schema: i32,
    to_schema: i32,
    mut add: impl FnMut(&mut T, T),
) -> Sparse<T> {
    let mut out: Sparse<T> = Vec::with_capacity(counts.len());
    for (index, count) in counts {
        let coarse = coarser_index(index, from_schema, to_schema);
        match out.last_mut() {
            Some((last, sum)) if *last == coarse => add(sum, count),
            _ => out.push((coarse, count)),
        }
    }
    out
}

impl fmt::Display for FloatHistogram {
    /// Prints `{count:3, sum:4, (1,2]:3}` as Prometheus does; empty buckets are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            format_general(self.count),
            format_general(self.sum)
        )?;
        let mut negative = self.side_buckets(Side::Negative);
        negative.reverse();
        let all = negative.into_iter().chain(self.zero_bucket());
        for bucket in all.chain(self.side_buckets(Side::Positive)) {
            if bucket.count != 0.0 {
                write!(f, ", {bucket}")?;
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[(i32, f64)]) -> FloatHistogram {
        let mut out = FloatHistogram::default();
        out.set_sparse(Side::Positive, counts);
        out
    }

    #[test]
    fn spans_and_indices_are_two_ways_to_say_the_same() {
        let counts = [(-3, 1.0), (-2, 0.0), (0, 2.0), (7, 3.0)];
        let mut made = histogram(&counts);
        let spans: Vec<_> = made
            .positive_spans
            .iter()
            .map(|s| (s.offset, s.length))
            .collect();
        assert_eq!(spans, [(-3, 2), (1, 1), (6, 1)]);
        assert_eq!(made.sparse(Side::Positive), counts);
        made.compact();
        assert_eq!(made.sparse(Side::Positive), [(-3, 1.0), (0, 2.0), (7, 3.0)]);
    }

    #[test]
    fn histograms_print_as_prometheus_prints_them() {
        let mut made = histogram(&[(0, 2.0), (1, 1.0)]);
        made.set_sparse(Side::Negative, &[(1, 4.0)]);
        (made.count, made.sum) = (8.0, -2.5);
        (made.zero_threshold, made.zero_count) = (0.001, 1.0);
        let text = "{count:8, sum:-2.5, [-2,-1):4, [-0.001,0.001]:1, (0.5,1]:2, (1,2]:1}";
        assert_eq!(made.to_string(), text);
    }
}
