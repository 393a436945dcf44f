//! The log in files of the data directory: `<folder>/<shard>/<first offset>.log`.
//!
//! | file | what |
//! |---|---|
//! | [`files`] | the file system behind a trait; `simulated` loses what was not synced |
//! | [`segment`] | one file: header, frames, checksums, format version |
//! | [`writer`] | groups of entries into the files of all shards, whole or not at all |
//! | [`recovery`] | where a log ends after a crash, and what is cut off |
//! | [`reader`] | entries from an offset on |
//! | [`tail`] | the engine's side: from files until it has caught up, then from memory |
//! | this | the threads, and what the node sees |
//!
//! # Group commit
//!
//! [`FileLog::append`] queues an entry. One thread takes all that is queued, by however many
//! requests and for however many shards, writes it ([`writer::GroupWriter`]), keeps the promises of
//! those who wait, and hands the entries to the engines. So an engine never sees what is not
//! written, and a slow disk makes groups larger, not senders more. `fsync: interval` forces files to
//! disk by another thread, so that writing goes on meanwhile.
//!
//! Where writing fails, the group is kept and tried again every second; the queue is bounded by
//! [`Log::room`] saying no until then.

mod check;
#[cfg(test)]
mod crash_tests;
mod error;
pub mod files;
pub mod reader;
pub mod recovery;
pub mod segment;
mod settings;
mod simulated;
#[cfg(test)]
mod sync_tests;
pub mod tail;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use crate::log::backend::file::recovery::{Cut, recover};
use crate::log::backend::file::tail::Reading;
use crate::log::backend::file::writer::{GroupWriter, ShardFiles, ShardWriter, Staged};
use crate::log::{Commitment, Log, LogError, Offset, Progress, Waiting, weight};
use crate::model::Entry;

pub use check::{SegmentReport, ShardReport, check_shard, repair_shard};
pub use error::FileLogError;
pub use files::{FileReading, FileWriting, Files, LogFile, StdFiles};
pub use segment::{FORMAT, LogEnd};
pub use settings::{FileLogCounts, FileLogSettings, SyncPolicy};
pub use simulated::SimulatedFiles;
pub use tail::FileLogTail;
pub use writer::Retention;

/// How often writing is tried again after it has failed.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counters {
    entries: AtomicU64,
    groups: AtomicU64,
    write_failures: AtomicU64,
    syncs: AtomicU64,
    sync_failures: AtomicU64,
}

/// What the threads and both sides share.
struct Shared {
    files: Arc<dyn Files>,
    settings: FileLogSettings,
    shards: Vec<Shard>,
    queue: Mutex<Queue>,
    /// Wakes the writer.
    staged: Condvar,
    /// Wakes the thread that syncs.
    closing: Condvar,
    progress: Arc<Progress>,
    counters: Counters,
    is_closed: AtomicBool,
    torn: (u64, u64),
}

/// One shard's part of it.
struct Shard {
    folder: PathBuf,
    files: Arc<ShardFiles>,
    /// The weight of what is queued for writing.
    staged_weight: AtomicUsize,
    reading: Arc<Reading>,
    /// What the log had come to when it was opened.
    opened: LogEnd,
}

#[derive(Default)]
struct Queue {
    staged: Vec<Staged>,
    /// The next offset of each shard.
    next: Vec<Offset>,
    /// Entries appended since the start.
    n_appended: u64,
}

