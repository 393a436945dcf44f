//! Routing under many threads, over generations of rules, to several shards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use burnwatch::ingest::{Limits, Node, NodeSettings, Protocol, ReadSet};
use burnwatch::log::RecordingLog;
use burnwatch::model::{DurationMs, Entry, Generation, SeriesHandle, TimestampMs};
use burnwatch::server::pipeline::receive;

use crate::support::*;

const AT: i64 = WALL.0 - 100_000;

fn write(node: &Node, labels: Pairs<'_>, samples: &[(i64, f64)]) -> u16 {
    let body = compress(&plain_v1(vec![series(labels, samples)]));
    receive(node, &body, Protocol::V1, WALL).status.as_u16()
}

fn write_v2(node: &Node, labels: Pairs<'_>, samples: &[(i64, f64)]) -> u16 {
    let mut symbols = Symbols::new();
    let series = symbols.series(labels, samples);
    let body = compress(&symbols.plain(vec![series]));
    receive(node, &body, Protocol::V2, WALL).status.as_u16()
}

/// The handles that a log defines, by labels; a label set has one, and one only has a label set.
fn handles(log: &RecordingLog) -> BTreeMap<String, SeriesHandle> {
    let (mut by_labels, mut by_handle) = (BTreeMap::new(), HashMap::new());
    for entry in log.entries() {
        let Entry::Samples { batch, .. } = entry else {
            continue;
        };
        for definition in batch.definitions {
            let labels = definition.labels.to_string();
            let before = by_labels.insert(labels.clone(), definition.handle);
            assert_eq!(before, None, "{labels} is defined twice");
            let before = by_handle.insert(definition.handle, labels);
            assert_eq!(before, None, "a handle for two label sets");
        }
    }
    by_labels
}

#[test]
fn all_encodings_and_generations_of_a_series_reach_one_handle() {
    let (node, logs) = node(2, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "up")]));
    write(&node, &[("__name__", "up"), ("a", "1")], &[(AT, 0.0)]);
    write(&node, &[("a", "1"), ("__name__", "up")], &[(AT + 1, 1.0)]);
    write_v2(&node, &[("__name__", "up"), ("a", "1")], &[(AT + 2, 2.0)]);
    write_v2(
        &node,
        &[("b", ""), ("a", "1"), ("__name__", "up")],
        &[(AT + 3, 3.0)],
    );
    adopt(&node, reads(2, &[(0, "up"), (1, "up")]));
    write(&node, &[("__name__", "up"), ("a", "1")], &[(AT + 4, 4.0)]);
    adopt(&node, reads(3, &[(1, "up")]));
    write_v2(&node, &[("__name__", "up"), ("a", "1")], &[(AT + 5, 5.0)]);
    adopt(&node, reads(4, &[(0, "up")]));
    write(&node, &[("__name__", "up"), ("a", "1")], &[(AT + 6, 6.0)]);
    // The newest sample is known whatever the encoding and the generation.
    assert_eq!(
        write_v2(&node, &[("a", "1"), ("__name__", "up")], &[(AT + 6, 7.0)]),
        400
    );

    let ats = |at: usize| {
        floats(&logs[at].entries())
            .iter()
            .map(|f| f.1 - AT)
            .collect::<Vec<_>>()
    };
    assert_eq!(ats(0), [0, 1, 2, 3, 4, 6]);
    assert_eq!(ats(1), [4, 5]);
    assert_eq!(handles(&logs[0]).len(), 1);
    assert_eq!(handles(&logs[1]).len(), 1);
}

#[test]
fn a_shard_learns_a_series_even_when_its_first_sample_there_is_refused() {
    let (node, logs) = node(2, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "up")]));
    write(&node, &[("__name__", "up")], &[(AT, 0.0)]);
    adopt(&node, reads(2, &[(0, "up"), (1, "up")]));
    assert_eq!(write(&node, &[("__name__", "up")], &[(AT - 1, 0.0)]), 400);
    assert_eq!(write(&node, &[("__name__", "up")], &[(AT + 1, 0.0)]), 204);
    assert_eq!(floats(&logs[1].entries()), [("up".to_owned(), AT + 1, 0.0)]);
}

