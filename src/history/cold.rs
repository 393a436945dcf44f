//! Chunks that are not kept in memory: what a store of them must do, and how they lie there.
//!
//! Full chunks go to a [`ColdStore`] in the order in which they fill, whatever their series, so
//! that those who walk many series at the same instant read neighbouring bytes. The core opens no
//! file: the store with files is the shell's, the one of the tests is in memory.
//!
//! A record, all numbers little-endian, beginning at a multiple of four bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the distance to the series' next record in units of four bytes; 0: there is none yet; all ones: too far |
//! | 4 | the lower half of the XXH3 of all that follows |
//! | 1 | 2, the version of this format |
//! | 1 | the number of samples |
//! | 2 | the length of the record |
//! | varint | the number of the chunk in its series |
//! | varint | how many samples the series had before it |
//! | varint | how many of those were stale markers |
//! | varint | at how many of those a counter may have been reset |
//! | varint | the place of the chunk before it, 0 for none |
//! | varint | if the chunk's number is a multiple of 16: the place of the last such chunk |
//! | varint | if it is one of 256: the place of the last such chunk |
//! | rest | the chunk |
//!
//! The distance alone is written later than the rest, when the next record is. It is there to be
//! followed forwards; whoever has lost it finds the next record from behind.
//!
//! The links back make a skip list: an instant a million samples ago is some forty steps away, and
//! a series keeps three places in memory, however long its past.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::history::bits::{put_varint, take_varint};
use crate::history::chunk::{BYTES_FULL, SealedChunk, base_of};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{DurationMs, TimestampMs};

/// Where a record lies, in units of four bytes; never 0.
pub type ColdPlace = u64;

/// Keeps records.
///
/// One thread appends; others read at the same time. A record that is gone is no error: what was
/// in it is forgotten.
pub trait ColdStore: fmt::Debug + Send + Sync {
    /// Puts a record behind the others, to be kept until event time is `keep` after `end`.
    /// `None` if there is no room; it may be tried again.
    fn append(&self, record: &[u8], end: TimestampMs, keep: DurationMs) -> Option<ColdPlace>;

    /// Writes the first four bytes of a record.
    fn link(&self, place: ColdPlace, distance: u32);

    /// Reads the first four bytes of a record.
    fn linked(&self, place: ColdPlace) -> Option<u32>;

    /// Copies what lies `offset` bytes, at least 4, behind the beginning of a record, and returns
    /// how much that is: 0 if the record is gone, less than asked for at the end of what there is.
    fn read(&self, place: ColdPlace, offset: usize, into: &mut [u8]) -> usize;

    /// Keeps what was to be kept for `keep` or less for `longer`, and perhaps more than that.
    fn keep_longer(&self, keep: DurationMs, longer: DurationMs);

    /// Drops what need not be kept any more at event time `now`.
    fn forget(&self, now: TimestampMs);

    /// Returns a store that goes on holding what is there now, and takes nothing more.
    fn pinned(&self) -> Arc<dyn ColdStore>;
}

/// Series that look back less than this do not go to the store: a chunk spans about half of it.
pub const KEEP_MIN: DurationMs = DurationMs::from_seconds(if cfg!(test) { 0 } else { 3600 });

/// A record is never longer; a chunk to which late samples were added is up to twice as long.
pub const RECORD_BYTES_MAX: usize = 2 * BYTES_FULL + 128;

/// So many bytes hold all of a record but its samples.
const HEADER_BYTES: usize = 64;
/// Every so many-th chunk has a link to the last such one, on two levels.
const STRIDE: u32 = 16;
const LEVELS: usize = 3;
const VERSION: u8 = 2;
/// The next record is too far away for its distance to be written.
const FAR: u32 = u32::MAX;

/// A series' chunks in a store.
#[derive(Debug)]
pub struct ColdChain {
    store: Arc<dyn ColdStore>,
    /// For how long chunks are kept.
    pub keep: DurationMs,
    /// How many samples were ever put here; it may wrap.
    pub n_samples: u32,
    /// How many of them were stale markers.
    pub n_stale: u32,
    /// At how many of them a counter may have been reset.
    pub n_breaks: u32,
    /// The newest record on each level: of all, of multiples of 16, of those of 256.
    newest: [PackedPlace; LEVELS],
}

/// A place in six bytes: what is written in 10,000 years at a gigabyte a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedPlace([u16; 3]);

