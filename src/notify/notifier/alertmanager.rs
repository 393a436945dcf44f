//! Alertmanagers: every alert goes to every one that is discovered, as `POST /api/v2/alerts`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use crate::config::AlertmanagerConfig;
use crate::model::{Labels, TimestampMs};
use crate::notify::alert_receiver::{AlertReceiver, Annotations, Carried, serialize_labels};
use crate::notify::discovery::{self, Found};
use crate::notify::event::AlertUpdate;
use crate::notify::latency::Receiver;
use crate::notify::metrics::AlertmanagerLabel;
use crate::notify::notifier::{Notifier, World};
use crate::notify::outcome::Outcome;
use crate::notify::outgoing_labels::{generator_url, outgoing_labels};
use crate::notify::queue::{Book, Pauses, Push, Queue};
use crate::notify::schedule::{Outgoing, Schedule};
use crate::notify::wire_time::rfc3339_ms;
use crate::notify::{AlertmanagerView, NotifyConfig};

/// The pauses after failures: an alert must not wait long for an Alertmanager that restarts.
const PAUSES: Pauses = Pauses {
    min: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

/// All Alertmanagers.
#[derive(Default)]
pub struct Alertmanagers {
    sets: Vec<Arc<Mutex<AlertmanagerSet>>>,
}

/// Returns the kind without receivers.
pub fn new() -> Box<dyn Notifier> {
    Box::new(Alertmanagers::default())
}

/// The Alertmanagers of one block.
struct AlertmanagerSet {
    block: usize,
    block_config: AlertmanagerConfig,
    config: NotifyConfig,
    world: World,
    found: Vec<AlertmanagerView>,
    queues: BTreeMap<String, Arc<Queue<AlertBook>>>,
    discovery: Option<JoinHandle<()>>,
}

impl Notifier for Alertmanagers {
    fn name(&self) -> &'static str {
        "alertmanagers"
    }

    fn about(&self) -> &'static str {
        "Sends every alert to every Alertmanager, as Prometheus does"
    }

    fn example(&self) -> &'static str {
        "alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}"
    }

    fn reconfigure(&mut self, config: &NotifyConfig, world: &World) {
        let blocks = &config.alerting.alertmanagers;
        for removed in self.sets.drain(blocks.len().min(self.sets.len())..) {
            removed.lock().end();
        }
        for (block, block_config) in blocks.iter().enumerate() {
            match self.sets.get(block) {
                Some(set) => set.lock().reconfigure(block_config, config),
                None => {
                    let set = AlertmanagerSet {
                        block,
                        block_config: block_config.clone(),
                        config: config.clone(),
                        world: world.clone(),
                        found: Vec::new(),
                        queues: BTreeMap::new(),
                        discovery: None,
                    };
                    self.sets.push(Arc::new(Mutex::new(set)));
                }
            }
            discover(&self.sets[block]);
        }
    }

    fn alerts(&mut self, updates: &[AlertUpdate]) {
        for set in &self.sets {
            for queue in set.lock().queues.values() {
                queue.edit(|book, now| book.update(updates, now));
            }
        }
    }

    fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        let sets = self.sets.iter();
        sets.flat_map(|set| set.lock().found.clone()).collect()
    }

    fn drain(&mut self) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        for set in &self.sets {
            let mut set = set.lock();
            set.stop_discovery();
            tasks.extend(set.queues.values().filter_map(|queue| queue.drain()));
        }
        tasks
    }
}

/// Looks for the Alertmanagers of a set: static ones at once, others by a task.
fn discover(set: &Arc<Mutex<AlertmanagerSet>>) {
    let mut locked = set.lock();
    locked.stop_discovery();
    let sources = locked.block_config.discovery.clone();
    locked.sync(&discovery::static_groups(&sources));
    if discovery::is_static(&sources) {
        return;
    }
    let weak = Arc::downgrade(set);
    let sync = move |groups: Vec<Found>| {
        if let Some(set) = weak.upgrade() {
            set.lock().sync(&groups);
        }
    };
    locked.discovery = Some(locked.world.runtime.spawn(discovery::run(sources, sync)));
}

