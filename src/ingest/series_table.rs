//! The writer's side of every series that a rule reads: its handles and its newest sample.
//!
//! One per node, used under the node's lock. A series is found by its identity, the keyed hash
//! of its sorted labels, so that two encodings of one series, and two generations of rules, reach
//! the same handles. Handles of a shard grow by one and are never reused; the table's own places
//! are, once a series was silent for long: the node then routes requests under way anew.
//!
//! Memory: 64 bytes a series, which are one cache line for its sample, and 6 to 12 in the index.
//! What few series have (several readers, several encodings) lies apart. No step takes long: the
//! index is in 64 parts, the states in blocks that never move.

use hashbrown::HashTable;

use crate::ingest::route::ShardId;
use crate::ingest::route_table::{RouteHint, TARGET_MASK};
use crate::ingest::sequencer::Target;
use crate::ingest::series_owners::{SenderNumber, SeriesOwners};
use crate::model::{BlockList, DurationMs, FloatHistogram, Generation, SeriesHandle, TimestampMs};

const PARTS: usize = 64;
/// Encodings remembered per series; more are looked up by their labels every time.
const ALIASES_MAX: usize = 4;

/// A shard that reads, or once read, a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reader {
    shard: ShardId,
    /// The series' number there.
    handle: SeriesHandle,
    /// Whether the current rules read it there.
    reads: bool,
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
#[repr(align(64))]
pub struct SeriesState {
    identity: u128,
    /// The instant of the newest sample; [`TimestampMs::MIN`] before the first.
    newest: TimestampMs,
    /// Its value, of the kind that `newest_is_histogram` says.
    newest_bits: u64,
    /// What the first reader and the first encoding leave over.
    more: Option<Box<More>>,
    /// The handle that the first shard to read it knows it by.
    handle: SeriesHandle,
    seen_minute: u32,
    /// The low bits of the generation under which readers were last determined.
    generation: u32,
    /// Where the first encoding was published.
    alias: RouteHint,
    shard: ShardId,
    target: u16,
    newest_is_histogram: bool,
    first: First,
    has_alias: bool,
    in_use: bool,
}

/// Whether `shard` and `handle` of a [`SeriesState`] say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    None,
    /// The shard once read the series.
    HasRead,
    Reads,
}

/// What few series have.
#[derive(Clone, Debug, Default)]
struct More {
    readers: Vec<Reader>,
    aliases: Vec<RouteHint>,
}

impl SeriesState {
    fn new(identity: u128, target: Target, wall: TimestampMs) -> Self {
        SeriesState {
            identity,
            newest: TimestampMs::MIN,
            newest_bits: 0,
            more: None,
            handle: SeriesHandle(0),
            seen_minute: minute(wall),
            generation: 0,
            alias: RouteHint::default(),
            shard: ShardId(0),
            target: (target.0 & TARGET_MASK) as u16,
            newest_is_histogram: false,
            first: First::None,
            has_alias: false,
            in_use: true,
        }
    }

    /// Returns the job and instance it belongs to.
    #[inline]
    pub fn target(&self) -> Target {
        Target(u32::from(self.target))
    }

    /// Compares a sample with the newest one.
    #[inline]
    pub fn judge(&self, at: TimestampMs, value: ValueBits) -> Verdict {
        if at > self.newest {
            return Verdict::Newer;
        }
        if at < self.newest {
            return Verdict::Older;
        }
        let newest = match self.newest_is_histogram {
            true => ValueBits::Histogram(self.newest_bits),
            false => ValueBits::Float(self.newest_bits),
        };
        if newest == value {
            Verdict::Duplicate
        } else {
            Verdict::Conflict
        }
    }

    /// Notes an accepted newest sample.
    #[inline]
    pub fn set_newest(&mut self, at: TimestampMs, value: ValueBits) {
        self.newest = at;
        (self.newest_is_histogram, self.newest_bits) = match value {
            ValueBits::Float(bits) => (false, bits),
            ValueBits::Histogram(bits) => (true, bits),
        };
    }

    /// Notes that the series was written to.
    #[inline]
    pub fn touch(&mut self, wall: TimestampMs) {
        self.seen_minute = minute(wall);
    }

