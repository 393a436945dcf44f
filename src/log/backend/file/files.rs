//! The file system as far as the log and the checkpoints use it, behind a trait, so that its faults
//! can be simulated.
//!
//! [`StdFiles`] is the real one; [`SimulatedFiles`] loses, tears and reorders what was not synced.
//!
//! [`SimulatedFiles`]: crate::log::backend::file::SimulatedFiles

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Folders and files.
pub trait Files: Send + Sync + 'static {
    /// Makes a folder and those above it; one that is there is left as it is.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Returns the names of what lies in a folder, in no order.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes a file, which must not be there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file of a folder another name there, in place of what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Forces to disk which files a folder holds.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// An open file; one thread writes while others read and sync.
pub trait LogFile: Send + Sync {
    /// Returns its length in bytes.
    fn n_bytes(&self) -> io::Result<u64>;

    /// Reads what lies at `at`, and returns how much that is; less than asked for at the end only.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`. After an error any part of them may be there.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes it so long.
    fn set_n_bytes(&self, n_bytes: u64) -> io::Result<()>;

    /// Forces what was written to disk. After an error nothing is known of it.
    fn sync(&self) -> io::Result<()>;
}

/// An open file that is read from its beginning on.
pub struct FileReading {
    file: Arc<dyn LogFile>,
    at: u64,
}

impl FileReading {
    /// Begins to read a file.
    pub fn of(file: Arc<dyn LogFile>) -> FileReading {
        FileReading { file, at: 0 }
    }
}

impl io::Read for FileReading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read_at(self.at, into)?;
        self.at += n_read as u64;
        Ok(n_read)
    }
}

/// An open file that is written from its beginning on.
pub struct FileWriting {
    file: Arc<dyn LogFile>,
    at: u64,
}

impl FileWriting {
    /// Begins to write a file.
    pub fn of(file: Arc<dyn LogFile>) -> FileWriting {
        FileWriting { file, at: 0 }
    }

    /// Forces what was written to disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl io::Write for FileWriting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFiles;

impl Files for StdFiles {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            // What has no name in UTF-8 is not ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl LogFile for File {
    fn n_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut n_read = 0;
        while n_read < into.len() {
            match FileForReading(self).read(at + n_read as u64, &mut into[n_read..]) {
                Ok(0) => break,
                Ok(n_now) => n_read += n_now,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(n_read)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_n_bytes(&self, n_bytes: u64) -> io::Result<()> {
        self.set_len(n_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The standard library's `read_at`, which has the name of ours.
struct FileForReading<'a>(&'a File);

impl FileForReading<'_> {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self.0, into, at)
    }
}
