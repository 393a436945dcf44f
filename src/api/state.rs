//! What every handler gets: the backend, the settings, the queries' bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::api::Backend;
use crate::clock::Clock;
use crate::eval::EvalOptions;
use crate::model::DurationMs;
use crate::promql::Features;
use crate::telemetry::{BuildInfo, Telemetry};

/// How the HTTP API is to behave.
#[derive(Clone)]
pub struct ApiSettings {
    /// `--web.enable-lifecycle`: whether `/-/reload` and `/-/quit` do what they say.
    pub lifecycle: bool,
    /// `--web.route-prefix`: what every path begins with, without a slash at its end; usually
    /// empty.
    pub route_prefix: String,
    /// The path of `--web.external-url` without a slash at its end: what links in pages begin
    /// with.
    pub external_path: String,
    /// `--web.cors.origin`, anchored; `None` allows every origin.
    pub cors_origin: Option<regex::Regex>,
    /// How queries are bounded.
    pub query: QuerySettings,
    /// What we are.
    pub build: BuildInfo,
    /// Where requests and queries are counted.
    pub telemetry: Arc<Telemetry>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl ApiSettings {
    /// Builds the settings of a server that is reached at `external_url`; its path is, as in
    /// Prometheus, the route prefix as well unless that is set apart. A text that is no URL has
    /// no path.
    pub fn new(external_url: &str, telemetry: Arc<Telemetry>, clock: Arc<dyn Clock>) -> Self {
        let path = url::Url::parse(external_url)
            .map(|url| url.path().trim_end_matches('/').to_owned())
            .unwrap_or_default();
        ApiSettings {
            lifecycle: false,
            route_prefix: path.clone(),
            external_path: path,
            cors_origin: None,
            query: QuerySettings::default(),
            build: BuildInfo::of_package(),
            telemetry,
            clock,
        }
    }
}

/// How queries are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuerySettings {
    /// `--query.lookback-delta`: how far an instant selector looks back, ms.
    pub lookback: DurationMs,
    /// `global.evaluation_interval`: the step of a subquery that names none, ms.
    pub default_step: DurationMs,
    /// `--query.max-samples`: the most samples one query may load; beyond it, it fails.
    pub samples_max: usize,
    /// The most steps a subquery may have; beyond it, the query fails.
    pub subquery_steps_max: usize,
    /// `--query.timeout`: when a query is given up.
    pub timeout: Duration,
    /// `--query.max-concurrency`: how many queries are evaluated at once; more wait.
    pub concurrency_max: usize,
    /// Which language features are on.
    pub features: Features,
    /// `promql-per-step-stats`: whether `stats=all` lists the samples of each step.
    pub per_step_stats: bool,
}

impl Default for QuerySettings {
    fn default() -> Self {
        let evaluation = EvalOptions::default();
        QuerySettings {
            lookback: evaluation.lookback,
            default_step: evaluation.default_step,
            samples_max: evaluation.samples_max,
            subquery_steps_max: evaluation.subquery_steps_max,
            timeout: Duration::from_secs(120),
            concurrency_max: 20,
            features: evaluation.features,
            per_step_stats: false,
        }
    }
}

/// What every handler gets.
pub struct ApiState {
    /// Who answers.
    pub backend: Arc<dyn Backend>,
    /// How to behave.
    pub settings: ApiSettings,
    /// One permit for each query that may be evaluated at once.
    pub query_slots: Arc<Semaphore>,
}

impl ApiState {
    /// Builds the state of a router.
    pub fn new(backend: Arc<dyn Backend>, settings: ApiSettings) -> Self {
        let slots = settings
            .query
            .concurrency_max
            .clamp(1, Semaphore::MAX_PERMITS);
        ApiState {
            backend,
            settings,
            query_slots: Arc::new(Semaphore::new(slots)),
        }
    }
}
