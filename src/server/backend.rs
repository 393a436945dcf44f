//! What the API asks, answered by the running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tracing::{error, info};

use crate::api::{self, AlertmanagerView, BackendError, MetricMetadata};
use crate::engine::{Engine, GroupStatus};
use crate::ingest::{Node, ReadSet, ShardId};
use crate::model::{Entry, Generation, Labels, Matcher, TimestampMs};
use crate::notify::Notify;
use crate::series::{Selection, Snapshot};
use crate::server::dispatch::Dispatch;
use crate::server::load::{Loaded, load};
use crate::server::pipeline::Pipeline;
use crate::server::{Options, routes, seed_again};
use crate::telemetry::Telemetry;

/// The running server, as the API sees it.
pub struct ServerBackend {
    options: Options,
    external_url: String,
    pipeline: Arc<Pipeline>,
    notify: Arc<Notify>,
    dispatch: Arc<Dispatch>,
    seed_before: Arc<AtomicI64>,
    telemetry: Telemetry,
    stop: watch::Sender<bool>,
    config_yaml: parking_lot::RwLock<String>,
    generation: AtomicU64,
    is_ready: AtomicBool,
    is_stopping: AtomicBool,
    /// One reload at a time; the next sees what the one before left.
    reloading: parking_lot::Mutex<()>,
}

impl ServerBackend {
    /// Returns a backend that is not ready before rules are adopted.
    #[allow(clippy::too_many_arguments, reason = "the wiring, called once")]
    pub(crate) fn new(
        options: Options,
        external_url: String,
        pipeline: Arc<Pipeline>,
        notify: Arc<Notify>,
        dispatch: Arc<Dispatch>,
        seed_before: Arc<AtomicI64>,
        telemetry: Telemetry,
        stop: watch::Sender<bool>,
    ) -> Arc<Self> {
        Arc::new(ServerBackend {
            options,
            external_url,
            pipeline,
            notify,
            dispatch,
            seed_before,
            telemetry,
            stop,
            config_yaml: parking_lot::RwLock::default(),
            generation: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            reloading: parking_lot::Mutex::new(()),
        })
    }

    /// Makes a checked configuration the running one.
    pub(crate) fn adopt(&self, loaded: Loaded) {
        let generation = Generation(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
        seed_again(&self.seed_before);
        let shard = ShardId(0);
        let read_set = ReadSet {
            generation,
            selectors: loaded.rules.read_selectors().into_iter().map(|m| (shard, m)).collect(),
            recorded: loaded.recorded(),
            keep_all: loaded.keeps_all(),
            seed_before: Arc::clone(&self.seed_before),
        };
        let source = Arc::clone(&loaded.source);
        self.pipeline.adopt(read_set, &mut |_, stamp| Entry::Rules {
            stamp,
            generation,
            rules: Arc::clone(&source),
        });
        *self.config_yaml.write() = loaded.config.to_yaml_redacted();
        self.is_ready.store(true, Ordering::Release);
    }

    /// Reads the configuration and the rules anew: all or nothing.
    pub fn reload_now(&self) -> Result<(), String> {
        let _one_at_a_time = self.reloading.lock();
        let outcome = load(&self.options, &self.external_url).and_then(|loaded| {
            self.notify.reconfigure(loaded.notify_config(&self.options))?;
            self.adopt(loaded);
            Ok(())
        });
        self.telemetry.reloaded(outcome.is_ok(), self.options.clock.now());
        match outcome {
            Ok(()) => {
                info!("configuration and rules are loaded anew");
                Ok(())
            }
            Err(cause) => {
                error!(cause = format!("{cause:#}"), "reload refused; the old configuration runs on");
                Err(format!("{cause:#}"))
            }
        }
    }

    pub(crate) fn router(self: &Arc<Self>) -> axum::Router {
        let settings = api::ApiSettings {
            lifecycle: self.options.lifecycle,
            external_url: self.external_url.clone(),
            clock: Arc::clone(&self.options.clock),
            ..api::ApiSettings::default()
        };
        routes(self, settings)
    }

    /// Returns what takes remote writes.
    pub(crate) fn receiver(&self) -> Arc<Pipeline> {
        Arc::clone(&self.pipeline)
    }

    /// Returns the node.
    pub fn node(&self) -> &Arc<Node> {
        self.pipeline.node()
    }

    pub(crate) fn set_stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Applies the logs to their end and lets notifications leave.
    pub(crate) async fn shut_down(&self, drain: Duration) {
        self.pipeline.close();
        self.notify.drain(drain).await;
    }

    async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Engine) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, BackendError> {
        let mut answers = Vec::new();
        for answer in self.pipeline.ask_all(question) {
            answers.push(answer.await.map_err(|_| BackendError::Stopping)?);
        }
        Ok(answers)
    }
}

impl api::Backend for ServerBackend {
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupStatus>, BackendError>> {
        async {
            let mut groups: Vec<GroupStatus> =
                self.ask_all(Engine::groups).await?.into_iter().flatten().collect();
            groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
            Ok(groups)
        }
        .boxed()
    }

    fn snapshot(
        &self,
        selections: Vec<Selection>,
        samples_max: usize,
    ) -> BoxFuture<'_, Result<Snapshot, BackendError>> {
        async move {
            let selections = Arc::new(selections);
            let copy = move |engine: &Engine| {
                let mut snapshot = Snapshot::default();
                let fits = snapshot.take(engine.series(), &selections, samples_max);
                fits.then_some(snapshot)
            };
            let mut whole = Snapshot::default();
            for part in self.ask_all(copy).await? {
                let part = part.ok_or(BackendError::TooManySamples)?;
                for (labels, history) in part.iter() {
                    whole.insert(labels.clone(), history.clone());
                }
            }
            Ok(whole)
        }
        .boxed()
    }

    fn series(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        until: TimestampMs,
    ) -> BoxFuture<'_, Result<Vec<Labels>, BackendError>> {
        async move {
            let sets = Arc::new(matcher_sets);
            let find = move |engine: &Engine| engine.series_labels(&sets, from, until);
            let mut found: Vec<Labels> =
                self.ask_all(find).await?.into_iter().flatten().collect();
            found.sort();
            found.dedup();
            Ok(found)
        }
        .boxed()
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<MetricMetadata> {
        self.pipeline.metadata(metric)
    }

    fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        self.notify.alertmanagers()
    }

    fn config_yaml(&self) -> String {
        self.config_yaml.read().clone()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.options.flags.clone()
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.reload_now() }.boxed()
    }

    fn quit(&self) {
        let _ = self.stop.send(true);
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire) && !self.is_stopping()
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn event_time(&self) -> Option<TimestampMs> {
        self.pipeline.node().clock()
    }

    fn metrics_text(&self) -> String {
        self.telemetry.text(&self.dispatch.report())
    }
}
