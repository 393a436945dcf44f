//! Files in the data directory that are mapped into memory.
//!
//! What lives here: the store of history that is not kept in memory ([`ColdFiles`]), and the lock
//! of the directory ([`StorageLock`]). What may not: anything that knows what a record holds. The
//! server opens it and hands it to its engines.

pub mod checkpoint_files;
mod cold_files;
mod lock;
mod segment;

pub use cold_files::{ColdCounts, ColdFile, ColdFiles};
pub use lock::{LockError, StorageLock};
pub use segment::Written;
