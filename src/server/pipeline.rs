//! THE LOOP: receive → route → log → series → windows → evaluate → alerts → notify.
//!
//! Read this file first. The first half of the way of a sample runs on the request's thread
//! ([`receive`]), the second on the shard's own thread (`run_shard`); the log lies between them,
//! and is the only thing they share.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};

use crate::clock::{Clock, JumpWatch, Stopwatch};
use crate::engine::{Effect, Engine};
use crate::ingest::{
    HeardSeries, IngestState, Node, Origin, Promised, Protocol, ReadSet, SenderNumber, SenderShare,
    ShardId, WriteAnswer,
};
use crate::log::{Commitment, LogError, LogTail, Offset, weight};
use crate::model::{Change, DetectorReset, Entry, RuleKey, SeriesHandle, Stamp, TimestampMs};
use crate::server::checkpoints::{Checkpointer, Done, ShardStorage};
use crate::server::dispatch::{Dispatch, alert_event};
use crate::server::fatal::{Fatal, PanicWatch};
use crate::server::frontier_hold::FrontierHold;
use crate::server::logs::OpenTail;
use crate::server::past_files::PastFiles;
use crate::server::replay::{Replay, ReplayProgress, opened};

/// A question to a shard's engine, answered between two entries of its log.
pub type Question = Box<dyn FnOnce(&Engine) + Send>;

/// The most questions that wait for one engine; more are told that the server is busy.
pub const QUESTIONS_MAX: usize = 1024;

/// How often it is noted what groups cost, for the next reload.
const MEASURED_EVERY_SECONDS: f64 = 10.0;

/// How long a shard waits for anything to do.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);
/// How long it waits where a checkpoint is to be gone on with that cannot be written faster.
const WRITING: Duration = Duration::from_millis(1);
/// So many series are told the door at once.
const TOLD_AT_ONCE: usize = 1000;

/// What a shard begins with.
pub struct ShardStart {
    /// Where its state lies.
    pub storage: ShardStorage,
    /// Opens its log where its engine goes on.
    pub open_tail: OpenTail,
    /// The offset of the oldest entry in it.
    pub first: Offset,
    /// Where it ended when it was opened.
    pub end: Offset,
}

/// How far all shards' replays are, in entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Entries of earlier runs that were in the logs at the start.
    pub of: u64,
    /// How many of them are applied.
    pub applied: u64,
}

impl Replayed {
    /// Tells whether all are.
    pub fn is_done(&self) -> bool {
        self.applied >= self.of
    }
}

/// The whole way of a sample.
pub struct Pipeline {
    node: Arc<Node>,
    clock: Arc<dyn Clock>,
    questions: Vec<Sender<Question>>,
    jumps: parking_lot::Mutex<JumpWatch>,
    /// To write a checkpoint, and whom to tell.
    orders: Vec<Sender<Option<Done>>>,
    replays: Vec<Arc<ReplayProgress>>,
}

