//! One file of the log: a header, then frames, each a group of entries that were written together.
//!
//! ```text
//! header, 64 bytes   magic 16 | format 4 | checksum 4 | first offset 8 | shard 4 | 4 | burnwatch 24
//! frame, 80 bytes +  magic 4 | checksum 4 | length 4 | entries 4 | first offset 8 | synced 8 |
//!                    sequence 8 | wall 8 | clock 8 | generation 8 | rules at 8 | next handle 4 |
//!                    flags 4, then each entry behind its length, 4
//! ```
//!
//! All integers are little-endian. A checksum (CRC-32C) is over what follows it in its frame, so it
//! covers the offset: a frame in the wrong place is no frame. `synced` says up to which offset the
//! log was known to be on disk when the frame was written. That is how a torn tail, which is what
//! a crash leaves behind, is told from damage: what is missing there had been on disk.
//!
//! What may not live here: anything that opens, writes or cuts a file.

use std::io;
use std::sync::Arc;

use crate::log::Offset;
use crate::log::backend::file::files::LogFile;
use crate::log::record;
use crate::model::bytes::{ByteReader, Malformed};
use crate::model::{Entry, Generation, Stamp, TimestampMs};

/// The version of the files' format, of the encoding of entries too. Whoever changes either counts
/// it up, and goes on reading the one before.
pub const FORMAT: u32 = 3;

/// What a file begins with, whatever its format.
const MAGIC: [u8; 16] = *b"burnwatch log\r\n\0";
const FRAME_MAGIC: [u8; 4] = *b"\xb5Bwf";
/// The length of the header.
pub const HEADER_BYTES: usize = 64;
const FRAME_BYTES: usize = 80;
const HAS_STAMP: u32 = 1;
const HAS_CLOCK: u32 = 2;
const HAS_RULES: u32 = 4;
const WRITTEN_BY_BYTES: usize = 24;
/// The most bytes of a frame that holds more than one entry.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// So much is read at once.
const READ_BYTES: usize = 1 << 20;
/// Places behind damage that are looked at for a frame that is whole.
const CANDIDATES_MAX: usize = 10_000;

/// What a log has come to: what whoever goes on writing must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The offset that the next entry gets.
    pub next: Offset,
    /// The newest stamp; `None` in a log without entries.
    pub stamp: Option<Stamp>,
    /// The newest rule set.
    pub generation: Generation,
    /// Where that lies, if it came by this log.
    pub rules_at: Option<Offset>,
    /// The number that the next series may be given.
    pub next_handle: u32,
}

impl LogEnd {
    /// Takes in an entry that is appended.
    pub fn append(&mut self, entry: &Entry) {
        self.stamp = Some(*entry.stamp());
        match entry {
            Entry::Samples { batch, .. } => {
                let handles = batch.definitions.iter().map(|defined| defined.handle.0);
                let next = handles.max().map_or(0, |newest| newest.saturating_add(1));
                self.next_handle = self.next_handle.max(next);
            }
            Entry::Rules { generation, .. } => {
                self.generation = *generation;
                self.rules_at = Some(self.next);
            }
            Entry::Clock { .. }
            | Entry::Past { .. }
            | Entry::Change { .. }
            | Entry::Reset { .. } => {}
        }
        self.next.0 += 1;
    }

    /// Writes it to where a frame has room for it.
    fn put(&self, frame: &mut [u8]) {
        let stamp = self.stamp.as_ref();
        let clock = stamp.and_then(|stamp| stamp.clock);
        let numbers = [
            stamp.map_or(0, |stamp| stamp.sequence),
            stamp.map_or(0, |stamp| stamp.wall.0 as u64),
            clock.map_or(0, |clock| clock.0 as u64),
            self.generation.0,
            self.rules_at.unwrap_or_default().0,
        ];
        for (place, number) in frame[32..72].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(stamp.is_some(), HAS_STAMP)
            | flag(clock.is_some(), HAS_CLOCK)
            | flag(self.rules_at.is_some(), HAS_RULES);
        frame[72..76].copy_from_slice(&self.next_handle.to_le_bytes());
        frame[76..80].copy_from_slice(&flags.to_le_bytes());
    }