#[test]
fn samples_of_recorded_names_are_dropped_except_to_seed_history() {
    let (node, logs) = node(1, NodeSettings::default());
    let seed_before = Arc::new(AtomicI64::new(AT));
    let read_set = ReadSet {
        recorded: ["rec:a".to_owned(), "rec:unread".to_owned()].into(),
        seed_before: Arc::clone(&seed_before),
        ..reads(1, &[(0, "rec:a|ALERTS.*|up")])
    };
    adopt(&node, read_set);
    logs[0].take();
    let rec: Pairs<'_> = &[("__name__", "rec:a")];
    // Not a seed, and the series is not even made; a seed makes it.
    assert_eq!(write(&node, rec, &[(AT, 1.0)]), 204);
    assert!(handles(&logs[0]).is_empty());
    assert_eq!(write(&node, rec, &[(AT - 2, 1.0), (AT + 1, 1.0)]), 204);
    assert_eq!(write(&node, rec, &[(AT - 1, 2.0), (AT + 2, 1.0)]), 204);
    assert_eq!(
        write(&node, &[("__name__", "rec:unread")], &[(AT - 1, 2.0)]),
        204
    );
    assert_eq!(
        write(&node, &[("__name__", "ALERTS")], &[(AT + 1, 2.0)]),
        204
    );
    seed_before.store(AT - 50, Ordering::SeqCst);
    assert_eq!(write(&node, rec, &[(AT - 1, 2.0)]), 204);
    let name = "rec:a".to_owned();
    assert_eq!(
        floats(&logs[0].entries()),
        [(name.clone(), AT - 2, 1.0), (name, AT - 1, 2.0)]
    );
    assert_eq!(
        node.clock(),
        Some(TimestampMs(AT + 2)),
        "dropped samples move the clock"
    );
}

#[test]
fn everything_is_kept_where_the_log_keeps_all() {
    let (node, logs) = node(3, NodeSettings::default());
    let read_set = ReadSet {
        keep_all: true,
        ..reads(1, &[(1, "up")])
    };
    adopt(&node, read_set);
    for n in 0..30 {
        write(
            &node,
            &[("__name__", "other"), ("n", &n.to_string())],
            &[(AT, 1.0)],
        );
    }
    write(&node, &[("__name__", "up")], &[(AT, 1.0)]);
    let kept: Vec<_> = logs
        .iter()
        .map(|log| floats(&log.entries()).len())
        .collect();
    assert_eq!(kept.iter().sum::<usize>(), 31);
    assert!(kept.iter().all(|n| *n > 2), "{kept:?}");
}

#[test]
fn late_samples_are_taken_within_the_out_of_order_window() {
    let settings = NodeSettings {
        out_of_order_time_window: DurationMs(1_000),
        ..NodeSettings::default()
    };
    let (node, logs) = node(1, settings);
    adopt(&node, reads(1, &[(0, "a|b")]));
    let (a, b): (Pairs<'_>, Pairs<'_>) = (&[("__name__", "a")], &[("__name__", "b")]);
    write(&node, a, &[(AT, 1.0)]);
    // The window reaches back from the newest sample of all series, as in Prometheus.
    write(&node, b, &[(AT + 500, 1.0)]);
    assert_eq!(write(&node, a, &[(AT - 500, 1.0)]), 204);
    let body = compress(&plain_v1(vec![series(a, &[(AT - 501, 1.0)])]));
    let answer = receive(&node, &body, Protocol::V1, WALL);
    assert!(
        answer.text.starts_with("too_old: 1 refused"),
        "{}",
        answer.text
    );
    assert_eq!(floats(&logs[0].entries()).len(), 3);
}

#[test]
fn series_beyond_the_limit_are_refused_and_unread_ones_merely_slower() {
    let limits = Limits {
        series: 2,
        ..Limits::default()
    };
    let settings = NodeSettings {
        limits,
        ..NodeSettings::default()
    };
    let (node, logs) = node(1, settings);
    adopt(&node, reads(1, &[(0, "r.*")]));
    for (name, status) in [("r1", 204), ("r2", 204), ("r3", 400), ("r1", 204)] {
        let at = AT + floats(&logs[0].entries()).len() as i64;
        assert_eq!(
            write(&node, &[("__name__", name)], &[(at, 1.0)]),
            status,
            "{name}"
        );
    }
    for name in ["u1", "u2", "u3", "u3"] {
        assert_eq!(write(&node, &[("__name__", name)], &[(AT, 1.0)]), 204);
    }
}

#[test]
fn silent_series_are_forgotten_and_come_back_with_a_new_handle() {
    let (node, logs) = node(1, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "a|b")]));
    let at_wall = |wall: TimestampMs, name: &str| {
        let sample = [(wall.0 - 10, 1.0)];
        let body = compress(&plain_v1(vec![series(&[("__name__", name)], &sample)]));
        assert_eq!(
            receive(&node, &body, Protocol::V1, wall).status.as_u16(),
            204
        );
    };
    at_wall(WALL, "a");
    at_wall(WALL, "b");
    let mut wall = WALL;
    for _ in 0..150 {
        wall = wall + DurationMs::from_seconds(60);
        at_wall(wall, "b");
        (0..4).for_each(|_| node.beat(wall).expect("the log is open"));
    }
    at_wall(wall + DurationMs(1), "a");
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for entry in logs[0].entries() {
        if let Entry::Samples { batch, .. } = entry {
            for definition in batch.definitions {
                let name = definition.labels.metric_name() == "a";
                (if name { &mut of_a } else { &mut of_b }).push(definition.handle.0);
            }
        }
    }
    assert_eq!((of_a, of_b), (vec![0, 2], vec![1]));
}

