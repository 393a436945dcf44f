//! Effects to the world: notifiers, write-back, the log of the process, and whoever watches.
//!
//! Runs on the shard's thread and never blocks: every receiver has its own bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tracing::{error, info, warn};

use crate::arrivals::Arrivals;
use crate::engine::assignment::Measured;
use crate::engine::{Effect, Engine, Stats};
use crate::model::{AlertMessage, AlertStatus, Generation, TimestampMs};
use crate::notify::{AlertEvent, Notify, RecordedSample, newest_of_each};
use crate::server::frontier_hold::FrontierHold;
use crate::telemetry::Telemetry;

/// Sees every effect, with the wall clock (ms) of the request that caused it: the demo's display.
pub type Observer = Box<dyn Fn(&Effect, TimestampMs) + Send + Sync>;

/// Hands effects on.
pub struct Dispatch {
    notify: Arc<Notify>,
    /// Outside samples of recorded names are taken while older than this, ms.
    seed_before: Arc<AtomicI64>,
    observer: Option<Observer>,
    telemetry: Arc<Telemetry>,
    /// By shard.
    reports: Vec<parking_lot::Mutex<EngineReport>>,
    first_ticks: parking_lot::Mutex<FirstTicks>,
    replays: parking_lot::Mutex<Replays>,
}

/// What the replays of shards have found; told when all are done.
#[derive(Debug, Default)]
struct Replays {
    n_awaited: usize,
    found: Vec<AlertEvent>,
    firing: Vec<AlertMessage>,
}

/// Which shards' first ticks under the newest rules are still to come.
#[derive(Debug, Default)]
struct FirstTicks {
    generation: Generation,
    n_awaited: usize,
    newest: Option<TimestampMs>,
    /// What was told of other rules: of those that a start goes on with, a shard may speak before
    /// anybody has asked.
    early: Vec<(Generation, TimestampMs)>,
}

/// What an engine said of itself after its newest entry.
#[derive(Clone, Debug, Default)]
pub struct EngineReport {
    /// Counts since start.
    pub stats: Stats,
    /// Series in history.
    pub n_series: usize,
    /// How far the frontier is behind the clock, in seconds.
    pub frontier_hold_seconds: f64,
    /// `F`, ms.
    pub frontier: Option<TimestampMs>,
    /// What its groups have cost.
    pub measured: Measured,
    /// Contexts of alerts that were built, and the samples read for them.
    pub contexts: (u64, u64),
    /// Changes that are remembered.
    pub n_changes: usize,
}

impl Dispatch {
    /// Returns a dispatcher.
    pub fn new(
        n_shards: usize,
        notify: Arc<Notify>,
        seed_before: Arc<AtomicI64>,
        observer: Option<Observer>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Dispatch {
            notify,
            seed_before,
            observer,
            telemetry,
            reports: (0..n_shards)
                .map(|_| parking_lot::Mutex::default())
                .collect(),
            first_ticks: parking_lot::Mutex::default(),
            replays: parking_lot::Mutex::new(Replays {
                n_awaited: n_shards,
                ..Replays::default()
            }),
        }
    }

    /// Returns a watch of one shard's frontier.
    pub fn frontier_hold(&self, arrivals: &Arc<Arrivals>) -> FrontierHold {
        FrontierHold::new(Arc::clone(arrivals), self.telemetry.frontier.clone())
    }

    /// Takes outside samples of recorded names again, until as many shards have told the first
    /// ticks of all their groups under the rules of this generation.
    pub fn expect_first_ticks(&self, generation: Generation, n_awaited: usize) {
        let mut awaited = self.first_ticks.lock();
        let early = std::mem::take(&mut awaited.early);
        *awaited = FirstTicks {
            generation,
            n_awaited,
            ..FirstTicks::default()
        };
        self.seed_before.store(i64::MAX, Ordering::Relaxed);
        drop(awaited);
        for (generation, at) in early {
            self.first_ticks(generation, at);
        }
    }

    /// Takes what a shard's replay has found; the last to come settles what receivers are told of
    /// alerts of before.
    pub fn replayed(&self, engine: &Engine, effects: &[Effect]) {
        let mut replays = self.replays.lock();
        replays.found.extend(effects.iter().filter_map(alert_event));
        replays.firing.extend(engine.firing());
        replays.n_awaited = replays.n_awaited.saturating_sub(1);
        if replays.n_awaited == 0 {
            let Replays { found, firing, .. } = std::mem::take(&mut *replays);
            self.notify.resume(newest_of_each(found), firing);
        }
    }