impl PackedPlace {
    /// Returns the place packed; [`PackedPlace::default`] for one that is too large.
    pub fn of(place: ColdPlace) -> PackedPlace {
        match place >> 48 {
            0 => PackedPlace([place as u16, (place >> 16) as u16, (place >> 32) as u16]),
            _ => PackedPlace::default(),
        }
    }

    /// Returns the place.
    #[inline]
    pub fn place(self) -> ColdPlace {
        let [low, middle, high] = self.0.map(u64::from);
        low | middle << 16 | high << 32
    }
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug)]
pub struct ColdChunk {
    /// Where it lies.
    pub place: ColdPlace,
    /// The number of the chunk in its series.
    pub number: u32,
    /// The number of samples.
    pub n_samples: u8,
    /// How many samples the series had before.
    pub n_before: u32,
    /// How many of those were stale markers.
    pub n_stale_before: u32,
    /// At how many of those a counter may have been reset.
    pub n_breaks_before: u32,
    /// The instant behind which the samples lie.
    pub base: TimestampMs,
    /// The length of the record in bytes.
    pub len: usize,
    /// Where in it the chunk begins.
    pub offset: usize,
    back: [ColdPlace; LEVELS],
}

/// Where a search ended.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// At the last chunk of those asked for.
    Last(ColdChunk),
    /// There is none of those; this is the oldest of the others.
    Oldest(ColdChunk),
}

impl ColdChain {
    /// Begins a chain in a store.
    pub fn new(store: Arc<dyn ColdStore>, keep: DurationMs) -> ColdChain {
        ColdChain {
            store,
            keep,
            n_samples: 0,
            n_stale: 0,
            n_breaks: 0,
            newest: [PackedPlace::default(); LEVELS],
        }
    }

    /// Returns a chain that sees what there is now, whatever becomes of the store.
    pub fn pinned(&self) -> ColdChain {
        ColdChain {
            store: self.store.pinned(),
            ..*self
        }
    }

    /// Puts where the chunks lie.
    pub fn save(&self, out: &mut ByteWriter) {
        out.span(self.keep);
        for number in [self.n_samples, self.n_stale, self.n_breaks] {
            out.number(number.into());
        }
        let newest = self.newest.iter();
        newest.for_each(|packed| out.number(packed.place()));
    }

    /// Takes what [`ColdChain::save`] has put; the chunks are those of `store`.
    pub fn load(read: &mut ByteReader<'_>, store: Arc<dyn ColdStore>) -> Read<ColdChain> {
        let keep = read.span()?;
        let (n_samples, n_stale, n_breaks) = (read.small()?, read.small()?, read.small()?);
        let mut place = || read.number().map(PackedPlace::of);
        Ok(ColdChain {
            store,
            keep,
            n_samples,
            n_stale,
            n_breaks,
            newest: [place()?, place()?, place()?],
        })
    }

    /// Takes what [`ColdChain::save`] has put, and forgets it.
    pub fn skip(read: &mut ByteReader<'_>) -> Read<()> {
        read.span()?;
        (0..3 + LEVELS).try_for_each(|_| read.number().map(drop))
    }

