//! The wiring: starts everything, loads rules, stops in order.
//!
//! [`pipeline`] is the loop; read it first. Here is what surrounds it: configuration and rules
//! in ([`mod@load`]), HTTP in front, effects out ([`dispatch`]), questions answered ([`backend`]).

pub mod backend;
pub mod backfill;
#[cfg(test)]
mod checkpoint_crash_tests;
pub mod checkpoint_load;
mod checkpoint_pace;
pub mod checkpoints;
pub mod dispatch;
mod elections;
pub mod fatal;
pub mod frontier_hold;
pub mod health;
pub mod load;
pub mod logs;
pub mod metrics;
pub mod past_files;
pub mod pipeline;
pub mod replay;
pub mod shards;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::ingest::Node;
use crate::log::backend::file::StdFiles;
use crate::model::{Dialect, DurationMs};
use crate::notify::Notify;
use crate::notify::ledger::Ledger;
use crate::server::backend::{Parts, ServerBackend};
use crate::server::backfill::Backfill;
use crate::server::checkpoints::{CheckpointCounts, ShardStorage, SharedColdFiles};
use crate::server::dispatch::{Dispatch, Observer};
use crate::server::fatal::Fatal;
use crate::server::load::{Loaded, load};
use crate::server::logs::Logs;
use crate::server::past_files::PastFiles;
use crate::server::pipeline::{Pipeline, ShardStart};
use crate::server::shards::{Shards, Share};
use crate::storage::StorageLock;
use crate::telemetry::{BuildInfo, Telemetry};
use crate::web::{self, Web};

