//! Files in the data directory that are mapped into memory.
//!
//! What lives here: the store of history that is not kept in memory ([`ColdFiles`]), and the lock
//! of the directory ([`StorageLock`]). What may not: anything that knows what a record holds. The server opens it and hands it to its engines.

mod cold_files;
mod lock;
mod segment;

pub use cold_files::{ColdCounts, ColdFiles};
pub use lock::{LockError, StorageLock};
