//! The metrics of rule groups, written from the groups' own status.

use crate::engine::GroupStatus;
use crate::telemetry::exposition::{write_family, write_sample};

/// One metric: name, kind, help, and what it is of a group.
type RuleMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&GroupStatus) -> f64,
);

/// A counter's name is without `_total`.
const METRICS: [RuleMetric; 14] = [
    (
        "prometheus_rule_evaluations",
        "counter",
        "The total number of rule evaluations.",
        |group| group.evaluations as f64,
    ),
    (
        "prometheus_rule_evaluation_failures",
        "counter",
        "The total number of rule evaluation failures.",
        |group| group.evaluation_failures as f64,
    ),
    (
        "prometheus_rule_group_iterations",
        "counter",
        "The total number of scheduled rule group evaluations, whether executed or missed.",
        |group| group.iterations as f64,
    ),
    (
        "prometheus_rule_group_iterations_missed",
        "counter",
        "The total number of rule group evaluations missed, for example after a leap of time.",
        |group| group.iterations_missed as f64,
    ),
    (
        "prometheus_rule_group_interval_seconds",
        "gauge",
        "The interval of a rule group.",
        |group| group.interval.seconds(),
    ),
    (
        "prometheus_rule_group_last_evaluation_timestamp_seconds",
        "gauge",
        "The timestamp of the last rule group evaluation in seconds.",
        |group| group.last_evaluation.map_or(0.0, |at| at.seconds()),
    ),
    (
        "prometheus_rule_group_last_duration_seconds",
        "gauge",
        "The duration of the last rule group evaluation.",
        |group| group.evaluation_seconds,
    ),
    (
        "prometheus_rule_group_last_rule_duration_sum_seconds",
        "gauge",
        "The sum of time in seconds it took to evaluate each rule in the group.",
        |group| group.rules.iter().map(|rule| rule.evaluation_seconds).sum(),
    ),
    (
        "prometheus_rule_group_last_evaluation_samples",
        "gauge",
        "The number of samples returned during the last rule group evaluation.",
        |group| group.last_samples as f64,
    ),
    (
        "prometheus_rule_group_rules",
        "gauge",
        "The number of rules.",
        |group| group.rules.len() as f64,
    ),
    (
        "burnwatch_rule_group_last_work",
        "gauge",
        "The elements and samples that the last tick of a rule group looked at.",
        |group| group.cost.last as f64,
    ),
    (
        "burnwatch_rule_group_work_limit",
        "gauge",
        "What a tick of a rule group may look at (group_work times its interval); 0 = no limit.",
        |group| group.cost.max.unwrap_or(0) as f64,
    ),
    (
        "burnwatch_rule_group_overruns",
        "counter",
        "Ticks of a rule group that looked at more than they may, so that others were skipped.",
        |group| group.cost.overruns as f64,
    ),
    (
        "burnwatch_rule_group_warming_rules",
        "gauge",
        "The number of rules whose windows or selectors lack history.",
        |group| {
            let warming = group
                .rules
                .iter()
                .filter(|rule| rule.warming_until.is_some());
            warming.count() as f64
        },
    ),
];

/// Writes the metrics of all groups.
pub fn write_rule_metrics(text: &mut String, groups: &[GroupStatus]) {
    for (name, kind, help, value_of) in METRICS {
        write_family(text, name, kind, help);
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample_name = format!("{name}{suffix}");
        for group in groups {
            let rule_group = format!("{};{}", group.file, group.name);
            let labels = [("rule_group", rule_group.as_str())];
            write_sample(text, &sample_name, &labels, value_of(group));
        }
    }
}
