//! Lines kept side by side: what a leaf is worth for each series that it selects, and until when.
//!
//! A group of many series is added up again when some of them have moved. What the others are
//! worth follows from what was known of them last time, which lies here, one beside the other in
//! the order in which they are added: no window, history or label of theirs is looked at. The
//! value is still that of the function's formula at the frontier, bit for bit.
//!
//! A line is good until a sample of its series comes (every place has the epoch in which it was
//! last given one) or its oldest sample leaves. Lines are kept of leaves that are asked for series
//! that have not moved; where all move between two evaluations they would only take room.
//!
//! Cost: 40 bytes a line, four for each series; a few nanoseconds for a series that has not moved.

use std::collections::HashMap;

use crate::model::{DurationMs, TimestampMs};
use crate::series::{SelectionId, StandingSelection};
use crate::windows::{Fixed, Known, Spacing};

/// After so many evaluations of all members it is decided whether lines are worth their room: one
/// or two may look as if nothing had moved, a tick between two scrapes for one.
const EVALUATIONS: u32 = 4;

/// At least so many series are asked for before it is decided.
const ASKED_MIN: u32 = 16;

/// Which leaf: the selection, how far behind the frontier its window begins and ends, the
/// formula's address, its scalar arguments and its options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeafKey {
    pub selection: SelectionId,
    pub head: DurationMs,
    pub tail: DurationMs,
    pub formula: usize,
    pub scalars: Vec<u64>,
    pub options: Box<str>,
}

/// When each series was last given a sample, in epochs: the time between two evaluations in which
/// any was.
#[derive(Debug)]
pub(super) struct Movements {
    of_place: Vec<u32>,
    epoch: u32,
    has_moved: bool,
}

impl Default for Movements {
    fn default() -> Self {
        Movements {
            of_place: Vec::new(),
            epoch: 1,
            has_moved: false,
        }
    }
}

impl Movements {
    /// The series at a place has been given a sample, or is another.
    #[inline]
    pub fn moved(&mut self, place: usize) {
        if place >= self.of_place.len() {
            self.of_place.resize(place + 1, 0);
        }
        self.of_place[place] = self.epoch;
        self.has_moved = true;
    }

    /// Tells whether nothing has come for the series at a place since an epoch.
    #[inline]
    fn is_still(&self, place: usize, since: u32) -> bool {
        self.of_place.get(place).is_none_or(|moved| *moved < since)
    }
}

/// All lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub movements: Movements,
    of_leaf: HashMap<LeafKey, LeafLines>,
}

/// The lines of one leaf.
#[derive(Debug, Default)]
pub(super) struct LeafLines {
    /// In the order of members; empty where they are not kept.
    lines: Vec<Line>,
    /// The members' places, as they were then.
    places: Vec<u32>,
    version: Option<u64>,
    is_kept: bool,
    n_asked: u32,
    n_still: u32,
    /// The epoch of the last evaluation, and of this one.
    last_epoch: u32,
    epoch: u32,
}

/// What is known of one series.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Good if nothing has come since; 0 where nothing is known.
    epoch: u32,
    /// Or [`ABSENT`], [`EXACT`].
    n_samples: u32,
    /// The value where it is exact.
    change: f64,
    start: f64,
    /// When the oldest sample was taken: once it has left the line is no good.
    first: TimestampMs,
    last: TimestampMs,
}

/// There is no value.
const ABSENT: u32 = u32::MAX;
/// The value keeps its bits.
const EXACT: u32 = u32::MAX - 1;

const NOTHING_KNOWN: Line = Line {
    epoch: 0,
    n_samples: ABSENT,
    change: 0.0,
    start: 0.0,
    first: TimestampMs::MIN,
    last: TimestampMs::MIN,
};

impl Lines {
    /// Begins an evaluation of a leaf and returns its lines.
    pub fn begin(
        &mut self,
        key: LeafKey,
        members: &StandingSelection,
    ) -> (&mut LeafLines, &Movements) {
        if std::mem::take(&mut self.movements.has_moved) {
            self.movements.epoch += 1;
            if self.movements.epoch == u32::MAX {
                *self = Lines::default();
            }
        }
        let leaf = self.of_leaf.entry(key).or_default();
        (leaf.last_epoch, leaf.epoch) = (leaf.epoch, self.movements.epoch);
        leaf.decide(members.members().len());
        if leaf.is_kept && leaf.version != Some(members.version()) {
            leaf.put_in_order(members);
        }
        (leaf, &self.movements)
    }
}

impl Lines {
    /// Forgets all lines: selections are numbered anew.
    pub fn forget(&mut self) {
        self.of_leaf.clear();
    }
}

impl LeafLines {
    /// Decides whether lines are kept from here on: where four in five of those asked for have
    /// not moved since the last evaluation, which may have been of others.
    fn decide(&mut self, n_members: usize) {
        let n_members = u32::try_from(n_members).unwrap_or(u32::MAX);
        if self.n_asked < ASKED_MIN.max(n_members.saturating_mul(EVALUATIONS)) {
            return;
        }
        let is_worth_it = u64::from(self.n_still) * 5 > u64::from(self.n_asked) * 4;
        (self.n_asked, self.n_still) = (0, 0);
        if is_worth_it != self.is_kept {
            *self = LeafLines {
                is_kept: is_worth_it,
                last_epoch: self.last_epoch,
                epoch: self.epoch,
                ..LeafLines::default()
            };
        }
    }

