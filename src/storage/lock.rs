//! The lock of the data directory: two processes that write the same log would ruin it.
//!
//! The lock is the system's, on the file `lock`, and ends with the process however it ends. What
//! the file says is only for whoever finds it taken.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the data directory {} is in use by {holder}; stop that, or give this one another \
         --storage.path",
        folder.display()
    )]
    Taken {
        /// The data directory.
        folder: PathBuf,
        /// Who has it, as it said.
        holder: String,
    },
    /// The system refuses.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A data directory that no other process has. Dropping it lets go.
#[derive(Debug)]
pub struct StorageLock {
    _file: File,
}

impl StorageLock {
    /// Takes a data directory, and says that `holder` has it.
    pub fn take(folder: &Path, holder: &str) -> Result<StorageLock, LockError> {
        let path = folder.join("lock");
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut said = String::new();
                let _ = file.read_to_string(&mut said);
                let holder = match said.trim() {
                    "" => "another process".to_owned(),
                    holder => holder.to_owned(),
                };
                let folder = folder.to_owned();
                return Err(LockError::Taken { folder, holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let say = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{holder}")
        };
        // A full disk has no room for that, and the lock is had all the same.
        let _ = say(&mut file);
        Ok(StorageLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let first = StorageLock::take(folder.path(), "the first").expect("nobody has it");
        let second = StorageLock::take(folder.path(), "the second").expect_err("it is taken");
        let said = second.to_string();
        assert!(said.contains("in use by the first;"), "{said}");
        drop(first);
        StorageLock::take(folder.path(), "the third").expect("it was let go");
    }
}
