//! What history costs: bytes and ns a sample by kind of series, and the memory of long windows.
//!
//! `cargo bench --bench history [series] [days]`. The last part pushes 15 s samples of so many
//! series over so many days in event time (1,000 and 30 if nothing is said), with the chunks going
//! to files, while a cursor for each series walks along at the far end, as a window's does.

use std::hint::black_box;
use std::sync::Arc;

use burnwatch::history::{ColdStore, SeriesHistory, WalkCursor, Walked};
use burnwatch::model::{DurationMs, SampleValue, TimestampMs};
use burnwatch::storage::ColdFiles;

#[path = "support/thread_time.rs"]
mod thread_time;

use thread_time::cpu_nanos;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START: i64 = 1_700_000_000_000;
const SCRAPE: i64 = 15_000;
const DAY: i64 = 86_400_000;

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let n_series = numbers.first().copied().unwrap_or(1000);
    let days = numbers.get(1).copied().unwrap_or(30);
    kinds();
    three_days();
    long_window(n_series, days as i64);
}

/// xorshift64*: the same series every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal, with deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Whole ms from `-most` to `most`.
    fn jitter(&mut self, most: i64) -> i64 {
        (self.next() % (2 * most as u64 + 1)) as i64 - most
    }
}

/// What comes next in a kind of series.
type Next = fn(&mut Random, &mut f64) -> f64;

/// Kinds of series: name, jitter of the scrapes in ms, what comes next.
const KINDS: &[(&str, i64, Next)] = &[
    ("counter, 80/s, 5 ms jitter", 5, |random, value| {
        *value += (1200.0 + 35.0 * random.normal()).round();
        *value
    }),
    ("counter, 80/s, no jitter", 0, |random, value| {
        *value += (1200.0 + 35.0 * random.normal()).round();
        *value
    }),
    ("counter, 2/s, 5 ms jitter", 5, |random, value| {
        *value += (30.0 + 5.5 * random.normal()).round().max(0.0);
        *value
    }),
    ("counter, 4/h, 5 ms jitter", 5, |random, value| {
        *value += f64::from(u8::from(random.uniform() < 1.0 / 60.0));
        *value
    }),
    (
        "CPU seconds, 2 decimals, 5 ms jitter",
        5,
        |random, value| {
            *value += (3.0 + 0.5 * random.normal()).max(0.0);
            (*value * 100.0).round() / 100.0
        },
    ),
    ("gauge, whole, 0 to 100", 5, |random, _| {
        (100.0 * random.uniform()).round()
    }),
    ("gauge, 2 decimals, wandering", 5, |random, value| {
        *value += 0.3 * random.normal();
        (*value * 100.0).round() / 100.0
    }),
    ("gauge, pages of memory", 5, |random, value| {
        *value += (300.0 * random.normal()).round();
        (2e6 + *value) * 4096.0
    }),
    ("sum of floats, growing", 5, |random, value| {
        *value += 3.0 * random.uniform();
        *value
    }),
    ("random floats", 5, |random, _| random.uniform()),
    ("constant, 5 ms jitter", 5, |_, _| 1.0),
    ("constant, no jitter", 0, |_, _| 1.0),
];

/// Bytes, encoding and decoding of each kind.
fn kinds() {
    const N: usize = 1_000_000;
    println!(
        "| kind of series | B/sample in memory | B/sample in files | append ns | walk ns | window ns |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, jitter, next) in KINDS {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut value = 100_000.0;
        let sample = |number: usize| {
            let at = START + SCRAPE * number as i64 + random.jitter(*jitter);
            (TimestampMs(at), next(&mut random, &mut value))
        };
        let samples: Vec<(TimestampMs, f64)> = (0..N).map(sample).collect();
        let in_memory = push(&samples, None);
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let files = ColdFiles::open(folder.path()).expect("it is writable");
        push(&samples, Some(&files));
        let counts = files.counts();
        let best = |run: &mut dyn FnMut()| {
            let times = (0..3).map(|_| {
                let began = cpu_nanos();
                run();
                (cpu_nanos() - began) as f64 / N as f64
            });
            times.fold(f64::MAX, f64::min)
        };
        let append = best(&mut || drop(push(&samples, None)));
        let walk = best(&mut || {
            let mut cursor = in_memory.walk_from(TimestampMs::MIN);
            let mut sum = 0.0;
            while let Some(sample) = in_memory.walk_next(&mut cursor, TimestampMs::MAX) {
                sum += float(&sample.value);
            }
            black_box(sum);
        });
        let window = best(&mut || {
            let samples = in_memory.window(TimestampMs::MIN, TimestampMs::MAX);
            assert_eq!(black_box(samples.floats.len()), N);
        });
        let in_files = counts.bytes as f64 / n_cold(&samples, &files) as f64;
        println!(
            "| {name} | {:.2} | {in_files:.2} | {append:.0} | {walk:.0} | {window:.0} |",
            in_memory.bytes() as f64 / N as f64,
        );
    }
}

