//! Reading a shard's log from an offset on.

use std::path::PathBuf;
use std::sync::Arc;

use crate::log::Offset;
use crate::log::backend::file::error::FileLogError;
use crate::log::backend::file::files::Files;
use crate::log::backend::file::recovery::{segment_offsets, segment_path};
use crate::log::backend::file::segment::{Damage, FrameError, SegmentReader};
use crate::model::Entry;

/// Reads entries in order, from files that may grow meanwhile.
pub struct LogReader {
    files: Arc<dyn Files>,
    folder: PathBuf,
    current: Option<SegmentReader>,
    next: Offset,
}

impl LogReader {
    /// Returns a reader of the entries from `from` on. None needs to be there yet.
    pub fn new(files: Arc<dyn Files>, folder: PathBuf, from: Offset) -> Self {
        LogReader {
            files,
            folder,
            current: None,
            next: from,
        }
    }

    /// Returns the offset of the entry that comes next.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Appends the next few entries to `entries`, where any are known to lie before `end`.
    pub fn read(
        &mut self,
        end: Offset,
        entries: &mut Vec<(Offset, Entry)>,
    ) -> Result<(), FileLogError> {
        while self.next < end {
            let mut segment = match self.current.take() {
                Some(segment) => segment,
                None => self.open(end)?,
            };
            let first = segment.header().first;
            let path = segment_path(&self.folder, first);
            let (at, reached) = (segment.at(), segment.next_offset());
            let from = self.next;
            let damaged = |at, offset, why| FileLogError::Damaged {
                path: path.clone(),
                at,
                offset,
                why,
            };
            match segment.next_frame() {
                Ok(Some(frame)) => {
                    for entry in frame.entries() {
                        let (offset, entry) = entry.map_err(|why| damaged(at, frame.first, why))?;
                        if offset >= from {
                            entries.push((offset, entry));
                        }
                    }
                    self.next = frame.end.next.max(from);
                    let has_read = self.next > from;
                    self.current = Some(segment);
                    if has_read {
                        return Ok(());
                    }
                }
                // The next file begins where this one ends.
                Ok(None) if reached == self.next => {
                    let next = self.open(end)?;
                    if next.header().first == first {
                        let why = Damage::Frame("the next file is missing");
                        return Err(damaged(at, reached, why));
                    }
                    self.current = Some(next);
                }
                Ok(None) => {
                    let why = Damage::Frame("entries are missing between it and the next file");
                    return Err(damaged(at, reached, why));
                }
                // What is left of a group whose sync failed, and which was written again.
                Err(FrameError::Bad(_)) if reached > first && self.has_file(reached)? => {
                    self.current = Some(self.open_file(reached)?);
                }
                Err(FrameError::Bad(bad)) => return Err(damaged(bad.at, bad.offset, bad.why)),
                Err(FrameError::Io(error)) => return Err(FileLogError::io("read", &path, error)),
            }
        }
        Ok(())
    }

    /// Tells whether a file begins at an offset.
    fn has_file(&self, at: Offset) -> Result<bool, FileLogError> {
        let listed = segment_offsets(self.files.as_ref(), &self.folder);
        let offsets = listed.map_err(|error| FileLogError::io("list", &self.folder, error))?;
        Ok(offsets.contains(&at))
    }

    /// Opens the file that has the next entry.
    fn open(&self, end: Offset) -> Result<SegmentReader, FileLogError> {
        let listed = segment_offsets(self.files.as_ref(), &self.folder);
        let offsets = listed.map_err(|error| FileLogError::io("list", &self.folder, error))?;
        let found = offsets.iter().rev().find(|first| **first <= self.next);
        let Some(first) = found else {
            return Err(FileLogError::NotThere {
                folder: self.folder.clone(),
                offset: self.next,
                first: offsets.first().copied().unwrap_or(end),
                end,
            });
        };
        self.open_file(*first)
    }

    fn open_file(&self, first: Offset) -> Result<SegmentReader, FileLogError> {
        let path = segment_path(&self.folder, first);
        let failed = |error| FileLogError::io("read", &path, error);
        let file = self.files.open(&path).map_err(failed)?;
        let opened = SegmentReader::open(file).map_err(failed)?;
        opened.map_err(|source| FileLogError::Header {
            path: path.clone(),
            source,
        })
    }
}
