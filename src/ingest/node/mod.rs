//! One node's front door: the only place where samples enter logs.
//!
//! Decoding and routing need no lock and are done by the caller's thread. Then one short lock
//! makes the rest one step for the whole node: new series get their handles, samples are judged
//! as Prometheus judges them, the request is stamped and appended to every log concerned, or to
//! none. A rule set is adopted under the same lock, so a request is wholly before or after it; a
//! request that was routed before is routed anew.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::StatusCode;
use parking_lot::Mutex;

use crate::arrivals::Arrivals;
use crate::clock::Stopwatch;
use crate::ingest::answer::{Promised, Refusal, WriteAnswer, Written};
use crate::ingest::census::census;
use crate::ingest::collect::{Collected, Collector, Rules};
use crate::ingest::commit::{Commit, Writer};
use crate::ingest::decode::wire::DecodeError;
use crate::ingest::decode::{DecodeBuffers, HashKey, name_series, snappy, v1, v2};
use crate::ingest::fair_share::{InFlight, InFlightRequests};
use crate::ingest::limits::Limits;
use crate::ingest::metadata::MetadataStore;
use crate::ingest::metrics::IngestMetrics;
use crate::ingest::quota::Quotas;
use crate::ingest::received::{Buffers, Protocol, Received};
use crate::ingest::replica::{ReplicaSettings, Replicas, Verdict, replica_of};
use crate::ingest::route::{ReadSet, Routing, ShardId};
use crate::ingest::sender::SenderShare;
use crate::ingest::series_owners::SenderNumber;
use crate::log::{Commitment, Log, LogError, Waiting};
use crate::model::{DurationMs, Entry, Stamp, TimestampMs};

/// What a node is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// The bounds.
    pub limits: Limits,
    /// After how long a silence the clock follows the wall clock, and how far behind it; also
    /// the longest leap that needs no second evidence.
    pub idle_timeout: DurationMs,
    /// The same silence in a backlog or before the first sample.
    pub backlog_timeout: DurationMs,
    /// How far behind the node's newest sample one may be older than its series' newest.
    pub out_of_order_time_window: DurationMs,
    /// How replicas that send the same are told apart; `None` takes all samples alike.
    pub replicas: Option<ReplicaSettings>,
}

impl Default for NodeSettings {
    fn default() -> Self {
        NodeSettings {
            limits: Limits::default(),
            idle_timeout: DurationMs::from_seconds(60),
            backlog_timeout: DurationMs::from_seconds(300),
            out_of_order_time_window: DurationMs::ZERO,
            replicas: None,
        }
    }
}

/// Sets of buffers kept for the next requests.
const BUFFERS_MAX: usize = 16;
/// A set of buffers larger than this is freed instead of kept.
const BUFFER_BYTES_MAX: usize = 16 << 20;
/// Series silent for longer are forgotten by the writer; coming back, they get a new handle.
const SERIES_SILENT: DurationMs = DurationMs::from_seconds(2 * 3600);
/// Sweep of the route table: one part every so often, so that all 64 take ten minutes.
const SWEEP_EVERY: DurationMs = DurationMs(10 * 60 * 1000 / 64);
/// Sweeps that an entry survives without being looked up: an hour's.
const SWEEPS_KEPT: u64 = 6;

/// What the lock guards beside the writer.
pub(in crate::ingest) struct Locked {
    pub writer: Writer,
    last_sweep: TimestampMs,
    next_part: usize,
}

/// The node.
pub struct Node {
    logs: Vec<Arc<dyn Log>>,
    settings: NodeSettings,
    pub(in crate::ingest) key: HashKey,
    routing: ArcSwap<Routing>,
    /// Grows whenever routes found before may no longer be used.
    version: AtomicU64,
    pub(in crate::ingest) locked: Mutex<Locked>,
    buffers: Mutex<Vec<Buffers>>,
    metadata: MetadataStore,
    metrics: IngestMetrics,
    arrivals: Arc<Arrivals>,
    stopping: AtomicBool,
    in_flight: InFlightRequests,
    quotas: Quotas,
    /// What quotas count time from.
    running: Stopwatch,
    replicas: Option<Replicas>,
}

