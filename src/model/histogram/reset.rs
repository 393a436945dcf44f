//! Whether a histogram counts on from another or started anew.

use crate::model::histogram::buckets::{Side, Sparse, coarsen};
use crate::model::{CounterResetHint, FloatHistogram};

impl FloatHistogram {
    /// Tells whether a store of chunks would put this histogram into the chunk of `previous`: both
    /// are counters of one layout, and nothing fell.
    pub fn goes_on_from(&self, previous: &FloatHistogram) -> bool {
        let is_counter = |h: &FloatHistogram| h.counter_reset_hint != CounterResetHint::Gauge;
        let unhinted = || FloatHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            ..self.clone()
        };
        is_counter(self)
            && is_counter(previous)
            && self.counter_reset_hint != CounterResetHint::Reset
            && self.schema == previous.schema
            && self.zero_threshold == previous.zero_threshold
            && self.custom_values == previous.custom_values
            && !unhinted().detect_reset(previous)
    }

    /// Tells whether there was a counter reset between `previous` and this histogram: its hint
    /// says so, its layout became finer, or a count fell.
    pub fn detect_reset(&self, previous: &FloatHistogram) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.common_buckets_fell(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_for(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let sides = [Side::Positive, Side::Negative];
        sides.into_iter().any(|side| {
            let current = self.outside_zero(side, self);
            let before = previous.outside_zero(side, self);
            fell(&current, &before)
        })
    }

    /// Returns the counts, in the schema of `like`, of buckets that reach beyond its zero bucket.
    fn outside_zero(&self, side: Side, like: &FloatHistogram) -> Sparse<f64> {
        let mut counts = self.sparse(side);
        if !self.uses_custom_buckets() && !like.uses_custom_buckets() {
            counts = coarsen(counts, self.schema, like.schema, |a, b| *a += b);
        }
        if like.zero_threshold > 0.0 && !like.uses_custom_buckets() {
            let outer = |index: i32| match side {
                Side::Positive => like.bucket(side, index, 0.0).upper,
                Side::Negative => -like.bucket(side, index, 0.0).lower,
            };
            counts.retain(|(index, _)| outer(*index) > like.zero_threshold);
        }
        counts
    }

    /// Compares by the buckets between the bounds that both have.
    fn common_buckets_fell(&self, previous: &FloatHistogram) -> bool {
        use crate::model::histogram::arithmetic::{common_bounds, place};
        let bounds = common_bounds(&self.custom_values, &previous.custom_values);
        let sums = |histogram: &FloatHistogram| {
            let mut sums = vec![0.0; bounds.len() + 1];
            for (index, count) in histogram.sparse(Side::Positive) {
                sums[place(index, &histogram.custom_values, &bounds)] += count;
            }
            sums
        };
        let (current, before) = (sums(self), sums(previous));
        current
            .iter()
            .zip(&before)
            .any(|(current, before)| current < before)
    }
}

/// Tells whether a bucket lost counts, or is gone though it had some.
fn fell(current: &[(i32, f64)], previous: &[(i32, f64)]) -> bool {
    let mut rest = current.iter().peekable();
    previous.iter().any(|(index, before)| {
        while rest.next_if(|(at, _)| at < index).is_some() {}
        match rest.peek() {
            Some((at, now)) if at == index => now < before,
            _ => *before != 0.0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_falls_and_finer_layouts() {
        let histogram = |schema: i32, counts: &[(i32, f64)]| {
            let mut out = FloatHistogram {
                schema,
                count: 10.0,
                ..FloatHistogram::default()
            };
            out.set_sparse(Side::Positive, counts);
            out
        };
        let before = histogram(1, &[(1, 1.0), (2, 2.0), (4, 0.0)]);
        let check = |schema: i32, counts: &[(i32, f64)], expected: bool| {
            let now = histogram(schema, counts);
            assert_eq!(now.detect_reset(&before), expected, "{schema} {counts:?}");
        };
        check(1, &[(1, 1.0), (2, 2.0)], false);
        check(1, &[(1, 1.0), (2, 1.0)], true);
        check(1, &[(2, 9.0)], true);
        check(0, &[(1, 3.0)], false);
        check(0, &[(1, 2.0)], true);
        check(2, &[(1, 5.0), (2, 5.0), (3, 5.0)], true);
    }
}
