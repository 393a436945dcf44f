//! What the log in files costs, in processor time of the whole process, a sample: beside the log in
//! memory, which does the same but for encoding, checksums and writing.
//!
//! The load is a fleet of 100,000 series scraped again and again, in requests of 2,000 samples that
//! wait for their commitment one after the other, which is the least that group commit can save.
//! `cargo bench --bench log [-- ROUNDS]`

#[path = "support/process_time.rs"]
mod process_time;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burnwatch::log::backend::file::{FileLogSettings, StdFiles, SyncPolicy};
use burnwatch::log::{FileLogs, Log, LogTail, MemoryLog, Offset, weight};
use burnwatch::model::{Batch, Entry, Generation, SeriesHandle, Stamp, TimestampMs};

use crate::process_time::cpu_seconds_of;

const SERIES: u32 = 100_000;
const BATCH: u32 = 2_000;
const WALL: i64 = 1_700_000_000_000;

/// The floats of one request: every third series, as the queues of a sender spread them.
fn floats(first: u32, at: TimestampMs) -> Vec<(SeriesHandle, TimestampMs, f64)> {
    let float = |n: u32| {
        (
            SeriesHandle(first + 3 * n),
            at,
            f64::from(n) * 1.1 + at.0 as f64,
        )
    };
    (0..BATCH).map(float).collect()
}

/// Sends all rounds through a log and returns the seconds of processor time that took.
fn run(log: &dyn Log, tail: &dyn LogTail, rounds: i64) -> f64 {
    let before = cpu_seconds_of(std::process::id());
    let mut sequence = 0;
    for round in 0..rounds {
        let at = TimestampMs(WALL + 15_000 * round);
        for first in (0..SERIES).step_by(BATCH as usize) {
            sequence += 1;
            let stamp = Stamp {
                sequence,
                wall: at,
                clock: Some(at),
            };
            let batch = Batch {
                floats: floats(first, at),
                ..Batch::default()
            };
            let generation = Generation(1);
            let entry = Entry::Samples {
                stamp,
                generation,
                batch,
            };
            log.append(entry).expect("it is open");
            log.commitment().wait_blocking().expect("there is room");
            let (_, entry) = tail.entries().recv().expect("it is open");
            tail.done(weight(&entry));
        }
    }
    cpu_seconds_of(std::process::id()) - before
}

fn main() {
    let rounds = std::env::args().find_map(|text| text.parse().ok());
    let rounds: i64 = rounds.unwrap_or(200);
    let n_samples = (i64::from(SERIES) * rounds) as f64;
    let (memory, tail) = MemoryLog::new(usize::MAX);
    let floor = run(memory.as_ref(), &tail, rounds) * 1e6 / n_samples;
    println!("row: log in memory | {floor:.4} | us/sample");
    let second = Duration::from_secs(1);
    for (name, sync) in [
        ("never", SyncPolicy::Never),
        ("interval", SyncPolicy::Interval(second)),
        ("always", SyncPolicy::Always),
    ] {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let folder = tempfile::tempdir_in(target).expect("target is writable");
        let settings = FileLogSettings {
            sync,
            ..FileLogSettings::default()
        };
        let logs = FileLogs::open(Arc::new(StdFiles), folder.path(), 1, settings);
        let logs = logs.expect("an empty folder");
        let tail = logs.tail(0, Offset(0)).expect("nothing is there");
        let each = run(logs.log(0).as_ref(), &tail, rounds) * 1e6 / n_samples;
        let n_bytes = logs.counts().bytes as f64 / n_samples;
        println!(
            "row: log in files, fsync {name} | {:.4} | us/sample more than in memory | {n_bytes:.1} B/sample",
            each - floor
        );
    }
}
