//! Headroom from bounds: what may come before a condition can be met.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::engine::headroom::{Gains, Headroom};
use crate::engine::partitions::PartId;
use crate::eval::live::{GroupBounds, SumBounds};
use crate::eval::plan::headroom::{Condition, Distance, Growth, Ratio};
use crate::model::Labels;
use crate::promql::ast::Aggregate;

/// Far more than rounding takes from bounds and sums.
const MARGIN: f64 = 1.0 + 1e-9;

/// The headroom of a rule's parts, found from the bounds of its sums.
pub struct Finder<'f> {
    /// What the sums may come to.
    pub sums: &'f [SumBounds],
    /// What counters have gained so far.
    pub gains: &'f Gains,
    /// The label set that takes the rule apart.
    pub class: Option<u32>,
    /// Returns the part that a group of a sum belongs to.
    pub part: &'f dyn Fn(&Labels) -> Option<PartId>,
}

/// Headroom by part; a part that is missing has no end of it, since nothing that it is made of is
/// there.
type ByPart = HashMap<Option<PartId>, Option<Headroom>>;

impl Finder<'_> {
    /// Returns the headroom of all parts whose groups were asked for; `None` where there is none.
    pub fn find(&self, distance: &Distance<'_>) -> Option<FoundHeadroom> {
        // What is left out must not be what an evaluation would fail by.
        let mut failing = distance.failing.iter();
        let cannot_fail = failing.all(|aggregate| self.sum(aggregate).is_some());
        let found = cannot_fail.then(|| self.of(&distance.condition));
        found.flatten().map(FoundHeadroom)
    }

    fn of(&self, condition: &Condition<'_>) -> Option<ByPart> {
        match condition {
            Condition::Exceeds(ratio) => self.of_ratio(ratio),
            // One of them is enough: that which lasts longest.
            Condition::All(conditions) => {
                let known = conditions.iter().filter_map(|condition| self.of(condition));
                known.reduce(|mut all, mut more| {
                    all.retain(|part, _| more.contains_key(part));
                    for (part, found) in &mut all {
                        let other = more.remove(part).flatten();
                        let until = |found: &Option<Headroom>| found.as_ref().map(|h| h.until);
                        if until(&other) > until(found) {
                            *found = other;
                        }
                    }
                    all
                })
            }
            Condition::Any(conditions) => {
                let mut all = ByPart::new();
                for condition in conditions {
                    for (part, found) in self.of(condition)? {
                        let known = all.entry(part).or_insert_with(|| Some(Headroom::endless()));
                        *known = known.take().zip(found).map(|(one, other)| one.and(other));
                    }
                }
                Some(all)
            }
        }
    }

    fn of_ratio(&self, ratio: &Ratio<'_>) -> Option<ByPart> {
        let (upper, lower) = (self.groups(&ratio.upper)?, self.groups(&ratio.lower)?);
        let lower: HashMap<&Labels, &GroupBounds> =
            lower.iter().map(|group| (&group.labels, group)).collect();
        let channel = self.gains.known(ratio.upper.selector, self.class)?;
        let mut parts = ByPart::new();
        for group in upper {
            let part = (self.part)(&group.labels);
            if self.class.is_some() && part.is_none() {
                continue;
            }
            let known = parts
                .entry(part)
                .or_insert_with(|| Some(Headroom::endless()));
            // Without anything to be divided by there is no ratio.
            let Some(lower) = lower.get(&group.labels) else {
                continue;
            };
            let room = ratio.limit * lower.low / MARGIN / MARGIN - group.high * MARGIN;
            let room = room / (group.stretched * MARGIN);
            let found = (lower.low > 0.0 && room > 0.0 && room.is_finite()).then(|| Headroom {
                until: group.until.min(lower.until),
                limits: SmallVec::from_slice(&[(
                    channel,
                    (self.gains.of(channel, part) + room).next_down(),
                )]),
                n_untried: 0,
            });
            *known = known.take().zip(found).map(|(one, other)| one.and(other));
        }
        Some(parts)
    }

    fn groups(&self, growth: &Growth<'_>) -> Option<&[GroupBounds]> {
        self.sum(growth.aggregate)?.groups.as_deref()
    }

    fn sum(&self, aggregate: &Aggregate) -> Option<&SumBounds> {
        self.sums.iter().find(|sum| sum.are_of(aggregate))
    }
}

/// What a [`Finder`] has found.
pub struct FoundHeadroom(ByPart);

impl FoundHeadroom {
    /// Returns the headroom of a part, which may be asked for twice.
    pub fn of(&self, part: Option<PartId>) -> Option<Headroom> {
        let known = self.0.get(&part).cloned();
        known.unwrap_or_else(|| Some(Headroom::endless()))
    }
}
