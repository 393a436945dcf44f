//! The HTTP API in Prometheus' shapes; asks the engines through [`Backend`].

use futures::future::BoxFuture;

use crate::engine::GroupStatus;
use crate::model::{Labels, Matcher, TimestampMs};
use crate::series::{Selection, Snapshot};

/// Why the engines gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// More samples than a query may load.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The engines are stopping.
    #[error("the server is stopping")]
    Stopping,
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

/// What the API asks the rest of the server for.
pub trait Backend: Send + Sync + 'static {
    /// Returns all groups, ordered by file, then name.
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupStatus>, BackendError>>;
    /// Copies series for a query that is then evaluated outside the engines.
    fn snapshot(
        &self,
        selections: Vec<Selection>,
        samples_max: usize,
    ) -> BoxFuture<'_, Result<Snapshot, BackendError>>;
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
    /// Tells whether requests can be served.
    fn is_ready(&self) -> bool;
    /// Tells whether the server is stopping.
    fn is_stopping(&self) -> bool;
    /// Returns the current event time `C`, ms.
    fn event_time(&self) -> Option<TimestampMs>;
    /// Returns our own metrics in the text exposition format.
    fn metrics_text(&self) -> String;
}