impl Pipeline {
    /// Starts one thread for each shard: it begins with its newest checkpoint, then applies what
    /// the log holds behind that from an earlier run. `past` are the files of history from
    /// before that the log names. A shard that cannot begin reports to `fatal`.
    pub fn start(
        node: Arc<Node>,
        starts: Vec<ShardStart>,
        past: Arc<PastFiles>,
        clock: Arc<dyn Clock>,
        dispatch: Arc<Dispatch>,
        fatal: Arc<Fatal>,
    ) -> std::io::Result<Arc<Self>> {
        let (mut questions, mut replays, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for (shard, start) in starts.into_iter().enumerate() {
            let (ask, asked) = crossbeam_channel::bounded(QUESTIONS_MAX);
            let (order, ordered) = crossbeam_channel::unbounded();
            let dispatch = Arc::clone(&dispatch);
            let hold = dispatch.frontier_hold(node.arrivals());
            let replay = ReplayProgress::new(start.first, start.end);
            replays.push(Arc::clone(&replay));
            let (past, node) = (Arc::clone(&past), Arc::clone(&node));
            let fatal = Arc::clone(&fatal);
            let thread = std::thread::Builder::new().name(format!("shard-{shard}"));
            thread.spawn(move || {
                let _watch = PanicWatch {
                    fatal: Arc::clone(&fatal),
                    what: format!("shard {shard}"),
                };
                let begun = start.storage.begin(start.first, start.end);
                let begun = begun.and_then(|begun| Ok(((start.open_tail)(begun.from)?, begun)));
                let (tail, begun) = match begun {
                    Ok(begun) => begun,
                    Err(cause) => {
                        return fatal.report(cause.context(format!("shard {shard} cannot start")));
                    }
                };
                replay.begin_at(begun.from);
                past.begun(shard, begun.from.0);
                let shard = Shard {
                    number: shard,
                    measured_at: 0.0,
                    engine: begun.engine,
                    next: begun.from,
                    checkpointer: Checkpointer::new(start.storage),
                    effects: Vec::new(),
                    replay: Replay::begin(&replay),
                    to_tell: None,
                    past,
                    hold,
                    node,
                    running: Stopwatch::start(),
                };
                run_shard(shard, tail.as_ref(), (&asked, &ordered), &dispatch);
            })?;
            questions.push(ask);
            orders.push(order);
        }
        Ok(Arc::new(Pipeline {
            node,
            clock,
            questions,
            jumps: parking_lot::Mutex::default(),
            orders,
            replays,
        }))
    }

    /// Returns what the HTTP handler works with.
    pub fn ingest_state(&self) -> IngestState {
        IngestState {
            node: Arc::clone(&self.node),
            clock: Arc::clone(&self.clock),
            receive: receive_since,
        }
    }

    /// Puts a rule set into force.
    pub fn adopt(
        &self,
        read_set: ReadSet,
        make_entry: &mut dyn FnMut(ShardId, Stamp) -> Entry,
    ) -> Result<(), LogError> {
        self.node.adopt(read_set, make_entry, self.clock.now())
    }

    /// Tells all engines that something was changed; the promise is kept when their logs have it.
    pub fn tell_change(&self, change: Arc<Change>) -> Result<Commitment, LogError> {
        let n_shards = u16::try_from(self.questions.len()).unwrap_or(u16::MAX);
        let shards: Vec<ShardId> = (0..n_shards).map(ShardId).collect();
        let entry = |stamp| Entry::Change {
            stamp,
            change: Arc::clone(&change),
        };
        self.node.check_logs()?;
        self.node.note(&shards, &entry, self.clock.now())?;
        Ok(self.node.commitment())
    }

    /// Tells all engines that the detectors of some rules begin anew, at an instant or else at the
    /// event-time clock. Returns what they are told; the promise is kept when their logs have it.
    pub fn reset_detectors(
        &self,
        at: Option<TimestampMs>,
        rules: Vec<RuleKey>,
    ) -> Result<(DetectorReset, Commitment), LogError> {
        let told = parking_lot::Mutex::new(DetectorReset {
            at: at.unwrap_or_default(),
            rules,
        });
        let entry = |stamp: Stamp| {
            let mut told = told.lock();
            // Before the first sample there is nothing that could have been learned.
            told.at = at.or(stamp.clock).unwrap_or(stamp.wall);
            Entry::Reset {
                stamp,
                reset: Arc::new(told.clone()),
            }
        };
        let n_shards = u16::try_from(self.questions.len()).unwrap_or(u16::MAX);
        let shards: Vec<ShardId> = (0..n_shards).map(ShardId).collect();
        self.node.check_logs()?;
        self.node.note(&shards, &entry, self.clock.now())?;
        Ok((told.into_inner(), self.node.commitment()))
    }

    /// Routes by the rule set that all engines have from an earlier process.
    pub fn resume_rules(&self, read_set: ReadSet) {
        self.node.resume_rules(read_set);
    }

    /// Has every shard write a checkpoint, while everything goes on.
    pub fn checkpoint(&self) {
        for shard in &self.orders {
            let _ = shard.send(None);
        }
    }

    /// As [`Pipeline::checkpoint`], and waits until they are written or cannot be.
    pub fn checkpoint_and_wait(&self, at_most: Duration) {
        let order = |shard: &Sender<Option<Done>>| {
            let (done, written) = crossbeam_channel::bounded(0);
            let _ = shard.send(Some(done));
            written
        };
        let running = Stopwatch::start();
        for written in self.orders.iter().map(order).collect::<Vec<_>>() {
            // Nobody says anything: whoever has written it drops the other end.
            let _ = written.recv_timeout(at_most.saturating_sub(running.elapsed()));
        }
    }

    /// Does what time alone demands; to be called about every 100 ms.
    pub fn beat(&self) {
        if let Some(jump) = self.jumps.lock().look(self.clock.as_ref()) {
            tracing::warn!(seconds = jump.seconds(), "the wall clock was set");
            self.node.wall_was_set(jump);
        }
        if let Err(error) = self.node.beat(self.clock.now()) {
            tracing::error!(%error, "event time does not go on");
        }
    }

    /// Returns the node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Returns how far the shards are in applying what earlier runs left.
    pub fn replayed(&self) -> Replayed {
        let mut replayed = Replayed::default();
        for replay in &self.replays {
            let (of, applied) = replay.of_and_applied();
            replayed.of += of;
            replayed.applied += applied;
        }
        replayed
    }

    /// Waits until every shard has applied what its log holds now, each for so long at most.
    pub fn wait_applied(&self, at_most: Duration) {
        let ask = |shard: &Sender<Question>| {
            let (answer, answered) = crossbeam_channel::bounded(1);
            let question: Question = Box::new(move |_| {
                let _ = answer.send(());
            });
            // A queue that is full, or whose engine is gone, is not waited for.
            let _ = shard.send_timeout(question, at_most);
            answered
        };
        let answers: Vec<_> = self.questions.iter().map(ask).collect();
        for answered in answers {
            let _ = answered.recv_timeout(at_most);
        }
    }

    /// Asks every shard; the answers come as each shard reaches the question.
    pub fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Engine) -> T + Clone + Send + 'static,
    ) -> Vec<tokio::sync::oneshot::Receiver<T>> {
        let ask = |shard: &Sender<Question>| {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let question = question.clone();
            // A full queue drops the question, and the asker sees a closed channel.
            let _ = shard.try_send(Box::new(move |engine| drop(answer.send(question(engine)))));
            answered
        };
        self.questions.iter().map(ask).collect()
    }
}

