//! Our own metrics, and the set-up of the log.
//!
//! What lives here: the registry, the metrics that belong to no module, the text format. What
//! may not: anything that decides by a metric. Modules register theirs with
//! [`Telemetry::register`]; `/metrics` is written by the API.

pub mod config;
pub mod exposition;
pub mod frontier;
pub mod http;
pub mod logging;
pub mod process;
pub mod queries;
pub mod rules;
pub mod summary;

pub use summary::Summary;

use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::model::TimestampMs;
use crate::telemetry::config::ConfigMetrics;
use crate::telemetry::frontier::FrontierMetrics;
use crate::telemetry::http::HttpMetrics;
use crate::telemetry::queries::QueryMetrics;
use crate::telemetry::rules::RuleMetrics;
use crate::telemetry::summary::write_summaries;

/// What was built, when and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// Our version.
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The branch.
    pub branch: String,
    /// Who built it.
    pub build_user: String,
    /// When it was built.
    pub build_date: String,
    /// With what: `rustc 1.95.0`.
    pub compiler: String,
}

impl BuildInfo {
    /// The Prometheus whose API and language we speak. Clients (Grafana) switch features on by
    /// the version in `buildinfo`, and ours would tell them nothing.
    pub const PROMETHEUS_VERSION: &str = "3.12.0";

    /// Returns what is known without the build's help.
    pub fn of_package() -> Self {
        BuildInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..BuildInfo::default()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: String,
    revision: String,
    branch: String,
    goversion: String,
    goos: &'static str,
    goarch: &'static str,
    tags: &'static str,
}

/// All our own metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: RwLock<Registry>,
    summaries: RwLock<Vec<Summary>>,
    /// Loads of the configuration.
    pub config: ConfigMetrics,
    /// How long the frontier was held.
    pub frontier: FrontierMetrics,
    /// Requests by handler and code.
    pub http: HttpMetrics,
    /// Queries of the API.
    pub queries: QueryMetrics,
    /// How long rules and groups take.
    pub rules: RuleMetrics,
    started_at: TimestampMs,
}

impl Telemetry {
    /// Builds the registry with the metrics that belong to no module. `query_concurrency_max` is
    /// the `--query.max-concurrency` that is exported.
    pub fn new(build: &BuildInfo, started_at: TimestampMs, query_concurrency_max: usize) -> Self {
        let mut registry = Registry::default();
        register_build(&mut registry, build);
        let config = ConfigMetrics::register(&mut registry);
        let frontier = FrontierMetrics::register(&mut registry);
        let http = HttpMetrics::register(&mut registry);
        let queries = QueryMetrics::register(&mut registry, query_concurrency_max);
        let rules = RuleMetrics::register(&mut registry);
        let summaries = queries.summaries().into_iter().chain(rules.summaries());
        Telemetry {
            summaries: RwLock::new(summaries.collect()),
            registry: RwLock::new(registry),
            config,
            frontier,
            http,
            queries,
            rules,
            started_at,
        }
    }

    /// Lets a module register its metrics.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.write());
    }

    /// Adds a summary, which the registry cannot hold; see [`Summary::new`].
    pub fn register_summary(&self, summary: &Summary) {
        self.summaries.write().push(summary.clone());
    }

    /// Writes all metrics in OpenMetrics' text format, without its end mark, so that more can
    /// follow.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry.read()).expect("a String takes every text");
        write_summaries(&mut text, &self.summaries.read());
        process::write(&mut text, self.started_at);
        text
    }
}

fn register_build(registry: &mut Registry, build: &BuildInfo) {
    let info: Family<BuildLabels, Gauge> = Family::default();
    let labels = BuildLabels {
        version: build.version.clone(),
        revision: build.revision.clone(),
        branch: build.branch.clone(),
        goversion: build.compiler.clone(),
        goos: std::env::consts::OS,
        goarch: std::env::consts::ARCH,
        tags: "",
    };
    info.get_or_create(&labels).set(1);
    registry.register(
        "prometheus_build_info",
        "A metric with a constant '1' value labeled by what was built",
        info,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn everything_registered_is_encoded() {
        let telemetry = Telemetry::new(&BuildInfo::of_package(), TimestampMs(1_500), 20);
        let counter: Counter = Counter::default();
        telemetry.register(|registry| registry.register("x", "An x", counter.clone()));
        let summary = Summary::new("y_seconds", "A y.", &[0.5], &["place"]);
        telemetry.register_summary(&summary);
        counter.inc();
        summary.observe(&["here"], 2.0);
        let text = telemetry.encode();
        for line in [
            "prometheus_build_info{version=\"0.1.0\",",
            "x_total 1\n",
            "y_seconds{place=\"here\",quantile=\"0.5\"} 2\n",
            "process_start_time_seconds 1.5\n",
            "prometheus_engine_queries_concurrent_max 20\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("# EOF"));
    }
}
