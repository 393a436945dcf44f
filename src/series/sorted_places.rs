//! The places of the series of one metric name, in the order of their labels: four to eight bytes
//! a series.
//!
//! Places lie in runs of some hundred, so that one that is put between others moves few. Labels
//! are not kept here: whoever calls knows which labels stand at a place.
//!
//! Cost: O(log n) comparisons of labels to find a place, to put one in and to take one out.

use std::cmp::Ordering;

use crate::model::bytes::{ByteReader, ByteWriter, Read};

/// A run of more places is cut in two.
const RUN_MAX: usize = 512;

/// Places in the order of the labels that stand there.
#[derive(Clone, Debug, Default)]
pub struct SortedPlaces {
    /// Ascending; none is empty.
    runs: Vec<Vec<u32>>,
}

impl SortedPlaces {
    /// Finds a place, whose labels `compare` compares with those that are looked for: the place,
    /// or where it would be put.
    pub fn find(&self, mut compare: impl FnMut(u32) -> Ordering) -> Result<u32, Gap> {
        let begins_before = |run: &Vec<u32>| {
            let first = run.first().copied();
            first.is_some_and(|first| compare(first) != Ordering::Greater)
        };
        let run = self.runs.partition_point(begins_before).saturating_sub(1);
        let places = self.runs.get(run).map_or(&[][..], Vec::as_slice);
        match places.binary_search_by(|place| compare(*place)) {
            Ok(at) => Ok(places[at]),
            Err(at) => Err(Gap { run, at }),
        }
    }

    /// Puts a place into the gap that was found for it.
    pub fn insert(&mut self, gap: Gap, place: u32) {
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        }
        let Some(run) = self.runs.get_mut(gap.run) else {
            return;
        };
        if run.len() == run.capacity() {
            // A quarter more, where a vector would double.
            run.reserve_exact((run.len() / 4).max(1));
        }
        run.insert(gap.at.min(run.len()), place);
        if run.len() <= RUN_MAX {
            return;
        }
        // What comes in order leaves full runs behind.
        let is_at_end = gap.at + 1 == run.len() && gap.run + 1 == self.runs.len();
        let kept = if is_at_end { RUN_MAX } else { RUN_MAX / 2 };
        let run = &mut self.runs[gap.run];
        let rest = run.split_off(kept);
        run.shrink_to_fit();
        self.runs.insert(gap.run + 1, rest);
    }

    /// Takes a place out, which `compare` finds.
    pub fn remove(&mut self, mut compare: impl FnMut(u32) -> Ordering) {
        let begins_before = |run: &Vec<u32>| {
            let first = run.first().copied();
            first.is_some_and(|first| compare(first) != Ordering::Greater)
        };
        let at = self.runs.partition_point(begins_before).saturating_sub(1);
        let Some(run) = self.runs.get_mut(at) else {
            return;
        };
        if let Ok(place) = run.binary_search_by(|place| compare(*place)) {
            run.remove(place);
        }
        if run.is_empty() {
            self.runs.remove(at);
        }
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Puts the places in their order.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.runs.iter(), |out, run| {
            let mut before = 0;
            out.list(run.iter(), |out, place| {
                // Neighbours often came one after the other.
                out.signed(i64::from(*place) - before);
                before = i64::from(*place);
            });
        });
    }

    /// Takes what [`SortedPlaces::save`] has put; whether they are in order only the labels tell.
    pub fn load(read: &mut ByteReader<'_>) -> Read<SortedPlaces> {
        let runs: Vec<Vec<u32>> = read.list(1, |read| {
            let mut before = 0_i64;
            read.list(1, |read| {
                before = before.wrapping_add(read.signed()?);
                u32::try_from(before).map_err(|_| read.malformed("a place"))
            })
        })?;
        match runs.iter().all(|run| (1..=RUN_MAX).contains(&run.len())) {
            true => Ok(SortedPlaces { runs }),
            false => Err(read.malformed("a run of places")),
        }
    }

    /// Iterates over all in their order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().flatten().copied()
    }
}

/// Where a place would be put that was not found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    run: usize,
    at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn places_are_kept_in_the_order_of_what_stands_there(
            steps in prop::collection::vec((any::<bool>(), 0u32..4_000), 0..3_000)
        ) {
            // Keys come in rising order first, as from a sender that sorts, then as they will.
            let rising = (0..1_500).map(|key| (true, key));
            let (mut sorted, mut map) = (SortedPlaces::default(), BTreeMap::new());
            let mut keys = Vec::new();
            for (comes, key) in rising.chain(steps) {
                let compare = |keys: &Vec<u32>, place: u32| keys[place as usize].cmp(&key);
                let found = sorted.find(|place| compare(&keys, place));
                prop_assert_eq!(found.as_ref().ok(), map.get(&key));
                match found {
                    Err(gap) if comes => {
                        let place = keys.len() as u32;
                        keys.push(key);
                        sorted.insert(gap, place);
                        map.insert(key, place);
                    }
                    Ok(_) if !comes => {
                        sorted.remove(|place| compare(&keys, place));
                        map.remove(&key);
                    }
                    _ => {}
                }
            }
            prop_assert!(sorted.iter().eq(map.values().copied()));
            prop_assert_eq!(sorted.is_empty(), map.is_empty());
        }
    }
}
