//! Random streams: what arrives when.

use std::sync::Arc;

use burnwatch::engine::compile;
use burnwatch::model::{
    BucketSpan, EngineSettings, Entry, FloatHistogram, Labels, RuleKey, SampleValue, TimestampMs,
    stale_nan,
};
use proptest::prelude::*;

use crate::world::{Door, Sample, labels};

/// The series there are: few enough to meet often, of every kind.
const SERIES: [&str; 20] = [
    r#"c{job="a",instance="0",status="ok"}"#,
    r#"c{job="a",instance="0",status="bad"}"#,
    r#"c{job="a",instance="1",status="ok"}"#,
    r#"c{job="b",instance="0",status="ok"}"#,
    r#"d{job="a",instance="0"}"#,
    r#"d{job="a",instance="1"}"#,
    r#"d{job="b",instance="0"}"#,
    r#"g{job="a",instance="0"}"#,
    r#"g{job="a",instance="1"}"#,
    r#"g{job="b",instance="0"}"#,
    r#"g{job="a",instance="0",__type__="gauge"}"#,
    r#"b_bucket{job="a",instance="0",le="0.1"}"#,
    r#"b_bucket{job="a",instance="0",le="1"}"#,
    r#"b_bucket{job="a",instance="0",le="+Inf"}"#,
    r#"b_bucket{job="a",instance="1",le="1"}"#,
    r#"b_bucket{job="a",instance="1",le="+Inf"}"#,
    r#"h{job="a",instance="0"}"#,
    r#"h{job="a",instance="1"}"#,
    r#"m{job="a",instance="0"}"#,
    r#"i{job="a",instance="0",version="1"}"#,
];

/// Where a stream begins, ms: on every grid.
const BEGIN: i64 = 3_600_000 * 1000;

/// Gaps between requests and steps back of late samples, ms; the smaller number the simpler.
const GAPS: [i64; 12] = [
    15_000, 10_000, 30_000, 5_000, 60_000, 1_000, 0, 7_331, 299_999, 300_000, 20_000, 1_200_000,
];
const BACK: [i64; 9] = [
    15_000, 1_000, 5_000, 30_000, 60_000, 299_999, 300_000, 301_000, 900_000,
];

/// How the value of a series goes on.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    Add(u8),
    Reset,
    Set(i8),
    /// One that does not occur in tame streams.
    Wild(u8),
}

const WILD: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e300,
    -1e300,
    -0.0,
    1e-20,
    1e20,
    0.1,
    -1e10,
    4e-324,
    1e15,
];

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A scrape of all that lives, so long after the step before; each value moves.
    Scrape { gap: u8, moves: Vec<Move> },
    /// So many scrapes, one like the other.
    Regular { n: u8, gap: u8, add: u8 },
    /// One sample of one series, perhaps late.
    One {
        series: u8,
        back: Option<u8>,
        value: Move,
    },
    /// The same sample again, as a retried request brings it.
    Again,
    /// A stale marker; the series lives no more.
    End { series: u8 },
    /// The series lives no more, and nobody says so.
    Fall { series: u8 },
    /// A series lives from now on.
    Rise { series: u8 },
    /// Nothing comes.
    Idle { gap: u8 },
    /// The next rule set is loaded.
    Reload,
    /// The detectors of some of its rules begin anew, so long ago or now.
    Reset { of_8: u8, back: Option<u8> },
}

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Series that live from the beginning, a bit each.
    pub alive: u32,
    /// Whether values go wild.
    pub wild: bool,
    pub steps: Vec<Step>,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0u8..6).prop_map(Move::Add),
        1 => Just(Move::Reset),
        2 => (-3i8..4).prop_map(Move::Set),
        2 => any::<u8>().prop_map(Move::Wild),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let gap = || 0..GAPS.len() as u8;
    let series = || 0..SERIES.len() as u8;
    let back = prop::option::of(0..BACK.len() as u8);
    let back_too = back.clone();
    prop_oneof![
        12 => (gap(), prop::collection::vec(moves(), 1..8))
            .prop_map(|(gap, moves)| Step::Scrape { gap, moves }),
        1 => (1u8..90, 0u8..6, 0u8..4).prop_map(|(n, gap, add)| Step::Regular { n, gap, add }),
        4 => (series(), back, moves())
            .prop_map(|(series, back, value)| Step::One { series, back, value }),
        1 => Just(Step::Again),
        1 => series().prop_map(|series| Step::End { series }),
        1 => series().prop_map(|series| Step::Fall { series }),
        2 => series().prop_map(|series| Step::Rise { series }),
        1 => gap().prop_map(|gap| Step::Idle { gap }),
        1 => Just(Step::Reload),
        1 => (any::<u8>(), back_too).prop_map(|(of_8, back)| Step::Reset { of_8, back }),
    ]
}

