//! Effects to the world: alerts to Alertmanagers and webhooks, recorded samples by remote write.
//!
//! Engines say what is true, for how long, and never wait ([`Notify::deliver`]). When something
//! is sent is decided here, by the wall clock, in pure state machines ([`schedule`],
//! [`grouping`]); every receiver has a queue and a task of its own ([`queue`]).
//!
//! What may not live here: anything that decides whether an alert fires.

mod alert_receiver;
pub mod backoff;
pub mod departure;
pub mod discovery;
pub mod event;
pub mod grouping;
pub mod http_client;

mod latency;
pub mod ledger;
pub mod metrics;
pub mod notifier;
mod oauth2;
pub mod outcome;
pub mod outgoing_labels;
pub mod queue;
pub mod remote_body;
pub mod sample_queue;
pub mod schedule;
pub mod wire_time;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::config::{Alerting, Config, RemoteWriteConfig, WebhookConfig};
use crate::model::{AlertMessage, DurationMs, Labels};
use crate::notify::event::AlertUpdate;
use crate::notify::ledger::Ledger;
use crate::notify::metrics::NotifyMetrics;
use crate::notify::notifier::{ALL, Notifier, World};
use crate::telemetry::Summary;

pub use event::{AlertEvent, RecordedSample};

/// How often it is looked what the ledger need not hold any more.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// An Alertmanager's push URL and whether relabelling dropped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerView {
    /// The full push URL.
    pub url: String,
    /// `true` when removed by `relabel_configs`.
    pub dropped: bool,
}

/// What to notify of and whom.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyConfig {
    /// The Alertmanagers.
    pub alerting: Alerting,
    /// Labels that alerts get where they lack them.
    pub external_labels: Labels,
    /// The address under which people reach us.
    pub external_url: String,
    /// The webhooks.
    pub webhooks: Vec<WebhookConfig>,
    /// The receivers of recorded samples.
    pub write_back: Vec<RemoteWriteConfig>,
    /// How often a firing alert is sent again.
    pub resend_delay: DurationMs,
    /// The most alerts that wait for one receiver.
    pub queue_capacity: usize,
    /// The most alerts of one request to an Alertmanager.
    pub batch_size: usize,
}

impl NotifyConfig {
    /// The most alerts of one request to an Alertmanager unless set otherwise, as in Prometheus.
    pub const BATCH_SIZE: usize = 256;

    /// Takes what concerns notifying out of a configuration.
    pub fn new(config: &Config, external_url: &str, resend_delay: DurationMs) -> Self {
        NotifyConfig {
            alerting: config.alerting.clone(),
            external_labels: config.alert_labels(),
            external_url: external_url.to_owned(),
            webhooks: config.burnwatch.webhooks.clone(),
            write_back: config.burnwatch.write_back.clone(),
            resend_delay,
            queue_capacity: config.burnwatch.limits.notification_queue,
            batch_size: Self::BATCH_SIZE,
        }
    }
}

/// Everybody who is told of something.
pub struct Notify {
    notifiers: Mutex<Vec<Box<dyn Notifier>>>,
    world: World,
    tidying: Mutex<Option<JoinHandle<()>>>,
}

/// Why notifying cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Called outside a tokio runtime, in which the receivers' tasks run.
    #[error("notifying needs a tokio runtime to run its tasks in")]
    NoRuntime,
}

