//! Which rules a series moves, and which recording rules a selector may look through.
//!
//! Both questions are asked for every new series and for every evaluation, and a rule set has
//! thousands of selectors: so they are indexed by metric name. Nearly all selectors have one.

use std::collections::{BTreeSet, HashMap};

use crate::engine::compiled_rule::{CompiledRule, GroupIndex, RuleIndex};
use crate::model::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE, DurationMs, Labels, Matcher};

/// A selector by its rule and its place among that rule's selectors.
type SelectorPlace = (RuleIndex, usize);

/// The selectors of all rules, by metric name.
#[derive(Clone, Debug, Default)]
pub struct ReadIndex {
    selectors_by_name: HashMap<String, Vec<SelectorPlace>>,
    selectors_of_any_name: Vec<SelectorPlace>,
    /// For each rule, those that look through it.
    viewers: Vec<Vec<RuleIndex>>,
    /// Recording rules that may be looked through, by the name they record.
    viewable_by_name: HashMap<String, Vec<RuleIndex>>,
    /// All rules, by the name they record or the alert's.
    rules_by_name: HashMap<String, Vec<RuleIndex>>,
}

impl ReadIndex {
    /// Indexes rules; `viewable` are the recording rules that may be looked through, ascending.
    pub fn of(rules: &[CompiledRule], viewable: &[RuleIndex]) -> Self {
        let mut index = ReadIndex {
            viewers: vec![Vec::new(); rules.len()],
            ..ReadIndex::default()
        };
        for (at, rule) in rules.iter().enumerate() {
            let of_name = index.rules_by_name.entry(rule.name.clone());
            of_name.or_default().push(at);
            for (place, used) in rule.selectors.iter().enumerate() {
                match Matcher::exact_name(&used.matchers) {
                    Some(name) => {
                        let of_name = index.selectors_by_name.entry(name.to_owned());
                        of_name.or_default().push((at, place));
                    }
                    None => index.selectors_of_any_name.push((at, place)),
                }
            }
        }
        for at in viewable {
            let of_name = index.viewable_by_name.entry(rules[*at].name.clone());
            of_name.or_default().push(*at);
        }
        for at in 0..rules.len() {
            for record in index.views_of(rules, at) {
                index.viewers[record].push(at);
            }
        }
        index
    }

    /// Returns the recording rules that a selector may look through, ascending.
    pub fn viewable(&self, rules: &[CompiledRule], matchers: &[Matcher]) -> Vec<RuleIndex> {
        let could = |at: &&RuleIndex| rules[**at].may_be_read_by(matchers);
        let mut found: Vec<RuleIndex> = match Matcher::exact_name(matchers) {
            Some(name) => {
                let of_name = self.viewable_by_name.get(name).into_iter().flatten();
                of_name.filter(could).copied().collect()
            }
            None => self
                .viewable_by_name
                .values()
                .flatten()
                .filter(could)
                .copied()
                .collect(),
        };
        found.sort_unstable();
        found
    }

    /// Returns the recording rules that a rule looks through, ascending.
    pub fn views_of(&self, rules: &[CompiledRule], at: RuleIndex) -> BTreeSet<RuleIndex> {
        let selectors = rules[at].selectors.iter();
        selectors
            .flat_map(|used| self.viewable(rules, &used.matchers))
            .collect()
    }

    /// Returns the groups whose rules may write a series, ascending.
    pub fn writers(&self, rules: &[CompiledRule], labels: &Labels) -> Vec<GroupIndex> {
        let is_alert = [ALERTS, ALERTS_FOR_STATE].contains(&labels.metric_name());
        let name = if is_alert {
            labels.value(ALERT_NAME)
        } else {
            labels.metric_name()
        };
        let named = self.rules_by_name.get(name).into_iter().flatten();
        let could_write = |rule: &&CompiledRule| {
            let mut written = rule.labels.iter();
            rule.alerting().is_some() == is_alert
                && written.all(|(name, value)| {
                    labels.value(name) == value || (is_alert && value.contains("{{"))
                })
        };
        let rules = named.map(|at| &rules[*at]).filter(could_write);
        let groups: BTreeSet<GroupIndex> = rules.map(|rule| rule.group).collect();
        groups.into_iter().collect()
    }

    /// Returns the rules that read a series, themselves or through what is recorded from it, and
    /// how far back any of them reads it.
    pub fn readers(
        &self,
        rules: &[CompiledRule],
        labels: &Labels,
    ) -> (BTreeSet<RuleIndex>, DurationMs) {
        let (mut reach, mut moved) = (DurationMs::ZERO, BTreeSet::new());
        let named = self.selectors_by_name.get(labels.metric_name());
        for (at, place) in named
            .into_iter()
            .flatten()
            .chain(&self.selectors_of_any_name)
        {
            let used = &rules[*at].selectors[*place];
            if used
                .matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                reach = reach.max(rules[*at].wants(used));
                moved.insert(*at);
            }
        }
        let mut queue: Vec<RuleIndex> = moved.iter().copied().collect();
        while let Some(record) = queue.pop() {
            let newly = self.viewers[record]
                .iter()
                .filter(|viewer| moved.insert(**viewer));
            queue.extend(newly.copied().collect::<Vec<_>>());
        }
        (moved, reach)
    }
}
