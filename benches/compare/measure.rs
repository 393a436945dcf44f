//! Pushes scrapes to receivers in step and counts what each has used of the processor.
//!
//! Time is event time: scrapes lie in the past, 15 seconds apart, and are pushed as fast as the
//! receivers take them. What a sample costs does not depend on how fast they come, and so a window
//! of thirty days is filled in minutes. The last scrapes, up to now, are those that are measured;
//! receivers that are compared with each other take turns, a block of scrapes at a time, so that
//! other work on the machine slows them alike.

use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{Load, Protocol, SCRAPE_MS, now_ms};
use crate::sender::Sender;
use crate::server::{Memory, Recipe, Server};

/// Scrapes that the encoder may be ahead of the connections.
const AHEAD: usize = 4;
/// Samples lie off full minutes, so that none lies on the edge of a window.
const OFF_MINUTE_MS: i64 = 7_003;
/// How often a long fill says how far it is.
const PROGRESS: Duration = Duration::from_secs(15);

/// One receiver, and what it has used.
pub struct Lane {
    /// The receiver.
    pub server: Server,
    sender: Sender,
    history_ms: i64,
    empty: Memory,
    cpu_seconds: f64,
    wall_seconds: f64,
    n_samples: usize,
}

/// How much is measured, behind what was pushed to fill windows.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Turns of each receiver.
    pub blocks: usize,
    /// Scrapes in a turn.
    pub rounds: usize,
}

impl Lane {
    /// Starts a receiver that is given `history_ms` of scrapes (two at least) before it is
    /// measured, over two connections.
    pub fn start(recipe: &Recipe, protocol: Protocol, history_ms: i64) -> Self {
        Lane::over(2, recipe, protocol, history_ms)
    }

    /// The same over one connection, which keeps the order of requests.
    pub fn in_order(recipe: &Recipe, protocol: Protocol, history_ms: i64) -> Self {
        Lane::over(1, recipe, protocol, history_ms)
    }

    fn over(n_connections: usize, recipe: &Recipe, protocol: Protocol, history_ms: i64) -> Self {
        let server = Server::start(recipe);
        Lane {
            sender: Sender::new(server.address, protocol, n_connections),
            empty: server.memory(),
            server,
            history_ms: history_ms.max(2 * SCRAPE_MS),
            cpu_seconds: 0.0,
            wall_seconds: 0.0,
            n_samples: 0,
        }
    }

    /// Returns microseconds of processor time a sample.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.n_samples as f64
    }

    /// Returns samples a second of the wall clock while being pushed to.
    pub fn samples_per_second(&self) -> f64 {
        self.n_samples as f64 / self.wall_seconds
    }

    /// Returns what memory grew by since the start, a series.
    pub fn memory_per_series(&self, n_series: usize) -> Memory {
        let now = self.server.memory();
        Memory {
            anonymous: (now.anonymous - self.empty.anonymous) / n_series as f64,
            file: (now.file - self.empty.file) / n_series as f64,
        }
    }
}

/// Fills each receiver with its history, then measures. Returns the floor: microseconds of
/// processor time a sample for decompressing the measured requests, in this process.
pub fn run(lanes: &mut [Lane], load: &mut Load, stretch: Stretch) -> f64 {
    let n_measured = stretch.blocks * stretch.rounds;
    let end_ms = now_ms() / 60_000 * 60_000 - OFF_MINUTE_MS;
    let from_ms = end_ms - n_measured as i64 * SCRAPE_MS;
    fill(lanes, load, from_ms);
    let (mut floor_seconds, mut n_floor) = (0.0, 0);
    let longest_ms = lanes.iter().map(|lane| lane.history_ms).max().unwrap_or(0);
    let rounds_before = (longest_ms / SCRAPE_MS) as usize;
    for block in 0..stretch.blocks {
        let scrape = |round: usize| {
            let at_ms = from_ms + round as i64 * SCRAPE_MS;
            load.scrape(at_ms, rounds_before + round)
        };
        let first = block * stretch.rounds;
        let scrapes: Vec<_> = (first..first + stretch.rounds).map(scrape).collect();
        for lane in &mut *lanes {
            let (before, started) = (lane.server.cpu_seconds(), Instant::now());
            scrapes.iter().for_each(|bodies| lane.sender.push(bodies));
            lane.wall_seconds += started.elapsed().as_secs_f64();
            lane.server.rest();
            lane.cpu_seconds += lane.server.cpu_seconds() - before;
            lane.n_samples += load.len() * stretch.rounds;
        }
        floor_seconds += decompress(&scrapes);
        n_floor += load.len() * stretch.rounds;
    }
    floor_seconds * 1e6 / n_floor as f64
}

/// Pushes to each receiver the scrapes of its history, in step; they are encoded once for all.
fn fill(lanes: &mut [Lane], load: &mut Load, to_ms: i64) {
    let longest_ms = lanes.iter().map(|lane| lane.history_ms).max().unwrap_or(0);
    let n_rounds = longest_ms / SCRAPE_MS;
    let mut told = Instant::now();
    thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        scope.spawn(move || {
            for round in 0..n_rounds {
                let at_ms = to_ms - (n_rounds - round) * SCRAPE_MS;
                let bodies = load.scrape(at_ms, round as usize);
                // It fails when the other side has given up, which says why.
                let _ = send.send((at_ms, round, bodies));
            }
        });
        for (at_ms, round, bodies) in receive {
            for lane in &mut *lanes {
                if at_ms >= to_ms - lane.history_ms {
                    lane.sender.push(&bodies);
                }
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                eprintln!("  filling windows: {} %", round * 100 / n_rounds);
            }
        }
    });
    lanes.iter().for_each(|lane| lane.server.rest());
}

/// Decompresses requests over and over, for as long as it takes to be told exactly, and returns
/// the seconds of processor time that once takes.
fn decompress(scrapes: &[Vec<Vec<u8>>]) -> f64 {
    let bodies = || scrapes.iter().flatten();
    let longest = bodies().map(|body| snap::raw::decompress_len(body).unwrap_or(0));
    let mut out = vec![0; longest.max().unwrap_or(0)];
    let started = cpu_seconds_of_thread();
    for n_times in 1.. {
        for body in bodies() {
            let n_bytes = snap::raw::Decoder::new().decompress(black_box(body), &mut out);
            black_box(n_bytes.expect("what was compressed here"));
        }
        let used = cpu_seconds_of_thread() - started;
        if used.is_nan() || used > FLOOR_SECONDS_MIN {
            return used / f64::from(n_times);
        }
    }
    f64::NAN
}

/// Linux brings the time of a running thread up to date some hundred times a second only.
const FLOOR_SECONDS_MIN: f64 = 0.2;

fn cpu_seconds_of_thread() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = stat
        .split(' ')
        .next()
        .and_then(|nanos| nanos.parse::<f64>().ok());
    on_cpu.map_or(f64::NAN, |nanos| nanos / 1e9)
}
