//! A 64th of the table: slots, what a slot's value says, and how it is found, put and changed while
//! others read.
//!
//! Called by the table alone.

use std::sync::Arc;

use crate::ingest::route_table::{Route, RouteEntry};
use crate::ingest::sequencer::Target;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Slots of a cache line.
const BUCKET: usize = 4;
/// Buckets of an empty part: so many that a part that is not crowded has a free slot.
const BUCKETS_MIN: usize = 4;

/// Only the low 16 bits of a target fit.
pub const TARGET_MASK: u32 = (1 << 16) - 1;

// A slot's value, from the top: 28 bits place or kind, 16 bits of the hash, 16 bits target, 4 bits
// age plus one. Kinds are the four highest places. The top bit of a place says that the name is
// recorded.
pub(super) const PLACE_SHIFT: u32 = 36;
pub(super) const HASH_SHIFT: u32 = 20;
pub(super) const HASH_MASK: u64 = 0xffff << HASH_SHIFT;
pub(super) const TARGET_SHIFT: u32 = 4;
pub(super) const AGE_MASK: u64 = 0xf;
pub(super) const UNREAD: u32 = (1 << 28) - 1;
const RECORDED: u32 = UNREAD - 1;
const SEEDABLE: u32 = UNREAD - 2;
/// An entry that was removed; its slot is reclaimed when the part is built anew.
const REMOVED: u32 = UNREAD - 3;
const RECORDED_BIT: u32 = 1 << 27;
/// The most places of series; beyond, they would be mistaken for kinds.
pub const SERIES_MAX: usize = (RECORDED_BIT - 8) as usize;

pub(super) fn pack(entry: RouteEntry, age: u8) -> u64 {
    let place = match entry.route {
        Route::Unread => UNREAD,
        Route::Recorded => RECORDED,
        Route::Seedable => SEEDABLE,
        Route::Series { at, recorded } => at | if recorded { RECORDED_BIT } else { 0 },
    };
    pack_place(place, entry.target.0, age)
}

pub(super) fn pack_place(place: u32, target: u32, age: u8) -> u64 {
    (u64::from(place) << PLACE_SHIFT)
        | (u64::from(target & TARGET_MASK) << TARGET_SHIFT)
        | (u64::from(age) + 1)
}

#[inline]
pub(super) fn unpack(value: u64) -> Option<RouteEntry> {
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
pub(super) fn is_entry(value: u64) -> bool {
    value != 0 && unpack(value).is_some()
}

pub(super) fn is_series(value: u64) -> bool {
    matches!(
        unpack(value),
        Some(RouteEntry {
            route: Route::Series { .. },
            ..
        })
    )
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The low half of the hash.
    pub(super) low: AtomicU64,
    /// 0 = free. Written last, so that whoever sees it sees the hash.
    pub(super) value: AtomicU64,
}

impl Slot {
    /// Writes a value. A swap and not a store, so that it has one place in the order of the values
    /// that readers exchange: one that noted an age was before it, or fails.
    pub(super) fn change(&self, value: u64) {
        self.value.swap(value, Ordering::AcqRel);
    }
}

/// A cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Bucket([Slot; BUCKET]);

/// A 64th of the table. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) buckets: Arc<[Bucket]>,
    /// Slots taken, removed ones included; only the writer uses it.
    pub(super) n_taken: Arc<AtomicUsize>,
}

impl Part {
    /// Returns an empty part that is three quarters full with `n` entries.
    pub(super) fn with_room_for(n: usize) -> Part {
        let n_buckets = (n * 4 / 3).div_ceil(BUCKET).max(BUCKETS_MIN);
        Part {
            buckets: (0..n_buckets).map(|_| Bucket::default()).collect(),
            n_taken: Arc::default(),
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.buckets.iter().flat_map(|bucket| &bucket.0)
    }

    pub(super) fn n_slots(&self) -> usize {
        self.buckets.len() * BUCKET
    }

    /// The place where a look-up begins.
    #[inline]
    pub(super) fn bucket_of(&self, low: u64) -> usize {
        ((u128::from(low) * self.buckets.len() as u128) >> 64) as usize
    }

    /// The slot that holds a hash, or the free one where it would go.
    #[inline]
    pub(super) fn find(&self, low: u64, hash_bits: u64) -> (&Slot, u64) {
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
    pub(super) fn rebuilt(&self, room_for: usize, keep: impl Fn(u64) -> bool) -> Part {
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
    pub(super) fn put(&self, low: u64, value: u64) {
        let (slot, before) = self.find(low, value & HASH_MASK);
        if before == 0 {
            slot.low.store(low, Ordering::Relaxed);
            self.n_taken.fetch_add(1, Ordering::Relaxed);
        }
        slot.change(value);
    }

    /// Removes what leads to the series at a place and begins its look-up where one of these
    /// halves of a hash does: one bucket, or two.
    pub(super) fn remove_series(&self, (least, greatest): (u64, u64), at: u32) {
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

    pub(super) fn is_crowded(&self) -> bool {
        self.n_taken.load(Ordering::Relaxed) * 8 >= self.n_slots() * 7
    }
}

impl Part {
    pub(super) fn n_unread(&self) -> usize {
        let values = self.slots().map(|s| s.value.load(Ordering::Acquire));
        let counts = |value: &u64| is_entry(*value) && !is_series(*value);
        values.filter(counts).count()
    }
}

/// Asks for a cache line, and does not wait for it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(
    unsafe_code,
    reason = "there is no stable safe way to ask for a cache line"
)]
pub(super) fn prefetch(bucket: &Bucket) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: prefetching reads and writes nothing that a program can see; the address is that
    // of a reference, though any would do.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(bucket).cast()) }
}

/// Elsewhere the look-up itself asks.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn prefetch(_bucket: &Bucket) {}
