//! The store of cold history: segments in a folder, dropped as a whole when they are too old.
//!
//! Chunks go into a file with others that are to be kept for about as long, so that a series that
//! looks back 30 days does not keep the chunks of thousands that look back an hour. At start, the
//! files of an earlier run are removed: what they held is not known any more.
//!
//! Where there is no room, chunks are refused, and so stay in memory; it is tried again after some
//! more have come.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::history::{ColdPlace, ColdStore};
use crate::model::{DurationMs, TimestampMs};
use crate::storage::segment::Segment;

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
    /// No file is too old before this instant, ms.
    oldest_due: AtomicI64,
    chunks: AtomicU64,
    refused: AtomicU64,
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
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == EXTENSION) {
                std::fs::remove_file(path)?;
            }
        }
        let view = View {
            first: 1,
            segments: Vec::new(),
            units_log2: (segment_bytes as u64 / UNIT).ilog2(),
        };
        Ok(Arc::new(ColdFiles {
            folder: folder.to_owned(),
            segment_bytes,
            view: ArcSwap::from_pointee(view),
            writer: Mutex::default(),
            oldest_due: AtomicI64::new(i64::MAX),
            chunks: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
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
        let path = self.folder.join(format!("{number:08}.{EXTENSION}"));
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
        for slot in &mut segments {
            if let Some(old) = slot.take_if(|segment| !is_kept(segment))
                && let Err(error) = old.remove()
            {
                tracing::warn!(%error, "a file of old history cannot be removed");
            }
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
                    history.cut(at, keep, Some(&store));
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
