//! A node that reads what a test says, and bodies as senders make them.

use std::sync::Arc;

use burnwatch::ingest::{Node, NodeSettings, ReadSet, ShardId};
use burnwatch::log::{Log, RecordingLog};
use burnwatch::model::{Entry, Generation, MatchOp, Matcher, TimestampMs};
use burnwatch::wire::{v1, v2};
use prost::Message;

/// The wall clock of all tests: a Tuesday in 2023.
pub const WALL: TimestampMs = TimestampMs(1_700_000_000_000);

pub type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Returns a node over recording logs.
pub fn node(n_shards: usize, settings: NodeSettings) -> (Arc<Node>, Vec<Arc<RecordingLog>>) {
    let logs: Vec<_> = (0..n_shards)
        .map(|_| Arc::new(RecordingLog::default()))
        .collect();
    let as_logs = logs
        .iter()
        .map(|log| Arc::clone(log) as Arc<dyn Log>)
        .collect();
    (Node::new(as_logs, settings, 42), logs)
}

/// Returns what reads the given name patterns, each in a shard.
pub fn reads(generation: u64, patterns: &[(u16, &str)]) -> ReadSet {
    let selector = |(shard, pattern): &(u16, &str)| {
        let matcher = Matcher::new(MatchOp::Matches, "__name__", *pattern).expect("a pattern");
        (ShardId(*shard), vec![matcher])
    };
    ReadSet {
        generation: Generation(generation),
        selectors: patterns.iter().map(selector).collect(),
        ..ReadSet::default()
    }
}

/// Puts a read set into force.
pub fn adopt(node: &Node, read_set: ReadSet) {
    let mut entry = |_, stamp| Entry::Clock { stamp };
    node.adopt(read_set, &mut entry, WALL)
        .expect("logs are open");
}

pub fn label(name: &str, value: &str) -> v1::Label {
    v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// A 1.0 series.
pub fn series(labels: Pairs<'_>, samples: &[(i64, f64)]) -> v1::TimeSeries {
    let sample = |(timestamp, value): &(i64, f64)| v1::Sample {
        value: *value,
        timestamp: *timestamp,
    };
    v1::TimeSeries {
        labels: labels
            .iter()
            .map(|(name, value)| label(name, value))
            .collect(),
        samples: samples.iter().map(sample).collect(),
        ..v1::TimeSeries::default()
    }
}

/// A 1.0 body, not compressed.
pub fn plain_v1(timeseries: Vec<v1::TimeSeries>) -> Vec<u8> {
    let request = v1::WriteRequest {
        timeseries,
        ..v1::WriteRequest::default()
    };
    request.encode_to_vec()
}

/// The symbol table of a 2.0 request in the making.
pub struct Symbols(pub Vec<String>);

impl Symbols {
    pub fn new() -> Self {
        Symbols(vec![String::new()])
    }

    pub fn add(&mut self, text: &str) -> u32 {
        let found = self.0.iter().position(|symbol| symbol == text);
        let at = found.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        at as u32
    }

    pub fn refs(&mut self, labels: Pairs<'_>) -> Vec<u32> {
        let mut refs = Vec::new();
        for (name, value) in labels {
            refs.push(self.add(name));
            refs.push(self.add(value));
        }
        refs
    }

    /// A 2.0 series.
    pub fn series(&mut self, labels: Pairs<'_>, samples: &[(i64, f64)]) -> v2::TimeSeries {
        let sample = |(timestamp, value): &(i64, f64)| v2::Sample {
            value: *value,
            timestamp: *timestamp,
            start_timestamp: 0,
        };
        v2::TimeSeries {
            labels_refs: self.refs(labels),
            samples: samples.iter().map(sample).collect(),
            ..v2::TimeSeries::default()
        }
    }

    /// The body, not compressed.
    pub fn plain(self, timeseries: Vec<v2::TimeSeries>) -> Vec<u8> {
        let symbols = self.0;
        v2::Request {
            symbols,
            timeseries,
        }
        .encode_to_vec()
    }
}

pub fn compress(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(plain)
        .expect("compresses")
}

/// All floats in a log as (labels, ms, value), by the definitions in the log itself.
pub fn floats(entries: &[Entry]) -> Vec<(String, i64, f64)> {
    let (mut names, mut floats) = (std::collections::HashMap::new(), Vec::new());
    for entry in entries {
        let Entry::Samples { batch, .. } = entry else {
            continue;
        };
        for definition in &batch.definitions {
            let before = names.insert(definition.handle, definition.labels.to_string());
            assert_eq!(before, None, "a handle is defined once");
        }
        for (handle, at, value) in &batch.floats {
            let name = names.get(handle).expect("defined before its samples");
            floats.push((name.clone(), at.0, *value));
        }
    }
    floats
}
