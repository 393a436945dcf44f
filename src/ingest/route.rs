//! Which shards read a series, under one rule set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::ingest::route_table::RouteTable;
use crate::ingest::sequencer::Settle;
use crate::model::{
    ALERTS, ALERTS_FOR_STATE, Generation, Labels, METRIC_NAME, MatchOp, Matcher, TimestampMs,
};

/// The number of a shard on this node, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// What a loaded rule set reads and records.
#[derive(Clone, Debug)]
pub struct ReadSet {
    /// The rule set's number.
    pub generation: Generation,
    /// Selectors, each with the shard that reads it. A series is read by a shard if all matchers
    /// of one of its selectors match.
    pub selectors: Vec<(ShardId, Vec<Matcher>)>,
    /// Metric names that loaded rules record; `ALERTS` and `ALERTS_FOR_STATE` always count as
    /// recorded.
    pub recorded: HashSet<String>,
    /// `log: all`: what no selector reads is kept too, each series by one shard.
    pub keep_all: bool,
    /// How long scrapes are waited for; says when event time stands still.
    pub settle: Option<Settle>,
    /// Samples of recorded names before this instant (ms) seed history; the rest is dropped.
    pub seed_before: Arc<AtomicI64>,
}

impl Default for ReadSet {
    /// Reads nothing.
    fn default() -> Self {
        ReadSet {
            generation: Generation(0),
            selectors: Vec::new(),
            recorded: HashSet::new(),
            keep_all: false,
            settle: None,
            seed_before: Arc::new(AtomicI64::new(i64::MIN)),
        }
    }
}

/// The routing of one generation: its read set, indexed, and the routes found so far.
#[derive(Debug)]
pub struct Routing {
    read_set: ReadSet,
    n_shards: u16,
    /// Selectors with an exact metric name, by that name.
    by_name: HashMap<String, Vec<usize>>,
    /// Selectors without one.
    any_name: Vec<usize>,
    /// Raw hash to route.
    pub table: RouteTable,
}

impl Routing {
    /// Indexes a read set for a node of `n_shards`.
    pub fn new(read_set: ReadSet, n_shards: u16) -> Self {
        let (mut by_name, mut any_name) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for (at, (_, matchers)) in read_set.selectors.iter().enumerate() {
            let exact = matchers
                .iter()
                .find(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty());
            match exact {
                Some(name) => by_name.entry(name.value.clone()).or_default().push(at),
                None => any_name.push(at),
            }
        }
        Routing {
            read_set,
            n_shards,
            by_name,
            any_name,
            table: RouteTable::default(),
        }
    }

    /// Returns the generation.
    pub fn generation(&self) -> Generation {
        self.read_set.generation
    }

    /// Returns the instant before which samples of recorded names are taken, ms.
    pub fn seed_before(&self) -> TimestampMs {
        TimestampMs(self.read_set.seed_before.load(Ordering::Relaxed))
    }

    /// Tells whether samples of this metric name are the engine's own.
    pub fn is_recorded(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        [ALERTS, ALERTS_FOR_STATE].contains(&name) || self.read_set.recorded.contains(name)
    }

    /// Returns the shards that read a series, ascending; where all are kept and none reads it,
    /// the one that its labels choose, the same in every process.
    pub fn readers(&self, labels: &Labels) -> Vec<ShardId> {
        let mut shards = Vec::new();
        let named = self.by_name.get(labels.metric_name());
        for at in named.into_iter().flatten().chain(&self.any_name) {
            let (shard, matchers) = &self.read_set.selectors[*at];
            if shard.0 < self.n_shards
                && !shards.contains(shard)
                && matchers.iter().all(|m| m.matches_labels(labels))
            {
                shards.push(*shard);
            }
        }
        shards.sort_unstable();
        if shards.is_empty() && self.read_set.keep_all && self.n_shards > 0 {
            let shard = labels.hash64() % u64::from(self.n_shards);
            shards.push(ShardId(shard as u16));
        }
        shards
    }
}
