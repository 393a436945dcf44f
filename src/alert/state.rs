//! One alert and its transitions.
//!
//! Two starts are kept (DESIGN 2.6). `tick_since` is Prometheus' ActiveAt: the first of an
//! unbroken run of true ticks. `seen_since` is the first of an unbroken run of true evaluations
//! of any kind. An alert fires at a tick when `tick_since` is as old as `for`, and at any
//! evaluation when `seen_since` is. Only a tick takes an alert back.

use std::sync::Arc;

use crate::model::{DurationMs, Labels, TimestampMs};

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// True, but not yet for as long as `for`.
    Pending,
    /// Firing since an instant of event time, ms.
    Firing {
        /// When it began to fire.
        fired_at: TimestampMs,
    },
}

/// What a step did to an alert that others must hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It is new and waits for `for`.
    BecamePending,
    /// It fires.
    Fired,
    /// It fires as before, but its annotations read differently.
    Refreshed,
    /// It was firing and is taken back.
    Resolved {
        /// When it had begun to fire.
        fired_at: TimestampMs,
    },
    /// It is gone without anybody being told: it was only pending.
    Dropped,
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its labels, `alertname` included; its identity.
    pub labels: Labels,
    /// Its annotations, expanded.
    pub annotations: Arc<[(String, String)]>,
    /// The expression's value; of a native histogram its count.
    pub value: f64,
    /// Pending or firing.
    pub phase: Phase,
    /// Since when it is shown as active, ms.
    pub active_at: TimestampMs,
    /// The first of an unbroken run of true ticks, ms: Prometheus' ActiveAt.
    pub tick_since: Option<TimestampMs>,
    /// The first of an unbroken run of true evaluations, ticks or arrivals, ms.
    pub seen_since: Option<TimestampMs>,
    /// The first tick at which only `keep_firing_for` kept it, ms.
    pub keep_firing_since: Option<TimestampMs>,
    /// Which part of the rule it comes from, where a rule can be taken apart.
    pub part: Option<u64>,
}

impl Alert {
    /// Returns a new pending alert that no evaluation has been counted for yet.
    pub fn new(labels: Labels, annotations: Arc<[(String, String)]>, at: TimestampMs) -> Self {
        Alert {
            labels,
            annotations,
            value: 0.0,
            phase: Phase::Pending,
            active_at: at,
            tick_since: None,
            seen_since: None,
            keep_firing_since: None,
            part: None,
        }
    }

    /// Returns ActiveAt as Prometheus would have it: what `ALERTS_FOR_STATE` holds.
    pub fn active_at_tick(&self) -> TimestampMs {
        self.tick_since.unwrap_or(self.active_at)
    }

    /// Returns since when it fires.
    pub fn fired_at(&self) -> Option<TimestampMs> {
        match self.phase {
            Phase::Pending => None,
            Phase::Firing { fired_at } => Some(fired_at),
        }
    }

    /// Counts an arrival evaluation that found it true.
    pub fn seen(&mut self, at: TimestampMs) {
        if self.seen_since.is_none() {
            self.seen_since = Some(at);
            if self.phase == Phase::Pending && self.tick_since.is_none() {
                self.active_at = at;
            }
        }
    }

    /// Counts a tick that found it true: as Prometheus sees it, as an arrival would, or both.
    pub fn ticked(&mut self, at: TimestampMs, for_prometheus: bool, for_arrival: bool) {
        match (for_prometheus, self.tick_since) {
            (true, None) => self.tick_since = Some(at),
            (false, _) => self.tick_since = None,
            (true, Some(_)) => {}
        }
        if for_prometheus && for_arrival {
            self.seen_since.get_or_insert(at);
        } else {
            self.seen_since = None;
        }
        self.keep_firing_since = None;
    }

    /// Fires if it has been true for `hold`; `at_tick` says which start may count.
    pub fn fire_if_due(&mut self, at: TimestampMs, hold: DurationMs, at_tick: bool) -> bool {
        let is_old = |since: Option<TimestampMs>| since.is_some_and(|since| at - since >= hold);
        let due = is_old(self.seen_since) || (at_tick && is_old(self.tick_since));
        if self.phase == Phase::Pending && due {
            self.phase = Phase::Firing { fired_at: at };
            return true;
        }
        false
    }

    /// Tells whether `keep_firing_for` keeps it at a tick that found it false.
    pub fn keeps_firing(&mut self, at: TimestampMs, keep: DurationMs) -> bool {
        if self.phase == Phase::Pending || keep <= DurationMs::ZERO {
            return false;
        }
        self.seen_since = None;
        at - *self.keep_firing_since.get_or_insert(at) < keep
    }
}
