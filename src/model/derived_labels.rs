//! Label sets made of others, each once: without the name, the labels of a group, a match key.
//!
//! At every step of a range query the same series come by. What is made of their labels is kept
//! under a number, so that a step needs no label sets but those it is given, and finds what
//! belongs to them by number.
//!
//! Cost: one look-up in a hash table for a set seen before; its hash it brings along.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::Labels;

/// A map by label sets, which are hashed already. Its order means nothing.
pub type LabelsMap<T> = HashMap<Labels, T, BuildHasherDefault<LabelsHasher>>;

/// Label sets made of others in one way.
#[derive(Debug, Default)]
pub struct DerivedLabels {
    by_source: LabelsMap<usize>,
    by_result: LabelsMap<usize>,
    results: Vec<Labels>,
}

impl DerivedLabels {
    /// Returns the number of what `derive` makes of `source`; equal results have equal numbers.
    pub fn number(&mut self, source: &Labels, derive: impl FnOnce(&Labels) -> Labels) -> usize {
        let Ok(number) = self.try_number(source, |source| Ok::<_, Infallible>(derive(source)));
        number
    }

    fn try_number<E>(
        &mut self,
        source: &Labels,
        derive: impl FnOnce(&Labels) -> Result<Labels, E>,
    ) -> Result<usize, E> {
        if let Some(number) = self.by_source.get(source) {
            return Ok(*number);
        }
        let result = derive(source)?;
        let number = *self.by_result.entry(result.clone()).or_insert_with(|| {
            self.results.push(result);
            self.results.len() - 1
        });
        self.by_source.insert(source.clone(), number);
        Ok(number)
    }

    /// Returns what `derive` makes of `source`.
    pub fn labels(&mut self, source: &Labels, derive: impl FnOnce(&Labels) -> Labels) -> Labels {
        let number = self.number(source, derive);
        self.results[number].clone()
    }

    /// Does the same where making them may fail.
    pub fn try_labels<E>(
        &mut self,
        source: &Labels,
        derive: impl FnOnce(&Labels) -> Result<Labels, E>,
    ) -> Result<Labels, E> {
        let number = self.try_number(source, derive)?;
        Ok(self.results[number].clone())
    }

    /// Returns the set of a number.
    pub fn get(&self, number: usize) -> &Labels {
        &self.results[number]
    }
}

/// Spreads the hash that a label set brings along over all bits.
#[derive(Clone, Debug, Default)]
pub struct LabelsHasher(u64);

impl Hasher for LabelsHasher {
    fn write_u64(&mut self, value: u64) {
        // Multiplied by 2^64 over the golden ratio, the high half folded onto the low one.
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_is_made_once_and_equal_ones_have_one_number() {
        let series = |name: &str, job: &str| Labels::from_pairs([("__name__", name), ("job", job)]);
        let (mut derived, mut n_made) = (DerivedLabels::default(), 0);
        let mut number = |labels: &Labels| {
            derived.number(labels, |labels| {
                n_made += 1;
                labels.without_name()
            })
        };
        let sources = [
            series("x", "a"),
            series("y", "a"),
            series("x", "b"),
            series("x", "a"),
        ];
        assert_eq!(sources.each_ref().map(&mut number), [0, 0, 1, 0]);
        assert_eq!(n_made, 3);
        assert_eq!(derived.get(1), &Labels::from_pairs([("job", "b")]));
    }
}
