//! Samples on their way into history: handles, cohorts, and which rules they move.
//!
//! Cost: per sample of a known series one look-up by handle and one append; no allocation but
//! the growth of history itself.

use std::collections::{BTreeSet, HashMap};

use crate::engine::Engine;
use crate::engine::cohort::TargetId;
use crate::engine::compiled_rule::{GroupIndex, RuleIndex};
use crate::engine::headroom::{self, ChannelId};
use crate::engine::part_lists::{PartList, PartLists};
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
const SAMPLES_PER_CUT: u8 = 64;
/// The door forgets the handle of a series after two hours of the wall clock without a sample;
/// an hour later nothing can come under it any more.
const HANDLE_FORGOTTEN: DurationMs = DurationMs::from_seconds(3 * 3600);
/// No history is cut shorter than this, so that a person asking sees the last minutes.
const HISTORY_MIN: DurationMs = DurationMs::from_seconds(15 * 60);

/// What an engine knows of a series by its handle, beside its labels and its past, which the store
/// has.
#[derive(Clone, Debug)]
pub struct SeriesState {
    /// Its place in the store; [`ASLEEP`] when it is not there. `Engine::by_place` leads from there
    /// back to this series and to no other.
    pub(in crate::engine) place: u32,
    /// Which rules it moves: a number in [`Readers`].
    pub(in crate::engine) readers: u32,
    /// Which part it belongs to of each label set that takes one of them apart.
    pub(in crate::engine) parts: PartList,
    /// The target whose scrapes it comes with.
    pub(in crate::engine) target: TargetId,
    /// Its newest sample; [`TimestampMs::MIN`] before the first and after a stale marker.
    pub(in crate::engine) newest: TimestampMs,
    /// The minute of the wall clock of its newest sample.
    pub(in crate::engine) heard_at_minute: u32,
    pub(in crate::engine) since_cut: u8,
}

/// The place of a series that was silent for longer than anything looks back.
pub(in crate::engine) const ASLEEP: u32 = u32::MAX;

impl Default for SeriesState {
    /// A series that nothing is known of.
    fn default() -> Self {
        SeriesState {
            place: ASLEEP,
            readers: 0,
            parts: PartList::default(),
            target: TargetId::default(),
            newest: TimestampMs::MIN,
            heard_at_minute: 0,
            since_cut: 0,
        }
    }
}

impl SeriesState {
    /// Returns its place in the store.
    pub(in crate::engine) fn place(&self) -> Option<usize> {
        (self.place != ASLEEP).then_some(self.place as usize)
    }

    fn newest(&self) -> Option<TimestampMs> {
        (self.newest != TimestampMs::MIN).then_some(self.newest)
    }
}

pub(in crate::engine) fn as_place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(ASLEEP)
}

fn minute(wall: TimestampMs) -> u32 {
    u32::try_from(wall.0 / 60_000).unwrap_or(0)
}

/// The sets of rules that series move, with what else depends on rules alone; series with equal
/// sets share one number.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    pub(in crate::engine) sets: Vec<ReaderSet>,
    numbers: HashMap<Rank, u32>,
}

/// What the rules make of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rank {
    /// The rules that it moves.
    pub rules: BTreeSet<RuleIndex>,
    /// How long its samples are kept, ms.
    pub keep: DurationMs,
    /// The channels by which it is added up what it gains.
    pub channels: BTreeSet<ChannelId>,
    /// Where rules record series of this name: the groups whose rules may write this one.
    /// Samples from outside seed its history until one of them has ticked.
    pub written_by: Option<Vec<GroupIndex>>,
}

/// The rules that a series moves.
#[derive(Clone, Debug, Default)]
pub struct ReaderSet {
    /// Each rule, with the place among `classes` of the label set that takes it apart.
    pub rules: Vec<(RuleIndex, Option<usize>)>,
    /// The label sets that take any of them apart.
    pub classes: Vec<u32>,
    /// Each channel by which it is added up what it gains, with the place among `classes` of the label
    /// set that takes it apart.
    pub channels: Vec<(ChannelId, Option<usize>)>,
    /// Whether any of the rules may have headroom, which ends where a counter is none.
    pub is_counted: bool,
    /// How long its samples are kept, ms.
    pub keep: DurationMs,
    /// See [`Rank::written_by`].
    pub written_by: Option<Vec<GroupIndex>>,
}

