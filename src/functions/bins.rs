//! Two distributions over the same bins, made of what two arguments hold: a current one and a
//! baseline, totals and hits, negatives and positives.
//!
//! The conventions for histograms that are no pair stand in `drift/mod.rs`.

use crate::functions::classic_histogram::upper_bound;
use crate::functions::grouped::{Group, Member};
use crate::model::FloatHistogram;
use crate::model::histogram::Bucket;

/// A bin with its bounds and what each side has in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// Where it begins; what is in it lies at `upper` where both are the same.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// What the baseline has in it.
    pub reference: f64,
    /// What the current distribution has in it.
    pub current: f64,
}

impl Bin {
    fn is_filled(&self) -> bool {
        self.reference > 0.0 || self.current > 0.0
    }
}

/// The bins of two distributions, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Bins {
    /// All bins. Of categories the bounds are their numbers.
    bins: Vec<Bin>,
    /// What the baseline has in all.
    pub reference_total: f64,
    /// What the current distribution has in all.
    pub current_total: f64,
    /// Cumulative counts, kept from pair to pair for their room.
    sides: [Vec<Cumulative>; 2],
}

/// A bound and the count up to it.
#[derive(Clone, Copy, Debug)]
struct Cumulative {
    upper: f64,
    count: f64,
}

/// Why two histograms cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A count is no count, or a side is empty or has no `+Inf`.
    Counts,
    /// They have too few bounds in common.
    Layouts,
}

impl Bins {
    /// Returns all bins.
    pub fn all(&self) -> &[Bin] {
        &self.bins
    }

    /// Returns the bins that are not empty on both sides.
    pub fn filled(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter().filter(|bin| bin.is_filled())
    }

    /// Returns the number of those.
    pub fn n_filled(&self) -> usize {
        self.filled().count()
    }