impl Notify {
    /// Starts a task for every receiver in the current tokio runtime, and registers the metrics.
    /// Latencies are measured from `arrivals`. What `ledger` remembers of an earlier process is
    /// taken up at once, as far as it is certain; [`Notify::resume`] settles the rest.
    pub fn start(
        config: NotifyConfig,
        clock: Arc<dyn Clock>,
        arrivals: Arc<Arrivals>,
        ledger: Ledger,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, NotifyError> {
        ledger.register(registry);
        let world = World {
            clock,
            arrivals,
            metrics: NotifyMetrics::register(registry),
            runtime: Handle::try_current().map_err(|_| NotifyError::NoRuntime)?,
            ledger: Arc::new(ledger),
        };
        let tidying = world.runtime.spawn(tidy(world.clone()));
        let notify = Notify {
            notifiers: Mutex::new(ALL.iter().map(|build| build()).collect()),
            world,
            tidying: Mutex::new(Some(tidying)),
        };
        notify.apply(&config);
        Ok(Arc::new(notify))
    }

    /// Says what the engines know at the end of a start: the newest event of each alert that they
    /// found in what was replayed ([`newest_of_each`]), and all alerts that fire now. What is
    /// remembered as firing and does not fire any more is forgotten, and receivers let it expire;
    /// what they were told already is not news. Of an alert that was spoken of since the start,
    /// because its shard was done earlier, that is the newest.
    pub fn resume(&self, found: Vec<AlertEvent>, firing: Vec<AlertMessage>) {
        let is_final = |event: &&AlertEvent| !matches!(event, AlertEvent::Pending(_));
        let spoken_of = found.iter().filter(is_final).map(AlertEvent::labels);
        let spoken_of = spoken_of.chain(firing.iter().map(|message| &message.labels));
        let spoken_of: HashSet<Labels> = spoken_of.cloned().collect();
        // The end of what a receiver never heard of must not be news to it now.
        let ledger = &self.world.ledger;
        let is_news = |event: &AlertEvent| match event {
            _ if ledger.is_confirmed(event.labels()) => false,
            AlertEvent::State(message) => !ledger.is_known_end(message),
            AlertEvent::Pending(_) | AlertEvent::Forget(_) => true,
        };
        let mut gone = self.world.ledger.unconfirmed();
        gone.retain(|labels| !spoken_of.contains(labels));
        let is_newest = |message: &AlertMessage| !ledger.is_confirmed(&message.labels);
        let firing = firing.into_iter().filter(is_newest).map(|message| {
            AlertEvent::State(AlertMessage {
                backlog: true,
                ..message
            })
        });
        let gone = gone.into_iter().map(AlertEvent::Forget);
        let found: Vec<AlertEvent> = found.into_iter().filter(is_news).collect();
        self.deliver(gone.chain(found).chain(firing).collect());
    }

    /// Changes whom is told what; what waits for a receiver that stays is kept. An error is not
    /// possible today: everything that can be wrong is found when the configuration is read.
    pub fn reconfigure(&self, config: NotifyConfig) -> Result<(), NotifyError> {
        self.apply(&config);
        Ok(())
    }

    fn apply(&self, config: &NotifyConfig) {
        let capacity = i64::try_from(config.queue_capacity).unwrap_or(i64::MAX);
        self.world.metrics.queue_capacity.set(capacity);
        self.world.ledger.set_resolved_max(config.queue_capacity);
        for notifier in &mut *self.notifiers.lock() {
            notifier.reconfigure(config, &self.world);
        }
    }

    /// Hands over what the engines say of alerts. Never waits; sending begins at once.
    pub fn deliver(&self, events: Vec<AlertEvent>) {
        let updates: Vec<AlertUpdate> = events.into_iter().map(AlertUpdate::from).collect();
        let mut notifiers = self.notifiers.lock();
        self.world.ledger.note(&updates, self.world.clock.now());
        for notifier in &mut *notifiers {
            notifier.alerts(&updates);
        }
    }

    /// Hands over samples that rules wrote. Never waits.
    pub fn write_back(&self, samples: Vec<RecordedSample>) {
        for notifier in &mut *self.notifiers.lock() {
            notifier.samples(&samples);
        }
    }

    /// Returns the Alertmanagers, those that relabelling dropped among them.
    pub fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        let notifiers = self.notifiers.lock();
        let found = notifiers
            .iter()
            .flat_map(|notifier| notifier.alertmanagers());
        found.collect()
    }

    /// Returns the summaries among the metrics, for whoever writes the exposition.
    pub fn summaries(&self) -> Vec<Summary> {
        self.world.metrics.summaries()
    }

    /// Sends what waits, for at most `timeout`, and ends all tasks.
    pub async fn drain(&self, timeout: Duration) {
        let tasks: Vec<_> = {
            let mut notifiers = self.notifiers.lock();
            notifiers
                .iter_mut()
                .flat_map(|notifier| notifier.drain())
                .collect()
        };
        if let Some(tidying) = self.tidying.lock().take() {
            tidying.abort();
        }
        let aborts: Vec<_> = tasks.iter().map(|task| task.abort_handle()).collect();
        let all = futures::future::join_all(tasks);
        if tokio::time::timeout(timeout, all).await.is_err() {
            warn!(
                ?timeout,
                "not all notifications left in time, the rest is dropped"
            );
            aborts.iter().for_each(|task| task.abort());
        }
    }
}

/// Returns of each alert the newest of its events, in the order in which those came: what is worth
/// saying of a replay.
pub fn newest_of_each(events: impl IntoIterator<Item = AlertEvent>) -> Vec<AlertEvent> {
    let mut newest: HashMap<Labels, (usize, AlertEvent)> = HashMap::new();
    for (order, event) in events.into_iter().enumerate() {
        // That it is pending again does not undo what came before and may still be untold.
        if let AlertEvent::Pending(labels) = &event
            && newest.contains_key(labels)
        {
            continue;
        }
        newest.insert(event.labels().clone(), (order, event));
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_by_key(|(order, _)| *order);
    newest.into_iter().map(|(_, event)| event).collect()
}

async fn tidy(world: World) {
    let mut interval = tokio::time::interval(TIDY_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (ledger, now) = (Arc::clone(&world.ledger), world.clock.now());
        // It may wait for the disk. It only fails when the runtime is ending.
        let _ = tokio::task::spawn_blocking(move || ledger.tidy(now)).await;
    }
}
