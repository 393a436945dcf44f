//! What a sender does: whole scrapes, each target at its own place in the interval, over several
//! kept connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::crossings::{Crossings, Line};
use crate::fleet::{QUEUES, TARGETS_PER_MODEL, Target, model_name};
use crate::http::{Connection, write_request};

/// Scrapes that are sent before the engine is asked to have caught up, when as many are sent as it
/// can take.
const SCRAPES_AHEAD: usize = 20;
/// How much more than the allowed share of requests fails when a budget burns.
const BURST: f64 = 3.0;

/// One connection and the targets that are sent over it.
pub struct Sender {
    connection: Connection,
    targets: Vec<Target>,
    crossings: Arc<Crossings>,
    random: fastrand::Rng,
    n_series: usize,
    n_sent: usize,
}

/// What all senders count.
#[derive(Default)]
pub struct Counts {
    /// Samples that were taken.
    pub samples: AtomicU64,
    /// Requests that were not.
    pub refused: AtomicU64,
    /// The longest that a scrape was sent after its time, microseconds.
    pub behind_us: AtomicU64,
}

/// When to send and what to change.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The time between two scrapes of a target.
    pub interval: Duration,
    /// For how long.
    pub span: Duration,
    /// How often, of all scrapes, one crosses a line.
    pub crossings: f64,
}

impl Sender {
    /// Returns a sender of some targets with so many series each.
    pub fn new(
        address: SocketAddr,
        targets: Vec<Target>,
        n_series: usize,
        crossings: Arc<Crossings>,
        seed: u64,
    ) -> Self {
        Sender {
            connection: Connection::new(address).expect("a connection"),
            targets,
            crossings,
            random: fastrand::Rng::with_seed(seed),
            n_series,
            n_sent: 0,
        }
    }

    /// Sends for some time as many scrapes as the server takes and its engine follows.
    pub fn saturate(&mut self, span: Duration, counts: &Counts) {
        let started = Instant::now();
        for at in (0..self.targets.len()).cycle() {
            self.scrape(at, None, counts);
            if self.n_sent.is_multiple_of(SCRAPES_AHEAD) {
                // The answer comes behind all that was taken before.
                let answer = self.connection.get("/api/v1/alerts");
                assert_eq!(answer.expect("an answer").0, 200);
                if started.elapsed() > span {
                    return;
                }
            }
        }
    }

    /// Sends by a plan.
    pub fn follow(&mut self, plan: &Plan, counts: &Counts) {
        let started = Instant::now();
        let random = &mut self.random;
        let mut phase = |at| (plan.interval.mul_f64(random.f64()), at);
        let mut phases: Vec<(Duration, usize)> = (0..self.targets.len()).map(&mut phase).collect();
        phases.sort_unstable();
        for round in 0.. {
            for (phase, at) in &phases {
                let due = plan.interval * round + *phase;
                if due > plan.span {
                    return;
                }
                std::thread::sleep(due.saturating_sub(started.elapsed()));
                let behind = started.elapsed().saturating_sub(due).as_micros() as u64;
                counts.behind_us.fetch_max(behind, Ordering::Relaxed);
                let crossed = self.change(*at, plan);
                self.scrape(*at, crossed, counts);
            }
        }
    }

    /// Changes what a target shows from one scrape to the next; returns the line that is crossed.
    fn change(&mut self, at: usize, plan: &Plan) -> Option<Line> {
        let target = &mut self.targets[at];
        target.count();
        // What is over the line comes back with the next scrape.
        target.queues = [false; QUEUES];
        let model = model_name(target.model);
        let budget = Line::Budget { model };
        let leads = at.is_multiple_of(TARGETS_PER_MODEL);
        let (errors, requests) = target.counters[0];
        let has_burst = errors > requests * 0.01;
        if leads && has_burst && !self.crossings.is_waiting(&budget) {
            target.counters[0].1 = errors * 200.0;
        }
        if self.random.f64() >= plan.crossings {
            return None;
        }
        if leads && !has_burst && self.random.f64() < 0.2 && self.crossings.is_quiet(&budget) {
            // The other handlers and targets of the model dilute it.
            let all: f64 = target.counters.iter().map(|(_, requests)| requests).sum();
            let all = all * TARGETS_PER_MODEL as f64;
            target.counters[0].0 += BURST * 0.01 * all;
            return Some(budget);
        }
        let queue = self.random.usize(..QUEUES);
        let instance = target.instance.clone();
        let line = Line::Queue { instance, queue };
        let is_quiet = self.crossings.is_quiet(&line);
        target.queues[queue] = is_quiet;
        is_quiet.then_some(line)
    }

    fn scrape(&mut self, at: usize, crossed: Option<Line>, counts: &Counts) {
        let bodies = self.targets[at].bodies(now_ms());
        let requests: Vec<Vec<u8>> = bodies.iter().map(|body| write_request(body)).collect();
        self.n_sent += 1;
        for (n, request) in requests.iter().enumerate() {
            if let Some(line) = crossed.as_ref().filter(|_| n + 1 == requests.len()) {
                self.crossings.crossed(line.clone(), Instant::now());
            }
            let (status, text) = self.connection.ask(request).expect("an answer");
            match status {
                200 | 204 => {}
                503 => drop(counts.refused.fetch_add(1, Ordering::Relaxed)),
                _ => panic!("{status}: {text}"),
            }
        }
        counts
            .samples
            .fetch_add(self.n_series as u64, Ordering::Relaxed);
    }
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.expect("a clock that is right").as_millis() as i64
}
