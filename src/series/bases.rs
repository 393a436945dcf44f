//! The label sets that the labels of a store's series are written against: one for each target and
//! each set of names that its series have.
//!
//! The series of one target differ in their metric name and in a few labels more; what they share
//! is kept once. Cost: one hash of names and target for a new series, nothing for others.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::labels::LabelsBase;
use crate::model::{Labels, TARGET_LABELS};

/// Bases are looked through when that many more series have gone than are there.
const REMOVED_MIN: usize = 1024;

/// All bases of a store.
#[derive(Clone, Default)]
pub struct Bases {
    by_hash: HashMap<u64, LabelsBase>,
    /// What is hashed: kept for its room.
    hashed: Vec<u8>,
    /// Series removed since bases were looked through.
    n_removed: usize,
}

impl std::fmt::Debug for Bases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bases", self.by_hash.len())
    }
}

impl Bases {
    /// Returns the same labels in less memory.
    pub fn shared(&mut self, labels: &Labels) -> Labels {
        let key = self.key(labels.iter());
        match self.by_hash.get(&key) {
            Some(base) => labels.against(base),
            None => self.with_new_base(key, labels),
        }
    }

    /// Returns the labels of some pairs, sorted and without empty values, in little memory.
    pub fn shared_pairs(&mut self, pairs: &[(&str, &str)]) -> Labels {
        let key = self.key(pairs.iter().copied());
        let plain = || Labels::from_sorted(pairs.iter().copied());
        match self.by_hash.get(&key) {
            Some(base) => Labels::from_sorted_against(pairs, base).unwrap_or_else(plain),
            None => self.with_new_base(key, &plain()),
        }
    }

    /// Makes the first set with its names and target the base of those that come.
    fn with_new_base(&mut self, key: u64, labels: &Labels) -> Labels {
        let Some(base) = LabelsBase::new(labels) else {
            return labels.clone();
        };
        let shared = labels.against(&base);
        self.by_hash.insert(key, base);
        shared
    }

    /// Returns a hash of the names and of the target.
    fn key<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        let hashed = &mut self.hashed;
        hashed.clear();
        for (name, value) in pairs {
            hashed.extend_from_slice(name.as_bytes());
            hashed.push(0xff);
            if TARGET_LABELS.contains(&name) {
                hashed.extend_from_slice(value.as_bytes());
                hashed.push(0xff);
            }
        }
        xxh3_64(hashed)
    }

    /// Learns the bases of others; of two that would serve the same series, the own stays.
    pub fn learn(&mut self, others: Bases) {
        for (key, base) in others.by_hash {
            self.by_hash.entry(key).or_insert(base);
        }
    }

    /// Learns that a series of a store that has `n_series` has gone; now and then forgets what
    /// nothing is written against any more.
    pub fn removed(&mut self, n_series: usize) {
        self.n_removed += 1;
        if self.n_removed > n_series + REMOVED_MIN {
            self.n_removed = 0;
            self.by_hash.retain(|_, base| base.is_used());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, instance: usize, code: &str) -> Labels {
        let instance = format!("10.0.0.{instance}:9090");
        let pairs = [("__name__", name), ("instance", &instance), ("code", code)];
        Labels::from_pairs(pairs)
    }

    #[test]
    fn series_of_a_target_share_what_they_have_in_common() {
        let mut bases = Bases::default();
        for instance in 0..10 {
            for name in ["requests_total", "errors_total"] {
                for code in ["200", "404", "500"] {
                    let labels = series(name, instance, code);
                    let pairs: Vec<_> = labels.iter().collect();
                    let shared = bases.shared_pairs(&pairs);
                    assert_eq!((&shared, &bases.shared(&labels)), (&labels, &labels));
                    assert!(shared.heap_bytes() < labels.heap_bytes());
                }
            }
        }
        assert_eq!(bases.by_hash.len(), 10, "one for each target");
    }

    #[test]
    fn bases_of_series_that_are_gone_go_too() {
        let mut bases = Bases::default();
        let kept = bases.shared(&series("requests_total", 0, "200"));
        for instance in 1..3_000 {
            bases.shared(&series("requests_total", instance, "200"));
            bases.removed(1);
        }
        assert!(bases.by_hash.len() < 2_000, "{bases:?}");
        assert_eq!(bases.shared(&kept), kept);
    }
}
