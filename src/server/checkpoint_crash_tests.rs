//! What a start finds after a crash: the newest checkpoint that is whole, the log behind it, and
//! from them the engine that has applied all that the log holds.
//!
//! The disk loses, tears and reorders what was not synced, names of files included; it is full at
//! times, and stops in the middle of anything. Checkpoints that were whole are damaged one at a time.
//!
//! Catches: a checkpoint that counts before it, or what it speaks of, is on disk; a log that is
//! forgotten while an older checkpoint may yet be needed; a damaged one that is gone on from, or
//! that takes the place of a good one.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::SystemClock;
use crate::engine::Engine;
use crate::log::backend::file::{FileLogSettings, SimulatedFiles, SyncPolicy};
use crate::log::{FileLogTail, FileLogs, Log, LogTail as _, Offset, weight};
use crate::model::{
    Batch, EngineSettings, Entry, Generation, Labels, RuleSource, SeriesDefinition, SeriesHandle,
    Stamp, TimestampMs,
};
use crate::server::checkpoints::{
    CheckpointCounts, Checkpointer, ShardStorage, SharedColdFiles, checkpoints_of,
};
use crate::server::past_files::PastFiles;

const RULES: &str = "
groups:
- name: g
  interval: 30s
  rules:
  - {alert: High, expr: 'level > 4', for: 1m}
  - {alert: Busy, expr: 'rate(level[2m]) > 0.01 and rate(level[10m]) > 0'}
  - {record: 'level:max', expr: max(level)}
";
const N_SERIES: u32 = 5;

fn entry(number: u64) -> Entry {
    let at = TimestampMs(1_700_000_000_000 + 15_000 * number as i64);
    let stamp = Stamp {
        sequence: number,
        wall: at,
        clock: (number > 0).then_some(at),
    };
    let generation = Generation(1);
    if number == 0 {
        let files = vec![("rules.yml".to_owned(), RULES.to_owned())];
        return Entry::Rules {
            stamp,
            generation,
            rules: Arc::new(RuleSource {
                files,
                settings: EngineSettings::default(),
            }),
        };
    }
    let mut batch = Batch::default();
    for series in 0..N_SERIES {
        let handle = SeriesHandle(series);
        if number == 1 {
            let instance = series.to_string();
            batch.definitions.push(SeriesDefinition {
                handle,
                labels: Labels::from_pairs([("__name__", "level"), ("instance", &instance)]),
            });
        }
        let value = (number / 5 * 3 + u64::from(series) * 7) % 9;
        batch.floats.push((handle, at, value as f64));
    }
    Entry::Samples {
        stamp,
        generation,
        batch,
    }
}

fn apply(engine: &mut Engine, entry: &Entry) {
    engine.apply(entry, &|| 0.0, &mut Vec::new());
}

/// All that an engine says of itself.
fn told(engine: &Engine) -> String {
    let series = engine.series().iter().map(|(_, labels, series)| {
        let points = series.history.range(TimestampMs::MIN, TimestampMs::MAX);
        format!("{labels} {:?}\n", points.collect::<Vec<_>>())
    });
    let series: String = series.collect();
    format!("{:?} {:?}\n{series}", engine.frontier(), engine.groups())
}

/// A server's shard as far as it is concerned.
struct Process<'a> {
    storage: &'a Path,
    disk: SimulatedFiles,
    log: Arc<dyn Log>,
    tail: FileLogTail,
    engine: Engine,
    next: u64,
    checkpointer: Checkpointer,
    counts: Arc<CheckpointCounts>,
    /// The offset of the last checkpoint that was said to be written.
    written: Option<u64>,
    /// The disk takes nothing any more.
    is_stuck: bool,
    _logs: FileLogs,
}

impl<'a> Process<'a> {
    /// Starts on a disk. At least `least` entries are there, and a checkpoint at `newest` or later
    /// is gone on from.
    fn start(storage: &'a Path, disk: SimulatedFiles, least: u64, newest: Option<u64>) -> Self {
        let settings = FileLogSettings {
            sync: SyncPolicy::Never,
            segment_bytes_max: 1_000,
            ..FileLogSettings::default()
        };
        let folder = storage.join("log");
        let logs = FileLogs::open(Arc::new(disk.clone()), &folder, 1, settings);
        let logs = logs.expect("a crash alone never makes a log unusable");
        let (first, end) = (logs.first(0), logs.opened()[0].next);
        assert!(end.0 >= least, "{} of {least} entries", end.0);
        let counts = Arc::<CheckpointCounts>::default();
        let shard = ShardStorage {
            storage: storage.to_owned(),
            files: Arc::new(disk.clone()),
            shard: 0,
            log: Some(logs.log(0)),
            cold: SharedColdFiles::default(),
            past: Arc::new(PastFiles::open(storage, 1, true)),
            counts: Arc::clone(&counts),
            clock: Arc::new(SystemClock),
            begins_early: false,
        };
        let begun = shard.begin(first, end).expect("a shard can start");
        assert!(
            begun.is_restored || first == Offset(0),
            "what was forgotten is lost"
        );
        let from = begun.is_restored.then_some(begun.from.0);
        assert!(
            from >= newest,
            "goes on from {from:?}, and {newest:?} was there"
        );
        let mut process = Process {
            storage,
            disk,
            log: logs.log(0),
            tail: logs.tail(0, begun.from).expect("it is there"),
            engine: begun.engine,
            next: begun.from.0,
            checkpointer: Checkpointer::new(shard),
            counts,
            written: None,
            is_stuck: false,
            _logs: logs,
        };
        while process.next < end.0 {
            process.take();
        }
        let mut twin = Engine::new();
        (0..end.0).for_each(|number| apply(&mut twin, &entry(number)));
        assert_eq!(
            told(&process.engine),
            told(&twin),
            "from {from:?} to {end:?}"
        );
        process
    }

