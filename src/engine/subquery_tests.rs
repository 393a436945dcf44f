//! An engine that keeps the points of subqueries tells what one tells that reads them from
//! history each time, whatever comes and in what order.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::engine::evaluate::Leaves;
use crate::engine::{Effect, Engine};
use crate::model::{
    Batch, DurationMs, EngineSettings, Entry, EvaluationMode, FloatHistogram, Generation, Grid,
    Labels, RuleSource, SampleValue, SeriesDefinition, SeriesHandle, Stamp, TimestampMs, stale_nan,
};

/// What is recorded, one expression a rule.
const RECORDED: &[&str] = &[
    "max_over_time(rate(x[1m])[3m:10s])",
    "avg_over_time((y > 2)[2m:])",
    "min_over_time(sum by (job) (y)[1m:7s] offset 20s)",
    "max_over_time(min_over_time(y[40s:10s])[2m:20s])",
    "max_over_time(sum_over_time(y[40s:5s] offset 10s)[1m:20s] offset 30s)",
    "sum_over_time(job:x:rate[1m:10s])",
    "max_over_time(sum by (job) (job:x:rate)[2m:5s])",
    "count_over_time((y or z)[1m:13s])",
    "last_over_time((y or z)[1m:10s])",
    "quantile_over_time(0.5, y[1m:10s])",
    "changes(y[2m:10s]) + resets(y[2m:10s])",
    "absent_over_time(y{job=\"b\"}[1m:10s])",
    "stddev_over_time(y[1m:10s])",
    "rate(y[2m:15s])",
    "predict_linear(y[1m:10s], 60)",
    "sum by (job) (max_over_time(y[1m:10s]))",
    "max_over_time((y / on (job) z)[1m:10s])",
    "max_over_time(vector(time())[1m:10s])",
    "histogram_count(increase(h[1m:10s]))",
    "histogram_sum(sum_over_time(rate(h[30s])[1m:10s]))",
    "timestamp(last_over_time(y[1m:20s])) - y",
    "max_over_time((time() - timestamp(y))[1m:10s])",
    "max_over_time(topk(1, y)[1m:10s])",
    "max_over_time(y[1m:10s] @ 300)",
    "max_over_time(max_over_time(y[30s:10s] offset -10s)[1m:10s])",
    "max_over_time((y offset 1m)[30s:10s])",
];

fn rules() -> String {
    let mut text = "groups:
- name: first
  rules:
  - {record: 'job:x:rate', expr: 'sum by (job) (rate(x[30s]))'}
- name: behind
  query_offset: 15s
  rules:
  - {record: behind, expr: 'max_over_time(y[1m:10s])'}
  - {record: behind_too, expr: 'sum_over_time(behind[1m:10s])'}
- name: alerts
  rules:
  - {alert: Rate, expr: 'max_over_time(job:x:rate[1m:10s]) > 0.3', for: 10s}
  - {alert: Low, expr: 'min_over_time(y[30s:10s]) < 3'}
- name: second
  rules:
"
    .to_owned();
    for (number, expr) in RECORDED.iter().enumerate() {
        let expr = expr.replace('\'', "''");
        text += &format!("  - {{record: r{number}, expr: '{expr}'}}\n");
    }
    text
}

const SERIES: [(&str, &str, &str); 7] = [
    ("x", "a", "0"),
    ("x", "a", "1"),
    ("y", "a", "0"),
    ("y", "b", "0"),
    ("z", "a", "0"),
    ("z", "b", "1"),
    ("h", "a", "0"),
];

fn series(number: usize) -> Labels {
    let (name, job, instance) = SERIES[number];
    Labels::from_pairs([("__name__", name), ("job", job), ("instance", instance)])
}

/// Two engines that are told the same.
struct Pair {
    live: Engine,
    scan: Engine,
    effects: (Vec<Effect>, Vec<Effect>),
    settings: EngineSettings,
    sequence: u64,
    generation: u64,
    defined: Vec<bool>,
}

