//! Writing groups of entries to the logs of all shards: whole or not at all.
//!
//! One write for each shard concerned, however many requests the group holds, and under
//! `fsync: always` one sync. Nothing counts as written before all shards' writes are done; where
//! one fails, what was written for the group is cut off again, and the same group can be written
//! later. A file whose sync has failed is not trusted any more: the next group goes into a new one,
//! and what it holds is written again before it is synced again.
//!
//! No threads and no clock here: the caller has them ([`crate::log::backend::file::FileLogs`]).

use std::io;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::log::Offset;
use crate::log::backend::file::files::{Files, LogFile};
use crate::log::backend::file::recovery::{Recovered, SegmentInfo, segment_path};
use crate::log::backend::file::segment::{
    FRAME_BYTES_MAX, FrameError, HEADER_BYTES, Header, LogEnd, SegmentReader, put_frame,
};
use crate::log::weight;
use crate::model::{DurationMs, Entry, TimestampMs};

/// A group's frames keep no more memory than this between groups.
const BUFFER_BYTES_KEPT: usize = 8 << 20;
/// So much is written again at a time, after a sync that failed.
const REWRITTEN_BYTES: usize = 1 << 20;
/// About how many bytes a float takes in a frame, to cut groups into frames by.
const FLOAT_BYTES: usize = 10;

/// An entry on its way into a shard's log.
#[derive(Debug)]
pub struct Staged {
    /// The shard.
    pub shard: usize,
    /// Its place there: the next of its shard.
    pub offset: Offset,
    /// The entry.
    pub entry: Entry,
}

/// Why a group was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct WriteFailure {
    /// What was tried.
    pub what: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// How long files that nothing needs any more are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// As long as their newest entry is no older than this, ms.
    pub age: DurationMs,
    /// And as long as a shard's log is no larger than this; 0: any size.
    pub n_bytes: u64,
}

/// Writes groups.
pub struct GroupWriter {
    shards: Vec<ShardWriter>,
    /// Whether each group is forced to disk before it counts as written.
    syncs: bool,
}

impl GroupWriter {
    /// Returns a writer that goes on where the shards' logs end.
    pub fn new(shards: Vec<ShardWriter>, syncs: bool) -> Self {
        GroupWriter { shards, syncs }
    }

    /// Writes a group, in order; all of it or nothing.
    pub fn write(&mut self, group: &[Staged]) -> Result<(), WriteFailure> {
        let written = self.write_frames(group);
        let synced = written.and_then(|()| match self.syncs {
            true => self.shards.iter_mut().try_for_each(ShardWriter::sync_group),
            false => Ok(()),
        });
        match synced {
            Ok(()) => {
                let syncs = self.syncs;
                let shards = self.shards.iter_mut();
                shards.for_each(|shard| shard.keep_group(syncs));
            }
            Err(_) => self.shards.iter_mut().for_each(ShardWriter::drop_group),
        }
        synced
    }

    fn write_frames(&mut self, group: &[Staged]) -> Result<(), WriteFailure> {
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let own = group.iter().filter(|staged| staged.shard == number);
            shard.write_group(own.map(|staged| &staged.entry))?;
        }
        Ok(())
    }
}

/// What other threads see of a shard's files.
#[derive(Default)]
pub struct ShardFiles {
    /// The files, the oldest first.
    pub segments: Mutex<Vec<SegmentInfo>>,
    /// Up to where all is known to be on disk.
    pub synced: AtomicU64,
    dirty: Mutex<Dirty>,
    /// Held while what was dirty is being synced: who comes meanwhile must not take that for done.
    syncing: Mutex<()>,
}

/// What a sync has to do.
#[derive(Default)]
struct Dirty {
    files: Vec<Arc<dyn LogFile>>,
    /// Those of them of which a sync has failed, or may have, in a process before this one.
    doubtful: Vec<Arc<dyn LogFile>>,
    /// Up to where they hold the log.
    through: Offset,
    /// Whether a sync of the file that is written to has failed.
    distrusted: bool,
}