    /// Puts lines where their members are now.
    fn put_in_order(&mut self, members: &StandingSelection) {
        let largest = self
            .places
            .iter()
            .max()
            .map_or(0, |place| *place as usize + 1);
        let mut of_place = vec![u32::MAX; largest];
        for (line, place) in (0..).zip(&self.places) {
            of_place[*place as usize] = line;
        }
        let line = |place: &u32| {
            let known = of_place.get(*place as usize);
            let known = known.and_then(|line| self.lines.get(*line as usize));
            known.copied().unwrap_or(NOTHING_KNOWN)
        };
        self.lines = members.members().iter().map(line).collect();
        self.places = members.members().to_vec();
        self.version = Some(members.version());
    }

    /// Returns what is known of a member at a place, if that is still good for a window.
    #[inline]
    pub fn get(
        &mut self,
        movements: &Movements,
        (member, place): (usize, usize),
        after: TimestampMs,
    ) -> Option<Known> {
        self.n_asked = self.n_asked.saturating_add(1);
        self.n_still += u32::from(movements.is_still(place, self.last_epoch));
        let line = self.lines.get(member)?;
        if line.epoch == 0 || !movements.is_still(place, line.epoch) {
            return None;
        }
        match line.n_samples {
            ABSENT => Some(Known::Absent),
            _ if line.first <= after => None,
            EXACT => Some(Known::Exact(line.change, line.first)),
            n_samples => Some(Known::Fixed(Fixed {
                change: line.change,
                start: line.start,
                spacing: Spacing {
                    first: line.first,
                    last: line.last,
                    n_samples,
                },
            })),
        }
    }

    /// Tells whether it is of use to put something.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Notes what a member is worth.
    #[inline]
    pub fn put(&mut self, member: usize, known: Known) {
        let epoch = self.epoch;
        let Some(line) = self.lines.get_mut(member) else {
            return;
        };
        *line = match known {
            Known::Absent => Line {
                epoch,
                ..NOTHING_KNOWN
            },
            Known::Exact(change, first) => Line {
                epoch,
                n_samples: EXACT,
                change,
                first,
                ..NOTHING_KNOWN
            },
            Known::Fixed(fixed) if fixed.spacing.n_samples < EXACT => Line {
                epoch,
                n_samples: fixed.spacing.n_samples,
                change: fixed.change,
                start: fixed.start,
                first: fixed.spacing.first,
                last: fixed.spacing.last,
            },
            Known::Fixed(_) => NOTHING_KNOWN,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Matcher};
    use crate::series::{SeriesStore, StandingSelections};

    fn key() -> LeafKey {
        LeafKey {
            selection: 0,
            head: DurationMs(60_000),
            tail: DurationMs(0),
            formula: 0,
            scalars: Vec::new(),
            options: Box::default(),
        }
    }

    fn labels(instance: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("instance", &format!("{instance:03}"))])
    }

    /// Asks for every member as an evaluation does; returns which were worked out.
    fn evaluate(
        lines: &mut Lines,
        selections: &mut StandingSelections,
        store: &SeriesStore,
        after: i64,
    ) -> Vec<u32> {
        let id = selections.find(&[Matcher::equal("__name__", "m")], store);
        let members = selections.get(id, store);
        let (leaf, movements) = lines.begin(key(), members);
        let mut worked_out = Vec::new();
        for (member, place) in members.members().iter().enumerate() {
            let at = (member, *place as usize);
            match leaf.get(movements, at, TimestampMs(after)) {
                Some(known) => {
                    let of_place = Known::Exact(f64::from(*place), TimestampMs(100));
                    assert_eq!(known, of_place, "its own line");
                }
                None => {
                    worked_out.push(*place);
                    leaf.put(member, Known::Exact(f64::from(*place), TimestampMs(100)));
                }
            }
        }
        worked_out
    }

    #[test]
    fn only_what_moved_is_worked_out_again() {
        let (mut store, mut lines) = (SeriesStore::default(), Lines::default());
        let mut selections = StandingSelections::default();
        for instance in (0..100).rev() {
            store.find_or_insert(&labels(2 * instance));
        }
        let all: Vec<u32> = (0..100).rev().collect();
        store.take_changes();
        let mut go = |lines: &mut Lines, store: &SeriesStore, after| {
            evaluate(lines, &mut selections, store, after)
        };
        // Nothing is kept of a leaf until it has been asked for what has not moved.
        assert_eq!(go(&mut lines, &store, 0), all);
        for _ in 0..EVALUATIONS {
            go(&mut lines, &store, 0);
        }
        assert_eq!(go(&mut lines, &store, 0), Vec::<u32>::new());
        lines.movements.moved(7);
        lines.movements.moved(50);
        assert_eq!(go(&mut lines, &store, 0), [50, 7]);
        assert_eq!(go(&mut lines, &store, 99), Vec::<u32>::new());
        // The oldest sample has left.
        assert_eq!(go(&mut lines, &store, 100), all);
    }

    #[test]
    fn lines_follow_their_series() {
        let (mut store, mut lines) = (SeriesStore::default(), Lines::default());
        let mut selections = StandingSelections::default();
        for instance in 0..100 {
            store.find_or_insert(&labels(2 * instance));
        }
        store.take_changes();
        for _ in 0..=EVALUATIONS {
            evaluate(&mut lines, &mut selections, &store, 0);
        }
        // One goes, its place is another's; one comes between others.
        store.remove(30);
        store.find_or_insert(&labels(41));
        store.find_or_insert(&labels(43));
        let changes = store.take_changes();
        selections.follow(&changes, &store);
        lines.movements.moved(30);
        lines.movements.moved(100);
        let worked_out = evaluate(&mut lines, &mut selections, &store, 0);
        assert_eq!(worked_out, [30, 100]);
    }
}
