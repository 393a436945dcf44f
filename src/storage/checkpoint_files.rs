//! Checkpoints of one shard in a folder: `<offset>.checkpoint`, the newest two.
//!
//! A file holds what an engine had come to when it had applied the log up to before an offset:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | a name, the last character the version of this format |
//! | 1 + n | the version of the program that wrote it |
//! | 4 + n + 8 | the header: its length, itself, its XXH3 |
//! | 16 + n each | a part: length, length as it lies here (LZ4), XXH3 of what lies here, itself |
//! | 16 | the end: 0, the number of parts, the XXH3 of all their XXH3 |
//!
//! Numbers are little-endian. A file is written under another name, forced to disk, and renamed,
//! so that one that is there was whole once; what is not whole any more is noticed when it is read,
//! and the one before is used. What a part holds is the engine's.

use std::collections::BTreeSet;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::log::backend::file::{FileReading, FileWriting, Files, StdFiles};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Generation, TimestampMs};
use crate::storage::cold_files::ColdFile;
use crate::storage::segment::Written;

/// What a file begins with: a name and the version of the format.
const MAGIC: &[u8; 16] = b"burnwatch state1";
/// What names of checkpoints end in, and of those that are not finished.
const EXTENSION: &str = "checkpoint";
const UNFINISHED: &str = "unfinished";
/// So many are kept.
const KEPT: usize = 2;
/// LZ4 makes nothing smaller than by this factor; what says so is damaged.
const SHRUNK_MAX: usize = 256;
/// A header has so many bytes at most.
const HEADER_MAX: usize = 1 << 24;

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system says no.
    #[error("cannot {what} the checkpoint {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("the checkpoint {} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// It was written by a newer version of this program.
    #[error(
        "the checkpoint {} was written by burnwatch {version}, whose format this one does not \
         know: start that version, or remove the file to start from the log",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version.
        version: String,
    },
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHeader {
    /// The offset of the first entry of the log that is not in it.
    pub offset: u64,
    /// The wall clock when it was begun, ms.
    pub wall: TimestampMs,
    /// The newest rule set's number.
    pub generation: Generation,
    /// The files of history, as far as they belong to it.
    pub cold: Vec<ColdFile>,
}

impl CheckpointHeader {
    fn save(&self, out: &mut ByteWriter) {
        out.number(self.offset);
        out.instant(self.wall);
        out.number(self.generation.0);
        out.list(self.cold.iter(), |out, file| {
            out.number(file.number);
            out.number(file.written.class.into());
            out.number(file.written.n_bytes);
            out.instant(file.written.newest);
            out.instant(file.written.keep_until);
        });
    }

    fn load(read: &mut ByteReader<'_>) -> Read<CheckpointHeader> {
        Ok(CheckpointHeader {
            offset: read.number()?,
            wall: read.instant()?,
            generation: Generation(read.number()?),
            cold: read.list(5, |read| {
                Ok(ColdFile {
                    number: read.number()?,
                    written: Written {
                        class: read.small()?,
                        n_bytes: read.number()?,
                        newest: read.instant()?,
                        keep_until: read.instant()?,
                    },
                })
            })?,
        })
    }
}

/// The checkpoints of one shard.
#[derive(Clone)]
pub struct CheckpointFolder {
    files: Arc<dyn Files>,
    folder: PathBuf,
}

impl CheckpointFolder {
    /// Opens a folder of the file system; see [`CheckpointFolder::open_in`].
    pub fn open(folder: &Path) -> Result<CheckpointFolder, CheckpointError> {
        CheckpointFolder::open_in(Arc::new(StdFiles), folder)
    }

    /// Opens a folder, which is made if need be; what an earlier run did not finish is removed.
    pub fn open_in(
        files: Arc<dyn Files>,
        folder: &Path,
    ) -> Result<CheckpointFolder, CheckpointError> {
        let failed = |error| failed("make the folder of", folder, error);
        files.make_folder(folder).map_err(failed)?;
        // That it is there has to outlive the power too, and so has the one above it; a process
        // that made them may have been killed before it came to this.
        let above = folder.ancestors().skip(1).take(2);
        for above in above.filter(|above| !above.as_os_str().is_empty()) {
            let synced = files.sync_folder(above);
            synced.map_err(|error| self::failed("sync the folder above", above, error))?;
        }
        for name in files.names(folder).map_err(failed)? {
            let path = folder.join(name);
            if path.extension().is_some_and(|found| found == UNFINISHED) {
                files
                    .remove(&path)
                    .map_err(|e| self::failed("remove", &path, e))?;
            }
        }
        Ok(CheckpointFolder {
            files,
            folder: folder.to_owned(),
        })
    }

