//! How long it takes from the first byte of a request to the first byte of the notification that
//! it causes, measured from outside: the bench is sender and Alertmanager in one, so there is one
//! clock.
//!
//! `cargo bench --bench latency -- [--series N] [--targets N] [--seconds N] [--rate SAMPLES/S]
//! [--connections N] [--crossings N/S] [--split]`. Without a rate the bench finds out how many
//! samples a second the server takes when its engine has to follow, and sends half of that. A
//! request is a whole scrape of one target; with `--split` it is two requests, and what counts is
//! the one that makes the scrape whole. Lines beginning with `row:` are for tables, those with
//! `more:` say how they came about.

mod alertmanager;
mod crossings;
mod fleet;
mod http;
#[path = "../support/process_time.rs"]
mod process_time;
mod sender;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::crossings::Crossings;
use crate::fleet::{TARGETS_PER_MODEL, Target, WATCHED};
use crate::sender::{Counts, Plan, Sender};
use crate::server::{Server, between, count, histogram, quantile};

/// How long it is found out what the server takes.
const SATURATE: Duration = Duration::from_secs(8);
/// How long is sent at the rate before anything crosses a line.
const SETTLE: Duration = Duration::from_secs(5);
/// A scrape interval is no longer than this, whatever the rate.
const INTERVAL_MAX: Duration = Duration::from_secs(15);
/// How long notifications may take at the end.
const PATIENCE: Duration = Duration::from_secs(10);

const LATENCY: &str = "burnwatch_notification_latency_seconds";
const HOLD: &str = "burnwatch_frontier_hold_duration_seconds";

struct Arguments {
    series: usize,
    targets: usize,
    seconds: u64,
    connections: usize,
    crossings_per_second: f64,
    rate: Option<f64>,
    is_split: bool,
}

impl Arguments {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            let value = words.get(at + 1).and_then(|word| word.parse::<f64>().ok());
            Some(value.unwrap_or_else(|| panic!("{name} takes a number")))
        };
        let count = |name, default: usize| number(name).map_or(default, |n| n as usize);
        let targets = count("--targets", 200);
        Arguments {
            series: count("--series", 100_000).max(targets * WATCHED),
            targets,
            seconds: count("--seconds", 30) as u64,
            connections: count("--connections", 2).max(1),
            crossings_per_second: number("--crossings").unwrap_or(20.0),
            rate: number("--rate"),
            is_split: words.iter().any(|word| word == "--split"),
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    let crossings = Arc::new(Crossings::default());
    let server = Server::start(alertmanager::start(&crossings));
    let mut senders = senders(&arguments, &server, &crossings);
    println!(
        "{} targets of {} series, {WATCHED} of them read by rules; {} connections",
        arguments.targets,
        arguments.series / arguments.targets,
        arguments.connections
    );

    let rate = arguments.rate.unwrap_or_else(|| {
        let most = saturate(&mut senders);
        more("taken at most, the engine following", most, "samples/s");
        most / 2.0
    });
    let interval = Duration::from_secs_f64(arguments.series as f64 / rate).min(INTERVAL_MAX);
    let share = arguments.crossings_per_second * interval.as_secs_f64() / arguments.targets as f64;
    let plan = |span, crossings| Plan {
        interval,
        span,
        crossings,
    };
    follow(&mut senders, &plan(SETTLE, 0.0));

    let (before, cpu_before, started) = (server.metrics(), server.cpu_seconds(), Instant::now());
    let span = Duration::from_secs(arguments.seconds);
    let counts = follow(&mut senders, &plan(span, share));
    let cpu = (server.cpu_seconds() - cpu_before) / started.elapsed().as_secs_f64();
    let pushed = counts.samples.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    let deadline = Instant::now() + PATIENCE;
    while crossings.n_waiting() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = crossings.take();
    let after = server.metrics();

    more("scrape interval", interval.as_secs_f64(), "s");
    more("processor time of the server", cpu, "cores");
    let behind_ms = counts.behind_us.load(Ordering::Relaxed) as f64 / 1e3;
    more("the latest scrape after its time", behind_ms, "ms");
    let refused = counts.refused.load(Ordering::Relaxed);
    more("requests refused", refused as f64, "");
    more("crossings never told", told.n_missing as f64, "");
    more("alerts without a crossing", told.n_unexpected as f64, "");
    let both = told.queues.iter().chain(&told.budgets).copied().collect();
    for (name, latencies) in [
        ("threshold, ", &told.queues),
        ("burn rate, ", &told.budgets),
        ("", &sorted(both)),
    ] {
        let print = if name.is_empty() { row } else { more };
        print(&format!("{name}notifications"), latencies.len() as f64, "");
        for (level, share) in LEVELS {
            print(&format!("{name}{level}"), ms_at(latencies, share), "ms");
        }
    }
    let look = |print: Print, name: &str, metric: &str, part: &str| {
        let of = |text| histogram(text, metric, part);
        let buckets = between(&of(&before), &of(&after));
        more(&format!("{name}, observations"), count(&buckets), "");
        for (level, share) in &LEVELS[..3] {
            print(
                &format!("{name} {level}"),
                quantile(&buckets, *share) * 1e3,
                "ms",
            );
        }
    };
    look(row, "the server's own histogram", LATENCY, "firing");
    look(more, "the same of resolved alerts", LATENCY, "resolved");
    look(more, "frontier held", HOLD, "");
    row("pushed", pushed, "samples/s");
}

