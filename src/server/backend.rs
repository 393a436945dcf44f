//! What the API asks, answered by the running server.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::api::{
    self, AlertmanagerView, ApiSettings, BackendError, MetricMetadata, QuerySettings, Readiness,
    ReceiveView, RuntimeView, SenderView,
};
use crate::engine::{ContextAnswer, Engine, GroupStatus};
use crate::ingest::{self, ReadSet, ShardId};
use crate::log::{FileLogs, LogError, Waiting};
use crate::model::{
    Change, DetectorReset, Entry, Generation, Labels, Matcher, RuleKey, RuleSource, TimestampMs,
};
use crate::notify::Notify;
use crate::series::{Selection, Snapshot};
use crate::server::Options;
use crate::server::backfill::Backfill;
use crate::server::checkpoints::{CheckpointCounts, SharedColdFiles};
use crate::server::dispatch::Dispatch;
use crate::server::health::Health;
use crate::server::load::{Loaded, StartSettings, load};
use crate::server::logs;
use crate::server::metrics::{
    LimitUse, write_backfill_metrics, write_checkpoint_metrics, write_engine_metrics,
    write_history_metrics, write_limit_metrics, write_log_file_metrics, write_log_metrics,
};
use crate::server::pipeline::Pipeline;
use crate::server::shards::{Assigned, Shards};
use crate::telemetry::{BuildInfo, Telemetry};
use crate::ui;
use crate::web::Web;
use crate::web::guard;

/// How long a reload that moves groups waits for the shards that give them up.
const APPLIED: Duration = Duration::from_secs(5);

/// How long a stop waits for its checkpoint; without it the next start replays more.
const CHECKPOINT_AT_STOP: Duration = Duration::from_secs(30);

/// What a backend is made of.
pub(crate) struct Parts {
    pub options: Options,
    pub external_url: String,
    pub pipeline: Arc<Pipeline>,
    /// The newest rule set of earlier runs.
    pub generation: Generation,
    /// The logs' files, if they are in files.
    pub log_files: Option<Arc<FileLogs>>,
    pub notify: Arc<Notify>,
    pub dispatch: Arc<Dispatch>,
    /// The files of each shard's history.
    pub cold: Vec<SharedColdFiles>,
    /// What has become of checkpoints.
    pub checkpoints: Arc<CheckpointCounts>,
    /// The rule set that each shard's engine has from an earlier process.
    pub rules_left: Vec<Option<Arc<RuleSource>>>,
    pub shards: parking_lot::Mutex<Shards>,
    /// Outside samples of recorded names are taken while older than this, ms.
    pub seed_before: Arc<AtomicI64>,
    pub telemetry: Arc<Telemetry>,
    /// Fetches history that is lacking.
    pub backfill: Arc<Backfill>,
    /// Whoever knows why the server is not ready says so here.
    pub health: Arc<Health>,
    pub stop: watch::Sender<bool>,
    /// Who is let in.
    pub web: Arc<Web>,
}

/// The running server, as the API sees it.
pub struct ServerBackend {
    parts: Parts,
    started_at: TimestampMs,
    loaded: parking_lot::RwLock<LastLoad>,
    /// What the first load set for good.
    start_settings: OnceLock<StartSettings>,
    generation: AtomicU64,
    /// One reload at a time; the next sees what the one before left.
    reloading: parking_lot::Mutex<()>,
}

/// How the last load of the configuration went.
#[derive(Default)]
struct LastLoad {
    config_yaml: String,
    retention: String,
    succeeded: bool,
    at: Option<TimestampMs>,
}

