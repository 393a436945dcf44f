//! What a server does with requests, without its sockets: door, log and engine, in event time.

use std::sync::Arc;

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
use burnwatch::wire::v1 as messages;
use prost::Message;

/// How late a row may come: where the clocks of the source were set back by an hour, an hour of
/// rows comes twice.
const OUT_OF_ORDER: DurationMs = DurationMs(2 * 3600 * 1000);

/// An alert from firing to resolved; ms.
#[derive(Clone, Debug)]
pub struct Firing {
    pub labels: Labels,
    pub from: TimestampMs,
    pub until: Option<TimestampMs>,
}

/// One sender's series, and the values of one scrape in the same order.
pub struct Series {
    labels: Vec<Vec<messages::Label>>,
}

impl Series {
    /// Returns the series of these names and labels, as a scrape would label them.
    pub fn new<'a>(all: impl Iterator<Item = (&'a str, Vec<(&'a str, String)>)>) -> Self {
        let one = |(name, labels): (&str, Vec<(&str, String)>)| {
            let scraped = [
                ("__name__", name.to_owned()),
                ("job", "model".to_owned()),
                ("instance", "model:9100".to_owned()),
            ];
            let label = |(name, value): (&str, String)| messages::Label {
                name: name.to_owned(),
                value,
            };
            let mut labels: Vec<_> = scraped.into_iter().chain(labels).map(label).collect();
            labels.sort_by(|a, b| a.name.cmp(&b.name));
            labels
        };
        Series {
            labels: all.map(one).collect(),
        }
    }

    /// Returns a remote-write request of one scrape.
    fn body(&self, at: TimestampMs, values: &[f64]) -> Vec<u8> {
        let one = |(labels, value): (&Vec<messages::Label>, &f64)| messages::TimeSeries {
            labels: labels.clone(),
            samples: vec![messages::Sample {
                value: *value,
                timestamp: at.0,
            }],
            ..messages::TimeSeries::default()
        };
        let request = messages::WriteRequest {
            timeseries: self.labels.iter().zip(values).map(one).collect(),
            ..messages::WriteRequest::default()
        };
        let compressed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        compressed.unwrap()
    }
}

/// A node with one shard.
pub struct Process {
    node: Arc<Node>,
    log: Arc<RecordingLog>,
    engine: Engine,
    effects: Vec<Effect>,
    wall: TimestampMs,
}

impl Process {
    /// Starts with these rule files, by name and text.
    pub fn start(files: &[(&str, &str)]) -> Self {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let source = RuleSource {
            files: files.iter().map(owned).collect(),
            settings: EngineSettings {
                out_of_order_window: OUT_OF_ORDER,
                ..EngineSettings::default()
            },
        };
        let rules = compile(&source).unwrap_or_else(|errors| panic!("{errors:?}"));
        let loaded = Loaded {
            config: Config::default(),
            rules,
            source: Arc::new(source),
        };
        let mut shards = Shards::new(&loaded, Share::default(), Some(1));
        let log: Arc<RecordingLog> = Arc::default();
        let settings = NodeSettings {
            out_of_order_time_window: OUT_OF_ORDER,
            ..NodeSettings::default()
        };
        let mut process = Process {
            node: Node::new(vec![Arc::clone(&log) as Arc<dyn Log>], settings, 7),
            log,
            engine: Engine::new(),
            effects: Vec::new(),
            wall: TimestampMs(0),
        };
        let assigned = shards
            .assign(&loaded, &Measured::new())
            .unwrap_or_else(|| shards.last_assigned(&loaded));
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
        let adopted = process.node.adopt(read_set, &mut entry, process.wall);
        adopted.unwrap();
        process.apply();
        process
    }

    /// Takes a scrape. The clock on the wall is the newest instant that has been sent.
    pub fn scrape(&mut self, series: &Series, at: TimestampMs, values: &[f64]) {
        self.wall = self.wall.max(at);
        // Silence comes to be known before what ends it.
        self.node.beat(self.wall).unwrap();
        self.apply();
        let answer = receive(
            &self.node,
            &series.body(at, values),
            Protocol::V1,
            self.wall,
        );
        assert!(
            answer.status.is_success() || answer.status == 400,
            "{answer:?}"
        );
        self.apply();
    }

    fn apply(&mut self) {
        for entry in self.log.take() {
            self.engine.apply(&entry, &|| 0.0, &mut self.effects);
        }
    }

    /// Returns what fired, in the order of beginning, when half an hour more has passed.
    pub fn end(mut self) -> Vec<Firing> {
        self.node
            .beat(self.wall + DurationMs::from_seconds(1800))
            .unwrap();
        self.apply();
        let mut firings: Vec<Firing> = Vec::new();
        for effect in &self.effects {
            match effect {
                Effect::Alert {
                    at,
                    refresh: false,
                    message,
                } => match message.status {
                    AlertStatus::Firing => firings.push(Firing {
                        labels: message.labels.clone(),
                        from: *at,
                        until: None,
                    }),
                    AlertStatus::Resolved { resolved_at } => {
                        let mut open = firings.iter_mut().rev();
                        let ended = open.find(|firing| firing.labels == message.labels);
                        ended.unwrap().until = Some(resolved_at);
                    }
                },
                Effect::Overran { group, .. } => panic!("{group:?} costs too much"),
                Effect::RulesRefused { reasons, .. } => panic!("{reasons:?}"),
                _ => {}
            }
        }
        firings
    }
}

/// Tells at which of these instants (s) an alert of this name fires.
pub fn alarms(firings: &[Firing], alert: &str, instants: impl Iterator<Item = i64>) -> Vec<bool> {
    let of_alert: Vec<&Firing> = firings
        .iter()
        .filter(|firing| firing.labels.value("alertname") == alert)
        .collect();
    let fires = |seconds: i64| {
        let at = TimestampMs(seconds * 1000);
        let holds =
            |firing: &&&Firing| firing.from <= at && firing.until.is_none_or(|end| at < end);
        of_alert.iter().find(holds).is_some()
    };
    instants.map(fires).collect()
}