fn float(value: &Walked) -> f64 {
    match value {
        Walked::Float(value) => *value,
        Walked::Histogram(_) => 0.0,
    }
}

fn push(samples: &[(TimestampMs, f64)], files: Option<&Arc<ColdFiles>>) -> SeriesHistory {
    let mut history = SeriesHistory::default();
    let store = files.map(|files| Arc::clone(files) as Arc<dyn ColdStore>);
    history.cut(
        TimestampMs::MIN,
        DurationMs(60 * DAY),
        store.as_ref(),
        TimestampMs::MAX,
    );
    for (at, value) in samples {
        history.append(*at, SampleValue::Float(*value), TimestampMs::MAX);
    }
    history
}

/// Returns how many samples went to the files: all but those of the chunk being written, which is
/// short beside the rest.
fn n_cold(samples: &[(TimestampMs, f64)], files: &ColdFiles) -> usize {
    let per_chunk = samples.len() as f64 / (files.counts().chunks + 1) as f64;
    samples.len() - per_chunk as usize / 2
}

/// The bytes of histories that hold three days.
fn three_days() {
    let n_samples = 3 * DAY / SCRAPE;
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let files = ColdFiles::open(folder.path()).expect("it is writable");
    let (mut n, mut sum, mut most) = (0, 0, 0);
    for number in 0..200 {
        let mut random = Random(0x9e37_79b9 + number);
        let mut value = 0.0;
        let sample = |number: i64| {
            let at = START + SCRAPE * number + random.jitter(5);
            value += (1200.0 + 35.0 * random.normal()).round();
            (TimestampMs(at), value)
        };
        // A little longer each, so that the chunks being written are filled to any degree.
        let samples: Vec<_> = (0..n_samples + number as i64).map(sample).collect();
        let bytes = push(&samples, Some(&files)).bytes();
        (n, sum, most) = (n + 1, sum + bytes, most.max(bytes));
    }
    let mean = sum / n;
    println!("\nmemory of a series with 3 d of 15 s samples: {mean} B, at most {most} B");
    println!("a cursor: {} B", size_of::<WalkCursor>());
}

/// Many series over many days in event time.
fn long_window(n_series: usize, days: i64) {
    let folder = tempfile::tempdir_in("target").expect("the target folder is there");
    let files = ColdFiles::open(folder.path()).expect("it is writable");
    let store: Arc<dyn ColdStore> = Arc::clone(&files) as Arc<dyn ColdStore>;
    let keep = DurationMs(days * DAY);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut histories = vec![SeriesHistory::default(); n_series];
    let mut values: Vec<f64> = histories
        .iter()
        .map(|_| (1e6 * random.uniform()).floor())
        .collect();
    let mut cursors: Vec<Option<WalkCursor>> = vec![None; n_series];
    println!(
        "\n{n_series} series, {days} d of 15 s samples and a quarter more, window of {days} d"
    );
    println!("| day | RssAnon MB | RssFile MB | files MB | ns/sample |");
    println!("|---|---|---|---|---|");
    let n_steps = days * DAY * 5 / 4 / SCRAPE;
    let steps_a_report = (n_steps / 5).max(1);
    let (mut began, mut n_walked) = (cpu_nanos(), 0_u64);
    for step in 0..n_steps {
        let grid = START + SCRAPE * step;
        for number in 0..n_series {
            let bits = random.next();
            // Each target has its own place in the interval; scrapes jitter by 5 ms.
            let at = grid + (number as i64 * 37) % SCRAPE + (bits % 11) as i64;
            values[number] += 1000.0 + (bits >> 32 & 0xff) as f64;
            let history = &mut histories[number];
            let value = SampleValue::Float(values[number]);
            history.append(TimestampMs(at), value, TimestampMs::MAX);
            let now = TimestampMs(at);
            if step % 64 == 0 {
                history.cut(now, keep, Some(&store), TimestampMs::MAX);
                store.forget(now);
            }
            let cursor = cursors[number].get_or_insert_with(|| history.walk_from(TimestampMs::MIN));
            while history.walk_next(cursor, now - keep).is_some() {
                n_walked += 1;
            }
        }
        if (step + 1) % steps_a_report == 0 {
            let nanos = (cpu_nanos() - began) as f64 / (steps_a_report as usize * n_series) as f64;
            println!(
                "| {:.1} | {:.1} | {:.1} | {:.1} | {nanos:.0} |",
                (step + 1) as f64 * SCRAPE as f64 / DAY as f64,
                memory("RssAnon:"),
                memory("RssFile:"),
                files.counts().bytes as f64 / 1e6,
            );
            began = cpu_nanos();
        }
    }
    let counts = files.counts();
    println!("samples that left the windows: {n_walked}; {counts:?}");
}

/// Returns a line of /proc/self/status in MB; 0 where there is none.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or(0.0, |kib: f64| kib * 1024.0 / 1e6)
}
