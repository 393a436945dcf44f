//! What comparing distributions and embeddings costs beside the leaves that they are made of.
//!
//! `cargo bench --bench drift` prints, for each expression, the processor time and the allocations
//! of one evaluation by windows, a series of its first vector, and how that compares with the
//! expression above it that it is to be measured by. Every series gets a sample before each.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burnwatch::engine::{Engine, Leaves, View};
use burnwatch::model::{
    Batch, DurationMs, EngineSettings, Entry, Generation, Labels, RuleSource, SeriesDefinition,
    SeriesHandle, Stamp, TimestampMs,
};

#[path = "support/thread_time.rs"]
mod thread_time;

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches an atomic.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const STEP: i64 = 15_000;
const BEGIN: i64 = 1_700_000_000_000;
/// Scrapes before anything is measured: the windows and their offset are full.
const N_FILLED: i64 = 30;
const N_MEASURED: i64 = 20;
/// 1,000 histograms of 10 buckets, 100 embeddings of 768 dimensions.
const N_HISTOGRAMS: usize = 1_000;
const BOUNDS: [&str; 10] = [
    "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "+Inf",
];
const N_EMBEDDINGS: usize = 100;
const N_DIMENSIONS: usize = 768;

/// An expression, the series of its first vector, and the row that it is compared with.
const ROWS: [(&str, usize, Option<usize>); 7] = [
    ("rate(s_bucket[5m])", 10_000, None),
    (
        "drift_psi(rate(s_bucket[5m]), s_bucket:baseline)",
        10_000,
        Some(0),
    ),
    (
        "drift_psi(rate(s_bucket[5m]), rate(s_bucket[5m] offset 2m))",
        10_000,
        Some(0),
    ),
    (
        "drift_wasserstein(rate(s_bucket[5m]), s_bucket:baseline)",
        10_000,
        Some(0),
    ),
    (
        "histogram_quantile(0.9, rate(s_bucket[5m]))",
        10_000,
        Some(0),
    ),
    ("e", N_EMBEDDINGS * N_DIMENSIONS, None),
    (
        "drift_cosine_similarity(e, e:baseline, \"dim\")",
        N_EMBEDDINGS * N_DIMENSIONS,
        Some(5),
    ),
];

fn main() {
    let mut fleet = Fleet::new();
    for step in 0..N_FILLED {
        fleet.scrape(step);
        // Windows are made when they are asked for, and then kept.
        for row in 0..ROWS.len() {
            fleet.evaluate(row);
        }
    }
    let mut spent = [(0.0f64, 0usize); ROWS.len()];
    for step in N_FILLED..N_FILLED + N_MEASURED {
        fleet.scrape(step);
        for (row, (nanoseconds, allocations)) in spent.iter_mut().enumerate() {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let began = thread_time::cpu_nanos();
            fleet.evaluate(row);
            *nanoseconds += (thread_time::cpu_nanos() - began) as f64;
            *allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
        }
    }
    println!(
        "{:>10} {:>12} {:>8}  expression",
        "ns/series", "allocations", "ratio"
    );
    let per_series = |row: usize| spent[row].0 / (N_MEASURED as f64 * ROWS[row].1 as f64);
    for (row, (text, n_series, base)) in ROWS.iter().enumerate() {
        let allocations = spent[row].1 as f64 / (N_MEASURED as f64 * *n_series as f64);
        let ratio = base.map_or(String::new(), |base| {
            format!("{:.2} ×", per_series(row) / per_series(base))
        });
        println!(
            "{:>10.0} {allocations:>12.2} {ratio:>8}  {text}",
            per_series(row)
        );
    }
    // For the table of docs/PERFORMANCE.md.
    for (name, row) in [
        ("against a baseline", 1),
        ("against rates of another time", 2),
    ] {
        println!("row: {name} | {:.2} | ×", per_series(row) / per_series(0));
    }
}

