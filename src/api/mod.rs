//! The HTTP API in Prometheus' shapes; asks the engines through [`Backend`].
//!
//! What lives here: routes, parameters, answers; a file for each group of routes. What may not:
//! what a rule or a series is worth. The server gives [`router`] a backend and serves it.

mod access;
mod admin;
mod alertmanagers;
mod alerts;
mod answer;
mod changes;
mod compress;
mod context;
mod cors;
mod detectors;
pub mod execute;
pub mod explain;
mod features;
mod form;
pub mod instant;
pub mod json;
mod manage;
mod metadata;
mod metrics;
pub mod params;
mod parse_query;
mod query;
mod query_range;
mod readiness;
mod redirect;
pub mod response;
mod router;
pub mod routes;
mod rule_metrics;
mod rules;
pub mod selections;
mod series;
mod state;
mod status;
mod strconv;
mod targets;
mod values;
mod worker;

pub use access::{Need, need_of};
pub use cors::cors_origin;
pub use readiness::Readiness;
pub use router::router;
pub use state::{ApiSettings, ApiState, QuerySettings};

use futures::future::BoxFuture;

use crate::engine::{ContextAnswer, GroupStatus};
use crate::model::{Change, DetectorReset, Labels, Matcher, RuleKey, TimestampMs};
use crate::series::{Selection, Snapshot};

/// Why the engines gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The engines are stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The log takes nothing now.
    #[error("nothing can be written now, come again: {0}")]
    Unwritable(String),
}

/// Metadata of a metric, as senders gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMetadata {
    /// The metric (family) name.
    pub metric: String,
    /// `counter`, `gauge`, …
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit.
    pub unit: String,
}

/// An Alertmanager's push URL and whether relabelling dropped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerView {
    /// The full push URL.
    pub url: String,
    /// `true` when removed by `relabel_configs`.
    pub dropped: bool,
}

/// What is being received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiveView {
    /// Samples accepted a second, over the last minute or so.
    pub samples_per_second: f64,
    /// Samples accepted since start.
    pub samples_total: u64,
    /// Samples refused since start.
    pub samples_rejected_total: u64,
    /// Series that rules read.
    pub series_read: usize,
    /// Series that were seen and that no rule reads.
    pub series_unread: usize,
    /// Up to which event time rules are evaluated (`F`), ms; `None` before the first sample.
    pub frontier: Option<TimestampMs>,
    /// The oldest sample kept, ms.
    pub oldest_sample: Option<TimestampMs>,
    /// The newest sample kept, ms.
    pub newest_sample: Option<TimestampMs>,
    /// Who sends, in the order in which it is to be shown.
    pub senders: Vec<SenderView>,
}

/// A sender and how it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SenderView {
    /// How it names itself: address and user agent.
    pub name: String,
    /// Requests since start.
    pub requests_total: u64,
    /// Samples accepted since start.
    pub samples_total: u64,
    /// Wall clock of its last request, ms.
    pub last_request: Option<TimestampMs>,
    /// Why its last request was refused, where it was.
    pub last_error: Option<String>,
}

/// How the process does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeView {
    /// When it began, wall clock in ms.
    pub started_at: TimestampMs,
    /// Whether the last load of the configuration succeeded.
    pub reload_succeeded: bool,
    /// When the configuration was last loaded, wall clock in ms.
    pub config_loaded_at: Option<TimestampMs>,
    /// Damaged places found in logs since start.
    pub log_corruptions: u64,
    /// How long samples are kept, in words.
    pub retention: String,
    /// The replay of the log: first segment, last segment, the one being read.
    pub replay: (u64, u64, u64),
}

/// A cluster of replicas that send the same, and who is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionView {
    /// The cluster.
    pub cluster: String,
    /// The replica that is listened to.
    pub elected: String,
    /// Since when, wall clock in ms.
    pub elected_at: TimestampMs,
    /// When something came from it last, wall clock in ms.
    pub last_seen: TimestampMs,
    /// How often another took over.
    pub n_changes: u64,
    /// Another replica that came last, and when.
    pub other: Option<(String, TimestampMs)>,
}