    /// Tells whether there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.newest(0) == 0
    }

    /// Returns the place of the newest record of a level, 0 for none.
    fn newest(&self, level: usize) -> ColdPlace {
        self.newest[level].place()
    }

    /// Drops all chunks.
    pub fn clear(&mut self) {
        self.newest = [PackedPlace::default(); LEVELS];
    }

    /// Changes for how long chunks are kept, those that there are included. It is not less than
    /// it was for any of these, so that it is known what to do should it become more again.
    pub fn set_keep(&mut self, keep: DurationMs) {
        if self.is_empty() {
            self.keep = keep;
        } else if keep > self.keep {
            self.store.keep_longer(self.keep, keep);
            self.keep = keep;
        }
    }

    /// Adds the chunk of a number behind the others; `false` if there is no room.
    pub fn push(&mut self, number: u32, chunk: &SealedChunk) -> bool {
        let record = self.record(number, chunk);
        let Some(place) = self.store.append(&record, chunk.end, self.keep) else {
            return false;
        };
        if !self.is_empty() {
            let distance = place.wrapping_sub(self.newest(0));
            let distance = u32::try_from(distance).unwrap_or(FAR);
            self.store.link(self.newest(0), distance);
        }
        for level in levels_of(number) {
            self.newest[level] = PackedPlace::of(place);
        }
        self.n_samples = self.n_samples.wrapping_add(chunk.n_samples);
        self.n_stale = self.n_stale.wrapping_add(chunk.n_stale);
        self.n_breaks = self.n_breaks.wrapping_add(chunk.n_breaks);
        true
    }

    fn record(&self, number: u32, chunk: &SealedChunk) -> Vec<u8> {
        let mut record = Vec::with_capacity(HEADER_BYTES + chunk.bytes.len());
        record.extend_from_slice(&[0; 8]);
        record.extend_from_slice(&[VERSION, chunk.n_samples as u8, 0, 0]);
        put_varint(&mut record, number.into());
        put_varint(&mut record, self.n_samples.into());
        put_varint(&mut record, self.n_stale.into());
        put_varint(&mut record, self.n_breaks.into());
        for level in levels_of(number) {
            put_varint(&mut record, self.newest(level));
        }
        record.extend_from_slice(&chunk.bytes);
        let len = (record.len() as u16).to_le_bytes();
        record[10..12].copy_from_slice(&len);
        let checksum = (xxh3_64(&record[8..]) as u32).to_le_bytes();
        record[4..8].copy_from_slice(&checksum);
        record
    }

    /// Takes the newest chunk back into memory.
    pub fn pop(&mut self) -> Option<(ColdChunk, Vec<u8>)> {
        let newest = self.header(self.newest(0))?;
        let mut record = [0; RECORD_BYTES_MAX];
        let bytes = self.bytes(&newest, &mut record)?[newest.offset..].to_vec();
        for level in levels_of(newest.number) {
            self.newest[level] = PackedPlace::of(newest.back[level]);
        }
        if !self.is_empty() {
            // What it leads to is not what will follow.
            self.store.link(self.newest(0), 0);
        }
        (self.n_samples, self.n_stale) = (newest.n_before, newest.n_stale_before);
        self.n_breaks = newest.n_breaks_before;
        Some((newest, bytes))
    }

    /// Returns the chunk behind a record; `None` at the newest one, or where it is gone.
    pub fn next(&self, place: ColdPlace) -> Option<ColdChunk> {
        if self.is_newest(place) {
            return None;
        }
        let distance = self.store.linked(place)?;
        if distance != 0 && distance != FAR {
            let next = self.header(place + ColdPlace::from(distance));
            // A link may be newer than this chain: then it leads to what another one has put.
            if let Some(next) = next.filter(|next| next.back[0] == place) {
                return Some(next);
            }
        }
        let number = self.header(place)?.number;
        match self.find(|chunk| chunk.number <= number.saturating_add(1))? {
            Found::Last(chunk) if chunk.number <= number => None,
            Found::Last(chunk) | Found::Oldest(chunk) => Some(chunk),
        }
    }

    /// Tells whether this is the place of the newest chunk.
    pub fn is_newest(&self, place: ColdPlace) -> bool {
        place == self.newest(0)
    }

    /// Returns the newest chunk of which `is_wanted` says so; it says so of all those before one
    /// of which it does.
    pub fn find(&self, is_wanted: impl Fn(&ColdChunk) -> bool) -> Option<Found> {
        let mut behind: Option<ColdChunk> = None;
        for level in (0..LEVELS).rev() {
            loop {
                let back = behind.map_or(self.newest(level), |chunk| chunk.back[level]);
                match self.header(back) {
                    Some(chunk) if !is_wanted(&chunk) => behind = Some(chunk),
                    Some(chunk) if level == 0 => return Some(Found::Last(chunk)),
                    _ => break,
                }
            }
        }
        behind.map(Found::Oldest)
    }

    /// Reads a record without its samples.
    pub fn header(&self, place: ColdPlace) -> Option<ColdChunk> {
        if place == 0 {
            return None;
        }
        let mut bytes = [0; HEADER_BYTES];
        let n_bytes = self.store.read(place, 4, &mut bytes);
        let bytes = bytes.get(4..n_bytes)?;
        let (fixed, mut rest) = bytes.split_at_checked(4)?;
        if fixed[0] != VERSION {
            return None;
        }
        let number = u32::try_from(take_varint(&mut rest)?).ok()?;
        let n_before = u32::try_from(take_varint(&mut rest)?).ok()?;
        let n_stale_before = u32::try_from(take_varint(&mut rest)?).ok()?;
        let n_breaks_before = u32::try_from(take_varint(&mut rest)?).ok()?;
        let mut back = [0; LEVELS];
        for level in levels_of(number) {
            back[level] = take_varint(&mut rest)?;
        }
        Some(ColdChunk {
            place,
            number,
            n_samples: fixed[1],
            n_before,
            n_stale_before,
            n_breaks_before,
            base: base_of(rest),
            len: u16::from_le_bytes([fixed[2], fixed[3]]).into(),
            offset: 4 + n_bytes - rest.len(),
            back,
        })
    }

    /// Reads a whole record, and sees whether it is what was written.
    pub fn bytes<'a>(
        &self,
        chunk: &ColdChunk,
        into: &'a mut [u8; RECORD_BYTES_MAX],
    ) -> Option<&'a [u8]> {
        let record = into.get_mut(4..chunk.len)?;
        if self.store.read(chunk.place, 4, record) < record.len() {
            return None;
        }
        let checksum = xxh3_64(&record[4..]) as u32;
        (record[..4] == checksum.to_le_bytes()).then_some(&into[..chunk.len])
    }

    /// Copies bytes of a record; `false` if it is gone.
    #[inline]
    pub fn read(&self, place: ColdPlace, offset: usize, into: &mut [u8]) -> bool {
        self.store.read(place, offset, into) > 0
    }
}

