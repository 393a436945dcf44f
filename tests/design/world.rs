//! An engine, the log that drives it, and short words for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::engine::{AlertView, Effect, Engine};
use burnwatch::eval::{EvalOptions, Scan, evaluate};
use burnwatch::functions::Functions;
use burnwatch::ingest::sequencer::{Evidence, Sequencer, Target};
use burnwatch::model::{
    AlertStatus, Batch, Change, DurationMs, EngineSettings, Entry, EvaluationMode, Generation,
    Grid, Labels, Matcher, Past, PastError, PastSeries, Point, RuleSource, SampleValue,
    SeriesDefinition, SeriesHandle, Stamp, TimestampMs, Value,
};
use burnwatch::promql::{Features, parse};

/// A sample in a test: a series as it is written, its value.
pub type Sample<'a> = (&'a str, f64);

/// Returns how many random cases to try; forty times as many under `make deep`.
pub fn cases(usual: u32) -> proptest::test_runner::Config {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    proptest::test_runner::Config::with_cases(if deep { usual * 40 } else { usual })
}

/// Returns an instant, in seconds since the start of the test.
pub fn at(seconds: f64) -> TimestampMs {
    TimestampMs((seconds * 1000.0).round() as i64)
}

/// Returns the labels that a series selector such as `up{job="a"}` spells.
pub fn labels(text: &str) -> Labels {
    let expr = parse(text, &Functions, Features::ALL).expect(text);
    let burnwatch::promql::ast::ExprKind::Vector(selector) = expr.kind else {
        panic!("{text} is no series")
    };
    Labels::from_pairs(
        selector
            .matchers
            .iter()
            .map(|m| (m.name.as_str(), m.value.as_str())),
    )
}

fn matchers(selector: &str) -> Vec<Matcher> {
    let expr = parse(selector, &Functions, Features::ALL).expect(selector);
    let burnwatch::promql::ast::ExprKind::Vector(selector) = expr.kind else {
        panic!("{selector} is no selector")
    };
    selector.matchers
}

/// A past that is held in memory.
#[derive(Debug)]
struct Fetched(BTreeMap<Labels, Vec<Point>>);

impl PastSeries for Fetched {
    fn name(&self) -> &str {
        "fetched"
    }

    fn visit(&self, visit: &mut dyn FnMut(Labels, Vec<Point>)) -> Result<(), PastError> {
        let series = self.0.iter();
        series.for_each(|(labels, points)| visit(labels.clone(), points.clone()));
        Ok(())
    }
}

/// An engine with a log.
pub struct World {
    pub engine: Engine,
    pub log: Vec<Entry>,
    pub effects: Vec<Effect>,
    sequencer: Sequencer,
    source: RuleSource,
    generation: u64,
    handles: BTreeMap<Labels, SeriesHandle>,
}

impl World {
    /// Returns an engine with these rules, ticking every 10 s from 0 on, raising on arrival.
    pub fn new(rules: &str) -> Self {
        World::with(rules, |_| {})
    }

    /// The same, ticking only.
    pub fn ticking(rules: &str) -> Self {
        World::with(rules, |settings| settings.mode = EvaluationMode::Tick)
    }

