//! A part of a rule's input: the series with one value of the labels that partition it.

use std::collections::HashMap;

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3Default;

use crate::eval::plan::LabelSet;
use crate::model::Labels;
use crate::series::{SelectionId, SeriesStore, StandingSelection};

/// What was found is remembered for so many keys at most: that is memory.
const REMEMBERED_MAX: usize = 1 << 14;

/// The series whose labels of a set have certain values.
///
/// Values are compared by their hash: two partitions that meet in one are evaluated together,
/// which costs a little and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Which of the rule set's partitionings this is.
    pub class: u32,
    /// The labels.
    pub labels: std::sync::Arc<LabelSet>,
    /// The hashes of their values, ascending.
    pub keys: Vec<u64>,
}

impl Scope {
    /// Returns the hash of what a series has of some labels.
    pub fn key(set: &LabelSet, labels: &Labels) -> u64 {
        let mut hasher = Xxh3Default::new();
        for (name, value) in labels.iter().filter(|(name, _)| set.contains(name)) {
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest()
    }

    /// Tells whether a series is in it.
    pub fn contains(&self, labels: &Labels) -> bool {
        let key = Scope::key(&self.labels, labels);
        self.keys.binary_search(&key).is_ok()
    }
}

/// The members of selections by partition.
#[derive(Debug, Default)]
pub(super) struct Parts {
    by_class: HashMap<(u32, SelectionId), Part>,
}

#[derive(Debug, Default)]
struct Part {
    version: Option<u64>,
    by_key: HashMap<u64, SmallVec<[u32; 4]>>,
    /// What was asked for last, and what was found: the leaves of a rule, and of others that moved
    /// with it, ask for the same.
    last_keys: Vec<u64>,
    last_found: Vec<u32>,
}

impl Parts {
    /// Returns the numbers of the members that are in a scope, ascending.
    pub fn find(
        &mut self,
        scope: &Scope,
        selection: SelectionId,
        members: &StandingSelection,
        store: &SeriesStore,
    ) -> Vec<u32> {
        let part = self.by_class.entry((scope.class, selection)).or_default();
        if part.version != Some(members.version()) {
            part.version = Some(members.version());
            part.by_key.clear();
            part.last_keys.clear();
            for (member, place) in (0..).zip(members.members()) {
                let Some((labels, _)) = store.get(*place as usize) else {
                    continue;
                };
                let key = Scope::key(&scope.labels, labels);
                part.by_key.entry(key).or_default().push(member);
            }
        }
        if !scope.keys.is_empty() && part.last_keys == scope.keys {
            return part.last_found.clone();
        }
        let is_all = scope.keys.len() >= part.by_key.len()
            && part
                .by_key
                .keys()
                .all(|key| scope.keys.binary_search(key).is_ok());
        let found = &mut part.last_found;
        found.clear();
        if is_all {
            found.extend(0..u32::try_from(members.members().len()).unwrap_or(u32::MAX));
        } else {
            for key in &scope.keys {
                found.extend(part.by_key.get(key).into_iter().flatten());
            }
            // Those of one key ascend as they are.
            if scope.keys.len() > 1 {
                found.sort_unstable();
            }
        }
        if scope.keys.len() > REMEMBERED_MAX {
            part.last_keys = Vec::new();
            return std::mem::take(found);
        }
        part.last_keys.clone_from(&scope.keys);
        found.clone()
    }
}
