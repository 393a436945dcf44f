//! From a series' hash to where its samples go: read by many threads without a lock, written by
//! one thread at a time.
//!
//! Open addressing in 64 parts, each a plain array of atomics. A look-up touches one cache line
//! mostly and never waits; a part that grows or is swept is built anew and swapped in, so that no
//! write takes longer than copying a 64th of the table. The table is a cache: whatever is missing
//! is found anew from the labels, so losing an entry costs time, never truth.
//!
//! Of a hash 86 bits are told apart: its slot holds 80, and six chose the part. Hashes are keyed, so
//! that of five million series two are mistaken for each other in one of 10¹² processes.
//!
//! Memory: 16 bytes a slot, 67 to 88 % of them used, so 18 to 24 bytes a series.

#[cfg(all(test, model_check))]
mod models;
mod part;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ingest::route_table::part::{
    AGE_MASK, HASH_MASK, HASH_SHIFT, PLACE_SHIFT, Part, Slot, TARGET_SHIFT, UNREAD, is_entry,
    is_series, pack, prefetch, unpack,
};
use crate::ingest::sequencer::Target;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

pub use part::{SERIES_MAX, TARGET_MASK};

/// Parts of the table; the top bits of a hash choose one.
const PARTS: usize = 64;
/// Ages are counted modulo this, so that age plus one fits four bits and is never 0.
const AGES: u64 = 15;

/// What becomes of a series' samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// No rule reads it: dropped.
    Unread,
    /// A rule records its name and none reads it: dropped.
    Recorded,
    /// A rule records its name and some read it: dropped, except to seed history; no series
    /// has been made for it yet.
    Seedable,
    /// To the series at this place of the writer's table.
    Series {
        /// The place.
        at: u32,
        /// Whether a rule records its name, so that only seeding samples are taken.
        recorded: bool,
    },
}

/// An entry: where the samples go, and whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where they go.
    pub route: Route,
    /// Their target; 16 bits are kept.
    pub target: Target,
}

/// What a look-up finds, as it lies in the table: one word, read only as far as is asked.
#[derive(Clone, Copy, Debug)]
pub struct Found(u64);

impl Found {
    /// Returns the entry, if there is one.
    #[inline]
    pub fn entry(self) -> Option<RouteEntry> {
        if self.0 == 0 { None } else { unpack(self.0) }
    }

    /// Returns the target of a series that no rule reads or records; `None` of all others.
    #[inline]
    pub fn unread(self) -> Option<Target> {
        let is_unread = (self.0 >> PLACE_SHIFT) as u32 == UNREAD;
        is_unread.then_some(Target((self.0 >> TARGET_SHIFT) as u32 & TARGET_MASK))
    }
}

/// A hash as the table uses it.
#[derive(Clone, Copy)]
struct Place {
    part: usize,
    low: u64,
    /// Where they lie in a value.
    hash_bits: u64,
}

impl Place {
    #[inline]
    fn of(hash: u128) -> Place {
        let high = (hash >> 64) as u64;
        Place {
            part: (high >> 58) as usize,
            low: hash as u64,
            hash_bits: (high << HASH_SHIFT) & HASH_MASK,
        }
    }
}

/// Where an entry is looked for when its hash is no longer known: the part, and the top bits of the
/// half that chooses the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteHint(u32);

/// Bits of a hint that are not its part.
const HINT_BITS: u32 = 26;

impl RouteHint {
    /// Returns the hint of a hash.
    #[inline]
    pub fn of(hash: u128) -> RouteHint {
        let place = Place::of(hash);
        let top = (place.low >> (64 - HINT_BITS)) as u32;
        RouteHint((place.part as u32) << HINT_BITS | top)
    }

    fn part(self) -> usize {
        (self.0 >> HINT_BITS) as usize
    }

    /// The least and the greatest half that the hint may stand for.
    fn lows(self) -> (u64, u64) {
        let least = u64::from(self.0) << (64 - HINT_BITS);
        (least, least | (u64::MAX >> HINT_BITS))
    }
}

type Parts = [Part; PARTS];

