//! What comes back after a crash: a prefix of what was appended, with all that was promised in it.
//!
//! Catches: a promise kept before the write or the sync it stands for; a torn tail that is read, or
//! that makes the log unusable; damage that is cut off as if it were a torn tail; what a full disk
//! leaves half-written.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::log::backend::file::reader::LogReader;
use crate::log::backend::file::recovery::recover;
use crate::log::backend::file::segment::HEADER_BYTES;
use crate::log::backend::file::writer::{GroupWriter, ShardFiles, ShardWriter, Staged};
use crate::log::backend::file::{
    FileLogError, FileLogSettings, Files, LogEnd, Retention, SimulatedFiles, SyncPolicy,
    check_shard, repair_shard,
};
use crate::log::{FileLogs, Log as _, LogError, LogTail as _, Offset, record, weight};
use crate::model::{
    Batch, Entry, Generation, Labels, RuleSource, SeriesDefinition, SeriesHandle, Stamp,
    TimestampMs,
};

/// A file is full after a few groups.
const SEGMENT_BYTES: u64 = 4_000;

fn folder(shard: usize) -> &'static Path {
    Path::new(["/log/0", "/log/1", "/log/2"][shard])
}

/// The entry of a number: of every kind, some of them long.
fn entry(number: u64) -> Entry {
    let stamp = Stamp {
        sequence: number,
        wall: TimestampMs(1_000 * number as i64),
        clock: (number > 3).then_some(TimestampMs(number as i64)),
    };
    let generation = Generation(number / 10);
    match number % 10 {
        0 => Entry::Rules {
            stamp,
            generation,
            rules: Arc::new(RuleSource::default()),
        },
        1 => Entry::Clock { stamp },
        _ => {
            let handle = SeriesHandle(number as u32);
            let float = |n| (handle, TimestampMs(n), n as f64);
            let n_floats = [1, 3, 300][number as usize % 3];
            Entry::Samples {
                stamp,
                generation,
                batch: Batch {
                    definitions: vec![SeriesDefinition {
                        handle,
                        labels: Labels::from_pairs([("n", number.to_string())]),
                    }],
                    floats: (0..n_floats).map(float).collect(),
                    ..Batch::default()
                },
            }
        }
    }
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(entry, &mut bytes);
    bytes
}

