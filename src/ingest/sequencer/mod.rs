//! The event-time clock `C` of a node: one state machine, no lock, no wall clock of its own.
//!
//! `C` is the newest valid sample timestamp received, read by a rule or not; it never passes the
//! wall clock it is told and never goes back. Two guards stand against broken senders:
//!
//! - A sample ahead of the wall clock is stored by others and proves nothing here until the wall
//!   clock has come to it; so a sender whose clock is a little ahead of ours is followed at the
//!   pace of ours.
//! - A leap of more than `idle_timeout` beyond `C` needs two pieces of evidence that differ in
//!   target or in timestamp (a second scrape). `C` then moves to the older of the two newest and
//!   on from there by the ordinary rule. One piece alone waits until `C` passes it.
//!
//! When nothing comes, `C` follows the wall clock at a distance of `idle_timeout`, so that rules
//! notice absence; but not at once where silence is no news: in a backlog, or before the first
//! sample, only after `backlog_timeout`.
//!
//! Silence is time that passes: where the wall clock is set, forward or back, it is told so
//! ([`Sequencer::wall_was_set`]), and neither is absence seen that is none, nor is real absence
//! seen an hour late.
//!
//! Where it is told to ([`Sequencer::set_settle`]) it also says, once, that `C` has stood still for
//! so long that no rest of a scrape is waited for any more: by a stamp that does not move `C`.
//!
//! Cost: O(1) per stamp.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::model::{DurationMs, Stamp, TimestampMs};

/// The most samples from ahead of the wall clock that are remembered.
const AHEAD_MAX: usize = 256;

/// The target of a sample: a hash of its job and instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(pub u32);

/// What a request proves about time: its two newest distinct pairs of timestamp and target that
/// are not ahead of the wall clock, and the two newest that are. More would not change what the
/// sequencer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    newest: Option<(TimestampMs, Target)>,
    second: Option<(TimestampMs, Target)>,
    ahead: [Option<(TimestampMs, Target)>; 2],
}

impl Evidence {
    /// Adds a valid sample that was received at `wall`. One ahead of the wall clock proves
    /// nothing yet; it does once the wall clock has come to it.
    #[inline]
    pub fn hear(&mut self, at: TimestampMs, target: Target, wall: TimestampMs) {
        if at <= wall {
            self.offer(at, target);
        } else if !self.ahead.contains(&Some((at, target))) {
            let oldest = usize::from(self.ahead[1] < self.ahead[0]);
            self.ahead[oldest] = self.ahead[oldest].max(Some((at, target)));
        }
    }

    /// Adds a valid sample that is not ahead of the wall clock.
    #[inline]
    fn offer(&mut self, at: TimestampMs, target: Target) {
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

    /// Tells whether there was no sample.
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }
}

/// How long the rest of a scrape is waited for, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Usually, ms.
    pub live: DurationMs,
    /// When event time is behind the wall clock by more than `idle_timeout`, ms.
    pub backlog: DurationMs,
}

/// Gives stamps: sequence number, wall clock, event-time clock.
#[derive(Clone, Debug)]
pub struct Sequencer {
    idle_timeout: DurationMs,
    backlog_timeout: DurationMs,
    sequence: u64,
    /// The wall clock of the last stamp. Requests that waited for their turn, and a clock that
    /// is set back, bring an older one; stamps do not go back.
    wall: TimestampMs,
    clock: Option<TimestampMs>,
    /// Samples ahead of the wall clock, whose time has not come; from a sender whose clock is
    /// ahead of ours. Bounded: beyond [`AHEAD_MAX`] the newest are not remembered.
    ahead: BTreeSet<(TimestampMs, Target)>,
    /// A leap that nothing has confirmed yet, newer than `clock` by more than `idle_timeout`.
    unconfirmed: Option<(TimestampMs, Target)>,
    /// The wall clock when something was last accepted; of a fresh start, when it was first told.
    quiet_since: Option<TimestampMs>,
    /// Whether silence since `quiet_since` is news only after `backlog_timeout`.
    patient: bool,
    settle: Option<Settle>,
    /// The clock of the last stamp, and the wall clock when it was stamped first.
    stamped: Option<(TimestampMs, TimestampMs)>,
    /// The last clock of which was said that it stands still.
    said_still: Option<TimestampMs>,
}

impl Sequencer {
    /// Returns a sequencer that has seen nothing.
    pub fn new(idle_timeout: DurationMs, backlog_timeout: DurationMs) -> Self {
        Sequencer {
            idle_timeout,
            backlog_timeout,
            sequence: 0,
            wall: TimestampMs::MIN,
            clock: None,
            ahead: BTreeSet::new(),
            unconfirmed: None,
            quiet_since: None,
            patient: true,
            settle: None,
            stamped: None,
            said_still: None,
        }
    }

