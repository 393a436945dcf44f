//! The writer's side of every series that a rule reads: its handles and its newest sample.
//!
//! One per node, used under the node's lock. A series is found by its identity, the keyed hash
//! of its sorted labels, so that two encodings of one series, and two generations of rules, reach
//! the same handles. Handles of a shard grow by one and are never reused; the table's own places
//! are, once a series was silent for long: the node then routes requests under way anew.
//!
//! Memory: about 150 bytes a series. No step takes long: the index is in 64 parts, the states in
//! blocks that never move.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::ingest::route::ShardId;
use crate::ingest::sequencer::Target;
use crate::model::{DurationMs, FloatHistogram, Generation, SeriesHandle, TimestampMs};

const PARTS: usize = 64;
const BLOCK: usize = 1024;
/// Encodings remembered per series; more are looked up by their labels every time.
const ALIASES_MAX: usize = 4;

/// A shard that reads, or once read, a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The shard.
    pub shard: ShardId,
    /// The series' number there.
    pub handle: SeriesHandle,
    /// Whether the current rules read it there.
    pub reads: bool,
}

/// What a sample is, next to the series' newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Newer: append it.
    Newer,
    /// The very same as the newest: nothing to do.
    Duplicate,
    /// Another value at the newest timestamp.
    Conflict,
    /// Older than the newest.
    Older,
}

/// A value reduced to what tells it from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueBits {
    /// A float's bits.
    Float(u64),
    /// A hash of a histogram's contents.
    Histogram(u64),
}

impl ValueBits {
    /// Reduces a histogram.
    pub fn of_histogram(histogram: &FloatHistogram) -> Self {
        let mut bytes = Vec::with_capacity(256);
        let h = histogram;
        bytes.extend([h.counter_reset_hint as u8]);
        bytes.extend(h.schema.to_le_bytes());
        for float in [h.zero_threshold, h.zero_count, h.count, h.sum] {
            bytes.extend(float.to_bits().to_le_bytes());
        }
        for spans in [&h.positive_spans, &h.negative_spans] {
            bytes.extend(spans.len().to_le_bytes());
            for span in spans {
                bytes.extend(span.offset.to_le_bytes());
                bytes.extend(span.length.to_le_bytes());
            }
        }
        for floats in [&h.positive_buckets, &h.negative_buckets, &h.custom_values] {
            bytes.extend(floats.len().to_le_bytes());
            for float in floats {
                bytes.extend(float.to_bits().to_le_bytes());
            }
        }
        ValueBits::Histogram(xxhash_rust::xxh3::xxh3_64(&bytes))
    }
}

/// One series.
#[derive(Clone, Debug)]
pub struct SeriesState {
    identity: u128,
    newest: Option<(TimestampMs, ValueBits)>,
    /// The generation under which `readers` was last determined.
    generation: Generation,
    /// The job and instance it belongs to.
    pub target: Target,
    seen_minute: u32,
    in_use: bool,
    readers: SmallVec<[Reader; 1]>,
    aliases: SmallVec<[u128; 1]>,
}

impl SeriesState {
    /// Compares a sample with the newest one.
    #[inline]
    pub fn judge(&self, at: TimestampMs, value: ValueBits) -> Verdict {
        match self.newest {
            None => Verdict::Newer,
            Some((newest, _)) if at > newest => Verdict::Newer,
            Some((newest, _)) if at < newest => Verdict::Older,
            Some((_, newest_value)) if newest_value == value => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
        }
    }

    /// Notes an accepted newest sample.
    #[inline]
    pub fn set_newest(&mut self, at: TimestampMs, value: ValueBits) {
        self.newest = Some((at, value));
    }

    /// Notes that the series was written to.
    #[inline]
    pub fn touch(&mut self, wall: TimestampMs) {
        self.seen_minute = minute(wall);
    }

    /// Iterates over the shards that read the series now.
    #[inline]
    pub fn readers(&self) -> impl Iterator<Item = (ShardId, SeriesHandle)> {
        let reading = self.readers.iter().filter(|reader| reader.reads);
        reading.map(|reader| (reader.shard, reader.handle))
    }

    /// Remembers an encoding; returns whether it may be published.
    pub fn add_alias(&mut self, raw_hash: u128) -> bool {
        if self.aliases.contains(&raw_hash) {
            return true;
        }
        let has_room = self.aliases.len() < ALIASES_MAX;
        if has_room {
            self.aliases.push(raw_hash);
        }
        has_room
    }
}

fn minute(wall: TimestampMs) -> u32 {
    u32::try_from(wall.0 / 60_000).unwrap_or(0)
}

