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

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ingest::sequencer::Target;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Parts of the table; the top bits of a hash choose one.
const PARTS: usize = 64;
/// Slots of a cache line.
const BUCKET: usize = 4;
/// Buckets of an empty part: so many that a part that is not crowded has a free slot.
const BUCKETS_MIN: usize = 4;
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

/// Only the low 16 bits of a target fit.
pub const TARGET_MASK: u32 = (1 << 16) - 1;

// A slot's value, from the top: 28 bits place or kind, 16 bits of the hash, 16 bits target, 4 bits
// age plus one. Kinds are the four highest places. The top bit of a place says that the name is
// recorded.
const PLACE_SHIFT: u32 = 36;
const HASH_SHIFT: u32 = 20;
const HASH_MASK: u64 = 0xffff << HASH_SHIFT;
const TARGET_SHIFT: u32 = 4;
const AGE_MASK: u64 = 0xf;
const UNREAD: u32 = (1 << 28) - 1;
const RECORDED: u32 = UNREAD - 1;
const SEEDABLE: u32 = UNREAD - 2;
/// An entry that was removed; its slot is reclaimed when the part is built anew.
const REMOVED: u32 = UNREAD - 3;
const RECORDED_BIT: u32 = 1 << 27;
/// The most places of series; beyond, they would be mistaken for kinds.
pub const SERIES_MAX: usize = (RECORDED_BIT - 8) as usize;

fn pack(entry: RouteEntry, age: u8) -> u64 {
    let place = match entry.route {
        Route::Unread => UNREAD,
        Route::Recorded => RECORDED,
        Route::Seedable => SEEDABLE,
        Route::Series { at, recorded } => at | if recorded { RECORDED_BIT } else { 0 },
    };
    pack_place(place, entry.target.0, age)
}

fn pack_place(place: u32, target: u32, age: u8) -> u64 {
    (u64::from(place) << PLACE_SHIFT)
        | (u64::from(target & TARGET_MASK) << TARGET_SHIFT)
        | (u64::from(age) + 1)
}

#[inline]
fn unpack(value: u64) -> Option<RouteEntry> {
    let place = (value >> PLACE_SHIFT) as u32;
    let route = match place {
        UNREAD => Route::Unread,
        RECORDED => Route::Recorded,
        SEEDABLE => Route::Seedable,
        REMOVED => return None,
        place => Route::Series {
            at: place & !RECORDED_BIT,
            recorded: place & RECORDED_BIT != 0,
        },
    };
    let target = Target((value >> TARGET_SHIFT) as u32 & TARGET_MASK);
    Some(RouteEntry { route, target })
}

