//! No drift: what windows are worth follows from the samples inside, not from the way there.
//!
//! An engine that has seen millions of samples gives the same bits as one that was fed only what
//! lies in the present windows. Catches a sum from which something is subtracted that was not
//! added exactly, and counts that lose step.

use burnwatch::engine::{Engine, Leaves, View};
use burnwatch::model::{
    DurationMs, EngineSettings, Entry, EvaluationMode, Grid, Labels, SampleValue, TimestampMs,
};

use crate::world::{Door, Sample};

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: r_a, expr: 'sum by (job) (rate(c[5m]))'}
  - {record: r_b, expr: 'sum(x)'}
  - {record: r_c, expr: 'sum_over_time(x[20m])'}
  - {record: r_d, expr: 'avg_over_time(x[5m])'}
  - {record: r_e, expr: 'stddev_over_time(x[20m])'}
  - {record: r_f, expr: 'deriv(x[5m])'}
  - {record: r_g, expr: 'max_over_time(x[20m])'}
  - {record: r_h, expr: 'increase(c[20m])'}
  - {record: r_i, expr: 'changes(x[20m])'}
  - {record: r_j, expr: 'resets(c[20m])'}
  - {record: r_k, expr: 'sum(sum_over_time(x[5m]))'}
";
const N_SERIES: usize = 20;
const STEP_MS: i64 = 15_000;
/// The longest window, and the lookback.
const KEPT_MS: i64 = 20 * 60_000 + 300_000;

/// A generator of its own: the same numbers for ever.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn new_engine(door: &mut Door) -> Engine {
    let settings = EngineSettings {
        grid: Grid::UnitTest {
            start: TimestampMs(0),
            interval: DurationMs::from_seconds(300),
            group_order: None,
        },
        mode: EvaluationMode::Tick,
        ..EngineSettings::default()
    };
    let mut engine = Engine::new();
    apply(&mut engine, &door.rules(RULES, &settings));
    engine
}

fn apply(engine: &mut Engine, entry: &Entry) {
    engine.apply(entry, &|| 0.0, &mut Vec::new());
}

#[test]
fn windows_do_not_drift() {
    let n_updates: usize = match std::env::var_os("BURNWATCH_DEEP") {
        Some(_) => 10_000_000,
        None => 200_000,
    };
    let labels = |name: &str, n: usize| {
        let (job, instance) = (["a", "b"][n % 2], n.to_string());
        Labels::from_pairs([("__name__", name), ("job", job), ("instance", &instance)])
    };
    let series: Vec<Labels> = (0..N_SERIES)
        .map(|n| labels(["c", "x"][n % 2], n / 2))
        .collect();
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut counters = [0.0; N_SERIES];
    let mut recent: std::collections::VecDeque<(i64, Vec<Sample>)> = Default::default();
    let mut door = Door::new();
    let mut old = new_engine(&mut door);
    let n_scrapes = (n_updates / N_SERIES) as i64;
    for scrape in 1..=n_scrapes {
        let at = 3_600_000_000 + scrape * STEP_MS;
        let sample = |n: usize| {
            let number = numbers.next();
            let value = if n.is_multiple_of(2) {
                let is_reset = number.is_multiple_of(97);
                counters[n] = if is_reset { 0.0 } else { counters[n] };
                counters[n] += (number % 1000) as f64 / 7.0;
                counters[n]
            } else {
                // Twenty orders of magnitude, of both signs.
                let magnitude = 10f64.powi((number % 21) as i32 - 10);
                let sign = if number & 0x100_0000 == 0 { 1.0 } else { -1.0 };
                sign * magnitude * ((number >> 32) % 1000) as f64
            };
            (
                series[n].clone(),
                TimestampMs(at),
                SampleValue::Float(value),
            )
        };
        let samples: Vec<Sample> = (0..N_SERIES).map(sample).collect();
        apply(&mut old, &door.request(TimestampMs(at), &samples));
        recent.push_back((at, samples));
        while recent
            .front()
            .is_some_and(|(first, _)| *first <= at - KEPT_MS)
        {
            recent.pop_front();
        }
    }
    let mut door = Door::new();
    let mut fresh = new_engine(&mut door);
    for (at, samples) in &recent {
        apply(&mut fresh, &door.request(TimestampMs(*at), samples));
    }
    assert_eq!(old.frontier(), fresh.frontier());
    let mut n_values = 0;
    for rule in 0..old.rules().rules.len() {
        let text = old.rules().rules[rule].expr_text.clone();
        let values = |engine: &mut Engine| -> Vec<(Labels, u64)> {
            let value = engine
                .rule_value(rule, Leaves::Live, View::Appended)
                .unwrap();
            let elements = value.elements.unwrap().into_iter();
            let bits = |value: SampleValue| value.as_float().unwrap().to_bits();
            elements.map(|e| (e.labels, bits(e.value))).collect()
        };
        let (of_old, of_fresh) = (values(&mut old), values(&mut fresh));
        n_values += of_old.len();
        assert_eq!(of_old, of_fresh, "{text}");
    }
    assert!(n_values > 50, "there is something to compare");
    say!("{n_values} values have the same bits after {n_updates} updates");
}