    /// Returns the shares of both sides, baseline first, of the bins that are not empty.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        let totals = (self.reference_total, self.current_total);
        self.filled()
            .map(move |bin| (bin.reference / totals.0, bin.current / totals.1))
    }

    /// Merges bins so that the baseline has about as much in each of `n`: a cut goes behind the
    /// first bin that brings it to each `j / n`. Returns how many bins are left.
    pub fn merge_to_quantiles(&mut self, n: usize) -> usize {
        let n_bins = self.bins.len();
        let mut merged: Vec<Bin> = Vec::with_capacity(n);
        let (mut sum, mut next, mut is_open) = (0.0, 1, false);
        for (at, bin) in self.bins.iter().enumerate() {
            match merged.last_mut().filter(|_| is_open) {
                Some(last) => {
                    last.upper = bin.upper;
                    last.reference += bin.reference;
                    last.current += bin.current;
                }
                None => merged.push(*bin),
            }
            is_open = true;
            sum += bin.reference;
            // A rounded share must not miss its quantile.
            let share = sum / self.reference_total + 1e-12;
            while next < n && share >= next as f64 / n as f64 {
                next += 1;
                is_open = at + 1 == n_bins;
            }
        }
        self.bins = merged;
        self.bins.len()
    }

    /// Fills the bins with two histograms.
    pub fn of_histograms(
        &mut self,
        reference: &Group<'_>,
        current: &Group<'_>,
    ) -> Result<(), Unusable> {
        let exponential = |group: &Group<'_>| match group.histogram {
            Some(histogram) if !histogram.uses_custom_buckets() => Some(histogram.clone()),
            _ => None,
        };
        match (exponential(reference), exponential(current)) {
            (Some(reference), Some(current)) => self.of_exponential(&reference, &current),
            (None, None) => {
                let [a, b] = &mut self.sides;
                let (reference, current) = (cumulate(reference, a), cumulate(current, b));
                reference.and(current)?;
                self.of_common_bounds()
            }
            _ => Err(Unusable::Layouts),
        }
    }

    /// Fills the bins with counts by category; one that a side does not have is empty there.
    pub fn of_categories<'e>(
        &mut self,
        reference: &mut [(&'e str, f64)],
        current: &mut [(&'e str, f64)],
    ) -> Result<(), Unusable> {
        self.bins.clear();
        for side in [&mut *reference, &mut *current] {
            if !side.iter().all(|(_, count)| is_count(*count)) {
                return Err(Unusable::Counts);
            }
            side.sort_by(|a, b| a.0.cmp(b.0));
        }
        let (mut a, mut b) = (reference.iter().peekable(), current.iter().peekable());
        while let Some(name) = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => Some(*a.min(b)),
            (Some((name, _)), None) | (None, Some((name, _))) => Some(*name),
            (None, None) => None,
        } {
            let number = self.bins.len() as f64;
            let count = |found: Option<&(&str, f64)>| found.map_or(0.0, |(_, count)| *count);
            self.bins.push(Bin {
                lower: number,
                upper: number,
                reference: count(a.next_if(|(other, _)| *other == name)),
                current: count(b.next_if(|(other, _)| *other == name)),
            });
        }
        self.add_up();
        Ok(())
    }

    /// Fills the bins with two native histograms of exponential buckets.
    fn of_exponential(
        &mut self,
        reference: &FloatHistogram,
        current: &FloatHistogram,
    ) -> Result<(), Unusable> {
        for histogram in [reference, current] {
            let buckets = histogram.positive_buckets.iter();
            let mut counts = buckets
                .chain(&histogram.negative_buckets)
                .chain([&histogram.zero_count]);
            if !counts.all(|count| is_count(*count)) {
                return Err(Unusable::Counts);
            }
        }
        let (reference, current) = reference.aligned_with(current);
        self.bins.clear();
        let empty = |bucket: &Bucket| Bin {
            lower: bucket.lower,
            upper: bucket.upper,
            reference: 0.0,
            current: 0.0,
        };
        self.bins
            .extend(reference.buckets_with_width().iter().map(|bucket| Bin {
                reference: bucket.count,
                ..empty(bucket)
            }));
        self.bins
            .extend(current.buckets_with_width().iter().map(|bucket| Bin {
                current: bucket.count,
                ..empty(bucket)
            }));
        self.bins.retain(Bin::is_filled);
        self.bins.sort_by(|a, b| {
            a.lower
                .total_cmp(&b.lower)
                .then(a.upper.total_cmp(&b.upper))
        });
        self.bins.dedup_by(|next, kept| {
            let is_same = next.upper == kept.upper && next.lower == kept.lower;
            if is_same {
                kept.reference += next.reference;
                kept.current += next.current;
            }
            is_same
        });
        let has_negative = self.bins.iter().any(|bin| bin.upper < 0.0);
        for bin in &mut self.bins {
            // What is near zero is not below it where nothing else is.
            if !has_negative && bin.lower < 0.0 {
                bin.lower = 0.0;
            }
            if bin.upper == f64::INFINITY {
                bin.upper = bin.lower;
            }
        }
        self.add_up();
        Ok(())
    }

    /// Fills the bins between the bounds that both sides have.
    fn of_common_bounds(&mut self) -> Result<(), Unusable> {
        self.bins.clear();
        let [reference, current] = &self.sides;
        let (mut before, mut lower) = ((0.0, 0.0), None);
        let mut others = current.iter().peekable();
        for a in reference {
            while others.next_if(|b| b.upper < a.upper).is_some() {}
            let Some(b) = others.next_if(|b| b.upper == a.upper) else {
                continue;
            };
            // The first begins at zero, or nobody knows where; the last ends nobody knows where.
            let (lower_bound, upper) = match lower {
                None if a.upper == f64::INFINITY => (0.0, 0.0),
                None => (if a.upper > 0.0 { 0.0 } else { a.upper }, a.upper),
                Some(lower) if a.upper == f64::INFINITY => (lower, lower),
                Some(lower) => (lower, a.upper),
            };
            self.bins.push(Bin {
                lower: lower_bound,
                upper,
                reference: a.count - before.0,
                current: b.count - before.1,
            });
            before = (a.count, b.count);
            lower = Some(a.upper);
        }
        if self.bins.len() < 2 {
            return Err(Unusable::Layouts);
        }
        (self.reference_total, self.current_total) = before;
        Ok(())
    }

    /// Fills the bins with counts by a label that holds the bins' bounds, which are not cumulative:
    /// the upper one, or `lower-upper`.
    pub fn of_bounds(
        &mut self,
        reference: &[(&str, f64)],
        current: &[(&str, f64)],
    ) -> Result<(), Unusable> {
        self.bins.clear();
        for (bounds, count) in reference {
            let (lower, upper) = bounds_of(bounds).ok_or(Unusable::Layouts)?;
            self.bins.push(Bin {
                lower,
                upper,
                reference: *count,
                current: 0.0,
            });
        }
        for (bounds, count) in current {
            let (lower, upper) = bounds_of(bounds).ok_or(Unusable::Layouts)?;
            self.bins.push(Bin {
                lower,
                upper,
                reference: 0.0,
                current: *count,
            });
        }
        if !self
            .bins
            .iter()
            .all(|bin| is_count(bin.reference) && is_count(bin.current))
        {
            return Err(Unusable::Counts);
        }
        self.bins.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        self.bins.dedup_by(|next, kept| {
            let is_same = next.upper == kept.upper;
            if is_same {
                kept.reference += next.reference;
                kept.current += next.current;
            }
            is_same
        });
        let mut lower = 0.0;
        for bin in &mut self.bins {
            if bin.lower.is_nan() {
                bin.lower = if bin.upper > lower { lower } else { bin.upper };
            }
            lower = bin.upper;
            if bin.upper == f64::INFINITY {
                bin.upper = bin.lower;
            }
        }
        self.add_up();
        Ok(())
    }

    fn add_up(&mut self) {
        self.reference_total = self.bins.iter().map(|bin| bin.reference).sum();
        self.current_total = self.bins.iter().map(|bin| bin.current).sum();
    }

    /// Refuses a side that holds nothing.
    pub fn check_totals(&self) -> Result<(), Unusable> {
        match self.reference_total > 0.0 && self.current_total > 0.0 {
            true => Ok(()),
            false => Err(Unusable::Counts),
        }
    }
}

/// Reads `upper` or `lower-upper`; a lower bound that is not said is NaN.
fn bounds_of(text: &str) -> Option<(f64, f64)> {
    if let Some(upper) = edge(text) {
        return Some((f64::NAN, upper));
    }
    // A minus may be a sign, too.
    let (at, _) = text.char_indices().skip(1).find(|(_, c)| *c == '-')?;
    let (lower, upper) = (edge(&text[..at])?, edge(&text[at + 1..])?);
    (lower <= upper).then_some((lower, upper))
}

fn is_count(count: f64) -> bool {
    (0.0..f64::INFINITY).contains(&count)
}

/// Reads a bound; `None` where it is none.
pub(super) fn edge(text: &str) -> Option<f64> {
    upper_bound(text).filter(|edge| !edge.is_nan())
}

/// Lists the cumulative counts of a classic histogram, or of a native one with custom buckets.
fn cumulate(group: &Group<'_>, out: &mut Vec<Cumulative>) -> Result<(), Unusable> {
    out.clear();
    match group.histogram {
        Some(histogram) => cumulate_custom(histogram, out)?,
        None => cumulate_classic(&group.floats, out),
    }
    if !out.iter().all(|bucket| is_count(bucket.count)) {
        return Err(Unusable::Counts);
    }
    if out.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return Err(Unusable::Counts);
    }
    let mut highest = 0.0f64;
    for bucket in out.iter_mut() {
        highest = highest.max(bucket.count);
        bucket.count = highest;
    }
    // Below minus infinity there is nothing: what was counted there is in the next bucket.
    out.retain(|bucket| bucket.upper != f64::NEG_INFINITY);
    Ok(())
}

fn cumulate_classic(buckets: &[Member<'_>], out: &mut Vec<Cumulative>) {
    let bounded = buckets.iter().filter(|bucket| !bucket.bound.is_nan());
    let bounded = bounded.map(|bucket| Cumulative {
        upper: bucket.bound,
        count: bucket.value,
    });
    out.extend(bounded);
    out.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    // Two spellings of one bound are two counters.
    out.dedup_by(|next, kept| {
        let is_same = next.upper == kept.upper;
        if is_same {
            kept.count += next.count;
        }
        is_same
    });
}

fn cumulate_custom(histogram: &FloatHistogram, out: &mut Vec<Cumulative>) -> Result<(), Unusable> {
    let buckets = histogram.buckets();
    if !buckets.iter().all(|bucket| is_count(bucket.count)) {
        return Err(Unusable::Counts);
    }
    let mut buckets = buckets.iter().peekable();
    let mut count = 0.0;
    for upper in histogram.custom_values.iter().chain([&f64::INFINITY]) {
        while let Some(bucket) = buckets.next_if(|bucket| bucket.upper <= *upper) {
            count += bucket.count;
        }
        let upper = *upper;
        out.push(Cumulative { upper, count });
    }
    Ok(())
}