/// History that is being fetched for a selector, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct BackfillView {
    /// The selector.
    pub selector: String,
    /// The samples after this instant are wanted, or are there, ms,
    pub since: TimestampMs,
    /// as far as this one.
    pub until: TimestampMs,
    /// Of the time asked for, 0 to 1.
    pub done: f64,
    /// Bytes of answers so far.
    pub bytes: u64,
    /// How it goes.
    pub state: BackfillState,
}

/// How fetching goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackfillState {
    /// It is under way.
    Fetching,
    /// It is there, as far back as the other side has it.
    Done,
    /// It failed, and is tried again.
    Failed(String),
}

/// What the API asks the rest of the server for.
pub trait Backend: Send + Sync + 'static {
    /// Returns all groups, ordered by file, then name.
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupStatus>, BackendError>>;
    /// Takes series along for a query that is then evaluated outside the engines.
    fn snapshot(&self, selections: Vec<Selection>)
    -> BoxFuture<'_, Result<Snapshot, BackendError>>;
    /// Returns the labels of series that satisfy any of the matcher sets (all series where there
    /// is none) and have a sample in `[from, until]`.
    fn series(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        until: TimestampMs,
    ) -> BoxFuture<'_, Result<Vec<Labels>, BackendError>>;
    /// Returns the metadata of `metric`, or of all metrics.
    fn metadata(&self, metric: Option<&str>) -> Vec<MetricMetadata>;
    /// Returns the Alertmanagers discovered.
    fn alertmanagers(&self) -> Vec<AlertmanagerView>;
    /// Returns the loaded configuration, secrets as `<secret>`.
    fn config_yaml(&self) -> String;
    /// Returns `(flag, value)` in the order of flags.
    fn flags(&self) -> Vec<(String, String)>;
    /// Loads the configuration anew; an error leaves the old one running.
    fn reload(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Asks the server to stop in order.
    fn quit(&self);
    /// Returns whether the server can be relied upon, and if not, why.
    fn readiness(&self) -> Readiness;
    /// Tells whether questions can be answered.
    fn is_ready(&self) -> bool {
        self.readiness().answers()
    }
    /// Tells whether the server is stopping.
    fn is_stopping(&self) -> bool;
    /// Returns the current event time `C`, ms.
    fn event_time(&self) -> Option<TimestampMs>;
    /// Returns our own metrics in the text exposition format: what `Telemetry::encode` writes,
    /// without an end mark. The metrics of rule groups are added from [`Backend::groups`].
    fn metrics_text(&self) -> String;
    /// Returns what is being received, for the page and for `status/tsdb`.
    fn receive_view(&self) -> ReceiveView;
    /// Returns which history was asked for elsewhere, in the order of selectors.
    fn backfills(&self) -> Vec<BackfillView> {
        Vec::new()
    }
    /// Returns which replicas are listened to, by cluster.
    fn elections(&self) -> Vec<ElectionView> {
        Vec::new()
    }
    /// Returns what contexts are built from, of each shard; with a fingerprint also the alert that
    /// has it.
    fn context(
        &self,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'_, Result<Vec<ContextAnswer>, BackendError>>;
    /// Writes to the log that something was changed; it is there when this returns.
    fn tell_change(&self, change: Change) -> BoxFuture<'_, Result<(), BackendError>>;
    /// Writes to the log that the detectors of some rules begin anew, at an instant or at the
    /// event-time clock; it is there when this returns. Returns what was written.
    fn reset_detectors(
        &self,
        at: Option<TimestampMs>,
        rules: Vec<RuleKey>,
    ) -> BoxFuture<'_, Result<DetectorReset, BackendError>>;
    /// Returns how the process does, for `status/runtimeinfo`.
    fn runtime_view(&self) -> RuntimeView;
}