/// Returns streams of up to so many steps.
pub fn streams(n_steps: usize) -> impl Strategy<Value = Stream> {
    let wild = prop::bool::weighted(0.3);
    let steps = prop::collection::vec(step(), 2..n_steps);
    // Three of four live.
    let alive = (any::<u32>(), any::<u32>()).prop_map(|(a, b)| a | b);
    (alive, wild, steps).prop_map(|(alive, wild, steps)| Stream { alive, wild, steps })
}

/// What a stream comes to: the log, and how much is to be expected of it.
pub struct Played {
    /// Entries, and whether rules are looked at after them.
    pub entries: Vec<(Entry, bool)>,
    /// The largest finite value of all samples.
    pub magnitude: f64,
    /// What came when, a line a sample.
    pub told: Vec<String>,
}

struct Player<'a> {
    door: Door,
    now: i64,
    wild: bool,
    alive: Vec<bool>,
    values: Vec<f64>,
    labels: Vec<Labels>,
    last: Vec<Sample>,
    /// The rules with detectors.
    learning: Vec<RuleKey>,
    played: Played,
    settings: &'a EngineSettings,
}

/// Plays a stream; `rule_sets` are loaded in turn, the first at the beginning.
pub fn play(stream: &Stream, rule_sets: &[String], settings: &EngineSettings) -> Played {
    let mut player = Player {
        door: Door::new(),
        now: BEGIN,
        wild: stream.wild,
        alive: (0..SERIES.len())
            .map(|n| stream.alive >> n & 1 == 1)
            .collect(),
        values: vec![0.0; SERIES.len()],
        labels: SERIES.iter().map(|series| labels(series)).collect(),
        last: Vec::new(),
        learning: Vec::new(),
        played: Played {
            entries: Vec::new(),
            magnitude: 1.0,
            told: Vec::new(),
        },
        settings,
    };
    let mut sets = rule_sets.iter().cycle();
    player.load(sets.next().unwrap());
    for step in &stream.steps {
        match step {
            Step::Reload => player.load(sets.next().unwrap()),
            step => player.step(step),
        }
    }
    player.played
}

