//! The lines that were crossed and not yet told of, shared between who sends samples and who
//! receives alerts: one process, one clock.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What tells one alert from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// A queue of a target.
    Queue {
        /// The target's `instance`.
        instance: String,
        /// The queue.
        queue: usize,
    },
    /// A model's error budget.
    Budget {
        /// The model's name.
        model: String,
    },
}

/// What was crossed, told, and taken back.
#[derive(Default)]
pub struct Crossings(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    /// When the first byte of the request was sent that crossed a line.
    waiting: HashMap<Line, Instant>,
    /// Lines whose alert fires or fired, until its end is told.
    firing: HashSet<Line>,
    queues: Vec<Duration>,
    budgets: Vec<Duration>,
    n_unexpected: usize,
}

/// What came of them.
pub struct Told {
    /// Latencies of the threshold, in order of size.
    pub queues: Vec<Duration>,
    /// Latencies of the burn rate, in order of size.
    pub budgets: Vec<Duration>,
    /// Lines that were crossed and never told of.
    pub n_missing: usize,
    /// Alerts that no crossing explains.
    pub n_unexpected: usize,
}

impl Crossings {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().expect("nobody panicked")
    }

    /// Tells whether nothing is under way about a line: it may be crossed.
    pub fn is_quiet(&self, line: &Line) -> bool {
        let shared = self.shared();
        !shared.waiting.contains_key(line) && !shared.firing.contains(line)
    }

    /// Tells whether a line was crossed and not yet told of.
    pub fn is_waiting(&self, line: &Line) -> bool {
        self.shared().waiting.contains_key(line)
    }

    /// Notes that a line is crossed by the request whose first byte is sent now.
    pub fn crossed(&self, line: Line, now: Instant) {
        self.shared().waiting.insert(line, now);
    }

    /// Notes that an alert was told of, by a notification whose first byte came then.
    pub fn told(&self, line: Line, is_firing: bool, then: Instant) {
        let mut shared = self.shared();
        if !is_firing {
            shared.firing.remove(&line);
            return;
        }
        let is_first = shared.firing.insert(line.clone());
        match shared.waiting.remove(&line) {
            Some(sent) => {
                let latency = then.saturating_duration_since(sent);
                match line {
                    Line::Queue { .. } => shared.queues.push(latency),
                    Line::Budget { .. } => shared.budgets.push(latency),
                }
            }
            None => shared.n_unexpected += usize::from(is_first),
        }
    }

    /// Returns the number of lines that were crossed and not yet told of.
    pub fn n_waiting(&self) -> usize {
        self.shared().waiting.len()
    }

    /// Returns what came of them, and begins anew.
    pub fn take(&self) -> Told {
        let mut shared = self.shared();
        let mut told = Told {
            queues: std::mem::take(&mut shared.queues),
            budgets: std::mem::take(&mut shared.budgets),
            n_missing: shared.waiting.len(),
            n_unexpected: std::mem::take(&mut shared.n_unexpected),
        };
        told.queues.sort_unstable();
        told.budgets.sort_unstable();
        told
    }
}
