//! What an engine knows of series by their handles: a table that is indexed, not searched.
//!
//! The handles of a shard grow by one and are never reused, so a handle is a place in a list. What
//! is known of a series lies in a slot of another list, whose slots are used again; so a series
//! that was forgotten costs four bytes, until all series that came before it are forgotten, too.
//! Only handles that the log has defined are asked for, and they are defined in order.

use std::collections::VecDeque;

use crate::model::{BlockList, SeriesHandle};

/// Says that nothing is known of a handle.
const NO_SLOT: u32 = u32::MAX;

/// Values by handle.
#[derive(Clone, Debug)]
pub struct HandleTable<T> {
    /// The handle that `slots` begins with.
    first: u32,
    /// The slot of each handle from there on.
    slots: VecDeque<u32>,
    /// What has no slot is a leftover.
    values: BlockList<T>,
    free: Vec<u32>,
}

impl<T> Default for HandleTable<T> {
    fn default() -> Self {
        HandleTable {
            first: 0,
            slots: VecDeque::new(),
            values: BlockList::default(),
            free: Vec::new(),
        }
    }
}

impl<T: Default> HandleTable<T> {
    /// Returns what is known of a series.
    #[inline]
    pub fn get(&self, handle: SeriesHandle) -> Option<&T> {
        self.values.get(self.slot(handle)?)
    }

    /// Returns what is known of a series, to change it.
    #[inline]
    pub fn get_mut(&mut self, handle: SeriesHandle) -> Option<&mut T> {
        let slot = self.slot(handle)?;
        self.values.get_mut(slot)
    }

    /// Sets what is known of a series; returns what was known.
    pub fn insert(&mut self, handle: SeriesHandle, value: T) -> Option<T> {
        if let Some(known) = self.get_mut(handle) {
            return Some(std::mem::replace(known, value));
        }
        let place = self.make_place(handle);
        let free = self.free.pop();
        let slot = match free.and_then(|slot| Some((slot, self.values.get_mut(slot as usize)?))) {
            Some((slot, free)) => {
                *free = value;
                slot
            }
            None => u32::try_from(self.values.push(value)).unwrap_or(NO_SLOT),
        };
        self.slots[place] = slot;
        None
    }

    /// Forgets a series; returns what was known of it.
    pub fn remove(&mut self, handle: SeriesHandle) -> Option<T> {
        let slot = self.slot(handle)?;
        let value = std::mem::take(self.values.get_mut(slot)?);
        self.slots[(handle.0 - self.first) as usize] = NO_SLOT;
        self.free.push(u32::try_from(slot).unwrap_or(NO_SLOT));
        while self.slots.front() == Some(&NO_SLOT) {
            self.slots.pop_front();
            self.first += 1;
        }
        Some(value)
    }

    /// Iterates over all series, ascending by handle.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesHandle, &T)> {
        self.iter_from(SeriesHandle(0))
    }

    /// Iterates over the series from a handle on, ascending.
    pub fn iter_from(&self, handle: SeriesHandle) -> impl Iterator<Item = (SeriesHandle, &T)> {
        let place = handle.0.saturating_sub(self.first) as usize;
        let slots = self.slots.range(place.min(self.slots.len())..);
        let handles = self.first.max(handle.0)..;
        handles.zip(slots).filter_map(|(handle, slot)| {
            let value = self.values.get(*slot as usize)?;
            Some((SeriesHandle(handle), value))
        })
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    #[inline]
    fn slot(&self, handle: SeriesHandle) -> Option<usize> {
        let place = handle.0.checked_sub(self.first)?;
        // What has no slot is beyond the end of all values.
        self.slots.get(place as usize).map(|slot| *slot as usize)
    }

    /// Returns the place of a handle in `slots`, making it where there is none.
    fn make_place(&mut self, handle: SeriesHandle) -> usize {
        if self.slots.is_empty() {
            self.first = handle.0;
        }
        while handle.0 < self.first {
            self.slots.push_front(NO_SLOT);
            self.first -= 1;
        }
        let place = (handle.0 - self.first) as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, NO_SLOT);
        }
        place
    }
}

/// The handle of the series at each place in the store, four bytes a place; series that are
/// recorded have none.
#[derive(Clone, Debug, Default)]
pub struct HandleByPlace(Vec<u32>);

/// Says that the series at a place has no handle. Handles end before it.
const NO_HANDLE: u32 = u32::MAX;

impl HandleByPlace {
    /// Returns the handle of the series at a place.
    pub fn get(&self, place: usize) -> Option<SeriesHandle> {
        let handle = self.0.get(place).filter(|handle| **handle != NO_HANDLE)?;
        Some(SeriesHandle(*handle))
    }

    /// Sets the handle of the series at a place; returns the one that it had.
    pub fn set(&mut self, place: usize, handle: SeriesHandle) -> Option<SeriesHandle> {
        if place >= self.0.len() {
            self.0.resize(place + 1, NO_HANDLE);
        }
        let before = self.get(place);
        self.0[place] = handle.0;
        before
    }

    /// Forgets the handle of the series at a place; returns the one that it had.
    pub fn remove(&mut self, place: usize) -> Option<SeriesHandle> {
        let before = self.get(place)?;
        self.0[place] = NO_HANDLE;
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_table_is_a_map_by_handle(
            steps in prop::collection::vec((0u32..40, 0u8..3, any::<u16>()), 0..200)
        ) {
            let (mut table, mut map) = (HandleTable::default(), BTreeMap::new());
            for (handle, what, value) in steps {
                // Handles in use wander upwards, as they do in life.
                let handle = SeriesHandle(1_000 + handle + u32::from(value % 4) * 40);
                match what {
                    0 => prop_assert_eq!(table.remove(handle), map.remove(&handle)),
                    _ => prop_assert_eq!(table.insert(handle, value), map.insert(handle, value)),
                }
                prop_assert_eq!(table.get(handle), map.get(&handle));
                prop_assert_eq!(table.get_mut(handle), map.get_mut(&handle));
                let all: Vec<_> = table.iter().map(|(handle, value)| (handle, *value)).collect();
                let expected: Vec<_> = map.iter().map(|(h, value)| (*h, *value)).collect();
                prop_assert_eq!(all, expected);
                prop_assert_eq!(table.len(), map.len());
            }
        }
    }

    #[test]
    fn what_was_forgotten_leaves_no_room_taken() {
        let mut table = HandleTable::default();
        for handle in 0..10_000 {
            table.insert(SeriesHandle(handle), handle);
            if handle >= 10 {
                table.remove(SeriesHandle(handle - 10));
            }
        }
        assert_eq!(
            (table.len(), table.slots.len(), table.values.len()),
            (10, 10, 11)
        );
    }
}
