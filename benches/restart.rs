//! What a checkpoint costs and how fast a start from one is: an engine with many watched series.
//!
//! `cargo bench --bench restart -- [--series N] [--samples N]` fills an engine whose rules have four
//! burn-rate windows over every series, saves it, and loads it. Told are how long the engine stands
//! still when a checkpoint begins, what a slice between two entries takes, the bytes, how long
//! loading takes, and how long the first scrapes after it: the first of all finds again which series
//! rules select.

#[path = "support/process_time.rs"]
mod process_time;

use std::sync::Arc;
use std::time::Instant;

use burnwatch::engine::{Effect, Engine};
use burnwatch::history::ColdStore;
use burnwatch::model::{
    Batch, EngineSettings, Entry, Generation, Labels, RuleSource, SeriesDefinition, SeriesHandle,
    Stamp, TimestampMs,
};
use burnwatch::server::checkpoint_load::load_engine;
use burnwatch::storage::ColdFiles;
use burnwatch::storage::checkpoint_files::{CheckpointFolder, CheckpointHeader, CheckpointReader};

use crate::process_time::cpu_seconds_of;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RULES: &str = "
groups:
- name: slo
  interval: 1m
  rules:
  - alert: Fast
    expr: rate(requests_total[5m]) > 14 and rate(requests_total[1h]) > 14
  - alert: Slow
    expr: rate(requests_total[6h]) > 6 and rate(requests_total[3d]) > 6
";

const STEP: i64 = 15_000;
const BEGIN: i64 = 1_700_000_000_000;
/// Series of one request.
const PER_REQUEST: usize = 2000;
/// Series of a slice, as the server has it.
const PER_SLICE: usize = 512;

fn main() {
    let argument = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        let value = arguments.nth(1);
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let (n_series, n_samples) = (argument("--series", 100_000), argument("--samples", 100));
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let history = folder.path().join("history");
    let cold = ColdFiles::open(&history).expect("it is writable");
    cold.keep_for_checkpoints();
    let mut engine = Engine::new();
    engine.set_cold_store(Arc::clone(&cold) as Arc<dyn ColdStore>);
    let mut feed = Feed::new(n_series);
    let began = Instant::now();
    feed.rules(&mut engine);
    for _ in 0..n_samples {
        feed.scrape(&mut engine);
    }
    println!(
        "{n_series} series with {n_samples} samples: filled in {:.1?}",
        began.elapsed()
    );

    let header = CheckpointHeader {
        offset: 1,
        wall: TimestampMs(BEGIN),
        generation: Generation(1),
        cold: cold.files(),
    };
    let checkpoints = CheckpointFolder::open(&folder.path().join("checkpoints"));
    let checkpoints = checkpoints.expect("it is writable");
    let mut writer = checkpoints.begin(&header).expect("it is writable");
    let began = Instant::now();
    let mut parts = engine.begin_checkpoint();
    println!("the engine stands still for {:.1?}", began.elapsed());
    let (mut slowest, mut in_all, mut n_slices) = (0.0_f64, 0.0, 0);
    while engine.is_saving() {
        let began = Instant::now();
        parts.extend(engine.checkpoint_slice(PER_SLICE));
        let seconds = began.elapsed().as_secs_f64();
        (slowest, in_all, n_slices) = (slowest.max(seconds), in_all + seconds, n_slices + 1);
    }
    println!(
        "{n_slices} slices of {PER_SLICE} series: {:.2} ms each, {:.2} ms the slowest, {:.0} ns a series",
        in_all / f64::from(n_slices) * 1e3,
        slowest * 1e3,
        in_all / n_series as f64 * 1e9,
    );
    let n_plain: usize = parts.iter().map(Vec::len).sum();
    let began = Instant::now();
    for part in &parts {
        writer.part(part).expect("it is writable");
    }
    let n_bytes = writer.finish().expect("it is writable");
    println!(
        "written in {:.1?}: {} bytes a series, {} on disk",
        began.elapsed(),
        n_plain / n_series,
        n_bytes / n_series as u64,
    );
    drop((engine, parts));

    let began = Instant::now();
    let path = checkpoints.paths().expect("it is readable").remove(0);
    let mut reader = CheckpointReader::open(&path).expect("it is readable");
    let cold = ColdFiles::reopen(&history, &reader.header.cold, &Default::default());
    let cold = cold.expect("it is readable");
    let cpu = cpu_seconds_of(std::process::id());
    let engine = load_engine(&mut reader, cold as Arc<dyn ColdStore>);
    let mut engine = engine.expect("it is whole");
    println!(
        "loaded in {:.1?}, {:.1} s of processor time: {} series",
        began.elapsed(),
        cpu_seconds_of(std::process::id()) - cpu,
        engine.series().len()
    );
    for what in ["first", "second", "third", "fourth", "fifth"] {
        let (began, cpu) = (Instant::now(), cpu_seconds_of(std::process::id()));
        feed.scrape(&mut engine);
        println!(
            "the {what} scrape after it: {:.1?}, {:.1} s of processor time",
            began.elapsed(),
            cpu_seconds_of(std::process::id()) - cpu,
        );
    }
}

