//! Replicas of a cluster at the door: whose samples are logged, under which labels, and what the
//! others are told.

use burnwatch::ingest::{Node, NodeSettings, Protocol, ReplicaSettings};
use burnwatch::model::{DurationMs, Entry, Labels, TimestampMs};
use burnwatch::server::pipeline::receive;

use crate::support::*;

const AT: i64 = WALL.0 - 1_000;

fn settings(clusters_max: usize) -> NodeSettings {
    NodeSettings {
        replicas: Some(ReplicaSettings {
            cluster_label: "cluster".to_owned(),
            replica_label: "__replica__".to_owned(),
            failover_timeout: DurationMs::from_seconds(30),
            clusters_max,
        }),
        ..NodeSettings::default()
    }
}

const A: Pairs<'_> = &[
    ("__name__", "up"),
    ("__replica__", "a"),
    ("cluster", "c"),
    ("job", "j"),
];
const B: Pairs<'_> = &[
    ("__name__", "up"),
    ("__replica__", "b"),
    ("cluster", "c"),
    ("job", "j"),
];

/// Sends one sample of a series so many seconds after the others, and returns the status and how
/// many samples are said to be written.
fn send(node: &Node, protocol: Protocol, labels: Pairs<'_>, seconds: i64) -> (u16, u64) {
    let at = AT + seconds * 1_000;
    let body = match protocol {
        Protocol::V1 => compress(&plain_v1(vec![series(labels, &[(at, 1.0)])])),
        Protocol::V2 => {
            let mut symbols = Symbols::new();
            let series = symbols.series(labels, &[(at, 1.0)]);
            compress(&symbols.plain(vec![series]))
        }
    };
    let answer = receive(node, &body, protocol, TimestampMs(WALL.0 + seconds * 1_000));
    (answer.status.as_u16(), answer.written.samples)
}

/// Returns the series that a log defines.
fn defined(entries: &[Entry]) -> Vec<Labels> {
    let of = |entry: &Entry| match entry {
        Entry::Samples { batch, .. } => {
            let definitions = batch.definitions.iter();
            definitions
                .map(|definition| definition.labels.clone())
                .collect()
        }
        _ => Vec::new(),
    };
    entries.iter().flat_map(of).collect()
}

fn labels(pairs: Pairs<'_>) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// Catches a second replica whose samples are mixed with the first one's, a sender that is told
/// anything but that all is well, and a replica label that stays.
#[test]
fn one_replica_is_logged_without_its_label_and_the_other_is_told_that_all_is_well() {
    for protocol in [Protocol::V1, Protocol::V2] {
        let (node, logs) = node(1, settings(10));
        adopt(&node, reads(1, &[(0, "up")]));
        logs[0].take();
        assert_eq!(send(&node, protocol, A, 0), (204, 1));
        assert_eq!(send(&node, protocol, B, 1), (202, 1));
        assert_eq!(send(&node, protocol, A, 2), (204, 1));
        // The first one falls silent; the other takes over, and its series is the same.
        assert_eq!(send(&node, protocol, B, 31), (202, 1));
        assert_eq!(send(&node, protocol, B, 32), (204, 1));
        assert_eq!(send(&node, protocol, A, 33), (202, 1));
        assert_eq!(send(&node, protocol, B, 47), (204, 1));
        let entries = logs[0].entries();
        let seconds: Vec<i64> = floats(&entries)
            .iter()
            .map(|(_, at, _)| (at - AT) / 1_000)
            .collect();
        assert_eq!(seconds, [0, 2, 32, 47]);
        let bare: Pairs<'_> = &[("__name__", "up"), ("cluster", "c"), ("job", "j")];
        assert_eq!(defined(&entries), [labels(bare)]);
        let elections = node.replicas().expect("told apart").elections();
        assert_eq!(
            (elections[0].1.elected.as_str(), elections[0].1.n_changes),
            ("b", 1)
        );
    }
}

/// Catches samples of senders without the labels that are dropped or changed.
#[test]
fn what_is_not_a_replicas_is_taken_as_it_is() {
    let (node, logs) = node(1, settings(1));
    adopt(&node, reads(1, &[(0, "up")]));
    logs[0].take();
    let only_replica: Pairs<'_> = &[("__name__", "up"), ("__replica__", "a")];
    let only_cluster: Pairs<'_> = &[("__name__", "up"), ("cluster", "c")];
    let all = [only_replica, only_cluster, &[("__name__", "up")]];
    for pairs in all {
        assert_eq!(send(&node, Protocol::V1, pairs, 0), (204, 1));
    }
    assert_eq!(defined(&logs[0].entries()), all.map(labels));
    assert!(node.replicas().expect("told apart").elections().is_empty());
    // One cluster is all there may be.
    assert_eq!(send(&node, Protocol::V1, A, 0), (204, 1));
    let other: Pairs<'_> = &[("__name__", "up"), ("__replica__", "a"), ("cluster", "d")];
    assert_eq!(send(&node, Protocol::V1, other, 0), (400, 0));
}

/// Without the setting nothing is special about these labels.
#[test]
fn without_the_setting_all_are_taken() {
    let (node, logs) = node(1, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "up")]));
    logs[0].take();
    assert_eq!(send(&node, Protocol::V1, A, 0), (204, 1));
    assert_eq!(send(&node, Protocol::V1, B, 0), (204, 1));
    assert_eq!(defined(&logs[0].entries()), [A, B].map(labels));
}