/// All series that are read.
#[derive(Debug)]
pub struct SeriesTable {
    by_identity: Vec<HashMap<u128, u32>>,
    blocks: Vec<Box<[SeriesState]>>,
    n_places: u32,
    free: Vec<u32>,
    next_handle: Vec<u32>,
    /// Where the next look for silent series begins.
    hand: u32,
}

impl SeriesTable {
    /// Returns an empty table for as many shards.
    pub fn new(n_shards: usize) -> Self {
        SeriesTable {
            by_identity: vec![HashMap::new(); PARTS],
            blocks: Vec::new(),
            n_places: 0,
            free: Vec::new(),
            next_handle: vec![0; n_shards],
            hand: 0,
        }
    }

    /// Gives series handles from these on, shard by shard; those before are known to the logs.
    pub fn resume(&mut self, next_handles: &[u32]) {
        for (next, resumed) in self.next_handle.iter_mut().zip(next_handles) {
            *next = (*next).max(*resumed);
        }
    }

    /// Returns the number of series.
    pub fn n_series(&self) -> usize {
        self.n_places as usize - self.free.len()
    }

    /// Returns the series at a place.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut SeriesState {
        &mut self.blocks[at as usize / BLOCK][at as usize % BLOCK]
    }

    /// Returns the place of the series with this identity.
    pub fn find(&self, identity: u128) -> Option<u32> {
        self.by_identity[(identity >> 122) as usize]
            .get(&identity)
            .copied()
    }

    /// Makes a series and returns its place.
    pub fn insert(&mut self, identity: u128, target: Target, wall: TimestampMs) -> u32 {
        let state = SeriesState {
            identity,
            newest: None,
            generation: Generation(0),
            target,
            seen_minute: minute(wall),
            in_use: true,
            readers: SmallVec::new(),
            aliases: SmallVec::new(),
        };
        let at = self.free.pop().unwrap_or_else(|| {
            if (self.n_places as usize).is_multiple_of(BLOCK) {
                let unused = SeriesState {
                    in_use: false,
                    ..state.clone()
                };
                self.blocks.push(vec![unused; BLOCK].into_boxed_slice());
            }
            self.n_places += 1;
            self.n_places - 1
        });
        *self.get_mut(at) = state;
        self.by_identity[(identity >> 122) as usize].insert(identity, at);
        at
    }

    /// Sets which shards read a series under a generation. Calls `define` for each shard that
    /// has no handle for it yet, with the handle it gets.
    pub fn set_readers(
        &mut self,
        at: u32,
        generation: Generation,
        shards: &[ShardId],
        mut define: impl FnMut(ShardId, SeriesHandle),
    ) {
        let state = &mut self.blocks[at as usize / BLOCK][at as usize % BLOCK];
        if state.generation != generation {
            state.generation = generation;
            // Encodings were published in a table that is no more.
            state.aliases.clear();
        }
        for reader in &mut state.readers {
            reader.reads = shards.contains(&reader.shard);
        }
        for shard in shards {
            if state.readers.iter().any(|reader| reader.shard == *shard) {
                continue;
            }
            let next = &mut self.next_handle[usize::from(shard.0)];
            let handle = SeriesHandle(*next);
            *next += 1;
            state.readers.push(Reader {
                shard: *shard,
                handle,
                reads: true,
            });
            define(*shard, handle);
        }
    }

    /// Tells whether a shard can number that many more series.
    pub fn has_handles(&self, n: usize) -> bool {
        let fits = |next: &u32| u64::from(*next) + (n as u64) < u64::from(u32::MAX);
        self.next_handle.iter().all(fits)
    }

    /// Looks at the next `n_places` places and forgets series silent for longer than `silent`.
    /// Returns the encodings under which forgotten ones were published.
    pub fn forget_silent(
        &mut self,
        n_places: u32,
        silent: DurationMs,
        wall: TimestampMs,
    ) -> Option<Vec<u128>> {
        let oldest = minute(wall - silent);
        let (mut aliases, mut any) = (Vec::new(), false);
        for _ in 0..n_places.min(self.n_places) {
            self.hand = if self.hand + 1 >= self.n_places {
                0
            } else {
                self.hand + 1
            };
            let at = self.hand;
            let state = self.get_mut(at);
            if !state.in_use || state.seen_minute >= oldest {
                continue;
            }
            state.in_use = false;
            aliases.extend(std::mem::take(&mut state.aliases));
            state.readers = SmallVec::new();
            let identity = state.identity;
            self.by_identity[(identity >> 122) as usize].remove(&identity);
            self.free.push(at);
            any = true;
        }
        any.then_some(aliases)
    }

    /// Returns the number of places, used or free.
    pub fn n_places(&self) -> u32 {
        self.n_places
    }
}