    /// Applies the next entry of the log.
    fn take(&mut self) {
        let (offset, entry) = self.tail.entries().recv().expect("it is written");
        assert_eq!(offset.0, self.next);
        apply(&mut self.engine, &entry);
        self.tail.done(weight(&entry));
        self.next += 1;
    }

    fn append(&mut self) {
        if self.is_stuck {
            return;
        }
        let appended = self.log.append(entry(self.next));
        match appended.and_then(|_| self.log.commitment().wait_blocking()) {
            Ok(()) => self.take(),
            Err(_) => self.is_stuck = true,
        }
    }

    /// Makes a checkpoint, while an entry comes. What is said to be written must be there.
    fn checkpoint(&mut self) {
        let before = self.counts.written.load(Ordering::Relaxed);
        let offset = self.next;
        let (done, written) = crossbeam_channel::bounded(0);
        self.checkpointer
            .begin(&mut self.engine, Offset(offset), Some(done));
        self.append();
        while let Some(more) = self.checkpointer.go_on(&mut self.engine, Offset(self.next)) {
            if !more {
                std::thread::yield_now();
            }
        }
        let _ = written.recv();
        if self.counts.written.load(Ordering::Relaxed) > before {
            self.written = Some(offset);
        }
    }

    /// Returns the checkpoints on its disk, the newest first, with their lengths.
    fn checkpoints(&self) -> Vec<(std::path::PathBuf, usize)> {
        let folder = checkpoints_of(self.storage, 0);
        let is_one = |path: &Path| {
            path.starts_with(&folder) && path.extension().is_some_and(|end| end == "checkpoint")
        };
        let all = self.disk.list().into_iter();
        let mut found: Vec<_> = all.filter(|(path, _)| is_one(path)).collect();
        found.reverse();
        found
    }
}

/// One life after another on one disk; returns how many began with a checkpoint.
fn live(seed: u64) -> u64 {
    let mut n_restored = 0;
    let mut random = fastrand::Rng::with_seed(seed);
    let storage = tempfile::tempdir().expect("there is a place for temporary files");
    let mut process = Process::start(storage.path(), SimulatedFiles::default(), 0, None);
    for _ in 0..6 {
        for _ in 0..random.usize(1..12) {
            match random.u8(0..10) {
                0..5 => process.append(),
                5..8 => process.checkpoint(),
                8 => process.disk.stop_after(random.u64(0..40)),
                _ => {
                    let room = random.bool().then(|| random.u64(0..6_000));
                    process.disk.set_room(room);
                }
            }
        }
        let is_killed = random.bool();
        let written = process.written;
        let (disk, least) = match is_killed {
            true => (process.disk.after_kill(), process.next),
            false => (
                process.disk.after_power_loss(random.u64(..)),
                written.unwrap_or(0),
            ),
        };
        disk.set_room(None);
        let found = process.checkpoints();
        let is_damaged = random.u8(0..3) == 0;
        let expected = match (&found[..], written) {
            (_, None) => None,
            // It is the one before that is gone on from; the log reaches back as far.
            ([newest, ..], Some(_)) if is_damaged => {
                disk.damage(&newest.0, random.usize(0..newest.1));
                None
            }
            _ => written,
        };
        process = Process::start(storage.path(), disk, least, expected);
        n_restored += process.counts.restored.load(Ordering::Relaxed);
        if let (true, Some(written), [_, _, ..]) = (is_damaged && is_killed, written, &found[..]) {
            let unusable = process.counts.unusable.load(Ordering::Relaxed);
            let is_of_version = unusable == 0;
            assert!(
                is_of_version || process.next >= written,
                "the log alone is applied"
            );
            let restored = process.counts.restored.load(Ordering::Relaxed);
            assert_eq!(restored, 1, "the one before it is gone on from");
        }
    }
    n_restored
}

#[test]
fn a_start_goes_on_from_the_newest_whole_checkpoint_whatever_a_crash_has_left() {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let lives = if deep { 5_000 } else { 100 };
    let restored: u64 = (0..lives).map(live).sum();
    assert!(
        restored > lives,
        "most starts go on from a checkpoint: {restored}"
    );
    let line = format!("{lives} lives of 6 crashes, {restored} starts from a checkpoint\n");
    // Seen although the test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
