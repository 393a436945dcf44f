//! The log: what was accepted, one ordered sequence of entries per shard.
//!
//! The log is the truth; an engine is what its log says. A request is answered 2xx only when the
//! logs of all shards concerned have it. Backends lie in [`backend`]; the writing side is
//! [`Log`], the reading side [`LogTail`].
//!
//! # What a backend owes
//!
//! - **Order.** Offsets grow by one, from 0 in a log that begins. The tail yields every entry from
//!   where it was opened on once, in order.
//! - **Single writer.** `append` is called by one thread at a time (under the node's lock), but
//!   by many threads in turn. It never waits for the reader, nor for a disk.
//! - **Room.** After `room(n)` has answered `true`, an append of that weight succeeds unless the
//!   log is closed: the node asks all logs before it appends to any. An empty log has room for any
//!   request; one that cannot be written has room for none.
//! - **Durability.** An entry may be lost until the [`Commitment`] asked for after its append is
//!   kept; a sender is answered then. From there on it survives `kill -9`, and the loss of power as
//!   far as the setting `fsync` promises. The memory backend forgets with the process, by design.
//! - **Nothing is taken back.** What was appended stays in its place: where writing fails, the
//!   commitment is broken, the sender hears 503 and sends again, and the entry is written once that
//!   is possible, before all that was appended later. The repetition then finds its samples taken.
//!
//! # A request in several logs
//!
//! A request whose series are read by several shards is an entry in the log of each. A crash may
//! leave it in some of them. Nobody was answered then, so the sender sends it again, and what a log
//! has already is a no-op there: every engine refuses a sample that its history holds. A sender that
//! never comes back leaves the request in some shards, of which each is as consistent as before.

pub mod backend;
mod backlog;
mod commitment;
pub mod record;

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::model::{Batch, Entry, TimestampMs};

pub use backend::file::{FileLog, FileLogTail, FileLogs};
pub use backend::memory::{MemoryLog, MemoryLogTail};
pub use backend::recording::RecordingLog;
pub use commitment::{Commitment, Progress};

/// A place in one shard's log; grows by one with every entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

/// Why an entry could not be appended, or is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The reader is gone: the engine stopped.
    #[error("the log is closed because its engine has stopped; restart the server")]
    Closed,
    /// The disk is full, or fails.
    #[error("the log cannot be written: {0}")]
    Unwritable(Arc<str>),
    /// What was written cannot be read.
    #[error("the log cannot be read: {0}")]
    Unreadable(Arc<str>),
}

/// The writing side of one shard's log.
pub trait Log: Send + Sync + 'static {
    /// Tells whether entries of so much more [`weight`] may be appended now.
    fn room(&self, weight: usize) -> bool;

    /// Appends an entry and returns its place. Never waits for the reader.
    fn append(&self, entry: Entry) -> Result<Offset, LogError>;

    /// Returns what the reader has yet to apply.
    fn waiting(&self) -> Waiting;

    /// Returns the promise that all that was appended is written.
    fn commitment(&self) -> Commitment {
        Commitment::default()
    }

    /// Tells why nothing can be written or read now, if so.
    fn check(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Forces all that is written to disk; to be done before anything that follows from it (a
    /// checkpoint) is. May take as long as the disk takes.
    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Says that nobody will read what lies before an offset any more: it may be deleted.
    fn forget_before(&self, offset: Offset) -> Result<(), LogError> {
        let _ = offset;
        Ok(())
    }
}

/// What lies in a log and is not applied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Its [`weight`], in samples.
    pub samples: usize,
    /// The stamped wall clock of the oldest entry, ms; `None` when nothing waits.
    pub since: Option<TimestampMs>,
}

/// The reading side of one shard's log.
pub trait LogTail: Send + 'static {
    /// Returns the channel of entries, in order, for use in a `select!`.
    fn entries(&self) -> &Receiver<(Offset, Entry)>;

    /// Says that an entry has been applied: its weight (see [`weight`]) is free again.
    fn done(&self, weight: usize);

    /// Returns the offset of the first entry that it yields.
    fn begins(&self) -> Offset {
        Offset(0)
    }

    /// Returns where the log ended when it was opened: what comes before was applied by an earlier
    /// run, and what it caused has been done.
    fn replay_end(&self) -> Offset {
        Offset(0)
    }
}

/// Returns what an entry takes of a log's room, in floats: what it holds in memory over what a
/// float holds, and at least 1, so that entries without samples are bounded too.
pub fn weight(entry: &Entry) -> usize {
    match entry {
        Entry::Samples { batch, .. } => {
            let n_floats = batch.heap_bytes().div_ceil(Batch::FLOAT_BYTES);
            n_floats.max(batch.n_samples()).max(1)
        }
        Entry::Clock { .. }
        | Entry::Rules { .. }
        | Entry::Past { .. }
        | Entry::Change { .. }
        | Entry::Reset { .. } => 1,
    }
}