/// As [`receive_since`], of a request whose body is all there is of it; waits for the logs.
pub fn receive(node: &Node, body: &[u8], protocol: Protocol, wall: TimestampMs) -> WriteAnswer {
    let origin = Origin {
        began: Stopwatch::start(),
        sender: SenderShare::default(),
        brought_by: SenderNumber::default(),
    };
    receive_since(node, body, protocol, wall, origin).kept_blocking()
}

/// The first half, on the request's thread: **receive** the body, **route** its series to the
/// shards that read them, append to their **log**s. The answer is true once these are written;
/// nothing here waits for that, nor for an engine.
/// Latencies are measured from when the request's first byte was seen.
pub fn receive_since(
    node: &Node,
    body: &[u8],
    protocol: Protocol,
    wall: TimestampMs,
    origin: Origin,
) -> Promised {
    let mut received = match node.receive(body, protocol, wall) {
        Ok(received) => received,
        Err(answer) => return answer,
    };
    received.began(origin.began);
    received.sent_by(origin.sender, origin.brought_by);
    loop {
        if let Err(answer) = node.route(&mut received) {
            return answer.into();
        }
        // Nothing comes back only when a reload has overtaken the request.
        if let Some(answer) = node.append(&mut received) {
            return answer;
        }
    }
}

