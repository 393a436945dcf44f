//! Looking at a shard's log without changing it: for `burnwatch check storage`.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::Offset;
use crate::log::backend::file::error::FileLogError;
use crate::log::backend::file::files::Files;
use crate::log::backend::file::recovery::{Cut, recover, segment_offsets, segment_path};
use crate::log::backend::file::segment::{
    Bad, Damage, FrameError, Header, HeaderError, SegmentReader,
};
use crate::model::TimestampMs;

/// What a file of the log holds.
#[derive(Debug)]
pub struct SegmentReport {
    /// Its path.
    pub path: PathBuf,
    /// How long it is, in bytes.
    pub n_bytes: u64,
    /// What its header says, if anything.
    pub header: Option<Header>,
    /// The entries that can be read: the first offset, and that behind the last.
    pub offsets: (Offset, Offset),
    /// The wall clock of the first and last entry, ms.
    pub wall: Option<(TimestampMs, TimestampMs)>,
    /// Where it is bad, if it is.
    pub bad: Option<Bad>,
    /// Up to where its frames, those behind a bad place too, say that the log was on disk.
    pub synced: Offset,
    /// A header that makes the file unusable.
    pub header_error: Option<HeaderError>,
}

/// What a shard's log holds.
#[derive(Debug)]
pub struct ShardReport {
    /// Its files, the oldest first.
    pub segments: Vec<SegmentReport>,
    /// The first bad place: the file, where, and whether it had been on disk.
    pub bad: Option<(PathBuf, Bad, bool)>,
}

/// Reads all of a shard's log, every entry of it.
pub fn check_shard(
    files: &dyn Files,
    folder: &Path,
    shard: u32,
) -> Result<ShardReport, FileLogError> {
    let listed = segment_offsets(files, folder);
    let offsets = listed.map_err(|error| FileLogError::io("list", folder, error))?;
    let mut segments: Vec<SegmentReport> = Vec::new();
    for first in offsets {
        let path = segment_path(folder, first);
        let report = check_segment(files, &path, first, shard);
        segments.push(report.map_err(|error| FileLogError::io("read", &path, error))?);
    }
    let synced = segments.iter().map(|segment| segment.synced).max();
    let synced = synced.unwrap_or_default();
    let mut bad = None;
    for (number, segment) in segments.iter().enumerate() {
        let behind = segments.get(number + 1);
        // What both hold is of a group whose sync failed, and which was written again.
        let gap = behind.filter(|behind| behind.offsets.0 > segment.offsets.1);
        let gap = gap.map(|_| Bad {
            at: segment.n_bytes,
            offset: segment.offsets.1,
            why: Damage::Frame("entries are missing between it and the next file"),
        });
        let begins_anew = |bad: &Bad| behind.is_some_and(|behind| behind.offsets.0 == bad.offset);
        let own = segment.bad.filter(|bad| !begins_anew(bad));
        if let Some(found) = own.or(gap) {
            let was_on_disk = found.offset < synced;
            bad = Some((segment.path.clone(), found, was_on_disk));
            break;
        }
    }
    Ok(ShardReport { segments, bad })
}

/// Cuts a shard's log off at its first bad place, and says what is lost.
pub fn repair_shard(
    files: &dyn Files,
    folder: &Path,
    shard: u32,
) -> Result<Option<Cut>, FileLogError> {
    Ok(recover(files, folder, shard, true)?.cut)
}

fn check_segment(
    files: &dyn Files,
    path: &Path,
    first: Offset,
    shard: u32,
) -> io::Result<SegmentReport> {
    let file = files.open(path)?;
    let mut report = SegmentReport {
        path: path.to_owned(),
        n_bytes: file.n_bytes()?,
        header: None,
        offsets: (first, first),
        wall: None,
        bad: None,
        synced: Offset(0),
        header_error: None,
    };
    let mut reader = match SegmentReader::open(file)? {
        Ok(reader) => reader,
        Err(error) => {
            report.bad = Some(Bad {
                at: 0,
                offset: first,
                why: Damage::Frame("its header cannot be used"),
            });
            report.header_error = Some(error);
            return Ok(report);
        }
    };
    let header = reader.header().clone();
    if (header.first, header.shard) != (first, shard) {
        report.bad = Some(Bad {
            at: 0,
            offset: first,
            why: Damage::Frame("its header names another place"),
        });
    }
    report.header = Some(header);
    while report.bad.is_none() {
        let (at, offset) = (reader.at(), reader.next_offset());
        match reader.next_frame() {
            Ok(Some(frame)) => {
                report.synced = report.synced.max(frame.synced);
                for entry in frame.entries() {
                    match entry {
                        Ok((_, entry)) => {
                            let wall = entry.stamp().wall;
                            let began = report.wall.map_or(wall, |(began, _)| began);
                            report.wall = Some((began, wall));
                        }
                        Err(why) => report.bad = Some(Bad { at, offset, why }),
                    }
                }
                if report.bad.is_none() {
                    report.offsets.1 = frame.end.next;
                }
            }
            Ok(None) => break,
            Err(FrameError::Bad(bad)) => {
                let behind = reader.synced_behind(bad)?;
                report.synced = report.synced.max(behind);
                report.bad = Some(bad);
            }
            Err(FrameError::Io(error)) => return Err(error),
        }
    }
    Ok(report)
}
