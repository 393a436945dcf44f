//! Samples on their way into history: handles, cohorts, and which rules they move.
//!
//! Cost: per sample of a known series one look-up by handle and one append; no allocation but
//! the growth of history itself.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use crate::engine::Engine;
use crate::engine::cohort::TargetId;
use crate::engine::compiled_rule::{GroupIndex, RuleIndex};
use crate::engine::partitions::{PartId, Partitions};
use crate::history::Appended;
use crate::model::{
    Batch, DurationMs, Grid, Labels, NO_START, SampleValue, SeriesHandle, Stamp, TimestampMs,
    is_stale_nan,
};
use crate::series::StoredSeries;

/// From so many parts of rules on it is looked at whether most of them are of series long gone.
const PARTS_MIN: usize = 10_000;
/// History is cut when a series has grown by this many samples.
const SAMPLES_PER_CUT: u32 = 64;
/// The door forgets the handle of a series after two hours of the wall clock without a sample;
/// an hour later nothing can come under it any more.
const HANDLE_FORGOTTEN: DurationMs = DurationMs::from_seconds(3 * 3600);
/// No history is cut shorter than this, so that a person asking sees the last minutes.
const HISTORY_MIN: DurationMs = DurationMs::from_seconds(15 * 60);

/// What an engine knows of a series by its handle.
#[derive(Clone, Debug)]
pub struct SeriesState {
    /// Its labels.
    pub labels: Labels,
    /// Its place in the store.
    pub place: usize,
    /// Which rules it moves: a number in [`Readers`].
    pub readers: u32,
    /// Which part it belongs to of each label set that takes one of them apart.
    pub parts: SmallVec<[PartId; 2]>,
    /// How long its samples are kept, ms.
    pub keep: DurationMs,
    /// The target whose scrapes it comes with.
    pub target: TargetId,
    /// Its newest sample, unless that was a stale marker.
    pub newest: Option<TimestampMs>,
    /// Where rules record series of this name: the groups whose rules may write this one.
    /// Samples from outside seed its history until one of them has ticked.
    pub written_by: Option<Box<[GroupIndex]>>,
    since_cut: u32,
    /// The wall clock of its newest sample, ms.
    heard_at_wall: TimestampMs,
}

/// The sets of rules that series move; series with equal sets share one number.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    sets: Vec<ReaderSet>,
    numbers: HashMap<BTreeSet<RuleIndex>, u32>,
}

/// The rules that a series moves.
#[derive(Clone, Debug, Default)]
pub struct ReaderSet {
    /// Each rule, with the place among `classes` of the label set that takes it apart.
    pub rules: Vec<(RuleIndex, Option<usize>)>,
    /// The label sets that take any of them apart.
    pub classes: Vec<u32>,
}

impl Readers {
    /// Returns the number of a set.
    pub fn number(&mut self, set: BTreeSet<RuleIndex>, partitions: &Partitions) -> u32 {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let mut readers = ReaderSet::default();
        for rule in &set {
            let class = partitions.class_of(*rule).map(|class| {
                let known = readers.classes.iter().position(|known| *known == class);
                known.unwrap_or_else(|| {
                    readers.classes.push(class);
                    readers.classes.len() - 1
                })
            });
            readers.rules.push((*rule, class));
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(readers);
        self.numbers.insert(set, number);
        number
    }

    /// Returns the set of a number.
    pub fn get(&self, number: u32) -> &ReaderSet {
        static NONE: ReaderSet = ReaderSet {
            rules: Vec::new(),
            classes: Vec::new(),
        };
        self.sets.get(number as usize).unwrap_or(&NONE)
    }
}

/// Returns the series that have floats and histograms in one batch. Their samples are taken by
/// time, since the batch does not say which kind came first.
fn with_both_kinds(batch: &Batch) -> BTreeSet<SeriesHandle> {
    if batch.histograms.is_empty() || batch.floats.is_empty() {
        return BTreeSet::new();
    }
    let histograms: BTreeSet<SeriesHandle> = batch.histograms.iter().map(|(h, ..)| *h).collect();
    let floats = batch.floats.iter().map(|(handle, ..)| *handle);
    floats
        .filter(|handle| histograms.contains(handle))
        .collect()
}

impl Engine {
    /// Puts the frontier just before the first samples ever, so that a first batch from a
    /// backlog is evaluated tick by tick.
    pub(crate) fn start_frontier(&mut self, batch: &Batch, stamp: &Stamp) {
        // Before there is a clock there is no frontier: other shards have none either.
        let Some(clock) = stamp.clock.filter(|_| self.frontier.is_none()) else {
            return;
        };
        let floats = batch.floats.iter().map(|(_, at, _)| *at);
        let times = floats.chain(batch.histograms.iter().map(|(_, at, _)| *at));
        let Some(oldest) = times.min() else { return };
        self.set_first_frontier(TimestampMs(clock.min(oldest).0 - 1));
    }