impl Node {
    /// Returns a node over the shards' logs, `ShardId(0)` first. It reads nothing until
    /// [`Node::adopt`]. `seed` keys its hashes and should be random where senders are not
    /// trusted; nothing that enters a log depends on it.
    pub fn new(logs: Vec<Arc<dyn Log>>, settings: NodeSettings, seed: u64) -> Arc<Node> {
        let n_shards = u16::try_from(logs.len()).expect("fewer than 65,536 shards");
        Arc::new(Node {
            key: HashKey::new(seed),
            routing: ArcSwap::from_pointee(Routing::new(ReadSet::default(), n_shards)),
            version: AtomicU64::new(0),
            locked: Mutex::new(Locked {
                writer: Writer::new(logs.len(), &settings),
                last_sweep: TimestampMs(0),
                next_part: 0,
            }),
            buffers: Mutex::new(Vec::new()),
            metadata: MetadataStore::new(settings.limits.metadata),
            metrics: IngestMetrics::default(),
            arrivals: Arc::default(),
            stopping: AtomicBool::new(false),
            in_flight: InFlightRequests::new(
                settings.limits.requests_in_flight,
                settings.limits.in_flight_bytes,
            ),
            quotas: Quotas::new(settings.limits.per_sender.clone()),
            running: Stopwatch::start(),
            replicas: settings.replicas.clone().map(Replicas::new),
            logs,
            settings,
        })
    }

    /// Begins a request, whose body is yet to be read. `Err` is the answer where too many are
    /// under way, or the sender has sent more than its quota.
    pub fn begin(&self, sender: &str) -> Result<InFlight, WriteAnswer> {
        if let Err(seconds) = self.quotas.check(sender, self.running.elapsed()) {
            let limit = self.settings.limits.per_sender.samples_per_second;
            return Err(WriteAnswer::over_quota(limit, seconds));
        }
        let begun = self.in_flight.begin(self.share_of(sender));
        begun.ok_or_else(|| {
            let text = "too many requests are under way; come again\n";
            WriteAnswer::unavailable(Refusal::InFlight, text)
        })
    }

    /// Returns the share of a sender, which its requests are to be marked with.
    pub fn share_of(&self, sender: &str) -> SenderShare {
        SenderShare::of(sender, &self.key)
    }

    /// Counts what a request held against its sender's quota.
    pub fn charge(&self, sender: &str, n_received: u64) {
        let now = self.running.elapsed();
        self.quotas.charge(sender, n_received, now);
    }

    /// Returns the requests under way.
    pub fn in_flight(&self) -> &InFlightRequests {
        &self.in_flight
    }

    /// **Receive.** Takes `body` off the wire, where it lies under snappy. `Err` is the answer to
    /// a request that ends here: too large, undecodable, of a replica that is not listened to, or
    /// answered before; of the last one the logs may yet have to be waited for.
    pub fn receive(
        &self,
        body: &[u8],
        protocol: Protocol,
        wall: TimestampMs,
    ) -> Result<Received, Promised> {
        if self.stopping.load(Ordering::Acquire) {
            let text = "the server is stopping\n";
            return Err(WriteAnswer::unavailable(Refusal::Stopping, text).into());
        }
        let body_hash = self.key.hash(body) ^ (protocol as u128);
        if let Some(answer) = self.locked.lock().writer.recent.get(body_hash) {
            self.metrics.add_repeated();
            return Err(self.promised(answer.clone()));
        }
        let mut buffers = self.buffers.lock().pop().unwrap_or_default();
        let limit = self.settings.limits.request_decoded_bytes;
        match snappy::decompress(body, limit, &mut buffers.body).map(<[u8]>::len) {
            Ok(plain_bytes) => self.of_elected(Received {
                buffers,
                plain_bytes,
                body_hash,
                protocol,
                wall,
                began: Stopwatch::start(),
                sender: SenderShare::default(),
                brought_by: SenderNumber::default(),
                replica: None,
                routed: None,
            }),
            Err(error) => {
                self.give_back(buffers);
                Err(WriteAnswer::undecodable(&error).into())
            }
        }
    }

