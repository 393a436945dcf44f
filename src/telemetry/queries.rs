//! Queries of the API, under the names of Prometheus' query engine.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::Summary;

/// What is counted of every query.
#[derive(Clone, Debug)]
pub struct QueryMetrics {
    running: Gauge,
    samples: Counter,
    duration_seconds: Summary,
}

impl QueryMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry, concurrency_max: usize) -> Self {
        let metrics = QueryMetrics {
            running: Gauge::default(),
            samples: Counter::default(),
            duration_seconds: Summary::new(
                "prometheus_engine_query_duration_seconds",
                "Query timings.",
                &[0.5, 0.9, 0.99],
                &["slice"],
            ),
        };
        let most: Gauge = Gauge::default();
        most.set(i64::try_from(concurrency_max).unwrap_or(i64::MAX));
        registry.register(
            "prometheus_engine_queries",
            "The current number of queries being executed or waiting",
            metrics.running.clone(),
        );
        registry.register(
            "prometheus_engine_queries_concurrent_max",
            "The max number of concurrent queries",
            most,
        );
        registry.register(
            "prometheus_engine_query_samples",
            "The total number of samples loaded by all queries",
            metrics.samples.clone(),
        );
        metrics
    }

    /// Returns the summaries, which the registry cannot hold.
    pub fn summaries(&self) -> Vec<Summary> {
        vec![self.duration_seconds.clone()]
    }

    /// Counts a query as running until what is returned is dropped.
    pub fn begin(&self) -> RunningQuery {
        self.running.inc();
        RunningQuery(self.running.clone())
    }

    /// Notes how long a query waited for its turn, seconds.
    pub fn waited(&self, seconds: f64) {
        self.duration_seconds.observe(&["queue_time"], seconds);
    }

    /// Notes how long its series took to be copied, seconds.
    pub fn prepared(&self, seconds: f64) {
        self.duration_seconds.observe(&["prepare_time"], seconds);
    }

    /// Notes how long the evaluation took, seconds, and how many samples it read.
    pub fn evaluated(&self, seconds: f64, n_samples: usize) {
        self.duration_seconds.observe(&["inner_eval"], seconds);
        self.samples.inc_by(n_samples as u64);
    }
}

/// A query that is waiting or running.
#[derive(Debug)]
pub struct RunningQuery(Gauge);

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.0.dec();
    }
}