/// What comes: scrapes of all series, in requests.
struct Feed {
    n_series: usize,
    n_scrapes: i64,
    sequence: u64,
    effects: Vec<Effect>,
}

impl Feed {
    fn new(n_series: usize) -> Self {
        Feed {
            n_series,
            n_scrapes: 0,
            sequence: 0,
            effects: Vec::new(),
        }
    }

    fn stamp(&mut self, at: i64) -> Stamp {
        self.sequence += 1;
        Stamp {
            sequence: self.sequence,
            wall: TimestampMs(at),
            clock: Some(TimestampMs(at)),
        }
    }

    fn rules(&mut self, engine: &mut Engine) {
        let entry = Entry::Rules {
            stamp: Stamp {
                clock: None,
                ..self.stamp(BEGIN)
            },
            generation: Generation(1),
            rules: Arc::new(RuleSource {
                files: vec![("rules.yml".to_owned(), RULES.to_owned())],
                settings: EngineSettings::default(),
            }),
        };
        engine.apply(&entry, &|| 0.0, &mut self.effects);
    }

    fn scrape(&mut self, engine: &mut Engine) {
        let at = BEGIN + self.n_scrapes * STEP;
        for first in (0..self.n_series).step_by(PER_REQUEST) {
            let numbers = first..(first + PER_REQUEST).min(self.n_series);
            let mut batch = Batch::default();
            for number in numbers {
                let handle = SeriesHandle(number as u32);
                if self.n_scrapes == 0 {
                    batch.definitions.push(SeriesDefinition {
                        handle,
                        labels: labels(number),
                    });
                }
                let noise = (number as i64 * 7919 + self.n_scrapes * 104_729) % 97;
                let value = (self.n_scrapes * 100 + noise) as f64;
                batch.floats.push((handle, TimestampMs(at), value));
            }
            let entry = Entry::Samples {
                stamp: self.stamp(at),
                generation: Generation(1),
                batch,
            };
            engine.apply(&entry, &|| 0.0, &mut self.effects);
            self.effects.clear();
        }
        self.n_scrapes += 1;
    }
}

/// Labels as a cluster gives them: about 250 bytes.
fn labels(number: usize) -> Labels {
    let pod = format!("checkout-7d9f8b6c5d-{:05}", number / 20);
    let instance = format!(
        "10.{}.{}.{}:8080",
        number / 65_536,
        number / 256 % 256,
        number / 20 % 256
    );
    let path = format!("/api/v1/resource/{}", number % 20);
    Labels::from_pairs([
        ("__name__", "requests_total"),
        ("cluster", "eu-central-1-production"),
        ("container", "checkout"),
        ("instance", &instance),
        ("job", "checkout"),
        ("method", "GET"),
        ("namespace", "shop"),
        ("path", &path),
        ("pod", &pod),
        ("status", "200"),
    ])
}
