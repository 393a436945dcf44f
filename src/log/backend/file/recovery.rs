//! Finding where a log ends after whatever happened to the process or the machine.
//!
//! What had not been synced may be missing or torn, in any place and order: from the first such
//! place on the log is cut, for nobody was promised what lay behind (under `fsync: always`), or
//! only until the power goes (under the others). What is missing although it had been synced is
//! damage, and that is not cut without being asked.
//!
//! Frames say up to where the log had been synced when they were written, so only the files behind
//! that place have to be read at a start: usually the last one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::Offset;
use crate::log::backend::file::error::FileLogError;
use crate::log::backend::file::files::{Files, LogFile};
use crate::log::backend::file::segment::{
    Bad, Damage, FrameError, Header, HeaderError, LogEnd, SegmentReader,
};
use crate::model::TimestampMs;

/// What file names end in.
const EXTENSION: &str = ".log";

/// Returns the path of the file that begins with an offset.
pub fn segment_path(folder: &Path, first: Offset) -> PathBuf {
    folder.join(format!("{:020}{EXTENSION}", first.0))
}

/// Returns the first offsets of a folder's files, ascending.
pub fn segment_offsets(files: &dyn Files, folder: &Path) -> io::Result<Vec<Offset>> {
    let number = |name: &String| name.strip_suffix(EXTENSION)?.parse().ok().map(Offset);
    let mut offsets: Vec<Offset> = files.names(folder)?.iter().filter_map(number).collect();
    offsets.sort_unstable();
    Ok(offsets)
}

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The offset of its first entry.
    pub first: Offset,
    /// How long it is.
    pub n_bytes: u64,
    /// The wall clock of its newest entry, ms; of a file that was not read, `None`.
    pub newest: Option<TimestampMs>,
}

/// What was cut off at the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file in which the log ends now.
    pub path: PathBuf,
    /// At which byte.
    pub at: u64,
    /// Bytes cut off, of this file and those behind it.
    pub n_bytes: u64,
    /// Entries among them that could be counted.
    pub n_entries: u64,
    /// Files that are gone.
    pub n_files: usize,
}

/// A log that can be gone on with.
pub struct Recovered {
    /// Its files, the oldest first.
    pub segments: Vec<SegmentInfo>,
    /// The last of them, open, and how much of it is the log.
    pub last: Option<(Arc<dyn LogFile>, u64)>,
    /// What it has come to.
    pub end: LogEnd,
    /// Up to where it is known to be on disk.
    pub synced: Offset,
    /// Files that may hold what is not on disk.
    pub unsynced: Vec<Arc<dyn LogFile>>,
    /// What was cut off.
    pub cut: Option<Cut>,
}

/// What reading a file to its end has shown.
struct Scanned {
    first: Offset,
    path: PathBuf,
    file: Arc<dyn LogFile>,
    n_bytes: u64,
    end: Option<LogEnd>,
    next: Offset,
    /// Up to where its frames say that the log was on disk.
    synced: Offset,
    bad: Option<Bad>,
}

/// Finds the end of a shard's log and cuts off what is torn; with `repair` also what is damaged.
pub fn recover(
    files: &dyn Files,
    folder: &Path,
    shard: u32,
    repair: bool,
) -> Result<Recovered, FileLogError> {
    let listed = segment_offsets(files, folder);
    let offsets = listed.map_err(|error| FileLogError::io("list", folder, error))?;
    let mut scanned: Vec<Scanned> = Vec::new();
    let mut synced = Offset(0);
    for first in offsets.iter().rev() {
        // A file all of which is on disk was whole when the one behind it was begun.
        let is_known = scanned.iter().any(|found| found.end.is_some());
        let all_behind_synced = scanned.last().is_some_and(|behind| behind.first <= synced);
        if is_known && all_behind_synced && !repair {
            break;
        }
        let behind = scanned.last().map(|behind: &Scanned| behind.first);
        let found = scan(files, folder, (*first, behind), shard)?;
        synced = synced.max(found.synced);
        scanned.push(found);
    }
    scanned.reverse();
    let bad = first_bad(&scanned);
    if let Some((number, bad)) = bad
        && bad.offset < synced
        && !repair
    {
        return Err(FileLogError::damaged(&scanned[number].path, bad));
    }
    let cut = bad.map(|(number, bad)| cut(files, folder, &mut scanned, number, bad));
    let cut = cut.transpose()?;
    let mut n_unread = offsets.len() - scanned.len() - cut.as_ref().map_or(0, |cut| cut.n_files);
    // The end of a log stands in its last frame, which may lie before what was read.
    while n_unread > 0 && !scanned.iter().any(|found| found.end.is_some()) {
        n_unread -= 1;
        let behind = scanned.first().map(|behind| behind.first);
        let found = scan(files, folder, (offsets[n_unread], behind), shard)?;
        if let Some(bad) = found.bad {
            return Err(FileLogError::damaged(&found.path, bad));
        }
        scanned.insert(0, found);
    }
    let mut segments = Vec::new();
    for first in &offsets[..n_unread] {
        segments.push(SegmentInfo {
            first: *first,
            n_bytes: length_of(files, &segment_path(folder, *first))?,
            newest: None,
        });
    }
    let newest = |end: Option<LogEnd>| end.and_then(|end| end.stamp).map(|stamp| stamp.wall);
    segments.extend(scanned.iter().map(|found| SegmentInfo {
        first: found.first,
        n_bytes: found.n_bytes,
        newest: newest(found.end),
    }));
    let last = scanned.last();
    let found_end = scanned.iter().rev().find_map(|found| found.end);
    let next = match (last, bad) {
        (Some(last), _) => last.first,
        (None, Some((_, bad))) => bad.offset,
        (None, None) => Offset(0),
    };
    let end = found_end.unwrap_or(LogEnd {
        next,
        ..LogEnd::default()
    });
    Ok(Recovered {
        segments,
        last: last.map(|found| (Arc::clone(&found.file), found.n_bytes)),
        end,
        synced: synced.min(end.next),
        unsynced: scanned
            .iter()
            .map(|found| Arc::clone(&found.file))
            .collect(),
        cut,
    })
}