    /// Lets a request pass unless another replica of its cluster is listened to.
    fn of_elected(&self, mut received: Received) -> Result<Received, Promised> {
        let Some(replicas) = &self.replicas else {
            return Ok(received);
        };
        let (protocol, wall) = (received.protocol, received.wall);
        let Buffers { body, decode, .. } = &mut received.buffers;
        let plain = &body[..received.plain_bytes];
        let items_max = self.settings.limits.request_items;
        let judged = replica_of(plain, protocol, decode, items_max, replicas.settings());
        let answer = match judged {
            Ok(None) => {
                replicas.add_of_none();
                return Ok(received);
            }
            Ok(Some(from)) => {
                // A body that cannot be decoded brings nothing.
                let mut newest = || census(plain, protocol, decode, items_max).ok()?.newest;
                match replicas.judge(&from, wall, &mut newest) {
                    Verdict::Taken => {
                        received.replica = Some(from);
                        return Ok(received);
                    }
                    Verdict::Dropped => match census(plain, protocol, decode, items_max) {
                        Ok(census) => {
                            let held = census.held;
                            replicas.add_dropped(&from, held.samples + held.histograms);
                            WriteAnswer::deduplicated(held)
                        }
                        Err(error) => WriteAnswer::undecodable(&error),
                    },
                    Verdict::TooManyClusters => {
                        let limit = replicas.settings().clusters_max;
                        let text = format!(
                            "{limit} HA clusters send already, and {:?} is one more (limits: \
                             ha_clusters)\n",
                            from.cluster
                        );
                        WriteAnswer::refused(StatusCode::BAD_REQUEST, text)
                    }
                }
            }
            Err(error) => WriteAnswer::undecodable(&error),
        };
        self.give_back(received.buffers);
        Err(answer.into())
    }

    /// Returns who is listened to, where replicas are told apart.
    pub fn replicas(&self) -> Option<&Replicas> {
        self.replicas.as_ref()
    }

    /// **Route.** Finds for each series the shards that read it; takes no lock. `Err` is the
    /// answer to a request that cannot be decoded.
    pub fn route(&self, received: &mut Received) -> Result<(), WriteAnswer> {
        let version = self.version.load(Ordering::Acquire);
        let routing = self.routing.load_full();
        let Received { protocol, wall, .. } = *received;
        let Buffers {
            body,
            decode,
            collected,
        } = &mut received.buffers;
        let plain = &body[..received.plain_bytes];
        if let Err(error) = self.collect(plain, protocol, wall, &routing, decode, collected) {
            self.give_back(std::mem::take(&mut received.buffers));
            return Err(WriteAnswer::undecodable(&error));
        }
        received.routed = Some((version, routing));
        Ok(())
    }

    /// **Log.** Judges the samples, stamps the request and appends it to the logs of all shards
    /// concerned, or to none; never waits for an engine, nor for a disk: that is left to who
    /// answers. `None` when the rules have changed since it was routed: it is to be routed anew.
    pub fn append(&self, received: &mut Received) -> Option<Promised> {
        let (version, routing) = received.routed.take()?;
        let mut locked = self.locked.lock();
        if self.version.load(Ordering::Acquire) != version {
            return None;
        }
        let body_hash = received.body_hash;
        if let Some(answer) = locked.writer.recent.get(body_hash) {
            self.metrics.add_repeated();
            return Some(self.promised(answer.clone()));
        }
        let Buffers {
            body,
            decode,
            collected,
        } = &mut received.buffers;
        let begins = locked.writer.sequencer.clock().is_none();
        let plain = &body[..received.plain_bytes];
        // The body was found well-formed before, within the limits.
        let census = || census(plain, received.protocol, decode, usize::MAX).ok();
        let oldest = begins
            .then(census)
            .flatten()
            .and_then(|census| census.oldest);
        let commit = Commit {
            logs: &self.logs,
            settings: &self.settings,
            routing: &routing,
            wall: received.wall,
            began: received.began,
            arrivals: &self.arrivals,
            oldest,
            sender: received.sender,
            brought_by: received.brought_by,
        };
        let written = match locked.writer.commit(&commit, collected) {
            Ok(written) => written,
            Err(unwritten) => {
                let text = format!("{unwritten}\n");
                return Some(WriteAnswer::unavailable(unwritten.refusal(), &text).into());
            }
        };
        let mut answer = answer(written, collected);
        // The same body of another sender is another matter where it was too much for this one.
        let is_for_all = !collected.rejections.are_of_sender();
        if is_for_all {
            locked.writer.recent.insert(body_hash, answer.clone());
        }
        drop(locked);
        // Also where nothing was appended: what the request repeats may not be written yet.
        let commitment = self.commitment();
        if let Some((replicas, from)) = self.replicas.as_ref().zip(received.replica.as_ref())
            && let Some(newest) = answer.newest
        {
            replicas.took(from, newest, received.wall);
        }
        self.count(&written, collected);
        if !collected.rejections.is_empty() {
            // Looking the series up takes as long as decoding: not under the lock.
            let unnamed = collected.rejections.unnamed();
            let plain = &body[..received.plain_bytes];
            name_series(
                plain,
                received.protocol,
                &unnamed,
                decode,
                |ordinal, labels| {
                    collected.rejections.name(ordinal, &labels.shown());
                },
            );
            answer.text = Arc::from(collected.rejections.to_string());
            if is_for_all {
                let mut locked = self.locked.lock();
                locked.writer.recent.insert(body_hash, answer.clone());
            }
        }
        self.give_back(std::mem::take(&mut received.buffers));
        Some(Promised { answer, commitment })
    }

