//! What a watched series takes in memory, and where: an engine alone, with four windows over every
//! series, as in row 7 of the table.
//!
//! `cargo bench --bench memory -- [--series N] [--samples N]` pushes scrapes in event time and
//! tells, every half an hour of it, the resident pages that no file backs (`RssAnon`), what of them
//! is in use, and which sizes of blocks that is. The difference is what the allocator holds and
//! nobody uses: pages of which a part is free.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use burnwatch::engine::{Effect, Engine};
use burnwatch::history::ColdStore;
use burnwatch::model::{
    Batch, EngineSettings, Entry, Generation, Labels, RuleSource, SeriesDefinition, SeriesHandle,
    Stamp, TimestampMs,
};
use burnwatch::storage::ColdFiles;

/// mimalloc, as in the server, with a count of what is in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Blocks in use by size: multiples of 16 bytes up to [`SMALL_MAX`], and in the last place the
/// bytes of all that are larger.
static IN_USE: [AtomicIsize; CLASSES] = [const { AtomicIsize::new(0) }; CLASSES];

const SMALL_MAX: usize = 1024;
const CLASSES: usize = SMALL_MAX / 16 + 2;

fn count(bytes: usize, sign: isize) {
    let (class, by) = match bytes.div_ceil(16) {
        class if bytes <= SMALL_MAX => (class, sign),
        _ => (CLASSES - 1, sign * bytes as isize),
    };
    IN_USE[class].fetch_add(by, Ordering::Relaxed);
}

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to mimalloc as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { mimalloc::MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(bytes, 1);
        unsafe { mimalloc::MiMalloc.realloc(block, layout, bytes) }
    }
}

const STEP: i64 = 15_000;
const BEGIN: i64 = 1_700_000_007_003;
/// Series of one request.
const PER_REQUEST: usize = 2000;

fn main() {
    let argument = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        let value = arguments.nth(1);
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let (n_series, n_samples) = (argument("--series", 100_000), argument("--samples", 485));
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let cold = ColdFiles::open(folder.path()).expect("it is writable");
    let mut engine = Engine::new();
    engine.set_cold_store(cold as Arc<dyn ColdStore>);
    let mut feed = Feed::new(n_series);
    let empty = (resident_bytes(), in_use_bytes());
    feed.rules(&mut engine);
    println!("bytes a series:");
    println!("| hours | resident | in use | blocks by size |");
    println!("|---|---|---|---|");
    for n in 1..=n_samples {
        feed.scrape(&mut engine);
        if n % 120 == 0 || n == n_samples {
            let a_series = |bytes: f64| bytes / n_series as f64;
            println!(
                "| {:.2} | {:.0} | {:.0} | {} |",
                (n as i64 * STEP) as f64 / 3_600_000.0,
                a_series(resident_bytes() - empty.0),
                a_series(in_use_bytes() - empty.1),
                blocks(n_series),
            );
        }
    }
}

/// Returns the resident bytes that no file backs.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0)
}

fn bytes_of(class: usize) -> usize {
    if class == CLASSES - 1 { 1 } else { class * 16 }
}

/// Returns the bytes in use, rounded up to sizes of blocks.
fn in_use_bytes() -> f64 {
    let counts = IN_USE.iter().enumerate();
    let bytes = counts.map(|(class, n)| n.load(Ordering::Relaxed) * bytes_of(class) as isize);
    bytes.sum::<isize>() as f64
}

/// Tells of which sizes there are many, in bytes a series.
fn blocks(n_series: usize) -> String {
    let counts = IN_USE.iter().enumerate();
    let many = counts.filter_map(|(class, n)| {
        let a_series = n.load(Ordering::Relaxed) as f64 * bytes_of(class) as f64 / n_series as f64;
        let size = match class {
            class if class == CLASSES - 1 => "larger".to_owned(),
            class => bytes_of(class).to_string(),
        };
        (a_series >= 1.0).then(|| format!("{size}: {a_series:.0}"))
    });
    many.collect::<Vec<_>>().join(", ")
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
                files: vec![("rules.yml".to_owned(), rules())],
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
                let value = (gain(number) * self.n_scrapes as f64).floor();
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

/// The share of errors of each model over four windows.
fn rules() -> String {
    let mut rules = "groups:\n- name: slo\n  interval: 15s\n  rules:\n".to_owned();
    for window in ["5m", "1h", "6h", "3d"] {
        rules += &format!(
            "  - alert: Errors{window}\n    expr: sum by (model) (rate(ml_prediction_errors_total\
             [{window}])) / sum by (model) (rate(ml_predictions_total[{window}])) > 0.9\n"
        );
    }
    rules
}

/// Errors and requests in pairs; errors are a few in a hundred.
fn gain(number: usize) -> f64 {
    let of_status = match number / 2 % 5 {
        0 => 150.0,
        3 | 4 => 20.2,
        _ => 31.0,
    };
    let jitter = 1.0 + (number % 7) as f64 / 10.0;
    of_status * jitter * if number % 2 == 1 { 0.03 } else { 1.0 }
}

/// Twelve labels; 20 pairs of series an instance, 50 models.
fn labels(number: usize) -> Labels {
    let name = ["ml_predictions_total", "ml_prediction_errors_total"][number % 2];
    let pair = number / 2;
    let host = pair / 20;
    let (high, middle, low) = (host >> 16 & 255, host >> 8 & 255, host & 255);
    Labels::from_pairs([
        ("__name__", name),
        ("cluster", "prod-eu-west-1"),
        ("container", "model-server"),
        ("endpoint", "http-metrics"),
        (
            "handler",
            ["/v1/predict", "/v1/embed", "/v1/rank", "/healthz"][(pair / 5) % 4],
        ),
        ("instance", &format!("10.{high}.{middle}.{low}:9090")),
        ("job", "model-server"),
        ("method", "POST"),
        ("model", &format!("recommender-{}", host % 50)),
        ("namespace", "ml-serving"),
        ("pod", &format!("model-server-7d4b9c6f5-{host:06x}")),
        ("status", ["200", "400", "404", "500", "503"][pair % 5]),
    ])
}
