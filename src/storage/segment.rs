//! One file of records, mapped into memory.
//!
//! Its room is taken from the disk when it is made, so that writing into the mapping cannot fail
//! for want of it. One thread appends; others read at the same time what was appended before. All
//! that is written once is published by `filled`; the first word of a record alone, its link, is
//! written again.
//!
//! A file that somebody else makes shorter under the mapping ends the process with SIGBUS, as it
//! does any program that maps files.
//!
//! Cost: appending and reading are copies in memory, without a system call.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::model::{DurationMs, TimestampMs};

/// What a file begins with: a name and the version of the format.
const MAGIC: [u8; 16] = *b"burnwatch chunk1";
/// So many bytes are read for one sample: nearly always the fewer.
const CODE_BYTES: usize = crate::history::SAMPLE_BYTES_MAX;
const SHORT_BYTES: usize = crate::history::SAMPLE_BYTES_USUAL;
/// Words of a record and its links are these many bytes.
const WORD: usize = 4;

/// How far a file has been written, and for how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// A power of two above the number of minutes for which its chunks were to be kept.
    pub class: u32,
    /// Its bytes.
    pub n_bytes: u64,
    /// The end of the newest chunk in it, ms.
    pub newest: TimestampMs,
    /// Until when it is kept, ms.
    pub keep_until: TimestampMs,
}

/// A file that is being written, or was.
#[derive(Debug)]
pub struct Segment {
    map: MmapRaw,
    path: PathBuf,
    /// Up to here, in bytes, it has been written.
    filled: AtomicUsize,
    /// The end of the newest chunk in it, ms.
    newest: AtomicI64,
    /// Until when it is kept, ms.
    keep_until: AtomicI64,
    /// A power of two above the number of minutes for which its chunks were to be kept.
    pub class: u32,
}

impl Segment {
    /// Makes a file of `n_bytes`.
    pub fn create(path: PathBuf, n_bytes: usize, class: u32) -> std::io::Result<Segment> {
        let made = Segment::map(&path, n_bytes);
        let Ok(map) = made else {
            // What there is of it would take room that is wanting.
            let _ = std::fs::remove_file(&path);
            return Err(made.err().unwrap_or_else(|| Errno::IO.into()));
        };
        let segment = Segment {
            map,
            path,
            filled: AtomicUsize::new(0),
            newest: AtomicI64::new(i64::MIN),
            keep_until: AtomicI64::new(i64::MIN),
            class,
        };
        segment.write(&MAGIC);
        Ok(segment)
    }

