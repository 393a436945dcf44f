//! How long the frontier was held.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from what two connections of one sender lie apart to `scrape_settle` and beyond.
const BUCKETS: [f64; 15] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What is counted of the frontiers of all shards.
#[derive(Clone, Debug)]
pub struct FrontierMetrics {
    hold_duration: Histogram,
}

impl FrontierMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = FrontierMetrics {
            hold_duration: Histogram::new(BUCKETS),
        };
        registry.register_with_unit(
            "burnwatch_frontier_hold_duration",
            "How long event time that had come waited for the rest of a scrape, where it waited",
            Unit::Seconds,
            metrics.hold_duration.clone(),
        );
        metrics
    }

    /// Notes how long a hold lasted, seconds.
    pub fn held(&self, seconds: f64) {
        self.hold_duration.observe(seconds);
    }
}