impl AlertmanagerSet {
    fn reconfigure(&mut self, block_config: &AlertmanagerConfig, config: &NotifyConfig) {
        let is_same = self.block_config == *block_config && self.config == *config;
        self.block_config = block_config.clone();
        self.config = config.clone();
        if is_same {
            return;
        }
        for (url, queue) in &self.queues {
            if let Some(push) = self.push(url) {
                queue.set_push(Box::new(push));
            }
            let (delay, waiting_max) = (config.resend_delay, config.queue_capacity);
            queue.edit(|book, _| {
                book.batch_size = config.batch_size;
                book.schedule.configure(delay, waiting_max);
                0
            });
        }
    }

    /// Returns what sends to an URL; discovery has seen to it that it is one.
    fn push(&self, url: &str) -> Option<AlertmanagerPush> {
        let block = &self.block_config;
        let receiver = AlertReceiver::new(
            Receiver::Alertmanager,
            label(url),
            url.to_owned(),
            Url::parse(url).ok()?,
            block.timeout.to_std(),
            &block.http,
            &self.world,
        );
        Some(AlertmanagerPush {
            receiver,
            block: block.clone(),
            config: self.config.clone(),
        })
    }

    /// Starts queues for Alertmanagers that are new and ends those of Alertmanagers that are gone.
    fn sync(&mut self, groups: &[Found]) {
        let found = discovery::resolve(groups, &self.block_config);
        for reason in &found.refused {
            warn!(reason, "discovered Alertmanager is not usable");
        }
        let gone: Vec<String> = self
            .queues
            .keys()
            .filter(|url| !found.active.contains(url))
            .cloned()
            .collect();
        gone.iter().for_each(|url| self.end_queue(url));
        for url in &found.active {
            if self.queues.contains_key(url) {
                continue;
            }
            let Some(push) = self.push(url) else {
                continue;
            };
            self.world.metrics.begin(&label(url));
            let mut schedule = Schedule::new(self.config.resend_delay, self.config.queue_capacity);
            let now = self.world.clock.now();
            for known in self.world.ledger.known_to(url) {
                schedule.recall(&known, now);
            }
            let book = AlertBook {
                schedule,
                batch_size: self.config.batch_size,
            };
            let queue = Queue::start(
                url.clone(),
                book,
                Box::new(push),
                PAUSES,
                Arc::clone(&self.world.clock),
                &self.world.runtime,
            );
            self.queues.insert(url.clone(), queue);
            self.world.metrics.discovered.inc();
        }
        let view = |url: &String, dropped| AlertmanagerView {
            url: url.clone(),
            dropped,
        };
        let active = found.active.iter().map(|url| view(url, false));
        let dropped = found.dropped.iter().map(|url| view(url, true));
        self.found = active.chain(dropped).collect();
    }

    fn end_queue(&mut self, url: &str) {
        if let Some(queue) = self.queues.remove(url) {
            queue.stop();
            self.world.ledger.end(url);
            self.world.metrics.end(&label(url));
            self.world.metrics.discovered.dec();
        }
    }

    fn stop_discovery(&mut self) {
        if let Some(task) = self.discovery.take() {
            task.abort();
        }
    }

    fn end(&mut self) {
        self.stop_discovery();
        let urls: Vec<String> = self.queues.keys().cloned().collect();
        urls.iter().for_each(|url| self.end_queue(url));
        tracing::info!(block = self.block, "block of Alertmanagers removed");
    }
}

fn label(url: &str) -> AlertmanagerLabel {
    AlertmanagerLabel {
        alertmanager: url.to_owned(),
    }
}

/// What waits for one Alertmanager.
struct AlertBook {
    schedule: Schedule,
    batch_size: usize,
}