fn length_of(files: &dyn Files, path: &Path) -> Result<u64, FileLogError> {
    let length = files.open(path).and_then(|file| file.n_bytes());
    length.map_err(|error| FileLogError::io("read", path, error))
}

/// Reads a file to its end, to where it is bad, or to where the one behind it begins: what lies
/// beyond is of a group whose sync failed, and which was written again into that one.
fn scan(
    files: &dyn Files,
    folder: &Path,
    (first, behind): (Offset, Option<Offset>),
    shard: u32,
) -> Result<Scanned, FileLogError> {
    let path = segment_path(folder, first);
    let failed = |error| FileLogError::io("read", &path, error);
    let file = files.open(&path).map_err(failed)?;
    let to_cut = Arc::clone(&file);
    let mut scanned = Scanned {
        first,
        file: Arc::clone(&file),
        n_bytes: file.n_bytes().map_err(failed)?,
        end: None,
        next: first,
        synced: Offset(0),
        bad: None,
        path: path.clone(),
    };
    let why = match SegmentReader::open(file).map_err(failed)? {
        Ok(mut reader) if is_of(reader.header(), first, shard) => loop {
            if behind == Some(reader.next_offset()) && reader.at() < scanned.n_bytes {
                to_cut.set_n_bytes(reader.at()).map_err(failed)?;
                scanned.n_bytes = reader.at();
                return Ok(scanned);
            }
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    scanned.end = Some(frame.end);
                    scanned.next = frame.end.next;
                    scanned.synced = scanned.synced.max(frame.synced);
                }
                Ok(None) => return Ok(scanned),
                Err(FrameError::Bad(bad)) => {
                    let behind = reader.synced_behind(bad).map_err(failed)?;
                    scanned.synced = scanned.synced.max(behind);
                    scanned.bad = Some(bad);
                    return Ok(scanned);
                }
                Err(FrameError::Io(error)) => return Err(failed(error)),
            }
        },
        Ok(_) => Damage::Frame("its header names another place"),
        Err(HeaderError::Damaged) => Damage::Frame("its header is damaged"),
        Err(source) => return Err(FileLogError::Header { path, source }),
    };
    scanned.bad = Some(Bad {
        at: 0,
        offset: first,
        why,
    });
    Ok(scanned)
}

fn is_of(header: &Header, first: Offset, shard: u32) -> bool {
    header.first == first && header.shard == shard
}

/// Returns the first bad place, with the number of its file. A file that ends before the next one
/// begins is bad at its end.
fn first_bad(scanned: &[Scanned]) -> Option<(usize, Bad)> {
    for (number, found) in scanned.iter().enumerate() {
        if let Some(bad) = found.bad {
            return Some((number, bad));
        }
        let behind = scanned.get(number + 1);
        if behind.is_some_and(|behind| behind.first != found.next) {
            let bad = Bad {
                at: found.n_bytes,
                offset: found.next,
                why: Damage::Frame("entries are missing between it and the next file"),
            };
            return Some((number, bad));
        }
    }
    None
}

/// Cuts a log off at a bad place: the newest files first, so that being interrupted leaves a log
/// that is cut the same way the next time.
fn cut(
    files: &dyn Files,
    folder: &Path,
    scanned: &mut Vec<Scanned>,
    number: usize,
    bad: Bad,
) -> Result<Cut, FileLogError> {
    // A file without a header holds nothing.
    let keeps_file = bad.at > 0;
    let n_kept = number + usize::from(keeps_file);
    let (mut n_bytes, mut n_entries) = (0, 0);
    let n_files = scanned.len() - n_kept;
    for found in scanned.drain(n_kept..).rev() {
        let failed = |error| FileLogError::io("remove", &found.path, error);
        files.remove(&found.path).map_err(failed)?;
        n_bytes += found.n_bytes;
        n_entries += found.next.0 - found.first.0;
    }
    let mut place = (segment_path(folder, bad.offset), 0);
    if let Some(found) = scanned.get_mut(number) {
        let failed = |error| FileLogError::io("cut", &found.path, error);
        found.file.set_n_bytes(bad.at).map_err(failed)?;
        n_bytes += found.n_bytes - bad.at;
        found.n_bytes = bad.at;
        place = (found.path.clone(), bad.at);
    }
    let synced = scanned.iter().try_for_each(|found| found.file.sync());
    let synced = synced.and_then(|()| files.sync_folder(folder));
    synced.map_err(|error| FileLogError::io("sync", folder, error))?;
    Ok(Cut {
        path: place.0,
        at: place.1,
        n_bytes,
        n_entries,
        n_files,
    })
}