    /// Returns the checkpoints of a folder as it is, which need not be there, the newest first.
    pub fn list(files: &dyn Files, folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
        let names = match files.names(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("list", folder, error)),
        };
        let numbered = names.into_iter().filter_map(|name| {
            let path = folder.join(name);
            let is_one = path.extension().is_some_and(|found| found == EXTENSION);
            let offset: u64 = path.file_stem()?.to_str()?.parse().ok()?;
            is_one.then_some((offset, path))
        });
        let mut found: Vec<(u64, PathBuf)> = numbered.collect();
        found.sort_unstable();
        Ok(found.into_iter().rev().map(|(_, path)| path).collect())
    }

    /// Returns the checkpoints that there are, the newest first.
    pub fn paths(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        CheckpointFolder::list(self.files.as_ref(), &self.folder)
    }

    /// Opens a checkpoint and reads its header.
    pub fn read(&self, path: &Path) -> Result<CheckpointReader, CheckpointError> {
        CheckpointReader::open_in(self.files.as_ref(), path)
    }

    /// Begins to write a checkpoint.
    pub fn begin(&self, header: &CheckpointHeader) -> Result<CheckpointWriter, CheckpointError> {
        let path = self
            .folder
            .join(format!("{:020}.{EXTENSION}", header.offset));
        let unfinished = path.with_extension(UNFINISHED);
        // One that failed before may be there.
        match self.files.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &unfinished, error));
            }
            _ => {}
        }
        let file = self.files.create(&unfinished);
        let file = file.map_err(|error| failed("make", &unfinished, error))?;
        let mut writer = CheckpointWriter {
            files: Arc::clone(&self.files),
            folder: self.folder.clone(),
            path,
            unfinished,
            file: BufWriter::with_capacity(1 << 20, FileWriting::of(file)),
            sums: Xxh3::new(),
            n_parts: 0,
            n_bytes: 0,
        };
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let mut out = ByteWriter::default();
        header.save(&mut out);
        let header = out.into_bytes();
        writer.put(MAGIC)?;
        writer.put(&[version.len() as u8])?;
        writer.put(version)?;
        writer.put(&(header.len() as u32).to_le_bytes())?;
        writer.put(&header)?;
        writer.put(&xxh3_64(&header).to_le_bytes())?;
        Ok(writer)
    }

    /// Removes all but the newest two, and returns the headers of those; one that cannot be read
    /// is removed before any that can.
    pub fn prune(&self) -> Result<Vec<CheckpointHeader>, CheckpointError> {
        let mut kept = Vec::new();
        for path in self.paths()? {
            let header = self.read(&path).map(|reader| reader.header);
            match header {
                Ok(header) if kept.len() < KEPT => kept.push(header),
                _ => self.remove(&path)?,
            }
        }
        Ok(kept)
    }

    /// Returns the numbers of the files of history that any checkpoint names.
    pub fn named(&self) -> Result<BTreeSet<u64>, CheckpointError> {
        let readers = self.paths()?.into_iter();
        let readers = readers.filter_map(|path| self.read(&path).ok());
        let named = readers.flat_map(|reader| reader.header.cold);
        Ok(named.map(|file| file.number).collect())
    }

    /// Removes a checkpoint.
    pub fn remove(&self, path: &Path) -> Result<(), CheckpointError> {
        let removed = self.files.remove(path);
        removed.map_err(|error| failed("remove", path, error))
    }
}

fn failed(what: &'static str, path: &Path, error: io::Error) -> CheckpointError {
    CheckpointError::Io {
        what,
        path: path.to_owned(),
        error,
    }
}

/// A checkpoint that is being written. One that is not finished counts for nothing.
pub struct CheckpointWriter {
    files: Arc<dyn Files>,
    folder: PathBuf,
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<FileWriting>,
    sums: Xxh3,
    n_parts: u32,
    n_bytes: u64,
}

impl CheckpointWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.n_bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        written.map_err(|error| failed("write", &self.unfinished, error))
    }

    /// Adds a part.
    pub fn part(&mut self, part: &[u8]) -> Result<(), CheckpointError> {
        let stored = lz4_flex::block::compress(part);
        let sum = xxh3_64(&stored).to_le_bytes();
        self.sums.update(&sum);
        self.n_parts += 1;
        self.put(&(part.len() as u32).to_le_bytes())?;
        self.put(&(stored.len() as u32).to_le_bytes())?;
        self.put(&sum)?;
        self.put(&stored)
    }

    /// Makes it count: it is on disk when this returns. Returns its length in bytes.
    pub fn finish(mut self) -> Result<u64, CheckpointError> {
        let sum = self.sums.digest().to_le_bytes();
        self.put(&0_u32.to_le_bytes())?;
        self.put(&self.n_parts.to_le_bytes())?;
        self.put(&sum)?;
        let failed = |error| failed("write", &self.unfinished, error);
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync().map_err(failed)?;
        let renamed = self.files.rename(&self.unfinished, &self.path);
        renamed.map_err(failed)?;
        self.files.sync_folder(&self.folder).map_err(failed)?;
        Ok(self.n_bytes)
    }
}