    /// The same, with other settings.
    pub fn with(rules: &str, change: impl FnOnce(&mut EngineSettings)) -> Self {
        let mut settings = EngineSettings {
            grid: Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs::from_seconds(10),
                group_order: None,
            },
            ..EngineSettings::default()
        };
        change(&mut settings);
        let files = vec![("rules.yml".to_owned(), rules.to_owned())];
        let mut world = World {
            engine: Engine::new(),
            log: Vec::new(),
            effects: Vec::new(),
            sequencer: Sequencer::new(DurationMs::from_seconds(60), DurationMs::from_seconds(300)),
            source: RuleSource { files, settings },
            generation: 0,
            handles: BTreeMap::new(),
        };
        world.load();
        world
    }

    fn load(&mut self) {
        self.generation += 1;
        let stamp = self.stamp_now();
        self.apply(Entry::Rules {
            stamp,
            generation: Generation(self.generation),
            rules: Arc::new(self.source.clone()),
        });
        let refused = |effect: &&Effect| matches!(effect, Effect::RulesRefused { .. });
        assert_eq!(self.effects.iter().find(refused), None);
    }

    /// Replaces the rules, as a reload does.
    pub fn reload(&mut self, rules: &str) {
        self.source.files[0].1 = rules.to_owned();
        self.load();
    }

    /// Loads a baseline beside the rules, or takes it away.
    pub fn load_baseline(&mut self, text: Option<&str>) {
        self.source.files.truncate(1);
        let file = text.map(|text| ("baseline.yml".to_owned(), text.to_owned()));
        self.source.files.extend(file);
        self.load();
    }

    fn stamp_now(&self) -> Stamp {
        let last = self.log.last().map(Entry::stamp).copied();
        last.map_or(
            Stamp {
                sequence: 0,
                wall: TimestampMs(0),
                clock: None,
            },
            |last| Stamp {
                sequence: last.sequence + 1,
                ..last
            },
        )
    }

    fn apply(&mut self, entry: Entry) {
        self.engine.apply(&entry, &|| 0.0, &mut self.effects);
        self.log.push(entry);
    }

    /// One request whose samples all have the timestamp `seconds`, arriving at that moment.
    pub fn push(&mut self, seconds: f64, samples: &[Sample<'_>]) {
        self.push_at_wall(seconds, seconds, samples);
    }

    /// The same, arriving at another moment of the wall clock.
    pub fn push_at_wall(&mut self, wall: f64, seconds: f64, samples: &[Sample<'_>]) {
        let samples: Vec<_> = samples.iter().map(|(s, v)| (*s, seconds, *v)).collect();
        self.request(wall, &samples);
    }

    /// One request of samples with their own timestamps.
    pub fn request(&mut self, wall: f64, samples: &[(&str, f64, f64)]) {
        let mut batch = Batch::default();
        let mut evidence = Evidence::default();
        for (series, seconds, value) in samples {
            let labels = labels(series);
            let next = SeriesHandle(u32::try_from(self.handles.len()).expect("few"));
            let handle = *self.handles.entry(labels.clone()).or_insert(next);
            if handle == next {
                batch.definitions.push(SeriesDefinition {
                    handle,
                    labels: labels.clone(),
                });
            }
            batch.floats.push((handle, at(*seconds), *value));
            let target = Labels::from_pairs([
                ("job", labels.value("job")),
                ("instance", labels.value("instance")),
            ]);
            evidence.hear(at(*seconds), Target(target.hash64() as u32), at(wall));
        }
        let stamp = self.sequencer.stamp(evidence, at(wall));
        self.apply(Entry::Samples {
            stamp,
            generation: Generation(self.generation),
            batch,
        });
    }

    /// What a selector's series were before the first sample came here, fetched from elsewhere.
    pub fn past(&mut self, selector: &str, since: f64, until: f64, samples: &[(&str, f64, f64)]) {
        let mut series: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        for (name, seconds, value) in samples {
            let at = at(*seconds);
            let value = SampleValue::Float(*value);
            let points = series.entry(labels(name)).or_default();
            points.push(Point { at, value });
        }
        let stamp = self.stamp_now();
        let past = Past {
            matchers: matchers(selector),
            since: at(since),
            until: at(until),
            series: Arc::new(Fetched(series)),
        };
        self.apply(Entry::Past {
            stamp,
            past: Arc::new(past),
        });
    }

    /// Somebody tells that something was changed.
    pub fn change(&mut self, change: Change) {
        let stamp = self.stamp_now();
        let change = Arc::new(change);
        self.apply(Entry::Change { stamp, change });
    }

    /// The wall clock goes on and nothing comes.
    pub fn idle(&mut self, wall: f64) {
        if let Some(stamp) = self.sequencer.idle(at(wall)) {
            self.apply(Entry::Clock { stamp });
        }
    }

    /// The wall clock is set while no time passes.
    pub fn set_wall(&mut self, by: f64) {
        self.sequencer.wall_was_set(at(by) - TimestampMs(0));
    }

    /// Returns `F` in seconds.
    pub fn frontier(&self) -> f64 {
        self.engine
            .frontier()
            .map_or(f64::NAN, TimestampMs::seconds)
    }

    /// Returns what was announced of alerts, one line each: `12.5s firing X{a="b"}`.
    pub fn told(&self) -> Vec<String> {
        told(&self.effects)
    }

    /// Returns the pending and firing alerts of all rules.
    pub fn alerts(&self) -> Vec<AlertView> {
        let groups = self.engine.groups();
        let rules = groups.into_iter().flat_map(|group| group.rules);
        rules
            .filter_map(|rule| rule.alerting)
            .flat_map(|alerting| alerting.alerts)
            .collect()
    }

    /// Returns the value of an instant query over history, as text, one line an element.
    pub fn query(&self, text: &str, seconds: f64) -> Vec<String> {
        let expr = parse(text, &Functions, Features::ALL).expect(text);
        let scan = Scan::new(self.engine.series());
        let outcome = evaluate(&expr, &scan, at(seconds), &EvalOptions::default()).expect(text);
        let Value::Vector(elements) = outcome.value else {
            panic!("{text} is no vector")
        };
        let line = |value: &SampleValue| value.as_float().map_or("?".into(), |v| v.to_string());
        elements
            .iter()
            .map(|e| format!("{} {}", e.labels, line(&e.value)))
            .collect()
    }
}

/// Returns what effects say of alerts, one line each.
pub fn told(effects: &[Effect]) -> Vec<String> {
    let mut lines = Vec::new();
    for effect in effects {
        let (at, word, labels) = match effect {
            Effect::Pending { at, labels } => (at, "pending", labels),
            Effect::Alert {
                at,
                refresh: false,
                message,
            } => match message.status {
                AlertStatus::Firing => (at, "firing", &message.labels),
                AlertStatus::Resolved { .. } => (at, "resolved", &message.labels),
            },
            _ => continue,
        };
        let name = labels.value("alertname");
        let rest = labels.filter(|label| label != "alertname");
        let rest = if rest.is_empty() {
            String::new()
        } else {
            rest.to_string()
        };
        lines.push(format!("{}s {word} {name}{rest}", at.seconds()));
    }
    lines
}

/// Replays a log into a fresh engine and returns all effects.
pub fn replay(log: &[Entry]) -> Vec<Effect> {
    let mut engine = Engine::new();
    let mut effects = Vec::new();
    log.iter()
        .for_each(|entry| engine.apply(entry, &|| 0.0, &mut effects));
    effects
}
