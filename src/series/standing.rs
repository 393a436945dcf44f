//! Selections that stand: which series a set of matchers selects, kept as series come and go.
//!
//! A rule asks for the same series at every evaluation. A selection is looked up once, and from
//! then on every new series is compared with the few selections that its name is of interest to.
//!
//! Cost: nothing while no series comes or goes; a new series costs its comparisons, and its place
//! among the others is found when somebody asks.

use std::collections::{HashMap, HashSet};

use crate::model::Matcher;
use crate::series::{SeriesStore, StoreChange};

/// The number of a selection.
pub type SelectionId = usize;

/// The series of one set of matchers.
#[derive(Clone, Debug, Default)]
pub struct StandingSelection {
    matchers: Vec<Matcher>,
    /// Places in the store, in the order in which the store visits series.
    members: Vec<u32>,
    /// New members, not yet in their places.
    added: Vec<u32>,
    version: u64,
}

impl StandingSelection {
    /// Returns the members' places in the store, in the order in which it visits series.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// Returns a number that changes whenever the members do.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Tells whether all members have one and the same metric name.
    pub fn has_one_name(&self) -> bool {
        Matcher::exact_name(&self.matchers).is_some()
    }
}

/// All selections that rules have asked for.
#[derive(Clone, Debug, Default)]
pub struct StandingSelections {
    selections: Vec<StandingSelection>,
    /// By where the matchers lie in memory: a guess, which is checked.
    by_address: HashMap<usize, SelectionId>,
    by_text: HashMap<String, SelectionId>,
    by_name: HashMap<String, Vec<SelectionId>>,
    of_any_name: Vec<SelectionId>,
}

impl StandingSelections {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.selections.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.selections.is_empty()
    }

    /// Returns the number of a selector's selection, which is made where there is none.
    pub fn find(&mut self, matchers: &[Matcher], store: &SeriesStore) -> SelectionId {
        let address = matchers.as_ptr() as usize;
        if let Some(id) = self.by_address.get(&address)
            && self.selections[*id].matchers == matchers
        {
            return *id;
        }
        let text = format!("{matchers:?}");
        let id = match self.by_text.get(&text) {
            Some(id) => *id,
            None => self.add(matchers, text, store),
        };
        self.by_address.insert(address, id);
        id
    }

    fn add(&mut self, matchers: &[Matcher], text: String, store: &SeriesStore) -> SelectionId {
        let id = self.selections.len();
        let mut members = Vec::new();
        store.select_places(matchers, &mut |place| members.push(as_member(place)));
        self.selections.push(StandingSelection {
            matchers: matchers.to_vec(),
            members,
            added: Vec::new(),
            version: 0,
        });
        self.by_text.insert(text, id);
        match Matcher::exact_name(matchers) {
            Some(name) => self.by_name.entry(name.to_owned()).or_default().push(id),
            None => self.of_any_name.push(id),
        }
        id
    }

    /// Returns a selection with every member in its place.
    pub fn get(&mut self, id: SelectionId, store: &SeriesStore) -> &StandingSelection {
        let selection = &mut self.selections[id];
        if !selection.added.is_empty() {
            let added = std::mem::take(&mut selection.added);
            selection.merge(added, store);
        }
        selection
    }

    /// Learns which series have come and gone.
    pub fn follow(&mut self, changes: &[StoreChange], store: &SeriesStore) {
        let removed = changes.iter().filter_map(|change| match change {
            StoreChange::Removed(place) => Some(as_member(*place)),
            StoreChange::Added(_) => None,
        });
        let removed: HashSet<u32> = removed.collect();
        if !removed.is_empty() {
            for selection in &mut self.selections {
                let before = selection.members.len();
                selection.members.retain(|place| !removed.contains(place));
                selection.added.retain(|place| !removed.contains(place));
                if selection.members.len() != before {
                    selection.version += 1;
                }
            }
        }
        let mut seen = HashSet::new();
        for change in changes {
            let StoreChange::Added(place) = change else {
                continue;
            };
            // A place may have been given to one series after the other.
            let Some((labels, _)) = store.get(*place).filter(|_| seen.insert(*place)) else {
                continue;
            };
            let named = self.by_name.get(labels.metric_name());
            let candidates = named.into_iter().flatten().chain(&self.of_any_name);
            for id in candidates {
                let selection = &mut self.selections[*id];
                let mut matchers = selection.matchers.iter();
                if matchers.all(|matcher| matcher.matches_labels(labels)) {
                    selection.added.push(as_member(*place));
                }
            }
        }
    }
}

impl StandingSelection {
    fn merge(&mut self, mut added: Vec<u32>, store: &SeriesStore) {
        let key = |place: &u32| {
            let (labels, _) = store.get(*place as usize)?;
            Some((labels.metric_name(), labels))
        };
        added.sort_by(|a, b| key(a).cmp(&key(b)));
        let mut merged = Vec::with_capacity(self.members.len() + added.len());
        let mut added = added.into_iter().peekable();
        for member in self.members.drain(..) {
            while let Some(new) = added.next_if(|new| key(new) < key(&member)) {
                merged.push(new);
            }
            merged.push(member);
        }
        merged.extend(added);
        merged.dedup();
        self.members = merged;
        self.version += 1;
    }
}

fn as_member(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