    /// Takes a batch into history.
    pub(crate) fn take_samples(&mut self, batch: &Batch) {
        for definition in &batch.definitions {
            self.define(definition.handle, &definition.labels);
        }
        let keeps_starts = self.rules.features.start_timestamps_kept;
        let both = with_both_kinds(batch);
        let mut later = Vec::new();
        let mut starts = batch.float_starts.in_order();
        for (position, (handle, at, value)) in batch.floats.iter().enumerate() {
            let start = starts.of(position);
            let start = if keeps_starts { start } else { NO_START };
            let float = SampleValue::Float(*value);
            if both.contains(handle) {
                later.push((*at, *handle, start, float));
                continue;
            }
            self.take_sample(*handle, (*at, start), float, is_stale_nan(*value));
        }
        let mut starts = batch.histogram_starts.in_order();
        for (position, (handle, at, histogram)) in batch.histograms.iter().enumerate() {
            let start = starts.of(position);
            let start = if keeps_starts { start } else { NO_START };
            let value = SampleValue::Histogram(histogram.clone());
            if both.contains(handle) {
                later.push((*at, *handle, start, value));
                continue;
            }
            let ends = value.is_stale();
            self.take_sample(*handle, (*at, start), value, ends);
        }
        later.sort_by_key(|(at, handle, ..)| (*at, *handle));
        for (at, handle, start, value) in later {
            let ends = value.is_stale();
            self.take_sample(handle, (at, start), value, ends);
        }
    }

    /// Gives a series its handle. One that comes back after a long silence gets a new handle, and
    /// goes on where the old one stopped.
    fn define(&mut self, handle: SeriesHandle, labels: &Labels) {
        let mut state = self.series_state(labels);
        if let Some(old) = self.by_place.insert(state.place, handle) {
            let old = self.handles.remove(old);
            if let Some(old) = &old {
                self.count_series(old, false);
            }
            let old = old.filter(|old| old.labels == *labels);
            state.newest = old.and_then(|old| old.newest);
        }
        self.count_series(&state, true);
        self.handles.insert(handle, state);
    }

    /// Counts a series that has come or gone in the parts of all rules that it moves.
    fn count_series(&mut self, state: &SeriesState, has_come: bool) {
        for (rule, class) in &self.readers.get(state.readers).rules {
            let part = class.map(|class| state.parts[class]);
            self.partitions.count(*rule, part, has_come);
        }
    }

    /// Notes what the newest samples of some series have moved.
    pub(crate) fn note_moved(&mut self, series: &[SeriesHandle]) {
        for handle in series {
            let Some(state) = self.handles.get(*handle) else {
                continue;
            };
            for (rule, class) in &self.readers.get(state.readers).rules {
                let part = class.map(|class| state.parts[class]);
                self.partitions.arrived(*rule, part);
            }
        }
    }

    fn series_state(&mut self, labels: &Labels) -> SeriesState {
        let (set, reach) = self.rules.readers(labels);
        let readers = self.readers.number(set, &self.partitions);
        let classes = self.readers.get(readers).classes.iter();
        let partitions = &mut self.partitions;
        let parts = classes.map(|class| partitions.part(*class, labels));
        let place = self.store.find_or_insert(labels);
        // The store's own, so that comparing the two with every sample is comparing addresses.
        let labels = self.store.get(place).map_or(labels, |(labels, _)| labels);
        SeriesState {
            parts: parts.collect(),
            place,
            readers,
            keep: reach.max(self.settings.retention).max(HISTORY_MIN),
            target: self.cohorts.target(labels),
            newest: None,
            written_by: self.written_by(labels),
            since_cut: 0,
            heard_at_wall: self.wall(),
            labels: labels.clone(),
        }
    }

    /// A unit test may give a recorded series itself, as its input.
    fn written_by(&self, labels: &Labels) -> Option<Box<[GroupIndex]>> {
        let is_test = matches!(
            self.settings.grid,
            Grid::UnitTest {
                group_order: Some(_),
                ..
            }
        );
        let is_recorded = self.rules.is_recorded(labels.metric_name()) && !is_test;
        is_recorded.then(|| self.rules.writers(labels).into())
    }

    /// Finds readers and retention of all series anew, after a reload.
    pub(crate) fn route_series_anew(&mut self) {
        self.readers = Readers::default();
        self.partitions = Partitions::of(&self.rules);
        let known: Vec<SeriesHandle> = self.handles.iter().map(|(handle, _)| handle).collect();
        for handle in known {
            let Some(state) = self.handles.get(handle) else {
                continue;
            };
            let kept = state.clone();
            let state = SeriesState {
                newest: kept.newest,
                heard_at_wall: kept.heard_at_wall,
                ..self.series_state(&kept.labels)
            };
            self.by_place.insert(state.place, handle);
            self.count_series(&state, true);
            self.handles.insert(handle, state);
        }
    }

