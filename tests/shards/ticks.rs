//! `evaluation: tick`: byte for byte the same for any number of processes and shards.

use proptest::prelude::*;

use burnwatch::model::{DurationMs, EngineSettings, EvaluationMode, Grid, TimestampMs};

use crate::load::{RULES, Request};
use crate::processes::{Process, START, at, loaded, n_fired, play, sent};

const COMES: [&str; 2] = ["up{job=comes,instance=1}", "level{job=comes,kind=odd}"];
const IRREGULAR: [&str; 2] = [
    "level{job=irregular,instance=1}",
    "level{job=irregular,instance=2}",
];
const UNREAD: &str = "unread{job=unread}";

/// One round of 15 s: what the targets say, and what goes wrong.
#[derive(Clone, Debug)]
struct Round {
    values: [u8; 4],
    /// How late the second connection is, in seconds.
    second_after: f64,
    is_gone: bool,
    /// The irregular target's scrapes: when, and how long they take to come.
    irregular: Vec<(f64, f64, u8)>,
    /// Whether a sample that was sent before is sent again, with another value too.
    repeats: bool,
    /// Samples of a recorded name from outside.
    outside: bool,
    /// A sample of what nothing reads, so far behind.
    unread_behind: f64,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let tenths = |until: u16| (0..until).prop_map(|tenths| f64::from(tenths) / 10.0);
    let irregular = prop::collection::vec((tenths(150), tenths(40), 0..12u8), 0..4);
    let round = (
        prop::array::uniform4(0..12u8),
        tenths(90),
        prop::bool::weighted(0.3),
        irregular,
        any::<bool>(),
        any::<bool>(),
        tenths(200),
    );
    let round = round.prop_map(
        |(values, second_after, is_gone, irregular, repeats, outside, unread_behind)| Round {
            values,
            second_after,
            is_gone,
            irregular,
            repeats,
            outside,
            unread_behind,
        },
    );
    prop::collection::vec(round, 4..12)
}