    /// Reads it from a frame.
    fn read(frame: &[u8], next: u64) -> LogEnd {
        let [sequence, wall, clock, generation, rules_at] =
            [32, 40, 48, 56, 64].map(|at| double_word(frame, at));
        let flags = word(frame, 76);
        let has = |flag| flags & flag != 0;
        LogEnd {
            next: Offset(next),
            stamp: has(HAS_STAMP).then_some(Stamp {
                sequence,
                wall: TimestampMs(wall as i64),
                clock: has(HAS_CLOCK).then_some(TimestampMs(clock as i64)),
            }),
            generation: Generation(generation),
            rules_at: has(HAS_RULES).then_some(Offset(rules_at)),
            next_handle: word(frame, 72),
        }
    }
}

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// The offset of its first entry.
    pub first: Offset,
    /// The shard whose log it is a part of.
    pub shard: u32,
    /// The version of the burnwatch that made it.
    pub written_by: String,
}

/// Why a file's header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends within it, or it is not what was written.
    #[error("its header is damaged")]
    Damaged,
    /// It does not begin as a file of the log does.
    #[error("it is no file of a burnwatch log")]
    Foreign,
    /// A newer burnwatch wrote it.
    #[error(
        "it was written by burnwatch {written_by} in format {format}; this is burnwatch {}, which \
         reads formats up to {FORMAT}: use burnwatch {written_by} or newer",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Its format.
        format: u32,
        /// Whose.
        written_by: String,
    },
}

impl Header {
    /// Returns the header of a new file.
    pub fn new(first: Offset, shard: u32) -> Self {
        Header {
            format: FORMAT,
            first,
            shard,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut rest = Vec::with_capacity(HEADER_BYTES);
        rest.extend(self.first.0.to_le_bytes());
        rest.extend(self.shard.to_le_bytes());
        rest.extend([0; 4]);
        let version = self.written_by.as_bytes();
        rest.extend(&version[..version.len().min(WRITTEN_BY_BYTES)]);
        rest.resize(HEADER_BYTES - 24, 0);
        let mut bytes = [0; HEADER_BYTES];
        bytes[..16].copy_from_slice(&MAGIC);
        bytes[16..20].copy_from_slice(&self.format.to_le_bytes());
        bytes[20..24].copy_from_slice(&header_checksum(self.format, &rest).to_le_bytes());
        bytes[24..].copy_from_slice(&rest);
        bytes
    }

    /// Reads a header from the beginning of a file.
    pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderError::Damaged);
        };
        if bytes[..16] != MAGIC {
            let is_blank = bytes.iter().all(|byte| *byte == 0);
            return Err(match is_blank {
                true => HeaderError::Damaged,
                false => HeaderError::Foreign,
            });
        }
        let (format, checksum) = (word(bytes, 16), word(bytes, 20));
        if checksum != header_checksum(format, &bytes[24..]) {
            return Err(HeaderError::Damaged);
        }
        let version = bytes[40..].split(|byte| *byte == 0).next();
        let written_by = String::from_utf8_lossy(version.unwrap_or_default()).into_owned();
        if format > FORMAT {
            return Err(HeaderError::Newer { format, written_by });
        }
        Ok(Header {
            format,
            first: Offset(double_word(bytes, 24)),
            shard: word(bytes, 32),
            written_by,
        })
    }
}

fn header_checksum(format: u32, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&format.to_le_bytes()), rest)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(word.copied().unwrap_or_default())
}

fn double_word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(word.copied().unwrap_or_default())
}