impl Player<'_> {
    fn load(&mut self, rules: &str) {
        let entry = self.door.rules(rules, self.settings);
        if let Entry::Rules { rules, .. } = &entry {
            let compiled = compile(rules).unwrap_or_default();
            let learning = compiled.rules.iter().filter(|rule| rule.learns);
            self.learning = learning.map(|rule| compiled.key_of(rule)).collect();
        }
        self.played.told.push("rules are loaded".to_owned());
        self.played.entries.push((entry, true));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Scrape { gap, moves } => {
                self.now += GAPS[usize::from(*gap)];
                self.scrape(|n| moves[n % moves.len()], true);
            }
            Step::Regular { n, gap, add } => {
                for round in 0..*n {
                    self.now += GAPS[usize::from(*gap)];
                    let is_looked_at = round % 7 == 6 || round + 1 == *n;
                    self.scrape(|_| Move::Add(*add), is_looked_at);
                }
            }
            Step::One {
                series,
                back,
                value,
            } => {
                let number = usize::from(*series);
                let back = back.map_or(0, |back| BACK[usize::from(back)]);
                let value = self.moved(number, *value);
                let at = TimestampMs(self.now - back);
                self.send(vec![(self.labels[number].clone(), at, value)], true);
            }
            Step::Again => self.send(self.last.clone(), true),
            Step::End { series } => {
                let number = usize::from(*series);
                self.alive[number] = false;
                self.now += 1000;
                let marker = SampleValue::Float(stale_nan());
                let at = TimestampMs(self.now);
                self.send(vec![(self.labels[number].clone(), at, marker)], true);
            }
            Step::Fall { series } => self.alive[usize::from(*series)] = false,
            Step::Rise { series } => self.alive[usize::from(*series)] = true,
            Step::Idle { gap } => {
                self.now += GAPS[usize::from(*gap)];
                if let Some(entry) = self.door.idle(TimestampMs(self.now)) {
                    self.played
                        .told
                        .push(format!("{} idle", self.shown(self.now)));
                    self.played.entries.push((entry, true));
                }
            }
            Step::Reset { of_8, back } => {
                let meant = |(number, key): (usize, &RuleKey)| {
                    (of_8 >> (number % 8) & 1 == 1).then(|| key.clone())
                };
                let rules: Vec<RuleKey> =
                    self.learning.iter().enumerate().filter_map(meant).collect();
                let back = back.map(|back| BACK[usize::from(back)]);
                let at = back.map(|back| TimestampMs(self.now - back));
                let names: Vec<&str> = rules.iter().map(|key| key.name.as_str()).collect();
                let told = format!("{} reset {names:?} at {at:?}", self.shown(self.now));
                self.played.told.push(told);
                let entry = self.door.reset(rules, at);
                self.played.entries.push((entry, true));
            }
            Step::Reload => {}
        }
    }

    fn scrape(&mut self, value: impl Fn(usize) -> Move, is_looked_at: bool) {
        let at = TimestampMs(self.now);
        let mut samples = Vec::new();
        for number in 0..SERIES.len() {
            if self.alive[number] {
                let value = self.moved(number, value(number));
                samples.push((self.labels[number].clone(), at, value));
            }
        }
        if !samples.is_empty() {
            self.send(samples, is_looked_at);
        }
    }

    fn moved(&mut self, number: usize, by: Move) -> SampleValue {
        let value = &mut self.values[number];
        *value = match by {
            Move::Add(add) => *value + f64::from(add),
            Move::Reset => 0.0,
            Move::Set(to) => f64::from(to),
            Move::Wild(which) if self.wild => WILD[usize::from(which) % WILD.len()],
            Move::Wild(which) => *value + f64::from(which % 4) * 0.1,
        };
        let value = *value;
        if value.is_finite() {
            self.played.magnitude = self.played.magnitude.max(value.abs());
        }
        let is_histogram = match SERIES[number].as_bytes()[0] {
            b'h' => true,
            b'm' => value.is_finite() && value % 3.0 == 0.0,
            _ => false,
        };
        match is_histogram {
            true => SampleValue::Histogram(Arc::new(histogram(value))),
            false => SampleValue::Float(value),
        }
    }

    fn send(&mut self, samples: Vec<Sample>, is_looked_at: bool) {
        if samples.is_empty() {
            return;
        }
        for (labels, at, value) in &samples {
            let value = match value {
                SampleValue::Float(value) => format!("{value:?}"),
                SampleValue::Histogram(h) => format!("histogram of {:?}", h.count),
            };
            let at = self.shown(at.0);
            self.played.told.push(format!("{at} {labels} {value}"));
        }
        let entry = self.door.request(TimestampMs(self.now), &samples);
        self.played.entries.push((entry, is_looked_at));
        self.last = samples;
    }

    fn shown(&self, at: i64) -> String {
        format!("{}s", (at - BEGIN) as f64 / 1000.0)
    }
}

/// Returns a histogram that grows with a number; every seventh has other buckets.
fn histogram(number: f64) -> FloatHistogram {
    let number = if number.is_finite() {
        number.abs()
    } else {
        1.0
    };
    FloatHistogram {
        schema: if number % 7.0 == 5.0 { 1 } else { 0 },
        count: number * 2.0,
        sum: number * 3.0,
        positive_spans: vec![BucketSpan {
            offset: 0,
            length: 2,
        }],
        positive_buckets: vec![number, number],
        ..FloatHistogram::default()
    }
}
