//! The changes that somebody told of, within bounds of number and age.

use std::collections::BTreeSet;

use crate::context::labels::agreement;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Change, DurationMs, Labels, TimestampMs};

/// Changes in the order of time. The same one told twice is there once, so that whoever is not
/// sure may tell again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    known: BTreeSet<Change>,
}

impl Changes {
    /// Takes a change in, and forgets those that are older than `age` at `now`, then the oldest
    /// beyond `max`. Returns whether the change is new and was kept.
    pub fn add(
        &mut self,
        change: &Change,
        now: TimestampMs,
        (max, age): (usize, DurationMs),
    ) -> bool {
        let is_new = self.known.insert(change.clone());
        self.known.retain(|known| known.at >= now - age);
        while self.known.len() > max {
            self.known.pop_first();
        }
        is_new && self.known.contains(change)
    }

    /// Iterates over the changes, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.known.iter()
    }

    /// Returns how many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Tells whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns the changes that concern what has these labels, the oldest first: every label that
    /// both have agrees, and there is one, or the change has no labels and concerns everything.
    pub fn concerning<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Change> {
        self.known.iter().filter(|change| {
            let agreed = agreement(labels, &change.labels);
            agreed.is_some_and(|n_common| n_common > 0 || change.labels.is_empty())
        })
    }

    /// Puts the changes.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.known.iter(), |out, change| change.save(out));
    }

    /// Takes what [`Changes::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<Changes> {
        Ok(Changes {
            known: read.list(6, Change::load)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(second: i64, labels: &[(&str, &str)]) -> Change {
        Change {
            at: TimestampMs(second * 1000),
            kind: "deployment".to_owned(),
            labels: Labels::from_pairs(labels.iter().copied()),
            version: String::new(),
            text: String::new(),
            link: String::new(),
        }
    }

    #[test]
    fn what_is_known_is_bounded_by_number_and_age() {
        let bounds = (2, DurationMs::from_seconds(100));
        let mut changes = Changes::default();
        let mut add = |second, now| changes.add(&change(second, &[]), TimestampMs(now), bounds);
        assert!(add(10, 10_000));
        assert!(!add(10, 10_000), "told again");
        assert!(add(20, 20_000));
        assert!(add(30, 30_000), "the oldest makes room");
        assert!(!add(5, 30_000), "older than all that there is room for");
        assert!(!add(40, 150_000), "older than what is remembered");
        assert!(changes.is_empty());
    }

    #[test]
    fn a_change_concerns_what_has_its_labels() {
        let check = |of_change: &[(&str, &str)], expected: bool| {
            let mut changes = Changes::default();
            let bounds = (9, DurationMs::from_seconds(100));
            changes.add(&change(1, of_change), TimestampMs(0), bounds);
            let alert = Labels::from_pairs([("job", "api"), ("instance", "i")]);
            let found = changes.concerning(&alert).count();
            assert_eq!(found == 1, expected, "{of_change:?}");
        };
        check(&[], true);
        check(&[("job", "api")], true);
        check(&[("job", "api"), ("region", "eu")], true);
        check(&[("job", "web")], false);
        check(&[("region", "eu")], false);
    }
}