    fn promised(&self, answer: WriteAnswer) -> Promised {
        let commitment = self.commitment();
        Promised { answer, commitment }
    }

    /// Returns the promise that all logs have what was appended so far.
    pub fn commitment(&self) -> Commitment {
        let commitments = self.logs.iter().map(|log| log.commitment());
        commitments.fold(Commitment::default(), Commitment::and)
    }

    /// Tells why nothing can be written now, if so.
    pub fn check_logs(&self) -> Result<(), LogError> {
        self.logs.iter().try_for_each(|log| log.check())
    }

    /// Returns the shards' logs.
    pub fn logs(&self) -> &[Arc<dyn Log>] {
        &self.logs
    }

    /// Goes on where an earlier process stopped: stamps follow on its newest, and the series of
    /// each shard are given numbers from there on. Before anything is received.
    pub fn resume(&self, newest: Option<Stamp>, next_handles: &[u32]) {
        let mut locked = self.locked.lock();
        if let Some(stamp) = newest {
            locked.writer.sequencer.resume(stamp);
        }
        locked.writer.series.resume(next_handles);
    }

    fn collect(
        &self,
        plain: &[u8],
        protocol: Protocol,
        wall: TimestampMs,
        routing: &Routing,
        decode: &mut DecodeBuffers,
        collected: &mut Collected,
    ) -> Result<(), DecodeError> {
        for resolve_seedable in [false, true] {
            collected.clear();
            decode.begin(self.settings.limits.request_items);
            let is_v2 = protocol == Protocol::V2;
            let rules = Rules {
                routing,
                limits: &self.settings.limits,
                key: &self.key,
                metadata: &self.metadata,
                wall,
                samples_required: is_v2,
                exemplars_in_order: is_v2,
                replicas: self.settings.replicas.as_ref(),
                resolve_seedable,
            };
            let mut collector = Collector::new(rules, collected);
            match protocol {
                Protocol::V1 => v1::decode(plain, &self.key, decode, &mut collector)?,
                Protocol::V2 => v2::decode(plain, &self.key, decode, &mut collector)?,
            }
            if !collected.seed_missed {
                break;
            }
        }
        Ok(())
    }

    fn count(&self, written: &Written, collected: &Collected) {
        self.metrics
            .add_accepted(written.samples + written.histograms);
        self.metrics
            .add_unread(collected.unread_floats + collected.unread_histograms);
        self.metrics
            .add_recorded(collected.recorded_floats + collected.recorded_histograms);
        for refused in collected.rejections.iter() {
            self.metrics.add_rejected(refused.reason, refused.n_samples);
        }
    }

    fn give_back(&self, buffers: Buffers) {
        let mut kept = self.buffers.lock();
        if kept.len() < BUFFERS_MAX && buffers.heap_bytes() <= BUFFER_BYTES_MAX {
            kept.push(buffers);
        }
    }

