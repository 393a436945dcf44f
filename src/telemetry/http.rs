//! Requests by handler and code, under the names of Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Prometheus' own buckets, seconds.
const DURATION_BUCKETS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    handler: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabels {
    handler: String,
}

type Histograms = Family<HandlerLabels, Histogram, fn() -> Histogram>;

/// What is counted of every request.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    duration_seconds: Histograms,
    response_bytes: Histograms,
}

impl HttpMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let sizes: fn() -> Histogram = || Histogram::new(exponential_buckets(100.0, 10.0, 8));
        let metrics = HttpMetrics {
            requests: Family::default(),
            duration_seconds: Family::new_with_constructor(durations),
            response_bytes: Family::new_with_constructor(sizes),
        };
        registry.register(
            "prometheus_http_requests",
            "Counter of HTTP requests",
            metrics.requests.clone(),
        );
        registry.register(
            "prometheus_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests",
            metrics.duration_seconds.clone(),
        );
        registry.register(
            "prometheus_http_response_size_bytes",
            "Histogram of response size for HTTP requests",
            metrics.response_bytes.clone(),
        );
        metrics
    }

    /// Counts a request; `handler` is the route's pattern, `bytes` the body's length if known.
    pub fn observe(&self, handler: &str, code: u16, seconds: f64, bytes: Option<u64>) {
        let handler = handler.to_owned();
        let labels = HandlerLabels {
            handler: handler.clone(),
        };
        let requests = RequestLabels { handler, code };
        self.requests.get_or_create(&requests).inc();
        self.duration_seconds
            .get_or_create(&labels)
            .observe(seconds);
        if let Some(bytes) = bytes {
            self.response_bytes
                .get_or_create(&labels)
                .observe(bytes as f64);
        }
    }
}
