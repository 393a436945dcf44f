//! The log of a random stream: entries as a node's door would write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::functions::Functions;
use burnwatch::ingest::sequencer::{Evidence, Sequencer, Target};
use burnwatch::model::{
    Batch, DetectorReset, DurationMs, EngineSettings, Entry, Generation, Labels, RuleKey,
    RuleSource, SampleValue, SeriesDefinition, SeriesHandle, Stamp, TimestampMs,
};
use burnwatch::promql::ast::ExprKind;
use burnwatch::promql::{Features, parse};

/// Returns the labels that a series selector such as `up{job="a"}` spells.
pub fn labels(text: &str) -> Labels {
    let expr = parse(text, &Functions, Features::ALL).unwrap();
    let ExprKind::Vector(selector) = expr.kind else {
        panic!("{text} is no series")
    };
    let matchers = selector.matchers.iter();
    Labels::from_pairs(matchers.map(|m| (m.name.as_str(), m.value.as_str())))
}

/// A sample on its way: series, when, what.
pub type Sample = (Labels, TimestampMs, SampleValue);

/// Writes entries as the door does: stamps, handles, definitions.
pub struct Door {
    sequencer: Sequencer,
    stamp: Stamp,
    generation: u64,
    handles: BTreeMap<Labels, SeriesHandle>,
}

impl Door {
    pub fn new() -> Self {
        Door {
            sequencer: Sequencer::new(DurationMs::from_seconds(60), DurationMs::from_seconds(300)),
            stamp: Stamp {
                sequence: 0,
                wall: TimestampMs(0),
                clock: None,
            },
            generation: 0,
            handles: BTreeMap::new(),
        }
    }

    /// Loads a rule set.
    pub fn rules(&mut self, text: &str, settings: &EngineSettings) -> Entry {
        self.generation += 1;
        self.stamp.sequence += 1;
        Entry::Rules {
            stamp: self.stamp,
            generation: Generation(self.generation),
            rules: Arc::new(RuleSource {
                files: vec![("rules.yml".to_owned(), text.to_owned())],
                settings: settings.clone(),
            }),
        }
    }

    /// One request.
    pub fn request(&mut self, wall: TimestampMs, samples: &[Sample]) -> Entry {
        let mut batch = Batch::default();
        let mut evidence = Evidence::default();
        for (labels, at, value) in samples {
            let next = SeriesHandle(u32::try_from(self.handles.len()).unwrap());
            let handle = *self.handles.entry(labels.clone()).or_insert(next);
            if handle == next {
                batch.definitions.push(SeriesDefinition {
                    handle,
                    labels: labels.clone(),
                });
            }
            match value {
                SampleValue::Float(value) => batch.floats.push((handle, *at, *value)),
                SampleValue::Histogram(h) => batch.histograms.push((handle, *at, h.clone())),
            }
            let target = ["job", "instance"].map(|name| (name, labels.value(name)));
            let target = Target(Labels::from_pairs(target).hash64() as u32);
            evidence.hear(*at, target, wall);
        }
        self.stamp = self.sequencer.stamp(evidence, wall);
        Entry::Samples {
            stamp: self.stamp,
            generation: Generation(self.generation),
            batch,
        }
    }

    /// The detectors of some rules begin anew, at an instant or now.
    pub fn reset(&mut self, rules: Vec<RuleKey>, at: Option<TimestampMs>) -> Entry {
        self.stamp.sequence += 1;
        let at = at.or(self.stamp.clock).unwrap_or(self.stamp.wall);
        Entry::Reset {
            stamp: self.stamp,
            reset: Arc::new(DetectorReset { at, rules }),
        }
    }

    /// The wall clock goes on and nothing comes.
    pub fn idle(&mut self, wall: TimestampMs) -> Option<Entry> {
        self.stamp = self.sequencer.idle(wall)?;
        Some(Entry::Clock { stamp: self.stamp })
    }
}