    /// Goes on from the newest stamp of an earlier process.
    pub fn resume(&mut self, newest: Stamp) {
        self.sequence = newest.sequence;
        self.wall = newest.wall;
        self.clock = newest.clock;
    }

    /// Says from when on [`Sequencer::idle`] tells that the clock stands still.
    pub fn set_settle(&mut self, settle: Option<Settle>) {
        self.settle = settle;
    }

    /// Returns the event-time clock `C`, ms; `None` before the first sample.
    pub fn clock(&self) -> Option<TimestampMs> {
        self.clock
    }

    /// Stamps an accepted request by what it proves.
    pub fn stamp(&mut self, evidence: Evidence, wall: TimestampMs) -> Stamp {
        let mut evidence = evidence;
        self.ahead.extend(evidence.ahead.into_iter().flatten());
        while self.ahead.len() > AHEAD_MAX {
            self.ahead.pop_last();
        }
        self.recall(&mut evidence, wall);
        self.take(evidence, wall);
        self.next_stamp(wall)
    }

    /// Adds the samples whose time has come.
    fn recall(&mut self, evidence: &mut Evidence, wall: TimestampMs) {
        while let Some((at, target)) = self.ahead.first().copied().filter(|(at, _)| *at <= wall) {
            self.ahead.pop_first();
            evidence.offer(at, target);
        }
    }

    fn take(&mut self, evidence: Evidence, wall: TimestampMs) {
        if !evidence.is_empty() {
            self.advance(evidence);
            self.quiet_since = Some(wall);
            self.patient = self.clock.is_none_or(|c| wall - c > self.idle_timeout);
        }
    }

    /// Stamps an entry that proves nothing about time, such as a loaded rule set.
    pub fn stamp_only(&mut self, wall: TimestampMs) -> Stamp {
        self.quiet_since.get_or_insert(wall);
        self.next_stamp(wall)
    }

    /// Moves the clock on where nothing has come for long enough, or where the time of a sample
    /// from ahead has come. Call it regularly; returns a stamp only when the clock moved, or is to
    /// be said to stand still.
    pub fn idle(&mut self, wall: TimestampMs) -> Option<Stamp> {
        let (before, mut evidence) = (self.clock, Evidence::default());
        self.recall(&mut evidence, wall);
        self.take(evidence, wall);
        if self.clock > before {
            return Some(self.next_stamp(wall));
        }
        let quiet_since = *self.quiet_since.get_or_insert(wall);
        let timeout = if self.patient {
            self.backlog_timeout.max(self.idle_timeout)
        } else {
            self.idle_timeout
        };
        let moved_to = wall - self.idle_timeout;
        let is_behind = self.clock.is_none_or(|clock| clock < moved_to);
        if wall - quiet_since >= timeout && is_behind {
            self.move_to(moved_to);
            return Some(self.next_stamp(wall));
        }
        let stands_still = self.stands_still(is_behind, wall);
        stands_still.then(|| {
            self.said_still = self.clock;
            self.next_stamp(wall)
        })
    }

    /// Tells whether it is time to say that the clock stands still.
    fn stands_still(&self, is_behind: bool, wall: TimestampMs) -> bool {
        let (Some(settle), Some((clock, since))) = (self.settle, self.stamped) else {
            return false;
        };
        let settle = if is_behind {
            settle.backlog
        } else {
            settle.live
        };
        self.said_still != Some(clock) && wall - since >= settle
    }

    /// The wall clock was set by so much, while no time passed: silence is no longer and no shorter
    /// for it. What the clock shows is believed from then on, also where it went back.
    pub fn wall_was_set(&mut self, by: DurationMs) {
        if let Some(since) = &mut self.quiet_since {
            *since = *since + by;
            // What seemed a backlog by a clock that was ahead is none.
            let lag = self.clock.map(|clock| *since - clock);
            self.patient &= lag.is_none_or(|lag| lag > self.idle_timeout);
        }
        if let Some((_, since)) = &mut self.stamped {
            *since = *since + by;
        }
        if by.0 < 0 {
            self.wall = TimestampMs(self.wall.0.saturating_add(by.0));
        }
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
        self.wall = self.wall.max(wall);
        if let Some(clock) = self.clock
            && self.stamped.is_none_or(|(stamped, _)| stamped != clock)
        {
            self.stamped = Some((clock, self.wall));
        }
        Stamp {
            sequence: self.sequence,
            wall: self.wall,
            clock: self.clock,
        }
    }
}
