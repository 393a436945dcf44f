//! History from before the first sample that came here, from a Prometheus that has it.
//!
//! What lives here: asking by remote read ([`remote_read`]), reading what is answered
//! ([`stream`], [`xor`]), and the files that it is kept in ([`mod@file`]). What may not: which history
//! is wanted and when it is put in; that is the engine's (`engine::backfill`) and the server's.

pub mod file;
pub mod remote_read;
pub mod stream;
pub mod xor;

/// The folder of the files of fetched history in the data directory.
pub const FOLDER: &str = "backfill";

pub use file::{PastFile, PastWriter};
pub use remote_read::{Fetched, Slice, Upstream, UpstreamError};
