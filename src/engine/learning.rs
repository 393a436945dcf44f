//! From when on the detectors of rules learn what is usual: after a reset, and where a reload has
//! changed a rule's labels.
//!
//! A rule whose detectors have been reset is evaluated as if `since=` stood in their options
//! ([`crate::functions::learning`]): its expression is another one, and all that is kept by the text
//! of expressions and options is of that one. The rule's text, as it is shown, stays.
//!
//! Every engine knows of every reset, also of rules that other shards evaluate: groups may move.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::engine::Engine;
use crate::engine::compile::CompiledRules;
use crate::engine::compiled_rule::{CompiledRule, RuleIndex};
use crate::functions::Functions;
use crate::functions::learning::learn_since;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{DetectorReset, GroupKey, RuleKey, TimestampMs};
use crate::promql::ast::ExprKind;
use crate::promql::parse;

/// From when on detectors learn, of the rules that were told.
pub(crate) type LearnsSince = BTreeMap<RuleKey, TimestampMs>;

impl CompiledRules {
    /// Returns what stays of a rule over reloads.
    pub fn key_of(&self, rule: &CompiledRule) -> RuleKey {
        let group = &self.groups[rule.group];
        RuleKey {
            group: GroupKey::new(&group.file, &group.name),
            name: rule.name.clone(),
            is_alert: rule.alerting().is_some(),
            labels: rule.labels.clone(),
        }
    }

    /// Has the detectors of the rules that are meant learn from when on they were told, or as they
    /// say themselves.
    fn learn_since(&mut self, since: &LearnsSince, is_meant: impl Fn(&RuleKey) -> bool) {
        for at in 0..self.rules.len() {
            let rule = &self.rules[at];
            if !rule.learns {
                continue;
            }
            let key = self.key_of(rule);
            if !is_meant(&key) {
                continue;
            }
            // The text was printed from what was parsed when the rule was loaded.
            let Ok(mut expr) = parse(&rule.expr_text, &Functions, self.features) else {
                continue;
            };
            if let Some(told) = since.get(&key) {
                learn_since(&mut expr, *told);
            }
            self.rules[at].expr = expr;
        }
    }

    /// Returns all texts that calls of the rules are given: what is kept by options that are not
    /// among them is of no use any more.
    pub(crate) fn call_texts(&self) -> BTreeSet<String> {
        let mut texts = BTreeSet::from([String::new()]);
        for rule in &self.rules {
            rule.expr.walk(&mut |node| {
                if let ExprKind::String(text) = &node.kind {
                    texts.insert(text.clone());
                }
            });
        }
        texts
    }
}

impl Engine {
    /// The detectors of some rules begin anew.
    pub(crate) fn take_reset(&mut self, reset: &DetectorReset) {
        for key in &reset.rules {
            // At the beginning of time a reset is none.
            match reset.at > TimestampMs(0) {
                true => self.learns_since.insert(key.clone(), reset.at),
                false => self.learns_since.remove(key),
            };
        }
        let keys: BTreeSet<&RuleKey> = reset.rules.iter().collect();
        let (rules, since) = (&mut self.rules, &self.learns_since);
        rules.learn_since(since, |key| keys.contains(key));
        for (rule, state) in self.rules.rules.iter().zip(&mut self.rule_states) {
            if keys.contains(&self.rules.key_of(rule)) {
                // What it was found to be does not stand any longer.
                state.knows_parts = false;
            }
        }
        self.adopt_windows();
    }

    /// Takes over to another rule set what is known of resets, and resets the rules whose labels
    /// are others than before.
    pub(crate) fn move_learning(&mut self, rules: &mut CompiledRules) {
        let mut learns_since = std::mem::take(&mut self.learns_since);
        for (new, old) in relabelled(&self.rules, rules) {
            let before = learns_since.get(&old).copied();
            if let Some(since) = self.clock().max(before) {
                learns_since.insert(new, since);
            }
        }
        let here: BTreeSet<RuleKey> = rules.rules.iter().map(|rule| rules.key_of(rule)).collect();
        learns_since.retain(|key, _| rules.elsewhere.contains(&key.group) || here.contains(key));
        rules.learn_since(&learns_since, |key| learns_since.contains_key(key));
        self.learns_since = learns_since;
    }

    /// Returns from when on a rule's detectors learn, where they were told, ms.
    pub(crate) fn rule_learns_since(&self, index: RuleIndex) -> Option<TimestampMs> {
        let rule = &self.rules.rules[index];
        if !rule.learns {
            return None;
        }
        self.learns_since.get(&self.rules.key_of(rule)).copied()
    }

    /// Puts what is known of resets.
    pub(super) fn save_learning(&self, out: &mut ByteWriter) {
        out.list(self.learns_since.iter(), |out, (key, since)| {
            key.save(out);
            out.instant(*since);
        });
    }

    /// Takes what [`Engine::save_learning`] has put; the rules are those of then.
    pub(super) fn load_learning(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        self.learns_since = read.list(6, |read| Ok((RuleKey::load(read)?, read.instant()?)))?;
        if !self.learns_since.is_empty() {
            let (rules, since) = (&mut self.rules, &self.learns_since);
            rules.learn_since(since, |key| since.contains_key(key));
            self.adopt_windows();
        }
        Ok(())
    }
}

/// Returns the rules that learn and differ from one before by their labels alone, with what that one
/// was: in order of appearance where there are several.
fn relabelled(old: &CompiledRules, new: &CompiledRules) -> Vec<(RuleKey, RuleKey)> {
    let learning = |rules: &CompiledRules| -> Vec<(RuleKey, String)> {
        let learning = rules.rules.iter().filter(|rule| rule.learns);
        learning
            .map(|rule| (rules.key_of(rule), rule.expr_text.to_string()))
            .collect()
    };
    let (old, new) = (learning(old), learning(new));
    let of = |rules: &[(RuleKey, String)]| -> BTreeSet<RuleKey> {
        rules.iter().map(|(key, _)| key.clone()).collect()
    };
    let (old_keys, new_keys) = (of(&old), of(&new));
    let but_labels = |key: &RuleKey, text: &str| {
        let RuleKey {
            group,
            name,
            is_alert,
            labels: _,
        } = key.clone();
        (group, name, is_alert, text.to_owned())
    };
    let mut gone: HashMap<_, VecDeque<RuleKey>> = HashMap::new();
    for (key, text) in old.into_iter().filter(|(key, _)| !new_keys.contains(key)) {
        let alike = gone.entry(but_labels(&key, &text)).or_default();
        alike.push_back(key);
    }
    let come = new.into_iter().filter(|(key, _)| !old_keys.contains(key));
    let pairs = come.filter_map(|(key, text)| {
        let before = gone.get_mut(&but_labels(&key, &text))?.pop_front()?;
        Some((key, before))
    });
    pairs.collect()
}
