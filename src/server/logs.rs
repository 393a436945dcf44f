//! The shards' logs as the configuration wants them: in files of the data directory, or in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::info;

use crate::config::{Config, Fsync, LogStorage};
use crate::log::backend::file::{
    FileLogCounts, FileLogSettings, Retention, StdFiles, SyncPolicy, n_shards_in,
};
use crate::log::{FileLogs, Log, LogTail, MemoryLog};
use crate::model::{Entry, Generation, RuleSource, Stamp};

/// How often files are forced to disk under `fsync: interval`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The folder of the logs in the data directory.
pub const FOLDER: &str = "log";

/// The logs, and what they held when they were opened.
pub struct Logs {
    /// The writing sides, the first shard's first.
    pub logs: Vec<Arc<dyn Log>>,
    /// The reading sides.
    pub tails: Vec<Box<dyn LogTail>>,
    /// What earlier runs left.
    pub left: Left,
    /// The files, if it is files.
    pub files: Option<Arc<FileLogs>>,
}

/// What earlier runs have come to.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// The newest stamp.
    pub stamp: Option<Stamp>,
    /// The newest rule set.
    pub generation: Generation,
    /// The number that each shard's next series is given.
    pub next_handles: Vec<u32>,
    /// The rule set that each shard adopted last, if its log holds it.
    pub rules: Vec<Option<Arc<RuleSource>>>,
}

/// Returns how many shards have left a log in the data directory.
pub fn n_shards_left(storage: &Path, config: &Config) -> usize {
    match config.burnwatch.log_storage {
        LogStorage::File => n_shards_in(&StdFiles, &storage.join(FOLDER)),
        LogStorage::Memory => 0,
    }
}

/// Opens the logs of as many shards.
pub fn open(storage: &Path, config: &Config, n_shards: usize) -> anyhow::Result<Logs> {
    match config.burnwatch.log_storage {
        LogStorage::File => open_files(storage, config, n_shards),
        LogStorage::Memory => Ok(in_memory(config, n_shards)),
    }
}

fn in_memory(config: &Config, n_shards: usize) -> Logs {
    info!("the log is in memory: a restart begins anew");
    let (mut logs, mut tails) = (Vec::<Arc<dyn Log>>::new(), Vec::new());
    for _ in 0..n_shards {
        let (log, tail) = MemoryLog::new(config.burnwatch.limits.log_samples);
        logs.push(log);
        tails.push(Box::new(tail) as Box<dyn LogTail>);
    }
    Logs {
        logs,
        tails,
        left: Left::default(),
        files: None,
    }
}

fn open_files(storage: &Path, config: &Config, n_shards: usize) -> anyhow::Result<Logs> {
    let own = &config.burnwatch;
    let settings = FileLogSettings {
        sync: match own.fsync {
            Fsync::Always => SyncPolicy::Always,
            Fsync::Interval => SyncPolicy::Interval(SYNC_INTERVAL),
            Fsync::Never => SyncPolicy::Never,
        },
        samples_max: own.limits.log_samples,
        shard_bytes_max: own.limits.log_bytes as u64,
        retention: Retention {
            age: own.log_retention,
            n_bytes: own.limits.log_retention_bytes as u64,
        },
        ..FileLogSettings::default()
    };
    let folder = storage.join(FOLDER);
    let files = FileLogs::open(Arc::new(StdFiles), &folder, n_shards, settings)
        .context("cannot open the log")?;
    let opened = files.opened();
    let (mut logs, mut tails) = (Vec::<Arc<dyn Log>>::new(), Vec::new());
    let (mut left, mut n_entries) = (Left::default(), 0);
    for (shard, end) in opened.iter().enumerate() {
        let begins = files.first(shard);
        logs.push(files.log(shard));
        let tail = files.tail(shard, begins).context("cannot read the log")?;
        tails.push(Box::new(tail) as Box<dyn LogTail>);
        n_entries += end.next.0 - begins.0;
        left.stamp = newer(left.stamp, end.stamp);
        left.generation = left.generation.max(end.generation);
        left.next_handles.push(end.next_handle);
        let rules = end.rules_at.map(|at| files.entry(shard, at)).transpose();
        left.rules
            .push(match rules.context("cannot read the log")? {
                Some(Some(Entry::Rules { rules, .. })) => Some(rules),
                _ => None,
            });
    }
    info!(folder = %folder.display(), entries = n_entries, "the log is open");
    Ok(Logs {
        logs,
        tails,
        left,
        files: Some(Arc::new(files)),
    })
}

fn newer(a: Option<Stamp>, b: Option<Stamp>) -> Option<Stamp> {
    let both = [a, b].into_iter().flatten();
    both.max_by_key(|stamp| stamp.sequence)
}

/// Returns the counts of logs in files; zeros for those in memory.
pub fn counts(files: Option<&Arc<FileLogs>>) -> FileLogCounts {
    files.map(|files| files.counts()).unwrap_or_default()
}