impl ServerBackend {
    /// Returns a backend that is not ready before rules are adopted.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let started_at = parts.options.clock.now();
        Arc::new(ServerBackend {
            started_at,
            generation: AtomicU64::new(parts.generation.0),
            parts,
            loaded: parking_lot::RwLock::default(),
            start_settings: OnceLock::new(),
            reloading: parking_lot::Mutex::new(()),
        })
    }

    /// Makes a checked configuration the running one.
    pub(crate) fn adopt(&self, loaded: Loaded) -> anyhow::Result<()> {
        let wanted = loaded.start_settings(&self.parts.options);
        let changed = self
            .start_settings
            .get_or_init(|| wanted.clone())
            .changed_in(&wanted);
        if !changed.is_empty() {
            warn!(
                settings = changed.join(", "),
                "these change only with a restart"
            );
        }
        let mut shards = self.parts.shards.lock();
        if let Some(first) = shards.assign(&loaded, &self.parts.dispatch.measured()) {
            info!("groups that ran in different shards belong together now and begin anew in one");
            self.adopt_assigned(first)?;
            self.parts.pipeline.wait_applied(APPLIED);
        }
        self.adopt_assigned(shards.last_assigned(&loaded))?;
        drop(shards);
        let backfill = loaded.config.burnwatch.backfill.clone();
        self.parts.backfill.reconfigure(backfill);
        *self.loaded.write() = LastLoad {
            config_yaml: loaded.config.to_yaml_redacted(),
            retention: loaded.retention(),
            succeeded: true,
            at: Some(self.parts.options.clock.now()),
        };
        self.parts
            .telemetry
            .config
            .loaded(true, self.parts.options.clock.now());
        self.parts.health.set_loaded();
        Ok(())
    }

    /// Tells whether all engines have these rules from an earlier process: then nothing is loaded,
    /// and nothing begins anew.
    fn has_these_rules(&self, assigned: &Assigned) -> bool {
        let left = self.parts.generation;
        let is_first = self.generation.load(Ordering::Relaxed) == left.0;
        let rules = self.parts.rules_left.iter().map(Option::as_ref);
        left > Generation(0) && is_first && rules.eq(assigned.sources.iter().map(Some))
    }

    fn adopt_assigned(&self, assigned: Assigned) -> Result<(), LogError> {
        if self.has_these_rules(&assigned) {
            let generation = self.parts.generation;
            let dispatch = &self.parts.dispatch;
            dispatch.expect_first_ticks(generation, assigned.n_with_groups);
            self.parts.pipeline.resume_rules(ReadSet {
                generation,
                seed_before: Arc::clone(&self.parts.seed_before),
                ..assigned.read_set
            });
            return Ok(());
        }
        let generation = Generation(self.generation.fetch_add(1, Ordering::Relaxed) + 1);
        // Outside samples of recorded names are taken again until the new rules' first ticks.
        let dispatch = &self.parts.dispatch;
        dispatch.expect_first_ticks(generation, assigned.n_with_groups);
        let read_set = ReadSet {
            generation,
            seed_before: Arc::clone(&self.parts.seed_before),
            ..assigned.read_set
        };
        let mut entry = |shard: ShardId, stamp| Entry::Rules {
            stamp,
            generation,
            rules: Arc::clone(&assigned.sources[usize::from(shard.0)]),
        };
        self.parts.pipeline.adopt(read_set, &mut entry)?;
        // Who asks afterwards sees these rules. Where the log cannot be written they come into
        // force once it can, and readiness says so.
        let written = self.parts.pipeline.node().commitment().wait_blocking();
        if let Err(error) = written {
            warn!(%error, "the rules are not in force yet");
        }
        Ok(())
    }

    /// Reads the configuration and the rules anew: all or nothing.
    pub fn reload_now(&self) -> Result<(), String> {
        let _one_at_a_time = self.reloading.lock();
        let Parts {
            options,
            external_url,
            notify,
            telemetry,
            web,
            ..
        } = &self.parts;
        let outcome = load(options, external_url).and_then(|loaded| {
            let access = loaded.config.burnwatch.access.clone();
            let prepared = web.prepare(&access).map_err(anyhow::Error::msg)?;
            notify.reconfigure(loaded.notify_config(options, external_url))?;
            self.adopt(loaded)?;
            web.adopt(&access, prepared);
            Ok(())
        });
        match outcome {
            Ok(()) => {
                info!("configuration and rules are loaded anew");
                Ok(())
            }
            Err(cause) => {
                telemetry.config.loaded(false, options.clock.now());
                self.loaded.write().succeeded = false;
                let cause = format!("{cause:#}");
                error!(cause, "reload refused; the old configuration runs on");
                Err(cause)
            }
        }
    }

    /// Builds all routes, with what stands before them.
    pub fn router(self: &Arc<Self>, query: QuerySettings, build: BuildInfo) -> Router {
        let Parts {
            options,
            external_url,
            pipeline,
            telemetry,
            web,
            ..
        } = &self.parts;
        let clock = Arc::clone(&options.clock);
        let settings = ApiSettings {
            lifecycle: options.lifecycle,
            cors_origin: options.cors_origin.clone(),
            query,
            build,
            ..ApiSettings::new(external_url, Arc::clone(telemetry), clock)
        };
        let receive = ingest::router(pipeline.ingest_state());
        let shared = Arc::clone(self) as Arc<dyn api::Backend>;
        let route_prefix = settings.route_prefix.clone();
        let routes = api::router(shared, settings, ui::routes().merge(receive.with_state(())));
        guard::protect(routes, Arc::clone(web), &route_prefix)
    }

    /// Returns how much is used of the limits that fill up by and by.
    fn limits_used(&self, waiting: &[Waiting]) -> [LimitUse; 5] {
        let node = self.parts.pipeline.node();
        let limits = node.limits();
        let (requests, bytes) = node.in_flight().used();
        let fullest = waiting.iter().map(|log| log.samples).max();
        [
            ("series", node.metrics().n_series().0, limits.series),
            ("log_samples", fullest.unwrap_or(0), limits.log_samples),
            ("metadata", node.metadata().len(), limits.metadata),
            ("requests_in_flight", requests, limits.requests_in_flight),
            ("in_flight_bytes", bytes, limits.in_flight_bytes),
        ]
    }

    pub(crate) fn set_stopping(&self) {
        self.parts.health.set_stopping();
        self.parts.pipeline.node().stop();
    }

    /// Lets notifications leave.
    pub(crate) async fn shut_down(&self, drain: Duration) {
        // What was accepted is applied first: an answer comes behind all entries before it.
        let _ = self.ask_all(|_| ()).await;
        let pipeline = Arc::clone(&self.parts.pipeline);
        let written = tokio::task::spawn_blocking(move || {
            pipeline.checkpoint_and_wait(CHECKPOINT_AT_STOP);
        });
        let _ = written.await;
        self.parts.notify.drain(drain).await;
        if let Some(files) = &self.parts.log_files {
            files.close();
        }
    }

    /// Returns how often checkpoints are written.
    pub(crate) fn checkpoint_interval(&self) -> Duration {
        self.start_settings
            .get()
            .map_or(Duration::ZERO, StartSettings::checkpoint_interval)
    }

    async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Engine) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, BackendError> {
        let mut answers = Vec::new();
        for answer in self.parts.pipeline.ask_all(question) {
            answers.push(answer.await.map_err(|_| BackendError::Stopping)?);
        }
        Ok(answers)
    }
}

