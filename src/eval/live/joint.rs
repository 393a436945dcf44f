//! Groups of series that are taken together: what is kept of `anomaly_forest`.
//!
//! For each group there are the models that began at the boundaries of blocks which the window has
//! not left behind ([`forest::model`](crate::functions::forest::model)), and a place in the history
//! of each of its series. An evaluation shows the models the points that have come since. A model
//! never learns a point twice and none out of order, so what it is worth is what the textbook loop
//! over the window makes of it.
//!
//! A group is made anew from history, and what is read for that is counted, when a sample was put
//! between others, when the series that are present have changed, and when somebody first asks. Its
//! models are let go of when it has been silent for a while. A start goes on with those of the
//! checkpoint ([`joint_saved`](crate::eval::live)).
//!
//! Cost: a point is shown to two models, or three for an instant; an evaluation looks at the newest
//! sample of each series besides. Memory: models are of bounded size whatever the window.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::eval::live::Live;
use crate::eval::source::JointCall;
use crate::functions::Element;
use crate::functions::forest::model::{Boundaries, Model};
use crate::functions::forest::settings::Settings;
use crate::functions::forest::{DIMS_MAX, group_of};
use crate::history::{Cursor, SeriesHistory, WalkCursor, Walked};
use crate::model::{DurationMs, Labels, SampleValue, TimestampMs, is_stale_nan};
use crate::series::{SelectionId, SeriesStore, StandingSelection};

/// A group's models are let go of when it has been silent for this part of the window.
const SILENT_PART: i64 = 16;

/// What is kept of all calls.
#[derive(Debug, Default)]
pub(super) struct Joints {
    pub(super) calls: Vec<KeptCall>,
}

/// Which call: what it reads, the window's head and tail behind the frontier, its texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallKey {
    pub(super) matchers: String,
    pub(super) head: DurationMs,
    pub(super) tail: DurationMs,
    pub(super) dim: String,
    pub(super) options: String,
}

#[derive(Debug)]
pub(super) struct KeptCall {
    pub(super) key: CallKey,
    pub(super) settings: Settings,
    pub(super) boundaries: Boundaries,
    /// Whether a rule set that was adopted since has asked for it.
    pub(super) is_asked_for: bool,
    /// The selection whose members are grouped here, and which version of it.
    grouped: Option<(SelectionId, u64)>,
    /// In the order of labels.
    pub(super) groups: Vec<Group>,
    /// The group of each member of the selection.
    of_member: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) labels: Labels,
    /// The places of its series, in the order of the dimension label.
    places: Vec<u32>,
    /// Series that only their samples tell apart, or too many of them: an error, if they are alive.
    is_doubtful: bool,
    pub(super) joined: Option<Joined>,
}

/// Series on their way through time together.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub(super) dims: Vec<Dim>,
    /// The one that is looked at next.
    pub(super) next: usize,
    /// How many in a row before it stand at `target`.
    pub(super) n_agreed: usize,
    /// No series has a sample ahead that is of use before this instant.
    pub(super) target: TimestampMs,
    /// By the boundary at which each began, ascending.
    pub(super) models: Vec<(TimestampMs, Model)>,
    /// The last point, and when it was.
    pub(super) point: Vec<f64>,
    pub(super) last: Option<TimestampMs>,
}

/// One series.
#[derive(Clone, Debug)]
pub(super) struct Dim {
    pub(super) place: u32,
    /// [`SeriesHistory::insertions`] when its cursor was put.
    pub(super) insertions: u32,
    pub(super) cursor: WalkCursor,
    /// The float that the cursor has passed last, if that is not part of a point yet.
    pub(super) ahead: Option<(TimestampMs, f64)>,
}

impl Joints {
    /// Returns what is kept for another rule set, whose calls are given these texts: what that does
    /// not ask for goes with the next.
    pub fn adopted(&mut self, texts: &BTreeSet<String>) -> Joints {
        let mut calls = std::mem::take(&mut self.calls);
        calls.retain(|call| call.is_asked_for && texts.contains(&call.key.options));
        for call in &mut calls {
            (call.grouped, call.is_asked_for) = (None, false);
        }
        Joints { calls }
    }

    /// Learns that selections are numbered anew.
    pub fn forget_selections(&mut self) {
        self.calls.iter_mut().for_each(|call| call.grouped = None);
    }

    /// The series at a place is gone, and another may take the place.
    pub fn removed(&mut self, place: usize) {
        let is_gone = |dim: &Dim| dim.place as usize == place;
        for group in self.calls.iter_mut().flat_map(|call| &mut call.groups) {
            let joined = group.joined.as_ref();
            if joined.is_some_and(|joined| joined.dims.iter().any(is_gone)) {
                group.joined = None;
            }
        }
    }

    pub(super) fn find(&mut self, key: CallKey) -> Option<&mut KeptCall> {
        let known = self.calls.iter().position(|call| call.key == key);
        let number = match known {
            Some(number) => number,
            None => {
                self.calls.push(KeptCall::of(key)?);
                self.calls.len() - 1
            }
        };
        self.calls.get_mut(number)
    }
}

