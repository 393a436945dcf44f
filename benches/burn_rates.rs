//! What burn-rate rules cost in the engine alone: rows 3 and 4 of docs/PERFORMANCE.md without the
//! door, and in seconds.
//!
//! `cargo bench --bench burn_rates -- [--series N] [--scrapes N] [5m,1h,6h,3d ...]` fills an engine
//! whose rules compare shares of errors over the windows named, then tells the processor time of a
//! sample in nanoseconds: taking it into history, and evaluating what it moves. Several lists of
//! windows are measured one after the other. History lies in files, as the server has it.

#[path = "support/thread_time.rs"]
mod thread_time;

use std::fmt::Write as _;
use std::sync::Arc;

use burnwatch::engine::Engine;
use burnwatch::history::ColdStore;
use burnwatch::model::{
    Batch, DurationMs, EngineSettings, Entry, Generation, Labels, RuleSource, SeriesDefinition,
    SeriesHandle, Stamp, TimestampMs,
};
use burnwatch::storage::ColdFiles;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEP: i64 = 15_000;
const BEGIN: i64 = 1_700_000_000_000;
/// The windows of row 3.
const FOUR: &str = "5m,1h,6h,3d";

fn main() {
    let (mut n_series, mut n_scrapes, mut lists) = (1_000, 400, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--bench" => {}
            "--series" => n_series = number().expect("a number of series"),
            "--scrapes" => n_scrapes = number().expect("a number of scrapes"),
            _ => lists.push(argument),
        }
    }
    if lists.is_empty() {
        lists.push(FOUR.to_owned());
    }
    println!("{:>16} {:>14}", "windows", "ns a sample");
    for list in lists {
        let spent = measure(&list, n_series, n_scrapes);
        println!("{list:>16} {spent:>14.0}");
    }
}

/// Returns the nanoseconds of processor time a sample, once the longest window is full.
fn measure(list: &str, n_series: usize, n_scrapes: usize) -> f64 {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let cold = ColdFiles::open(folder.path()).expect("it is writable");
    let mut fleet = Fleet::new(n_series, list, cold);
    let longest = list.split(',').map(seconds_of).max().unwrap_or(0) * 1000;
    for _ in 0..(longest + longest / 50) / STEP {
        fleet.scrape();
    }
    let began = thread_time::cpu_nanos();
    for _ in 0..n_scrapes {
        fleet.scrape();
    }
    (thread_time::cpu_nanos() - began) as f64 / (n_scrapes * n_series) as f64
}

fn seconds_of(window: &str) -> i64 {
    let (number, unit) = window.split_at(window.len() - 1);
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        _ => 86_400,
    };
    number.parse::<i64>().expect("a window such as 5m") * unit
}

/// An engine with series, and rules over them.
struct Fleet {
    engine: Engine,
    n_series: usize,
    n_scrapes: i64,
    sequence: u64,
}

impl Fleet {
    fn new(n_series: usize, windows: &str, cold: Arc<ColdFiles>) -> Self {
        let mut rules = "groups:\n- name: g\n  interval: 15s\n  rules:\n".to_owned();
        for (number, window) in windows.split(',').enumerate() {
            let share = format!(
                "sum by (model) (rate(errors_total[{window}])) / \
                 sum by (model) (rate(requests_total[{window}])) > 0.9"
            );
            writeln!(rules, "  - {{alert: Burn{number}, expr: '{share}'}}").expect("a text");
        }
        let mut engine = Engine::new();
        engine.set_cold_store(cold as Arc<dyn ColdStore>);
        let mut fleet = Fleet {
            engine,
            n_series,
            n_scrapes: 0,
            sequence: 0,
        };
        let stamp = fleet.stamp();
        fleet.apply(Entry::Rules {
            stamp: Stamp {
                clock: None,
                ..stamp
            },
            generation: Generation(1),
            rules: Arc::new(RuleSource {
                files: vec![("rules.yml".to_owned(), rules)],
                settings: EngineSettings {
                    evaluation_interval: DurationMs(STEP),
                    ..EngineSettings::default()
                },
            }),
        });
        fleet
    }

    fn stamp(&mut self) -> Stamp {
        // Off full minutes, so that no sample lies on the edge of a window.
        let at = TimestampMs(BEGIN + 7_003 + self.n_scrapes * STEP);
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

    /// Gives every series a sample; a series gains as much as those of the compared loads.
    fn scrape(&mut self) {
        let stamp = self.stamp();
        let mut batch = Batch::default();
        for number in 0..self.n_series {
            let handle = SeriesHandle(u32::try_from(number).expect("few"));
            if self.n_scrapes == 0 {
                let labels = labels(number);
                batch.definitions.push(SeriesDefinition { handle, labels });
            }
            let is_error = number % 2 == 1;
            let gain = [150.0, 31.0, 31.0, 20.2, 20.2][number / 2 % 5];
            let gain = gain * (1.0 + (number % 7) as f64 / 10.0);
            let gain = gain * if is_error { 0.03 } else { 1.0 };
            let value = (gain * self.n_scrapes as f64).floor();
            batch.floats.push((handle, stamp.wall, value));
        }
        self.n_scrapes += 1;
        self.apply(Entry::Samples {
            stamp,
            generation: Generation(1),
            batch,
        });
    }
}

/// The labels of a series: of 50 models, ten pairs of errors and requests an instance.
fn labels(number: usize) -> Labels {
    let host = number / 40;
    let pairs = [
        (
            "__name__",
            ["requests_total", "errors_total"][number % 2].to_owned(),
        ),
        ("handler", format!("/v1/{}", number / 2 % 20)),
        (
            "instance",
            format!("10.0.{}.{}:9090", host >> 8, host & 255),
        ),
        ("job", "model-server".to_owned()),
        ("model", format!("model-{}", host % 50)),
    ];
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())))
}
