//! Whether the configuration could be loaded, under the names of Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::model::TimestampMs;

/// The outcome of loads of the configuration.
#[derive(Clone, Debug)]
pub struct ConfigMetrics {
    succeeded: Gauge,
    succeeded_at_seconds: Gauge<f64, AtomicU64>,
}

impl ConfigMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = ConfigMetrics {
            succeeded: Gauge::default(),
            succeeded_at_seconds: Gauge::default(),
        };
        registry.register(
            "prometheus_config_last_reload_successful",
            "Whether the last configuration reload attempt was successful",
            metrics.succeeded.clone(),
        );
        registry.register(
            "prometheus_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful configuration reload",
            metrics.succeeded_at_seconds.clone(),
        );
        metrics
    }

    /// Notes a load, the first or a later one, and when it was, wall clock in ms.
    pub fn loaded(&self, succeeded: bool, at: TimestampMs) {
        self.succeeded.set(i64::from(succeeded));
        if succeeded {
            self.succeeded_at_seconds.set(at.seconds());
        }
    }
}