    /// Iterates over the shards that read the series now.
    #[inline]
    pub fn readers(&self) -> impl Iterator<Item = (ShardId, SeriesHandle)> {
        let first = (self.first == First::Reads).then_some((self.shard, self.handle));
        let more = self.more.iter().flat_map(|more| &more.readers);
        let reading = more.filter(|reader| reader.reads);
        let reading = reading.map(|reader| (reader.shard, reader.handle));
        first.into_iter().chain(reading)
    }

    /// Tells whether a shard has a handle for it.
    fn has_reader(&self, shard: ShardId) -> bool {
        let is_first = self.first != First::None && self.shard == shard;
        let mut more = self.more.iter().flat_map(|more| &more.readers);
        is_first || more.any(|reader| reader.shard == shard)
    }

    fn set_reading(&mut self, shards: &[ShardId]) {
        if self.first != First::None {
            let reads = shards.contains(&self.shard);
            self.first = if reads { First::Reads } else { First::HasRead };
        }
        for reader in self.more.iter_mut().flat_map(|more| &mut more.readers) {
            reader.reads = shards.contains(&reader.shard);
        }
    }

    fn add_reader(&mut self, shard: ShardId, handle: SeriesHandle, reads: bool) {
        if self.first == First::None {
            let first = if reads { First::Reads } else { First::HasRead };
            (self.first, self.shard, self.handle) = (first, shard, handle);
            return;
        }
        let more = self.more.get_or_insert_default();
        more.readers.push(Reader {
            shard,
            handle,
            reads,
        });
    }

    fn aliases(&self) -> impl Iterator<Item = RouteHint> {
        let more = self.more.iter().flat_map(|more| &more.aliases);
        self.has_alias
            .then_some(self.alias)
            .into_iter()
            .chain(more.copied())
    }

    /// Remembers an encoding; returns whether it may be published.
    pub fn add_alias(&mut self, raw_hash: u128) -> bool {
        let hint = RouteHint::of(raw_hash);
        if self.aliases().any(|known| known == hint) {
            return true;
        }
        if self.aliases().count() == ALIASES_MAX {
            return false;
        }
        if self.has_alias {
            self.more.get_or_insert_default().aliases.push(hint);
        } else {
            (self.has_alias, self.alias) = (true, hint);
        }
        true
    }

    fn forget_aliases(&mut self) {
        self.has_alias = false;
        if let Some(more) = &mut self.more {
            more.aliases.clear();
        }
    }
}

fn minute(wall: TimestampMs) -> u32 {
    u32::try_from(wall.0 / 60_000).unwrap_or(0)
}

/// All series that are read.
#[derive(Debug)]
pub struct SeriesTable {
    /// Places by identity.
    by_identity: Vec<HashTable<u32>>,
    states: BlockList<SeriesState>,
    free: Vec<u32>,
    next_handle: Vec<u32>,
    /// Where the next look for silent series begins.
    hand: u32,
    /// Who brought them, where that is limited.
    owners: Option<SeriesOwners>,
}

/// Identities are keyed hashes: any bits of theirs are as good as others.
#[inline]
fn part_of(identity: u128) -> usize {
    (identity >> 122) as usize
}

impl SeriesTable {
    /// Returns an empty table for as many shards.
    pub fn new(n_shards: usize) -> Self {
        SeriesTable {
            by_identity: vec![HashTable::new(); PARTS],
            states: BlockList::default(),
            free: Vec::new(),
            next_handle: vec![0; n_shards],
            hand: 0,
            owners: None,
        }
    }

    /// Lets every sender bring so many series; 0 lets them bring any number.
    pub fn limited_per_sender(self, limit: usize) -> Self {
        SeriesTable {
            owners: (limit > 0).then(|| SeriesOwners::new(limit)),
            ..self
        }
    }

    /// Returns the number of a sender, where it matters who brings series.
    pub fn sender(&mut self, name: &str) -> SenderNumber {
        let owners = self.owners.as_mut();
        owners.map_or_else(SenderNumber::default, |owners| owners.number(name))
    }

    /// Returns how many series a sender has brought; `None` where that is not limited.
    pub fn n_series_of(&self, sender: SenderNumber) -> Option<usize> {
        Some(self.owners.as_ref()?.n_series(sender))
    }

    /// Tells whether a sender may bring another series.
    pub fn may_bring(&self, sender: SenderNumber) -> bool {
        let owners = self.owners.as_ref();
        owners.is_none_or(|owners| owners.may_bring(sender))
    }