impl ShardFiles {
    /// Forces to disk what was written so far; others may write at the same time. Tells whether
    /// there was anything.
    pub fn sync(&self) -> io::Result<bool> {
        let _one_at_a_time = self.syncing.lock();
        let (files, doubtful, through) = {
            let mut dirty = self.dirty.lock();
            let (files, doubtful) = (take(&mut dirty.files), take(&mut dirty.doubtful));
            (files, doubtful, dirty.through)
        };
        let mut doubtful_files = doubtful.iter();
        let again = doubtful_files.try_for_each(|file| self.rewrite(file, through));
        let synced = again.and_then(|()| files.iter().try_for_each(|file| file.sync()));
        if let Err(error) = synced {
            // They are tried again, and nothing behind them counts as on disk before that.
            let mut dirty = self.dirty.lock();
            dirty.distrusted = true;
            for file in files {
                if !dirty.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                    dirty.files.push(Arc::clone(&file));
                }
                dirty.doubtful.push(file);
            }
            return Err(error);
        }
        self.synced.fetch_max(through.0, Ordering::AcqRel);
        Ok(!files.is_empty())
    }

    fn synced(&self) -> Offset {
        Offset(self.synced.load(Ordering::Acquire))
    }

    /// Writes what a file holds of the log once more, over itself, but for what is known to be on
    /// disk. A sync that fails may take what it could not write for written: the next one then
    /// reports success without having anything to do. What is written again has to be forced to
    /// disk again.
    fn rewrite(&self, file: &Arc<dyn LogFile>, through: Offset) -> io::Result<()> {
        let lost = |what: String| {
            let why =
                format!("after a failed sync a file of the log is not as it was written: {what}");
            io::Error::new(io::ErrorKind::InvalidData, why)
        };
        let reader = SegmentReader::open(Arc::clone(file))?;
        let mut reader = reader.map_err(|error| lost(error.to_string()))?;
        // Behind that may be what is left of a group that was written again, into the next file.
        let first = reader.header().first;
        let segments = self.segments.lock();
        let behind = segments
            .iter()
            .map(|info| info.first)
            .find(|at| *at > first);
        drop(segments);
        let through = behind.map_or(through, |behind| through.min(behind));
        let (mut at, mut end) = (0, reader.at());
        // What cannot be read any more must not be taken for what was written.
        while reader.next_offset() < through {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    end = frame.ends_at;
                    if frame.end.next <= self.synced() {
                        at = end;
                    }
                }
                Ok(None) => break,
                Err(FrameError::Bad(bad)) => {
                    return Err(lost(format!("byte {}: {}", bad.at, bad.why)));
                }
                Err(FrameError::Io(error)) => return Err(error),
            }
        }
        let mut bytes = Vec::new();
        while at < end {
            bytes.resize(REWRITTEN_BYTES.min((end - at) as usize), 0);
            let n_read = file.read_at(at, &mut bytes)?;
            if n_read == 0 {
                return Err(lost(format!("it ends at byte {at}")));
            }
            file.write_at(at, &bytes[..n_read])?;
            at += n_read as u64;
        }
        Ok(())
    }
}

/// Writes one shard's log.
pub struct ShardWriter {
    files: Arc<dyn Files>,
    folder: PathBuf,
    shard: u32,
    segment_bytes_max: u64,
    shared: Arc<ShardFiles>,
    /// The file that is written to, and up to where it is the log.
    current: Option<(Arc<dyn LogFile>, u64)>,
    path: PathBuf,
    end: LogEnd,
    buffer: Vec<u8>,
    /// What the log has come to with the group that is being written; `None` without one.
    group_end: Option<LogEnd>,
}