/// What is read off latencies.
const LEVELS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

type Print = fn(&str, f64, &str);

fn senders(arguments: &Arguments, server: &Server, crossings: &Arc<Crossings>) -> Vec<Sender> {
    let n_series = arguments.series / arguments.targets;
    let target = |n| Target::new(n, n_series, arguments.is_split);
    // Targets of one model stay together.
    let per_sender = arguments.targets.div_ceil(arguments.connections);
    let per_sender = per_sender.next_multiple_of(TARGETS_PER_MODEL);
    let firsts = (0..arguments.targets).step_by(per_sender);
    let sender = |first: usize| {
        let last = (first + per_sender).min(arguments.targets);
        let targets = (first..last).map(target).collect();
        let crossings = Arc::clone(crossings);
        Sender::new(server.address, targets, n_series, crossings, first as u64)
    };
    firsts.map(sender).collect()
}

/// Returns how many samples a second are taken when the engine has to follow.
fn saturate(senders: &mut [Sender]) -> f64 {
    let (counts, started) = (Counts::default(), Instant::now());
    std::thread::scope(|scope| {
        for sender in senders {
            scope.spawn(|| sender.saturate(SATURATE, &counts));
        }
    });
    counts.samples.into_inner() as f64 / started.elapsed().as_secs_f64()
}

fn follow(senders: &mut [Sender], plan: &Plan) -> Counts {
    let counts = Counts::default();
    std::thread::scope(|scope| {
        for sender in senders {
            scope.spawn(|| sender.follow(plan, &counts));
        }
    });
    counts
}

fn sorted(mut latencies: Vec<Duration>) -> Vec<Duration> {
    latencies.sort_unstable();
    latencies
}

fn row(name: &str, value: f64, unit: &str) {
    println!("row: {name} | {} | {unit}", shown(value));
}

fn more(name: &str, value: f64, unit: &str) {
    println!("more: {name} | {} | {unit}", shown(value));
}

fn shown(value: f64) -> String {
    let digits = if value.fract() == 0.0 || value.abs() >= 100.0 {
        0
    } else {
        3
    };
    format!("{value:.digits$}")
}

/// Returns the latency, in ms, that a share of all does not exceed.
fn ms_at(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let latency = sorted.get(rank.saturating_sub(1));
    latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}
