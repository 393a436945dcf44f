//! The log: what was accepted, one ordered sequence of entries per shard.
//!
//! The log is the truth; an engine is what its log says. A request is answered 2xx only when the
//! logs of all shards concerned have it. Backends lie in [`backend`]; the writing side is
//! [`Log`], the reading side [`LogTail`].
//!
//! # What a backend owes
//!
//! - **Order.** Offsets start at 0 and grow by one. The tail yields every entry once, in order.
//! - **Single writer.** `append` is called by one thread at a time (under the node's lock), but
//!   by many threads in turn. It never waits for the reader.
//! - **Room.** After `room(n)` has answered `true`, an append of that weight succeeds unless the
//!   log is closed or its disk fails: the node asks all logs before it writes to any, so that a
//!   request is in all logs or in none. An empty log has room for any request.
//! - **Durability.** When a durable backend's append is answered to a sender, the entry survives
//!   `kill -9`. The memory backend forgets with the process, by design.

pub mod backend;

use crossbeam_channel::Receiver;

use crate::model::{Batch, Entry, TimestampMs};

pub use backend::memory::{MemoryLog, MemoryLogTail};
pub use backend::recording::RecordingLog;

/// A place in one shard's log; grows by one with every entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

/// Why an entry could not be appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The reader is gone: the engine stopped.
    #[error("the log is closed because its engine has stopped; restart the server")]
    Closed,
}

/// The writing side of one shard's log.
pub trait Log: Send + Sync + 'static {
    /// Tells whether entries of so much more [`weight`] may be appended now.
    fn room(&self, weight: usize) -> bool;

    /// Appends an entry and returns its place. Never waits for the reader.
    fn append(&self, entry: Entry) -> Result<Offset, LogError>;

    /// Returns what the reader has yet to apply.
    fn waiting(&self) -> Waiting;
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
}

/// Returns what an entry takes of a log's room, in floats: what it holds in memory over what a
/// float holds, and at least 1, so that entries without samples are bounded too.
pub fn weight(entry: &Entry) -> usize {
    match entry {
        Entry::Samples { batch, .. } => {
            let n_floats = batch.heap_bytes().div_ceil(Batch::FLOAT_BYTES);
            n_floats.max(batch.n_samples()).max(1)
        }
        Entry::Clock { .. } | Entry::Rules { .. } | Entry::Past { .. } => 1,
    }
}