    fn take_sample(
        &mut self,
        handle: SeriesHandle,
        (at, start): (TimestampMs, TimestampMs),
        value: SampleValue,
        ends: bool,
    ) {
        let (frontier, wall) = (self.frontier, self.wall());
        let Some(state) = self.handles.get_mut(handle) else {
            self.stats.samples_refused += 1;
            return;
        };
        // One that nobody here writes, though its name is recorded, has no history to seed.
        let is_seed = |writers: &[GroupIndex]| {
            !writers.is_empty() && writers.iter().all(|group| self.unticked.contains(group))
        };
        if state.written_by.as_deref().is_some_and(|w| !is_seed(w)) {
            self.stats.samples_recorded_outside += 1;
            return;
        }
        if self
            .store
            .get(state.place)
            .is_none_or(|(labels, _)| *labels != state.labels)
        {
            // The series was forgotten in a long silence and comes back.
            state.place = self.store.find_or_insert(&state.labels);
            self.by_place.insert(state.place, handle);
        }
        let Some(series) = self.store.get_mut(state.place) else {
            return;
        };
        let newest = series.history.newest_at().unwrap_or(TimestampMs::MIN);
        let window = self.settings.out_of_order_window;
        let taken = series
            .history
            .append_started(at, start, value, newest - window);
        match taken {
            Appended::InOrder => {
                self.cohorts.arrived(state.target, state.newest, at, ends);
                state.newest = (!ends).then_some(at);
            }
            Appended::Inserted => {}
            Appended::Duplicate => {
                self.stats.samples_duplicate += 1;
                return;
            }
            Appended::Conflict | Appended::TooOld => {
                self.stats.samples_refused += 1;
                return;
            }
        }
        self.stats.samples += 1;
        self.live.get_mut().moved(state.place);
        state.heard_at_wall = wall;
        state.since_cut += 1;
        if state.since_cut >= SAMPLES_PER_CUT {
            state.since_cut = 0;
            if let Some(frontier) = frontier {
                if let Some((_, stored)) = self.store.get(state.place) {
                    let windows = self.live.get_mut();
                    windows.catch_up(state.place, &stored.history, frontier);
                }
                self.store.cut(state.place, frontier, state.keep);
            }
        }
        let is_late = frontier.is_some_and(|frontier| at <= frontier);
        if is_late {
            self.stats.samples_late += 1;
            self.live.get_mut().subqueries.changed(&state.labels, at);
        }
        if self.readers.get(state.readers).rules.is_empty() {
            // Ticks alone look at it.
        } else if is_late {
            self.moved_late.push(handle);
        } else {
            self.waiting.entry(at).or_default().push(handle);
        }
    }

    /// Drops series that have been silent for longer than anything looks back.
    pub(crate) fn forget_silent_series(&mut self, frontier: TimestampMs) {
        let is_silent = |(place, _, series): &(usize, &Labels, &StoredSeries)| {
            let state = self.by_place.get(place).and_then(|h| self.handles.get(*h));
            let keep = state.map_or(self.recorded_keep, |state| state.keep);
            let newest = series.history.newest_at();
            newest.is_none_or(|newest| newest + keep < frontier)
        };
        let silent = self.store.iter().filter(is_silent);
        let silent: Vec<usize> = silent.map(|(place, _, _)| place).collect();
        for place in silent {
            self.store.remove(place);
            let handle = self.by_place.remove(&place);
            let state = handle.and_then(|handle| self.handles.get_mut(handle));
            if let Some((state, newest)) = state.and_then(|s| s.newest.take().map(|at| (s, at))) {
                self.cohorts.removed(state.target, newest);
            }
        }
        let (wall, by_place) = (self.wall(), &self.by_place);
        let is_forgotten = |handle: SeriesHandle, state: &SeriesState| {
            by_place.get(&state.place) != Some(&handle)
                && wall - state.heard_at_wall >= HANDLE_FORGOTTEN
        };
        let states = self.handles.iter();
        let forgotten = states.filter(|(handle, state)| is_forgotten(*handle, state));
        let forgotten: Vec<SeriesHandle> = forgotten.map(|(handle, _)| handle).collect();
        for handle in forgotten {
            if let Some(state) = self.handles.remove(handle) {
                self.count_series(&state, false);
            }
        }
        // Parts that no series belongs to any more are not given back one by one.
        if self.partitions.n_parts() > PARTS_MIN + 4 * self.handles.len() {
            self.route_series_anew();
        }
    }
}
