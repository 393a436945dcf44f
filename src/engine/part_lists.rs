//! Which parts of rules each series belongs to, in four bytes where one label set takes all of its
//! rules apart, as is usual.
//!
//! How many parts a series belongs to is known from the rules that it moves; so a list is one
//! number: the part itself where there is one, the place of the first of several in a common pool.

use std::collections::BTreeMap;

use crate::engine::partitions::PartId;

/// The parts of one series: what it means only [`PartLists`] knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartList(u32);

/// The parts of all series.
#[derive(Clone, Debug, Default)]
pub struct PartLists {
    pool: Vec<PartId>,
    /// Places in the pool that were given back, by how many parts lay there.
    free: BTreeMap<usize, Vec<u32>>,
}

impl PartLists {
    /// Keeps the parts of a series.
    pub fn keep(&mut self, parts: &[PartId]) -> PartList {
        match parts {
            [] => PartList::default(),
            [part] => PartList(*part),
            parts => {
                let free = self.free.get_mut(&parts.len()).and_then(Vec::pop);
                let from = free.map_or(self.pool.len(), |from| from as usize);
                if from == self.pool.len() {
                    self.pool.extend_from_slice(parts);
                } else if let Some(place) = self.pool.get_mut(from..from + parts.len()) {
                    place.copy_from_slice(parts);
                }
                PartList(u32::try_from(from).unwrap_or(u32::MAX))
            }
        }
    }

    /// Returns the parts of a series that belongs to `n` of them.
    #[inline]
    pub fn get<'a>(&'a self, list: &'a PartList, n: usize) -> &'a [PartId] {
        if n == 1 {
            return std::slice::from_ref(&list.0);
        }
        let from = list.0 as usize;
        self.pool.get(from..from + n).unwrap_or_default()
    }

    /// Gives back the list of a series that belongs to `n` parts.
    pub fn release(&mut self, list: PartList, n: usize) {
        if n > 1 {
            self.free.entry(n).or_default().push(list.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_length_are_kept_and_their_room_is_used_again() {
        let mut lists = PartLists::default();
        let all: [&[PartId]; 4] = [&[], &[7], &[1, 2], &[3, 4, 5]];
        let kept = all.map(|parts| (lists.keep(parts), parts));
        for (list, parts) in &kept {
            assert_eq!(lists.get(list, parts.len()), *parts);
        }
        let room = lists.pool.len();
        for (list, parts) in kept {
            lists.release(list, parts.len());
        }
        let again = all.map(|parts| (lists.keep(parts), parts));
        for (list, parts) in &again {
            assert_eq!(lists.get(list, parts.len()), *parts);
        }
        assert_eq!(lists.pool.len(), room);
    }
}
