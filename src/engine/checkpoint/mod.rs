//! An engine as bytes and back: all of its state as it was between two entries of its log.
//!
//! For any log and any place in it, an engine that goes on and one that is loaded from what was
//! saved there have the same effects, byte for byte, from there on. A start is therefore a
//! checkpoint and the rest of the log.
//!
//! Saving does not stop the engine. [`Engine::begin_checkpoint`] puts what is small; the series
//! follow in slices ([`Engine::checkpoint_slice`]), between which entries are applied. A series
//! that is about to change and has not been put yet is put first, so that what is saved is the
//! state at the beginning (copy on write, by series). What follows from the rest is not kept:
//! selections, groups, windows with a state of their own. The places of the other windows follow
//! from it, too, but finding them again would read history all over the disk; each is put as it is
//! when its series is, with the frontier from which on it may be used.
//!
//! The models of series that are taken together are large and would take long to make anew: they are
//! put, and shared with the checkpoint until then, so that the one that learns meanwhile is copied.
//!
//! A checkpoint is a list of parts, whose first byte says what they are: the rules, the state, what
//! contexts of alerts are built from, any number of parts with models, and any number of slices of
//! series. How parts lie in a file, with lengths and checksums, is `storage`'s.
//!
//! Cost: about half a microsecond a series, on the engine's thread; twice that to load.

mod load;
mod series;
mod slice;

pub use load::{LoadError, Loading, rules_of};
pub use series::Heard;
pub use slice::{LoadedSlice, SliceLoader};

use std::collections::{BTreeMap, HashSet};

use crate::engine::budget::Budget;
use crate::engine::samples::SeriesState;
use crate::engine::{Engine, GroupState, RuleHealth, RuleState, Stats};
use crate::eval::live::JointsToSave;
use crate::model::bytes::ByteWriter;
use crate::model::{Labels, SeriesHandle};

/// The version of what parts hold. What is older is read as long as it says so here; what is newer
/// is refused.
pub const FORMAT: u64 = 5;
/// From this format on there is a part for contexts; without it what it holds is empty.
const FORMAT_OF_CONTEXTS: u64 = 2;

/// From this format on the places of windows are put with their series; with an older one they are
/// made anew.
const FORMAT_OF_WINDOWS: u64 = 3;

/// From this format on windows have the first sample of their series; before, the lags of windows
/// that begin before it.
const FORMAT_OF_FIRST: u64 = 4;
/// From this format on what is kept of series that are taken together is put; with an older one it
/// is made anew.
const FORMAT_OF_JOINTS: u64 = 4;
/// From this format on it is put which detectors were reset; with an older one none was.
const FORMAT_OF_RESETS: u64 = 4;
/// From this format on it is put which counters are added up for headroom; with an older one that is
/// found from the labels of all series.
const FORMAT_OF_CHANNELS: u64 = 5;

/// What a part is, by its first byte.
const RULES: u8 = 1;
const STATE: u8 = 2;
const SERIES: u8 = 3;
const CONTEXT: u8 = 4;
const JOINTS: u8 = 5;

/// A checkpoint that is being made.
#[derive(Debug, Default)]
pub struct Saving {
    /// The series at places before this one have been put.
    next: usize,
    /// How many places there were at the beginning.
    n_places: usize,
    /// Places further on of which the series has been put, or that had none.
    early: HashSet<usize>,
    out: ByteWriter,
    /// What of groups of series is still to be put.
    joints: JointsToSave,
}

impl Engine {
    /// Begins a checkpoint of the state as it is, and returns its first parts. One that was begun
    /// before is given up.
    pub fn begin_checkpoint(&mut self) -> Vec<Vec<u8>> {
        // It is not put, and who goes on from the checkpoint is to do what this engine does.
        self.partitions.lose_all_headroom();
        let joints = self.live.borrow().joints_to_save();
        let state = self.state_part(joints.len());
        self.saving = Some(Box::new(Saving {
            n_places: self.store.n_places(),
            joints,
            ..Saving::default()
        }));
        vec![self.rules_part(), state, self.context_part()]
    }

    /// Returns the next part, of about so many series; `None` when all have been returned. Models
    /// come first: as long as one waits, a point that it learns costs a copy.
    pub fn checkpoint_slice(&mut self, n_series: usize) -> Option<Vec<u8>> {
        loop {
            let saving = self.saving.as_mut()?;
            if !saving.joints.is_empty() {
                let mut part = ByteWriter::default();
                part.byte(JOINTS);
                saving.joints.put_some(&mut part);
                return Some(part.into_bytes());
            }
            let until = saving
                .n_places
                .min(saving.next.saturating_add(n_series.max(1)));
            self.save_until(until);
            let saving = self.saving.as_mut()?;
            let is_done = saving.next >= saving.n_places;
            let part = saving.out.take();
            if is_done {
                self.saving = None;
            }
            if is_done || !part.is_empty() {
                return (!part.is_empty()).then_some(part);
            }
        }
    }