    /// Notes that a sender sends the series at a place.
    #[inline]
    pub fn heard_from(&mut self, at: u32, sender: SenderNumber) {
        if let Some(owners) = &mut self.owners {
            owners.heard(at, sender);
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
        self.states.len() - self.free.len()
    }

    /// Returns the series at a place that [`SeriesTable::insert`] returned.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut SeriesState> {
        self.states.get_mut(at as usize)
    }

    /// Returns the place of the series with this identity.
    pub fn find(&self, identity: u128) -> Option<u32> {
        let is_it = |at: &u32| self.identity(*at) == identity;
        self.by_identity[part_of(identity)]
            .find(identity as u64, is_it)
            .copied()
    }

    fn identity(&self, at: u32) -> u128 {
        let state = self.states.get(at as usize);
        state.map_or(0, |state| state.identity)
    }

    /// Makes a series and returns its place.
    pub fn insert(&mut self, identity: u128, target: Target, wall: TimestampMs) -> u32 {
        let state = SeriesState::new(identity, target, wall);
        let free = self.free.pop();
        let at = match free.and_then(|at| Some((at, self.states.get_mut(at as usize)?))) {
            Some((at, place)) => {
                *place = state;
                at
            }
            None => u32::try_from(self.states.push(state)).unwrap_or(u32::MAX),
        };
        let states = &self.states;
        let hash = |at: &u32| {
            let state = states.get(*at as usize);
            state.map_or(0, |state| state.identity as u64)
        };
        self.by_identity[part_of(identity)].insert_unique(identity as u64, at, hash);
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
        let Some(state) = self.states.get_mut(at as usize) else {
            return;
        };
        let generation = generation.0 as u32;
        if state.generation != generation {
            state.generation = generation;
            // Encodings were published in a table that is no more.
            state.forget_aliases();
        }
        state.set_reading(shards);
        for shard in shards {
            if state.has_reader(*shard) {
                continue;
            }
            let next = &mut self.next_handle[usize::from(shard.0)];
            let handle = SeriesHandle(*next);
            *next += 1;
            state.add_reader(*shard, handle, true);
            define(*shard, handle);
        }
    }

    /// Learns a series that a shard knows by a handle. Passed over where it has another one by now.
    pub fn restore(
        &mut self,
        (identity, target): (u128, Target),
        (shard, handle): (ShardId, SeriesHandle),
        newest: Option<(TimestampMs, ValueBits)>,
        heard_at_wall: TimestampMs,
    ) {
        let at = match self.find(identity) {
            Some(at) => at,
            None => self.insert(identity, target, heard_at_wall),
        };
        let Some(state) = self.states.get_mut(at as usize) else {
            return;
        };
        if state.has_reader(shard) {
            return;
        }
        // Whether the rules read it there is found out with its next sample.
        state.add_reader(shard, handle, false);
        if let Some((newest, value)) = newest.filter(|(newest, _)| *newest > state.newest) {
            state.set_newest(newest, value);
        }
        if let Some(next) = self.next_handle.get_mut(usize::from(shard.0)) {
            *next = (*next).max(handle.0.saturating_add(1));
        }
    }

    /// Tells whether a shard can number that many more series.
    pub fn has_handles(&self, n: usize) -> bool {
        let fits = |next: &u32| u64::from(*next) + (n as u64) < u64::from(u32::MAX);
        self.next_handle.iter().all(fits)
    }

    /// Looks at the next `n_places` places and forgets series silent for longer than `silent`.
    /// Returns where forgotten ones were published, with their places.
    pub fn forget_silent(
        &mut self,
        n_places: u32,
        silent: DurationMs,
        wall: TimestampMs,
    ) -> Option<Vec<(RouteHint, u32)>> {
        let oldest = minute(wall - silent);
        let (mut published, mut any) = (Vec::new(), false);
        for _ in 0..n_places.min(self.n_places()) {
            self.hand = if self.hand + 1 >= self.n_places() {
                0
            } else {
                self.hand + 1
            };
            let at = self.hand;
            let Some(state) = self.states.get_mut(at as usize) else {
                continue;
            };
            if !state.in_use || state.seen_minute >= oldest {
                continue;
            }
            state.in_use = false;
            published.extend(state.aliases().map(|alias| (alias, at)));
            state.more = None;
            let identity = state.identity;
            let part = &mut self.by_identity[part_of(identity)];
            if let Ok(entry) = part.find_entry(identity as u64, |known| *known == at) {
                entry.remove();
            }
            self.free.push(at);
            if let Some(owners) = &mut self.owners {
                owners.forgotten(at);
            }
            any = true;
        }
        any.then_some(published)
    }