impl api::Backend for ServerBackend {
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupStatus>, BackendError>> {
        async {
            let mut groups: Vec<GroupStatus> = self
                .ask_all(Engine::groups)
                .await?
                .into_iter()
                .flatten()
                .collect();
            groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
            Ok(groups)
        }
        .boxed()
    }

    fn snapshot(
        &self,
        selections: Vec<Selection>,
    ) -> BoxFuture<'_, Result<Snapshot, BackendError>> {
        async move {
            let selections = Arc::new(selections);
            let take = move |engine: &Engine| Snapshot::take(engine.series(), &selections);
            let mut whole = Snapshot::default();
            for part in self.ask_all(take).await? {
                whole.merge(part);
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
            let mut found: Vec<Labels> = self.ask_all(find).await?.into_iter().flatten().collect();
            found.sort();
            found.dedup();
            Ok(found)
        }
        .boxed()
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<MetricMetadata> {
        let known = self.parts.pipeline.node().metadata();
        let of = |(metric, metadata): (String, ingest::Metadata)| MetricMetadata {
            metric,
            kind: metadata.kind.to_owned(),
            help: metadata.help,
            unit: metadata.unit,
        };
        match metric {
            Some(name) => known
                .get(name)
                .map(|found| of((name.to_owned(), found)))
                .into_iter()
                .collect(),
            None => known.all().into_iter().map(of).collect(),
        }
    }

    fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        let view = |found: crate::notify::AlertmanagerView| AlertmanagerView {
            url: found.url,
            dropped: found.dropped,
        };
        self.parts
            .notify
            .alertmanagers()
            .into_iter()
            .map(view)
            .collect()
    }

    fn config_yaml(&self) -> String {
        self.loaded.read().config_yaml.clone()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.parts.options.flags.clone()
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        async { self.reload_now() }.boxed()
    }

    fn quit(&self) {
        let _ = self.parts.stop.send(true);
    }

    fn readiness(&self) -> Readiness {
        let Parts {
            pipeline, health, ..
        } = &self.parts;
        let (fault, replay) = (pipeline.node().check_logs().err(), pipeline.replayed());
        // A log that cannot be read is replayed no further.
        let is_stuck = matches!(fault, Some(LogError::Unreadable(_)));
        let applied = if is_stuck { replay.of } else { replay.applied };
        health.set_replayed(applied, replay.of, "entries");
        health.set_log_fault(fault.map(|fault| fault.to_string()));
        health.readiness()
    }

    fn is_stopping(&self) -> bool {
        self.parts.health.is_stopping()
    }

