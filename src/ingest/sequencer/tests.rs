//! Where `C` goes, told in small tables and as properties of random streams.

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
