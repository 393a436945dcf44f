//! THE LOOP: receive → route → log → series → windows → evaluate → alerts → notify.
//!
//! Read this file first. The first half of the way of a sample runs on the request's thread
//! ([`Pipeline::receive`]), the second on the shard's own thread ([`run_shard`]); the log lies
//! between them, and is the only thing they share.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, select};

use crate::clock::Clock;
use crate::engine::{Effect, Engine};
use crate::ingest::{Node, Protocol, WriteOutcome};
use crate::log::LogTail;
use crate::server::dispatch::Dispatch;

/// A question to a shard's engine, answered between two entries of its log.
pub type Question = Box<dyn FnOnce(&Engine) + Send>;

/// The most questions that wait for one engine; more are told that the server is busy.
pub const QUESTIONS_MAX: usize = 1024;

/// The whole way of a sample.
pub struct Pipeline {
    node: Arc<Node>,
    clock: Arc<dyn Clock>,
    questions: Vec<Sender<Question>>,
    threads: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts one thread for each shard's log.
    pub fn start(
        node: Arc<Node>,
        tails: Vec<LogTail>,
        clock: Arc<dyn Clock>,
        dispatch: Arc<Dispatch>,
    ) -> std::io::Result<Arc<Self>> {
        let (mut questions, mut threads) = (Vec::new(), Vec::new());
        for (shard, tail) in tails.into_iter().enumerate() {
            let (ask, asked) = crossbeam_channel::bounded(QUESTIONS_MAX);
            let dispatch = Arc::clone(&dispatch);
            let thread = std::thread::Builder::new().name(format!("shard-{shard}"));
            threads.push(thread.spawn(move || run_shard(&tail, &asked, &dispatch))?);
            questions.push(ask);
        }
        let threads = parking_lot::Mutex::new(threads);
        Ok(Arc::new(Pipeline { node, clock, questions, threads }))
    }

    /// The first half: **receive** (decode the body), **route** (which shards read it), **log**
    /// (append to all of them, or to none).
    pub fn receive(&self, body: &Bytes, protocol: Protocol) -> WriteOutcome {
        self.node.write(body, protocol, self.clock.now())
    }

    /// Returns the node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
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

    /// Waits until every shard has applied its log and stopped. The logs must be closed first.
    pub fn join(&self) {
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

/// The second half, on the shard's own thread: each entry of the log goes through the engine,
/// whose rooms are **series** and **windows** (samples into history), **evaluate** and
/// **alerts** (the frontier moves, rules are looked at); what it wants done goes to **notify**.
fn run_shard(tail: &LogTail, questions: &Receiver<Question>, dispatch: &Dispatch) {
    let mut engine = Engine::new();
    let mut effects: Vec<Effect> = Vec::new();
    let origin = Instant::now();
    let stopwatch = move || origin.elapsed().as_secs_f64();
    loop {
        select! {
            recv(tail.receiver()) -> entry => {
                // The log is closed: everything accepted has been applied.
                let Ok((_, entry)) = entry else { return };
                engine.apply(&entry, &stopwatch, &mut effects);
                tail.done(entry.n_samples());
                dispatch.effects(&engine, &mut effects);
            }
            recv(questions) -> question => {
                if let Ok(question) = question {
                    question(&engine);
                }
            }
        }
    }
}