/// The table.
#[derive(Debug)]
pub struct RouteTable {
    parts: ArcSwap<Parts>,
    /// The age that look-ups leave on entries; moves on with every full sweep.
    age: AtomicU64,
    /// Entries that are not series.
    n_unread: AtomicUsize,
}

/// A view of the table for the length of a request.
pub struct RouteView {
    parts: Arc<Parts>,
    age: u8,
}

impl Default for RouteTable {
    fn default() -> Self {
        let part = |_| Part::with_room_for(0);
        RouteTable {
            parts: ArcSwap::from_pointee(std::array::from_fn(part)),
            age: AtomicU64::new(0),
            n_unread: AtomicUsize::new(0),
        }
    }
}

impl RouteTable {
    /// Returns a view for looking up many hashes.
    pub fn view(&self) -> RouteView {
        RouteView {
            parts: self.parts.load_full(),
            age: (self.age.load(Ordering::Relaxed) % AGES) as u8,
        }
    }

    /// Puts a part in the place of another.
    fn swap(&self, at: usize, part: Part) {
        let mut parts = Parts::clone(&self.parts.load());
        parts[at] = part;
        self.parts.store(Arc::new(parts));
    }

    /// Returns the number of entries that are not series.
    pub fn n_unread(&self) -> usize {
        self.n_unread.load(Ordering::Relaxed)
    }

    /// Returns the bytes of all slots.
    pub fn heap_bytes(&self) -> usize {
        let parts = self.parts.load();
        let slots: usize = parts.iter().map(|part| part.n_slots()).sum();
        slots * size_of::<Slot>()
    }

    /// Looks one hash up, for the writer.
    pub fn get(&self, hash: u128) -> Option<RouteEntry> {
        let place = Place::of(hash);
        let parts = self.parts.load();
        let (_, value) = parts[place.part].find(place.low, place.hash_bits);
        if value == 0 { None } else { unpack(value) }
    }

    /// Sets an entry. One thread at a time.
    pub fn set(&self, hash: u128, entry: RouteEntry) {
        let place = Place::of(hash);
        let part = self.parts.load()[place.part].clone();
        if part.is_crowded() {
            let more = part.n_taken.load(Ordering::Relaxed) / 8;
            self.swap(place.part, part.rebuilt(more + 1, |_| true));
        }
        let age = (self.age.load(Ordering::Relaxed) % AGES) as u8;
        self.put(place, pack(entry, age));
    }

    /// Removes the entries of the series at a place that a hint leads to. One thread at a time.
    pub fn remove_series(&self, hint: RouteHint, at: u32) {
        let (least, greatest) = hint.lows();
        self.parts.load()[hint.part()].remove_series((least, greatest), at);
    }

    fn put(&self, place: Place, value: u64) {
        let parts = self.parts.load();
        let part = &parts[place.part];
        let (_, before) = part.find(place.low, place.hash_bits);
        self.count(before, value);
        part.put(place.low, value | place.hash_bits);
    }