/// How often the sequencer looks whether the wall clock has to move event time.
const BEAT: Duration = Duration::from_millis(100);
/// How long requests that are under way may take at shutdown; connections are cut off then.
const REQUESTS_GRACE: Duration = Duration::from_secs(2);
/// How long notifications may take to leave at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// How to serve.
pub struct Options {
    /// Prometheus' own configuration file; without one the bundled rules are served.
    pub config_path: Option<PathBuf>,
    /// The file of our own settings, where they do not stand in the first.
    pub own_config_path: Option<PathBuf>,
    /// The data directory.
    pub storage_path: PathBuf,
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// The address under which people reach us; `None` derives it from the listener.
    pub external_url: Option<String>,
    /// Whether `POST /-/reload` and `/-/quit` work.
    pub lifecycle: bool,
    /// Whose dialect rule files may be written in.
    pub rules_dialect: Dialect,
    /// Names of `--enable-feature`.
    pub features: Vec<String>,
    /// `--web.config.file`: TLS and users, as Prometheus has them.
    pub web_config_path: Option<PathBuf>,
    /// Bounds of queries that go before those of the configuration.
    pub query: QueryFlags,
    /// `--web.cors.origin`; `None` allows every origin.
    pub cors_origin: Option<regex::Regex>,
    /// How often a firing alert is sent again.
    pub resend_delay: DurationMs,
    /// How many shards to run; `None` goes by the processors and the rules.
    pub shards: Option<usize>,
    /// Which share of the groups this process evaluates.
    pub share: Share,
    /// `(flag, value)` for `/api/v1/status/flags`.
    pub flags: Vec<(String, String)>,
    /// Sees every effect: the demo's display.
    pub observer: Option<Observer>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// Bounds of queries, under the names of Prometheus' flags.
#[derive(Clone, Debug, Default)]
pub struct QueryFlags {
    /// `--query.timeout`
    pub timeout: Option<DurationMs>,
    /// `--query.max-concurrency`
    pub max_concurrency: Option<usize>,
    /// `--query.max-samples`; rules are bound by it, too.
    pub max_samples: Option<usize>,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    backend: Arc<ServerBackend>,
    fatal: Arc<Fatal>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// The data directory is ours as long.
    lock: StorageLock,
}

impl Server {
    /// Starts everything; returns once requests are answered.
    pub async fn start(mut options: Options) -> anyhow::Result<Server> {
        let observer = options.observer.take();
        std::fs::create_dir_all(&options.storage_path).with_context(|| {
            format!(
                "cannot make the data directory {}",
                options.storage_path.display()
            )
        })?;
        let lock = StorageLock::take(&options.storage_path, &holder())?;
        let listener = TcpListener::bind(&options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let speaks_tls = match &options.web_config_path {
            Some(path) => web::speaks_tls(path).map_err(anyhow::Error::msg)?,
            None => false,
        };
        let scheme = if speaks_tls { "https" } else { "http" };
        let external_url = options
            .external_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{address}"));
        let loaded = load(&options, &external_url)?;
        let access = &loaded.config.burnwatch.access;
        let web = Web::new(options.web_config_path.clone(), access);
        let web = Arc::new(web.map_err(anyhow::Error::msg)?);
        let bounds = loaded.bounds();
        warn_if_open(&address, &web);

        let clock = Arc::clone(&options.clock);
        let build = BuildInfo::of_package();
        let queries = loaded.query_settings(&options);
        let telemetry = Arc::new(Telemetry::new(&build, clock.now(), queries.concurrency_max));
        let settings = loaded.node_settings();
        let (shards, logs) = open_logs(&options, &loaded)?;
        let (mut cold, mut starts) = (Vec::<SharedColdFiles>::new(), Vec::new());
        let checkpoints = Arc::new(CheckpointCounts::default());
        let is_kept = logs.files.is_some();
        let past = PastFiles::open(&options.storage_path, logs.logs.len(), is_kept);
        let past = Arc::new(past);
        for (shard, (tail, log)) in logs.tails.into_iter().zip(&logs.logs).enumerate() {
            let of_shard = SharedColdFiles::default();
            cold.push(Arc::clone(&of_shard));
            let storage = ShardStorage {
                storage: options.storage_path.clone(),
                files: Arc::new(StdFiles),
                shard,
                log: is_kept.then(|| Arc::clone(log)),
                cold: of_shard,
                past: Arc::clone(&past),
                counts: Arc::clone(&checkpoints),
                clock: Arc::clone(&clock),
                begins_early: loaded.config.burnwatch.checkpoint_interval > DurationMs(0),
            };
            starts.push(ShardStart {
                storage,
                open_tail: tail.open,
                first: tail.first,
                end: tail.end,
            });
        }
        telemetry.register(|registry| web.metrics().register(registry));
        let node = Node::new(logs.logs, settings, hash_seed());
        node.resume(logs.left.stamp, &logs.left.next_handles);
        telemetry.register(|registry| node.metrics().register(registry));
        if let Some(replicas) = node.replicas() {
            telemetry.register(|registry| replicas.register(registry));
        }
        elections::restore(&node, &options.storage_path, clock.now());
        let keeping = (Arc::clone(&node), options.storage_path.clone());
        let config = loaded.notify_config(&options, &external_url);
        let ledger = Ledger::open(&options.storage_path.join("notify"))?;
        let mut notify = None;
        let arrivals = Arc::clone(node.arrivals());
        telemetry.register(|registry| {
            notify = Some(Notify::start(
                config,
                Arc::clone(&clock),
                arrivals,
                ledger,
                registry,
            ));
        });
        let notify = notify.context("the registry was asked above")??;
        for summary in notify.summaries() {
            telemetry.register_summary(&summary);
        }
        let seed_before = Arc::new(AtomicI64::new(i64::MAX));
        let dispatch = Arc::new(Dispatch::new(
            shards.n_shards(),
            Arc::clone(&notify),
            Arc::clone(&seed_before),
            observer,
            Arc::clone(&telemetry),
        ));
        let (stop, stopped) = watch::channel(false);
        let fatal = Arc::new(Fatal::new(stop.clone()));
        let told = (Arc::clone(&dispatch), Arc::clone(&fatal));
        let pipeline = Pipeline::start(node, starts, Arc::clone(&past), clock, told.0, told.1)?;
        let backfill = Backfill::new(past, Arc::clone(&options.clock));
        let backend = ServerBackend::new(Parts {
            options,
            backfill: Arc::clone(&backfill),
            external_url,
            pipeline: Arc::clone(&pipeline),
            generation: logs.left.generation,
            rules_left: logs.left.rules,
            checkpoints,
            log_files: logs.files,
            notify,
            dispatch,
            shards: parking_lot::Mutex::new(shards),
            seed_before,
            telemetry,
            health: Arc::default(),
            cold,
            stop: stop.clone(),
            web: Arc::clone(&web),
        });
        let app = backend.router(queries, build);
        backend.adopt(loaded)?;
        let mut tasks = vec![tokio::spawn(beat(Arc::clone(&pipeline), stopped.clone()))];
        let (node, storage) = keeping;
        tasks.push(tokio::spawn(elections::keep(
            node,
            storage,
            stopped.clone(),
        )));
        let interval = backend.checkpoint_interval();
        if is_kept && interval > Duration::ZERO {
            let writing = checkpoint(Arc::clone(&pipeline), interval, stopped.clone());
            tasks.push(tokio::spawn(writing));
        }
        tasks.push(tokio::spawn(backfill.run(pipeline, stopped.clone())));
        tasks.push(tokio::spawn(web::serve(
            listener, web, bounds, app, stopped,
        )));
        info!(%address, "burnwatch is receiving; POST remote write to /api/v1/write");
        Ok(Server {
            address,
            stop,
            backend,
            fatal,
            tasks,
            lock,
        })
    }

    /// Returns the address that requests go to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what answers questions; for commands that run a server in their own process.
    pub fn backend(&self) -> &Arc<ServerBackend> {
        &self.backend
    }

    /// Asks the server to stop.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }

    /// Waits until somebody asks for a stop, then stops in order: no more requests, the logs
    /// are applied to their end, notifications leave. An error is what it could not go on with.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut stopped = self.stop.subscribe();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        self.backend.set_stopping();
        let aborts: Vec<_> = self.tasks.iter().map(|task| task.abort_handle()).collect();
        let all = futures::future::join_all(self.tasks);
        if tokio::time::timeout(REQUESTS_GRACE, all).await.is_err() {
            warn!(grace = ?REQUESTS_GRACE, "connections are still open and are cut off");
            aborts.iter().for_each(|task| task.abort());
        }
        self.backend.shut_down(DRAIN).await;
        drop(self.lock);
        info!("stopped");
        self.fatal.outcome()
    }
}

/// Opens the logs, with as many shards as the rules can use or have left a log.
fn open_logs(options: &Options, loaded: &Loaded) -> anyhow::Result<(Shards, Logs)> {
    let mut shards = Shards::new(loaded, options.share, options.shards);
    let n_left = logs::n_shards_left(&options.storage_path, &loaded.config);
    if n_left > shards.n_shards() {
        warn!(
            shards = n_left,
            wanted = shards.n_shards(),
            "as many shards run as before: the data directory holds what is theirs"
        );
    }
    shards.keep(n_left);
    let logs = logs::open(&options.storage_path, &loaded.config, shards.n_shards())?;
    shards.resume(&logs.left.rules, loaded);
    Ok((shards, logs))
}

/// What the lock of the data directory says of us.
fn holder() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("burnwatch {version}, process {}", std::process::id())
}

/// Has checkpoints written every so often.
async fn checkpoint(
    pipeline: Arc<Pipeline>,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first is at once, when there is nothing new to write.
    interval.tick().await;
    loop {
        tokio::select! {
            _ = interval.tick() => pipeline.checkpoint(),
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

async fn beat(pipeline: Arc<Pipeline>, mut stopped: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(BEAT);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => pipeline.beat(),
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

fn warn_if_open(address: &SocketAddr, web: &Web) {
    if address.ip().is_loopback() {
        return;
    }
    let current = web.current();
    if !current.people.are_asked() && !current.asks_for_certificates {
        warn!(
            %address,
            "anyone who reaches this address can write samples and read alerts; set users or \
             tokens (docs/SECURITY.md), or listen on 127.0.0.1"
        );
    } else if current.tls.is_none() {
        warn!(%address, "passwords and tokens cross the network in the clear; set TLS");
    }
}

/// Series hashes are keyed, so that nobody can make label sets that collide.
fn hash_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("series")
}
