//! Contexts of alerts: built once when an alert begins to fire whose rule asks for one, and on
//! questions from what is handed out here.
//!
//! A rule asks by its annotation `burnwatch_context`. What is read for it comes from history by
//! the textbook loop, is counted as work of the rule's group, and is bounded by alert and by how
//! many begin at one instant.

use crate::alert::{Alert, Phase, Transition};
use crate::context::{BuiltContext, Changes, InfoSelector, RecentAlerts, Subject, build, identity};
use crate::engine::compiled_rule::{CompiledRule, RuleIndex};
use crate::engine::{Effect, Engine};
use crate::eval::EvalOptions;
use crate::model::{
    Change, ContextParts, Labels, LabelsBuilder, METRIC_NAME, SampleValue, TimestampMs,
};

/// How often something was changed, by kind and labels: a series that rules can read.
pub const CHANGES_TOTAL: &str = "burnwatch_changes_total";
/// When it was changed last, in seconds since 1970.
pub const LAST_CHANGE: &str = "burnwatch_last_change_timestamp_seconds";
/// The label of these series that says what kind of change it was.
const KIND: &str = "kind";

/// What an engine knows that contexts are built from outside.
#[derive(Clone, Debug)]
pub struct ContextAnswer {
    /// The alert that was asked for, if it is one of this engine's.
    pub subject: Option<Subject>,
    /// The changes it was told of.
    pub changes: Changes,
    /// Its alerts of the last 24 hours.
    pub recent: RecentAlerts,
    /// Where versions are read.
    pub info: Vec<InfoSelector>,
    /// How expressions are evaluated.
    pub options: EvalOptions,
    /// Where the frontier stands, ms.
    pub at: Option<TimestampMs>,
}

/// Tells whether series of this name are written when a change is told.
pub(crate) fn is_of_changes(name: &str) -> bool {
    name == CHANGES_TOTAL || name == LAST_CHANGE
}

impl Engine {
    /// Takes a change in, and writes the series that tell rules of it.
    pub(crate) fn take_change(&mut self, change: &Change, effects: &mut Vec<Effect>) {
        let settings = &self.settings.context;
        let bounds = (settings.changes_max, settings.changes_age);
        let now = self.clock().unwrap_or(self.wall());
        if !self.context.changes.add(change, now, bounds) {
            return;
        }
        // Before event time begins there is no other instant than the change's own.
        let now = self.clock().unwrap_or(change.at);
        let mut labels = LabelsBuilder::from(&change.labels);
        labels.set(KIND, &change.kind);
        labels.set(METRIC_NAME, CHANGES_TOTAL);
        let total = labels.build();
        labels.set(METRIC_NAME, LAST_CHANGE);
        let last = labels.build();
        let newest = |labels: &Labels| {
            let place = self.store.find(labels)?;
            self.store.get(place)?.1.history.newest()
        };
        let (total_before, last_before) = (newest(&total), newest(&last));
        let before = |point: Option<&SampleValue>| point.and_then(SampleValue::as_float);
        let n_before = before(total_before.as_ref().map(|point| &point.value)).unwrap_or(0.0);
        let last_at = before(last_before.as_ref().map(|point| &point.value));
        // Two changes at one instant are two samples.
        let after =
            |point: Option<TimestampMs>| point.map_or(now, |at| now.max(TimestampMs(at.0 + 1)));
        let seconds = change.at.seconds();
        let written = [
            (
                total,
                after(total_before.map(|point| point.at)),
                n_before + 1.0,
            ),
            (
                last,
                after(last_before.map(|point| point.at)),
                last_at.map_or(seconds, |last| last.max(seconds)),
            ),
        ];
        for (labels, at, value) in written {
            let place = self.find_or_insert(&labels);
            let value = SampleValue::Float(value);
            self.append_recorded(place, at, value.clone());
            effects.push(Effect::Recorded { labels, at, value });
        }
        self.follow_series();
    }

