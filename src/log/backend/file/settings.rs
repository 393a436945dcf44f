//! How a log in files is to be kept, and what it says of itself.

use std::time::Duration;

use crate::log::backend::file::writer::Retention;

/// When what is written is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it counts as written.
    Always,
    /// Every so often.
    Interval(Duration),
    /// When the system pleases.
    Never,
}

/// How a log in files is to be kept.
#[derive(Clone, Debug)]
pub struct FileLogSettings {
    /// When it is forced to disk.
    pub sync: SyncPolicy,
    /// The most floats that wait for an engine.
    pub samples_max: usize,
    /// From which length on a file is full.
    pub segment_bytes_max: u64,
    /// How large one shard's log may become before it has no room; 0: any size.
    pub shard_bytes_max: u64,
    /// How long what no engine needs is kept.
    pub retention: Retention,
}

impl Default for FileLogSettings {
    fn default() -> Self {
        FileLogSettings {
            sync: SyncPolicy::Interval(Duration::from_secs(1)),
            samples_max: 50_000_000,
            segment_bytes_max: 64 << 20,
            shard_bytes_max: 0,
            retention: Retention::default(),
        }
    }
}

/// Counts since the start, and sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileLogCounts {
    /// Entries written.
    pub entries: u64,
    /// Groups written, each with one write for each shard concerned.
    pub groups: u64,
    /// Groups that could not be written, each attempt.
    pub write_failures: u64,
    /// Times that files were forced to disk.
    pub syncs: u64,
    /// Times that this failed.
    pub sync_failures: u64,
    /// Files that there are.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes cut off at the start because a crash had left them torn.
    pub torn_bytes: u64,
    /// Entries cut off with them, as far as they could be counted.
    pub torn_entries: u64,
}