    fn count(&self, before: u64, after: u64) {
        let counts = |value: u64| is_entry(value) && !is_series(value);
        match (counts(before), counts(after)) {
            (false, true) => drop(self.n_unread.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.n_unread.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Drops from one part what is no series and was not looked up for `ages_kept` ages; the
    /// next age begins when the last part is swept. One thread at a time.
    pub fn sweep(&self, part: usize, ages_kept: u64) {
        let at = part % PARTS;
        let now = self.age.load(Ordering::Relaxed);
        let old = |value: u64| {
            let age = (value & AGE_MASK).wrapping_sub(1);
            let since = (now % AGES + AGES - age) % AGES;
            !is_series(value) && since >= ages_kept
        };
        let current = self.parts.load()[at].clone();
        let values = current.slots().map(|s| s.value.load(Ordering::Acquire));
        let n_old = values
            .filter(|value| is_entry(*value) && old(*value))
            .count();
        if n_old > 0 {
            let rebuilt = current.rebuilt(1, |value| !old(value));
            let dropped = current.n_unread().saturating_sub(rebuilt.n_unread());
            self.n_unread.fetch_sub(dropped, Ordering::Relaxed);
            self.swap(at, rebuilt);
        }
        if at + 1 == PARTS {
            self.age.store(now + 1, Ordering::Relaxed);
        }
    }
}

impl RouteView {
    /// Asks for the cache line of a hash, which a look-up will need soon. In a table larger than
    /// the caches, half of what a known series costs was waiting for that line.
    #[inline]
    pub fn expect(&self, hash: u128) {
        let place = Place::of(hash);
        let part = &self.parts[place.part];
        if let Some(bucket) = part.buckets.get(part.bucket_of(place.low)) {
            prefetch(bucket);
        }
    }

    /// Looks a hash up and notes that it was seen.
    #[inline]
    pub fn find(&self, hash: u128) -> Found {
        let place = Place::of(hash);
        let (slot, value) = self.parts[place.part].find(place.low, place.hash_bits);
        if value == 0 {
            return Found(0);
        }
        let seen = (value & !AGE_MASK) | (u64::from(self.age) + 1);
        if seen != value {
            // Loses against the writer and against other readers, which is as good.
            let _ = slot
                .value
                .compare_exchange(value, seen, Ordering::Release, Ordering::Relaxed);
        }
        Found(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(route: Route) -> RouteEntry {
        RouteEntry {
            route,
            target: Target(7),
        }
    }

    fn hash(n: u64) -> u128 {
        crate::ingest::decode::HashKey::new(1).hash(&n.to_le_bytes())
    }

    #[test]
    fn entries_are_found_while_the_table_grows() {
        let table = RouteTable::default();
        let route = |n: u64| match n % 4 {
            0 => Route::Unread,
            1 => Route::Recorded,
            2 => Route::Seedable,
            _ => Route::Series {
                at: n as u32,
                recorded: n % 8 == 3,
            },
        };
        for n in 0..50_000 {
            table.set(hash(n), entry(route(n)));
            // A look-up in vain ends, however full a part is.
            assert_eq!(table.get(hash(50_000 + n)), None);
        }
        let view = table.view();
        for n in 0..50_000 {
            let found = view.find(hash(n));
            assert_eq!(found.entry(), Some(entry(route(n))), "{n}");
            let target = (route(n) == Route::Unread).then_some(Target(7));
            assert_eq!(found.unread(), target, "{n}");
        }
        assert!(view.find(hash(50_000)).entry().is_none());
        assert_eq!(table.n_unread(), 37_500);
        let bytes_per_series = table.heap_bytes() / 50_000;
        assert!((16..=24).contains(&bytes_per_series), "{bytes_per_series}");
    }

    #[test]
    fn removed_entries_are_gone_and_may_come_back() {
        let table = RouteTable::default();
        let series = |at, recorded| entry(Route::Series { at, recorded });
        let n = 20_000;
        for at in 0..n {
            table.set(hash(u64::from(at)), series(at, at % 2 == 0));
        }
        for at in (0..n).filter(|at| at % 3 == 0) {
            table.remove_series(RouteHint::of(hash(u64::from(at))), at);
        }
        let view = table.view();
        for at in 0..n {
            let kept = Some(series(at, at % 2 == 0));
            let expected = kept.filter(|_| at % 3 != 0);
            assert_eq!(table.get(hash(u64::from(at))), expected, "{at}");
            assert_eq!(view.find(hash(u64::from(at))).entry(), expected, "{at}");
        }
        table.set(hash(0), entry(Route::Recorded));
        assert_eq!(table.get(hash(0)), Some(entry(Route::Recorded)));
        assert_eq!(table.n_unread(), 1);
    }

    #[test]
    fn what_is_not_looked_up_is_swept_but_series_stay() {
        let table = RouteTable::default();
        let series = Route::Series {
            at: 3,
            recorded: false,
        };
        table.set(hash(1), entry(Route::Unread));
        table.set(hash(2), entry(Route::Unread));
        table.set(hash(3), entry(series));
        for _ in 0..6 {
            table.view().find(hash(2));
            (0..PARTS).for_each(|part| table.sweep(part, 3));
        }
        assert_eq!(table.get(hash(1)), None);
        assert_eq!(table.get(hash(2)), Some(entry(Route::Unread)));
        assert_eq!(table.get(hash(3)), Some(entry(series)));
        assert_eq!(table.n_unread(), 1);
    }
}
