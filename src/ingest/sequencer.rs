//! The event-time clock `C` of a node: one state machine, no lock, no wall clock of its own.
//!
//! `C` is the newest valid sample timestamp received, read by a rule or not; it never passes the
//! wall clock it is told and never goes back. Two guards stand against broken senders:
//!
//! - A sample ahead of the wall clock is stored by others but is no [`Evidence`] here.
//! - A leap of more than `idle_timeout` beyond `C` needs two pieces of evidence that differ in
//!   target or in timestamp (a second scrape). `C` then moves to the older of the two newest and
//!   on from there by the ordinary rule. One piece alone waits until `C` passes it.
//!
//! When nothing comes, `C` follows the wall clock at a distance of `idle_timeout`, so that rules
//! notice absence; but not at once where silence is no news: in a backlog, or before the first
//! sample, only after `backlog_timeout`.
//!
//! Cost: O(1) per stamp.

use crate::model::{DurationMs, Stamp, TimestampMs};

/// The target of a sample: a hash of its job and instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(pub u32);

/// What a request proves about time: its two newest distinct pairs of timestamp and target that
/// are not ahead of the wall clock. More would not change what the sequencer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    newest: Option<(TimestampMs, Target)>,
    second: Option<(TimestampMs, Target)>,
}

impl Evidence {
    /// Adds a valid sample. The caller leaves out what is ahead of the wall clock.
    #[inline]
    pub fn offer(&mut self, at: TimestampMs, target: Target) {
        // Nearly all samples of a request end here: older than, or as old as, the two newest.
        if self.second.is_some_and(|(second, _)| at <= second) {
            return;
        }
        let pair = (at, target);
        match self.newest {
            Some(newest) if newest == pair => {}
            Some(newest) if newest.0 >= at => self.second = Some(pair),
            newest => {
                self.second = newest;
                self.newest = Some(pair);
            }
        }
    }

    /// Adds what another part of the request proves.
    pub fn merge(&mut self, other: Evidence) {
        for (at, target) in [other.newest, other.second].into_iter().flatten() {
            self.offer(at, target);
        }
    }

    /// Tells whether there was no sample.
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Returns the newest timestamp, ms.
    pub fn newest_at(&self) -> Option<TimestampMs> {
        self.newest.map(|(at, _)| at)
    }
}

/// Gives stamps: sequence number, wall clock, event-time clock.
#[derive(Clone, Debug)]
pub struct Sequencer {
    idle_timeout: DurationMs,
    backlog_timeout: DurationMs,
    sequence: u64,
    clock: Option<TimestampMs>,
    /// A leap that nothing has confirmed yet, newer than `clock` by more than `idle_timeout`.
    unconfirmed: Option<(TimestampMs, Target)>,
    /// The wall clock when something was last accepted; of a fresh start, when it was first told.
    quiet_since: Option<TimestampMs>,
    /// Whether silence since `quiet_since` is news only after `backlog_timeout`.
    patient: bool,
}

impl Sequencer {
    /// Returns a sequencer that has seen nothing.
    pub fn new(idle_timeout: DurationMs, backlog_timeout: DurationMs) -> Self {
        Sequencer {
            idle_timeout,
            backlog_timeout,
            sequence: 0,
            clock: None,
            unconfirmed: None,
            quiet_since: None,
            patient: true,
        }
    }

    /// Returns the event-time clock `C`, ms; `None` before the first sample.
    pub fn clock(&self) -> Option<TimestampMs> {
        self.clock
    }

    /// Stamps an accepted request by what it proves.
    pub fn stamp(&mut self, evidence: Evidence, wall: TimestampMs) -> Stamp {
        if !evidence.is_empty() {
            self.advance(evidence);
            self.quiet_since = Some(wall);
            self.patient = self.clock.is_none_or(|c| wall - c > self.idle_timeout);
        }
        self.next_stamp(wall)
    }

    /// Stamps an entry that proves nothing about time, such as a loaded rule set.
    pub fn stamp_only(&mut self, wall: TimestampMs) -> Stamp {
        self.quiet_since.get_or_insert(wall);
        self.next_stamp(wall)
    }

    /// Moves the clock on where nothing has come for long enough. Call it regularly; returns a
    /// stamp only when the clock moved.
    pub fn idle(&mut self, wall: TimestampMs) -> Option<Stamp> {
        let quiet_since = *self.quiet_since.get_or_insert(wall);
        let timeout = if self.patient {
            self.backlog_timeout.max(self.idle_timeout)
        } else {
            self.idle_timeout
        };
        if wall - quiet_since < timeout {
            return None;
        }
        let moved_to = wall - self.idle_timeout;
        if self.clock.is_some_and(|clock| clock >= moved_to) {
            return None;
        }
        self.move_to(moved_to);
        Some(self.next_stamp(wall))
    }

    /// Takes up a clock and a sequence found in a durable log.
    pub fn resume(&mut self, last: &Stamp) {
        self.sequence = self.sequence.max(last.sequence);
        self.clock = self.clock.max(last.clock);
    }

    fn advance(&mut self, evidence: Evidence) {
        let mut proof = evidence;
        if let Some((at, target)) = self.unconfirmed {
            proof.offer(at, target);
        }
        if let Some((second, _)) = proof.second {
            // The newer of the two bears the older one out, however far it leaps.
            self.move_to(second);
        }
        let Some(newest) = proof.newest else { return };
        match self.clock {
            Some(clock) if newest.0 - clock > self.idle_timeout => {
                self.unconfirmed = Some(newest);
            }
            _ => self.move_to(newest.0),
        }
    }

    fn move_to(&mut self, at: TimestampMs) {
        self.clock = self.clock.max(Some(at));
        if self
            .unconfirmed
            .is_some_and(|(leap, _)| Some(leap) <= self.clock)
        {
            self.unconfirmed = None;
        }
    }

    fn next_stamp(&mut self, wall: TimestampMs) -> Stamp {
        self.sequence += 1;
        Stamp {
            sequence: self.sequence,
            wall,
            clock: self.clock,
        }
    }
}