/// Returns the levels on which a chunk is.
fn levels_of(number: u32) -> std::ops::Range<usize> {
    match number {
        number if number % (STRIDE * STRIDE) == 0 => 0..3,
        number if number % STRIDE == 0 => 0..2,
        _ => 0..1,
    }
}

/// A store in memory, for tests.
#[cfg(test)]
pub mod memory {
    use std::sync::{Arc, Mutex};

    use super::{ColdPlace, ColdStore};
    use crate::model::{DurationMs, TimestampMs};

    /// Records side by side.
    #[derive(Clone, Debug, Default)]
    pub struct MemoryColdStore {
        all: Arc<Mutex<State>>,
    }

    #[derive(Clone, Debug, Default)]
    struct State {
        bytes: Vec<u8>,
        /// Bytes before this are gone.
        gone: usize,
        is_full: bool,
        /// `(where it ends, until when it is kept, for how long)`
        kept: Vec<(usize, TimestampMs, DurationMs)>,
    }

    impl MemoryColdStore {
        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.all.lock().expect("no test panics with the lock")
        }

        /// Whether there is no room for more.
        pub fn set_full(&self, is_full: bool) {
            self.state().is_full = is_full;
        }

        /// Returns the bytes held.
        pub fn n_bytes(&self) -> usize {
            let state = self.state();
            state.bytes.len() - state.gone
        }
    }

    impl ColdStore for MemoryColdStore {
        fn append(&self, record: &[u8], end: TimestampMs, keep: DurationMs) -> Option<ColdPlace> {
            let mut state = self.state();
            if state.is_full {
                return None;
            }
            let at = (state.bytes.len() + 4).next_multiple_of(4);
            state.bytes.resize(at, 0);
            state.bytes.extend_from_slice(record);
            let len = state.bytes.len();
            state.kept.push((len, end + keep, keep));
            Some(at as u64 / 4)
        }

        fn link(&self, place: ColdPlace, distance: u32) {
            let at = place as usize * 4;
            self.state().bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }

        fn linked(&self, place: ColdPlace) -> Option<u32> {
            let (at, state) = (place as usize * 4, self.state());
            let bytes = state.bytes.get(at..at + 4)?;
            (at >= state.gone).then(|| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        }

        fn read(&self, place: ColdPlace, offset: usize, into: &mut [u8]) -> usize {
            let (at, state) = (place as usize * 4 + offset, self.state());
            let behind = state.bytes.get(at..).unwrap_or_default();
            if at < state.gone {
                return 0;
            }
            let n_bytes = behind.len().min(into.len());
            into[..n_bytes].copy_from_slice(&behind[..n_bytes]);
            n_bytes
        }

        fn keep_longer(&self, keep: DurationMs, longer: DurationMs) {
            for kept in &mut self.state().kept {
                if kept.2 <= keep {
                    kept.1 = kept.1.max(kept.1 - kept.2 + longer);
                }
            }
        }

        fn forget(&self, now: TimestampMs) {
            let mut state = self.state();
            let n_old = state.kept.iter().take_while(|kept| kept.1 < now).count();
            let old: Vec<_> = state.kept.drain(..n_old).collect();
            if let Some((end, ..)) = old.last() {
                state.gone = *end;
                state.bytes[..*end].fill(0xff);
            }
        }

        fn pinned(&self) -> Arc<dyn ColdStore> {
            let state = self.state().clone();
            let store = MemoryColdStore {
                all: Arc::new(Mutex::new(state)),
            };
            store.set_full(true);
            Arc::new(store)
        }
    }
}