impl AlertBook {
    fn update(&mut self, updates: &[AlertUpdate], now: TimestampMs) -> usize {
        let mut n_dropped = 0;
        for update in updates {
            match update {
                AlertUpdate::State(message) => {
                    n_dropped += self.schedule.state(Arc::clone(message), now);
                }
                AlertUpdate::Pending(labels) => self.schedule.pending(labels),
                AlertUpdate::Forget(labels) => self.schedule.forget(labels),
            }
        }
        n_dropped
    }
}

impl Book for AlertBook {
    type Batch = Vec<Outgoing>;

    fn take(&mut self, now: TimestampMs, is_draining: bool) -> Option<Vec<Outgoing>> {
        if is_draining {
            self.schedule.release();
        }
        let batch = self.schedule.take(now, self.batch_size);
        (!batch.is_empty()).then_some(batch)
    }

    fn sent(&mut self, batch: Vec<Outgoing>, sent_at: TimestampMs, now: TimestampMs) {
        self.schedule.sent(&batch, sent_at, now);
    }

    fn failed(&mut self, batch: Vec<Outgoing>, has_left: bool, _now: TimestampMs) {
        self.schedule.failed(&batch, has_left);
    }

    fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        self.schedule.next_due(now)
    }

    fn n_waiting(&self) -> usize {
        self.schedule.n_waiting()
    }
}

/// Sends to one Alertmanager.
struct AlertmanagerPush {
    receiver: AlertReceiver,
    block: AlertmanagerConfig,
    config: NotifyConfig,
}

impl Push<Vec<Outgoing>> for AlertmanagerPush {
    fn push<'a>(&'a self, batch: &'a Vec<Outgoing>, _at: TimestampMs) -> BoxFuture<'a, Outcome> {
        self.send(batch).boxed()
    }

    fn waiting(&self, n_waiting: usize) {
        self.receiver.set_waiting(n_waiting);
    }

    fn dropped(&self, n_dropped: usize) {
        self.receiver.add_dropped(n_dropped);
    }
}

impl AlertmanagerPush {
    async fn send(&self, batch: &[Outgoing]) -> Outcome {
        let alerts: Vec<PostableAlert> = batch
            .iter()
            .filter_map(|outgoing| postable(outgoing, &self.config, &self.block))
            .collect();
        if alerts.is_empty() {
            // Relabelling dropped them all.
            return Outcome::Delivered;
        }
        let news = batch.iter().filter(|outgoing| outgoing.is_new);
        let news: Vec<_> = news.map(|outgoing| Arc::clone(&outgoing.message)).collect();
        // That a state was sent again is not worth writing down every minute: after a start it is
        // sent again at once, so that it does not expire.
        let remembered = news.clone();
        let carried = Carried { news, remembered };
        self.receiver.post(&alerts, alerts.len(), carried).await
    }
}

/// An alert as the API takes it; empty-valued labels are left out, annotations when there are
/// none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert {
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
    ends_at: String,
    starts_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    #[serde(serialize_with = "serialize_labels")]
    labels: Labels,
}

/// Returns the alert to post, or `None` where relabelling drops it.
fn postable(
    outgoing: &Outgoing,
    config: &NotifyConfig,
    block: &AlertmanagerConfig,
) -> Option<PostableAlert> {
    let message = &outgoing.message;
    let steps = [
        config.alerting.alert_relabel_configs.as_slice(),
        block.alert_relabel_configs.as_slice(),
    ];
    Some(PostableAlert {
        labels: outgoing_labels(&message.labels, &config.external_labels, &steps)?,
        annotations: Annotations(Arc::clone(&message.annotations)),
        starts_at: rfc3339_ms(outgoing.starts_at),
        ends_at: rfc3339_ms(outgoing.ends_at),
        generator_url: generator_url(&config.external_url, &message.expr),
    })
}
