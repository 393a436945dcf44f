//! What an engine answers when asked how its rules do.

use crate::alert::{Alert, Phase};
use crate::engine::assignment::Measured;
use crate::engine::budget::earned;
use crate::engine::compiled_rule::{CompiledAlert, GroupIndex, RuleIndex};
use crate::engine::{
    AlertState, AlertView, AlertingStatus, Engine, GroupCost, GroupStatus, RuleHealth, RuleStatus,
};
use crate::model::{DurationMs, GroupKey, Labels, Matcher, TimestampMs};
use crate::series::SeriesReader;

impl Engine {
    /// Returns all groups, ordered by file, then name.
    pub fn groups(&self) -> Vec<GroupStatus> {
        let mut groups: Vec<GroupStatus> = (0..self.rules.groups.len())
            .map(|at| self.group_status(at))
            .collect();
        groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        groups
    }

    fn group_status(&self, at: GroupIndex) -> GroupStatus {
        let (group, state) = (&self.rules.groups[at], &self.group_states[at]);
        GroupStatus {
            file: group.file.clone(),
            name: group.name.clone(),
            interval: group.interval,
            limit: group.limit,
            on_arrival: group.on_arrival,
            evaluation_seconds: state.evaluation_seconds,
            last_evaluation: state.last_evaluation,
            iterations: state.iterations,
            iterations_missed: state.iterations_missed,
            evaluations: state.evaluations,
            evaluation_failures: state.evaluation_failures,
            last_samples: state.last_samples,
            cost: self.group_cost(at),
            rules: group
                .rules
                .iter()
                .map(|rule| self.rule_status(*rule))
                .collect(),
        }
    }

    fn group_cost(&self, at: GroupIndex) -> GroupCost {
        let budget = &self.group_states[at].budget;
        let max = earned(self.settings.group_work_max, self.rules.groups[at].interval);
        GroupCost {
            last: budget.last_work,
            max,
            overruns: budget.overruns,
            skipped_ticks: max.map_or(0, |max| budget.debt.div_ceil(max)),
        }
    }

    /// Returns how a rule does; one whose group is being skipped does not do well.
    fn health(&self, at: RuleIndex) -> RuleHealth {
        let complaint = self.group_cost(self.rules.rules[at].group).complaint();
        complaint.map_or_else(|| self.rule_states[at].health.clone(), RuleHealth::Err)
    }

    fn rule_status(&self, at: RuleIndex) -> RuleStatus {
        let (rule, state) = (&self.rules.rules[at], &self.rule_states[at]);
        RuleStatus {
            name: rule.name.clone(),
            query: rule.expr_text.to_string(),
            labels: rule.labels.clone(),
            health: self.health(at),
            evaluation_seconds: state.evaluation_seconds,
            last_evaluation: state.last_evaluation,
            kept_since: self.kept_since(at),
            held_while_warming: rule.alerting().is_some()
                && rule.missing_makes_true
                && self.rules.groups[rule.group].on_arrival,
            warming_until: self.warming_until(at),
            learns: rule.learns,
            learns_since: self.rule_learns_since(at),
            alerting: rule.alerting().map(|alert| self.alerting_status(at, alert)),
        }
    }

    fn alerting_status(&self, at: RuleIndex, alert: &CompiledAlert) -> AlertingStatus {
        let state = &self.rule_states[at];
        let alerts: Vec<AlertView> = state.alerts.iter().map(alert_view).collect();
        let at_rest = match state.health {
            RuleHealth::Unknown => AlertState::Unknown,
            RuleHealth::Ok | RuleHealth::Err(_) => AlertState::Inactive,
        };
        AlertingStatus {
            state: alerts
                .iter()
                .map(|alert| alert.state)
                .max()
                .unwrap_or(at_rest),
            hold: alert.hold,
            keep_firing: alert.keep_firing,
            annotations: alert.annotations.clone(),
            alerts,
        }
    }

    /// Returns the labels of the series that satisfy any of the matcher sets (all where there is
    /// none) and have a sample in `[from, until]`.
    pub fn series_labels(
        &self,
        matcher_sets: &[Vec<Matcher>],
        from: TimestampMs,
        until: TimestampMs,
    ) -> Vec<Labels> {
        let mut found = Vec::new();
        let after = from - DurationMs(1);
        let all = [Vec::new()];
        let sets = if matcher_sets.is_empty() {
            &all[..]
        } else {
            matcher_sets
        };
        for matchers in sets {
            self.store.select(matchers, &mut |labels, history| {
                if history.range(after, until).next().is_some() {
                    found.push(labels.clone());
                }
            });
        }
        found.sort();
        found.dedup();
        found
    }

    /// Returns what each group has cost since start, in seconds of evaluation.
    pub fn group_seconds(&self) -> Measured {
        let groups = self.rules.groups.iter().zip(&self.group_states);
        groups
            .map(|(group, state)| {
                let key = GroupKey::new(&group.file, &group.name);
                (key, state.busy_seconds)
            })
            .collect()
    }

    /// Returns how far the frontier is behind the clock, ms.
    pub fn frontier_hold(&self) -> DurationMs {
        match (self.clock(), self.frontier) {
            (Some(clock), Some(frontier)) => clock - frontier,
            _ => DurationMs::ZERO,
        }
    }
}

fn alert_view(alert: &Alert) -> AlertView {
    AlertView {
        labels: alert.labels.clone(),
        annotations: alert.annotations.to_vec(),
        state: match alert.phase {
            Phase::Pending => AlertState::Pending,
            Phase::Firing { .. } => AlertState::Firing,
        },
        active_at: alert.active_at,
        fired_at: alert.fired_at(),
        keep_firing_since: alert.keep_firing_since,
        value: alert.value,
    }
}