impl KeptCall {
    /// Begins with nothing; `None` where the options are none.
    pub(super) fn of(key: CallKey) -> Option<KeptCall> {
        Some(KeptCall {
            settings: Settings::parse(&key.options).ok()?,
            boundaries: Boundaries::of(DurationMs(key.head.0 - key.tail.0)),
            key,
            is_asked_for: true,
            grouped: None,
            groups: Vec::new(),
            of_member: Vec::new(),
        })
    }

    /// Puts the members of a selection into groups.
    fn group(&mut self, members: &StandingSelection, store: &SeriesStore) {
        let mut old: HashMap<Labels, Option<Joined>> = HashMap::new();
        for group in self.groups.drain(..) {
            old.insert(group.labels, group.joined);
        }
        let mut groups: BTreeMap<Labels, Vec<(&str, usize)>> = BTreeMap::new();
        for (member, place) in members.members().iter().enumerate() {
            if let Some((labels, _)) = store.get(*place as usize) {
                let group = groups.entry(group_of(labels, &self.key.dim)).or_default();
                group.push((labels.value(&self.key.dim), member));
            }
        }
        self.of_member = vec![u32::MAX; members.members().len()];
        for (number, (labels, mut series)) in (0..).zip(groups) {
            series.sort_unstable();
            series
                .iter()
                .for_each(|(_, member)| self.of_member[*member] = number);
            let is_alike = |pair: &[(&str, usize)]| pair[0].0 == pair[1].0;
            let places = series.iter().map(|(_, member)| members.members()[*member]);
            self.groups.push(Group {
                joined: old.remove(&labels).flatten(),
                places: places.collect(),
                is_doubtful: series.len() > DIMS_MAX || series.windows(2).any(is_alike),
                labels,
            });
        }
    }

    /// Returns the numbers of the groups of some members, in order.
    fn groups_of(&self, members: &[u32]) -> Vec<u32> {
        let groups = members
            .iter()
            .filter_map(|member| self.of_member.get(*member as usize));
        let mut groups: Vec<u32> = groups.copied().filter(|group| *group != u32::MAX).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// The window of a call, and the grid of its models.
#[derive(Clone, Copy)]
struct Window<'w> {
    after: TimestampMs,
    until: TimestampMs,
    boundaries: Boundaries,
    settings: &'w Settings,
}

impl Group {
    /// Returns a group of which the series are not known yet.
    pub(super) fn loaded(labels: Labels, joined: Joined) -> Group {
        Group {
            labels,
            places: Vec::new(),
            is_doubtful: false,
            joined: Some(joined),
        }
    }

    /// Returns what the group is worth, and how many samples were read from history to know.
    fn value(&mut self, store: &SeriesStore, window: &Window<'_>) -> (Option<f64>, u64) {
        let dims = self.present(store, window);
        let settings = window.settings;
        if dims.is_empty() {
            let silent = (window.until - window.after).0 / SILENT_PART;
            let since = window.until - DurationMs(silent).max(settings.lookback);
            self.joined.take_if(|joined| joined.last < Some(since));
            return (None, 0);
        }
        let boundary = window.boundaries.first_from(window.after);
        let is_same = |joined: &mut Joined| {
            let known = joined.dims.iter().map(|dim| (dim.place, dim.insertions));
            known.eq(dims
                .iter()
                .map(|(place, history)| (*place, history.insertions())))
        };
        let mut is_new = false;
        if !self.joined.as_mut().is_some_and(is_same) {
            self.joined = Some(Joined::from(boundary.max(settings.since), &dims));
            is_new = true;
        }
        let Some(joined) = &mut self.joined else {
            return (None, 0);
        };
        joined.models.retain(|(begun, _)| *begun >= boundary);
        let histories: Vec<&SeriesHistory> = dims.iter().map(|(_, history)| *history).collect();
        let mut n_read = 0;
        while joined.next_point(&histories, window.until, &mut n_read) {
            joined.observe(&self.labels, boundary, window);
        }
        let model = joined
            .models
            .first()
            .filter(|(begun, _)| *begun == boundary);
        let is_now = joined.last > Some(window.until - settings.lookback).max(Some(boundary));
        let value = model.and_then(|(_, model)| model.value());
        (value.filter(|_| is_now), if is_new { n_read } else { 0 })
    }