    fn first_ticks(&self, generation: Generation, at: TimestampMs) {
        let mut awaited = self.first_ticks.lock();
        if awaited.generation < generation && awaited.early.len() < self.reports.len() {
            awaited.early.push((generation, at));
        }
        if awaited.generation != generation || awaited.n_awaited == 0 {
            return;
        }
        awaited.n_awaited -= 1;
        awaited.newest = awaited.newest.max(Some(at));
        if let Some(newest) = awaited.newest.filter(|_| awaited.n_awaited == 0) {
            self.seed_before.store(newest.0, Ordering::Relaxed);
        }
    }

    /// Hands on what an entry of a shard caused, and empties the list.
    pub fn effects(&self, shard: usize, engine: &mut Engine, effects: &mut Vec<Effect>) {
        let timings = engine.take_timings();
        timings
            .rules_seconds
            .iter()
            .for_each(|s| self.telemetry.rules.rule_evaluated(*s));
        timings
            .groups_seconds
            .iter()
            .for_each(|s| self.telemetry.rules.group_evaluated(*s));
        let (mut alerts, mut recorded) = (Vec::new(), Vec::new());
        for effect in effects.drain(..) {
            say(&effect);
            if let Some(observer) = &self.observer {
                observer(&effect, engine.wall());
            }
            alerts.extend(alert_event(&effect));
            match effect {
                Effect::Recorded { labels, at, value } => {
                    recorded.push(RecordedSample { labels, at, value });
                }
                Effect::FirstTick { generation, at } => self.first_ticks(generation, at),
                _ => {}
            }
        }
        if !alerts.is_empty() {
            self.notify.deliver(alerts);
        }
        if !recorded.is_empty() {
            self.notify.write_back(recorded);
        }
        let Some(report) = self.reports.get(shard) else {
            return;
        };
        let mut report = report.lock();
        report.stats.clone_from(engine.stats());
        report.n_series = engine.series().len();
        report.frontier_hold_seconds = engine.frontier_hold().seconds();
        report.frontier = engine.frontier();
        report.contexts = engine.contexts_built();
        report.n_changes = engine.n_changes();
    }

    /// Notes what the groups of a shard have cost so far.
    pub fn note_measured(&self, shard: usize, engine: &Engine) {
        if let Some(report) = self.reports.get(shard) {
            report.lock().measured = engine.group_seconds();
        }
    }

    /// Returns what all groups have cost, as noted last.
    pub fn measured(&self) -> Measured {
        let reports = self.reports.iter();
        let of = |report: &parking_lot::Mutex<EngineReport>| report.lock().measured.clone();
        reports.flat_map(of).collect()
    }

    /// Returns what each shard's engine said of itself last.
    pub fn reports(&self) -> Vec<EngineReport> {
        let reports = self.reports.iter();
        reports.map(|report| report.lock().clone()).collect()
    }
}

/// Returns what notifiers are told of an effect; nothing where it is not of alerts.
pub fn alert_event(effect: &Effect) -> Option<AlertEvent> {
    match effect {
        Effect::Alert { message, .. } => Some(AlertEvent::State((**message).clone())),
        // Nobody is notified, but a resolution of the same alert is not repeated any more.
        Effect::Pending { labels, .. } => Some(AlertEvent::Pending(labels.clone())),
        Effect::Forget { labels } => Some(AlertEvent::Forget(labels.clone())),
        _ => None,
    }
}

fn say(effect: &Effect) {
    match effect {
        Effect::Pending { labels, at } => info!(alert = %labels, at_ms = at.0, "alert pending"),
        Effect::Alert {
            at,
            message,
            refresh: false,
        } => match message.status {
            AlertStatus::Firing => info!(alert = %message.labels, at_ms = at.0, "alert firing"),
            AlertStatus::Resolved { .. } => {
                info!(alert = %message.labels, at_ms = at.0, "alert resolved");
            }
        },
        Effect::Overran { at, group, overrun } => warn!(
            file = group.file,
            group = group.name,
            at_ms = at.0,
            work = overrun.work,
            limit = overrun.work_max,
            skipped_ticks = overrun.skipped_ticks,
            "the group costs more than it may (limits: group_work); ticks are skipped"
        ),
        Effect::RulesRefused { reasons, .. } => {
            error!(
                reasons = reasons.join("; "),
                "rules from the log do not compile"
            );
        }
        _ => {}
    }
}