/// The second half, on the shard's own thread: each entry of the log goes through the engine,
/// whose rooms are **series** and **windows** (samples into history), **evaluate** and
/// **alerts** (the frontier moves, rules are looked at); what it wants done goes to **notify**.
fn run_shard(
    mut shard: Shard,
    tail: &dyn LogTail,
    (questions, orders): (&Receiver<Question>, &Receiver<Option<Done>>),
    dispatch: &Dispatch,
) {
    shard.engine.retell_first_ticks(&mut shard.effects);
    dispatch.effects(shard.number, &mut shard.engine, &mut shard.effects);
    if shard.replay.is_none() {
        dispatch.replayed(&shard.engine, &[]);
        shard.to_tell = Some(SeriesHandle(0));
    }
    loop {
        let wait = match shard.checkpointer.go_on(&mut shard.engine, shard.next) {
            Some(true) => Duration::ZERO,
            Some(false) => WRITING,
            None => NOTHING_TO_DO,
        };
        let wait = match shard.tell_door() {
            true => Duration::ZERO,
            false => wait,
        };
        select! {
            recv(tail.entries()) -> entry => {
                // The log is closed: everything accepted has been applied.
                let Ok((offset, entry)) = entry else { return };
                shard.step(offset, entry, tail, dispatch);
            }
            recv(questions) -> question => {
                // Whoever asks sees what was accepted before the question.
                for (offset, entry) in tail.entries().try_iter().take(tail.entries().len()) {
                    shard.step(offset, entry, tail, dispatch);
                }
                if let Ok(question) = question {
                    question(&shard.engine);
                }
            }
            recv(orders) -> done => {
                // What is still being replayed has been caused before, and is not told yet.
                if let (Ok(done), None) = (done, &shard.replay) {
                    shard.checkpointer.begin(&mut shard.engine, shard.next, done);
                }
            }
            default(wait) => {}
        }
    }
}

struct Shard {
    number: usize,
    /// When it was last noted what groups cost, in seconds of `running`.
    measured_at: f64,
    engine: Engine,
    /// The offset of the first entry that is not applied.
    next: Offset,
    checkpointer: Checkpointer,
    effects: Vec<Effect>,
    /// What an earlier run left, until it is applied.
    replay: Option<Replay>,
    /// The first series of which the door has not been told yet.
    to_tell: Option<SeriesHandle>,
    /// The files of history from before, which the log names.
    past: Arc<PastFiles>,
    hold: FrontierHold,
    node: Arc<Node>,
    running: Stopwatch,
}

impl Shard {
    /// Tells the door of some more series that there are, so that they keep their handles. Returns
    /// whether there are more; what else is to be done goes on meanwhile.
    fn tell_door(&mut self) -> bool {
        let Some(from) = self.to_tell else {
            return false;
        };
        let series = self.engine.heard(from).map(|heard| HeardSeries {
            labels: heard.labels.clone(),
            handle: heard.handle,
            newest: heard
                .history
                .newest()
                .map(|newest| (newest.at, newest.value)),
            heard_at_wall: TimestampMs(i64::from(heard.minute) * 60_000),
        });
        let some: Vec<HeardSeries> = series.take(TOLD_AT_ONCE).collect();
        if let Ok(shard) = u16::try_from(self.number) {
            self.node.restore(ShardId(shard), &some);
        }
        let last = some.last().filter(|_| some.len() == TOLD_AT_ONCE);
        self.to_tell = last.map(|last| SeriesHandle(last.handle.0.saturating_add(1)));
        self.to_tell.is_some()
    }

    fn step(&mut self, offset: Offset, entry: Entry, tail: &dyn LogTail, dispatch: &Dispatch) {
        let entry = &opened(entry, self.past.folder());
        if let Entry::Past { past, .. } = entry {
            self.past.applied(self.number, offset.0, past.series.name());
        }
        let running = self.running;
        let stopwatch = move || running.elapsed().as_secs_f64();
        let began = running.elapsed();
        self.engine.take(entry, &mut self.effects);
        self.engine.evaluate(&stopwatch, &mut self.effects);
        self.next = Offset(offset.0 + 1);
        let is_due = self.checkpointer.worked(running.elapsed() - began);
        if let Some(replay) = &mut self.replay {
            // How long these took says nothing of now.
            self.engine.take_timings();
            if !replay.applied(offset, &mut self.effects) {
                tail.done(weight(entry));
                return;
            }
            self.replay = None;
            dispatch.replayed(&self.engine, &self.effects);
            self.to_tell = Some(SeriesHandle(0));
            self.effects.retain(|effect| alert_event(effect).is_none());
        }
        dispatch.effects(self.number, &mut self.engine, &mut self.effects);
        self.hold.moved(entry.stamp(), self.engine.frontier());
        let now = stopwatch();
        if now - self.measured_at >= MEASURED_EVERY_SECONDS {
            self.measured_at = now;
            dispatch.note_measured(self.number, &self.engine);
        }
        tail.done(weight(entry));
        if is_due {
            let checkpointer = &mut self.checkpointer;
            checkpointer.begin(&mut self.engine, self.next, None);
        }
    }
}