    /// Returns the series that are present, with their histories.
    fn present<'s>(
        &self,
        store: &'s SeriesStore,
        window: &Window<'_>,
    ) -> Vec<(u32, &'s SeriesHistory)> {
        let lookback = window.settings.lookback;
        // What is older is neither the newest of all, nor near enough to it.
        let oldest = window.until - DurationMs(lookback.0.saturating_mul(2));
        let after = window.after.max(oldest);
        let newest = |place: &u32| {
            let (_, series) = store.get(*place as usize)?;
            let newest = newest_float(&series.history, after, window.until)?;
            Some((*place, &series.history, newest))
        };
        let found: Vec<_> = self.places.iter().filter_map(newest).collect();
        let newest_of_all = found.iter().map(|(.., newest)| *newest).max();
        let is_present = |newest: TimestampMs| Some(newest) > newest_of_all.map(|at| at - lookback);
        let present = found.into_iter().filter(|(.., newest)| is_present(*newest));
        match newest_of_all {
            Some(newest) if newest > window.until - lookback => present
                .map(|(place, history, _)| (place, history))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Returns when the newest float in `(after, until]` was taken.
fn newest_float(
    history: &SeriesHistory,
    after: TimestampMs,
    mut until: TimestampMs,
) -> Option<TimestampMs> {
    loop {
        let point = history.last_at_or_before(until, &mut Cursor::default())?;
        if point.at <= after {
            return None;
        }
        match point.value {
            SampleValue::Float(value) if !is_stale_nan(value) => return Some(point.at),
            _ => until = TimestampMs(point.at.0.saturating_sub(1)),
        }
    }
}

impl Joined {
    fn from(begin: TimestampMs, dims: &[(u32, &SeriesHistory)]) -> Joined {
        let dims = dims.iter().map(|(place, history)| Dim {
            place: *place,
            insertions: history.insertions(),
            cursor: history.walk_from(begin),
            ahead: None,
        });
        let dims: Vec<Dim> = dims.collect();
        Joined {
            point: vec![0.0; dims.len()],
            dims,
            next: 0,
            n_agreed: 0,
            target: begin,
            models: Vec::new(),
            last: None,
        }
    }

    /// Moves on to the next instant up to `until` at which all series have a float. Who lags
    /// behind goes as far as the others have come, one after the other, until all agree; a sample
    /// without its like in the others is passed once.
    fn next_point(
        &mut self,
        histories: &[&SeriesHistory],
        until: TimestampMs,
        n_read: &mut u64,
    ) -> bool {
        while self.n_agreed < self.dims.len() {
            let dim = &mut self.dims[self.next];
            let history = histories[self.next];
            while dim.ahead.is_none_or(|(at, _)| at < self.target) {
                let Some(sample) = history.walk_next(&mut dim.cursor, until) else {
                    return false;
                };
                *n_read += 1;
                if let Walked::Float(value) = sample.value
                    && !is_stale_nan(value)
                {
                    dim.ahead = Some((sample.at, value));
                }
            }
            let at = dim.ahead.map_or(self.target, |(at, _)| at);
            self.n_agreed = if at == self.target {
                self.n_agreed + 1
            } else {
                1
            };
            self.target = at;
            self.next = (self.next + 1) % self.dims.len();
        }
        for (dim, value) in self.dims.iter_mut().zip(&mut self.point) {
            if let Some((_, float)) = dim.ahead.take() {
                *value = float;
            }
        }
        self.last = Some(self.target);
        self.n_agreed = 0;
        self.target = TimestampMs(self.target.0.saturating_add(1));
        true
    }

    /// Shows the point to the models that began before it.
    fn observe(&mut self, group: &Labels, mut boundary: TimestampMs, window: &Window<'_>) {
        let Some(at) = self.last else { return };
        let (boundaries, settings) = (window.boundaries, window.settings);
        for number in 0.. {
            if boundary >= at {
                return;
            }
            if self
                .models
                .get(number)
                .is_none_or(|(begun, _)| *begun != boundary)
            {
                let model =
                    Model::begin(settings, (group, self.dims.len()), (boundaries, boundary));
                self.models.insert(number, (boundary, model));
            }
            self.models[number].1.observe(settings, at, &self.point);
            boundary = boundaries.next(boundary);
        }
    }
}

impl Live<'_> {
    /// See [`LiveSource::joint_windows`](crate::eval::LiveSource::joint_windows).
    pub(super) fn joined(&self, call: &JointCall<'_>) -> Option<Vec<Element>> {
        let state = &mut *self.state.borrow_mut();
        let moves = self.moves(state, call.until) && self.moves(state, call.after);
        if call.selector.at.is_some() || !moves {
            return None;
        }
        let selection = state.selections.find(&call.selector.matchers, self.store);
        let members = self.in_scope(state, selection);
        self.touch(members.len());
        let key = CallKey {
            matchers: format!("{:?}", call.selector.matchers),
            head: self.frontier - call.after,
            tail: self.frontier - call.until,
            dim: call.dim.to_owned(),
            options: call.options.to_owned(),
        };
        let kept = state.joints.find(key)?;
        kept.is_asked_for = true;
        let standing = state.selections.get(selection, self.store);
        let grouped = (selection, standing.version());
        if kept.grouped != Some(grouped) {
            kept.group(standing, self.store);
            kept.grouped = Some(grouped);
        }
        let window = Window {
            after: call.after,
            until: call.until,
            boundaries: kept.boundaries,
            settings: &kept.settings,
        };
        let mut elements = Vec::new();
        for number in kept.groups_of(&members) {
            let group = &mut kept.groups[number as usize];
            if group.is_doubtful {
                return None;
            }
            let (value, n_read) = group.value(self.store, &window);
            self.scanned.set(self.scanned.get() + n_read);
            elements.extend(value.map(|value| Element {
                labels: group.labels.clone(),
                value: SampleValue::Float(value),
                at: call.at,
                drop_name: false,
            }));
        }
        Some(elements)
    }
}