fn requests(rounds: &[Round], begin: f64) -> Vec<Request> {
    let mut all = Vec::new();
    for (n, round) in rounds.iter().enumerate() {
        let at = begin + n as f64 * 15.0;
        let [errors, total, level, up] = round.values.map(f64::from);
        let mut send = |wall: f64, samples: &[(&'static str, f64, f64)]| {
            let samples = samples.to_vec();
            all.push(Request { wall, samples });
        };
        // One target over two connections: the first carries its errors.
        send(
            at + 0.2,
            &[
                ("errors{job=split}", at, errors),
                ("up{job=split}", at, up.min(1.0)),
            ],
        );
        send(
            at + 0.3 + round.second_after,
            &[("total{job=split}", at, total)],
        );
        if !round.is_gone {
            let own = at + 2.0;
            send(
                own + 0.1,
                &[(COMES[0], own, up % 2.0), (COMES[1], own, level)],
            );
        }
        for (after, late, value) in &round.irregular {
            let own = at + after;
            let series = IRREGULAR[usize::from(*value) % 2];
            send(own + late, &[(series, own, f64::from(*value))]);
            if round.repeats {
                send(
                    own + late + 0.1,
                    &[(series, own, f64::from(value / 2)), (UNREAD, own, 1.0)],
                );
            }
        }
        if round.outside {
            send(
                at + 0.5,
                &[
                    ("job:ratio{job=split}", at, 3.0),
                    ("job:ratio{job=other}", at, 1.5),
                ],
            );
        }
        send(
            at + 5.0,
            &[(UNREAD, (at + 5.0 - round.unread_behind).max(0.0), 1.0)],
        );
    }
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    all
}

fn settings(grid: Grid) -> EngineSettings {
    EngineSettings {
        mode: EvaluationMode::Tick,
        ticks_when_settled: true,
        grid,
        ..EngineSettings::default()
    }
}

fn sent_by(
    n_processes: usize,
    n_shards: usize,
    settings: &EngineSettings,
    requests: &[Request],
) -> Vec<String> {
    let loaded = loaded(RULES, settings);
    let mut processes: Vec<Process> = (1..=n_processes)
        .map(|index| Process::start(&format!("{index}/{n_processes}"), n_shards, &loaded))
        .collect();
    play(&mut processes, requests);
    // The clock is the same everywhere, whatever is read.
    let clock = processes[0].node.clock();
    let frontier = processes[0].engines[0].frontier();
    for process in &processes {
        assert_eq!(process.node.clock(), clock);
        for engine in &process.engines {
            assert_eq!((engine.clock(), engine.frontier()), (clock, frontier));
        }
    }
    sent(&processes)
}

proptest! {
    #![proptest_config(cases(3))]

    #[test]
    fn any_number_of_processes_and_shards_sends_what_one_sends(
        rounds in rounds(),
        begin in 0.0..20.0f64,
        is_aligned in any::<bool>(),
    ) {
        // On the aligned grid ticks fall on the scrapes' own instants.
        let (begin, grid) = if is_aligned {
            let (start, interval) = (TimestampMs(START), DurationMs::from_seconds(5));
            (30.0, Grid::UnitTest { start, interval, group_order: None })
        } else {
            (30.0 + begin.round(), Grid::Hashed)
        };
        let settings = settings(grid);
        let requests = requests(&rounds, begin);
        let one = sent_by(1, 1, &settings, &requests);
        prop_assert!(one.len() > 100, "{} effects", one.len());
        for (n_processes, n_shards) in [(1, 3), (2, 1), (3, 2), (5, 1)] {
            let several = sent_by(n_processes, n_shards, &settings, &requests);
            let differ = one.iter().zip(&several).find(|(one, other)| one != other);
            prop_assert_eq!(differ, None, "{} processes of {} shards", n_processes, n_shards);
            prop_assert_eq!(one.len(), several.len());
        }
    }
}

pub fn cases(usual: u32) -> proptest::test_runner::Config {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    proptest::test_runner::Config::with_cases(if deep { usual * 40 } else { usual })
}

/// The property would hold of rules that never fire, too, or that stay in one shard.
#[test]
fn the_rules_fire_and_can_be_spread() {
    let loaded = loaded(RULES, &settings(Grid::Hashed));
    assert_eq!(Process::start("1/1", 100, &loaded).engines.len(), 7);
    assert_eq!(Process::start("2/2", 100, &loaded).engines.len(), 4);
    let round = |n: u8| Round {
        values: [n % 12, 3, 4, 1],
        second_after: 1.0,
        is_gone: n > 5,
        irregular: vec![(3.0, 1.0, n % 12), (9.0, 0.0, 11)],
        repeats: false,
        outside: true,
        unread_behind: 0.0,
    };
    let rounds: Vec<Round> = (0..20).map(round).collect();
    let lines = sent_by(1, 1, &settings(Grid::Hashed), &requests(&rounds, 30.0));
    assert!(n_fired(&lines) > 10, "{}", n_fired(&lines));
    for alert in [
        "Errors",
        "Ratio",
        "RatioLong",
        "Gone",
        "Never",
        "Many",
        "Irregular",
        "IrregularRate",
    ] {
        let label = format!("\"alertname\", \"{alert}\"");
        let of_alert = |line: &&String| {
            line.contains("Firing")
                && (line.contains(&label) || line.contains(&format!("alertname=\"{alert}\"")))
        };
        assert!(
            lines.iter().any(|line| of_alert(&line)),
            "{alert} never fires"
        );
    }
}

fn started(rules: &str, n_processes: usize) -> Vec<Process> {
    let loaded = loaded(rules, &settings(Grid::Hashed));
    (1..=n_processes)
        .map(|index| Process::start(&format!("{index}/{n_processes}"), 1, &loaded))
        .collect()
}

/// Where nothing reads a series its samples are dropped unjudged; they prove as much about time
/// there as where they are refused.
#[test]
fn the_clock_is_the_same_where_a_sample_is_refused_and_where_it_is_dropped() {
    let rules = "
groups:
- {name: a, rules: [{alert: A, expr: up > 1}]}
- {name: b, rules: [{alert: B, expr: other > 1}]}
";
    let mut processes = started(rules, 2);
    let up = "up{job=j}";
    // A leap, then an older sample of the same series; the leap's again; another value at it.
    for (n, (seconds, value)) in [(100.0, 1.0), (4000.0, 1.0), (3990.0, 1.0), (4000.0, 2.0)]
        .into_iter()
        .enumerate()
    {
        let request = Request {
            wall: 5000.0 + n as f64,
            samples: vec![(up, seconds, value)],
        };
        let clocks = processes.iter_mut().map(|process| {
            process.take(&request);
            process.node.clock()
        });
        let clocks: Vec<_> = clocks.collect();
        assert_eq!(clocks[0], clocks[1], "{request:?}");
    }
    assert_eq!(processes[0].node.clock(), Some(at(4000.0)));
}

/// A group elsewhere that ticks sooner does not end the time in which a recorded name's samples
/// from outside are taken.
#[test]
fn outside_samples_seed_history_until_the_rule_itself_has_ticked() {
    let rules = "
groups:
- {name: fast, interval: 1s, rules: [{alert: Fast, expr: x > 100}]}
- {name: slow, interval: 1m, rules: [{record: 'slow:x', expr: sum(x)}]}
- {name: reader, interval: 1m, rules: [{record: 'seen', expr: 'count_over_time(slow:x[10m])'}]}
";
    let request = |n: u32| {
        let at = 30.0 + f64::from(n) * 5.0;
        let samples = vec![("x{job=j}", at, 1.0), ("slow:x", at, 7.0)];
        let wall = at + 0.1;
        Request { wall, samples }
    };
    let requests: Vec<Request> = (0..40).map(request).collect();
    let sent_by = |n_processes| {
        let mut processes = started(rules, n_processes);
        play(&mut processes, &requests);
        sent(&processes)
    };
    let one = sent_by(1);
    let seen = one.iter().find(|line| line.contains("seen"));
    let is_seed = |line: &String| !line.contains("Float(1.0)");
    assert!(
        seen.is_some_and(is_seed),
        "more than the rule's own: {seen:?}"
    );
    assert_eq!(one, sent_by(2));
}
