//! Metrics of the server itself: reloads, and what the engines say of themselves.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::model::TimestampMs;
use crate::server::dispatch::EngineReport;
use crate::telemetry::exposition::{write_family, write_sample};

/// How the configuration was loaded last.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics {
    reload_succeeded: Gauge,
    reload_success_seconds: Gauge,
}

impl ServerMetrics {
    /// Registers the metrics. A server that runs has loaded its configuration once.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = ServerMetrics::default();
        registry.register(
            "prometheus_config_last_reload_successful",
            "Whether the last configuration reload attempt was successful",
            metrics.reload_succeeded.clone(),
        );
        registry.register(
            "prometheus_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful configuration reload",
            metrics.reload_success_seconds.clone(),
        );
        metrics.reload_succeeded.set(1);
        metrics
    }

    /// Notes a load at an instant of the wall clock.
    pub fn reloaded(&self, succeeded: bool, now: TimestampMs) {
        self.reload_succeeded.set(i64::from(succeeded));
        if succeeded {
            self.reload_success_seconds.set(now.0 / 1000);
        }
    }
}

/// Writes what the engines say of themselves.
pub fn write_engine_metrics(text: &mut String, report: &EngineReport) {
    let stats = &report.stats;
    let counters = [
        ("burnwatch_samples_applied", "Samples taken into history.", stats.samples),
        ("burnwatch_samples_late", "Samples that came behind the frontier.", stats.samples_late),
        (
            "burnwatch_samples_duplicate",
            "Samples that were in history already.",
            stats.samples_duplicate,
        ),
        (
            "burnwatch_samples_refused",
            "Samples that history refused: another value at that instant, or too old.",
            stats.samples_refused,
        ),
        ("burnwatch_scrapes_late", "Scrapes that were not whole in time.", stats.scrapes_late),
        (
            "burnwatch_scanned_samples",
            "Samples that evaluations read from history.",
            stats.samples_scanned,
        ),
    ];
    for (name, help, value) in counters {
        write_family(text, name, "counter", help);
        write_sample(text, &format!("{name}_total"), &[], value as f64);
    }
    let gauges = [
        (
            "burnwatch_frontier_hold_seconds",
            "How far evaluation is behind the event-time clock.",
            report.frontier_hold_seconds,
        ),
        (
            "burnwatch_frontier_timestamp_seconds",
            "Up to which event time rules are evaluated.",
            report.frontier.map_or(0.0, TimestampMs::seconds),
        ),
        ("prometheus_tsdb_head_series", "Series in history.", report.n_series as f64),
    ];
    for (name, help, value) in gauges {
        write_family(text, name, "gauge", help);
        write_sample(text, name, &[], value);
    }
}