/// A checkpoint that is being read.
pub struct CheckpointReader<R = BufReader<FileReading>> {
    /// What it says of itself.
    pub header: CheckpointHeader,
    path: PathBuf,
    file: R,
    at: u64,
    sums: Xxh3,
    n_parts: u32,
}

impl CheckpointReader {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<CheckpointReader, CheckpointError> {
        CheckpointReader::open_in(&StdFiles, path)
    }

    fn open_in(files: &dyn Files, path: &Path) -> Result<CheckpointReader, CheckpointError> {
        let file = files.open(path);
        let file = FileReading::of(file.map_err(|error| failed("open", path, error))?);
        CheckpointReader::of(BufReader::with_capacity(1 << 20, file), path)
    }
}

impl<R: io::Read> CheckpointReader<R> {
    /// Reads the header of a checkpoint that comes from anywhere; `path` is for errors.
    pub fn of(file: R, path: &Path) -> Result<CheckpointReader<R>, CheckpointError> {
        let mut reader = CheckpointReader {
            header: CheckpointHeader {
                offset: 0,
                wall: TimestampMs(0),
                generation: Generation(0),
                cold: Vec::new(),
            },
            path: path.to_owned(),
            file,
            at: 0,
            sums: Xxh3::new(),
            n_parts: 0,
        };
        let magic = reader.take(MAGIC.len())?;
        let (name, format) = MAGIC.split_at(MAGIC.len() - 1);
        if !magic.starts_with(name) {
            return Err(reader.damaged("it is no checkpoint"));
        }
        let n_version = reader.take(1)?[0];
        let version = reader.take(n_version.into())?;
        if magic[name.len()..] != *format {
            let version = String::from_utf8_lossy(&version).into_owned();
            let path = reader.path;
            return Err(CheckpointError::Newer { path, version });
        }
        let n_header = reader.small()? as usize;
        if n_header > HEADER_MAX {
            return Err(reader.damaged("its header is too long"));
        }
        let header = reader.take(n_header)?;
        let sum = reader.word()?;
        if xxh3_64(&header) != sum {
            return Err(reader.damaged("its header has another checksum"));
        }
        let mut read = ByteReader::new(&header);
        let loaded = CheckpointHeader::load(&mut read).and_then(|header| {
            read.end()?;
            Ok(header)
        });
        reader.header = loaded.map_err(|error| reader.damaged(&error.to_string()))?;
        Ok(reader)
    }

    /// Returns the next part; nothing behind the last one, if all were there.
    pub fn part(&mut self) -> Result<Option<Vec<u8>>, CheckpointError> {
        let packed = self.packed_part()?;
        packed.map(PackedPart::unpack).transpose()
    }

    /// Returns the next part as it lies there, so that others may unpack it.
    pub fn packed_part(&mut self) -> Result<Option<PackedPart>, CheckpointError> {
        let (n_bytes, n_stored) = (self.small()? as usize, self.small()?);
        let sum = self.word()?;
        if n_bytes == 0 {
            let is_whole = n_stored == self.n_parts && sum == self.sums.digest();
            return match is_whole {
                true => Ok(None),
                false => Err(self.damaged("parts are missing")),
            };
        }
        let n_stored = n_stored as usize;
        if n_bytes / SHRUNK_MAX > n_stored {
            return Err(self.damaged("a part has an impossible length"));
        }
        let stored = self.take(n_stored)?;
        if xxh3_64(&stored) != sum {
            return Err(self.damaged("a part has another checksum"));
        }
        self.sums.update(&sum.to_le_bytes());
        self.n_parts += 1;
        Ok(Some(PackedPart {
            stored,
            n_bytes,
            path: self.path.clone(),
            at: self.at,
        }))
    }

    fn damaged(&self, what: &str) -> CheckpointError {
        CheckpointError::Damaged {
            path: self.path.clone(),
            at: self.at,
            what: what.to_owned(),
        }
    }

    /// Takes so many bytes; what announces more than there is takes no more memory than that.
    fn take(&mut self, n_bytes: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::with_capacity(n_bytes.min(1 << 20));
        let taken = (&mut self.file)
            .take(n_bytes as u64)
            .read_to_end(&mut bytes);
        taken.map_err(|error| failed("read", &self.path, error))?;
        if bytes.len() < n_bytes {
            return Err(self.damaged("it ends here"));
        }
        self.at += n_bytes as u64;
        Ok(bytes)
    }