    /// Puts a rule set into force: one entry, made by `make_entry`, goes to every shard's log,
    /// and what is accepted from then on is routed by `read_set`.
    pub fn adopt(
        &self,
        read_set: ReadSet,
        make_entry: &mut dyn FnMut(ShardId, Stamp) -> Entry,
        wall: TimestampMs,
    ) -> Result<(), LogError> {
        let n_shards = self.logs.len() as u16;
        let settle = read_set.settle;
        let routing = Arc::new(Routing::new(read_set, n_shards));
        let mut locked = self.locked.lock();
        locked.writer.sequencer.set_settle(settle);
        let stamp = locked.writer.sequencer.stamp_only(wall);
        for (shard, log) in (0..n_shards).zip(&self.logs) {
            log.append(make_entry(ShardId(shard), stamp))?;
        }
        locked.writer.recent.clear();
        self.routing.store(routing);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// The wall clock was set by so much while no time passed; see
    /// [`crate::ingest::sequencer::Sequencer::wall_was_set`].
    pub fn wall_was_set(&self, by: DurationMs) {
        self.locked.lock().writer.sequencer.wall_was_set(by);
    }

    /// Routes by the rule set that all engines have from an earlier process: no log is told.
    pub fn resume_rules(&self, read_set: ReadSet) {
        let settle = read_set.settle;
        let routing = Arc::new(Routing::new(read_set, self.logs.len() as u16));
        let mut locked = self.locked.lock();
        locked.writer.sequencer.set_settle(settle);
        locked.writer.recent.clear();
        self.routing.store(routing);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Appends an entry to the logs of some shards, stamped between two requests.
    pub fn note(
        &self,
        shards: &[ShardId],
        make_entry: &dyn Fn(Stamp) -> Entry,
        wall: TimestampMs,
    ) -> Result<(), LogError> {
        let mut locked = self.locked.lock();
        let stamp = locked.writer.sequencer.stamp_only(wall);
        let logs = shards
            .iter()
            .filter_map(|shard| self.logs.get(usize::from(shard.0)));
        for log in logs {
            log.append(make_entry(stamp))?;
        }
        Ok(())
    }

    /// Does what time alone demands: moves the clock of a silent node on, forgets routes and
    /// series that are silent. Call it about every 100 ms.
    pub fn beat(&self, wall: TimestampMs) -> Result<(), LogError> {
        let mut locked = self.locked.lock();
        // What cannot be written would be queued without end; event time stands still as long.
        if self.check_logs().is_ok()
            && let Some(stamp) = locked.writer.sequencer.idle(wall)
        {
            for log in &self.logs {
                log.append(Entry::Clock { stamp })?;
            }
        }
        let routing = self.routing.load();
        if wall - locked.last_sweep >= SWEEP_EVERY {
            locked.last_sweep = wall;
            routing.table.sweep(locked.next_part, SWEEPS_KEPT);
            locked.next_part += 1;
            let (read, unread) = (locked.writer.series.n_series(), routing.table.n_unread());
            self.metrics.set_series(read, unread);
        }
        // A thousandth of the series each time: all of them in under two minutes.
        let n_places = locked.writer.series.n_places() / 1000 + 1;
        if let Some(published) = locked
            .writer
            .series
            .forget_silent(n_places, SERIES_SILENT, wall)
        {
            for (hint, at) in published {
                routing.table.remove_series(hint, at);
            }
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Returns when the requests of late began.
    pub fn arrivals(&self) -> &Arc<Arrivals> {
        &self.arrivals
    }

    /// Returns the event-time clock `C`, ms.
    pub fn clock(&self) -> Option<TimestampMs> {
        self.locked.lock().writer.sequencer.clock()
    }

    /// Refuses requests from now on with 503, so that senders keep them for the next process.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Returns what waits in each shard's log for its engine.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.logs.iter().map(|log| log.waiting()).collect()
    }

    /// Returns what metrics mean.
    pub fn metadata(&self) -> &MetadataStore {
        &self.metadata
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &IngestMetrics {
        &self.metrics
    }

    /// Returns the bounds.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }
}

fn answer(written: Written, collected: &Collected) -> WriteAnswer {
    let status = if collected.rejections.is_empty() {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::BAD_REQUEST
    };
    let n_refused: u64 = collected.rejections.iter().map(|r| r.n_samples).sum();
    WriteAnswer {
        status,
        written,
        text: match status {
            StatusCode::NO_CONTENT => Arc::from(""),
            _ => Arc::from(collected.rejections.to_string()),
        },
        retry_after_seconds: None,
        newest: collected.newest,
        n_received: written.samples + written.histograms + written.exemplars + n_refused,
        refusal: None,
    }
}