/// Tells whether a value is an entry at all, neither free nor removed.
fn is_entry(value: u64) -> bool {
    value != 0 && unpack(value).is_some()
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

fn is_series(value: u64) -> bool {
    matches!(
        unpack(value),
        Some(RouteEntry {
            route: Route::Series { .. },
            ..
        })
    )
}

#[derive(Debug, Default)]
struct Slot {
    /// The low half of the hash.
    low: AtomicU64,
    /// 0 = free. Written last, so that whoever sees it sees the hash.
    value: AtomicU64,
}

impl Slot {
    /// Writes a value. A swap and not a store, so that it has one place in the order of the values
    /// that readers exchange: one that noted an age was before it, or fails.
    fn change(&self, value: u64) {
        self.value.swap(value, Ordering::AcqRel);
    }
}

/// A cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([Slot; BUCKET]);

/// A 64th of the table. Clones share it.
#[derive(Clone, Debug)]
struct Part {
    buckets: Arc<[Bucket]>,
    /// Slots taken, removed ones included; only the writer uses it.
    n_taken: Arc<AtomicUsize>,
}

impl Part {
    /// Returns an empty part that is three quarters full with `n` entries.
    fn with_room_for(n: usize) -> Part {
        let n_buckets = (n * 4 / 3).div_ceil(BUCKET).max(BUCKETS_MIN);
        Part {
            buckets: (0..n_buckets).map(|_| Bucket::default()).collect(),
            n_taken: Arc::default(),
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.buckets.iter().flat_map(|bucket| &bucket.0)
    }

    fn n_slots(&self) -> usize {
        self.buckets.len() * BUCKET
    }

    /// The place where a look-up begins.
    #[inline]
    fn bucket_of(&self, low: u64) -> usize {
        ((u128::from(low) * self.buckets.len() as u128) >> 64) as usize
    }

    /// The slot that holds a hash, or the free one where it would go.
    #[inline]
    fn find(&self, low: u64, hash_bits: u64) -> (&Slot, u64) {
        let mut at = self.bucket_of(low);
        loop {
            for slot in &self.buckets[at].0 {
                let value = slot.value.load(Ordering::Acquire);
                // There is always a free slot: parts grow before they are full.
                if value == 0
                    || (slot.low.load(Ordering::Relaxed) == low && value & HASH_MASK == hash_bits)
                {
                    return (slot, value);
                }
            }
            at += 1;
            if at == self.buckets.len() {
                at = 0;
            }
        }
    }

    /// Copies what `keep` keeps into a part of fitting size.
    fn rebuilt(&self, room_for: usize, keep: impl Fn(u64) -> bool) -> Part {
        let taken = || {
            let slots = self.slots();
            let values = slots.map(|slot| (slot, slot.value.load(Ordering::Acquire)));
            values.filter(|(_, value)| is_entry(*value) && keep(*value))
        };
        let part = Part::with_room_for(taken().count() + room_for);
        for (slot, value) in taken() {
            part.put(slot.low.load(Ordering::Relaxed), value);
        }
        part
    }

    /// Puts a value with its bits of the hash.
    fn put(&self, low: u64, value: u64) {
        let (slot, before) = self.find(low, value & HASH_MASK);
        if before == 0 {
            slot.low.store(low, Ordering::Relaxed);
            self.n_taken.fetch_add(1, Ordering::Relaxed);
        }
        slot.change(value);
    }

    /// Removes what leads to the series at a place and begins its look-up where one of these
    /// halves of a hash does: one bucket, or two.
    fn remove_series(&self, (least, greatest): (u64, u64), at: u32) {
        for first in self.bucket_of(least)..=self.bucket_of(greatest) {
            let buckets = self.buckets.iter().cycle().skip(first);
            let slots = buckets
                .take(self.buckets.len())
                .flat_map(|bucket| &bucket.0);
            for slot in slots {
                let value = slot.value.load(Ordering::Acquire);
                if value == 0 {
                    break;
                }
                let place = (value >> PLACE_SHIFT) as u32;
                if is_series(value) && place & !RECORDED_BIT == at {
                    let removed = pack_place(REMOVED, 0, 0) | (value & HASH_MASK);
                    slot.change(removed);
                }
            }
        }
    }

    fn is_crowded(&self) -> bool {
        self.n_taken.load(Ordering::Relaxed) * 8 >= self.n_slots() * 7
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

impl Part {
    fn n_unread(&self) -> usize {
        let values = self.slots().map(|s| s.value.load(Ordering::Acquire));
        let counts = |value: &u64| is_entry(*value) && !is_series(*value);
        values.filter(counts).count()
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

/// Asks for a cache line, and does not wait for it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(
    unsafe_code,
    reason = "there is no stable safe way to ask for a cache line"
)]
fn prefetch(bucket: &Bucket) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: prefetching reads and writes nothing that a program can see; the address is that
    // of a reference, though any would do.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(bucket).cast()) }
}

/// Elsewhere the look-up itself asks.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch(_bucket: &Bucket) {}

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

/// Every order in which one writer and readers may go on in a part, searched by loom.
#[cfg(all(test, model_check))]
mod models {
    use super::*;

    const LOW: u64 = 5;
    const OTHER: u64 = 6;

    fn value(at: u32, age: u8) -> u64 {
        let route = Route::Series {
            at,
            recorded: false,
        };
        let target = Target(at);
        pack(RouteEntry { route, target }, age)
    }

    fn entry(value: u64) -> Option<u32> {
        match Found(value).entry()?.route {
            Route::Series { at, .. } => Some(at),
            other => panic!("{other:?} was never put"),
        }
    }

    fn view(part: &Part, age: u8) -> RouteView {
        let parts = std::array::from_fn(|_| part.clone());
        let parts = Arc::new(parts);
        RouteView { parts, age }
    }

    /// A reader finds nothing or what was put, never the value of another hash.
    #[test]
    fn what_is_found_was_put_under_that_hash() {
        loom::model(|| {
            let part = Part::with_room_for(0);
            let writer = part.clone();
            let writing = loom::thread::spawn(move || {
                writer.put(LOW, value(1, 0));
                writer.put(OTHER, value(2, 0));
            });
            let second = entry(part.find(OTHER, 0).1);
            let first = entry(part.find(LOW, 0).1);
            assert!(matches!(second, None | Some(2)));
            assert!(matches!(first, None | Some(1)));
            // Both hashes begin their look-up in one bucket, so the first is there if the second is.
            assert!(second.is_none() || first.is_some());
            writing.join().unwrap();
        });
    }

    /// A reader that notes an age does not bring back what the writer has changed.
    #[test]
    fn noting_an_age_loses_against_a_change() {
        loom::model(|| {
            let part = Part::with_room_for(0);
            part.put(LOW, value(1, 0));
            let readers = [1, 2].map(|age| {
                let view = view(&part, age);
                loom::thread::spawn(move || {
                    let found = view.find(u128::from(LOW));
                    assert!(matches!(entry(found.0), Some(1 | 3)));
                })
            });
            part.put(LOW, value(3, 0));
            for reader in readers {
                reader.join().unwrap();
            }
            assert_eq!(entry(part.find(LOW, 0).1), Some(3));
        });
    }

    /// A part that is built anew while readers note ages has all entries.
    #[test]
    fn building_a_part_anew_loses_no_entry() {
        loom::model(|| {
            let part = Part::with_room_for(0);
            part.put(LOW, value(1, 0));
            let view = view(&part, 3);
            let reading = loom::thread::spawn(move || {
                view.find(u128::from(LOW));
            });
            let rebuilt = part.rebuilt(1, |_| true);
            assert_eq!(entry(rebuilt.find(LOW, 0).1), Some(1));
            reading.join().unwrap();
        });
    }
}
