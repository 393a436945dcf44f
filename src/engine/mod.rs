//! The deterministic whole: [`Engine::apply`]`(entry) -> effects`.
//!
//! An engine owns the series, the rules and the alerts of one shard. It reads no clock, socket,
//! file or random number: time comes stamped in the entries, effects leave as values. The same
//! log therefore gives the same effects, which is what replay, unit tests and the property
//! tests stand on. The one thing handed in from outside is a stopwatch, whose readings go to
//! [`GroupStatus`] and nowhere else.
//!
//! Called by `server::pipeline` for serving, by the rule unit tests, and by nobody else.

mod advance;
mod alert_difference;
mod ask;
pub mod assignment;
mod backfill;
mod baselines;
mod budget;
pub mod checkpoint;
pub mod cohort;
pub mod compile;
pub mod compiled_rule;
mod context;
mod effect;
mod evaluate;
mod expectation;
pub mod explain;
pub mod grid;
mod handles;
mod headroom;
mod kept_since;
mod learning;
pub mod part_lists;
mod partitions;
pub mod reads;
mod reload;
mod rule_value;
mod samples;
pub mod status;
mod step;
mod subquery;
#[cfg(test)]
mod subquery_tests;
pub mod unit_test;

pub use crate::rule::RuleError;
pub use crate::rule::baseline::is_baseline;
pub use backfill::Lacking;
pub use budget::Overrun;
pub use compile::{CompiledRules, compile, features};
pub use context::{CHANGES_TOTAL, ContextAnswer, LAST_CHANGE};
pub use effect::{Effect, Stats, Timings};
pub use evaluate::{Leaves, View};
pub use rule_value::RuleValue;
pub use status::{
    AlertState, AlertView, AlertingStatus, GroupCost, GroupStatus, RuleHealth, RuleStatus,
};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::alert::ActiveAlerts;
use crate::context::ContextState;
use crate::engine::budget::Budget;
use crate::engine::checkpoint::Saving;
use crate::engine::cohort::Cohorts;
use crate::engine::compiled_rule::{GroupIndex, RuleIndex};
use crate::engine::handles::{HandleByPlace, HandleTable};
use crate::engine::learning::LearnsSince;
use crate::engine::part_lists::PartLists;
use crate::engine::partitions::Partitions;
use crate::engine::samples::{Readers, SeriesState};
use crate::eval::{EvalOptions, LiveState};
use crate::history::ColdStore;
use crate::model::{
    DurationMs, EngineSettings, Entry, Generation, Labels, LabelsMap, RuleSource, SeriesHandle,
    Stamp, TimestampMs,
};
use crate::series::SeriesStore;

/// Reads a stopwatch, in seconds from any origin; for reports only.
pub type Stopwatch<'a> = &'a dyn Fn() -> f64;

/// What a rule did last, and what it holds.
#[derive(Clone, Debug, Default)]
struct RuleState {
    alerts: ActiveAlerts,
    /// The series its last tick wrote, with their places in the store.
    written: LabelsMap<usize>,
    health: RuleHealth,
    evaluation_seconds: f64,
    last_evaluation: Option<TimestampMs>,
    /// Set by a reload that raised `for`; the next tick looks.
    hold_raised: bool,
    /// Whether its alerts know which part of the rule they come from: from the first tick on.
    knows_parts: bool,
}

/// What a group did last.
#[derive(Clone, Debug, Default)]
struct GroupState {
    next_tick: Option<TimestampMs>,
    evaluation_seconds: f64,
    last_evaluation: Option<TimestampMs>,
    iterations: u64,
    iterations_missed: u64,
    evaluations: u64,
    evaluation_failures: u64,
    last_samples: usize,
    /// Seconds by the stopwatch that evaluations took since start; for reports only.
    busy_seconds: f64,
    budget: Budget,
}

/// One shard's state machine.
pub struct Engine {
    settings: EngineSettings,
    options: EvalOptions,
    generation: Generation,
    /// The rule set as it came.
    source: Arc<RuleSource>,
    rules: CompiledRules,
    rule_states: Vec<RuleState>,
    group_states: Vec<GroupState>,

    store: SeriesStore,
    /// The windows over the series; evaluations move them along.
    live: RefCell<LiveState>,
    leaves: Leaves,
    handles: HandleTable<SeriesState>,
    by_place: HandleByPlace,
    /// Labels of the series that have a handle and are no longer in the store.
    asleep: HashMap<SeriesHandle, Labels>,
    part_lists: PartLists,
    readers: Readers,
    /// How long series are kept that have only a past, by place, ms.
    kept_past: HashMap<usize, DurationMs>,
    partitions: Partitions,
    cohorts: Cohorts,

