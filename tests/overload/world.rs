//! A node, its log, and an engine that takes so many samples a round.

use std::collections::VecDeque;
use std::sync::Arc;

use burnwatch::clock::Stopwatch;
use burnwatch::engine::{Effect, Engine};
use burnwatch::ingest::{Limits, Node, NodeSettings, Origin, Protocol, ReadSet, ShardId};
use burnwatch::log::{Log, LogTail, MemoryLog, MemoryLogTail, weight};
use burnwatch::model::{
    AlertStatus, EngineSettings, Entry, Generation, Matcher, RuleSource, TimestampMs,
};
use burnwatch::server::pipeline::receive_since;
use burnwatch::wire::v1;
use prost::Message;

/// The wall clock when the story begins.
pub const BEGIN: TimestampMs = TimestampMs(1_700_000_000_000);

/// The server.
pub struct World {
    node: Arc<Node>,
    log: Arc<MemoryLog>,
    tail: MemoryLogTail,
    pub engine: Engine,
    pub effects: Vec<Effect>,
    /// What the engine may still take this round; what it took too much is taken off the next.
    takes: i64,
    wall: TimestampMs,
}

impl World {
    /// Returns a server with these rules, in whose log so many samples may wait.
    pub fn new(rules: &str, log_samples: usize) -> Self {
        let (log, tail) = MemoryLog::new(log_samples);
        let settings = NodeSettings {
            limits: Limits {
                log_samples,
                ..Limits::default()
            },
            ..NodeSettings::default()
        };
        let node = Node::new(vec![Arc::clone(&log) as Arc<dyn Log>], settings, 42);
        let mut world = World {
            node,
            log,
            tail,
            engine: Engine::new(),
            effects: Vec::new(),
            takes: 0,
            wall: BEGIN,
        };
        world.adopt(rules);
        world
    }

    fn adopt(&mut self, rules: &str) {
        let source = Arc::new(RuleSource {
            files: vec![("rules.yml".to_owned(), rules.to_owned())],
            settings: EngineSettings::default(),
        });
        let generation = Generation(1);
        let all = Matcher::new(burnwatch::model::MatchOp::Matches, "__name__", ".+");
        let read_set = ReadSet {
            generation,
            selectors: vec![(ShardId(0), vec![all.expect("a pattern")])],
            ..ReadSet::default()
        };
        let mut entry = |_, stamp| Entry::Rules {
            stamp,
            generation,
            rules: Arc::clone(&source),
        };
        let adopted = self.node.adopt(read_set, &mut entry, self.wall);
        adopted.expect("the log is open");
        self.drain();
    }

    /// Sends a request; tells whether it was taken, the other answer being 503.
    pub fn send(&self, sender: &str, body: &[u8]) -> bool {
        let origin = Origin {
            brought_by: Default::default(),
            began: Stopwatch::start(),
            sender: self.node.share_of(sender),
        };
        let answer = receive_since(&self.node, body, Protocol::V1, self.wall, origin);
        let answer = answer.kept_blocking();
        match answer.status.as_u16() {
            204 => true,
            503 => {
                assert_eq!(answer.retry_after_seconds, Some(5));
                assert_eq!(answer.written.samples, 0);
                false
            }
            other => panic!("{other}: {}", answer.text),
        }
    }

    /// A second goes by, in which the engine takes so many samples.
    pub fn round(&mut self, samples: i64) {
        self.takes = self.takes.min(0) + samples;
        while self.takes > 0 && self.step() {}
        self.wall = TimestampMs(self.wall.0 + 1_000);
        self.node.beat(self.wall).expect("the log is open");
    }

    /// The engine takes all that waits.
    pub fn drain(&mut self) {
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        let Ok((_, entry)) = self.tail.entries().try_recv() else {
            return false;
        };
        let weight = weight(&entry);
        self.engine.apply(&entry, &|| 0.0, &mut self.effects);
        self.tail.done(weight);
        self.takes -= i64::try_from(weight).expect("small");
        true
    }

    /// Returns how many samples wait.
    pub fn waiting(&self) -> usize {
        self.log.waiting().samples
    }

    /// Returns the names of alerts that fired since last asked, with the second of their instant.
    pub fn fired(&mut self) -> Vec<(String, i64)> {
        let mut fired = Vec::new();
        for effect in self.effects.drain(..) {
            if let Effect::Alert {
                at,
                refresh: false,
                message,
            } = effect
                && matches!(message.status, AlertStatus::Firing)
            {
                let name = message.labels.value("alertname").to_owned();
                fired.push((name, (at.0 - BEGIN.0) / 1_000));
            }
        }
        fired
    }
}

/// Who sends series of its own, all at one instant a second, a number of series a request; what is
/// refused it sends again, in order, as Prometheus does.
pub struct Sender {
    name: &'static str,
    requests: VecDeque<Vec<u8>>,
    /// Samples that were taken.
    pub accepted: usize,
    /// Requests that were told to come again.
    pub refused: usize,
    n_series: usize,
    series_a_request: usize,
}

impl Sender {
    /// Returns a sender of `n_series` of the metric that is named as it is.
    pub fn new(name: &'static str, n_series: usize, series_a_request: usize) -> Self {
        Sender {
            name,
            requests: VecDeque::new(),
            accepted: 0,
            refused: 0,
            n_series,
            series_a_request,
        }
    }

    /// Scrapes: every series has a value at a second.
    pub fn scrape(&mut self, second: i64, value: f64) {
        let numbers: Vec<usize> = (0..self.n_series).collect();
        for numbers in numbers.chunks(self.series_a_request) {
            let timeseries = numbers.iter().map(|n| self.series(*n, second, value));
            let request = v1::WriteRequest {
                timeseries: timeseries.collect(),
                ..v1::WriteRequest::default()
            };
            let mut encoder = snap::raw::Encoder::new();
            let body = encoder.compress_vec(&request.encode_to_vec());
            self.requests.push_back(body.expect("compresses"));
        }
    }

    fn series(&self, n: usize, second: i64, value: f64) -> v1::TimeSeries {
        let label = |name: &str, value: &str| v1::Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        v1::TimeSeries {
            labels: vec![
                label("__name__", self.name),
                label("instance", self.name),
                label("n", &n.to_string()),
            ],
            samples: vec![v1::Sample {
                value,
                timestamp: BEGIN.0 + second * 1_000,
            }],
            ..v1::TimeSeries::default()
        }
    }

    /// Sends what it has until something is refused.
    pub fn send(&mut self, world: &World) {
        while self.send_one(world) {}
    }

    /// Sends one request; `false` when it was refused or there is none.
    pub fn send_one(&mut self, world: &World) -> bool {
        let Some(body) = self.requests.front() else {
            return false;
        };
        if !world.send(self.name, body) {
            self.refused += 1;
            return false;
        }
        self.requests.pop_front();
        let left = self.n_series - self.accepted % self.n_series;
        self.accepted += self.series_a_request.min(left);
        true
    }

    /// Tells whether all was taken.
    pub fn is_done(&self) -> bool {
        self.requests.is_empty()
    }
}