impl Readers {
    /// Returns the number of a set.
    pub(in crate::engine) fn number(&mut self, rank: Rank, partitions: &Partitions) -> u32 {
        if let Some(number) = self.numbers.get(&rank) {
            return *number;
        }
        let mut readers = ReaderSet {
            keep: rank.keep,
            written_by: rank.written_by.clone(),
            ..ReaderSet::default()
        };
        let mut place_of = |class: u32| {
            let known = readers.classes.iter().position(|known| *known == class);
            known.unwrap_or_else(|| {
                readers.classes.push(class);
                readers.classes.len() - 1
            })
        };
        for rule in &rank.rules {
            let class = partitions.class_of(*rule).map(&mut place_of);
            readers.rules.push((*rule, class));
            readers.is_counted |= partitions.may_have_headroom(*rule);
        }
        for channel in &rank.channels {
            let class = partitions.gains.class(*channel).map(&mut place_of);
            readers.channels.push((*channel, class));
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(readers);
        self.numbers.insert(rank, number);
        number
    }

    /// Returns the set of a number.
    #[inline]
    pub(in crate::engine) fn get(&self, number: u32) -> &ReaderSet {
        static NONE: ReaderSet = ReaderSet {
            rules: Vec::new(),
            classes: Vec::new(),
            channels: Vec::new(),
            is_counted: false,
            keep: DurationMs::ZERO,
            written_by: None,
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
        self.before_insert(labels);
        let place = self.store.find_or_insert(labels);
        if let Some(old) = self.by_place.set(place, handle)
            && let Some(old) = self.handles.remove(old)
        {
            self.count_series(&old, false);
            state.newest = old.newest;
        }
        state.place = as_place(place);
        self.count_series(&state, true);
        self.handles.insert(handle, state);
    }

    /// Counts a series that has come in the parts of all rules that it moves; or one that has gone,
    /// whose parts are not asked for again.
    fn count_series(&mut self, state: &SeriesState, has_come: bool) {
        let readers = self.readers.get(state.readers);
        let parts = self.part_lists.get(&state.parts, readers.classes.len());
        for (rule, class) in &readers.rules {
            let part = class.and_then(|class| parts.get(class).copied());
            self.partitions.count(*rule, part, has_come);
        }
        if !has_come {
            self.part_lists.release(state.parts, readers.classes.len());
        }
    }

    /// Notes what the newest samples of some series have moved. Series that lie beside each other most
    /// often belong to the same parts of the same rules, which are then told once.
    pub(crate) fn note_moved(&mut self, series: &[SeriesHandle]) {
        let mut alike: Option<(u32, PartList, u32)> = None;
        for handle in series {
            let Some(state) = self.handles.get(*handle) else {
                continue;
            };
            match &mut alike {
                Some((readers, parts, n)) if (*readers, *parts) == (state.readers, state.parts) => {
                    *n += 1;
                }
                _ => {
                    let next = (state.readers, state.parts, 1);
                    let before = alike.replace(next);
                    self.note_alike(before);
                }
            }
        }
        self.note_alike(alike);
    }

    /// Notes that so many samples of some parts of the rules of some readers have come.
    fn note_alike(&mut self, alike: Option<(u32, PartList, u32)>) {
        let Some((readers, parts, n)) = alike else {
            return;
        };
        let readers = self.readers.get(readers);
        let parts = self.part_lists.get(&parts, readers.classes.len());
        for (rule, class) in &readers.rules {
            let part = class.and_then(|class| parts.get(class).copied());
            self.partitions.arrived(*rule, part, n);
        }
    }

    /// Returns what the rules make of a series, which has no place yet.
    fn series_state(&mut self, labels: &Labels) -> SeriesState {
        let (rules, reach) = self.rules.readers(labels);
        let rank = Rank {
            channels: self.partitions.channels_of(&rules, labels),
            rules,
            keep: self.keep_of(reach),
            written_by: self.written_by(labels),
        };
        let readers = self.readers.number(rank, &self.partitions);
        let classes = self.readers.get(readers).classes.iter();
        let partitions = &mut self.partitions;
        let parts = classes.map(|class| partitions.part(*class, labels));
        let parts: Vec<PartId> = parts.collect();
        SeriesState {
            readers,
            parts: self.part_lists.keep(&parts),
            target: self.cohorts.target(labels),
            heard_at_minute: minute(self.wall()),
            ..SeriesState::default()
        }
    }

    /// Returns how long a series is kept that rules look back on so far, ms.
    pub(crate) fn keep_of(&self, reach: DurationMs) -> DurationMs {
        reach.max(self.settings.retention).max(HISTORY_MIN)
    }

    /// A unit test may give a recorded series itself, as its input.
    fn written_by(&self, labels: &Labels) -> Option<Vec<GroupIndex>> {
        let is_test = matches!(
            self.settings.grid,
            Grid::UnitTest {
                group_order: Some(_),
                ..
            }
        );
        let is_recorded = self.rules.is_recorded(labels.metric_name()) && !is_test;
        is_recorded.then(|| self.rules.writers(labels))
    }

    /// Finds readers and retention of all series anew, after a reload.
    pub(crate) fn route_series_anew(&mut self) {
        self.save_all();
        self.readers = Readers::default();
        self.partitions = Partitions::of(&self.rules);
        self.part_lists = PartLists::default();
        let known: Vec<SeriesHandle> = self.handles.iter().map(|(handle, _)| handle).collect();
        for handle in known {
            let Some(kept) = self.handles.get(handle).cloned() else {
                continue;
            };
            let stored = kept.place().and_then(|place| self.store.get(place));
            let labels = stored.map(|(labels, _)| labels);
            let Some(labels) = labels.or_else(|| self.asleep.get(&handle)).cloned() else {
                continue;
            };
            let state = SeriesState {
                place: kept.place,
                newest: kept.newest,
                heard_at_minute: kept.heard_at_minute,
                ..self.series_state(&labels)
            };
            self.count_series(&state, true);
            self.handles.insert(handle, state);
        }
        let mut kept = std::mem::take(&mut self.kept_past);
        for (place, keep) in &mut kept {
            if let Some((labels, _)) = self.store.get(*place) {
                *keep = self.keep_of(self.rules.readers(labels).1);
            }
        }
        self.kept_past = kept;
    }

    /// Puts a series that was forgotten in a long silence and comes back where its samples go.
    fn wake(&mut self, handle: SeriesHandle) {
        let Some(labels) = self.asleep.remove(&handle) else {
            return;
        };
        self.before_insert(&labels);
        let place = self.store.find_or_insert(&labels);
        // A newer handle of the same series has been writing there, and its samples still may come.
        if let Some(other) = self.by_place.set(place, handle) {
            self.put_to_sleep(other, labels);
        }
        if let Some(state) = self.handles.get_mut(handle) {
            state.place = as_place(place);
        }
    }

    /// Notes that a series is no longer in the store under this handle.
    fn put_to_sleep(&mut self, handle: SeriesHandle, labels: Labels) {
        let Some(state) = self.handles.get_mut(handle) else {
            return;
        };
        state.place = ASLEEP;
        self.asleep.insert(handle, labels);
        let newest = state.newest();
        state.newest = TimestampMs::MIN;
        let target = state.target;
        if let Some(newest) = newest {
            self.cohorts.removed(target, newest);
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
        let readers = self.readers.get(state.readers);
        // One that nobody here writes, though its name is recorded, has no history to seed.
        let is_seed = |writers: &[GroupIndex]| {
            !writers.is_empty() && writers.iter().all(|group| self.unticked.contains(group))
        };
        if readers.written_by.as_deref().is_some_and(|w| !is_seed(w)) {
            self.stats.samples_recorded_outside += 1;
            return;
        }
        if state.place == ASLEEP {
            self.wake(handle);
        }
        if self.saving.is_some() {
            self.before_sample(handle);
        }
        let Some(state) = self.handles.get_mut(handle) else {
            return;
        };
        let place = state.place as usize;
        let Some(series) = self.store.get_mut(place) else {
            return;
        };
        let newest = series.history.newest_at().unwrap_or(TimestampMs::MIN);
        let window = self.settings.out_of_order_window;
        let oldest_allowed = newest - window;
        let readers = self.readers.get(state.readers);
        let gain = match readers.is_counted {
            true => headroom::gain_of(&series.history, &value, ends),
            false => Some(0.0),
        };
        // A full chunk need not wait for another sample before it leaves memory.
        let is_cut = state.since_cut + 1 >= SAMPLES_PER_CUT || series.history.is_chunk_full();
        if let Some(frontier) = frontier.filter(|_| is_cut) {
            // Before there is a sample beyond the frontier, which would have to be looked for.
            let windows = self.live.get_mut();
            windows.catch_up(place, &series.history, frontier);
        }
        let taken = series
            .history
            .append_started(at, start, value, oldest_allowed);
        match taken {
            Appended::InOrder => {
                let before = state.newest();
                self.cohorts.arrived(state.target, before, at, ends);
                state.newest = if ends { TimestampMs::MIN } else { at };
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
        if readers.is_counted {
            let parts = self.part_lists.get(&state.parts, readers.classes.len());
            let gain = gain.filter(|_| taken == Appended::InOrder);
            self.partitions.gained(readers, parts, gain);
        }
        self.stats.samples += 1;
        self.live.get_mut().moved(place);
        state.heard_at_minute = minute(wall);
        state.since_cut += 1;
        if is_cut {
            state.since_cut = 0;
            if let Some(frontier) = frontier {
                self.store
                    .cut(place, frontier, readers.keep, oldest_allowed);
            }
        }
        let is_late = frontier.is_some_and(|frontier| at <= frontier);
        if is_late {
            self.stats.samples_late += 1;
            if let Some((labels, _)) = self.store.get(place) {
                self.live.get_mut().subqueries.changed(labels, at);
            }
        }
        if readers.rules.is_empty() {
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
            let state = self.by_place.get(*place).and_then(|h| self.handles.get(h));
            let keep = state.map(|state| self.readers.get(state.readers).keep);
            let keep = keep.or_else(|| self.kept_past.get(place).copied());
            let keep = keep.unwrap_or(self.recorded_keep);
            let newest = series.history.newest_at();
            newest.is_none_or(|newest| newest + keep < frontier)
        };
        let silent = self.store.iter().filter(is_silent);
        let silent: Vec<usize> = silent.map(|(place, _, _)| place).collect();
        for place in silent {
            self.before_change(place);
            let labels = self.store.remove(place);
            self.live.get_mut().removed(place);
            self.kept_past.remove(&place);
            let handle = self.by_place.remove(place);
            if let (Some(handle), Some(labels)) = (handle, labels) {
                self.put_to_sleep(handle, labels);
            }
        }
        let now = minute(self.wall());
        let is_forgotten = |state: &SeriesState| {
            let silent_minutes = i64::from(now) - i64::from(state.heard_at_minute);
            DurationMs(silent_minutes * 60_000) >= HANDLE_FORGOTTEN
        };
        let asleep = self.asleep.keys().copied();
        let states = asleep.filter_map(|handle| Some((handle, self.handles.get(handle)?)));
        let forgotten = states.filter(|(_, state)| is_forgotten(state));
        let mut forgotten: Vec<SeriesHandle> = forgotten.map(|(handle, _)| handle).collect();
        forgotten.sort_unstable();
        for handle in forgotten {
            self.asleep.remove(&handle);
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