    /// Tells whether parts of a checkpoint are still to be returned.
    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Gives up the checkpoint that is being made.
    pub fn abandon_checkpoint(&mut self) {
        self.saving = None;
    }

    /// Puts all series that have not been put: they are about to change together.
    pub(crate) fn save_all(&mut self) {
        if let Some(saving) = &self.saving {
            self.save_until(saving.n_places);
        }
    }

    fn save_until(&mut self, until: usize) {
        let Some(mut saving) = self.saving.take() else {
            return;
        };
        while saving.next < until {
            let place = saving.next;
            saving.next += 1;
            if !saving.early.remove(&place) {
                self.save_place(place, &mut saving.out);
            }
        }
        self.saving = Some(saving);
    }

    /// The series at a place is about to change.
    #[inline]
    pub(crate) fn before_change(&mut self, place: usize) {
        if self.saving.is_some() {
            self.save_early(place);
        }
    }

    #[cold]
    fn save_early(&mut self, place: usize) {
        let Some(mut saving) = self.saving.take() else {
            return;
        };
        let is_to_come = (saving.next..saving.n_places).contains(&place);
        if is_to_come && saving.early.insert(place) {
            self.save_place(place, &mut saving.out);
        }
        self.saving = Some(saving);
    }

    /// A series is about to get a place, if it has none.
    pub(crate) fn before_insert(&mut self, labels: &Labels) {
        if self.saving.is_none() {
            return;
        }
        match self.store.find(labels) {
            Some(place) => self.save_early(place),
            None => {
                let place = self.store.next_place();
                self.saving.iter_mut().for_each(|saving| {
                    saving.early.insert(place);
                });
            }
        }
    }

    /// Returns the place of the series with these labels, making it where there is none.
    pub(crate) fn find_or_insert(&mut self, labels: &Labels) -> usize {
        self.before_insert(labels);
        self.store.find_or_insert(labels)
    }

    /// A sample of a series is about to be taken.
    #[cold]
    pub(crate) fn before_sample(&mut self, handle: SeriesHandle) {
        let state = self.handles.get(handle);
        if let Some(place) = state.and_then(SeriesState::place) {
            self.save_early(place);
        }
    }

    fn rules_part(&self) -> Vec<u8> {
        let mut out = ByteWriter::default();
        out.byte(RULES);
        out.number(FORMAT);
        self.source.save(&mut out);
        out.number(self.generation.0);
        self.partitions.save(&mut out);
        self.save_readers(&mut out);
        self.cohorts.save(&mut out);
        self.store.save(&mut out);
        self.save_channels(&mut out);
        out.into_bytes()
    }

    fn context_part(&self) -> Vec<u8> {
        let mut out = ByteWriter::default();
        out.byte(CONTEXT);
        self.context.save(&mut out);
        out.into_bytes()
    }

    /// Puts the series at a place with what is known by its handle.
    fn save_place(&self, place: usize, out: &mut ByteWriter) {
        let is_first = out.is_empty();
        let Some((_, series)) = self.store.get(place) else {
            return;
        };
        if is_first {
            out.byte(SERIES);
        }
        self.store.save_series(place, out);
        out.option(self.by_place.get(place), |out, handle| {
            out.number(handle.0.into());
            let state = self.handles.get(handle);
            out.option(state, |out, state| self.save_series_state(state, out));
        });
        let history = &series.history;
        let live = self.live.borrow();
        live.save_windows((place, history), self.frontier, out);
    }

