//! The store of cold history: segments in a folder, dropped as a whole when they are too old.
//!
//! Chunks go into a file with others that are to be kept for about as long, so that a series that
//! looks back 30 days does not keep the chunks of thousands that look back an hour. A checkpoint
//! names the files of its time and how far they were written; a start goes on from there
//! ([`ColdFiles::reopen`]), and removes what is of no checkpoint, since what that holds is not known
//! any more. A file that a checkpoint still names is not removed, however old
//! ([`ColdFiles::release`]): who starts from it looks back from then.
//!
//! Where there is no room, chunks are refused, and so stay in memory; it is tried again after some
//! more have come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::history::{ColdPlace, ColdStore};
use crate::model::{DurationMs, TimestampMs};
use crate::storage::segment::{Segment, Written};

/// The length of a file, a power of two: so much is taken from the disk at once for each length of
/// keeping.
const SEGMENT_BYTES: usize = 16 << 20;
/// After a file could not be made, so many chunks are refused before it is tried again.
const REFUSED_AT_ONCE: u32 = 1000;
/// What file names end in.
const EXTENSION: &str = "chunks";
/// A place is a number of units of so many bytes.
const UNIT: u64 = 4;

/// Cold history in the files of a folder.
pub struct ColdFiles {
    folder: PathBuf,
    segment_bytes: usize,
    view: ArcSwap<View>,
    writer: Mutex<Writer>,
    /// Files that are too old, and may be named by a checkpoint.
    dropped: Mutex<Vec<(u64, Arc<Segment>)>>,
    /// Whether there are checkpoints, so that these are removed by [`ColdFiles::release`] alone.
    keeps_dropped: AtomicBool,
    /// No file is too old before this instant, ms.
    oldest_due: AtomicI64,
    chunks: AtomicU64,
    refused: AtomicU64,
}

/// A file as a checkpoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdFile {
    /// Its number, which is its name.
    pub number: u64,
    /// How far it has been written.
    pub written: Written,
}

/// The files that there are; never changed, but replaced.
#[derive(Debug)]
struct View {
    /// The number of the first in `segments`.
    first: u64,
    /// By number; `None` for those that were dropped.
    segments: Vec<Option<Arc<Segment>>>,
    /// Units in a segment, as a power of two.
    units_log2: u32,
}

#[derive(Debug, Default)]
struct Writer {
    /// What is being written, by class.
    open: BTreeMap<u32, (u64, Arc<Segment>)>,
    /// How many more chunks are refused at once.
    n_refused: u32,
    /// What was last asked to be kept longer, and how many files there were then.
    longer: Option<(DurationMs, DurationMs, u64)>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdCounts {
    /// Chunks written.
    pub chunks: u64,
    /// Chunks refused for want of room.
    pub refused: u64,
    /// Files that there are.
    pub files: u64,
    /// Bytes of chunks in them.
    pub bytes: u64,
}

impl ColdFiles {
    /// Opens a store in a folder, which is made if need be and emptied.
    pub fn open(folder: &Path) -> std::io::Result<Arc<ColdFiles>> {
        ColdFiles::open_sized(folder, SEGMENT_BYTES)
    }

    fn open_sized(folder: &Path, segment_bytes: usize) -> std::io::Result<Arc<ColdFiles>> {
        ColdFiles::reopen_sized(folder, segment_bytes, &[], &BTreeSet::new())
    }

    /// Opens the store of an earlier run as it was at a checkpoint. Other files than those, and
    /// those that `named` says another checkpoint needs, are removed.
    pub fn reopen(
        folder: &Path,
        files: &[ColdFile],
        named: &BTreeSet<u64>,
    ) -> std::io::Result<Arc<ColdFiles>> {
        ColdFiles::reopen_sized(folder, SEGMENT_BYTES, files, named)
    }