    /// Notes which alerts began and ended, and builds the contexts of those that begin to fire.
    pub(crate) fn note_contexts(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        changes: &[(Alert, Transition)],
    ) {
        let mut began = Vec::new();
        for (alert, transition) in changes {
            match transition {
                Transition::Fired => {
                    let identity = alert_identity(&self.rules.rules[index], &alert.labels);
                    let max = self.settings.context.recent_max;
                    let recent = &mut self.context.recent;
                    recent.fired(alert.labels.clone(), identity, at, max);
                    began.push(alert);
                }
                Transition::Resolved { .. } => self.context.recent.ended(&alert.labels, at),
                _ => {}
            }
        }
        let parts = self.parts_of(index);
        if parts.is_none() {
            return;
        }
        for (number, alert) in began.into_iter().enumerate() {
            let parts = match number < self.settings.context.alerts_max {
                true => parts,
                false => parts.without_reading(),
            };
            let mut subject = self.subject(index, alert, at);
            subject.is_fresh = true;
            let known = (&self.context.changes, &self.context.recent);
            let context = build(&subject, parts, known, &self.store, &self.options);
            let n_samples = context.n_samples as u64;
            self.context
                .built
                .insert(alert.labels.clone(), BuiltContext::of(&context));
            self.context.n_built += 1;
            self.context.n_samples += n_samples;
            self.work += n_samples;
        }
    }

    /// Returns the parts of a context that a rule asks for.
    fn parts_of(&self, index: RuleIndex) -> ContextParts {
        let alert = self.rules.rules[index].alerting();
        alert.map_or(ContextParts::NONE, |alert| alert.context)
    }

    /// Forgets the context of an alert that nobody is told of any more.
    pub(crate) fn forget_context(&mut self, labels: &Labels, at: TimestampMs) {
        self.context.built.remove(labels);
        self.context.recent.ended(labels, at);
    }

    fn subject(&self, index: RuleIndex, alert: &Alert, at: TimestampMs) -> Subject {
        let rule = &self.rules.rules[index];
        Subject {
            labels: alert.labels.clone(),
            identity: alert_identity(rule, &alert.labels),
            annotations: alert.annotations.to_vec(),
            expr: rule.expr.clone(),
            value: alert.value,
            is_fresh: false,
            is_firing: alert.phase != Phase::Pending,
            active_at: alert.active_at,
            at,
            query_offset: self.rules.groups[rule.group].query_offset,
            external_labels: self.settings.external_labels.clone(),
            external_url: self.settings.external_url.clone(),
            info: self.rules.info.clone(),
            settings: self.settings.context.clone(),
        }
    }

    /// Returns what the context of an alert is built from. The alert is known by the fingerprint
    /// of its labels, or of those with external labels, which receivers know.
    pub fn context_of(&self, fingerprint: Option<u64>) -> ContextAnswer {
        let is_it = |labels: &Labels| {
            let outside = || self.with_external_labels(labels).fingerprint();
            fingerprint.is_some_and(|it| it == labels.fingerprint() || it == outside())
        };
        let states = self.rule_states.iter().enumerate();
        let mut alerts = states.flat_map(|(index, state)| {
            let alerts = state.alerts.iter();
            alerts.map(move |alert| (index, alert))
        });
        let found = alerts.find(|(_, alert)| is_it(&alert.labels));
        let subject = found.map(|(index, alert)| {
            let at = self.frontier.unwrap_or(alert.active_at);
            self.subject(index, alert, at)
        });
        ContextAnswer {
            subject,
            changes: self.context.changes.clone(),
            recent: self.context.recent.clone(),
            info: self.rules.info.clone(),
            options: self.options.clone(),
            at: self.frontier,
        }
    }

    fn with_external_labels(&self, labels: &Labels) -> Labels {
        let mut outside = LabelsBuilder::from(labels);
        for (name, value) in self.settings.external_labels.iter() {
            if labels.get(name).is_none() {
                outside.set(name, value);
            }
        }
        outside.build()
    }

    /// Returns how many contexts were built, and how many samples were read for them.
    pub fn contexts_built(&self) -> (u64, u64) {
        (self.context.n_built, self.context.n_samples)
    }

    /// Returns how many changes are remembered.
    pub fn n_changes(&self) -> usize {
        self.context.changes.len()
    }
}

fn alert_identity(rule: &CompiledRule, labels: &Labels) -> Labels {
    identity(labels, rule.labels.iter().map(|(name, _)| name.as_str()))
}
