//! Since when each selector's samples are kept, and so from when on each rule is warm.
//!
//! A selector is known by its matchers. A new one whose series another selector has been reading
//! finds their history here; one whose window got longer has what the shorter one kept.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::compile::CompiledRules;
use crate::engine::compiled_rule::{CompiledRule, RuleIndex};
use crate::model::{DurationMs, Matcher, TimestampMs};

/// Returns the texts of matchers, sorted.
fn texts(matchers: &[Matcher]) -> Vec<String> {
    let mut texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// Returns the text that a selector is known by.
pub(crate) fn selector_key(matchers: &[Matcher]) -> String {
    texts(matchers).join(",")
}

/// What a rule set keeps of one selector's series.
pub(crate) struct Kept {
    /// The matchers' texts, sorted.
    texts: Vec<String>,
    /// The metric name, where it demands one.
    name: Option<String>,
    /// For how long, ms.
    keep: DurationMs,
}

/// What a rule set keeps, by the text of the selector.
pub(crate) type KeptBy = BTreeMap<String, Kept>;

impl Engine {
    /// Returns for how long a rule set keeps the samples of each selector.
    pub(crate) fn kept_by(&self, rules: &CompiledRules) -> KeptBy {
        let mut kept = KeptBy::new();
        let used = rules.rules.iter().flat_map(|rule| {
            let selectors = rule.selectors.iter();
            selectors.map(move |used| (used, rule.wants(used)))
        });
        for (used, wanted) in used {
            let keep = self.keep_of(wanted);
            let texts = texts(&used.matchers);
            let of_selector = kept.entry(texts.join(",")).or_insert_with(|| Kept {
                texts,
                name: Matcher::exact_name(&used.matchers).map(str::to_owned),
                keep,
            });
            of_selector.keep = of_selector.keep.max(keep);
        }
        kept
    }

    /// Notes since when each selector's samples are kept, where another rule set was in force
    /// until now.
    pub(crate) fn note_selectors(&mut self, before: &KeptBy) {
        let now = self.frontier.unwrap_or(TimestampMs::MIN);
        let known = std::mem::take(&mut self.kept_since);
        let held = |(key, kept): (&String, &Kept)| Some((*known.get(key)?).max(now - kept.keep));
        let mut by_name: BTreeMap<Option<&str>, Vec<(&String, &Kept)>> = BTreeMap::new();
        for (key, kept) in before {
            let of_name = by_name.entry(kept.name.as_deref()).or_default();
            of_name.push((key, kept));
        }
        let since = |(key, kept): (String, Kept)| {
            let same = before.get(&key).filter(|same| same.keep >= kept.keep);
            if let Some(since) = same.and(known.get(&key)) {
                return (key, *since);
            }
            // Whoever has fewer conditions, all of them among these, read these series too.
            let wider = |wider: &&(&String, &Kept)| {
                let mut texts = wider.1.texts.iter();
                texts.all(|text| kept.texts.binary_search(text).is_ok())
            };
            let names = [kept.name.as_deref(), None];
            let names = &names[..if kept.name.is_some() { 2 } else { 1 }];
            let wider = names
                .iter()
                .filter_map(|name| by_name.get(name))
                .flat_map(|kept| kept.iter().filter(wider));
            let since = wider.filter_map(|wider| held(*wider)).min();
            (key, since.unwrap_or(now))
        };
        let kept = self.kept_by(&self.rules).into_iter();
        self.kept_since = kept.map(since).collect();
        self.find_warm_instants();
    }

    /// Finds from when on each rule has the history that its windows look back on. Changes only
    /// with the rules and with the first frontier, and is asked at every evaluation.
    pub(crate) fn find_warm_instants(&mut self) {
        let rules = 0..self.rules.rules.len();
        self.warm_from = rules
            .map(|index| self.warm_within(index, &mut Vec::new()))
            .collect();
        let youngest = |rule: &CompiledRule| {
            let used = rule.selectors.iter();
            let since = used.filter_map(|used| self.kept_since.get(&selector_key(&used.matchers)));
            since.copied().max()
        };
        self.all_kept_since = self.rules.rules.iter().map(youngest).collect();
    }

    fn warm_within(&self, index: RuleIndex, within: &mut Vec<RuleIndex>) -> Option<TimestampMs> {
        if within.contains(&index) {
            return None;
        }
        within.push(index);
        let rule = &self.rules.rules[index];
        let own = rule.selectors.iter().filter_map(|used| {
            let since = self.kept_since.get(&selector_key(&used.matchers))?;
            Some(used.full_from(*since))
        });
        let own = own.max();
        let recorded = rule
            .views
            .iter()
            .filter_map(|view| self.warm_within(*view, within));
        let from = recorded.chain(own).max();
        within.pop();
        from
    }

    /// Returns since when all that a rule reads is kept; nothing before the first sample.
    pub(crate) fn kept_since(&self, index: RuleIndex) -> Option<TimestampMs> {
        self.frontier.and(self.all_kept_since[index])
    }

    /// Returns until when a rule lacks history that its windows look back on.
    pub(crate) fn warming_until(&self, index: RuleIndex) -> Option<TimestampMs> {
        let is_ahead = |from: &TimestampMs| self.frontier.is_none_or(|frontier| frontier < *from);
        self.warm_from[index].filter(is_ahead)
    }

    /// Tells whether a rule lacks history that its windows look back on.
    pub(crate) fn is_warming(&self, index: RuleIndex) -> bool {
        self.warming_until(index).is_some()
    }
}