impl ShardWriter {
    /// Goes on where a log ends.
    pub fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        shard: u32,
        segment_bytes_max: u64,
        recovered: Recovered,
    ) -> Self {
        let shared = ShardFiles {
            segments: Mutex::new(recovered.segments),
            synced: AtomicU64::new(recovered.synced.0),
            dirty: Mutex::new(Dirty {
                doubtful: recovered.unsynced.clone(),
                files: recovered.unsynced,
                through: recovered.end.next,
                ..Dirty::default()
            }),
            syncing: Mutex::default(),
        };
        let path = shared.segments.lock().last().map(|last| last.first);
        ShardWriter {
            files,
            folder: folder.to_owned(),
            shard,
            segment_bytes_max,
            shared: Arc::new(shared),
            current: recovered.last,
            path: segment_path(folder, path.unwrap_or_default()),
            end: recovered.end,
            buffer: Vec::new(),
            group_end: None,
        }
    }

    /// Forces to disk what was found: what survived the process may not survive the power yet.
    pub fn settle(&self) -> io::Result<()> {
        self.shared.sync()?;
        self.settle_names()
    }

    /// Forces to disk which files were found, not what is in them. A process that was killed may
    /// have made the last one and not come to this, and a sync of what is written to it later
    /// would not keep its name.
    pub fn settle_names(&self) -> io::Result<()> {
        self.files.sync_folder(&self.folder)
    }

    /// Returns what other threads see of it.
    pub fn shared(&self) -> Arc<ShardFiles> {
        Arc::clone(&self.shared)
    }

    /// Returns what the log has come to.
    pub fn end(&self) -> LogEnd {
        self.end
    }

    fn write_group<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<(), WriteFailure> {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return Ok(());
        }
        let (file, at) = self.file()?;
        let mut end = self.end;
        self.buffer.clear();
        while entries.peek().is_some() {
            // A frame is as many entries as fit into it, and at least one.
            let mut n_bytes = 0;
            let frame = std::iter::from_fn(|| {
                let fits = n_bytes < FRAME_BYTES_MAX;
                let entry = entries.next_if(|_| fits)?;
                n_bytes += weight(entry) * FLOAT_BYTES;
                Some(entry)
            });
            put_frame(&mut self.buffer, frame, &mut end, self.shared.synced());
        }
        // Set first, so that what a failed write leaves behind is cut off.
        self.group_end = Some(end);
        let written = file.write_at(at, &self.buffer);
        written.map_err(|source| self.failure("write", source))
    }

    fn sync_group(&mut self) -> Result<(), WriteFailure> {
        let Some((file, _)) = self.current.as_ref().filter(|_| self.group_end.is_some()) else {
            return Ok(());
        };
        let synced = file.sync();
        if synced.is_err() {
            self.shared.dirty.lock().distrusted = true;
        }
        synced.map_err(|source| self.failure("sync", source))
    }

    /// The group is written, and perhaps on disk: takes note of it.
    fn keep_group(&mut self, is_synced: bool) {
        let (Some(end), Some((file, at))) = (self.group_end.take(), &mut self.current) else {
            return;
        };
        *at += self.buffer.len() as u64;
        self.end = end;
        if let Some(info) = self.shared.segments.lock().last_mut() {
            info.n_bytes = *at;
            info.newest = end.stamp.map(|stamp| stamp.wall);
        }
        let mut dirty = self.shared.dirty.lock();
        if is_synced && dirty.files.is_empty() {
            self.shared.synced.fetch_max(end.next.0, Ordering::AcqRel);
        } else if !dirty.files.iter().any(|known| Arc::ptr_eq(known, file)) {
            dirty.files.push(Arc::clone(file));
        }
        dirty.through = end.next;
        drop(dirty);
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
    }

    /// The group is not written: takes back what there is of it.
    fn drop_group(&mut self) {
        let (Some(_), Some((file, at))) = (self.group_end.take(), &self.current) else {
            return;
        };
        // Where even that fails, it is written over by the next group, or cut at the next start.
        let _ = file.set_n_bytes(*at);
    }

    /// Returns the file to write to, and where in it; a new one if the last is full.
    fn file(&mut self) -> Result<(Arc<dyn LogFile>, u64), WriteFailure> {
        let distrusted = std::mem::take(&mut self.shared.dirty.lock().distrusted);
        if let Some((file, at)) = &self.current
            && *at < self.segment_bytes_max
            && !distrusted
        {
            return Ok((Arc::clone(file), *at));
        }
        let first = self.end.next;
        let path = segment_path(&self.folder, first);
        // One that was begun at this place and holds nothing yet.
        let is_again = self.path == path;
        if let Some((file, at)) = &self.current
            && is_again
            && !distrusted
        {
            return Ok((Arc::clone(file), *at));
        }
        let made = self.make_file(&path, first);
        let file = made.map_err(|source| WriteFailure {
            what: "make",
            path: path.clone(),
            source,
        });
        if file.is_err() {
            // It is looked at again before anything is written.
            self.shared.dirty.lock().distrusted |= distrusted;
        }
        let file = file?;
        self.path = path;
        let at = HEADER_BYTES as u64;
        self.current = Some((Arc::clone(&file), at));
        let mut segments = self.shared.segments.lock();
        segments.retain(|info| info.first != first);
        segments.push(SegmentInfo {
            first,
            n_bytes: at,
            newest: None,
        });
        Ok((file, at))
    }

    fn make_file(&self, path: &Path, first: Offset) -> io::Result<Arc<dyn LogFile>> {
        let file = match self.files.create(path) {
            // Left behind by an attempt that failed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.remove(path)?;
                self.files.create(path)?
            }
            made => made?,
        };
        let header = Header::new(first, self.shard).bytes();
        let written = file.write_at(0, &header);
        // The folder is synced now, or entries in it could be on disk and it not.
        let written = written.and_then(|()| self.files.sync_folder(&self.folder));
        if written.is_err() {
            let _ = self.files.remove(path);
        }
        written.map(|()| file)
    }

    fn failure(&self, what: &'static str, source: io::Error) -> WriteFailure {
        WriteFailure {
            what,
            path: self.path.clone(),
            source,
        }
    }
}

impl ShardFiles {
    /// Deletes the files that lie wholly before an offset and are neither young nor few enough to
    /// be kept all the same. The file that is written to stays.
    pub fn forget_before(
        &self,
        files: &dyn Files,
        folder: &Path,
        offset: Offset,
        retention: Retention,
    ) -> io::Result<()> {
        let mut segments = self.segments.lock();
        let newest: Option<TimestampMs> = segments.iter().filter_map(|info| info.newest).max();
        while let [oldest, behind, ..] = segments.as_slice() {
            // An entry of the next one has to be on disk: what the log has come to stands there.
            if behind.first > offset || behind.first >= self.synced() {
                break;
            }
            let n_bytes: u64 = segments.iter().map(|info| info.n_bytes).sum();
            // A file whose age is not known was not read at the start: it is older than those.
            let is_old = match (oldest.newest.or(behind.newest), newest) {
                (Some(at), Some(newest)) => newest - at >= retention.age,
                _ => true,
            };
            let is_kept = !is_old && (retention.n_bytes == 0 || n_bytes <= retention.n_bytes);
            if is_kept {
                break;
            }
            files.remove(&segment_path(folder, oldest.first))?;
            segments.remove(0);
            // So that none comes back after a crash whose successor does not.
            files.sync_folder(folder)?;
        }
        Ok(())
    }
}
