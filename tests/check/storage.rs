//! `burnwatch check storage`: what a data directory holds, what is wrong with it, and its repair.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use burnwatch::log::backend::file::{FileLogSettings, StdFiles, SyncPolicy};
use burnwatch::log::{FileLogs, Log as _};
use burnwatch::model::{Entry, Stamp, TimestampMs};

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
        concat!("format 1 of burnwatch ", env!("CARGO_PKG_VERSION")),
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
