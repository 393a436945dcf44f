//! Which parts of which rules have headroom.

use std::collections::BTreeSet;

use crate::engine::compiled_rule::{CompiledRule, RuleIndex};
use crate::engine::headroom::find::Finder;
use crate::engine::headroom::{ChannelId, Gains, Headroom};
use crate::engine::partitions::{Due, PartId, Partitions, RuleParts};
use crate::engine::samples::ReaderSet;
use crate::eval::live::{Scope, SumBounds};
use crate::eval::plan::headroom::Distance;
use crate::model::{Labels, TimestampMs};

impl Partitions {
    /// Tells whether bounds are known of a rule.
    pub fn may_have_headroom(&self, index: RuleIndex) -> bool {
        let rule = self.rules.get(index);
        rule.is_some_and(|rule| !rule.channels.is_empty())
    }

    /// Returns the channels of some rules that count a series.
    pub fn channels_of(&self, rules: &BTreeSet<RuleIndex>, labels: &Labels) -> BTreeSet<ChannelId> {
        let rules = rules.iter().filter_map(|rule| self.rules.get(*rule));
        let channels = rules.flat_map(|rule| &rule.channels).copied();
        let counts = |channel: &ChannelId| self.gains.counts(*channel, labels);
        channels.filter(counts).collect()
    }

    /// A series has gained so much with a sample; where that is not known, or the sample came late, the
    /// rules that it moves have no headroom.
    #[inline]
    pub fn gained(&mut self, readers: &ReaderSet, parts: &[PartId], gain: Option<f64>) {
        let part = |class: &Option<usize>| class.and_then(|class| parts.get(class).copied());
        match gain {
            Some(gain) => {
                for (channel, class) in &readers.channels {
                    self.gains.add(*channel, part(class), gain);
                }
            }
            None => {
                for (rule, class) in &readers.rules {
                    self.rules[*rule].lose_headroom(part(class));
                }
            }
        }
    }

    /// Tells whether it is worth while to look for headroom in what is going to be evaluated.
    pub fn looks_for_headroom(&mut self, index: RuleIndex, due: &Due) -> bool {
        let rule = &mut self.rules[index];
        if rule.channels.is_empty() {
            return false;
        }
        let Some(class) = rule.class else {
            return rule.whole_headroom.is_tried();
        };
        let n_parts = self.classes[class as usize].keys.len();
        rule.headroom.resize_with(n_parts, Headroom::default);
        let mut is_tried = false;
        let mut ask = |headroom: &mut Headroom| is_tried |= headroom.is_tried();
        match due {
            Due::Whole => rule.headroom.iter_mut().for_each(ask),
            Due::Parts { ids, .. } => {
                let places = ids.iter().map(|id| *id as usize);
                places.for_each(|place| ask(&mut rule.headroom[place]));
            }
        }
        is_tried
    }

    /// Notes the headroom of what was evaluated, found from the bounds of its sums: of parts that have
    /// raised no alert.
    pub fn find_headroom(
        &mut self,
        (index, rule): (RuleIndex, &CompiledRule),
        due: &Due,
        sums: &[SumBounds],
        raised: &BTreeSet<Option<u64>>,
    ) {
        let (Some(distance), parts) = (Distance::of(&rule.expr), &mut self.rules[index]) else {
            return;
        };
        let class = parts.class.map(|class| &self.classes[class as usize]);
        let part_of = |labels: &Labels| {
            let class = class?;
            let id = class.ids.get(&Scope::key(&class.labels, labels));
            id.copied()
        };
        let finder = Finder {
            sums,
            gains: &self.gains,
            class: parts.class,
            part: &part_of,
        };
        let found = finder.find(&distance);
        let found = |part: Option<PartId>, is_raised: bool| {
            let found = found.as_ref().filter(|_| !is_raised);
            let headroom = found.and_then(|found| found.of(part));
            headroom.unwrap_or_else(Headroom::not_found)
        };
        let Some(class) = class else {
            parts.whole_headroom = found(None, !raised.is_empty());
            return;
        };
        let mut note = |id: PartId| {
            let key = Some(class.keys[id as usize]);
            let is_raised = raised.contains(&None) || raised.contains(&key);
            parts.headroom[id as usize] = found(Some(id), is_raised);
        };
        match due {
            Due::Whole => (0..class.keys.len() as PartId).for_each(note),
            Due::Parts { ids, .. } => ids.iter().copied().for_each(&mut note),
        }
    }

    /// Nothing has headroom any more.
    pub fn lose_all_headroom(&mut self) {
        for rule in &mut self.rules {
            rule.whole_headroom = Headroom::default();
            rule.headroom.clear();
        }
        self.gains.forget();
    }

    /// Returns how often headroom has spared an evaluation since this was last asked.
    pub fn take_spared(&mut self) -> u64 {
        std::mem::take(&mut self.n_spared)
    }
}

impl RuleParts {
    /// Tells whether a part has headroom at a place of the frontier, ms.
    pub fn has_headroom(&self, id: PartId, at: TimestampMs, gains: &Gains) -> bool {
        let headroom = self.headroom.get(id as usize);
        headroom.is_some_and(|headroom| headroom.is_there(at, gains, Some(id)))
    }

    /// Loses the headroom of a part, or of the whole that has none.
    pub fn lose_headroom(&mut self, part: Option<PartId>) {
        match part {
            Some(part) => {
                if let Some(headroom) = self.headroom.get_mut(part as usize) {
                    headroom.lose();
                }
            }
            None => self.whole_headroom.lose(),
        }
    }
}
