//! `burnwatch check storage`: what a data directory holds, what is wrong with it, and its repair.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use burnwatch::engine::Engine;
use burnwatch::log::backend::file::{FileLogSettings, StdFiles, SyncPolicy};
use burnwatch::log::{FileLogs, Log as _};
use burnwatch::model::{Entry, Generation, Stamp, TimestampMs};
use burnwatch::storage::checkpoint_files::{CheckpointFolder, CheckpointHeader};

use crate::Files;

/// A data directory whose log has so many entries, each on disk before the next was written.
fn with_log(n_entries: u64) -> Files {
    let files = Files::of(&[]);
    let settings = FileLogSettings {
        sync: SyncPolicy::Always,
        ..FileLogSettings::default()
    };
    let folder = files.path().join("data/log");
    let logs = FileLogs::open(Arc::new(StdFiles), &folder, 1, settings).expect("an empty folder");
    for sequence in 0..n_entries {
        let stamp = Stamp {
            sequence,
            wall: TimestampMs(1_700_000_000_000),
            clock: None,
        };
        let log = logs.log(0);
        log.append(Entry::Clock { stamp }).expect("it is open");
        log.commitment().wait_blocking().expect("there is room");
    }
    files
}

fn file_of(files: &Files) -> std::fs::File {
    let path = files.path().join("data/log/0/00000000000000000000.log");
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    file.expect("the log's first file")
}

#[test]
fn what_is_there_is_said() {
    let files = with_log(10);
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 0, "{run:#?}");
    for part in [
        "log of shard 0: 1 files",
        "entries 0 to 10",
        concat!("format 3 of burnwatch ", env!("CARGO_PKG_VERSION")),
        "written from 2023-11-14T22:13:20Z",
    ] {
        assert!(run.out.contains(part), "{part}\n{run:#?}");
    }
    let run = files.burnwatch("storage nowhere");
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.err.contains("nowhere is no directory"), "{run:#?}");
}

#[test]
fn damage_is_said_and_cut_off_on_request_alone() {
    let files = with_log(10);
    file_of(&files)
        .write_at(b"damage", 500)
        .expect("it is writable");
    let before = file_of(&files).metadata().expect("it is there").len();
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.err.contains("its checksum is wrong"), "{run:#?}");
    assert!(
        run.err.contains("--repair cuts the log off there"),
        "{run:#?}"
    );
    let after = file_of(&files).metadata().expect("it is there").len();
    assert_eq!(before, after, "nothing was changed");
    let run = files.burnwatch("storage --repair data");
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.out.contains("repaired: cut off at"), "{run:#?}");
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 0, "{run:#?}");
}

#[test]
fn a_torn_end_is_none_of_our_business() {
    let files = with_log(10);
    let file = file_of(&files);
    let n_bytes = file.metadata().expect("it is there").len();
    file.set_len(n_bytes - 3).expect("it is writable");
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(
        run.out.contains("torn: ") && run.out.contains("entries 0 to 9"),
        "{run:#?}"
    );
}

/// Adds checkpoints as of some entries, each of an engine that knows nothing.
fn with_checkpoints(files: &Files, offsets: &[u64]) -> Vec<std::path::PathBuf> {
    let folder = files.path().join("data/checkpoints/0");
    let folder = CheckpointFolder::open(&folder).expect("it is writable");
    let mut engine = Engine::new();
    for offset in offsets {
        let header = CheckpointHeader {
            offset: *offset,
            wall: TimestampMs(1_700_000_000_000),
            generation: Generation(0),
            cold: Vec::new(),
        };
        let mut writer = folder.begin(&header).expect("it is writable");
        for part in engine.begin_checkpoint() {
            writer.part(&part).expect("it is writable");
        }
        writer.finish().expect("it is writable");
        engine.abandon_checkpoint();
    }
    folder.paths().expect("it is readable")
}

#[test]
fn checkpoints_are_told_and_damaged_ones_removed_where_a_start_can_do_without() {
    let files = with_log(10);
    let paths = with_checkpoints(&files, &[4, 9, 70]);
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 0, "{run:#?}");
    for part in [
        "checkpoints of shard 0: 3",
        "0 series as of entry 9, begun at 2023-11-14T22:13:20Z",
        "the log has no entry 70 to go on with",
    ] {
        assert!(run.out.contains(part), "{part}\n{run:#?}");
    }
    let bytes = std::fs::read(&paths[1]).expect("it is there");
    std::fs::write(&paths[1], &bytes[..bytes.len() - 5]).expect("it is writable");
    let run = files.burnwatch("storage data");
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.err.contains("is damaged at byte"), "{run:#?}");
    assert!(run.err.contains("--repair removes it"), "{run:#?}");
    assert!(paths[1].exists(), "nothing was changed");
    let run = files.burnwatch("storage --repair data");
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.out.contains("removed: "), "{run:#?}");
    assert!(paths[0].exists() && !paths[1].exists() && paths[2].exists());
}
