//! One group's tick, one rule's arrival: evaluate, move the alerts, write what is recorded.

use std::cell::Cell;
use std::sync::Arc;

use crate::alert::{Alert, Phase, Policy, Transition};
use crate::engine::budget::earned;
use crate::engine::compiled_rule::{CompiledAlert, CompiledRule, GroupIndex, RuleIndex};
use crate::engine::evaluate::{Evaluation, View};
use crate::engine::partitions::Due;
use crate::engine::{Effect, Engine, RuleHealth, Stopwatch};
use crate::eval::live::{Bounds, SumBounds};
use crate::model::{
    ALERTS, ALERTS_FOR_STATE, AlertMessage, AlertStatus, DurationMs, GroupKey, Labels, METRIC_NAME,
    SampleValue, TimestampMs, stale_nan,
};

/// What a rule writes at a tick.
type Written = Vec<(Labels, SampleValue)>;

impl Engine {
    pub(crate) fn evaluation(&self) -> Evaluation<'_> {
        Evaluation {
            live: &self.live,
            frontier: self.frontier.unwrap_or(TimestampMs::MIN),
            leaves: self.leaves,
            store: &self.store,
            rules: &self.rules,
            settings: &self.settings,
            options: &self.options,
            scanned: Cell::new(0),
            stands_until: Cell::new(TimestampMs::MIN),
            work: Cell::new(0),
            bounds: Bounds::default(),
        }
    }

    /// Makes one tick of a group: its rules in order, each seeing what those before it wrote.
    pub(crate) fn tick(
        &mut self,
        group: GroupIndex,
        at: TimestampMs,
        stopwatch: Stopwatch<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if self.unticked.remove(&group) && self.unticked.is_empty() {
            effects.push(Effect::FirstTick {
                generation: self.generation,
                at,
            });
        }
        let earned = self.earned(group);
        if let Some(earned) = earned
            && !self.group_states[group].budget.begin_tick(earned)
        {
            let state = &mut self.group_states[group];
            state.iterations += 1;
            state.iterations_missed += 1;
            return;
        }
        let work_before = self.work;
        let started = stopwatch();
        let mut n_samples = 0;
        self.follow_series();
        for rule in self.rules.groups[group].rules.clone() {
            let rule_started = stopwatch();
            let outcome = self.tick_rule(rule, at, effects);
            let state = &mut self.rule_states[rule];
            state.evaluation_seconds = stopwatch() - rule_started;
            self.timings.add_rule(state.evaluation_seconds);
            state.last_evaluation = Some(at);
            let group_state = &mut self.group_states[group];
            group_state.evaluations += 1;
            match outcome {
                Ok(written) => {
                    self.rule_states[rule].health = RuleHealth::Ok;
                    n_samples += written.len();
                    self.write(
                        rule,
                        at - self.rules.groups[group].query_offset,
                        written,
                        effects,
                    );
                }
                Err(message) => {
                    group_state.evaluation_failures += 1;
                    self.rule_states[rule].health = RuleHealth::Err(message);
                }
            }
        }
        let state = &mut self.group_states[group];
        state.iterations += 1;
        state.last_evaluation = Some(at);
        state.last_samples = n_samples;
        state.evaluation_seconds = stopwatch() - started;
        state.busy_seconds += state.evaluation_seconds;
        self.timings.add_group(state.evaluation_seconds);
        let work = self.work - work_before;
        let over = earned.and_then(|earned| state.budget.end_tick(work, earned));
        if let Some(overrun) = over {
            let group = &self.rules.groups[group];
            effects.push(Effect::Overran {
                at,
                group: GroupKey::new(&group.file, &group.name),
                overrun,
            });
        }
    }

    /// Returns what a group may cost in an interval, if there is a limit.
    fn earned(&self, group: GroupIndex) -> Option<u64> {
        earned(
            self.settings.group_work_max,
            self.rules.groups[group].interval,
        )
    }

    /// Counts what an evaluation has cost.
    fn spend(&mut self, (scanned, work): (u64, u64)) {
        self.stats.samples_scanned += scanned;
        self.work += work;
    }

    fn tick_rule(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        effects: &mut Vec<Effect>,
    ) -> Result<Written, String> {
        let rule = &self.rules.rules[index];
        match rule.alerting() {
            None => self.record(index, at),
            Some(_) => self.tick_alerts(index, at, effects),
        }
    }

    fn record(&mut self, index: RuleIndex, at: TimestampMs) -> Result<Written, String> {
        let rule = &self.rules.rules[index];
        let group = &self.rules.groups[rule.group];
        let evaluation = self.evaluation();
        let recorded = evaluation.recorded(rule, at - group.query_offset);
        let spent = evaluation.spent();
        let limit = group.limit;
        self.spend(spent);
        let recorded = recorded?;
        if limit > 0 && recorded.len() > limit {
            let found = recorded.len();
            return Err(format!("exceeded limit of {limit} with {found} series"));
        }
        Ok(recorded.into_iter().collect())
    }

    fn tick_alerts(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        effects: &mut Vec<Effect>,
    ) -> Result<Written, String> {
        let rule = &self.rules.rules[index];
        let group = &self.rules.groups[rule.group];
        let alert = rule.alerting().expect("called for alerting rules");
        let Some(due) = self.due_at_tick(index, at) else {
            self.stats.evaluations_spared += 1;
            self.rule_states[index].hold_raised = false;
            return Ok(Vec::new());
        };
        let (policy, query_at) = (self.policy(index), at - group.query_offset);
        self.stats.evaluations_spared += u64::from(due.scope().is_some());
        let is_bounded = self.waiting.is_empty() && self.partitions.looks_for_headroom(index, &due);
        let evaluation = self.evaluation();
        if is_bounded {
            evaluation.bounds.gather();
        }
        let found = evaluation.alerts(rule, alert, query_at, View::Appended, due.scope());
        let (stands_until, bounds) = (evaluation.stands_until.get(), evaluation.bounds.take());
        let two_eyed = group.on_arrival && !rule.views.is_empty();
        let live = two_eyed.then(|| evaluation.alerts(rule, alert, at, View::Live, None));
        let (spent, limit, stands) = (evaluation.spent(), group.limit, rule.stands);
        self.spend(spent);
        let (found, live) = (found?, live.transpose()?);
        if stands {
            self.partitions
                .was_evaluated(index, &due, &found, stands_until);
        }
        if std::mem::take(&mut self.rule_states[index].hold_raised) {
            for back in self.rule_states[index].alerts.hold_raised(at, policy.hold) {
                self.forget_context(&back.labels, at);
                effects.push(Effect::Forget {
                    labels: back.labels,
                });
            }
        }
        let state = &mut self.rule_states[index];
        match state.alerts.tick(at, &found, live.as_ref(), &policy) {
            Ok(changes) => self.announce(index, at, changes, effects),
            Err(active) => {
                for dropped in state.alerts.take_all() {
                    self.forget_context(&dropped.labels, at);
                    effects.push(Effect::Forget {
                        labels: dropped.labels,
                    });
                }
                return Err(format!("exceeded limit of {limit} with {active} alerts"));
            }
        }
        self.rule_states[index].knows_parts = true;
        self.find_headroom(index, &due, bounds);
        self.plan_timers(index, at, None);
        Ok(self.rule_states[index]
            .alerts
            .iter()
            .flat_map(alert_samples)
            .collect())
    }

    /// Evaluates what is due of a rule between ticks: it may raise, never lower.
    pub(crate) fn arrive(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        due: &Due,
        stopwatch: Stopwatch<'_>,
        effects: &mut Vec<Effect>,
    ) {
        self.follow_series();
        let rule = &self.rules.rules[index];
        let Some(alert) = rule.alerting() else { return };
        if !self.rules.groups[rule.group].on_arrival {
            return;
        }
        let (started, group) = (stopwatch(), rule.group);
        let earned = self.earned(group);
        if earned.is_some_and(|earned| !self.group_states[group].budget.may_arrive(earned)) {
            return;
        }
        let policy = self.policy(index);
        let is_bounded = self.waiting.is_empty() && self.partitions.looks_for_headroom(index, due);
        let evaluation = self.evaluation();
        let scope = due.scope();
        let mut parts = scope.map(|scope| scope.keys.as_slice());
        if is_bounded {
            evaluation.bounds.gather();
        }
        let mut found = evaluation.alerts(rule, alert, at, View::Live, scope);
        let alerts = &self.rule_states[index].alerts;
        if let (Ok(seen), Some(_)) = (&found, parts)
            && alerts.has_from_elsewhere(seen)
        {
            // Two parts give the same alert: only the whole shows that this is an error.
            parts = None;
            found = evaluation.alerts(rule, alert, at, View::Live, None);
        }
        let (stands_until, bounds) = (evaluation.stands_until.get(), evaluation.bounds.take());
        let stands = rule.stands && scope.is_some() == parts.is_some();
        let spent = evaluation.spent();
        self.spend(spent);
        self.group_states[group].budget.arrived(spent.1);
        self.group_states[group].evaluations += 1;
        match found {
            Ok(found) => {
                if stands {
                    self.partitions
                        .was_evaluated(index, due, &found, stands_until);
                }
                let alerts = &mut self.rule_states[index].alerts;
                let changes = alerts.arrive(at, &found, parts, &policy);
                self.announce(index, at, changes, effects);
                self.find_headroom(index, due, bounds.filter(|_| stands));
                self.plan_timers(index, at, parts);
            }
            Err(message) => {
                self.group_states[group].evaluation_failures += 1;
                self.rule_states[index].health = RuleHealth::Err(message);
            }
        }
        self.rule_states[index].evaluation_seconds = stopwatch() - started;
        self.group_states[group].busy_seconds += self.rule_states[index].evaluation_seconds;
        self.timings
            .add_rule(self.rule_states[index].evaluation_seconds);
        self.rule_states[index].last_evaluation = Some(at);
    }

    /// Notes how far what was evaluated is from finding anything, if that was to be found out.
    fn find_headroom(&mut self, index: RuleIndex, due: &Due, bounds: Option<Vec<SumBounds>>) {
        let Some(bounds) = bounds else { return };
        let alerts = self.rule_states[index].alerts.iter();
        let raised = alerts.map(|alert| alert.part).collect();
        let rule = &self.rules.rules[index];
        self.partitions
            .find_headroom((index, rule), due, &bounds, &raised);
    }

    /// Returns what of a rule a tick has to evaluate: what raised an alert, and what may have
    /// changed since it was last found to raise none.
    fn due_at_tick(&self, index: RuleIndex, at: TimestampMs) -> Option<Due> {
        let state = &self.rule_states[index];
        let is_in_error = matches!(state.health, RuleHealth::Err(_));
        if !self.rules.rules[index].stands || !state.knows_parts || is_in_error {
            return Some(Due::Whole);
        }
        let raised = state.alerts.iter().map(|alert| alert.part);
        self.partitions.due_at_tick(index, at, raised)
    }

    fn policy(&self, index: RuleIndex) -> Policy {
        let rule = &self.rules.rules[index];
        let group = &self.rules.groups[rule.group];
        let alert = rule.alerting();
        Policy {
            hold: alert.map_or(DurationMs::ZERO, |alert| alert.hold),
            keep_firing: alert.map_or(DurationMs::ZERO, |alert| alert.keep_firing),
            limit: group.limit,
            may_fire: !(group.on_arrival && rule.missing_makes_true && self.is_warming(index)),
        }
    }

    /// Lays down when pending alerts will be due: all of a rule's, or those of some parts.
    fn plan_timers(&mut self, index: RuleIndex, at: TimestampMs, parts: Option<&[u64]>) {
        let rule = &self.rules.rules[index];
        let Some(CompiledAlert { hold, .. }) = rule.alerting() else {
            return;
        };
        if !self.rules.groups[rule.group].on_arrival {
            return;
        }
        for (deadline, part) in self.rule_states[index].alerts.deadlines(*hold, parts) {
            if deadline > at {
                self.timers.insert((deadline, index, part));
            }
        }
    }

    /// Tells of what became of a rule's alerts.
    fn announce(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        changes: Vec<(Alert, Transition)>,
        effects: &mut Vec<Effect>,
    ) {
        self.note_contexts(index, at, &changes);
        let is_over = |transition| matches!(transition, Transition::Resolved { .. });
        let over = changes
            .iter()
            .filter(|(_, transition)| is_over(*transition));
        let over: Vec<Labels> = over.map(|(alert, _)| alert.labels.clone()).collect();
        self.tell(index, at, changes, effects);
        for labels in over {
            self.context.built.remove(&labels);
        }
    }

    fn tell(
        &self,
        index: RuleIndex,
        at: TimestampMs,
        changes: Vec<(Alert, Transition)>,
        effects: &mut Vec<Effect>,
    ) {
        let rule = &self.rules.rules[index];
        for (alert, transition) in changes {
            let message = |alert: Alert, status, fired_at| {
                Box::new(self.message(rule, at, alert, status, fired_at))
            };
            effects.push(match transition {
                Transition::BecamePending => Effect::Pending {
                    at,
                    labels: alert.labels,
                },
                Transition::Dropped => Effect::Dropped {
                    at,
                    labels: alert.labels,
                },
                Transition::Fired | Transition::Refreshed => {
                    let fired_at = alert.fired_at().unwrap_or(at);
                    let refresh = transition == Transition::Refreshed;
                    let message = message(alert, AlertStatus::Firing, fired_at);
                    Effect::Alert {
                        at,
                        refresh,
                        message,
                    }
                }
                Transition::Resolved { fired_at } => {
                    let status = AlertStatus::Resolved { resolved_at: at };
                    Effect::Alert {
                        at,
                        refresh: false,
                        message: message(alert, status, fired_at),
                    }
                }
            });
        }
    }

    /// Says again that all first ticks have been made, if they have: after a start from a
    /// checkpoint.
    pub fn retell_first_ticks(&self, effects: &mut Vec<Effect>) {
        if let Some(at) = self.frontier
            && self.unticked.is_empty()
            && !self.rules.groups.is_empty()
        {
            let generation = self.generation;
            effects.push(Effect::FirstTick { generation, at });
        }
    }

    /// Returns what is to be told of every alert that fires now, in the order of rules and labels:
    /// for whoever has not heard the effects that said so.
    pub fn firing(&self) -> Vec<AlertMessage> {
        let rules = self.rules.rules.iter().zip(&self.rule_states);
        let mut firing = Vec::new();
        for (rule, state) in rules {
            for alert in state.alerts.iter() {
                if let Some(fired_at) = alert.fired_at() {
                    let (at, alert) = (self.frontier.unwrap_or(fired_at), alert.clone());
                    firing.push(self.message(rule, at, alert, AlertStatus::Firing, fired_at));
                }
            }
        }
        firing
    }

    fn message(
        &self,
        rule: &CompiledRule,
        at: TimestampMs,
        alert: Alert,
        status: AlertStatus,
        fired_at: TimestampMs,
    ) -> AlertMessage {
        let interval = self.rules.groups[rule.group].interval;
        let wall = self.stamp.map_or(at, |stamp| stamp.wall);
        let built = self.context.built.get(&alert.labels);
        let annotations = match built {
            None => alert.annotations,
            Some(built) => {
                let own = alert.annotations.iter();
                let mut all: Vec<(String, String)> =
                    own.chain(&built.annotations).cloned().collect();
                // What the rule says under such a name stays.
                all.sort_by(|a, b| a.0.cmp(&b.0));
                all.dedup_by(|next, kept| next.0 == kept.0);
                all.into()
            }
        };
        AlertMessage {
            labels: alert.labels,
            annotations,
            context: built.map(|built| Arc::clone(&built.json)),
            status,
            fired_at,
            valid_for: DurationMs(4 * interval.max(self.settings.resend_delay).0),
            expr: Arc::clone(&rule.expr_text),
            caused_by: self.stamp.map_or(0, |stamp| stamp.sequence),
            caused_at_wall: wall,
            backlog: wall - at > self.settings.idle_timeout,
        }
    }

    /// Appends what a rule wrote, and ends the series it wrote last time and not now.
    fn write(
        &mut self,
        index: RuleIndex,
        at: TimestampMs,
        written: Written,
        effects: &mut Vec<Effect>,
    ) {
        let mut before = std::mem::take(&mut self.rule_states[index].written);
        self.rule_states[index].written.reserve(written.len());
        for (labels, value) in written {
            // The store's own set is kept: that it still stands there is seen at a glance.
            let known = before.remove_entry(&labels);
            let known = known.filter(|(known, place)| {
                let stored = self.store.get(*place);
                stored.is_some_and(|(stored, _)| stored == known)
            });
            let (stored, place) = known.unwrap_or_else(|| {
                let place = self.find_or_insert(&labels);
                let stored = self.store.get(place);
                (stored.map_or(&labels, |(stored, _)| stored).clone(), place)
            });
            self.append_recorded(place, at, value.clone());
            self.rule_states[index].written.insert(stored, place);
            effects.push(Effect::Recorded { labels, at, value });
        }
        let mut ended: Vec<Labels> = before.into_keys().collect();
        ended.sort_unstable();
        for labels in ended {
            self.end_recorded(labels, at, effects);
        }
        self.follow_series();
    }

    /// Lets the windows know which series have come and gone.
    pub(crate) fn follow_series(&mut self) {
        let changes = self.store.take_changes();
        if !changes.is_empty() {
            self.live.get_mut().follow(&changes, &self.store);
        }
    }

    /// Puts a stale marker behind a series that a rule wrote, unless another rule has just
    /// written it.
    pub(crate) fn end_recorded(
        &mut self,
        labels: Labels,
        at: TimestampMs,
        effects: &mut Vec<Effect>,
    ) {
        let Some(place) = self.store.find(&labels) else {
            return;
        };
        let marker = SampleValue::Float(stale_nan());
        if self.append_recorded(place, at, marker.clone()) {
            effects.push(Effect::Recorded {
                labels,
                at,
                value: marker,
            });
        }
    }

    pub(crate) fn append_recorded(
        &mut self,
        place: usize,
        at: TimestampMs,
        value: SampleValue,
    ) -> bool {
        let keep = self.recorded_keep;
        self.before_change(place);
        let Some(series) = self.store.get_mut(place) else {
            return false;
        };
        let appended = series.history.append(at, value, TimestampMs::MAX);
        self.live.get_mut().moved(place);
        if series.history.is_chunk_begun() {
            let windows = self.live.get_mut();
            windows.catch_up(place, &series.history, at);
            self.store.cut(place, at, keep, TimestampMs::MAX);
        }
        if let Some((labels, _)) = self.store.get(place) {
            self.live.get_mut().subqueries.changed(labels, at);
        }
        appended == crate::history::Appended::InOrder
    }
}

fn alert_samples(alert: &Alert) -> [(Labels, SampleValue); 2] {
    let state = match alert.phase {
        Phase::Pending => "pending",
        Phase::Firing { .. } => "firing",
    };
    let for_state = alert.labels.overlaid(&[(METRIC_NAME, ALERTS_FOR_STATE)]);
    let named = [(METRIC_NAME, ALERTS), ("alertstate", state)];
    // Whole seconds, as Prometheus writes it.
    let active_since = alert.active_at_tick().0.div_euclid(1000) as f64;
    [
        (alert.labels.overlaid(&named), SampleValue::Float(1.0)),
        (for_state, SampleValue::Float(active_since)),
    ]
}