#[test]
fn an_idle_node_moves_its_clock_in_every_log() {
    let (node, logs) = node(2, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "up")]));
    write(&node, &[("__name__", "up")], &[(WALL.0 - 1_000, 1.0)]);
    logs.iter().for_each(|log| drop(log.take()));
    node.beat(WALL + DurationMs(59_999)).expect("open");
    assert!(logs[0].entries().is_empty());
    node.beat(WALL + DurationMs(60_000)).expect("open");
    for log in &logs {
        let entries = log.entries();
        let [Entry::Clock { stamp }] = &entries[..] else {
            panic!("one entry: {entries:?}");
        };
        assert_eq!(stamp.clock, Some(WALL));
    }
}

/// Threads write overlapping series, all new to the node, while rules are swapped under them.
#[test]
fn threads_and_reloads_lose_nothing_and_mix_nothing_up() {
    const THREADS: i64 = 4;
    const ROUNDS: i64 = 60;
    const SERIES: i64 = 40;
    let settings = NodeSettings {
        out_of_order_time_window: DurationMs(1 << 40),
        ..NodeSettings::default()
    };
    let (node, logs) = node(2, settings);
    // Shard 0 reads everything at all times, shard 1 another tenth in every generation.
    let read_set = |generation: u64| {
        let tenth = format!("m{}.*", generation % 10);
        reads(generation, &[(0, "m.*"), (1, &tenth)])
    };
    adopt(&node, read_set(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let node = &node;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // Every (series, timestamp) once; the labels' order differs by thread.
                    let at = AT + round * THREADS + thread;
                    let names: Vec<_> = (0..SERIES).map(|n| format!("m{}", n + round)).collect();
                    let one = |name: &String| {
                        let mut pairs = [("__name__", &**name), ("job", "j")];
                        pairs.rotate_left((thread % 2) as usize);
                        series(&pairs, &[(at, at as f64)])
                    };
                    let body = compress(&plain_v1(names.iter().map(one).collect()));
                    let answer = receive(node, &body, Protocol::V1, WALL);
                    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text);
                }
            });
        }
        let node = &node;
        scope.spawn(move || {
            for generation in 1..200 {
                adopt(node, read_set(generation));
                node.beat(WALL).expect("the logs are open");
                std::thread::yield_now();
            }
        });
    });
    let all = handles(&logs[0]);
    assert_eq!(all.len() as i64, SERIES + ROUNDS - 1);
    let mut written = floats(&logs[0].entries());
    let n = written.len();
    written.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    written.dedup();
    assert_eq!((written.len(), n as i64), (n, THREADS * ROUNDS * SERIES));

    // What shard 1 got is what the generation of each entry reads, all of it and nothing else.
    handles(&logs[1]);
    let mut names = HashMap::new();
    let mut in_both = 0;
    for entry in logs[1].entries() {
        let Entry::Samples {
            generation, batch, ..
        } = entry
        else {
            continue;
        };
        for definition in &batch.definitions {
            names.insert(
                definition.handle,
                definition.labels.metric_name().to_owned(),
            );
        }
        for (handle, ..) in &batch.floats {
            let start = format!("m{}", generation.0 % 10);
            assert!(
                names[handle].starts_with(&start),
                "{} in {generation:?}",
                names[handle]
            );
            in_both += 1;
        }
    }
    let mut names = HashMap::new();
    let mut read_by_both = 0;
    for entry in logs[0].entries() {
        let Entry::Samples {
            generation: Generation(generation),
            batch,
            ..
        } = entry
        else {
            continue;
        };
        for definition in &batch.definitions {
            names.insert(
                definition.handle,
                definition.labels.metric_name().to_owned(),
            );
        }
        let start = format!("m{}", generation % 10);
        let both = |(handle, ..): &&(SeriesHandle, _, _)| names[handle].starts_with(&start);
        read_by_both += batch.floats.iter().filter(both).count();
    }
    assert_eq!(in_both, read_by_both);
    let stamps: Vec<_> = logs[0]
        .entries()
        .iter()
        .map(|entry| *entry.stamp())
        .collect();
    assert!(stamps.is_sorted_by(|a, b| a.sequence < b.sequence && a.clock <= b.clock));
}
