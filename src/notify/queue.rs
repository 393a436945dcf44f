//! One receiver's queue and the task that empties it.
//!
//! What waits and when it is due is decided by a [`Book`], which is pure; how it is sent, by a
//! [`Push`]. Here is only the loop between them: take a batch, push it, pause after a failure.
//! Every receiver has a queue and a task of its own, so a slow one delays nobody, and handing
//! something over never waits for anything but a short lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify as Wake;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::model::TimestampMs;
use crate::notify::backoff::Backoff;
use crate::notify::outcome::Outcome;

/// The longest time the loop sleeps without looking, so that a wall clock that is set does not
/// leave it asleep for long.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// What waits for one receiver.
pub trait Book: Send + 'static {
    /// What one request carries.
    type Batch: Send + Sync;

    /// Takes what is due; it is given back by [`Book::sent`] or [`Book::failed`]. With
    /// `is_draining`, what waits for company goes too.
    fn take(&mut self, now: TimestampMs, is_draining: bool) -> Option<Self::Batch>;
    /// Notes that a batch taken at `sent_at` was accepted.
    fn sent(&mut self, batch: Self::Batch, sent_at: TimestampMs, now: TimestampMs);
    /// Notes that the receiver will not take a batch taken at `sent_at` as it is.
    fn refused(&mut self, batch: Self::Batch, sent_at: TimestampMs, now: TimestampMs) {
        self.sent(batch, sent_at, now);
    }
    /// Notes that a batch could not be sent and is to be sent again. Without `has_left` the
    /// receiver cannot have seen any of it.
    fn failed(&mut self, batch: Self::Batch, has_left: bool, now: TimestampMs);
    /// Returns when something falls due.
    fn next_due(&self, now: TimestampMs) -> Option<TimestampMs>;
    /// Returns how much waits to be sent.
    fn n_waiting(&self) -> usize;
    /// Returns how much was dropped while it was taken or given back, since last asked.
    fn take_n_dropped(&mut self) -> usize {
        0
    }
}

/// Sends batches to one receiver.
pub trait Push<B>: Send + Sync + 'static {
    /// Sends a batch that was taken at `sent_at`.
    fn push<'a>(&'a self, batch: &'a B, sent_at: TimestampMs) -> BoxFuture<'a, Outcome>;
    /// Is told how much waits.
    fn waiting(&self, n_waiting: usize);
    /// Is told that a bound pushed `n_dropped` out.
    fn dropped(&self, n_dropped: usize);
}

/// The pauses between attempts at one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

type DynPush<B> = Box<dyn Push<<B as Book>::Batch>>;