    fn reopen_sized(
        folder: &Path,
        segment_bytes: usize,
        files: &[ColdFile],
        named: &BTreeSet<u64>,
    ) -> std::io::Result<Arc<ColdFiles>> {
        std::fs::create_dir_all(folder)?;
        let kept: BTreeMap<u64, &Written> = files.iter().map(|f| (f.number, &f.written)).collect();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|found| found != EXTENSION) {
                continue;
            }
            let number = path
                .file_stem()
                .and_then(|name| name.to_str()?.parse().ok());
            if number.is_none_or(|number| !kept.contains_key(&number) && !named.contains(&number)) {
                std::fs::remove_file(path)?;
            }
        }
        // Numbers of files that another checkpoint names are not given again.
        let of_others = named.iter().next_back().copied().unwrap_or(0);
        let first = kept.keys().next().map_or(of_others + 1, |first| *first);
        let last = kept.keys().next_back().copied().unwrap_or(0).max(of_others);
        let mut writer = Writer::default();
        let mut segments = Vec::new();
        for number in first..=last {
            let Some(written) = kept.get(&number) else {
                segments.push(None);
                continue;
            };
            let path = path_of(folder, number);
            let segment = Segment::open(path, segment_bytes, written);
            let segment = Arc::new(segment.map_err(|error| {
                let place = format!("{}: {error}", path_of(folder, number).display());
                std::io::Error::new(error.kind(), place)
            })?);
            writer
                .open
                .insert(written.class, (number, Arc::clone(&segment)));
            segments.push(Some(segment));
        }
        let oldest_due = kept.values().map(|written| written.keep_until.0).min();
        let view = View {
            first,
            segments,
            units_log2: (segment_bytes as u64 / UNIT).ilog2(),
        };
        Ok(Arc::new(ColdFiles {
            folder: folder.to_owned(),
            segment_bytes,
            view: ArcSwap::from_pointee(view),
            writer: Mutex::new(writer),
            dropped: Mutex::default(),
            keeps_dropped: AtomicBool::new(false),
            oldest_due: AtomicI64::new(oldest_due.unwrap_or(i64::MAX)),
            chunks: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Returns the files that there are and how far they have been written, for a checkpoint.
    pub fn files(&self) -> Vec<ColdFile> {
        let view = self.view.load();
        let numbered = (view.first..).zip(&view.segments);
        let files = numbered.filter_map(|(number, segment)| {
            let written = segment.as_ref()?.written();
            Some(ColdFile { number, written })
        });
        files.collect()
    }

    /// Forces to disk what has been written.
    pub fn sync(&self) -> std::io::Result<()> {
        let view = self.view.load_full();
        view.live().try_for_each(|segment| segment.sync())?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes the files that are too old but for those that a checkpoint names.
    pub fn release(&self, named: &BTreeSet<u64>) {
        let mut dropped = self.dropped.lock();
        dropped.retain(|(number, segment)| {
            if named.contains(number) {
                return true;
            }
            if let Err(error) = segment.remove() {
                tracing::warn!(%error, "a file of old history cannot be removed");
            }
            false
        });
    }

    /// Leaves it to [`ColdFiles::release`] to remove files.
    pub fn keep_for_checkpoints(&self) {
        self.keeps_dropped.store(true, Ordering::Relaxed);
    }

    /// Returns counts for metrics.
    pub fn counts(&self) -> ColdCounts {
        let view = self.view.load();
        let bytes = view.live().map(|segment| segment.n_bytes() as u64);
        ColdCounts {
            chunks: self.chunks.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            files: view.live().count() as u64,
            bytes: bytes.sum(),
        }
    }

    /// Makes a file for chunks of a class.
    fn add_segment(&self, class: u32) -> std::io::Result<(u64, Arc<Segment>)> {
        let view = self.view.load_full();
        let number = view.first + view.segments.len() as u64;
        let path = path_of(&self.folder, number);
        let segment = Arc::new(Segment::create(path, self.segment_bytes, class)?);
        let mut segments = view.segments.clone();
        segments.push(Some(Arc::clone(&segment)));
        self.view.store(Arc::new(View { segments, ..*view }));
        Ok((number, segment))
    }

    fn put(
        &self,
        writer: &mut Writer,
        record: &[u8],
        end: TimestampMs,
        keep: DurationMs,
    ) -> Option<ColdPlace> {
        let class = class_of(keep);
        if let Some((number, segment)) = writer.open.get(&class)
            && let Some(at) = segment.append(record, end, keep)
        {
            return Some(self.place(*number, at));
        }
        if writer.n_refused > 0 {
            writer.n_refused -= 1;
            return None;
        }
        match self.add_segment(class) {
            Ok((number, segment)) => {
                let at = segment.append(record, end, keep)?;
                self.oldest_due.fetch_min((end + keep).0, Ordering::Relaxed);
                writer.open.insert(class, (number, segment));
                Some(self.place(number, at))
            }
            Err(error) => {
                let folder = self.folder.display();
                tracing::warn!(%error, %folder, "history stays in memory: no file can be made");
                writer.n_refused = REFUSED_AT_ONCE;
                None
            }
        }
    }

    fn place(&self, number: u64, at: usize) -> ColdPlace {
        (number * self.segment_bytes as u64 + at as u64) / UNIT
    }
}

impl fmt::Debug for ColdFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdFiles")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl ColdStore for ColdFiles {
    fn append(&self, record: &[u8], end: TimestampMs, keep: DurationMs) -> Option<ColdPlace> {
        let place = self.put(&mut self.writer.lock(), record, end, keep);
        let count = match place {
            Some(_) => &self.chunks,
            None => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        place
    }

    fn link(&self, place: ColdPlace, distance: u32) {
        self.view.load().link(place, distance);
    }

    fn linked(&self, place: ColdPlace) -> Option<u32> {
        self.view.load().linked(place)
    }

    #[inline]
    fn read(&self, place: ColdPlace, offset: usize, into: &mut [u8]) -> usize {
        self.view.load().read(place, offset, into)
    }

    fn keep_longer(&self, keep: DurationMs, longer: DurationMs) {
        let (mut writer, view) = (self.writer.lock(), self.view.load());
        let asked = Some((keep, longer, view.first + view.segments.len() as u64));
        // After a reload all series ask for the same.
        if writer.longer == asked {
            return;
        }
        writer.longer = asked;
        let of_class = |segment: &&Arc<Segment>| segment.class <= class_of(keep);
        view.live()
            .filter(of_class)
            .for_each(|segment| segment.keep_longer(longer));
    }

    fn forget(&self, now: TimestampMs) {
        if now.0 <= self.oldest_due.load(Ordering::Relaxed) {
            return;
        }
        let (mut writer, view) = (self.writer.lock(), self.view.load_full());
        let is_kept = |segment: &Arc<Segment>| segment.keep_until() >= now;
        let mut segments = view.segments.clone();
        let mut dropped = Vec::new();
        for (number, slot) in (view.first..).zip(&mut segments) {
            let old = slot.take_if(|segment| !is_kept(segment));
            dropped.extend(old.map(|segment| (number, segment)));
        }
        self.dropped.lock().extend(dropped);
        if !self.keeps_dropped.load(Ordering::Relaxed) {
            self.release(&BTreeSet::new());
        }
        let n_gone = segments.iter().take_while(|slot| slot.is_none()).count();
        segments.drain(..n_gone);
        let next = View {
            first: view.first + n_gone as u64,
            segments,
            units_log2: view.units_log2,
        };
        let due = next.live().map(|segment| segment.keep_until().0).min();
        self.oldest_due
            .store(due.unwrap_or(i64::MAX), Ordering::Relaxed);
        self.view.store(Arc::new(next));
        writer.open.retain(|_, (_, segment)| is_kept(segment));
    }

    fn pinned(&self) -> Arc<dyn ColdStore> {
        self.view.load_full()
    }
}

impl View {
    /// Returns the segment of a place, and at which byte of it that is.
    #[inline]
    fn segment(&self, place: ColdPlace) -> Option<(&Segment, usize)> {
        let number = (place >> self.units_log2).checked_sub(self.first)?;
        let segment = self.segments.get(usize::try_from(number).ok()?)?;
        let units = place & !(!0 << self.units_log2);
        Some((segment.as_ref()?, (units * UNIT) as usize))
    }

    fn live(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().flatten()
    }
}

impl ColdStore for View {
    fn append(&self, _: &[u8], _: TimestampMs, _: DurationMs) -> Option<ColdPlace> {
        None
    }

    fn link(&self, place: ColdPlace, distance: u32) {
        if let Some((segment, at)) = self.segment(place)
            && let Some(link) = segment.link(at)
        {
            link.store(distance, Ordering::Release);
        }
    }

    fn linked(&self, place: ColdPlace) -> Option<u32> {
        let (segment, at) = self.segment(place)?;
        Some(segment.link(at)?.load(Ordering::Acquire))
    }

    #[inline]
    fn read(&self, place: ColdPlace, offset: usize, into: &mut [u8]) -> usize {
        match self.segment(place) {
            Some((segment, at)) => segment.read(at + offset, into),
            None => 0,
        }
    }

    fn keep_longer(&self, _: DurationMs, _: DurationMs) {}

    fn forget(&self, _: TimestampMs) {}

    fn pinned(&self) -> Arc<dyn ColdStore> {
        Arc::new(View {
            first: self.first,
            segments: self.segments.clone(),
            units_log2: self.units_log2,
        })
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{EXTENSION}"))
}

/// Returns the class of chunks that are kept for so long: they lie with those that are kept for
/// up to twice as long.
fn class_of(keep: DurationMs) -> u32 {
    let minutes = u64::try_from(keep.0).unwrap_or(0) / 60_000;
    64 - minutes.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SeriesHistory;
    use crate::model::SampleValue;
    use crate::model::bytes::{ByteReader, ByteWriter};

    fn hours(hours: i64) -> DurationMs {
        DurationMs::from_seconds(3600 * hours)
    }

    fn store() -> (tempfile::TempDir, Arc<ColdFiles>) {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let files = ColdFiles::open_sized(folder.path(), 1 << 16).expect("it is writable");
        (folder, files)
    }

    fn n_files(folder: &Path) -> usize {
        std::fs::read_dir(folder).expect("it is there").count()
    }

    /// Pushes one sample a minute, of which one can tell the instant, and cuts now and then.
    fn push(
        histories: &mut [SeriesHistory],
        minutes: std::ops::Range<i64>,
        keep: DurationMs,
        files: &Arc<ColdFiles>,
    ) {
        let store: Arc<dyn ColdStore> = Arc::clone(files) as Arc<dyn ColdStore>;
        for minute in minutes {
            let at = TimestampMs(minute * 60_000);
            for (number, history) in histories.iter_mut().enumerate() {
                let value = (minute * 1000 + number as i64) as f64;
                history.append(at, SampleValue::Float(value), TimestampMs::MAX);
                if minute % 10 == 0 {
                    history.cut(at, keep, Some(&store), TimestampMs::MAX);
                    store.forget(at);
                }
            }
        }
    }

    fn check(history: &SeriesHistory, number: i64, minutes: std::ops::Range<i64>) {
        let all = history.range(TimestampMs::MIN, TimestampMs::MAX);
        let found: Vec<_> = all
            .map(|point| (point.at.0 / 60_000, point.value))
            .collect();
        let sample = |minute| (minute, SampleValue::Float((minute * 1000 + number) as f64));
        assert!(
            found == minutes.clone().map(sample).collect::<Vec<_>>(),
            "{minutes:?}"
        );
    }

    #[test]
    fn files_are_dropped_when_all_in_them_is_too_old() {
        let (folder, files) = store();
        let mut histories = vec![SeriesHistory::default(); 50];
        push(&mut histories, 0..3000, hours(24), &files);
        let counts = files.counts();
        assert!(counts.files > 3 && counts.refused == 0, "{counts:?}");
        assert_eq!(n_files(folder.path()), counts.files as usize);
        for (number, history) in histories.iter().enumerate() {
            check(history, number as i64, 2990 - 24 * 60 + 1..3000);
        }
        // Whoever took a part before has all of it, whatever is dropped.
        let part = histories[7].part(TimestampMs::MIN, TimestampMs::MAX);
        push(&mut histories, 3000..10_000, hours(24), &files);
        check(&part, 7, 2990 - 24 * 60 + 1..3000);
        check(&histories[7], 7, 9990 - 24 * 60 + 1..10_000);
        let after = files.counts();
        assert!(after.files < counts.files + 3, "{counts:?} {after:?}");
        assert!(after.chunks > 2 * counts.chunks, "{counts:?} {after:?}");
        assert_eq!(n_files(folder.path()), after.files as usize);
    }

    #[test]
    fn a_longer_window_keeps_what_is_there() {
        let (_folder, files) = store();
        let mut histories = vec![SeriesHistory::default(); 50];
        push(&mut histories, 0..1000, hours(6), &files);
        push(&mut histories, 1000..4000, hours(100), &files);
        check(&histories[3], 3, 990 - 6 * 60 + 1..4000);
    }

    #[test]
    fn without_room_history_stays_in_memory_until_there_is_some() {
        let (folder, files) = store();
        std::fs::remove_dir_all(folder.path()).expect("it was there");
        let mut histories = vec![SeriesHistory::default(); 3];
        push(&mut histories, 0..2000, hours(24), &files);
        check(&histories[1], 1, 1990 - 24 * 60 + 1..2000);
        assert_eq!(files.counts().chunks, 0);
        assert!(files.counts().refused > 0);
        std::fs::create_dir(folder.path()).expect("its place is free");
        push(&mut histories, 2000..60_000, hours(24), &files);
        check(&histories[1], 1, 59_990 - 24 * 60 + 1..60_000);
        assert!(files.counts().chunks > 0);
    }

    #[test]
    fn a_start_goes_on_where_a_checkpoint_was_made() {
        let (folder, files) = store();
        files.keep_for_checkpoints();
        let mut histories = vec![SeriesHistory::default(); 50];
        push(&mut histories, 0..3000, hours(24), &files);
        let saved: Vec<Vec<u8>> = histories.iter().map(saved).collect();
        let at = files.files();
        let named: BTreeSet<u64> = at.iter().map(|file| file.number).collect();
        files.release(&named);
        let n_then = n_files(folder.path());
        assert!(at.len() > 3 && at.len() == n_then, "{at:?}");
        // What comes later is not there any more, what is dropped later is still.
        push(&mut histories, 3000..9000, hours(24), &files);
        files.release(&named);
        drop((files, histories));
        let reopen = || ColdFiles::reopen_sized(folder.path(), 1 << 16, &at, &BTreeSet::new());
        let files = reopen().expect("all are there");
        assert_eq!(
            (files.files(), n_files(folder.path())),
            (at.clone(), n_then)
        );
        let store: Arc<dyn ColdStore> = Arc::clone(&files) as Arc<dyn ColdStore>;
        let loaded = |bytes: &Vec<u8>| {
            let mut read = ByteReader::new(bytes);
            SeriesHistory::load(&mut read, Some(&store)).expect("it was saved")
        };
        let mut histories: Vec<SeriesHistory> = saved.iter().map(loaded).collect();
        for (number, history) in histories.iter().enumerate() {
            check(history, number as i64, 2990 - 24 * 60 + 1..3000);
        }
        push(&mut histories, 3000..10_000, hours(24), &files);
        check(&histories[7], 7, 9990 - 24 * 60 + 1..10_000);
        assert!(n_files(folder.path()) < 2 * n_then, "old ones are removed");
        drop((files, histories, store));
        let missing = reopen().expect_err("files of then are gone");
        assert!(missing.to_string().contains("chunks"), "{missing}");
    }

    fn saved(history: &SeriesHistory) -> Vec<u8> {
        let mut out = ByteWriter::default();
        history.save(&mut out);
        out.into_bytes()
    }

    #[test]
    fn files_of_an_earlier_run_are_removed() {
        let (folder, files) = store();
        let mut histories = vec![SeriesHistory::default(); 50];
        push(&mut histories, 0..3000, hours(24), &files);
        std::fs::write(folder.path().join("notes.txt"), "not ours").expect("it is writable");
        drop((files, histories));
        assert!(n_files(folder.path()) > 1);
        ColdFiles::open(folder.path()).expect("it is readable");
        assert_eq!(n_files(folder.path()), 1);
    }
}