/// The logs of all shards, in files, and the threads that write them. Dropping it writes and syncs
/// what is queued.
pub struct FileLogs {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl FileLogs {
    /// Opens the logs of as many shards in a folder, which are made if need be. What a crash has
    /// left torn is cut off, and said.
    pub fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        n_shards: usize,
        settings: FileLogSettings,
    ) -> Result<FileLogs, FileLogError> {
        let (mut writers, mut shards) = (Vec::new(), Vec::new());
        let mut torn = (0, 0);
        for number in 0..n_shards {
            let folder = folder.join(number.to_string());
            let (writer, cut) = open_shard(&files, &folder, number as u32, &settings)?;
            if let Some(cut) = cut {
                warn!(
                    file = %cut.path.display(),
                    at = cut.at,
                    bytes = cut.n_bytes,
                    entries = cut.n_entries,
                    "the end of the log was torn and is cut off"
                );
                torn = (torn.0 + cut.n_bytes, torn.1 + cut.n_entries);
            }
            shards.push(Shard {
                files: writer.shared(),
                staged_weight: AtomicUsize::new(0),
                reading: Arc::new(Reading::new(writer.end().next)),
                opened: writer.end(),
                folder,
            });
            writers.push(writer);
        }
        // That the folders are there has to outlive the power too.
        let is_named = |above: &&Path| !above.as_os_str().is_empty();
        let above = folder.parent().filter(is_named);
        for folder in [Some(folder), above].into_iter().flatten() {
            let synced = files.sync_folder(folder);
            synced.map_err(|error| FileLogError::io("sync", folder, error))?;
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                next: shards.iter().map(|shard| shard.opened.next).collect(),
                ..Queue::default()
            }),
            files,
            shards,
            staged: Condvar::new(),
            closing: Condvar::new(),
            progress: Arc::default(),
            counters: Counters::default(),
            is_closed: AtomicBool::new(false),
            torn,
            settings,
        });
        FileLogs::start(shared, writers, folder)
    }

    fn start(
        shared: Arc<Shared>,
        writers: Vec<ShardWriter>,
        folder: &Path,
    ) -> Result<FileLogs, FileLogError> {
        let policy = shared.settings.sync;
        let writer = GroupWriter::new(writers, policy == SyncPolicy::Always);
        let logs = FileLogs {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let started = thread.spawn(run);
            started.map_err(|error| FileLogError::io("start a thread for", folder, error))
        };
        let for_writer = Arc::clone(&shared);
        let run = Box::new(move || for_writer.write_groups(writer));
        logs.threads.lock().push(spawn("log-write", run)?);
        if let SyncPolicy::Interval(interval) = policy {
            let run = Box::new(move || shared.sync_regularly(interval));
            logs.threads.lock().push(spawn("log-sync", run)?);
        }
        Ok(logs)
    }

    /// Returns the writing side of a shard's log.
    pub fn log(&self, shard: usize) -> Arc<FileLog> {
        Arc::new(FileLog {
            shared: Arc::clone(&self.shared),
            shard,
        })
    }

    /// Returns the reading side of a shard's log, from an offset on; to be asked for once.
    pub fn tail(&self, shard: usize, from: Offset) -> Result<FileLogTail, FileLogError> {
        let of = &self.shared.shards[shard];
        let first = self.first(shard);
        if from < first || from > of.opened.next {
            return Err(FileLogError::NotThere {
                folder: of.folder.clone(),
                offset: from,
                first,
                end: of.opened.next,
            });
        }
        FileLogTail::start(
            &self.shared.files,
            &of.folder,
            &of.reading,
            from,
            of.opened.next,
        )
    }

    /// Returns what each shard's log had come to when it was opened.
    pub fn opened(&self) -> Vec<LogEnd> {
        self.shared
            .shards
            .iter()
            .map(|shard| shard.opened)
            .collect()
    }

    /// Returns the offset of the oldest entry of a shard's log that is there.
    pub fn first(&self, shard: usize) -> Offset {
        let of = &self.shared.shards[shard];
        let first = of.files.segments.lock().first().map(|info| info.first);
        first.unwrap_or(of.opened.next)
    }

    /// Returns the entry at an offset of a shard's log, if it is there.
    pub fn entry(&self, shard: usize, offset: Offset) -> Result<Option<Entry>, FileLogError> {
        let of = &self.shared.shards[shard];
        if offset < self.first(shard) {
            return Ok(None);
        }
        let files = Arc::clone(&self.shared.files);
        let mut reader = reader::LogReader::new(files, of.folder.clone(), offset);
        let mut entries = Vec::new();
        reader.read(Offset(offset.0.saturating_add(1)), &mut entries)?;
        let found = entries.into_iter().find(|(at, _)| *at == offset);
        Ok(found.map(|(_, entry)| entry))
    }

    /// Returns counts for metrics.
    pub fn counts(&self) -> FileLogCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        let mut counts = FileLogCounts {
            entries: of(&counters.entries),
            groups: of(&counters.groups),
            write_failures: of(&counters.write_failures),
            syncs: of(&counters.syncs),
            sync_failures: of(&counters.sync_failures),
            torn_bytes: self.shared.torn.0,
            torn_entries: self.shared.torn.1,
            ..FileLogCounts::default()
        };
        for shard in &self.shared.shards {
            let segments = shard.files.segments.lock();
            counts.segments += segments.len() as u64;
            counts.bytes += segments.iter().map(|info| info.n_bytes).sum::<u64>();
        }
        counts
    }

    /// Writes and syncs what is queued, and takes nothing any more.
    pub fn close(&self) {
        self.shared.close();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for FileLogs {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns how many shards have a log in a folder.
pub fn n_shards_in(files: &dyn Files, folder: &Path) -> usize {
    let names = files.names(folder).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.parse::<usize>().ok());
    numbers.max().map_or(0, |last| last + 1)
}

fn open_shard(
    files: &Arc<dyn Files>,
    folder: &Path,
    number: u32,
    settings: &FileLogSettings,
) -> Result<(ShardWriter, Option<Cut>), FileLogError> {
    let made = files.make_folder(folder);
    made.map_err(|error| FileLogError::io("make", folder, error))?;
    let mut recovered = recover(files.as_ref(), folder, number, false)?;
    let cut = recovered.cut.take();
    let files = Arc::clone(files);
    let n_bytes = settings.segment_bytes_max;
    let writer = ShardWriter::new(files, folder, number, n_bytes, recovered);
    let settled = match settings.sync {
        SyncPolicy::Never => writer.settle_names(),
        SyncPolicy::Always | SyncPolicy::Interval(_) => writer.settle(),
    };
    settled.map_err(|error| FileLogError::io("sync", folder, error))?;
    Ok((writer, cut))
}

impl Shared {
    fn close(&self) {
        let queue = self.queue.lock();
        self.is_closed.store(true, Ordering::Release);
        drop(queue);
        self.staged.notify_all();
        self.closing.notify_all();
        self.shards.iter().for_each(|shard| shard.reading.close());
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// The writer's thread: group after group until the log is closed.
    fn write_groups(&self, mut writer: GroupWriter) {
        let mut group: Vec<Staged> = Vec::new();
        let mut was_failing = false;
        loop {
            let n_appended = {
                let mut queue = self.queue.lock();
                while queue.staged.is_empty() && group.is_empty() && !self.is_closed() {
                    self.staged.wait(&mut queue);
                }
                if was_failing && !self.is_closed() {
                    self.closing.wait_for(&mut queue, RETRY);
                }
                if group.is_empty() {
                    std::mem::swap(&mut group, &mut queue.staged);
                } else {
                    group.append(&mut queue.staged);
                }
                queue.n_appended
            };
            if group.is_empty() {
                break;
            }
            match writer.write(&group) {
                Ok(()) => {
                    if std::mem::take(&mut was_failing) {
                        info!("the log can be written again");
                    }
                    self.counters.groups.fetch_add(1, Ordering::Relaxed);
                    let n_entries = group.len() as u64;
                    self.counters
                        .entries
                        .fetch_add(n_entries, Ordering::Relaxed);
                    if self.settings.sync == SyncPolicy::Always {
                        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
                    }
                    // First, so that whoever was answered finds it with the engine.
                    self.hand_on(&mut group);
                    self.progress.written(n_appended);
                }
                Err(failure) => {
                    self.counters.write_failures.fetch_add(1, Ordering::Relaxed);
                    let cause = failure.to_string();
                    if !was_failing {
                        error!(
                            cause,
                            "the log cannot be written; samples are refused until it can"
                        );
                    }
                    was_failing = true;
                    let error = LogError::Unwritable(Arc::from(cause));
                    self.progress.failed(n_appended, error);
                    if self.is_closed() {
                        break;
                    }
                }
            }
        }
        if self.settings.sync != SyncPolicy::Never {
            self.sync_all();
        }
        self.shards.iter().for_each(|shard| shard.reading.end());
    }

    /// Gives what is written to the engines, and forgets it here.
    fn hand_on(&self, group: &mut Vec<Staged>) {
        for staged in group.drain(..) {
            let shard = &self.shards[staged.shard];
            let weight = weight(&staged.entry);
            shard.reading.hand_on(staged.offset, staged.entry, weight);
            shard.staged_weight.fetch_sub(weight, Ordering::AcqRel);
        }
    }

    /// The thread of `fsync: interval`.
    fn sync_regularly(&self, interval: Duration) {
        loop {
            let mut queue = self.queue.lock();
            if !self.is_closed() {
                self.closing.wait_for(&mut queue, interval);
            }
            drop(queue);
            if self.is_closed() {
                return;
            }
            self.sync_all();
        }
    }

    fn sync_all(&self) -> bool {
        let mut is_synced = true;
        for shard in &self.shards {
            match shard.files.sync() {
                Ok(true) => {
                    self.counters.syncs.fetch_add(1, Ordering::Relaxed);
                }
                Ok(false) => {}
                Err(error) => {
                    is_synced = false;
                    self.counters.sync_failures.fetch_add(1, Ordering::Relaxed);
                    error!(
                        folder = %shard.folder.display(), %error,
                        "the log could not be forced to disk; what came since it last was may be \
                         lost when the power goes"
                    );
                }
            }
        }
        is_synced
    }
}

/// The writing side of one shard's log in files.
pub struct FileLog {
    shared: Arc<Shared>,
    shard: usize,
}

impl FileLog {
    fn of(&self) -> &Shard {
        &self.shared.shards[self.shard]
    }

    /// Tells why the log is too large to be gone on with, if it is.
    fn check_size(&self) -> Result<(), LogError> {
        let most = self.shared.settings.shard_bytes_max;
        let segments = self.of().files.segments.lock();
        let n_bytes: u64 = segments.iter().map(|info| info.n_bytes).sum();
        drop(segments);
        if most == 0 || n_bytes < most {
            return Ok(());
        }
        let why = format!(
            "{} holds {n_bytes} bytes, and limits.log_bytes is {most}",
            self.of().folder.display()
        );
        Err(LogError::Unwritable(Arc::from(why)))
    }
}

impl Log for FileLog {
    fn room(&self, weight: usize) -> bool {
        let of = self.of();
        let staged = of.staged_weight.load(Ordering::Acquire);
        let waiting = staged + of.reading.weight_in_memory();
        let samples_max = self.shared.settings.samples_max;
        let fits = waiting == 0 || waiting.saturating_add(weight) <= samples_max;
        fits && self.check().is_ok()
    }

    fn append(&self, entry: Entry) -> Result<Offset, LogError> {
        let weight = weight(&entry);
        let mut queue = self.shared.queue.lock();
        if self.shared.is_closed() {
            return Err(LogError::Closed);
        }
        let offset = queue.next[self.shard];
        queue.next[self.shard].0 += 1;
        queue.n_appended += 1;
        self.of().staged_weight.fetch_add(weight, Ordering::AcqRel);
        let was_empty = queue.staged.is_empty();
        queue.staged.push(Staged {
            shard: self.shard,
            offset,
            entry,
        });
        drop(queue);
        if was_empty {
            self.shared.staged.notify_one();
        }
        Ok(offset)
    }

    fn waiting(&self) -> Waiting {
        let mut waiting = self.of().reading.backlog().waiting();
        waiting.samples += self.of().staged_weight.load(Ordering::Acquire);
        waiting
    }

    fn commitment(&self) -> Commitment {
        let n_appended = self.shared.queue.lock().n_appended;
        Commitment::of(&self.shared.progress, n_appended)
    }

    fn check(&self) -> Result<(), LogError> {
        if let Some(error) = self.of().reading.failure() {
            return Err(error);
        }
        self.shared.progress.failure().map_or(Ok(()), Err)?;
        self.check_size()
    }

    fn sync(&self) -> Result<(), LogError> {
        self.commitment().wait_blocking()?;
        match self.shared.sync_all() {
            true => Ok(()),
            false => Err(LogError::Unwritable(Arc::from(
                "it cannot be forced to disk",
            ))),
        }
    }

    fn forget_before(&self, offset: Offset) -> Result<(), LogError> {
        let of = self.of();
        let files = self.shared.files.as_ref();
        let retention = self.shared.settings.retention;
        let forgotten = of.files.forget_before(files, &of.folder, offset, retention);
        forgotten.map_err(|error| {
            let why = format!("old files in {}: {error}", of.folder.display());
            LogError::Unwritable(Arc::from(why))
        })
    }
}
