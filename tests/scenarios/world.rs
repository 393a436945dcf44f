//! The door and the engine with all bundled rules, and what the engine said of its alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::bundled::RULES;
use burnwatch::config::Config;
use burnwatch::engine::assignment::Measured;
use burnwatch::engine::{Effect, Engine, compile};
use burnwatch::ingest::{Node, NodeSettings, Protocol, ReadSet};
use burnwatch::log::{Log, RecordingLog};
use burnwatch::model::{
    AlertStatus, DurationMs, EngineSettings, Entry, Generation, Labels, RuleSource, TimestampMs,
};
use burnwatch::server::load::Loaded;
use burnwatch::server::pipeline::receive;
use burnwatch::server::shards::{Shards, Share};
use burnwatch::wire::v1;
use prost::Message;

/// A line of an exposition: name, labels, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Reading {
    /// Returns a reading without labels of its own.
    pub fn plain(name: &str, value: f64) -> Self {
        Reading {
            name: name.to_owned(),
            labels: Vec::new(),
            value,
        }
    }

    /// Returns a reading with one label.
    pub fn labelled(name: &str, label: &str, text: &str, value: f64) -> Self {
        Reading {
            labels: vec![(label.to_owned(), text.to_owned())],
            ..Reading::plain(name, value)
        }
    }
}

/// How an alert came and went.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    pub alert: String,
    pub labels: Labels,
    /// Seconds after the start.
    pub from: i64,
    /// Seconds after the start; `None`: it still fires at the end.
    pub until: Option<i64>,
}

/// A server without sockets, threads and clocks.
pub struct World {
    node: Arc<Node>,
    log: Arc<RecordingLog>,
    engine: Engine,
    effects: Vec<Effect>,
    start: TimestampMs,
    open: BTreeMap<Labels, Firing>,
    closed: Vec<Firing>,
}

/// Requests arrive so long after the scrape, as those of an agent do.
const UNDER_WAY: DurationMs = DurationMs(300);

/// Returns all bundled rules.
pub fn bundled_rules() -> RuleSource {
    let file = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    RuleSource {
        files: RULES.iter().map(file).collect(),
        settings: EngineSettings::default(),
    }
}

impl World {
    /// Starts with all bundled rules; `start` is 0 s.
    pub fn start(start: TimestampMs) -> Self {
        let source = bundled_rules();
        let loaded = Loaded {
            config: Config::default(),
            rules: compile(&source).expect("bundled rules compile"),
            source: Arc::new(source),
        };
        let mut shards = Shards::new(&loaded, Share::default(), Some(1));
        let log = Arc::<RecordingLog>::default();
        let logs = vec![Arc::clone(&log) as Arc<dyn Log>];
        let mut world = World {
            node: Node::new(logs, NodeSettings::default(), 7),
            log,
            engine: Engine::new(),
            effects: Vec::new(),
            start,
            open: BTreeMap::new(),
            closed: Vec::new(),
        };
        let _ = shards.assign(&loaded, &Measured::new());
        let assigned = shards.last_assigned(&loaded);
        let generation = Generation(1);
        let mut entry = |_, stamp| Entry::Rules {
            stamp,
            generation,
            rules: Arc::clone(&assigned.sources[0]),
        };
        let read_set = ReadSet {
            generation,
            ..assigned.read_set.clone()
        };
        let adopted = world.node.adopt(read_set, &mut entry, start);
        adopted.expect("the log is open");
        world.apply();
        world
    }

    /// One scrape of a target, `seconds` after the start, pushed as an agent pushes it.
    pub fn scrape(&mut self, seconds: i64, job: &str, instance: &str, readings: &[Reading]) {
        let at = self.start + DurationMs::from_seconds(seconds);
        let request = v1::WriteRequest {
            timeseries: readings
                .iter()
                .map(|r| series(r, job, instance, at))
                .collect(),
            ..v1::WriteRequest::default()
        };
        let compressed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        let body = compressed.expect("compresses");
        let answer = receive(&self.node, &body, Protocol::V1, at + UNDER_WAY);
        assert!(answer.status.is_success(), "{seconds} s: {answer:?}");
        self.apply();
    }

    fn apply(&mut self) {
        for entry in self.log.take() {
            self.engine.apply(&entry, &|| 0.0, &mut self.effects);
        }
        let since = |at: TimestampMs| (at.0 - self.start.0) / 1000;
        for effect in self.effects.drain(..) {
            let message = match effect {
                Effect::Alert {
                    message,
                    refresh: false,
                    ..
                } => message,
                Effect::RulesRefused { reasons, .. } => panic!("{reasons:?}"),
                Effect::Overran { group, overrun, .. } => panic!("{group:?}: {overrun:?}"),
                _ => continue,
            };
            match message.status {
                AlertStatus::Firing => {
                    let alert = message
                        .labels
                        .get("alertname")
                        .unwrap_or_default()
                        .to_owned();
                    let from = since(message.fired_at);
                    let labels = message.labels.clone();
                    let firing = Firing {
                        alert,
                        labels,
                        from,
                        until: None,
                    };
                    let before = self.open.insert(message.labels, firing);
                    assert_eq!(before, None, "an alert fires once until it is resolved");
                }
                AlertStatus::Resolved { resolved_at } => {
                    let opened = self.open.remove(&message.labels).expect("it fired");
                    let until = Some(since(resolved_at));
                    self.closed.push(Firing { until, ..opened });
                }
            }
        }
    }

    /// Returns every alert that fired, by when it began, but `Watchdog`, which always does.
    pub fn firings(&self) -> Vec<Firing> {
        let all = self.closed.iter().chain(self.open.values());
        let mut all: Vec<Firing> = all.filter(|f| f.alert != "Watchdog").cloned().collect();
        all.sort_by(|a, b| (a.from, &a.labels).cmp(&(b.from, &b.labels)));
        all
    }
}

fn series(reading: &Reading, job: &str, instance: &str, at: TimestampMs) -> v1::TimeSeries {
    let scrape = [
        ("__name__", reading.name.as_str()),
        ("instance", instance),
        ("job", job),
    ];
    let own = reading
        .labels
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let mut labels: Vec<v1::Label> = scrape
        .into_iter()
        .chain(own)
        .map(|(name, value)| v1::Label {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    v1::TimeSeries {
        labels,
        samples: vec![v1::Sample {
            value: reading.value,
            timestamp: at.0,
        }],
        ..v1::TimeSeries::default()
    }
}
