//! What an engine wants done in the world.

use crate::engine::budget::Overrun;
use crate::model::{AlertMessage, Generation, GroupKey, Labels, SampleValue, TimestampMs};

/// One thing to be done, said without any wall-clock time.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An alert became pending: nobody is notified, but logs and displays show it.
    Pending {
        /// Event time, ms.
        at: TimestampMs,
        /// The alert's labels.
        labels: Labels,
    },
    /// A pending alert is gone: nobody had been notified.
    Dropped {
        /// Event time, ms.
        at: TimestampMs,
        /// The alert's labels.
        labels: Labels,
    },
    /// An alert's newest state, to be delivered: it fired, reads differently, or is resolved.
    Alert {
        /// Event time, ms.
        at: TimestampMs,
        /// `true` when it only reads differently.
        refresh: bool,
        /// What to deliver.
        message: Box<AlertMessage>,
    },
    /// An alert is no longer ours to speak of (its rule is gone, failed its limit, or waits
    /// again): no more is sent, receivers let it expire.
    Forget {
        /// The alert's labels.
        labels: Labels,
    },
    /// A sample that a rule wrote, for write-back. A vanished series has a stale marker.
    Recorded {
        /// The series, metric name included.
        labels: Labels,
        /// Its timestamp, ms.
        at: TimestampMs,
        /// Its value.
        value: SampleValue,
    },
    /// Every group of the rule set has made its first tick: from here on outside samples of
    /// recorded names are not taken any more.
    FirstTick {
        /// The rule set.
        generation: Generation,
        /// The last of these ticks, ms.
        at: TimestampMs,
    },
    /// A tick of a group cost more than one may: ticks are skipped to make up for it.
    Overran {
        /// Event time, ms.
        at: TimestampMs,
        /// The group.
        group: GroupKey,
        /// By how much.
        overrun: Overrun,
    },
    /// A rule set from the log does not compile; the one before stays.
    RulesRefused {
        /// The rule set.
        generation: Generation,
        /// Why.
        reasons: Vec<String>,
    },
}

/// Counts since the engine was made; never part of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples appended.
    pub samples: u64,
    /// Samples that came behind the frontier.
    pub samples_late: u64,
    /// Samples that were in history already.
    pub samples_duplicate: u64,
    /// Samples that history refused: another value at that instant, or too old.
    pub samples_refused: u64,
    /// Outside samples of names that a rule records.
    pub samples_recorded_outside: u64,
    /// Scrapes that were not whole in time.
    pub scrapes_late: u64,
    /// Samples read from history by evaluations.
    pub samples_scanned: u64,
    /// Evaluations of which parts were left out, at arrivals all of them: they raised no alert, and
    /// neither time alone nor samples can have changed that.
    pub evaluations_spared: u64,
    /// Samples that were put before a series' first one.
    pub samples_past: u64,
    /// Selectors whose past was put in.
    pub pasts_taken: u64,
    /// Pasts that could not be read to their end.
    pub pasts_broken: u64,
}

/// How long evaluations took by the stopwatch, since last asked; never part of a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// Seconds of each rule evaluation, at ticks and on arrival.
    pub rules_seconds: Vec<f64>,
    /// Seconds of each tick of a group.
    pub groups_seconds: Vec<f64>,
}

impl Timings {
    /// Beyond this many nothing is added until somebody asks.
    pub const KEPT_MAX: usize = 100_000;

    /// Notes one evaluation of a rule.
    pub fn add_rule(&mut self, seconds: f64) {
        if self.rules_seconds.len() < Timings::KEPT_MAX {
            self.rules_seconds.push(seconds);
        }
    }

    /// Notes one tick of a group.
    pub fn add_group(&mut self, seconds: f64) {
        if self.groups_seconds.len() < Timings::KEPT_MAX {
            self.groups_seconds.push(seconds);
        }
    }
}