impl Pair {
    fn new(settings: EngineSettings, rules: &str) -> Self {
        let mut pair = Pair {
            live: Engine::new(),
            scan: Engine::new(),
            effects: Default::default(),
            settings,
            sequence: 0,
            generation: 0,
            defined: vec![false; SERIES.len()],
        };
        pair.scan.leaves = Leaves::Scan;
        pair.load(rules);
        pair
    }

    fn stamp(&mut self, now: Option<i64>) -> Stamp {
        self.sequence += 1;
        let last = self.live.stamp;
        let clock = now.map(|now| TimestampMs(now * 1000));
        let clock = clock.max(last.and_then(|last| last.clock));
        Stamp {
            sequence: self.sequence,
            wall: clock.unwrap_or_default(),
            clock,
        }
    }

    fn load(&mut self, rules: &str) {
        self.generation += 1;
        let source = RuleSource {
            files: vec![("rules.yml".to_owned(), rules.to_owned())],
            settings: self.settings.clone(),
        };
        let entry = Entry::Rules {
            stamp: self.stamp(None),
            generation: Generation(self.generation),
            rules: Arc::new(source),
        };
        self.apply(&entry);
    }

    /// Samples of one request: series, seconds, value; of the histogram, its count.
    fn push(&mut self, now: i64, samples: &[(usize, i64, f64)]) {
        let mut batch = Batch::default();
        for (number, at, value) in samples {
            let handle = SeriesHandle(*number as u32);
            if !std::mem::replace(&mut self.defined[*number], true) {
                let labels = series(*number);
                batch.definitions.push(SeriesDefinition { handle, labels });
            }
            let at = TimestampMs(at * 1000);
            if SERIES[*number].0 != "h" || value.is_nan() {
                batch.floats.push((handle, at, *value));
                continue;
            }
            let histogram = FloatHistogram {
                count: value.abs(),
                sum: value.abs() * 2.0,
                zero_count: value.abs(),
                ..FloatHistogram::default()
            };
            batch.histograms.push((handle, at, Arc::new(histogram)));
        }
        let entry = Entry::Samples {
            stamp: self.stamp(Some(now)),
            generation: Generation(self.generation),
            batch,
        };
        self.apply(&entry);
    }

    fn apply(&mut self, entry: &Entry) {
        self.effects = Default::default();
        self.live.apply(entry, &|| 0.0, &mut self.effects.0);
        self.scan.apply(entry, &|| 0.0, &mut self.effects.1);
        let refused = |effect: &Effect| matches!(effect, Effect::RulesRefused { .. });
        let refused = self.effects.0.iter().find(|effect| refused(effect));
        assert!(refused.is_none(), "{refused:?}");
    }

    /// Returns the first difference between the two.
    fn difference(&self) -> Option<String> {
        let (live, scan) = &self.effects;
        let mut pairs = live.iter().zip(scan);
        let differs = pairs.find(|(live, scan)| !is_same(live, scan));
        if let Some((live, scan)) = differs {
            return Some(format!("live {live:#?}\nscan {scan:#?}"));
        }
        let health = |engine: &Engine| -> Vec<String> {
            let groups = engine.groups();
            let rules = groups.iter().flat_map(|group| &group.rules);
            let health = rules.map(|rule| format!("{} {:?}", rule.query, rule.health));
            health.collect()
        };
        let (of_live, of_scan) = (health(&self.live), health(&self.scan));
        let mut pairs = of_live.iter().zip(&of_scan);
        if let Some((live, scan)) = pairs.find(|(live, scan)| live != scan) {
            return Some(format!("live {live}\nscan {scan}"));
        }
        (live.len() != scan.len()).then(|| {
            let more = if live.len() > scan.len() { live } else { scan };
            let at = live.len().min(scan.len());
            format!("{} and {}: {:?}", live.len(), scan.len(), more[at])
        })
    }
}

