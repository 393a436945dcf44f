//! `</` and `>/`: a histogram without the observations above or below a value.
//!
//! A bucket that is cut keeps its share by the interpolation of `histogram_fraction`. The sum is
//! estimated anew from the middles of what is left, if anything was cut.

use crate::model::FloatHistogram;
use crate::model::elementary::log2;
use crate::model::histogram::Bucket;
use crate::model::histogram::buckets::Side;

/// Which observations go.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Above,
    Below,
}

impl FloatHistogram {
    /// Returns the histogram without observations above `bound`.
    pub fn trim_above(&self, bound: f64) -> FloatHistogram {
        self.trim(bound, Cut::Above)
    }

    /// Returns the histogram without observations below `bound`.
    pub fn trim_below(&self, bound: f64) -> FloatHistogram {
        self.trim(bound, Cut::Below)
    }

    fn trim(&self, bound: f64, cut: Cut) -> FloatHistogram {
        let mut out = self.clone();
        let (mut count, mut sum, mut was_cut) = (0.0, 0.0, false);
        let mut has_side = [false; 2];
        for (side, has) in [Side::Positive, Side::Negative]
            .into_iter()
            .zip(&mut has_side)
        {
            let mut counts = self.sparse(side);
            for (index, left) in counts.iter_mut().filter(|(_, count)| *count != 0.0) {
                *has = true;
                let bucket = self.bucket(side, *index, *left);
                let kind = BucketKind {
                    is_positive: side == Side::Positive,
                    is_linear: self.uses_custom_buckets(),
                };
                let (keep, middle) = kept(&bucket, bound, cut, kind);
                was_cut |= keep != *left;
                *left = keep;
                // A bucket that goes whole has no middle.
                if let Some(middle) = middle {
                    count += keep;
                    sum += middle * keep;
                }
            }
            out.set_sparse(side, &counts);
        }
        if let Some(zero) = self.zero_bucket().filter(|bucket| bucket.count > 0.0) {
            let (keep, middle) = kept_of_zero(&zero, bound, cut, has_side);
            was_cut |= keep != zero.count;
            out.zero_count = keep;
            sum += middle * keep;
            count += keep;
        }
        if !was_cut {
            return self.clone();
        }
        out.count = count;
        out.sum = sum;
        out.compact();
        out
    }
}

#[derive(Clone, Copy)]
struct BucketKind {
    is_positive: bool,
    is_linear: bool,
}

/// Returns what is left of a bucket, and its middle.
fn kept(bucket: &Bucket, bound: f64, cut: Cut, kind: BucketKind) -> (f64, Option<f64>) {
    let (whole, part) = match cut {
        Cut::Above => (bucket.upper <= bound, bucket.lower < bound),
        Cut::Below => (bucket.lower >= bound, bucket.upper > bound),
    };
    if whole {
        return (bucket.count, Some(middle(bucket.lower, bucket.upper, kind)));
    }
    if !part {
        return (0.0, None);
    }
    if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
        let (keep, middle) = kept_of_endless(bucket, bound, cut);
        return (keep, Some(middle));
    }
    let under = count_under(bucket, bound, kind);
    let (keep, middle) = match cut {
        Cut::Above => (under, middle(bucket.lower, bound, kind)),
        Cut::Below => (bucket.count - under, middle(bound, bucket.upper, kind)),
    };
    (keep, Some(middle))
}

/// The same for a bucket that has no end on one side.
fn kept_of_endless(bucket: &Bucket, bound: f64, cut: Cut) -> (f64, f64) {
    let Bucket {
        lower,
        upper,
        count,
        ..
    } = *bucket;
    let finite_or_zero = |value: f64| if value.is_infinite() { 0.0 } else { value };
    if lower == f64::NEG_INFINITY {
        return match cut {
            Cut::Above if bound >= upper => (count, 0.0),
            Cut::Above if bound > 0.0 && upper > 0.0 && upper != f64::INFINITY => {
                // As elsewhere, values start at zero where the bucket ends above it.
                (count * bound / upper, bound / 2.0)
            }
            Cut::Above if upper <= 0.0 => (count, bound),
            Cut::Below if bound <= lower => (count, 0.0),
            Cut::Below if bound >= 0.0 && upper > bound && upper != f64::INFINITY => {
                (count * (1.0 - bound / upper), (bound + upper) / 2.0)
            }
            _ => (0.0, finite_or_zero(upper)),
        };
    }
    match cut {
        Cut::Below if bound >= lower => (count, bound),
        _ => (0.0, finite_or_zero(lower)),
    }
}

fn count_under(bucket: &Bucket, bound: f64, kind: BucketKind) -> f64 {
    if bound <= bucket.lower {
        return 0.0;
    }
    if bound >= bucket.upper {
        return bucket.count;
    }
    let fraction = if kind.is_linear {
        (bound - bucket.lower) / (bucket.upper - bucket.lower)
    } else {
        let [lower, upper, at] = [bucket.lower, bucket.upper, bound].map(|v| log2(v.abs()));
        if kind.is_positive {
            (at - lower) / (upper - lower)
        } else {
            1.0 - ((at - upper) / (lower - upper))
        }
    };
    bucket.count * fraction
}

/// Returns what is left of the zero bucket, narrowed where one side has no buckets.
fn kept_of_zero(zero: &Bucket, bound: f64, cut: Cut, has_side: [bool; 2]) -> (f64, f64) {
    let (mut lower, mut upper) = (zero.lower, zero.upper);
    match has_side {
        [true, false] => lower = 0.0,
        [false, true] => upper = 0.0,
        _ => {}
    }
    let whole = (zero.count, (lower + upper) / 2.0);
    let (fraction, middle) = match cut {
        Cut::Above if bound <= lower => return (0.0, 0.0),
        Cut::Above if bound >= upper => return whole,
        Cut::Above => ((bound - lower) / (upper - lower), (lower + bound) / 2.0),
        Cut::Below if bound <= lower => return whole,
        Cut::Below if bound >= upper => return (0.0, 0.0),
        Cut::Below => ((upper - bound) / (upper - lower), (bound + upper) / 2.0),
    };
    (zero.count * fraction, middle)
}

fn middle(lower: f64, upper: f64, kind: BucketKind) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if kind.is_linear => (lower + upper) / 2.0,
        (false, false) => {
            let middle = (lower * upper).abs().sqrt();
            if kind.is_positive { middle } else { -middle }
        }
    }
}
