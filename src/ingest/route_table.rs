//! From a series' hash to where its samples go: read by many threads without a lock, written by
//! one thread at a time.
//!
//! Open addressing in 64 parts, each a plain array of atomics. A look-up touches one cache line
//! mostly and never waits; a part that grows or is swept is built anew and swapped in, so that no
//! write takes longer than copying a 64th of the table. The table is a cache: whatever is missing
//! is found anew from the labels, so losing an entry costs time, never truth.
//!
//! Memory: 24 bytes a slot, 60 to 80 % of them used, so 30 to 40 bytes a series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::ingest::sequencer::Target;

/// Parts of the table; the top bits of a hash choose one.
const PARTS: usize = 64;
/// Slots of an empty part.
const SLOTS_MIN: usize = 16;
/// Ages are counted modulo this, so that age plus one fits a byte and is never 0.
const AGES: u64 = 255;

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
    /// Their target; 24 bits are kept.
    pub target: Target,
}

/// Only the low 24 bits of a target fit.
pub const TARGET_MASK: u32 = (1 << 24) - 1;

// A slot's value, from the top: 32 bits place or kind, 24 bits target, 8 bits age plus one.
// Kinds are the four highest places. Bit 31 of a place says that the name is recorded.
const UNREAD: u32 = u32::MAX;
const RECORDED: u32 = u32::MAX - 1;
const SEEDABLE: u32 = u32::MAX - 2;
/// An entry that was removed; its slot is reclaimed when the part is built anew.
const REMOVED: u32 = u32::MAX - 3;
const RECORDED_BIT: u32 = 1 << 31;
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
    (u64::from(place) << 32) | (u64::from(target & TARGET_MASK) << 8) | (u64::from(age) + 1)
}

fn unpack(value: u64) -> Option<RouteEntry> {
    let place = (value >> 32) as u32;
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
    let target = Target((value >> 8) as u32 & TARGET_MASK);
    Some(RouteEntry { route, target })
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
    high: AtomicU64,
    low: AtomicU64,
    /// 0 = free. Written last, so that whoever sees it sees the hash.
    value: AtomicU64,
}

#[derive(Debug)]
struct Part {
    slots: Box<[Slot]>,
    /// Slots taken, removed ones included; only the writer uses it.
    n_taken: AtomicUsize,
}

impl Part {
    fn with_slots(n: usize) -> Part {
        Part {
            slots: (0..n).map(|_| Slot::default()).collect(),
            n_taken: AtomicUsize::new(0),
        }
    }

    /// The slot that holds `hash`, or the free one where it would go.
    #[inline]
    fn find(&self, hash: u128) -> (&Slot, u64) {
        let (high, low) = ((hash >> 64) as u64, hash as u64);
        let n = self.slots.len();
        let mut at = ((u128::from(low) * n as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            let value = slot.value.load(Ordering::Acquire);
            // There is always a free slot: parts grow before they are full.
            if value == 0
                || (slot.high.load(Ordering::Relaxed) == high
                    && slot.low.load(Ordering::Relaxed) == low)
            {
                return (slot, value);
            }
            at += 1;
            if at == n {
                at = 0;
            }
        }
    }

    /// Copies what `keep` keeps into a part of fitting size.
    fn rebuilt(&self, room_for: usize, keep: impl Fn(u64) -> bool) -> Part {
        let taken = || {
            let values = self.slots.iter().map(|slot| {
                let value = slot.value.load(Ordering::Acquire);
                (slot, value)
            });
            values.filter(|(_, value)| *value != 0 && unpack(*value).is_some() && keep(*value))
        };
        let n = taken().count();
        let part = Part::with_slots(((n + room_for) * 5 / 3).max(SLOTS_MIN));
        for (slot, value) in taken() {
            let (high, low) = (&slot.high, &slot.low);
            let (high, low) = (high.load(Ordering::Relaxed), low.load(Ordering::Relaxed));
            part.put((u128::from(high) << 64) | u128::from(low), value);
        }
        part
    }

    fn put(&self, hash: u128, value: u64) {
        let (slot, before) = self.find(hash);
        if before == 0 {
            slot.high.store((hash >> 64) as u64, Ordering::Relaxed);
            slot.low.store(hash as u64, Ordering::Relaxed);
            self.n_taken.fetch_add(1, Ordering::Relaxed);
        }
        slot.value.store(value, Ordering::Release);
    }

    fn is_crowded(&self) -> bool {
        self.n_taken.load(Ordering::Relaxed) * 5 >= self.slots.len() * 4
    }
}

/// The table.
#[derive(Debug)]
pub struct RouteTable {
    parts: Vec<ArcSwap<Part>>,
    /// The age that look-ups leave on entries; moves on with every full sweep.
    age: AtomicU64,
    /// Entries that are not series.
    n_unread: AtomicUsize,
}

/// A view of the table for the length of a request.
pub struct RouteView {
    parts: [Arc<Part>; PARTS],
    age: u8,
}

impl Default for RouteTable {
    fn default() -> Self {
        let part = || ArcSwap::from_pointee(Part::with_slots(SLOTS_MIN));
        RouteTable {
            parts: (0..PARTS).map(|_| part()).collect(),
            age: AtomicU64::new(0),
            n_unread: AtomicUsize::new(0),
        }
    }
}

impl RouteTable {
    /// Returns a view for looking up many hashes.
    pub fn view(&self) -> RouteView {
        RouteView {
            parts: std::array::from_fn(|at| self.parts[at].load_full()),
            age: (self.age.load(Ordering::Relaxed) % AGES) as u8,
        }
    }

