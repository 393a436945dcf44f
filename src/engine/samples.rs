//! Samples on their way into history: handles, cohorts, and which rules they move.
//!
//! Cost: per sample of a known series one look-up by handle and one append; no allocation but
//! the growth of history itself.

use std::collections::{BTreeSet, HashMap};

use crate::engine::Engine;
use crate::engine::cohort::TargetId;
use crate::engine::compiled_rule::RuleIndex;
use crate::history::Appended;
use crate::model::{
    Batch, DurationMs, Grid, Labels, NO_START, SampleValue, SeriesHandle, Stamp, TimestampMs,
    is_stale_nan,
};
use crate::series::StoredSeries;

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
    /// How long its samples are kept, ms.
    pub keep: DurationMs,
    /// The target whose scrapes it comes with.
    pub target: TargetId,
    /// Its newest sample, unless that was a stale marker.
    pub newest: Option<TimestampMs>,
    /// `true` when a rule writes series of this name.
    pub is_recorded: bool,
    since_cut: u32,
    /// The wall clock of its newest sample, ms.
    heard_at_wall: TimestampMs,
}

/// The sets of rules that series move; series with equal sets share one number.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    sets: Vec<BTreeSet<RuleIndex>>,
    numbers: HashMap<BTreeSet<RuleIndex>, u32>,
}

impl Readers {
    /// Returns the number of a set.
    pub fn number(&mut self, set: BTreeSet<RuleIndex>) -> u32 {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.numbers.insert(set, number);
        number
    }

    /// Returns the numbers of all sets.
    pub fn all(&self) -> BTreeSet<u32> {
        (0..u32::try_from(self.sets.len()).unwrap_or(u32::MAX)).collect()
    }

    /// Returns the rules of all these sets.
    pub fn rules(&self, numbers: &BTreeSet<u32>) -> BTreeSet<RuleIndex> {
        let sets = numbers
            .iter()
            .filter_map(|number| self.sets.get(*number as usize));
        sets.flatten().copied().collect()
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
        if self.frontier.is_some() {
            return;
        }
        let floats = batch.floats.iter().map(|(_, at, _)| *at);
        let times = floats.chain(batch.histograms.iter().map(|(_, at, _)| *at));
        let Some(oldest) = times.min() else { return };
        let first = stamp.clock.map_or(oldest, |clock| clock.min(oldest));
        self.set_first_frontier(TimestampMs(first.0 - 1));
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
            let old = self
                .handles
                .remove(&old)
                .filter(|old| old.labels == *labels);
            state.newest = old.and_then(|old| old.newest);
        }
        self.handles.insert(handle, state);
    }

    fn series_state(&mut self, labels: &Labels) -> SeriesState {
        let (set, reach) = self.rules.readers(labels);
        SeriesState {
            place: self.store.find_or_insert(labels),
            readers: self.readers.number(set),
            keep: reach.max(self.settings.retention).max(HISTORY_MIN),
            target: self.cohorts.target(labels),
            newest: None,
            // A unit test may give a recorded series itself, as its input.
            is_recorded: self.rules.is_recorded(labels.metric_name())
                && !matches!(
                    self.settings.grid,
                    Grid::UnitTest {
                        group_order: Some(_),
                        ..
                    }
                ),
            since_cut: 0,
            heard_at_wall: self.wall(),
            labels: labels.clone(),
        }
    }

    /// Finds readers and retention of all series anew, after a reload.
    pub(crate) fn route_series_anew(&mut self) {
        self.readers = Readers::default();
        let mut known: Vec<SeriesHandle> = self.handles.keys().copied().collect();
        known.sort_unstable();
        for handle in known {
            let Some(state) = self.handles.get(&handle) else {
                continue;
            };
            let kept = state.clone();
            let state = SeriesState {
                newest: kept.newest,
                heard_at_wall: kept.heard_at_wall,
                ..self.series_state(&kept.labels)
            };
            self.by_place.insert(state.place, handle);
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
        let first_tick_told = self.first_tick_told;
        let Some(state) = self.handles.get_mut(&handle) else {
            self.stats.samples_refused += 1;
            return;
        };
        if state.is_recorded && first_tick_told {
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
        let newest = series
            .history
            .newest()
            .map_or(TimestampMs::MIN, |newest| newest.at);
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
        state.heard_at_wall = wall;
        state.since_cut += 1;
        if state.since_cut >= SAMPLES_PER_CUT {
            state.since_cut = 0;
            if let Some(frontier) = frontier {
                series.history.forget(frontier - state.keep);
            }
        }
        let readers = state.readers;
        if frontier.is_some_and(|frontier| at <= frontier) {
            self.stats.samples_late += 1;
            self.moved_late.insert(readers);
            let labels = &state.labels;
            self.live.get_mut().subqueries.changed(labels, at);
        } else {
            self.waiting.entry(at).or_default().insert(readers);
        }
    }

    /// Drops series that have been silent for longer than anything looks back.
    pub(crate) fn forget_silent_series(&mut self, frontier: TimestampMs) {
        let is_silent = |(place, _, series): &(usize, &Labels, &StoredSeries)| {
            let state = self.by_place.get(place).and_then(|h| self.handles.get(h));
            let keep = state.map_or(self.recorded_keep, |state| state.keep);
            let newest = series.history.newest();
            newest.is_none_or(|newest| newest.at + keep < frontier)
        };
        let silent = self.store.iter().filter(is_silent);
        let silent: Vec<usize> = silent.map(|(place, _, _)| place).collect();
        for place in silent {
            self.store.remove(place);
            let handle = self.by_place.remove(&place);
            let state = handle.and_then(|handle| self.handles.get_mut(&handle));
            if let Some((state, newest)) = state.and_then(|s| s.newest.take().map(|at| (s, at))) {
                self.cohorts.removed(state.target, newest);
            }
        }
        let (wall, by_place) = (self.wall(), &self.by_place);
        self.handles.retain(|handle, state| {
            by_place.get(&state.place) == Some(handle)
                || wall - state.heard_at_wall < HANDLE_FORGOTTEN
        });
    }
}
