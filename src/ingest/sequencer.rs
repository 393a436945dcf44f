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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDLE: DurationMs = DurationMs::from_seconds(60);
    const BACKLOG: DurationMs = DurationMs::from_seconds(300);

    fn sequencer() -> Sequencer {
        Sequencer::new(IDLE, BACKLOG)
    }

    type Step<'a> = (i64, &'a [(i64, u32)], Option<i64>);

    /// What `C` is, in seconds, after each step: at a wall clock in seconds, samples as
    /// (seconds, target), or no samples, which is a beat.
    fn check(steps: &[Step<'_>]) {
        let mut sequencer = sequencer();
        for (wall, samples, expected) in steps {
            let wall = TimestampMs(wall * 1000);
            let mut evidence = Evidence::default();
            for (at, target) in *samples {
                let at = TimestampMs(at * 1000);
                if at <= wall {
                    evidence.offer(at, Target(*target));
                }
            }
            if samples.is_empty() {
                sequencer.idle(wall);
            } else {
                sequencer.stamp(evidence, wall);
            }
            let clock = sequencer.clock().map(|clock| clock.0 / 1000);
            assert_eq!(clock, *expected, "{samples:?} at {wall:?} of {steps:?}");
        }
    }

    #[test]
    fn that_the_clock_stands_still_is_said_once() {
        let mut sequencer = sequencer();
        sequencer.set_settle(Some(Settle {
            live: DurationMs::from_seconds(5),
            backlog: DurationMs::from_seconds(60),
        }));
        let at = |seconds: i64| TimestampMs(seconds * 1000);
        let said = |sequencer: &mut Sequencer, seconds: std::ops::Range<i64>| {
            let stamps = seconds.filter_map(|s| Some((s, sequencer.idle(at(s))?.clock?)));
            stamps
                .map(|(s, clock)| (s, clock.0 / 1000))
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&mut sequencer, 980..1000), []);
        sequencer.stamp(one(at(999), 1), at(1000));
        assert_eq!(said(&mut sequencer, 1000..1004), []);
        sequencer.stamp(one(at(990), 2), at(1004));
        let expected = [(1005, 999)];
        assert_eq!(
            said(&mut sequencer, 1004..1020),
            expected,
            "not moved at 1004"
        );
        sequencer.stamp(one(at(1020), 1), at(1020));
        assert_eq!(said(&mut sequencer, 1020..1030), [(1025, 1020)]);
        sequencer.stamp(one(at(1040), 1), at(1200));
        assert_eq!(
            said(&mut sequencer, 1200..1280),
            [(1260, 1040)],
            "in a backlog"
        );
    }

    #[test]
    fn the_first_sample_sets_the_clock_and_newer_ones_move_it() {
        check(&[
            (1000, &[(990, 1)], Some(990)),
            (1001, &[(980, 1)], Some(990)),
            (1010, &[(1005, 1), (1004, 2)], Some(1005)),
        ]);
    }

    #[test]
    fn a_sample_ahead_of_the_wall_clock_never_moves_it() {
        check(&[
            (1000, &[(990, 1)], Some(990)),
            (1001, &[(1002, 1), (1003, 2)], Some(990)),
            (1010, &[(1000, 3)], Some(1000)),
        ]);
    }

    #[test]
    fn a_leap_needs_a_second_target_or_a_second_scrape() {
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5000, &[(4000, 1)], Some(1000)),
            (5000, &[(4000, 1)], Some(1000)),
            (5000, &[(4000, 2)], Some(4000)),
        ]);
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5000, &[(4000, 1)], Some(1000)),
            (5000, &[(4015, 1)], Some(4015)),
        ]);
        // The two leap to different places: the older one is borne out, the newer one waits.
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5000, &[(4900, 1)], Some(1000)),
            (5000, &[(2000, 2)], Some(2000)),
            (5000, &[(2015, 2)], Some(2015)),
            (5000, &[(4910, 3)], Some(4910)),
        ]);
        // In one request.
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5000, &[(4000, 1), (1001, 1)], Some(1001)),
            (5000, &[(1015, 1), (1015, 2)], Some(1015)),
            (5000, &[(4001, 1)], Some(4001)),
        ]);
    }

    #[test]
    fn an_unconfirmed_leap_is_forgotten_once_the_clock_is_past_it() {
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5000, &[(1061, 1)], Some(1000)),
            (5000, &[(1050, 2)], Some(1061)),
            (5000, &[(1100, 3)], Some(1100)),
            (5000, &[(1161, 3)], Some(1100)),
            (5000, &[(1161, 3)], Some(1100)),
        ]);
    }

    #[test]
    fn silence_moves_the_clock_behind_the_wall_clock() {
        check(&[
            (1000, &[(990, 1)], Some(990)),
            (1059, &[], Some(990)),
            (1060, &[], Some(1000)),
            (1061, &[], Some(1001)),
            (1062, &[(1061, 1)], Some(1061)),
            (1121, &[], Some(1061)),
            (1122, &[], Some(1062)),
        ]);
    }

    #[test]
    fn a_backlog_may_be_silent_for_longer() {
        check(&[
            (5000, &[(1000, 1)], Some(1000)),
            (5100, &[], Some(1000)),
            (5299, &[], Some(1000)),
            (5300, &[], Some(5240)),
            (5301, &[], Some(5241)),
        ]);
    }

    #[test]
    fn before_the_first_sample_silence_is_no_news_for_longer() {
        check(&[
            (1000, &[], None),
            (1299, &[], None),
            (1300, &[], Some(1240)),
            (1301, &[(1299, 1)], Some(1299)),
            (1360, &[], Some(1299)),
            (1361, &[], Some(1301)),
        ]);
    }

    /// A wall clock that leaps while samples come, or while none come, changes nothing about when
    /// silence is noticed.
    #[test]
    fn silence_is_time_that_passes_whatever_the_wall_clock_shows() {
        for by in [3_600, -3_600, 45, -45] {
            let mut sequencer = sequencer();
            let at = |seconds: i64| TimestampMs(seconds * 1000);
            let clock = |sequencer: &Sequencer| sequencer.clock().map(|clock| clock.0 / 1000);
            sequencer.stamp(one(at(9_990), 1), at(10_000));
            sequencer.idle(at(10_030));
            sequencer.wall_was_set(DurationMs::from_seconds(by));
            sequencer.idle(at(10_059 + by));
            assert_eq!(
                clock(&sequencer),
                Some(9_990),
                "{by}: a minute has not passed"
            );
            sequencer.idle(at(10_060 + by));
            let expected = (10_000 + by).max(9_990);
            assert_eq!(
                clock(&sequencer),
                Some(expected),
                "{by}: it has, and C never goes back"
            );
        }
    }

    #[test]
    fn a_wall_clock_that_was_set_back_is_believed() {
        let mut sequencer = sequencer();
        let at = |seconds: i64| TimestampMs(seconds * 1000);
        sequencer.stamp(one(at(9_990), 1), at(13_600));
        sequencer.wall_was_set(DurationMs::from_seconds(-3_600));
        let stamp = sequencer.stamp(one(at(10_005), 1), at(10_006));
        assert_eq!((stamp.wall, stamp.clock), (at(10_006), Some(at(10_005))));
    }

    #[test]
    fn stamps_are_numbered_and_their_wall_clock_does_not_go_back() {
        let mut sequencer = sequencer();
        let first = sequencer.stamp_only(TimestampMs(2_000));
        let second = sequencer.stamp_only(TimestampMs(1_000));
        assert_eq!((first.sequence, second.sequence), (1, 2));
        assert_eq!(second.wall, TimestampMs(2_000));
    }

    /// A step of a random run: how far the wall clock goes, and samples as (age, target).
    fn steps() -> impl Strategy<Value = Vec<(i64, Vec<(i64, u32)>)>> {
        let sample = (-2_000i64..400_000, 0u32..4);
        let step = (0i64..90_000, prop::collection::vec(sample, 0..5));
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #[test]
        fn never_back_and_never_beyond_the_wall_clock(steps in steps()) {
            let (mut sequencer, mut wall) = (sequencer(), TimestampMs(10_000_000));
            let mut before = None;
            for (span, samples) in steps {
                wall = wall + DurationMs(span);
                let mut evidence = Evidence::default();
                for (age, target) in samples {
                    let at = wall - DurationMs(age);
                    if at <= wall {
                        evidence.offer(at, Target(target));
                    }
                }
                let stamp = if evidence.is_empty() {
                    sequencer.idle(wall);
                    sequencer.stamp_only(wall)
                } else {
                    sequencer.stamp(evidence, wall)
                };
                prop_assert!(stamp.clock >= before);
                prop_assert!(stamp.clock.is_none_or(|clock| clock <= stamp.wall));
                before = stamp.clock;
            }
        }

        /// However a stream is cut into requests, the clock ends at the same place, and on the
        /// way it is never where one sample alone would have it leap.
        #[test]
        fn cutting_requests_differently_changes_nothing(
            gaps in prop::collection::vec((0i64..70_000, 0u32..3), 1..60),
            cuts in prop::collection::vec(1usize..6, 60),
        ) {
            let wall = TimestampMs(100_000_000);
            let mut at = TimestampMs(1_000_000);
            let stream: Vec<_> = gaps
                .into_iter()
                .map(|(gap, target)| {
                    at = at + DurationMs(gap);
                    (at, Target(target))
                })
                .collect();
            let run = |cuts: &[usize]| {
                let (mut sequencer, mut rest) = (sequencer(), &stream[..]);
                let mut cuts = cuts.iter().cycle();
                while !rest.is_empty() {
                    let n = (*cuts.next().expect("cycles")).min(rest.len());
                    let mut evidence = Evidence::default();
                    rest[..n].iter().for_each(|(at, target)| evidence.offer(*at, *target));
                    sequencer.stamp(evidence, wall);
                    rest = &rest[n..];
                }
                sequencer.clock()
            };
            prop_assert_eq!(run(&[1]), run(&cuts));
        }

        #[test]
        fn one_bad_sample_never_leaps_the_clock(
            good in prop::collection::vec((1i64..15_000, 0u32..3), 1..40),
            bad in (60_001i64..10_000_000, 0u32..4),
            bad_at in 1usize..40,
        ) {
            let wall = TimestampMs(100_000_000);
            let mut sequencer = sequencer();
            let mut at = TimestampMs(1_000_000);
            sequencer.stamp(one(at, 0), wall);
            for (n, (gap, target)) in good.into_iter().enumerate() {
                if n + 1 == bad_at {
                    let leap = sequencer.clock().expect("set") + DurationMs(bad.0);
                    sequencer.stamp(one(leap, bad.1), wall);
                    prop_assert_eq!(sequencer.clock(), Some(at));
                }
                at = at + DurationMs(gap);
                sequencer.stamp(one(at, target), wall);
                let clock = sequencer.clock().expect("set");
                // Past the good samples only as far as an ordinary step goes.
                prop_assert!(clock >= at && clock - at <= IDLE);
            }
        }

        /// Two pairs are enough: the evidence of a request is the same as that of its two newest
        /// distinct pairs found by sorting.
        #[test]
        fn evidence_is_the_two_newest_distinct_pairs(
            pairs in prop::collection::vec((0i64..6, 0u32..3), 0..20),
        ) {
            let mut evidence = Evidence::default();
            for (at, target) in &pairs {
                evidence.offer(TimestampMs(*at), Target(*target));
            }
            let mut distinct = pairs;
            distinct.sort_unstable();
            distinct.dedup();
            distinct.reverse();
            let newest = evidence.newest.map(|(at, _)| at.0);
            let second = evidence.second.map(|(at, _)| at.0);
            prop_assert_eq!(newest, distinct.first().map(|pair| pair.0));
            prop_assert_eq!(second, distinct.get(1).map(|pair| pair.0));
            if let (Some(newest), Some(second)) = (evidence.newest, evidence.second) {
                prop_assert_ne!(newest, second);
            }
        }
    }

    fn one(at: TimestampMs, target: u32) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.offer(at, Target(target));
        evidence
    }
}
