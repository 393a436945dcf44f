//! What an engine says about its rules and alerts when asked.

use crate::model::{DurationMs, Labels, TimestampMs};

/// Where an alert stands; ordered, so that a rule's state is the highest of its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum AlertState {
    Unknown,
    Inactive,
    Pending,
    Firing,
}

impl AlertState {
    /// Returns the word of the API.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Unknown => "unknown",
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// How a rule's last evaluation went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuleHealth {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// Fine.
    Ok,
    /// Failed, with the reason.
    Err(String),
}

/// A pending or firing alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    /// Labels with `alertname`, without external labels.
    pub labels: Labels,
    /// Annotations, expanded.
    pub annotations: Vec<(String, String)>,
    /// Pending or firing.
    pub state: AlertState,
    /// Since when it is active, ms.
    pub active_at: TimestampMs,
    /// Since when it is firing, ms.
    pub fired_at: Option<TimestampMs>,
    /// Since when only `keep_firing_for` keeps it, ms.
    pub keep_firing_since: Option<TimestampMs>,
    /// The value; of a histogram its count.
    pub value: f64,
}

/// A rule and how it does.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    /// The record or alert name.
    pub name: String,
    /// The expression, canonical.
    pub query: String,
    /// Labels as written, the group's merged under the rule's.
    pub labels: Vec<(String, String)>,
    /// How the last evaluation went.
    pub health: RuleHealth,
    /// Wall seconds the last evaluation took.
    pub evaluation_seconds: f64,
    /// Event time of the last evaluation, ms.
    pub last_evaluation: Option<TimestampMs>,
    /// Event time since which all that it reads is kept, ms.
    pub kept_since: Option<TimestampMs>,
    /// `true` when it may not fire while it lacks history (DESIGN 2.12).
    pub held_while_warming: bool,
    /// Event time until which windows or selectors lack history, ms.
    pub warming_until: Option<TimestampMs>,
    /// `true` when it calls detectors, which can be told to learn anew.
    pub learns: bool,
    /// Event time from which on its detectors learn anew, where they were told, ms.
    pub learns_since: Option<TimestampMs>,
    /// Only of alerting rules.
    pub alerting: Option<AlertingStatus>,
}

/// What only an alerting rule has.
#[derive(Clone, Debug)]
pub struct AlertingStatus {
    /// The highest of its alerts' states.
    pub state: AlertState,
    /// `for`
    pub hold: DurationMs,
    /// `keep_firing_for`
    pub keep_firing: DurationMs,
    /// Annotations as written.
    pub annotations: Vec<(String, String)>,
    /// Its pending and firing alerts.
    pub alerts: Vec<AlertView>,
}

/// A group and how it does. Counts are since start.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// The file's path.
    pub file: String,
    /// The group's name.
    pub name: String,
    /// How often it ticks, ms.
    pub interval: DurationMs,
    /// The most alerts or series a rule may yield; 0 = no limit.
    pub limit: usize,
    /// `true` when arrival evaluation is on.
    pub on_arrival: bool,
    /// Wall seconds of the last tick.
    pub evaluation_seconds: f64,
    /// Event time of the last tick, ms.
    pub last_evaluation: Option<TimestampMs>,
    /// Ticks, missed ones included.
    pub iterations: u64,
    /// Ticks that were not made.
    pub iterations_missed: u64,
    /// Rule evaluations, at ticks and on arrival.
    pub evaluations: u64,
    /// Rule evaluations that failed.
    pub evaluation_failures: u64,
    /// Samples the last tick yielded.
    pub last_samples: usize,
    /// What it costs, and what it may.
    pub cost: GroupCost,
    /// The rules, in order.
    pub rules: Vec<RuleStatus>,
}

/// What a group costs, in elements and samples that its evaluations look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCost {
    /// What the last tick cost.
    pub last: u64,
    /// What a tick may cost; `None` = any amount.
    pub max: Option<u64>,
    /// Ticks that cost more, since start.
    pub overruns: u64,
    /// Ticks still to be skipped to make up for it.
    pub skipped_ticks: u64,
}

impl GroupCost {
    /// Says that ticks are skipped, and why, if they are.
    pub fn complaint(&self) -> Option<String> {
        let max = self.max.filter(|_| self.skipped_ticks > 0)?;
        let GroupCost {
            last,
            skipped_ticks,
            ..
        } = self;
        Some(format!(
            "the group's last evaluation looked at {last} elements and samples, its limit is \
             {max} (group_work): skipped for {skipped_ticks} more ticks"
        ))
    }
}