/// Tells whether two effects are the same but for the last digits of sums.
fn is_same(live: &Effect, scan: &Effect) -> bool {
    let (
        Effect::Recorded { labels, at, value },
        Effect::Recorded {
            labels: labels_scan,
            at: at_scan,
            value: value_scan,
        },
    ) = (live, scan)
    else {
        return format!("{live:?}") == format!("{scan:?}");
    };
    let is_same_value = match (value, value_scan) {
        (SampleValue::Float(live), SampleValue::Float(scan)) => {
            let nearly = (live - scan).abs() <= 1e-9 * live.abs().max(scan.abs());
            live.to_bits() == scan.to_bits() || nearly || (live.is_nan() && scan.is_nan())
        }
        (live, scan) => live == scan,
    };
    labels == labels_scan && at == at_scan && is_same_value
}

/// What comes next.
#[derive(Clone, Debug)]
enum Event {
    /// So many seconds later, samples: series, how late, value.
    Samples(i64, Vec<(usize, i64, f64)>),
    Reload,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => (0..10i32).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(stale_nan()),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let late = prop_oneof![8 => Just(0i64), 2 => 0..20i64, 1 => 0..200i64];
    let samples = prop::collection::vec((0..SERIES.len(), late, value()), 0..6);
    let later = prop_oneof![10 => 0..20i64, 5 => Just(10i64), 2 => 20..90i64, 1 => 300..4000i64];
    prop_oneof![
        30 => (later, samples).prop_map(|(later, samples)| Event::Samples(later, samples)),
        1 => Just(Event::Reload),
    ]
}

fn settings(hashed: bool) -> EngineSettings {
    EngineSettings {
        evaluation_interval: DurationMs::from_seconds(10),
        grid: match hashed {
            true => Grid::Hashed,
            false => Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs::from_seconds(10),
                group_order: None,
            },
        },
        out_of_order_window: DurationMs::from_seconds(120),
        ticks_per_leap_max: 20,
        ..EngineSettings::default()
    }
}

/// Returns how many random cases to try; forty times as many under `make deep`.
fn cases(usual: u32) -> Config {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    Config::with_cases(if deep { usual * 40 } else { usual })
}

proptest! {
    #![proptest_config(cases(6))]

    /// Would catch a point that was made too early, with other samples than were known, or not
    /// made anew when it should have been.
    #[test]
    fn kept_points_are_those_of_history(
        hashed in any::<bool>(),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let rules = rules();
        let mut pair = Pair::new(settings(hashed), &rules);
        let mut now = 100;
        for event in &events {
            match event {
                Event::Reload => pair.load(&rules),
                Event::Samples(later, samples) => {
                    now += later;
                    let samples: Vec<(usize, i64, f64)> = samples
                        .iter()
                        .map(|(series, late, value)| (*series, now - late, *value))
                        .collect();
                    pair.push(now, &samples);
                }
            }
            if let Some(difference) = pair.difference() {
                prop_assert!(false, "after {event:?} at {now}:\n{difference}");
            }
        }
    }
}

/// A steady stream, every ten seconds.
fn steady(pair: &mut Pair, seconds: std::ops::Range<i64>) {
    for now in seconds.step_by(10) {
        let samples: Vec<(usize, i64, f64)> = (0..6)
            .map(|number| (number, now, (now / 10 % 7) as f64))
            .collect();
        pair.push(now, &samples);
        assert_eq!(pair.difference(), None);
    }
}

#[test]
fn nothing_is_read_from_history_once_points_are_there() {
    let rules = "groups:
- name: first
  rules:
  - {record: 'job:x:rate', expr: 'sum by (job) (rate(x[30s]))'}
  - {record: a, expr: 'max_over_time(rate(x[1m])[10m:1m])'}
  - {record: b, expr: 'count_over_time(max_over_time(y[40s:10s])[10m:20s] offset 1m)'}
  - {record: c, expr: 'max_over_time(job:x:rate[5m:10s])'}
  - {record: d, expr: 'changes((y > 3)[5m:7s])'}
- name: behind
  query_offset: 15s
  rules:
  - {record: e, expr: 'max_over_time(y[1m:10s])'}
";
    let others = "groups:
- name: others
  rules:
  - {record: other, expr: 'rate(x[10m]) + on (job, instance) y'}
";
    let mut pair = Pair::new(settings(false), others);
    steady(&mut pair, 100..900);
    assert_eq!(pair.live.stats().samples_scanned, 0);
    pair.load(rules);
    steady(&mut pair, 900..1000);
    let warm = pair.live.stats().samples_scanned;
    assert!(warm > 0);
    steady(&mut pair, 1000..2000);
    assert_eq!(pair.live.stats().samples_scanned, warm);
    // One late sample costs the points that it falls into, and no more.
    pair.push(2000, &[(0, 1942, 3.0)]);
    steady(&mut pair, 2000..2100);
    let late = pair.live.stats().samples_scanned - warm;
    assert!(late > 0 && late < 100, "{late}");
    // A reload keeps what is there.
    pair.load(rules);
    steady(&mut pair, 2100..2200);
    assert_eq!(pair.live.stats().samples_scanned, warm + late);
}

