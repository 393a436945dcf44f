//! Why a log in files cannot be opened or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::Offset;
use crate::log::backend::file::segment::{Bad, Damage, HeaderError};

/// Why a log in files cannot be opened or read: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileLogError {
    /// The system refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not ours, or of a newer burnwatch.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: HeaderError,
    },
    /// What had been on disk is not there any more.
    #[error(
        "{} is damaged at byte {at} (entry {}): {why}; `burnwatch check storage DIR` on the data \
         directory says what can be read, and with --repair cuts the log off there, which loses \
         what comes behind",
        path.display(),
        offset.0
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// At which byte.
        at: u64,
        /// The offset of the entry that ought to be there.
        offset: Offset,
        /// What is wrong.
        why: Damage,
    },
    /// What is asked for has been deleted, or was never written.
    #[error(
        "{} has no entry {}: it begins with {} and ends before {}",
        folder.display(), offset.0, first.0, end.0
    )]
    NotThere {
        /// Whose log.
        folder: PathBuf,
        /// What was asked for.
        offset: Offset,
        /// The first entry that is there.
        first: Offset,
        /// The end.
        end: Offset,
    },
}

impl FileLogError {
    /// Returns that a file is bad.
    pub fn damaged(path: &Path, bad: Bad) -> Self {
        FileLogError::Damaged {
            path: path.to_owned(),
            at: bad.at,
            offset: bad.offset,
            why: bad.why,
        }
    }

    /// Returns what the system said about a path.
    pub fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        FileLogError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
