//! A rule set takes the place of another: state of what stayed is kept.
//!
//! Groups are the same when file and name are; a rule's state goes to the rule of the same kind,
//! name and labels, in order of appearance, as Prometheus copies it (`rules/group.go`, `CopyState`).
//! What is gone is not resolved: receivers let it expire, and its series are ended after two
//! intervals.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::engine::compile::{CompiledRules, compile};
use crate::engine::compiled_rule::{CompiledRule, RuleIndex};
use crate::engine::context::is_of_changes;
use crate::engine::{Effect, Engine, GroupState, RuleState};
use crate::eval::EvalOptions;
use crate::model::{
    DurationMs, Generation, GroupKey, METRIC_NAME, RuleKey, RuleSource, TimestampMs,
};

impl Engine {
    /// Adopts a rule set, or refuses it whole.
    pub(crate) fn adopt(
        &mut self,
        generation: Generation,
        source: &Arc<RuleSource>,
        effects: &mut Vec<Effect>,
    ) {
        let mut rules = match compile(source) {
            Ok(rules) => rules,
            Err(errors) => {
                let reasons = errors.iter().map(ToString::to_string).collect();
                effects.push(Effect::RulesRefused {
                    generation,
                    reasons,
                });
                return;
            }
        };
        let kept_before = self.kept_by(&self.rules);
        // All series are about to be routed anew.
        self.save_all();
        self.generation = generation;
        self.move_learning(&mut rules);
        self.unticked = (0..rules.groups.len()).collect();
        let old_rules = self.install(Arc::clone(source), rules);
        self.move_rule_states(&old_rules, effects);
        self.move_group_states(&old_rules);
        self.note_selectors(&kept_before);
        self.moved_late.clear();
        self.route_series_anew();
        self.follow_series();
        self.adopt_windows();
        self.move_baselines(&old_rules);
    }

    /// Puts a rule set in the place of another, with what follows from it alone. Returns the other.
    pub(crate) fn install(
        &mut self,
        source: Arc<RuleSource>,
        rules: CompiledRules,
    ) -> CompiledRules {
        self.settings = source.settings.clone();
        self.ticks_when_settled =
            self.settings.ticks_when_settled && rules.groups.iter().all(|group| group.ticks_only);
        self.options = EvalOptions {
            default_step: self.settings.evaluation_interval,
            features: rules.features,
            samples_max: self.settings.samples_max,
            subquery_steps_max: self.settings.subquery_steps_max,
            ..EvalOptions::default()
        };
        self.source = source;
        let old_rules = std::mem::replace(&mut self.rules, rules);
        self.recorded_keep = self.how_long_recorded_is_kept();
        old_rules
    }

    /// Lets the windows know what the rules read.
    pub(crate) fn adopt_windows(&mut self) {
        let n_selectors = self.rules.rules.iter().map(|rule| rule.selectors.len());
        let n_selectors = n_selectors.sum();
        let texts = self.rules.call_texts();
        let lags = self.rules.lags();
        self.live.get_mut().adopt(lags, n_selectors, &texts);
        let subqueries = self.rules.subqueries(&self.options);
        let features = self.rules.features;
        self.live.get_mut().subqueries.adopt(subqueries, features);
    }

    fn move_rule_states(&mut self, old: &CompiledRules, effects: &mut Vec<Effect>) {
        let mut old_states: HashMap<RuleKey, VecDeque<(RuleIndex, RuleState)>> = HashMap::new();
        for (at, state) in std::mem::take(&mut self.rule_states)
            .into_iter()
            .enumerate()
        {
            let key = old.key_of(&old.rules[at]);
            old_states.entry(key).or_default().push_back((at, state));
        }
        self.timers.clear();
        for at in 0..self.rules.rules.len() {
            let rule = &self.rules.rules[at];
            let moved = old_states
                .get_mut(&self.rules.key_of(rule))
                .and_then(VecDeque::pop_front);
            let Some((old_at, mut state)) = moved else {
                self.rule_states.push(RuleState::default());
                continue;
            };
            let hold = |rule: &CompiledRule| rule.alerting().map_or(DurationMs::ZERO, |a| a.hold);
            state.knows_parts = false;
            state.hold_raised |= hold(rule) > hold(&old.rules[old_at]);
            for (deadline, _) in state.alerts.deadlines(hold(rule), None) {
                // An alert that waits for its rule to be warm may be long due; the frontier does
                // not go back for it.
                let deadline = self.frontier.map_or(deadline, |at| at.max(deadline));
                self.timers.insert((deadline, at, None));
            }
            self.rule_states.push(state);
        }
        let mut gone: Vec<(RuleIndex, RuleState)> = old_states.into_values().flatten().collect();
        gone.sort_by_key(|(at, _)| *at);
        for (at, mut state) in gone {
            for alert in state.alerts.take_all() {
                let at = self.frontier.unwrap_or(alert.active_at);
                self.forget_context(&alert.labels, at);
                effects.push(Effect::Forget {
                    labels: alert.labels,
                });
            }
            let group = &old.groups[old.rules[at].group];
            if self
                .rules
                .elsewhere
                .contains(&GroupKey::new(&group.file, &group.name))
            {
                // Another shard goes on writing its series.
                continue;
            }
            let interval = group.interval;
            let ends_at = self
                .frontier
                .map(|frontier| frontier + DurationMs(2 * interval.0));
            if let Some(ends_at) = ends_at {
                self.endings
                    .extend(state.written.into_keys().map(|labels| (ends_at, labels)));
            }
        }
    }

    fn move_group_states(&mut self, old: &CompiledRules) {
        let mut old_states: HashMap<(String, String), GroupState> = old
            .groups
            .iter()
            .zip(std::mem::take(&mut self.group_states))
            .map(|(group, state)| ((group.file.clone(), group.name.clone()), state))
            .collect();
        let groups = &self.rules.groups;
        let moved = groups.iter().map(|group| {
            old_states
                .remove(&(group.file.clone(), group.name.clone()))
                .unwrap_or_default()
        });
        self.group_states = moved.collect();
        self.ticks.clear();
        if let Some(frontier) = self.frontier {
            (0..self.rules.groups.len()).for_each(|group| self.plan_tick(group, frontier));
        }
    }

    /// Ends the series of removed rules that are due.
    pub(crate) fn end_series(&mut self, at: TimestampMs, effects: &mut Vec<Effect>) {
        while let Some((due, labels)) = self.endings.first().cloned().filter(|(due, _)| *due <= at)
        {
            self.endings.pop_first();
            let still_written = self
                .rule_states
                .iter()
                .any(|state| state.written.contains_key(&labels));
            if !still_written && !self.is_baseline(&labels) {
                self.end_recorded(labels, due, effects);
            }
        }
    }

    /// Returns how long recorded series are kept: as long as any rule looks back on them.
    fn how_long_recorded_is_kept(&self) -> DurationMs {
        let used = self.rules.rules.iter().flat_map(|rule| {
            let selectors = rule.selectors.iter();
            selectors.map(move |used| (used, rule.wants(used)))
        });
        let recorded = used.filter(|(used, _)| {
            let name = used.matchers.iter().find(|m| m.name == METRIC_NAME);
            name.is_none_or(|name| {
                self.rules
                    .recorded
                    .iter()
                    .any(|recorded| name.matches(recorded))
                    || name.value.starts_with("ALERTS")
                    || is_of_changes(&name.value)
            })
        });
        let reach = recorded.map(|(_, wanted)| wanted).max();
        let reach = reach.unwrap_or_default();
        reach
            .max(self.settings.retention)
            .max(DurationMs::from_seconds(3600))
    }
}
