//! The engine, fed with series in event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::engine::{Effect, Engine};
use burnwatch::model::{
    Batch, DurationMs, EngineSettings, Entry, EvaluationMode, Generation, Labels, RuleSource,
    SeriesDefinition, SeriesHandle, Stamp, TimestampMs, stale_nan,
};

use serde_json::Value;

use crate::recording::{Recording, labels, number};

type Samples = BTreeMap<TimestampMs, Vec<(SeriesHandle, TimestampMs, f64)>>;

/// An engine on its way through a recording.
pub struct Replay {
    /// The engine.
    pub engine: Engine,
    sequence: u64,
    /// Samples to come.
    samples: Samples,
}

/// A series: its labels and its samples.
pub type Series = (Labels, Vec<(TimestampMs, f64)>);

impl Replay {
    /// Returns an engine that has a recording's rules and stands just before the first evaluation.
    pub fn new(recording: &Recording) -> Self {
        let first = *recording.evaluations().first().expect("evaluations");
        Replay::start(rules(recording), series_of(recording), first)
    }

    /// Returns an engine that has these rules and stands just before `first`.
    pub fn start(rules: RuleSource, series: Vec<Series>, first: TimestampMs) -> Self {
        let mut replay = Replay {
            engine: Engine::new(),
            sequence: 0,
            samples: BTreeMap::new(),
        };
        let before_first = TimestampMs(first.0 - 1);
        let mut effects = Vec::new();
        let stamp = replay.stamp(before_first);
        let rules = Entry::Rules {
            stamp: Stamp {
                clock: None,
                ..stamp
            },
            generation: Generation(1),
            rules: Arc::new(rules),
        };
        replay.engine.apply(&rules, &|| 0.0, &mut effects);
        let batch = Batch {
            definitions: replay.define(series),
            ..Batch::default()
        };
        replay.apply(before_first, batch, &mut effects);
        assert_eq!(effects, []);
        replay
    }

    fn define(&mut self, series: Vec<Series>) -> Vec<SeriesDefinition> {
        let mut definitions = Vec::new();
        for (at, (labels, points)) in series.into_iter().enumerate() {
            let handle = SeriesHandle(u32::try_from(at).expect("few series"));
            definitions.push(SeriesDefinition { handle, labels });
            for (at, value) in points {
                let together = self.samples.entry(at).or_default();
                together.push((handle, at, value));
            }
        }
        definitions
    }

    /// Goes on to an instant and returns what is to be done. All samples up to there have been
    /// taken, as all had been written in the recording.
    pub fn go_on(&mut self, until: TimestampMs) -> Vec<Effect> {
        let mut effects = Vec::new();
        let later = self.samples.split_off(&TimestampMs(until.0 + 1));
        let now = std::mem::replace(&mut self.samples, later);
        for (at, floats) in now {
            let batch = Batch {
                floats,
                ..Batch::default()
            };
            self.apply(at, batch, &mut effects);
        }
        self.apply(until, Batch::default(), &mut effects);
        assert_eq!(self.engine.frontier(), Some(until));
        effects
    }

    fn apply(&mut self, at: TimestampMs, batch: Batch, effects: &mut Vec<Effect>) {
        let stamp = self.stamp(at);
        let entry = Entry::Samples {
            stamp,
            generation: Generation(1),
            batch,
        };
        self.engine.apply(&entry, &|| 0.0, effects);
    }

    fn stamp(&mut self, at: TimestampMs) -> Stamp {
        self.sequence += 1;
        Stamp {
            sequence: self.sequence,
            wall: at,
            clock: Some(at),
        }
    }
}

fn series_of(recording: &Recording) -> Vec<Series> {
    let sample = |pair: &Value| {
        let at = TimestampMs(pair[0].as_i64().expect("ms"));
        let value = match pair[1].as_str() {
            Some("stale") => stale_nan(),
            _ => number(&pair[1]),
        };
        (at, value)
    };
    let series = recording.json["series"].as_array().expect("series").iter();
    let one = |series: &Value| {
        let samples = series["samples"].as_array().expect("samples").iter();
        (labels(&series["labels"]), samples.map(sample).collect())
    };
    series.map(one).collect()
}

fn rules(recording: &Recording) -> RuleSource {
    let duration = |key: &str| DurationMs::parse(recording.text(key)).expect(key);
    let settings = EngineSettings {
        mode: EvaluationMode::Tick,
        evaluation_interval: duration("evaluation_interval"),
        resend_delay: duration("resend_delay"),
        external_labels: recording.external_labels(),
        external_url: recording.text("external_url").to_owned(),
        // Samples are there before they are due: nothing is waited for.
        scrape_settle: DurationMs::ZERO,
        ..EngineSettings::default()
    };
    let rules = recording.text("rules_file").to_owned();
    RuleSource {
        files: vec![(recording.rules_path.to_owned(), rules)],
        settings,
    }
}