    /// Opens a file of `n_bytes` that an earlier run has written as far as `written` says; what it
    /// wrote behind that is written over.
    pub fn open(path: PathBuf, n_bytes: usize, written: &Written) -> std::io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        if file.metadata()?.len() < n_bytes as u64 || written.n_bytes > n_bytes as u64 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let segment = Segment {
            map: MmapOptions::new().len(n_bytes).map_raw(&file)?,
            path,
            filled: AtomicUsize::new(written.n_bytes as usize),
            newest: AtomicI64::new(written.newest.0),
            keep_until: AtomicI64::new(written.keep_until.0),
            class: written.class,
        };
        let mut magic = [0; MAGIC.len()];
        segment.read(0, &mut magic);
        match magic == MAGIC {
            true => Ok(segment),
            false => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns what has been written so far.
    pub fn written(&self) -> Written {
        Written {
            class: self.class,
            n_bytes: self.n_bytes() as u64,
            newest: TimestampMs(self.newest.load(Ordering::Relaxed)),
            keep_until: self.keep_until(),
        }
    }

    /// Forces what has been written to disk.
    pub fn sync(&self) -> std::io::Result<()> {
        self.map.flush()
    }

    fn map(path: &Path, n_bytes: usize) -> std::io::Result<MmapRaw> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, n_bytes as u64) {
            // A file system that cannot: what is written is there.
            Err(Errno::OPNOTSUPP) => write_zeros(&file, n_bytes)?,
            other => other?,
        }
        MmapOptions::new().len(n_bytes).map_raw(&file)
    }

    /// Appends a record if there is room for it, and returns at which byte it begins. Only one
    /// thread at a time may do so.
    pub fn append(&self, record: &[u8], end: TimestampMs, keep: DurationMs) -> Option<usize> {
        let at = self.write(record)?;
        self.newest.fetch_max(end.0, Ordering::Relaxed);
        self.keep_until.fetch_max((end + keep).0, Ordering::Relaxed);
        Some(at)
    }

    fn write(&self, bytes: &[u8]) -> Option<usize> {
        let at = self.filled.load(Ordering::Relaxed).next_multiple_of(WORD);
        // The rest of the last word is written as well.
        let end = at.checked_add(bytes.len())?;
        if end.next_multiple_of(WORD) > self.map.len() {
            return None;
        }
        let words = self.words(at / WORD, bytes.len().div_ceil(WORD));
        for (word, bytes) in words.iter().zip(bytes.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u32::from_le_bytes(whole), Ordering::Relaxed);
        }
        self.filled.store(end, Ordering::Release);
        Some(at)
    }

    /// Copies what lies at byte `at`, and returns how much that is.
    #[inline]
    pub fn read(&self, at: usize, into: &mut [u8]) -> usize {
        let filled = self.filled.load(Ordering::Acquire);
        let n_bytes = filled.saturating_sub(at).min(into.len());
        let (first, skipped) = (at / WORD, 8 * (at % WORD) as u32);
        if n_bytes == into.len() {
            const SHORT_WORDS: usize = SHORT_BYTES / WORD + 1;
            const CODE_WORDS: usize = CODE_BYTES / WORD + 1;
            let copied = self.copy_code::<SHORT_WORDS, SHORT_BYTES>(first, skipped, into);
            let copied =
                copied.or_else(|| self.copy_code::<CODE_WORDS, CODE_BYTES>(first, skipped, into));
            if copied.is_some() {
                return n_bytes;
            }
        }
        let words = self.words(first, (at % WORD + n_bytes).div_ceil(WORD));
        let word = |number: usize| {
            let word = words.get(number);
            u64::from(word.map_or(0, |word| word.load(Ordering::Relaxed)))
        };
        // Eight bytes at once, which is how they are going to be read.
        for (number, eight) in into[..n_bytes].chunks_mut(2 * WORD).enumerate() {
            let low = word(2 * number) | word(2 * number + 1) << 32;
            let high = u128::from(word(2 * number + 2)) << 64;
            let whole = ((high | u128::from(low)) >> skipped) as u64;
            match eight.first_chunk_mut() {
                Some(eight) => *eight = whole.to_le_bytes(),
                None => eight.copy_from_slice(&whole.to_le_bytes()[..eight.len()]),
            }
        }
        n_bytes
    }

    /// Copies what lies so many bits, less than a word, behind the beginning of a word, if that is
    /// `BYTES` of `WORDS` words: as many as are read for one sample, at each of its steps, which is
    /// most of what is read.
    #[inline]
    fn copy_code<const WORDS: usize, const BYTES: usize>(
        &self,
        first: usize,
        skipped: u32,
        into: &mut [u8],
    ) -> Option<()> {
        const { assert!(WORDS == BYTES / WORD + 1) };
        let into: &mut [u8; BYTES] = into.try_into().ok()?;
        let words: &[AtomicU32; WORDS] = self.words(first, WORDS).try_into().ok()?;
        let word = |number: usize| u64::from(words[number].load(Ordering::Relaxed));
        let (eights, _) = into.as_chunks_mut::<{ 2 * WORD }>();
        for (number, eight) in eights.iter_mut().enumerate() {
            let low = word(2 * number) | word(2 * number + 1) << 32;
            let high = word(2 * number + 2) << 32;
            // Twice, since there may be none to shift by.
            let whole = low >> skipped | high << (31 - skipped) << 1;
            *eight = whole.to_le_bytes();
        }
        Some(())
    }

    /// Returns the word that holds the link of the record at byte `at`.
    pub fn link(&self, at: usize) -> Option<&AtomicU32> {
        let is_there = at + WORD <= self.filled.load(Ordering::Acquire);
        is_there.then(|| self.word(at / WORD)).flatten()
    }

    /// Returns the word of a number.
    fn word(&self, number: usize) -> Option<&AtomicU32> {
        self.words(number, 1).first()
    }

    /// Returns so many words from the one of a number on; none if they are not all there.
    #[inline]
    #[allow(
        unsafe_code,
        reason = "a mapping that is written while others read cannot be a slice of bytes; copies \
                  of it through system calls take twenty times as long"
    )]
    fn words(&self, first: usize, n_words: usize) -> &[AtomicU32] {
        let is_inside = first
            .checked_add(n_words)
            .is_some_and(|end| end <= self.map.len() / WORD);
        if !is_inside {
            return &[];
        }
        let words = self.map.as_mut_ptr().cast::<AtomicU32>();
        // SAFETY: the words lie within the mapping, as was just seen, and the mapping lives as
        // long as `self`. It begins at a page, so that every word is aligned. Whoever reads or
        // writes the mapping does it through this method, hence atomically.
        unsafe { std::slice::from_raw_parts(words.add(first), n_words) }
    }

    /// Returns the bytes written so far.
    pub fn n_bytes(&self) -> usize {
        self.filled.load(Ordering::Relaxed)
    }

    /// Returns until when it is kept.
    pub fn keep_until(&self) -> TimestampMs {
        TimestampMs(self.keep_until.load(Ordering::Relaxed))
    }

    /// Keeps all that is in it for at least `keep`.
    pub fn keep_longer(&self, keep: DurationMs) {
        let newest = TimestampMs(self.newest.load(Ordering::Relaxed));
        if self.keep_until() > TimestampMs(i64::MIN) {
            self.keep_until
                .fetch_max((newest + keep).0, Ordering::Relaxed);
        }
    }

    /// Removes the file; what is mapped can be read until the last reader is done.
    pub fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn write_zeros(mut file: &File, n_bytes: usize) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut n_left = n_bytes;
    while n_left > 0 {
        let n_now = n_left.min(zeros.len());
        file.write_all(&zeros[..n_now])?;
        n_left -= n_now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_from_wherever_one_begins() {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let path = folder.path().join("1.chunks");
        let segment = Segment::create(path, 1 << 12, 0).expect("it is writable");
        let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(167)).collect();
        let at = segment.append(&bytes, TimestampMs(0), DurationMs(0));
        let at = at.expect("there is room");
        // As much as is read for a sample, and less, up to the end of what there is and beyond.
        for n_asked in [CODE_BYTES, SHORT_BYTES, CODE_BYTES - 1, 3, 64] {
            for skipped in 0..=bytes.len() {
                let mut into = [0; 64];
                let n_read = segment.read(at + skipped, &mut into[..n_asked]);
                let there = &bytes[skipped..(skipped + n_asked).min(bytes.len())];
                assert_eq!(&into[..n_read], there, "{n_asked} bytes behind {skipped}");
            }
        }
    }
}