    /// Returns the number of places, used or free.
    pub fn n_places(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: TimestampMs = TimestampMs(1_700_000_000_000);

    #[test]
    fn a_series_is_one_cache_line() {
        assert_eq!(size_of::<SeriesState>(), 64);
    }

    #[test]
    fn series_have_a_handle_in_each_shard_that_ever_read_them() {
        let mut table = SeriesTable::new(3);
        let at = table.insert(7, Target(1), WALL);
        let mut defined = Vec::new();
        let mut read_by = |table: &mut SeriesTable, generation, shards: &[u16]| {
            let shards: Vec<ShardId> = shards.iter().map(|shard| ShardId(*shard)).collect();
            table.set_readers(at, Generation(generation), &shards, |shard, handle| {
                defined.push((shard.0, handle.0));
            });
            let state = table.get_mut(at).expect("inserted");
            let readers = state.readers().map(|(shard, handle)| (shard.0, handle.0));
            let readers: Vec<_> = readers.collect();
            (readers, std::mem::take(&mut defined))
        };
        type Handles = &'static [(u16, u32)];
        let cases: [(&[u16], Handles, Handles); 4] = [
            (&[1], &[(1, 0)], &[(1, 0)]),
            (&[0, 2], &[(0, 0), (2, 0)], &[(0, 0), (2, 0)]),
            (&[], &[], &[]),
            (&[1, 2], &[(1, 0), (2, 0)], &[]),
        ];
        for (generation, (shards, reading, new)) in (1..).zip(cases) {
            let (readers, defined) = read_by(&mut table, generation, shards);
            assert_eq!((&readers[..], &defined[..]), (reading, new), "{shards:?}");
        }
    }

    #[test]
    fn silent_series_are_forgotten_and_their_places_used_again() {
        let mut table = SeriesTable::new(1);
        let hour = DurationMs::from_seconds(3_600);
        let identity = |n: u64| crate::ingest::decode::HashKey::new(1).hash(&n.to_le_bytes());
        for n in 0..1_000 {
            let at = table.insert(identity(n), Target(1), WALL);
            for encoding in 0..6 {
                let state = table.get_mut(at).expect("inserted");
                let published = state.add_alias(identity(10_000 + n * 10 + encoding));
                assert_eq!(published, encoding < ALIASES_MAX as u64, "{encoding}");
            }
        }
        for n in 0..500 {
            let at = table.find(identity(n)).expect("inserted");
            let state = table.get_mut(at).expect("found");
            state.touch(WALL + hour + hour);
        }
        let forgotten = table.forget_silent(2_000, hour, WALL + hour + hour);
        let forgotten = forgotten.expect("half of them are silent");
        assert_eq!(
            (forgotten.len(), table.n_series()),
            (500 * ALIASES_MAX, 500)
        );
        assert!(
            table
                .forget_silent(2_000, hour, WALL + hour + hour)
                .is_none()
        );
        for n in 0..1_000 {
            assert_eq!(table.find(identity(n)).is_some(), n < 500, "{n}");
        }
        let at = table.insert(identity(700), Target(1), WALL);
        assert_eq!(
            (table.n_places(), table.find(identity(700))),
            (1_000, Some(at))
        );
    }

    #[test]
    fn samples_are_judged_by_instant_kind_and_value() {
        use ValueBits::{Float, Histogram};
        let mut state = SeriesState::new(1, Target(1), WALL);
        assert_eq!(state.judge(TimestampMs(0), Float(0)), Verdict::Newer);
        state.set_newest(TimestampMs(5), Float(3));
        for (at, value, expected) in [
            (4, Float(3), Verdict::Older),
            (5, Float(3), Verdict::Duplicate),
            (5, Float(4), Verdict::Conflict),
            (5, Histogram(3), Verdict::Conflict),
            (6, Float(3), Verdict::Newer),
        ] {
            assert_eq!(
                state.judge(TimestampMs(at), value),
                expected,
                "{at} {value:?}"
            );
        }
    }
}
