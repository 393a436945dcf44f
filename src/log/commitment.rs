//! The promise that what was appended is written, as the log's durability setting means it.
//!
//! Appending only puts an entry in its place. Whoever answers a sender waits for the promise first,
//! without a lock and without a thread. It is about everything that was appended before it was
//! asked for: so the repetition of a request whose first answer was lost waits for the original.

use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::log::LogError;

/// How far a log's writer is; entries are counted in the order in which they were appended.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// So many are written.
    written: u64,
    /// So many could not be when it was last tried, and why.
    failed: Option<(u64, LogError)>,
}

impl Progress {
    /// Says that so many entries are written.
    pub fn written(&self, n_entries: u64) {
        let mut state = self.state.lock();
        state.written = state.written.max(n_entries);
        state.failed = None;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Says that so many entries cannot be written now.
    pub fn failed(&self, n_entries: u64, error: LogError) {
        self.state.lock().failed = Some((n_entries, error));
        self.changed.notify_waiters();
    }

    /// Returns why the log cannot be written now, if so.
    pub fn failure(&self) -> Option<LogError> {
        let state = self.state.lock();
        state.failed.as_ref().map(|(_, error)| error.clone())
    }

    fn outcome(&self, n_entries: u64) -> Option<Result<(), LogError>> {
        let state = self.state.lock();
        if state.written >= n_entries {
            return Some(Ok(()));
        }
        let failed = state.failed.as_ref();
        let failed = failed.filter(|(failed, _)| *failed >= n_entries);
        failed.map(|(_, error)| Err(error.clone()))
    }
}

/// The promise.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is known before it is waited for"]
pub struct Commitment {
    awaited: SmallVec<[(Arc<Progress>, u64); 1]>,
}

impl Commitment {
    /// Returns the promise that the first so many entries are written.
    pub fn of(progress: &Arc<Progress>, n_entries: u64) -> Self {
        Commitment {
            awaited: SmallVec::from_iter([(Arc::clone(progress), n_entries)]),
        }
    }

    /// Returns the promise that both are kept.
    pub fn and(mut self, other: Commitment) -> Self {
        for (progress, n_entries) in other.awaited {
            let mut known = self.awaited.iter_mut();
            match known.find(|known| Arc::ptr_eq(&known.0, &progress)) {
                Some(known) => known.1 = known.1.max(n_entries),
                None => self.awaited.push((progress, n_entries)),
            }
        }
        self
    }

    /// Waits until it is kept, or broken: then nothing is known of what was appended, except that
    /// it comes before all that is appended later.
    pub async fn wait(self) -> Result<(), LogError> {
        for (progress, n_entries) in self.awaited {
            loop {
                let mut changed = std::pin::pin!(progress.changed.notified());
                // From here on no change is missed.
                changed.as_mut().enable();
                if let Some(outcome) = progress.outcome(n_entries) {
                    outcome?;
                    break;
                }
                changed.await;
            }
        }
        Ok(())
    }

    /// As [`Commitment::wait`], on a thread that may wait.
    pub fn wait_blocking(self) -> Result<(), LogError> {
        futures::executor::block_on(self.wait())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_promise_is_kept_or_broken() {
        let progress = Arc::new(Progress::default());
        let full = LogError::Unwritable(Arc::from("no space left"));
        let now = |n_entries| Commitment::of(&progress, n_entries).wait().now_or_never();
        assert_eq!(now(0), Some(Ok(())));
        assert_eq!(now(2), None);
        progress.written(1);
        assert_eq!((now(1), now(2)), (Some(Ok(())), None));
        progress.failed(2, full.clone());
        assert_eq!(
            (now(1), now(2), now(3)),
            (Some(Ok(())), Some(Err(full)), None)
        );
        progress.written(3);
        assert_eq!((now(3), progress.failure()), (Some(Ok(())), None));
    }

    #[test]
    fn all_logs_are_waited_for() {
        let (one, other) = (Arc::new(Progress::default()), Arc::new(Progress::default()));
        let both = Commitment::of(&one, 1).and(Commitment::of(&other, 1));
        let both = both.and(Commitment::of(&one, 2));
        let waiting = std::thread::spawn(move || both.wait_blocking());
        one.written(2);
        other.written(1);
        assert_eq!(waiting.join().expect("it ends"), Ok(()));
    }
}
