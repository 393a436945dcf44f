//! How long rules and groups take, under the names of Prometheus. What belongs to one group
//! (counts, last times) is written from the groups' own status.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::telemetry::Summary;

/// Prometheus' own buckets, seconds.
const BUCKETS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// Durations over all groups.
#[derive(Clone, Debug)]
pub struct RuleMetrics {
    evaluation_summary: Summary,
    evaluation_histogram: Histogram,
    group_summary: Summary,
    group_histogram: Histogram,
}

impl RuleMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = RuleMetrics {
            evaluation_summary: Summary::new(
                "prometheus_rule_evaluation_duration_seconds",
                "The duration for a rule to execute.",
                &[0.5, 0.9, 0.99],
                &[],
            ),
            evaluation_histogram: Histogram::new(BUCKETS),
            group_summary: Summary::new(
                "prometheus_rule_group_duration_seconds",
                "The duration of rule group evaluations.",
                &[0.01, 0.05, 0.5, 0.9, 0.99],
                &[],
            ),
            group_histogram: Histogram::new(BUCKETS),
        };
        registry.register(
            "prometheus_rule_evaluation_duration_histogram_seconds",
            "The duration for a rule to execute",
            metrics.evaluation_histogram.clone(),
        );
        registry.register(
            "prometheus_rule_group_duration_histogram_seconds",
            "The duration of rule group evaluations",
            metrics.group_histogram.clone(),
        );
        metrics
    }

    /// Returns the summaries, which the registry cannot hold.
    pub fn summaries(&self) -> Vec<Summary> {
        vec![self.evaluation_summary.clone(), self.group_summary.clone()]
    }

    /// Notes how long one evaluation of a rule took, wall seconds.
    pub fn rule_evaluated(&self, seconds: f64) {
        self.evaluation_summary.observe(&[], seconds);
        self.evaluation_histogram.observe(seconds);
    }

    /// Notes how long one tick of a group took, wall seconds.
    pub fn group_evaluated(&self, seconds: f64) {
        self.group_summary.observe(&[], seconds);
        self.group_histogram.observe(seconds);
    }
}