/// Appends a frame of entries; `end` is the log's before them, and after them.
pub fn put_frame<'a>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = &'a Entry>,
    end: &mut LogEnd,
    synced: Offset,
) {
    let (at, first) = (out.len(), end.next);
    out.resize(at + FRAME_BYTES, 0);
    let mut n_entries: u32 = 0;
    for entry in entries {
        end.append(entry);
        n_entries += 1;
        let length_at = out.len();
        out.extend([0; 4]);
        record::encode(entry, out);
        let length = (out.len() - length_at - 4) as u32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    let length = (out.len() - at - FRAME_BYTES) as u32;
    let frame = &mut out[at..];
    frame[..4].copy_from_slice(&FRAME_MAGIC);
    frame[8..12].copy_from_slice(&length.to_le_bytes());
    frame[12..16].copy_from_slice(&n_entries.to_le_bytes());
    frame[16..24].copy_from_slice(&first.0.to_le_bytes());
    frame[24..32].copy_from_slice(&synced.0.to_le_bytes());
    end.put(frame);
    let checksum = crc32c::crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// A frame that is whole.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The offset of its first entry.
    pub first: Offset,
    /// Up to which offset the log was on disk when it was written.
    pub synced: Offset,
    /// What the log had come to with it.
    pub end: LogEnd,
    /// Where it ends in the file.
    pub ends_at: u64,
    entries: ByteReader<'a>,
}

impl Frame<'_> {
    /// Iterates over its entries with their offsets.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Offset, Entry), Damage>> {
        let mut rest = self.entries.clone();
        (self.first.0..self.end.next.0).map(move |offset| {
            let length = word(rest.exactly(4)?, 0);
            let bytes = rest.exactly(length as usize)?;
            Ok((Offset(offset), record::decode(bytes)?))
        })
    }
}

/// What is wrong with bytes that ought to be a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// They are no frame, or not the one that belongs there.
    #[error("{0}")]
    Frame(&'static str),
    /// They are no entry.
    #[error("an entry in it cannot be read: {0}")]
    Entry(#[from] Malformed),
}

/// Where a file has no frame although there are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// At which byte.
    pub at: u64,
    /// The offset of the entry that ought to be there.
    pub offset: Offset,
    /// What is wrong.
    pub why: Damage,
}

/// Why a frame was not read.
#[derive(Debug)]
pub enum FrameError {
    /// There is none.
    Bad(Bad),
    /// The file cannot be read.
    Io(io::Error),
}

