//! What the engines say of themselves, as metrics.

use crate::model::TimestampMs;
use crate::server::dispatch::EngineReport;
use crate::telemetry::exposition::{write_family, write_sample};

/// Writes what the engines say of themselves.
pub fn write_engine_metrics(text: &mut String, report: &EngineReport) {
    let stats = &report.stats;
    let counters = [
        (
            "burnwatch_samples_applied",
            "Samples taken into history.",
            stats.samples,
        ),
        (
            "burnwatch_samples_late",
            "Samples that came behind the frontier.",
            stats.samples_late,
        ),
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
        (
            "burnwatch_scrapes_late",
            "Scrapes that were not whole in time.",
            stats.scrapes_late,
        ),
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
    ];
    for (name, help, value) in gauges {
        write_family(text, name, "gauge", help);
        write_sample(text, name, &[], value);
    }
}
