//! What it means that a sync has succeeded: all that was written before it survives the power.
//!
//! Catches: a file that is on disk under a name that is not; a sync that reports what another one
//! is only about to do.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::log::backend::file::recovery::Recovered;
use crate::log::backend::file::segment::{HEADER_BYTES, Header};
use crate::log::backend::file::writer::ShardWriter;
use crate::log::backend::file::{
    FileLogSettings, Files, LogEnd, LogFile, SimulatedFiles, SyncPolicy,
};
use crate::log::{FileLogs, Log as _, Offset};
use crate::model::{Entry, Stamp, TimestampMs};

fn logs(disk: &SimulatedFiles, sync: SyncPolicy) -> FileLogs {
    let settings = FileLogSettings {
        sync,
        // A file is full with its first entry.
        segment_bytes_max: 1,
        ..FileLogSettings::default()
    };
    let logs = FileLogs::open(Arc::new(disk.clone()), Path::new("/log"), 1, settings);
    logs.expect("a crash alone never makes a log unusable")
}

/// Appends an entry and waits until it is written, or is not.
fn append(logs: &FileLogs) -> bool {
    let stamp = Stamp {
        sequence: 0,
        wall: TimestampMs(0),
        clock: None,
    };
    let log = logs.log(0);
    let appended = log.append(Entry::Clock { stamp });
    appended.is_ok() && log.commitment().wait_blocking().is_ok()
}

/// A process is killed between any two of the steps by which entries come into new files; the one
/// behind it goes on in what it finds, syncs, and the power goes.
#[test]
fn what_was_synced_is_there_whatever_the_process_before_was_killed_at() {
    for policy in [SyncPolicy::Never, SyncPolicy::Always] {
        for (n_steps, seed) in (0..12).flat_map(|n| (0..8).map(move |seed| (n, seed))) {
            let disk = SimulatedFiles::default();
            let first = logs(&disk, policy);
            disk.stop_after(n_steps);
            while append(&first) {}
            let disk = disk.after_kill();
            let second = logs(&disk, policy);
            let end = second.opened()[0].next.0 + 1;
            assert!(append(&second), "the disk works");
            second.log(0).sync().expect("the disk works");
            let third = logs(&disk.after_power_loss(seed), policy);
            let found = third.opened()[0].next.0;
            assert_eq!(
                found, end,
                "{policy:?}, killed after {n_steps} steps, {seed}"
            );
        }
    }
}

/// A sync that fails forgets what it was to write, as a disk's does; the next one succeeds.
#[test]
fn what_a_failed_sync_has_lost_is_written_again_before_the_next_succeeds() {
    for segment_bytes_max in [1, 1 << 20] {
        let disk = SimulatedFiles::default();
        let settings = FileLogSettings {
            sync: SyncPolicy::Never,
            segment_bytes_max,
            ..FileLogSettings::default()
        };
        let open = |disk: &SimulatedFiles| {
            FileLogs::open(
                Arc::new(disk.clone()),
                Path::new("/log"),
                1,
                settings.clone(),
            )
            .expect("a crash alone never makes a log unusable")
        };
        let first = open(&disk);
        assert!(append(&first) && append(&first), "the disk works");
        first.log(0).sync().expect("the disk works");
        assert!(append(&first) && append(&first), "the disk works");
        disk.set_syncs_fail(true);
        for _ in 0..2 {
            assert!(first.log(0).sync().is_err(), "it says so");
        }
        disk.set_syncs_fail(false);
        assert!(append(&first), "into a new file");
        first.log(0).sync().expect("the disk works");
        for seed in 0..8 {
            let second = open(&disk.after_power_loss(seed));
            assert_eq!(
                second.opened()[0].next,
                Offset(5),
                "{segment_bytes_max}, {seed}"
            );
        }
    }
}

/// A file that cannot be read back as it was written is not called synced.
#[test]
fn what_cannot_be_read_after_a_failed_sync_is_never_called_synced() {
    let disk = SimulatedFiles::default();
    let logs = logs(&disk, SyncPolicy::Never);
    assert!(append(&logs), "the disk works");
    disk.set_syncs_fail(true);
    assert!(logs.log(0).sync().is_err(), "it says so");
    disk.set_syncs_fail(false);
    let (path, n_bytes) = disk.list().pop().expect("a file of the log");
    disk.damage(&path, n_bytes - 1);
    for _ in 0..2 {
        assert!(logs.log(0).sync().is_err(), "what was written is not there");
    }
}

/// A file whose sync takes as long as a test wants.
struct SlowFile {
    begun: Sender<()>,
    may_end: Receiver<()>,
    is_on_disk: AtomicBool,
}

impl LogFile for SlowFile {
    fn n_bytes(&self) -> io::Result<u64> {
        Ok(HEADER_BYTES as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let header = Header::new(Offset(7), 0).bytes();
        let rest = header.get(at as usize..).unwrap_or_default();
        let n_bytes = rest.len().min(into.len());
        into[..n_bytes].copy_from_slice(&rest[..n_bytes]);
        Ok(n_bytes)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn set_n_bytes(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let _ = self.begun.send(());
        let _ = self.may_end.recv();
        self.is_on_disk.store(true, Ordering::Release);
        Ok(())
    }
}

#[test]
fn who_syncs_while_another_does_is_not_told_before_it_is_done() {
    let (begun, has_begun) = bounded(1);
    let (end, may_end) = bounded(1);
    let file = Arc::new(SlowFile {
        begun,
        may_end,
        is_on_disk: AtomicBool::new(false),
    });
    let found = Recovered {
        segments: Vec::new(),
        last: None,
        end: LogEnd {
            next: Offset(7),
            ..LogEnd::default()
        },
        synced: Offset(0),
        unsynced: vec![Arc::clone(&file) as Arc<dyn LogFile>],
        cut: None,
    };
    let disk: Arc<dyn Files> = Arc::new(SimulatedFiles::default());
    let shard = ShardWriter::new(disk, Path::new("/log/0"), 0, 1, found).shared();
    let (shard, file) = (&shard, &file);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| shard.sync());
        has_begun.recv().expect("the first one syncs the file");
        let (told, is_told) = bounded(1);
        scope.spawn(move || {
            let synced = shard.sync();
            let _ = told.send((synced.is_ok(), file.is_on_disk.load(Ordering::Acquire)));
        });
        let early = is_told.recv_timeout(Duration::from_millis(200));
        let synced = shard.synced.load(Ordering::Acquire);
        // Before anything is asserted, or the scope would never end.
        let _ = end.send(());
        assert_eq!(synced, 0, "nothing is on disk");
        assert_eq!(early, Err(RecvTimeoutError::Timeout), "it is not on disk");
        assert_eq!(is_told.recv(), Ok((true, true)), "succeeded, and on disk");
        let first = first.join().expect("it ends").expect("the disk works");
        assert!(first, "there was something to sync");
    });
    assert_eq!(shard.synced.load(Ordering::Acquire), 7);
}