/// A queue; its task runs until [`Queue::stop`] or the end of a drain.
pub struct Queue<B: Book> {
    name: String,
    book: Mutex<B>,
    push: ArcSwap<DynPush<B>>,
    wake: Wake,
    is_draining: AtomicBool,
    clock: Arc<dyn Clock>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<B: Book> Queue<B> {
    /// Starts a queue; `name` is the receiver's in the log.
    pub fn start(
        name: String,
        book: B,
        push: DynPush<B>,
        pauses: Pauses,
        clock: Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Arc<Self> {
        let queue = Arc::new(Queue {
            name,
            book: Mutex::new(book),
            push: ArcSwap::from_pointee(push),
            wake: Wake::new(),
            is_draining: AtomicBool::new(false),
            clock,
            task: Mutex::new(None),
        });
        let task = runtime.spawn(run(Arc::clone(&queue), pauses));
        *queue.task.lock() = Some(task);
        queue
    }

    /// Changes what waits and wakes the task; `edit` returns how much a bound pushed out.
    pub fn edit(&self, edit: impl FnOnce(&mut B, TimestampMs) -> usize) {
        let mut book = self.book.lock();
        let n_dropped = edit(&mut book, self.clock.now());
        drop(book);
        self.tell(n_dropped);
        self.wake.notify_one();
    }

    /// Tells how much waits, and what was dropped meanwhile.
    fn report(&self) {
        self.tell(0);
    }

    fn tell(&self, n_dropped: usize) {
        let mut book = self.book.lock();
        let n_dropped = n_dropped + book.take_n_dropped();
        let n_waiting = book.n_waiting();
        drop(book);
        let push = self.push.load();
        push.waiting(n_waiting);
        if n_dropped > 0 {
            warn!(
                receiver = self.name,
                n_dropped, "queue is full, the oldest are dropped"
            );
            push.dropped(n_dropped);
        }
    }

    /// Changes how batches are sent, from the next one on.
    pub fn set_push(&self, push: DynPush<B>) {
        self.push.store(Arc::new(push));
    }

    /// Ends the task at once.
    pub fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    /// Asks the task to end once nothing waits, and returns it.
    pub fn drain(&self) -> Option<JoinHandle<()>> {
        self.is_draining.store(true, Ordering::SeqCst);
        self.wake.notify_one();
        self.task.lock().take()
    }
}

async fn run<B: Book>(queue: Arc<Queue<B>>, pauses: Pauses) {
    let mut backoff = Backoff::new(pauses.min, pauses.max);
    loop {
        let now = queue.clock.now();
        let is_draining = queue.is_draining.load(Ordering::SeqCst);
        let taken = queue.book.lock().take(now, is_draining);
        let Some(batch) = taken else {
            queue.report();
            if is_draining {
                return;
            }
            sleep(&queue, now).await;
            continue;
        };
        let push = queue.push.load_full();
        let outcome = push.push(&batch, now).await;
        let pause = settle(&queue, batch, now, outcome, &mut backoff);
        queue.report();
        if let Some(pause) = pause {
            rest(&queue, pause).await;
        }
    }
}

/// Pauses after a failure; when the end comes meanwhile, there is one more attempt at once.
async fn rest<B: Book>(queue: &Queue<B>, pause: Duration) {
    let was_draining = queue.is_draining.load(Ordering::SeqCst);
    let mut over = std::pin::pin!(tokio::time::sleep(pause));
    loop {
        tokio::select! {
            () = &mut over => return,
            () = queue.wake.notified() => {
                if queue.is_draining.load(Ordering::SeqCst) && !was_draining {
                    return;
                }
            }
        }
    }
}

/// Gives a batch back to the book; returns how long to pause.
fn settle<B: Book>(
    queue: &Queue<B>,
    batch: B::Batch,
    sent_at: TimestampMs,
    outcome: Outcome,
    backoff: &mut Backoff,
) -> Option<Duration> {
    let now = queue.clock.now();
    let mut book = queue.book.lock();
    match outcome {
        Outcome::Delivered => {
            book.sent(batch, sent_at, now);
            if backoff.n_failures() > 0 {
                info!(receiver = queue.name, "receiver answers again");
            }
            backoff.reset();
            None
        }
        Outcome::Refused(reason) => {
            book.refused(batch, sent_at, now);
            warn!(receiver = queue.name, reason, "notification refused");
            backoff.reset();
            None
        }
        Outcome::Retry {
            reason,
            after,
            has_left,
        } => {
            book.failed(batch, has_left, now);
            let pause = backoff.pause(after);
            let failures = backoff.n_failures();
            warn!(
                receiver = queue.name,
                reason,
                failures,
                ?pause,
                "sending failed, will retry"
            );
            Some(pause)
        }
    }
}

/// Sleeps until something falls due or the queue is edited.
async fn sleep<B: Book>(queue: &Queue<B>, now: TimestampMs) {
    let next = queue.book.lock().next_due(now);
    let pause = next.map_or(SLEEP_MAX, |at| (at - now).to_std().min(SLEEP_MAX));
    tokio::select! {
        () = queue.wake.notified() => {}
        () = tokio::time::sleep(pause) => {}
    }
}