    fn small(&mut self) -> Result<u32, CheckpointError> {
        let bytes = self.take(4)?;
        let number = bytes.try_into().map(u32::from_le_bytes);
        number.map_err(|_| self.damaged("a number"))
    }

    fn word(&mut self) -> Result<u64, CheckpointError> {
        let bytes = self.take(8)?;
        let number = bytes.try_into().map(u64::from_le_bytes);
        number.map_err(|_| self.damaged("a number"))
    }
}

/// A part as it lies in a file, its checksum looked at.
#[derive(Debug)]
pub struct PackedPart {
    stored: Vec<u8>,
    n_bytes: usize,
    /// Where it ends, for errors.
    path: PathBuf,
    at: u64,
}

impl PackedPart {
    /// Returns the part.
    pub fn unpack(self) -> Result<Vec<u8>, CheckpointError> {
        let what = match lz4_flex::block::decompress(&self.stored, self.n_bytes) {
            Ok(part) if part.len() == self.n_bytes => return Ok(part),
            Ok(_) => "a part has another length".to_owned(),
            Err(error) => format!("a part: {error}"),
        };
        Err(CheckpointError::Damaged {
            path: self.path,
            at: self.at,
            what,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(offset: u64) -> CheckpointHeader {
        let written = Written {
            class: 4,
            n_bytes: 1 << 20,
            newest: TimestampMs(5),
            keep_until: TimestampMs(-9),
        };
        CheckpointHeader {
            offset,
            wall: TimestampMs(1_700_000_000_000),
            generation: Generation(3),
            cold: vec![ColdFile {
                number: offset,
                written,
            }],
        }
    }

    fn parts() -> Vec<Vec<u8>> {
        let zeros = vec![0; 100_000];
        vec![b"rules".to_vec(), zeros, (0..=255).collect()]
    }

    fn write(folder: &CheckpointFolder, offset: u64) -> PathBuf {
        let mut writer = folder.begin(&header(offset)).expect("it is writable");
        for part in parts() {
            writer.part(&part).expect("it is writable");
        }
        let path = writer.path.clone();
        let n_bytes = writer.finish().expect("it is writable");
        assert_eq!(
            std::fs::metadata(&path).expect("it is there").len(),
            n_bytes
        );
        path
    }

    fn read(bytes: &[u8]) -> Result<(CheckpointHeader, Vec<Vec<u8>>), CheckpointError> {
        let mut reader = CheckpointReader::of(bytes, Path::new("x"))?;
        let mut parts = Vec::new();
        while let Some(part) = reader.part()? {
            parts.push(part);
        }
        Ok((reader.header, parts))
    }

    fn folder() -> (tempfile::TempDir, CheckpointFolder) {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let checkpoints = CheckpointFolder::open(folder.path()).expect("it is writable");
        (folder, checkpoints)
    }

    #[test]
    fn the_newest_two_are_kept_and_what_is_damaged_goes_first() {
        let (path, folder) = folder();
        for offset in [5, 70, 800] {
            write(&folder, offset);
        }
        let unfinished = folder.begin(&header(9000)).expect("it is writable");
        drop(unfinished);
        let kept = folder.prune().expect("they are readable");
        assert_eq!(kept, [header(800), header(70)]);
        assert_eq!(folder.named().expect("readable"), [70, 800].into());
        let newest = folder.paths().expect("readable")[0].clone();
        std::fs::write(&newest, b"burnwatch state").expect("it is writable");
        write(&folder, 900);
        let kept = folder.prune().expect("they are readable");
        assert_eq!(kept, [header(900), header(70)]);
        CheckpointFolder::open(path.path()).expect("it is readable");
        let left = std::fs::read_dir(path.path()).expect("it is there").count();
        assert_eq!(left, 2, "what was not finished is gone");
    }

    #[test]
    fn every_byte_counts() {
        let (_path, folder) = folder();
        let path = write(&folder, 12);
        let bytes = std::fs::read(path).expect("it is readable");
        let whole = read(&bytes).expect("it is whole");
        assert_eq!(whole, (header(12), parts()));
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let is_version = (17..17 + usize::from(bytes[16])).contains(&at);
            assert_eq!(read(&changed).is_ok(), is_version, "changed at {at}");
        }
    }

    #[test]
    fn a_newer_one_is_refused_by_name() {
        let (_path, folder) = folder();
        let path = write(&folder, 12);
        let mut bytes = std::fs::read(path).expect("it is readable");
        bytes[15] = b'2';
        let error = read(&bytes).expect_err("it is newer").to_string();
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            error.contains(&format!("burnwatch {version}, whose format")),
            "{error}"
        );
    }
}