#[test]
fn more_series_than_a_rule_may_have_are_not_kept() {
    let rules = "groups:
- name: first
  rules:
  - {record: a, expr: 'sum(max_over_time(y[1m:10s]))'}
";
    let settings = EngineSettings {
        elements_max: 1,
        mode: EvaluationMode::Tick,
        ..settings(false)
    };
    let mut pair = Pair::new(settings, rules);
    steady(&mut pair, 100..200);
    let before = pair.live.stats().samples_scanned;
    steady(&mut pair, 200..300);
    assert!(pair.live.stats().samples_scanned > before);
}

/// What fails must go on failing with the same words.
#[test]
fn subqueries_of_too_many_steps_fail_as_before() {
    let rules = "groups:
- name: first
  rules:
  - {record: a, expr: 'max_over_time(y[1m:1s])'}
  - {record: b, expr: 'max_over_time(max_over_time(y[30s:1s])[5m:10s])'}
  - {record: c, expr: 'max_over_time(y[1m:10s])'}
";
    let settings = EngineSettings {
        subquery_steps_max: 30,
        ..settings(false)
    };
    let mut pair = Pair::new(settings, rules);
    steady(&mut pair, 100..200);
    let groups = pair.live.groups();
    let failing = groups.iter().flat_map(|group| &group.rules);
    let texts: Vec<String> = failing.map(|rule| format!("{:?}", rule.health)).collect();
    assert!(texts[0].contains("more than 30 steps"), "{texts:?}");
    assert!(texts[1].contains("within one another"), "{texts:?}");
    assert_eq!(texts[2], "Ok");
}

/// An alert that looks through a recorded series sees a sample of a point's own instant before
/// the recording rule's tick.
#[test]
fn the_newest_point_is_seen_with_what_would_be_recorded_now() {
    let rules = "groups:
- name: first
  rules:
  - {record: 'job:y:max', expr: 'max by (job) (y)'}
  - {alert: High, expr: 'max_over_time(job:y:max[1m:10s]) > 5'}
";
    let mut pair = Pair::new(settings(true), rules);
    for now in (100..300).step_by(10) {
        let value = if now == 250 { 9.0 } else { 1.0 };
        let samples: Vec<(usize, i64, f64)> = (0..6).map(|number| (number, now, value)).collect();
        pair.push(now, &samples);
        assert_eq!(pair.difference(), None);
        let alerts = |effect: &Effect| matches!(effect, Effect::Alert { .. });
        if now <= 250 {
            assert_eq!(pair.effects.0.iter().any(alerts), now == 250, "at {now}");
        }
    }
}

/// Points that a window has not let go of, since its rule is evaluated rarely, are kept for it.
#[test]
fn a_rule_that_is_evaluated_rarely_finds_its_window_whole() {
    let rules = |interval: i64| {
        format!(
            "groups:
- name: first
  interval: {interval}s
  rules:
  - {{record: a, expr: 'count_over_time(y[1m:1s])'}}
  - {{record: b, expr: 'sum_over_time(y[1m:1s])'}}
"
        )
    };
    for interval in [10, 50, 300] {
        let mut pair = Pair::new(settings(true), &rules(interval));
        steady(&mut pair, 100..1500);
    }
}
