//! What windows cost: nanoseconds for a function of a window of a series at an evaluation, cursor
//! steps included, and bytes a series.
//!
//! `cargo bench --bench windows` prints a table of CPU time; every series gets a sample between two
//! evaluations. `rate` is over 5m, 1h, 6h and 3d; its column is for one of the four. Below stands what
//! a point of nine series costs `anomaly_forest`, which shows it to two models.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use burnwatch::functions::forest::model::{Boundaries, Model};
use burnwatch::functions::forest::settings::Settings;
use burnwatch::functions::{self, Function};
use burnwatch::history::SeriesHistory;
use burnwatch::model::{DurationMs, Labels, SampleValue, TimestampMs};
use burnwatch::windows::{LiveArgs, SeriesWindows, Span};

/// Counts the bytes that are allocated.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches an atomic.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const STEP: i64 = 15_000;
const BEGIN: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
/// So many windows are asked for in each row.
const CALLS: usize = 400_000;

/// One series: its history and what is kept of it.
struct Series {
    history: SeriesHistory,
    windows: Box<SeriesWindows>,
}

fn main() {
    let burn_rates = [5, 60, 360, 3 * 24 * 60].map(|minutes| minutes * MINUTE);
    println!(
        "{:<22} {:>10} {:>14} {:>14}",
        "function", "window", "ns a window", "bytes a series"
    );
    row("rate", "4", &burn_rates, &[], 200);
    let hour = [60 * MINUTE];
    for name in [
        "rate",
        "sum_over_time",
        "avg_over_time",
        "stddev_over_time",
        "max_over_time",
    ] {
        row(name, "1h", &hour, &[], 2000);
    }
    row("deriv", "1h", &hour, &[], 2000);
    row("predict_linear", "1h", &hour, &[3600.0], 2000);
    row("quantile_over_time", "1h", &hour, &[0.95], 2000);
    row("max_over_time", "3d", &burn_rates[3..], &[], 200);
    row("sum_over_time", "3d", &burn_rates[3..], &[], 200);
    println!();
    println!(
        "{:<37} {:>14} {:>14}",
        "anomaly_forest", "ns a point", "bytes a group"
    );
    for options in ["", "output=alarm", "model=isolation", "model=rcf"] {
        forest_row(options);
    }
}

/// Shows points to the two models of a group: a block that is not measured, and one that is.
fn forest_row(options: &str) {
    const DIMS: usize = 9;
    const BLOCK: i64 = 10_000;
    let settings = Settings::parse(options).expect("they are good");
    let group = Labels::from_pairs([("machine", "a")]);
    let boundaries = Boundaries::of(DurationMs(2 * BLOCK * STEP));
    let boundary = boundaries.first_from(TimestampMs(BEGIN));
    let before = BYTES.load(Ordering::Relaxed);
    let model = Model::begin(&settings, (&group, DIMS), (boundaries, boundary));
    let mut models = [model.clone(), model];
    let mut show = |numbers: std::ops::RangeInclusive<i64>| {
        let began = cpu_nanoseconds();
        for number in numbers {
            let value = |dim: i64| ((number * 31 + dim).wrapping_mul(2_654_435_761) >> 7) % 97;
            let point: [f64; DIMS] = std::array::from_fn(|dim| value(dim as i64) as f64);
            let at = TimestampMs(boundary.0 + number * STEP);
            for model in &mut models {
                model.observe(&settings, at, &point);
                std::hint::black_box(model.value());
            }
        }
        cpu_nanoseconds() - began
    };
    show(1..=BLOCK);
    let spent = show(BLOCK + 1..=2 * BLOCK);
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    let per_point = spent / BLOCK as u64;
    println!("{options:<37} {per_point:>14} {bytes:>14}");
    // For the table of docs/PERFORMANCE.md.
    let name = if options.is_empty() {
        "defaults"
    } else {
        options
    };
    println!("row: {name} | {:.1} | µs", per_point as f64 / 1e3);
}

/// Fills the longest window of some series, asks for all once, and measures what follows.
fn row(name: &str, label: &str, windows: &[i64], scalars: &[f64], n_series: usize) {
    let function = functions::find(name).expect("it exists");
    let longest = windows.iter().copied().max().unwrap_or(0);
    let n_filled = longest / STEP + 10;
    let value = |series: usize, step: i64| {
        let noise = (step.wrapping_mul(2_654_435_761) >> 7) % 97;
        match name {
            "rate" => (step * 50 + noise) as f64,
            _ => (noise + series as i64) as f64 / 10.0,
        }
    };
    let mut all: Vec<Series> = Vec::with_capacity(n_series);
    for number in 0..n_series {
        let mut history = SeriesHistory::default();
        for step in 0..n_filled {
            append(&mut history, step, value(number, step));
        }
        let windows = Box::default();
        all.push(Series { history, windows });
    }
    let before = BYTES.load(Ordering::Relaxed);
    evaluate(function, &mut all, windows, scalars, n_filled - 1);
    let bytes = size_of::<SeriesWindows>() + (BYTES.load(Ordering::Relaxed) - before) / n_series;
    // The kernel counts in steps of some milliseconds.
    let n_rounds = (CALLS / (n_series * windows.len())) as i64;
    let mut spent = 0;
    for step in n_filled..n_filled + n_rounds {
        for (number, series) in all.iter_mut().enumerate() {
            append(&mut series.history, step, value(number, step));
        }
        let began = cpu_nanoseconds();
        evaluate(function, &mut all, windows, scalars, step);
        spent += cpu_nanoseconds() - began;
    }
    let n_asked = n_rounds as u64 * (n_series * windows.len()) as u64;
    println!("{name:<22} {label:>10} {:>14} {bytes:>14}", spent / n_asked);
}

/// Returns how long this thread has been on a processor, ns: others' load does not count.
fn cpu_nanoseconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.expect("the kernel counts it")
}

fn append(history: &mut SeriesHistory, step: i64, value: f64) {
    let at = TimestampMs(BEGIN + step * STEP);
    history.append(at, SampleValue::Float(value), TimestampMs::MIN);
}

fn evaluate(
    function: &dyn Function,
    all: &mut [Series],
    windows: &[i64],
    scalars: &[f64],
    step: i64,
) {
    let form = function.live().expect("it is incremental").form;
    let frontier = TimestampMs(BEGIN + step * STEP);
    for series in all {
        for range in windows {
            let span = Span::new(frontier, frontier - DurationMs(*range), frontier);
            let args = LiveArgs {
                start: span.after,
                end: span.until,
                at: frontier,
                scalars,
                options: "",
            };
            let value = form.value((&mut series.windows, &series.history), span, &args);
            assert!(std::hint::black_box(value).is_ok_and(|value| value.is_some()));
        }
    }
}
