//! Processes that are sent everything: a node, its logs and its engines each.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use burnwatch::config::Config;
use burnwatch::engine::assignment::Measured;
use burnwatch::engine::{Effect, Engine, compile};
use burnwatch::ingest::{Node, NodeSettings, Protocol, ReadSet};
use burnwatch::log::{Log, RecordingLog};
use burnwatch::model::{EngineSettings, Entry, Generation, RuleSource, TimestampMs};
use burnwatch::server::load::Loaded;
use burnwatch::server::pipeline::receive;
use burnwatch::server::shards::{Assigned, Shards};

use crate::load::Request;

/// 0 s of the tests, in ms since 1970.
pub const START: i64 = 1_700_000_000_000;

/// Returns an instant by its seconds.
pub fn at(seconds: f64) -> TimestampMs {
    TimestampMs(START + (seconds * 1000.0).round() as i64)
}

/// One process.
pub struct Process {
    pub node: Arc<Node>,
    logs: Vec<Arc<RecordingLog>>,
    pub engines: Vec<Engine>,
    pub effects: Vec<Effect>,
    shards: Shards,
    generation: u64,
    seed_before: Arc<AtomicI64>,
}

/// Returns a rule set as a server loads it.
pub fn loaded(rules: &str, settings: &EngineSettings) -> Loaded {
    let source = RuleSource {
        files: vec![("rules.yml".to_owned(), rules.to_owned())],
        settings: settings.clone(),
    };
    Loaded {
        config: Config::default(),
        rules: compile(&source).expect("valid rules"),
        source: Arc::new(source),
    }
}

impl Process {
    /// Starts the process that has this share, as `i/N`, with so many shards at most.
    pub fn start(share: &str, n_shards: usize, loaded: &Loaded) -> Self {
        let share = share.parse().expect("a share");
        let shards = Shards::new(loaded, share, Some(n_shards));
        let logs: Vec<Arc<RecordingLog>> = (0..shards.n_shards()).map(|_| Arc::default()).collect();
        let dynamic = |log: &Arc<RecordingLog>| Arc::clone(log) as Arc<dyn Log>;
        let node = Node::new(
            logs.iter().map(dynamic).collect(),
            NodeSettings::default(),
            7,
        );
        let mut process = Process {
            node,
            engines: logs.iter().map(|_| Engine::new()).collect(),
            logs,
            effects: Vec::new(),
            shards,
            generation: 0,
            seed_before: Arc::new(AtomicI64::new(i64::MAX)),
        };
        process.load(loaded, 0.0);
        process
    }

    /// Loads a rule set.
    pub fn load(&mut self, loaded: &Loaded, wall: f64) {
        if let Some(first) = self.shards.assign(loaded, &Measured::new()) {
            self.adopt(first, wall);
        }
        let assigned = self.shards.last_assigned(loaded);
        self.adopt(assigned, wall);
    }

    fn adopt(&mut self, assigned: Assigned, wall: f64) {
        self.generation += 1;
        let generation = Generation(self.generation);
        let mut entry = |shard: burnwatch::ingest::ShardId, stamp| Entry::Rules {
            stamp,
            generation,
            rules: Arc::clone(&assigned.sources[usize::from(shard.0)]),
        };
        let read_set = ReadSet {
            generation,
            seed_before: Arc::clone(&self.seed_before),
            ..assigned.read_set.clone()
        };
        self.node
            .adopt(read_set, &mut entry, at(wall))
            .expect("the logs are open");
        self.apply();
    }

    /// Takes a request.
    pub fn take(&mut self, request: &Request) {
        let wall = at(request.wall);
        receive(&self.node, &request.body(START), Protocol::V1, wall);
        self.apply();
    }

    /// Time passes.
    pub fn beat(&mut self, wall: f64) {
        self.node.beat(at(wall)).expect("the logs are open");
        self.apply();
    }

    fn apply(&mut self) {
        for (log, engine) in self.logs.iter().zip(&mut self.engines) {
            for entry in log.take() {
                engine.apply(&entry, &|| 0.0, &mut self.effects);
            }
        }
    }
}

/// Plays requests, with the beats between them and four minutes of silence behind.
pub fn play(processes: &mut [Process], requests: &[Request]) {
    let end = requests.last().map_or(0.0, |last| last.wall) + 240.0;
    let mut rest = requests.iter().peekable();
    let mut wall = 0.0;
    while wall < end {
        while let Some(request) = rest.next_if(|request| request.wall <= wall) {
            processes
                .iter_mut()
                .for_each(|process| process.take(request));
        }
        processes.iter_mut().for_each(|process| process.beat(wall));
        wall += 1.0;
    }
}

/// Returns the effects of all processes as text, by time and labels. First ticks are told to the
/// door by every shard for itself.
pub fn sent(processes: &[Process]) -> Vec<String> {
    let mut lines = Vec::new();
    for effect in processes.iter().flat_map(|process| &process.effects) {
        let (at, labels) = match effect {
            Effect::Pending { at, labels } | Effect::Dropped { at, labels } => (*at, labels),
            Effect::Alert { at, message, .. } => (*at, &message.labels),
            Effect::Recorded { labels, at, .. } => (*at, labels),
            Effect::Forget { labels } => (TimestampMs(0), labels),
            Effect::FirstTick { .. } => continue,
            Effect::Overran { overrun, .. } => panic!("no group costs too much: {overrun:?}"),
            Effect::RulesRefused { reasons, .. } => panic!("{reasons:?}"),
        };
        lines.push((at, labels.clone(), format!("{effect:?}")));
    }
    lines.sort();
    lines.into_iter().map(|(.., text)| text).collect()
}

/// Returns how many alerts were sent as firing.
pub fn n_fired(lines: &[String]) -> usize {
    let is_fired = |line: &&String| line.contains("refresh: false") && line.contains("Firing");
    lines.iter().filter(is_fired).count()
}