    /// Puts all but rules and series; `n_joints` groups of series come in other parts.
    fn state_part(&self, n_joints: usize) -> Vec<u8> {
        let mut out = ByteWriter::default();
        out.byte(STATE);
        self.save_asleep(&mut out);
        out.list(self.rule_states.iter(), |out, state| {
            self.save_rule_state(state, out);
        });
        out.list(self.group_states.iter(), |out, state| state.save(out));
        out.option(self.stamp, |out, stamp| {
            out.number(stamp.sequence);
            out.instant(stamp.wall);
            out.option(stamp.clock, ByteWriter::instant);
        });
        out.option(self.frontier, ByteWriter::instant);
        out.list(self.waiting.iter(), |out, (at, handles)| {
            out.instant(*at);
            save_handles(handles, out);
        });
        save_handles(&self.moved_late, &mut out);
        out.list(self.ticks.iter(), |out, (at, group)| {
            out.instant(*at);
            out.count(*group);
        });
        out.list(self.timers.iter(), |out, (at, rule, part)| {
            out.instant(*at);
            out.count(*rule);
            out.option(*part, ByteWriter::word);
        });
        out.list(self.endings.iter(), |out, (at, labels)| {
            out.instant(*at);
            out.labels(labels);
        });
        out.list(self.kept_since.iter(), |out, (selector, since)| {
            out.text(selector);
            out.instant(*since);
        });
        out.list(
            self.kept_past
                .iter()
                .collect::<BTreeMap<_, _>>()
                .into_iter(),
            |out, (place, keep)| {
                out.count(*place);
                out.span(*keep);
            },
        );
        out.list(self.unticked.iter(), |out, group| out.count(*group));
        out.option(self.settled, ByteWriter::instant);
        self.stats.save(&mut out);
        self.save_learning(&mut out);
        self.live.borrow().subqueries.save(&mut out);
        out.count(n_joints);
        out.into_bytes()
    }

    /// Puts what is known of series that are no longer in the store.
    fn save_asleep(&self, out: &mut ByteWriter) {
        let asleep: BTreeMap<_, _> = self.asleep.iter().collect();
        out.list(asleep.into_iter(), |out, (handle, labels)| {
            out.number(handle.0.into());
            out.labels(labels);
            let state = self.handles.get(*handle);
            out.option(state, |out, state| self.save_series_state(state, out));
        });
    }

    fn save_rule_state(&self, state: &RuleState, out: &mut ByteWriter) {
        let RuleState {
            alerts,
            written,
            health,
            evaluation_seconds,
            last_evaluation,
            hold_raised,
            knows_parts,
        } = state;
        alerts.save(out);
        let mut written: Vec<(&Labels, &usize)> = written.iter().collect();
        written.sort_unstable_by_key(|(_, place)| **place);
        out.list(written.into_iter(), |out, (labels, place)| {
            out.count(*place);
            // Nearly always it is the series that is there.
            let stored = self.store.get(*place).map(|(stored, _)| stored);
            let other = (stored != Some(labels)).then_some(labels);
            out.option(other, ByteWriter::labels);
        });
        match health {
            RuleHealth::Unknown => out.byte(0),
            RuleHealth::Ok => out.byte(1),
            RuleHealth::Err(reason) => {
                out.byte(2);
                out.text(reason);
            }
        }
        out.float(*evaluation_seconds);
        out.option(*last_evaluation, ByteWriter::instant);
        out.flag(*hold_raised);
        out.flag(*knows_parts);
    }
}

fn save_handles(handles: &[SeriesHandle], out: &mut ByteWriter) {
    let mut before = 0;
    out.list(handles.iter(), |out, handle| {
        // Neighbours come one after another.
        out.signed(i64::from(handle.0) - before);
        before = i64::from(handle.0);
    });
}

impl GroupState {
    fn save(&self, out: &mut ByteWriter) {
        let GroupState {
            next_tick,
            evaluation_seconds,
            last_evaluation,
            iterations,
            iterations_missed,
            evaluations,
            evaluation_failures,
            last_samples,
            busy_seconds,
            budget,
        } = self;
        out.option(*next_tick, ByteWriter::instant);
        out.float(*evaluation_seconds);
        out.option(*last_evaluation, ByteWriter::instant);
        out.number(*iterations);
        out.number(*iterations_missed);
        out.number(*evaluations);
        out.number(*evaluation_failures);
        out.count(*last_samples);
        out.float(*busy_seconds);
        let Budget {
            last_work,
            debt,
            spent_on_arrival,
            overruns,
        } = budget;
        for count in [last_work, debt, spent_on_arrival, overruns] {
            out.number(*count);
        }
    }
}

impl Stats {
    fn save(&self, out: &mut ByteWriter) {
        let Stats {
            samples,
            samples_late,
            samples_duplicate,
            samples_refused,
            samples_recorded_outside,
            scrapes_late,
            samples_scanned,
            evaluations_spared,
            samples_past,
            pasts_taken,
            pasts_broken,
        } = self;
        for count in [
            samples,
            samples_late,
            samples_duplicate,
            samples_refused,
            samples_recorded_outside,
            scrapes_late,
            samples_scanned,
            evaluations_spared,
            samples_past,
            pasts_taken,
            pasts_broken,
        ] {
            out.number(*count);
        }
    }
}