    /// The newest stamp applied.
    stamp: Option<Stamp>,
    /// `F`: everything up to here has been evaluated.
    frontier: Option<TimestampMs>,
    /// Timestamps beyond the frontier at which samples wait that move rules, with their series.
    waiting: BTreeMap<TimestampMs, Vec<SeriesHandle>>,
    /// Series with samples that came behind the frontier.
    moved_late: Vec<SeriesHandle>,
    /// Ticks to come.
    ticks: BTreeSet<(TimestampMs, GroupIndex)>,
    /// Instants at which a pending alert may be due, by rule and by the part of it that the alert
    /// comes from, if that is known.
    timers: BTreeSet<(TimestampMs, RuleIndex, Option<u64>)>,
    /// Of baselines, until when no samples are written: a leap of the clock leaves them out.
    baselines_after: TimestampMs,
    /// Series of removed rules that are to be ended, and when.
    endings: BTreeSet<(TimestampMs, Labels)>,
    /// Since when each selector is kept, by its text.
    kept_since: BTreeMap<String, TimestampMs>,
    /// From when on each rule has the history that it looks back on; follows from `kept_since`.
    warm_from: Vec<Option<TimestampMs>>,
    /// Since when all that each rule reads is kept; follows from `kept_since` too.
    all_kept_since: Vec<Option<TimestampMs>>,
    /// Groups that have not ticked since the rules were loaded.
    unticked: BTreeSet<GroupIndex>,
    /// Whether ticks wait until what they read has settled, and arrivals do not matter.
    ticks_when_settled: bool,
    /// The clock at which event time was last said to stand still: nothing older is waited for.
    settled: Option<TimestampMs>,
    /// How long recorded series are kept, ms.
    recorded_keep: DurationMs,
    stats: Stats,
    /// Elements and samples that evaluations have looked at.
    work: u64,
    timings: Timings,
    /// What contexts of alerts are built from, beside series, and those that were built.
    context: ContextState,
    /// From when on the detectors of rules learn that were reset.
    learns_since: LearnsSince,
    /// The checkpoint that is being made.
    saving: Option<Box<Saving>>,
}

impl Engine {
    /// Returns an engine without rules; the first entry of a log brings them.
    pub fn new() -> Self {
        Engine {
            settings: EngineSettings::default(),
            options: EvalOptions::default(),
            generation: Generation::default(),
            source: Arc::default(),
            rules: CompiledRules::default(),
            rule_states: Vec::new(),
            group_states: Vec::new(),
            store: SeriesStore::default(),
            live: RefCell::default(),
            leaves: Leaves::default(),
            handles: HandleTable::default(),
            by_place: HandleByPlace::default(),
            asleep: HashMap::new(),
            part_lists: PartLists::default(),
            readers: Readers::default(),
            kept_past: HashMap::new(),
            partitions: Partitions::default(),
            cohorts: Cohorts::default(),
            stamp: None,
            frontier: None,
            waiting: BTreeMap::new(),
            moved_late: Vec::new(),
            ticks: BTreeSet::new(),
            timers: BTreeSet::new(),
            baselines_after: TimestampMs::MIN,
            endings: BTreeSet::new(),
            kept_since: BTreeMap::new(),
            warm_from: Vec::new(),
            all_kept_since: Vec::new(),
            unticked: BTreeSet::new(),
            ticks_when_settled: false,
            settled: None,
            recorded_keep: DurationMs::ZERO,
            stats: Stats::default(),
            work: 0,
            timings: Timings::default(),
            context: ContextState::default(),
            learns_since: LearnsSince::new(),
            saving: None,
        }
    }

    /// Lets history that is not new go to a store; without one, all of it stays in memory.
    pub fn set_cold_store(&mut self, cold: Arc<dyn ColdStore>) {
        self.store.set_cold_store(cold);
    }

    /// Applies one entry of the log and appends what is to be done to `effects`.
    pub fn apply(&mut self, entry: &Entry, stopwatch: Stopwatch<'_>, effects: &mut Vec<Effect>) {
        self.take(entry, effects);
        self.evaluate(stopwatch, effects);
    }

    /// The first half of [`Engine::apply`], **series** and **windows**: takes an entry in.
    pub fn take(&mut self, entry: &Entry, effects: &mut Vec<Effect>) {
        match entry {
            Entry::Samples { stamp, batch, .. } => {
                self.start_frontier(batch, stamp);
                self.stamp = Some(*stamp);
                self.take_samples(batch);
            }
            Entry::Clock { stamp } => {
                if self.clock() == stamp.clock {
                    self.settled = stamp.clock;
                }
                self.stamp = Some(*stamp);
            }
            Entry::Rules {
                stamp,
                generation,
                rules,
            } => {
                self.stamp = Some(*stamp);
                self.adopt(*generation, rules, effects);
            }
            Entry::Past { stamp, past } => {
                self.stamp = Some(*stamp);
                self.take_past(past);
            }
            Entry::Change { stamp, change } => {
                self.stamp = Some(*stamp);
                self.take_change(change, effects);
            }
            Entry::Reset { stamp, reset } => {
                self.stamp = Some(*stamp);
                self.take_reset(reset);
            }
        }
    }

    /// The second half, **evaluate** and **alerts**: moves the frontier as far as it may go.
    pub fn evaluate(&mut self, stopwatch: Stopwatch<'_>, effects: &mut Vec<Effect>) {
        self.advance(stopwatch, effects);
    }

    /// Returns `F`, the instant up to which everything has been evaluated, ms.
    pub fn frontier(&self) -> Option<TimestampMs> {
        self.frontier
    }

    /// Returns the event-time clock `C` of the newest entry, ms.
    pub fn clock(&self) -> Option<TimestampMs> {
        self.stamp.and_then(|stamp| stamp.clock)
    }

    /// Returns the wall clock of the newest entry, ms.
    pub fn wall(&self) -> TimestampMs {
        self.stamp.map_or(TimestampMs(0), |stamp| stamp.wall)
    }

    /// Returns the newest rule set's number.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns counts since the engine was made.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns how long evaluations took since last asked.
    pub fn take_timings(&mut self) -> Timings {
        std::mem::take(&mut self.timings)
    }

    /// Returns the series.
    pub fn series(&self) -> &SeriesStore {
        &self.store
    }

    /// Tells whether event time is so far behind the wall clock that this is a backlog.
    fn in_backlog(&self) -> bool {
        self.stamp.is_some_and(|stamp| {
            stamp
                .clock
                .is_some_and(|clock| stamp.wall - clock > self.settings.idle_timeout)
        })
    }
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}
