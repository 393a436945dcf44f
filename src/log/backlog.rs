//! What lies between a log's two sides: entries that the engine has yet to apply, counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::log::Waiting;
use crate::model::TimestampMs;

/// Entries on their way, by weight and by age.
#[derive(Debug, Default)]
pub struct Backlog {
    weight: AtomicUsize,
    /// The stamped wall clock of each entry, oldest first.
    since: Mutex<VecDeque<TimestampMs>>,
    lighter: Condvar,
}

impl Backlog {
    /// Counts an entry; before the reader can see it, who may be done with it at once.
    pub fn add(&self, weight: usize, wall: TimestampMs) {
        self.weight.fetch_add(weight, Ordering::AcqRel);
        self.since.lock().push_back(wall);
    }

    /// Takes the newest entry back: nobody will read it.
    pub fn take_back(&self, weight: usize) {
        self.weight.fetch_sub(weight, Ordering::AcqRel);
        self.since.lock().pop_back();
    }

    /// The oldest entry is applied.
    pub fn done(&self, weight: usize) {
        let mut since = self.since.lock();
        since.pop_front();
        let before = self.weight.fetch_sub(weight, Ordering::AcqRel);
        debug_assert!(before >= weight, "no more is done than was appended");
        drop(since);
        self.lighter.notify_all();
    }

    /// Returns what waits.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            samples: self.weight(),
            since: self.since.lock().front().copied(),
        }
    }

    /// Returns how much waits.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Acquire)
    }

    /// Waits until no more than so much waits, or somebody says that it does not matter any more.
    pub fn wait_below(&self, weight: usize, is_over: &dyn Fn() -> bool) {
        let mut since = self.since.lock();
        while self.weight() > weight && !is_over() {
            self.lighter.wait(&mut since);
        }
    }

    /// Wakes who waits, to look whether it matters any more.
    pub fn wake(&self) {
        let _ordered = self.since.lock();
        self.lighter.notify_all();
    }
}