    /// Returns the number of entries that are not series.
    pub fn n_unread(&self) -> usize {
        self.n_unread.load(Ordering::Relaxed)
    }

    /// Returns the bytes of all slots.
    pub fn heap_bytes(&self) -> usize {
        let slots: usize = self.parts.iter().map(|part| part.load().slots.len()).sum();
        slots * size_of::<Slot>()
    }

    /// Looks one hash up, for the writer.
    pub fn get(&self, hash: u128) -> Option<RouteEntry> {
        let part = self.parts[part_of(hash)].load();
        let (_, value) = part.find(hash);
        if value == 0 { None } else { unpack(value) }
    }

    /// Sets an entry. One thread at a time.
    pub fn set(&self, hash: u128, entry: RouteEntry) {
        let at = part_of(hash);
        if self.parts[at].load().is_crowded() {
            let part = self.parts[at].load_full();
            let more = part.n_taken.load(Ordering::Relaxed) / 8;
            self.parts[at].store(Arc::new(part.rebuilt(more + 1, |_| true)));
        }
        let part = self.parts[at].load();
        let (_, before) = part.find(hash);
        let age = (self.age.load(Ordering::Relaxed) % AGES) as u8;
        let value = pack(entry, age);
        self.count(before, value);
        part.put(hash, value);
    }

    /// Removes an entry. One thread at a time.
    pub fn remove(&self, hash: u128) {
        let part = self.parts[part_of(hash)].load();
        let (_, before) = part.find(hash);
        if before != 0 {
            let value = pack_place(REMOVED, 0, 0);
            self.count(before, value);
            part.put(hash, value);
        }
    }

    fn count(&self, before: u64, after: u64) {
        let counts = |value: u64| value != 0 && unpack(value).is_some() && !is_series(value);
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
            let age = (value & 0xff).wrapping_sub(1);
            let since = (now % AGES + AGES - age) % AGES;
            !is_series(value) && since >= ages_kept
        };
        let current = self.parts[at].load_full();
        let values = current
            .slots
            .iter()
            .map(|s| s.value.load(Ordering::Acquire));
        let live = |value: &u64| *value != 0 && unpack(*value).is_some();
        let n_old = values.filter(|value| live(value) && old(*value)).count();
        if n_old > 0 {
            let rebuilt = current.rebuilt(1, |value| !old(value));
            let dropped = current.n_unread().saturating_sub(rebuilt.n_unread());
            self.n_unread.fetch_sub(dropped, Ordering::Relaxed);
            self.parts[at].store(Arc::new(rebuilt));
        }
        if at + 1 == PARTS {
            self.age.store(now + 1, Ordering::Relaxed);
        }
    }
}

impl Part {
    fn n_unread(&self) -> usize {
        let values = self.slots.iter().map(|s| s.value.load(Ordering::Acquire));
        let counts = |value: &u64| *value != 0 && unpack(*value).is_some() && !is_series(*value);
        values.filter(counts).count()
    }
}

#[inline]
fn part_of(hash: u128) -> usize {
    (hash >> 122) as usize
}

impl RouteView {
    /// Looks a hash up and notes that it was seen.
    #[inline]
    pub fn get(&self, hash: u128) -> Option<RouteEntry> {
        let (slot, value) = self.parts[part_of(hash)].find(hash);
        if value == 0 {
            return None;
        }
        let seen = (value & !0xff) | (u64::from(self.age) + 1);
        if seen != value {
            // Loses against the writer and against other readers, which is as good.
            let _ = slot
                .value
                .compare_exchange(value, seen, Ordering::Release, Ordering::Relaxed);
        }
        unpack(value)
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
        }
        let view = table.view();
        for n in 0..50_000 {
            assert_eq!(view.get(hash(n)), Some(entry(route(n))), "{n}");
        }
        assert_eq!(view.get(hash(50_000)), None);
        assert_eq!(table.n_unread(), 37_500);
        let bytes_per_series = table.heap_bytes() / 50_000;
        assert!(bytes_per_series <= 48, "{bytes_per_series}");
    }

    #[test]
    fn removed_entries_are_gone_and_may_come_back() {
        let table = RouteTable::default();
        table.set(hash(1), entry(Route::Unread));
        table.remove(hash(1));
        assert_eq!((table.get(hash(1)), table.n_unread()), (None, 0));
        assert_eq!(table.view().get(hash(1)), None);
        table.set(hash(1), entry(Route::Recorded));
        assert_eq!(table.get(hash(1)), Some(entry(Route::Recorded)));
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
            table.view().get(hash(2));
            (0..PARTS).for_each(|part| table.sweep(part, 3));
        }
        assert_eq!(table.get(hash(1)), None);
        assert_eq!(table.get(hash(2)), Some(entry(Route::Unread)));
        assert_eq!(table.get(hash(3)), Some(entry(series)));
        assert_eq!(table.n_unread(), 1);
    }
}