/// Reads one file frame by frame.
pub struct SegmentReader {
    file: Arc<dyn LogFile>,
    header: Header,
    n_bytes: u64,
    /// The next frame's place and offset.
    at: u64,
    next: Offset,
    /// What was read at once, and where it begins.
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl SegmentReader {
    /// Reads the header of a file. The outer error is the system's.
    pub fn open(file: Arc<dyn LogFile>) -> io::Result<Result<SegmentReader, HeaderError>> {
        let n_bytes = file.n_bytes()?;
        let mut bytes = [0; HEADER_BYTES];
        let n_read = file.read_at(0, &mut bytes)?;
        Ok(Header::read(&bytes[..n_read]).map(|header| SegmentReader {
            next: header.first,
            file,
            header,
            n_bytes,
            at: HEADER_BYTES as u64,
            buffer: Vec::new(),
            buffer_at: 0,
        }))
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the length of the file, as it was when opened or last looked at.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Returns up to which byte frames have been read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns the offset of the entry that comes next.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Reads the next frame; nothing at the end of the file.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if self.at >= self.n_bytes {
            self.n_bytes = self.file.n_bytes().map_err(FrameError::Io)?;
        }
        if self.at >= self.n_bytes {
            return Ok(None);
        }
        let (at, offset) = (self.at, self.next);
        let bad = |why| FrameError::Bad(Bad { at, offset, why });
        let length = match self.frame_length(at)? {
            Ok(length) => length,
            Err(why) => return Err(bad(why)),
        };
        self.fill(at, length).map_err(FrameError::Io)?;
        let begins = (at - self.buffer_at) as usize;
        let bytes = self.buffer.get(begins..begins + length);
        let frame = parse_frame(bytes.unwrap_or_default(), at).map_err(bad)?;
        if frame.first != offset {
            return Err(bad(Damage::Frame("it has the offset of another place")));
        }
        self.at = frame.ends_at;
        self.next = frame.end.next;
        Ok(Some(frame))
    }

    /// Returns how long the frame at a place says it is, header included.
    fn frame_length(&mut self, at: u64) -> Result<Result<usize, Damage>, FrameError> {
        self.fill(at, FRAME_BYTES).map_err(FrameError::Io)?;
        let begins = (at - self.buffer_at) as usize;
        let Some(head) = self.buffer.get(begins..begins + FRAME_BYTES) else {
            return Ok(Err(Damage::Frame("the file ends within it")));
        };
        if head[..4] != FRAME_MAGIC {
            return Ok(Err(Damage::Frame(
                "it does not begin as a group of entries",
            )));
        }
        let length = FRAME_BYTES + word(head, 8) as usize;
        if length as u64 > self.n_bytes - at {
            return Ok(Err(Damage::Frame("the file ends within it")));
        }
        Ok(Ok(length))
    }

    /// Has so many bytes from a place on in the buffer, or as many as there are.
    fn fill(&mut self, at: u64, n_bytes: usize) -> io::Result<()> {
        let has = self.buffer_at + self.buffer.len() as u64;
        if at >= self.buffer_at && at + n_bytes as u64 <= has {
            return Ok(());
        }
        let left = usize::try_from(self.n_bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        self.buffer.resize(n_bytes.max(READ_BYTES).min(left), 0);
        self.buffer_at = at;
        let n_read = self.file.read_at(at, &mut self.buffer)?;
        self.buffer.truncate(n_read);
        Ok(())
    }

    /// Looks behind a bad place for frames that are whole, and returns up to which offset they say
    /// that the log had been on disk.
    pub fn synced_behind(&mut self, bad: Bad) -> io::Result<Offset> {
        let (mut synced, mut n_candidates) = (Offset(0), 0);
        let mut at = bad.at + 1;
        while at + FRAME_BYTES as u64 <= self.n_bytes && n_candidates < CANDIDATES_MAX {
            self.fill(at, FRAME_BYTES)?;
            let begins = (at - self.buffer_at) as usize;
            let rest = self.buffer.get(begins..).unwrap_or_default();
            let Some(found) = rest.windows(4).position(|four| four == FRAME_MAGIC) else {
                at += rest.len().saturating_sub(3).max(1) as u64;
                continue;
            };
            at += found as u64;
            n_candidates += 1;
            match self.frame_length(at) {
                Ok(Ok(length)) => {
                    self.fill(at, length)?;
                    let begins = (at - self.buffer_at) as usize;
                    let bytes = self.buffer.get(begins..begins + length);
                    match parse_frame(bytes.unwrap_or_default(), at) {
                        Ok(frame) if frame.first >= bad.offset => {
                            synced = synced.max(frame.synced);
                            at = frame.ends_at;
                        }
                        _ => at += 1,
                    }
                }
                Ok(Err(_)) => at += 1,
                Err(FrameError::Io(error)) => return Err(error),
                Err(FrameError::Bad(_)) => at += 1,
            }
        }
        Ok(synced)
    }
}

/// Reads a frame from its bytes, which lie at a place in the file.
fn parse_frame(bytes: &[u8], at: u64) -> Result<Frame<'_>, Damage> {
    if bytes.len() < FRAME_BYTES {
        return Err(Damage::Frame("the file ends within it"));
    }
    if crc32c::crc32c(&bytes[8..]) != word(bytes, 4) {
        return Err(Damage::Frame("its checksum is wrong"));
    }
    let first = double_word(bytes, 16);
    let next = first.checked_add(u64::from(word(bytes, 12)));
    let next = next.ok_or(Damage::Frame("its offset is none"))?;
    Ok(Frame {
        first: Offset(first),
        synced: Offset(double_word(bytes, 24)),
        end: LogEnd::read(bytes, next),
        ends_at: at + bytes.len() as u64,
        entries: ByteReader::new(&bytes[FRAME_BYTES..]),
    })
}