    fn event_time(&self) -> Option<TimestampMs> {
        self.parts.pipeline.node().clock()
    }

    fn metrics_text(&self) -> String {
        let mut text = self.parts.telemetry.encode();
        write_engine_metrics(&mut text, &self.parts.dispatch.reports());
        let cold = self
            .parts
            .cold
            .iter()
            .filter_map(|cold| cold.get().cloned());
        write_history_metrics(&mut text, &cold.collect::<Vec<_>>());
        write_checkpoint_metrics(&mut text, &self.parts.checkpoints);
        write_backfill_metrics(&mut text, &self.parts.backfill.views());
        let waiting = self.parts.pipeline.node().waiting();
        write_log_metrics(&mut text, &waiting, self.parts.options.clock.now());
        let counts = logs::counts(self.parts.log_files.as_ref());
        let is_writable = self.parts.pipeline.node().check_logs().is_ok();
        let replay = self.parts.pipeline.replayed();
        write_log_file_metrics(&mut text, &counts, is_writable, &replay);
        write_limit_metrics(&mut text, &self.limits_used(&waiting));
        text
    }

    fn receive_view(&self) -> ReceiveView {
        let reports = self.parts.dispatch.reports();
        let metrics = self.parts.pipeline.node().metrics();
        let seconds = (self.parts.options.clock.now() - self.started_at)
            .seconds()
            .max(1.0);
        let (_, series_unread) = metrics.n_series();
        let view = |(name, sender): (String, ingest::Sender)| SenderView {
            name,
            requests_total: sender.requests,
            samples_total: sender.samples,
            last_request: Some(sender.last_request),
            last_error: sender.last_error,
        };
        ReceiveView {
            samples_per_second: metrics.accepted() as f64 / seconds,
            samples_total: metrics.accepted(),
            samples_rejected_total: metrics.rejected(),
            series_read: reports.iter().map(|report| report.n_series).sum(),
            series_unread,
            frontier: reports.iter().filter_map(|report| report.frontier).min(),
            senders: metrics.senders().into_iter().map(view).collect(),
            ..ReceiveView::default()
        }
    }

    fn elections(&self) -> Vec<api::ElectionView> {
        let replicas = self.parts.pipeline.node().replicas();
        let elections = replicas.map(|replicas| replicas.elections());
        let view = |(cluster, election): (String, ingest::Election)| api::ElectionView {
            cluster,
            elected: election.elected,
            elected_at: election.elected_at,
            last_seen: election.last_seen,
            n_changes: election.n_changes,
            other: election.other,
        };
        elections
            .unwrap_or_default()
            .into_iter()
            .map(view)
            .collect()
    }

    fn backfills(&self) -> Vec<api::BackfillView> {
        self.parts.backfill.views()
    }

    fn context(
        &self,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'_, Result<Vec<ContextAnswer>, BackendError>> {
        self.ask_all(move |engine: &Engine| engine.context_of(fingerprint))
            .boxed()
    }

    fn tell_change(&self, change: Change) -> BoxFuture<'_, Result<(), BackendError>> {
        async move {
            let unwritable = |error: LogError| BackendError::Unwritable(error.to_string());
            let written = self.parts.pipeline.tell_change(Arc::new(change));
            written
                .map_err(unwritable)?
                .wait()
                .await
                .map_err(unwritable)
        }
        .boxed()
    }

    fn reset_detectors(
        &self,
        at: Option<TimestampMs>,
        rules: Vec<RuleKey>,
    ) -> BoxFuture<'_, Result<DetectorReset, BackendError>> {
        async move {
            let unwritable = |error: LogError| BackendError::Unwritable(error.to_string());
            let written = self.parts.pipeline.reset_detectors(at, rules);
            let (reset, commitment) = written.map_err(unwritable)?;
            commitment.wait().await.map_err(unwritable)?;
            let (at, rules) = (reset.at, reset.rules.len());
            info!(at = at.0, rules, "detectors learn anew");
            Ok(reset)
        }
        .boxed()
    }

    fn runtime_view(&self) -> RuntimeView {
        let loaded = self.loaded.read();
        RuntimeView {
            started_at: self.started_at,
            reload_succeeded: loaded.succeeded,
            config_loaded_at: loaded.at,
            retention: loaded.retention.clone(),
            log_corruptions: u64::from(logs::counts(self.parts.log_files.as_ref()).torn_bytes > 0),
            replay: {
                let replay = self.parts.pipeline.replayed();
                (0, replay.of, replay.applied)
            },
        }
    }
}