/// An engine with series and rules, one for each row.
struct Fleet {
    engine: Engine,
    series: Vec<Labels>,
    sequence: u64,
}

impl Fleet {
    fn new() -> Self {
        let mut series = Vec::new();
        let mut baseline = "baseline: {}\nseries:\n".to_owned();
        for model in 0..N_HISTOGRAMS {
            for (at, bound) in BOUNDS.iter().enumerate() {
                let (job, model) = (format!("job{}", model % 10), format!("model{model:04}"));
                series.push(Labels::from_pairs([
                    ("__name__", "s_bucket"),
                    ("instance", "10.0.0.1:9090"),
                    ("job", &job),
                    ("le", bound),
                    ("model", &model),
                ]));
                let labels =
                    format!(r#"instance="10.0.0.1:9090",job="{job}",le="{bound}",model="{model}""#);
                writeln!(
                    baseline,
                    "  - 's_bucket:baseline{{{labels}}} {}'",
                    at * 7 + 1
                )
                .expect("a text");
            }
        }
        for model in 0..N_EMBEDDINGS {
            for dimension in 0..N_DIMENSIONS {
                let (model, dim) = (format!("model{model:03}"), dimension.to_string());
                let pairs = [("__name__", "e"), ("dim", &dim), ("model", &model)];
                series.push(Labels::from_pairs(pairs));
                let labels = format!(r#"dim="{dim}",model="{model}""#);
                let value = (dimension % 13) as f64 - 5.5;
                writeln!(baseline, "  - 'e:baseline{{{labels}}} {value}'").expect("a text");
            }
        }
        let mut rules = "groups:\n- name: g\n  rules:\n".to_owned();
        for (row, (text, ..)) in ROWS.iter().enumerate() {
            writeln!(rules, "  - {{record: 'row{row}', expr: '{text}'}}").expect("a text");
        }
        let source = RuleSource {
            files: vec![
                ("rules.yml".to_owned(), rules),
                ("baseline.yml".to_owned(), baseline),
            ],
            settings: EngineSettings {
                evaluation_interval: DurationMs::from_seconds(3600),
                ..EngineSettings::default()
            },
        };
        let mut fleet = Fleet {
            engine: Engine::new(),
            series,
            sequence: 0,
        };
        let stamp = fleet.stamp(0);
        fleet.apply(Entry::Rules {
            stamp: Stamp {
                clock: None,
                ..stamp
            },
            generation: Generation(1),
            rules: Arc::new(source),
        });
        assert_eq!(fleet.engine.rules().rules.len(), ROWS.len());
        fleet
    }

    fn stamp(&mut self, step: i64) -> Stamp {
        let at = TimestampMs(BEGIN + step * STEP);
        self.sequence += 1;
        Stamp {
            sequence: self.sequence,
            wall: at,
            clock: Some(at),
        }
    }

    fn apply(&mut self, entry: Entry) {
        self.engine.apply(&entry, &|| 0.0, &mut Vec::new());
    }

    /// Gives every series a sample.
    fn scrape(&mut self, step: i64) {
        let stamp = self.stamp(step);
        let mut batch = Batch::default();
        for (number, labels) in self.series.iter().enumerate() {
            let handle = SeriesHandle(u32::try_from(number).expect("few"));
            if step == 0 {
                let labels = labels.clone();
                batch.definitions.push(SeriesDefinition { handle, labels });
            }
            let noise = (step.wrapping_mul(2_654_435_761) >> 7) % 97;
            let value = step * (number as i64 % 10 + 1) * 50 + noise;
            batch.floats.push((handle, stamp.wall, value as f64));
        }
        self.apply(Entry::Samples {
            stamp,
            generation: Generation(1),
            batch,
        });
    }

    fn evaluate(&mut self, row: usize) {
        let value = self.engine.rule_value(row, Leaves::Live, View::Appended);
        let value = value.expect("it is evaluated");
        assert!(std::hint::black_box(value.elements).is_ok());
    }
}