/// Reads a shard's log as an engine does at a start.
fn read_all(disk: &SimulatedFiles, shard: usize, end: Offset) -> Vec<Entry> {
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let mut reader = LogReader::new(files, folder(shard).to_owned(), Offset(0));
    let mut entries = Vec::new();
    while reader.next_offset() < end {
        reader.read(end, &mut entries).expect("what was recovered");
    }
    for (place, (offset, _)) in entries.iter().enumerate() {
        assert_eq!(offset.0, place as u64);
    }
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// A process that writes: what it has appended and what it may promise.
struct Process {
    disk: SimulatedFiles,
    writer: GroupWriter,
    shards: Vec<Arc<ShardFiles>>,
    /// What was appended, shard by shard; all of it, whether or not it was written.
    appended: Vec<Vec<Entry>>,
    /// The group that could not be written, to be tried again.
    group: Vec<Staged>,
    /// So many are written, and so many on disk, shard by shard.
    written: Vec<usize>,
    on_disk: Vec<usize>,
    syncs: bool,
}

impl Process {
    /// Starts on a disk; `before` is what must come back, at least.
    fn start(disk: SimulatedFiles, syncs: bool, before: &[Vec<Entry>], least: &[usize]) -> Process {
        let (mut writers, mut appended) = (Vec::new(), Vec::new());
        for shard in 0..before.len() {
            let files: Arc<dyn Files> = Arc::new(disk.clone());
            let recovered = recover(&disk, folder(shard), shard as u32, false);
            let recovered = recovered.expect("a crash alone never makes a log unusable");
            let end = recovered.end;
            let entries = read_all(&disk, shard, end.next);
            assert!(
                entries.len() >= least[shard],
                "{} of {least:?}",
                entries.len()
            );
            let expected = before[shard].iter().take(entries.len());
            assert!(entries.iter().map(bytes_of).eq(expected.map(bytes_of)));
            let mut counted = LogEnd::default();
            entries.iter().for_each(|entry| counted.append(entry));
            assert_eq!(end, counted);
            let report = check_shard(&disk, folder(shard), shard as u32).expect("it is readable");
            assert!(report.bad.is_none(), "{report:?}");
            appended.push(entries);
            let folder = folder(shard);
            let shard = shard as u32;
            writers.push(ShardWriter::new(
                files,
                folder,
                shard,
                SEGMENT_BYTES,
                recovered,
            ));
        }
        let shards: Vec<_> = writers.iter().map(ShardWriter::shared).collect();
        // As `FileLogs::open` does.
        let on_disk = writers.iter().all(|shard| shard.settle().is_ok());
        let written: Vec<usize> = appended.iter().map(Vec::len).collect();
        Process {
            disk,
            writer: GroupWriter::new(writers, syncs),
            shards,
            appended,
            group: Vec::new(),
            on_disk: match on_disk {
                true => written.clone(),
                false => least.to_vec(),
            },
            written,
            syncs,
        }
    }

    /// Appends so many entries to each shard and writes them as one group, with what was left.
    fn append(&mut self, counts: &[usize]) {
        for (shard, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                let offset = self.appended[shard].len() as u64;
                self.appended[shard].push(entry(offset));
                self.group.push(Staged {
                    shard,
                    offset: Offset(offset),
                    entry: entry(offset),
                });
            }
        }
        if self.writer.write(&self.group).is_ok() {
            self.group.clear();
            self.written = self.appended.iter().map(Vec::len).collect();
            if self.syncs {
                self.on_disk.clone_from(&self.written);
            }
        }
    }

    fn sync(&mut self) {
        let before = self.written.clone();
        if self.shards.iter().all(|shard| shard.sync().is_ok()) {
            self.on_disk = before;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Sync,
    /// Room for so many more bytes.
    Room(Option<u64>),
    SyncsFail(bool),
    Kill,
    /// The power goes; with this seed.
    Power(u64),
    /// The machine stops after so many operations of what follows.
    StopAfter(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(0..4usize, 2).prop_map(Step::Append),
        4 => Just(Step::Sync),
        1 => (0..3_000_u64).prop_map(|room| Step::Room(Some(room))),
        1 => Just(Step::Room(None)),
        1 => any::<bool>().prop_map(Step::SyncsFail),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Power),
        1 => (0..30_u64).prop_map(Step::StopAfter),
    ]
}

proptest! {
    #[test]
    fn a_crash_leaves_a_prefix_with_all_that_was_promised(
        steps in prop::collection::vec(any_step(), 1..60),
        syncs in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut process = Process::start(SimulatedFiles::default(), syncs, &[vec![], vec![]], &[0, 0]);
        for step in steps.into_iter().chain([Step::Power(seed)]) {
            match step {
                Step::Append(counts) => process.append(&counts),
                Step::Sync => process.sync(),
                Step::Room(room) => process.disk.set_room(room),
                Step::SyncsFail(fail) => process.disk.set_syncs_fail(fail),
                Step::StopAfter(n) => process.disk.stop_after(n),
                Step::Kill => {
                    let disk = process.disk.after_kill();
                    disk.set_room(None);
                    let Process { appended, written, .. } = &process;
                    process = Process::start(disk, syncs, appended, written);
                }
                Step::Power(seed) => {
                    let disk = process.disk.after_power_loss(seed);
                    let Process { appended, on_disk, .. } = &process;
                    process = Process::start(disk, syncs, appended, on_disk);
                }
            }
        }
    }
}

fn logs(disk: &SimulatedFiles, sync: SyncPolicy) -> Result<FileLogs, FileLogError> {
    let settings = FileLogSettings {
        sync,
        segment_bytes_max: SEGMENT_BYTES,
        samples_max: 10_000,
        ..FileLogSettings::default()
    };
    FileLogs::open(Arc::new(disk.clone()), Path::new("/log"), 2, settings)
}

/// Appends entries to the first shard and waits for each.
fn append(logs: &FileLogs, numbers: std::ops::Range<u64>) -> Result<(), LogError> {
    let log = logs.log(0);
    let mut outcome = Ok(());
    for number in numbers {
        log.append(entry(number))?;
        outcome = log.commitment().wait_blocking();
    }
    outcome
}

/// Takes so many entries from a tail, and returns their offsets.
fn take(tail: &crate::log::FileLogTail, n_entries: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < n_entries {
        let (offset, found) = tail.entries().recv().expect("more are to come");
        assert_eq!(bytes_of(&found), bytes_of(&entry(offset.0)));
        tail.done(weight(&found));
        offsets.push(offset.0);
    }
    offsets
}

#[test]
fn an_engine_reads_what_was_left_then_what_comes() {
    let disk = SimulatedFiles::default();
    let first = logs(&disk, SyncPolicy::Never).expect("an empty disk");
    let tail = first.tail(0, Offset(0)).expect("nothing is there");
    append(&first, 0..50).expect("there is room");
    assert_eq!(take(&tail, 50), (0..50).collect::<Vec<_>>());
    drop(first);
    assert!(tail.entries().recv().is_err(), "the log is closed");

    let second = logs(&disk, SyncPolicy::Never).expect("as it was left");
    assert_eq!(second.opened()[0].next, Offset(50));
    assert_eq!(second.opened()[0].generation, Generation(4));
    assert_eq!(second.opened()[0].rules_at, Some(Offset(40)));
    let rules = second.entry(0, Offset(40)).expect("it is readable");
    assert!(matches!(rules, Some(Entry::Rules { .. })));
    append(&second, 50..60).expect("before anybody reads");
    let tail = second.tail(0, Offset(7)).expect("it is there");
    assert_eq!(tail.replay_end(), Offset(50));
    append(&second, 60..70).expect("while it is read");
    assert_eq!(take(&tail, 63), (7..70).collect::<Vec<_>>());
    append(&second, 70..75).expect("from memory");
    assert_eq!(take(&tail, 5), (70..75).collect::<Vec<_>>());
    assert_eq!(second.log(0).waiting().samples, 0);
    let nowhere = second.tail(1, Offset(9)).map(drop);
    let said = nowhere.expect_err("it has no entries").to_string();
    assert!(said.contains("/log/1 has no entry 9"), "{said}");
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_once_there_is_room() {
    let disk = SimulatedFiles::default();
    let logs = logs(&disk, SyncPolicy::Always).expect("an empty disk");
    let tail = logs.tail(0, Offset(0)).expect("nothing is there");
    append(&logs, 0..5).expect("there is room");
    disk.set_room(Some(100));
    let full = append(&logs, 5..9).expect_err("there is no room");
    assert!(
        full.to_string()
            .starts_with("the log cannot be written: cannot write /log/0/"),
        "{full}"
    );
    let log = logs.log(0);
    assert!(!log.room(1) && log.check().is_err());
    assert_eq!(take(&tail, 5), (0..5).collect::<Vec<_>>());
    assert!(
        tail.entries().is_empty(),
        "what is not written is not applied"
    );
    disk.set_room(None);
    // The sender comes again, and its request is not appended twice: it waits for the first.
    while log.commitment().wait_blocking().is_err() {
        std::thread::yield_now();
    }
    assert!(log.room(1));
    assert_eq!(take(&tail, 4), (5..9).collect::<Vec<_>>());
    append(&logs, 9..12).expect("there is room");
    let after = disk.after_power_loss(1);
    let report = check_shard(&after, folder(0), 0).expect("readable");
    assert!(report.bad.is_none(), "{report:?}");
    assert_eq!(
        report.segments.last().map(|s| s.offsets.1),
        Some(Offset(12))
    );
}

#[test]
fn what_no_engine_needs_is_forgotten_in_whole_files() {
    let disk = SimulatedFiles::default();
    let logs = logs(&disk, SyncPolicy::Never).expect("an empty disk");
    append(&logs, 0..60).expect("there is room");
    let log = logs.log(0);
    log.forget_before(Offset(40)).expect("files can be removed");
    assert_eq!(
        logs.first(0),
        Offset(0),
        "nothing of it is known to be on disk"
    );
    log.sync().expect("the disk works");
    log.forget_before(Offset(40)).expect("files can be removed");
    let first = logs.first(0);
    assert!((20..=40).contains(&first.0), "{first:?}");
    drop(logs);
    let again = self::logs(&disk, SyncPolicy::Never).expect("as it was left");
    assert_eq!(again.first(0), first);
    let tail = again.tail(0, first).expect("it is there");
    assert_eq!(take(&tail, (60 - first.0) as usize)[0], first.0);
}

#[test]
fn retention_keeps_what_is_young_and_little() {
    let disk = SimulatedFiles::default();
    let kept = |age_seconds: i64, n_bytes: u64| {
        let disk = disk.after_kill();
        let settings = FileLogSettings {
            sync: SyncPolicy::Never,
            segment_bytes_max: SEGMENT_BYTES,
            retention: Retention {
                age: crate::model::DurationMs::from_seconds(age_seconds),
                n_bytes,
            },
            ..FileLogSettings::default()
        };
        let files = Arc::new(disk.clone());
        let logs = FileLogs::open(files, Path::new("/log"), 1, settings).expect("an empty disk");
        append(&logs, 0..60).expect("there is room");
        let log = logs.log(0);
        log.sync().expect("the disk works");
        log.forget_before(Offset(60)).expect("files can be removed");
        60 - logs.first(0).0
    };
    // An entry a second; a file holds a few of them.
    let (all, some, few) = (kept(60, 0), kept(20, 0), kept(0, 0));
    assert_eq!(all, 60);
    assert!((20..30).contains(&some), "{some}");
    assert!(few < 10, "{few}");
    let little = kept(60, 3 * SEGMENT_BYTES);
    assert!((few..60).contains(&little), "{little}");
}

/// Fills a log whose last file is synced, and returns its disk.
fn synced_disk() -> SimulatedFiles {
    let disk = SimulatedFiles::default();
    let logs = logs(&disk, SyncPolicy::Always).expect("an empty disk");
    append(&logs, 0..30).expect("there is room");
    drop(logs);
    disk
}

#[test]
fn damage_is_not_taken_for_a_torn_tail() {
    let disk = synced_disk();
    let (path, _) = disk.list().into_iter().next_back().expect("files");
    disk.damage(&path, HEADER_BYTES + 100);
    let refused = logs(&disk, SyncPolicy::Always).map(drop);
    let said = refused.expect_err("it was on disk").to_string();
    for part in [
        path.to_str().expect("text"),
        "at byte 64",
        "checksum",
        "--repair",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let report = check_shard(&disk, folder(0), 0).expect("readable");
    let (bad_path, bad, was_on_disk) = report.bad.expect("a bad place");
    assert_eq!((bad_path, bad.at, was_on_disk), (path, 64, true));
    let cut = repair_shard(&disk, folder(0), 0).expect("it can be cut");
    assert!(cut.expect("there was something to cut").n_bytes > 0);
    let again = logs(&disk, SyncPolicy::Always).expect("it is repaired");
    assert_eq!(again.opened()[0].next, bad.offset);
}

#[test]
fn damage_in_an_old_file_is_said_when_it_is_read() {
    let disk = synced_disk();
    let (path, _) = disk.list().into_iter().next().expect("files");
    disk.damage(&path, HEADER_BYTES + 100);
    let logs = logs(&disk, SyncPolicy::Always).expect("only the newest files are read at a start");
    let tail = logs.tail(0, Offset(0)).expect("it is there");
    let log = logs.log(0);
    while log.check().is_ok() {
        std::thread::yield_now();
    }
    let said = log.check().expect_err("it is damaged").to_string();
    assert!(
        said.contains("the log cannot be read") && said.contains("at byte 64"),
        "{said}"
    );
    assert!(!log.room(1));
    drop(tail);
}

#[test]
fn a_newer_burnwatch_is_named() {
    use crate::log::backend::file::segment::Header;
    let disk = synced_disk();
    let (path, _) = disk.list().into_iter().next_back().expect("files");
    let file = disk.open(&path).expect("it is there");
    let newer = Header {
        format: 99,
        first: Offset(0),
        shard: 0,
        written_by: "7.8.9".to_owned(),
    };
    file.write_at(0, &newer.bytes()).expect("there is room");
    let refused = logs(&disk, SyncPolicy::Always).map(drop);
    let said = refused.expect_err("it is newer").to_string();
    assert!(
        said.contains("written by burnwatch 7.8.9 in format 99"),
        "{said}"
    );
    file.write_at(0, b"something else").expect("there is room");
    let refused = logs(&disk, SyncPolicy::Always).map(drop);
    let said = refused.expect_err("it is foreign").to_string();
    assert!(said.contains("no file of a burnwatch log"), "{said}");
}
