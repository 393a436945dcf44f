//! The source that keeps windows: leaves are answered from cursors that move with the frontier.
//!
//! What lives here: which cursors a leaf means, of which series, and groups of them. What may
//! not: how a window is kept (`windows`), what is evaluated when (`engine`). A leaf that has no
//! incremental form, or whose place does not move with the frontier (`@`, a step of a subquery),
//! is read from history by [`Scan`], and what was read is counted.
//!
//! Called by the engine, at instants that never go back.

mod aggregate;
mod bounds;
mod joint;
mod joint_saved;
mod lines;
mod memories;
mod recorder;
mod saved;
mod scope;
mod subquery;
mod windows_by_place;

pub use bounds::{Bounds, GroupBounds, SumBounds};
pub use joint_saved::JointsToSave;
pub use scope::Scope;
pub use subquery::{KeptSubquery, PointsToMake, Subqueries, SubqueryId};
pub use windows_by_place::SavedWindows;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::eval::live::aggregate::Groupings;
use crate::eval::live::joint::Joints;
use crate::eval::live::lines::Lines;
use crate::eval::live::memories::Memories;
use crate::eval::live::scope::Parts;
use crate::eval::live::windows_by_place::WindowsByPlace;
use crate::eval::source::{
    JointCall, LiveLeaf, SubqueryCall, SubqueryPoints, SubqueryWindow, WindowCall,
};
use crate::eval::{EvalError, InstantSample, LiveSource, Scan, Source};
use crate::functions::call::drop_metadata;
use crate::functions::{CallMemory, Element, RangeSeries, RangeVector};
use crate::history::{ColdStore, Cursor, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{DurationMs, Labels, NO_START, SampleValue, TimestampMs};
use crate::promql::ast::{Aggregate, Call, RangeMode, VectorSelector};
use crate::series::{SelectionId, SeriesStore, StandingSelections, StoreChange};
use crate::windows::{
    LastExtrapolation, LiveArgs, NeedsSamples, Newest, SeriesWindows, Span, Worth,
};

/// So many selections may stand besides twice those of the rules.
const SELECTIONS_MIN: usize = 10_000;

/// What is kept from one evaluation to the next: selections, the cursors of every series, groups.
#[derive(Debug, Default)]
pub struct LiveState {
    selections: StandingSelections,
    windows: WindowsByPlace,
    groupings: Groupings,
    lines: Lines,
    /// What is kept of groups of series that are taken together.
    joints: Joints,
    parts: Parts,
    /// Labels without the name, for selections whose elements are asked for one by one.
    nameless: HashMap<SelectionId, Nameless>,
    /// Whether members still differ without their names, by selection, and of which version.
    distinct: HashMap<SelectionId, (u64, bool)>,
    /// What calls keep.
    memories: Memories,
    /// The subqueries whose points are kept.
    pub subqueries: Subqueries,
    /// The lags at which leaves stand when they are evaluated at the frontier, ascending.
    lags: Vec<DurationMs>,
    /// With more selections than this, those of `info()` are forgotten.
    selections_max: usize,
}

#[derive(Debug, Default)]
struct Nameless {
    version: u64,
    labels: Vec<Labels>,
}

impl LiveState {
    /// Forgets all selections, and learns how many selectors a rule set has and at which lags behind
    /// the frontier its leaves stand: their tails, and the heads of their windows. Cursors stay, and
    /// states that are made for one of the `texts` that its calls are given.
    pub fn adopt(
        &mut self,
        mut lags: Vec<DurationMs>,
        n_selectors: usize,
        texts: &BTreeSet<String>,
    ) {
        lags.sort_unstable();
        lags.dedup();
        let is_read = |lag: DurationMs| lags.binary_search(&lag).is_ok();
        self.windows.retain(is_read, texts);
        *self = LiveState {
            windows: std::mem::take(&mut self.windows),
            subqueries: std::mem::take(&mut self.subqueries),
            joints: self.joints.adopted(texts),
            lags,
            selections_max: SELECTIONS_MIN + 2 * n_selectors,
            ..LiveState::default()
        };
    }

    /// Forgets selections where there are more than rules can have written: `info()` makes its
    /// own, of the series that it finds. Those that are needed are found again.
    fn bound_selections(&mut self) {
        if self.selections.len() > self.selections_max {
            self.selections = StandingSelections::default();
            self.groupings = Groupings::default();
            self.lines.forget();
            self.joints.forget_selections();
            self.parts = Parts::default();
            self.nameless.clear();
            self.distinct.clear();
        }
    }

    /// Moves the windows of a series to where the frontier wants them. To be called before its
    /// history is cut, so that what goes has left every window.
    pub fn catch_up(&mut self, place: usize, history: &SeriesHistory, frontier: TimestampMs) {
        if let Some(windows) = self.windows.get_mut(place, frontier) {
            windows.follow(history, frontier);
        }
    }

    /// Puts the windows of a series as they are at a frontier, for a checkpoint.
    pub fn save_windows(
        &self,
        of: (usize, &SeriesHistory),
        frontier: Option<TimestampMs>,
        out: &mut ByteWriter,
    ) {
        self.windows.save(of, frontier, out);
    }

    /// Takes what [`LiveState::save_windows`] has put; see [`SeriesWindows::load`].
    pub fn load_windows(
        history: &SeriesHistory,
        has_first: bool,
        read: &mut ByteReader<'_>,
    ) -> Read<Option<SavedWindows>> {
        WindowsByPlace::load(history, has_first, read)
    }

    /// Puts windows that were loaded where their series is.
    pub fn put_windows(&mut self, place: usize, saved: SavedWindows) {
        self.windows.put(place, saved);
    }

    /// Learns that the series at a place has been given a sample, wherever in time.
    #[inline]
    pub fn moved(&mut self, place: usize) {
        self.lines.movements.moved(place);
    }

    /// Drops what is kept by the place of a series that is gone. The place may be another's before
    /// the next evaluation: windows must not move over that one's samples, and nothing of the series
    /// that is gone may be saved.
    pub fn removed(&mut self, place: usize) {
        self.windows.remove(place);
        self.joints.removed(place);
    }

    /// Learns which series have come and gone; to be called before an evaluation.
    pub fn follow(&mut self, changes: &[StoreChange], store: &SeriesStore) {
        for change in changes {
            let (StoreChange::Added(place) | StoreChange::Removed(place)) = change;
            self.moved(*place);
            if let StoreChange::Removed(_) = change {
                self.memories.forget();
            }
        }
        self.bound_selections();
        self.selections.follow(changes, store);
    }

    /// Returns the labels of a selection's members without their names.
    fn nameless(&mut self, selection: SelectionId, store: &SeriesStore) -> &Nameless {
        let members = self.selections.get(selection, store);
        let known = self.nameless.entry(selection).or_default();
        if known.version != members.version() || known.labels.len() != members.members().len() {
            let places = members.members().iter();
            let labels = places.filter_map(|place| Some(store.get(*place as usize)?.0));
            known.labels = labels.map(drop_metadata).collect();
            known.version = members.version();
        }
        known
    }

    /// Tells whether the members of a selection differ without name, type and unit.
    fn is_distinct_without_name(&mut self, selection: SelectionId, store: &SeriesStore) -> bool {
        let members = self.selections.get(selection, store);
        if let Some((version, distinct)) = self.distinct.get(&selection)
            && *version == members.version()
        {
            return *distinct;
        }
        let places = members.members().iter();
        let mut labels = places.filter_map(|place| Some(store.get(*place as usize)?.0));
        let distinct = if members.has_one_name() {
            // Nearly always: nothing but the name goes, and that is the same for all.
            labels.all(|labels| {
                !["__type__", "__unit__"]
                    .iter()
                    .any(|l| labels.get(l).is_some())
            })
        } else {
            let mut seen = HashSet::new();
            labels.all(|labels| seen.insert(drop_metadata(labels)))
        };
        let version = members.version();
        self.distinct.insert(selection, (version, distinct));
        distinct
    }
}

/// In a store of more series than this windows keep nothing that they have decoded ahead: up to here
/// that takes 3 MB for each length of windows.
const DECODED_AHEAD_MAX: usize = 16_384;

/// The leaves at one place of the frontier.
pub struct Live<'a> {
    store: &'a SeriesStore,
    state: &'a RefCell<LiveState>,
    frontier: TimestampMs,
    scope: Option<&'a Scope>,
    scan: Scan<'a>,
    scanned: Cell<u64>,
    stands_until: Cell<TimestampMs>,
    touched: Cell<u64>,
    /// What the sums of the expression may come to.
    pub bounds: Bounds,
    /// The history that is not in memory, as it is now: nothing is added to it meanwhile.
    cold: Option<Arc<dyn ColdStore>>,
}

impl<'a> Live<'a> {
    /// Returns the source as the frontier stands; with a scope, of the series in it alone.
    pub fn new(
        store: &'a SeriesStore,
        state: &'a RefCell<LiveState>,
        frontier: TimestampMs,
        scope: Option<&'a Scope>,
    ) -> Self {
        Live {
            store,
            state,
            frontier,
            scope,
            scan: Scan::new(store),
            scanned: Cell::new(0),
            touched: Cell::new(0),
            stands_until: Cell::new(TimestampMs::MIN),
            bounds: Bounds::default(),
            cold: store.cold_view(),
        }
    }

    /// Has it found out how long the leaves stand, from here on.
    pub fn watch_time(&self) {
        self.stands_until.set(TimestampMs::MAX);
    }

    /// Returns the first instant at which time alone may change a leaf that was asked for by more
    /// than rounding, ms; an early one where that is not known, or was not to be found out.
    pub fn stands_until(&self) -> TimestampMs {
        self.stands_until.get()
    }

    /// Returns what to lower for a leaf whose window ends at an instant. One that ends elsewhere
    /// than at the frontier moves over samples that have come long ago.
    fn stands(&self, until: TimestampMs) -> TimestampMs {
        match until == self.frontier {
            true => self.stands_until.get(),
            false => TimestampMs::MIN,
        }
    }

    /// Returns how many samples had to be read from history so far.
    pub fn scanned(&self) -> u64 {
        self.scanned.get()
    }

    /// Returns how many members leaves had that were answered without their samples: whether their
    /// values were known or not, so that it follows from the rules and the series alone.
    pub fn touched(&self) -> u64 {
        self.touched.get()
    }

    fn touch(&self, n_members: usize) {
        self.touched.set(self.touched.get() + n_members as u64);
    }

    fn span(&self, after: TimestampMs, until: TimestampMs) -> Span<'_> {
        Span::new(self.frontier, after, until)
            .reading(self.cold.as_deref())
            .decoding_ahead(self.decodes_ahead())
    }

    fn decodes_ahead(&self) -> bool {
        self.store.len() <= DECODED_AHEAD_MAX
    }

    /// Tells whether a place moves along with the frontier.
    fn moves(&self, state: &LiveState, at: TimestampMs) -> bool {
        state.lags.binary_search(&(self.frontier - at)).is_ok()
    }

    /// Returns which members of a selection are in the scope, as numbers in it.
    fn in_scope(&self, state: &mut LiveState, selection: SelectionId) -> Vec<u32> {
        let members = state.selections.get(selection, self.store);
        match self.scope {
            None => {
                let count = u32::try_from(members.members().len()).unwrap_or(u32::MAX);
                (0..count).collect()
            }
            Some(scope) => state.parts.find(scope, selection, members, self.store),
        }
    }

    fn is_in_scope(&self, labels: &Labels) -> bool {
        self.scope.is_none_or(|scope| scope.contains(labels))
    }

    /// Returns what a function over the window of one series is worth: from what is kept, or from
    /// the samples where that does not tell.
    #[inline(always)]
    fn worth(
        &self,
        windows: &mut SeriesWindows,
        (labels, history): (&Labels, &SeriesHistory),
        (span, args): (Span<'_>, &LiveArgs<'_>),
        call: &WindowCall<'_>,
        to_last: bool,
    ) -> Worth {
        let worth = call.form.worth((windows, history), span, args, to_last);
        worth.unwrap_or_else(|NeedsSamples| {
            Worth::Now(self.value_from_samples(labels, history, call))
        })
    }

    #[cold]
    fn value_from_samples(
        &self,
        labels: &Labels,
        history: &SeriesHistory,
        call: &WindowCall<'_>,
    ) -> Option<SampleValue> {
        let samples = history.window(call.after, call.until);
        let series = RangeSeries {
            labels: labels.clone(),
            floats: samples.floats,
            histograms: samples.histograms,
            starts: None,
            drop_name: false,
        };
        self.scanned.set(self.scanned.get() + series.len() as u64);
        if series.is_empty() {
            return None;
        }
        (call.plain)(RangeVector {
            series: vec![series],
            start: call.after,
            end: call.until,
            mode: RangeMode::Plain,
        })
    }
}

fn newest_sample(
    labels: &Labels,
    history: &SeriesHistory,
    newest: Newest,
) -> Option<InstantSample> {
    let (at, value) = match newest {
        Newest::Float(point) => (point.at, SampleValue::Float(point.value)),
        Newest::Histogram(at) => {
            let point = history.last_at_or_before(at, &mut Cursor::default())?;
            (at, point.value)
        }
    };
    Some(InstantSample {
        labels: labels.clone(),
        at,
        start: history.starts().map_or(NO_START, |starts| starts.of(at)),
        value,
    })
}

impl Source for Live<'_> {
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample> {
        let state = &mut *self.state.borrow_mut();
        if selector.at.is_some() || !self.moves(state, at) {
            let mut samples = self.scan.instant(selector, after, at);
            samples.retain(|sample| self.is_in_scope(&sample.labels));
            self.scanned.set(self.scanned.get() + samples.len() as u64);
            self.stands_until.set(TimestampMs::MIN);
            return samples;
        }
        let selection = state.selections.find(&selector.matchers, self.store);
        let members = self.in_scope(state, selection);
        let span = self.span(after, at);
        let mut stands = self.stands(at);
        let mut samples = Vec::with_capacity(members.len());
        for member in members {
            let place = state.selections.get(selection, self.store).members()[member as usize];
            let Some((labels, series)) = self.store.get(place as usize) else {
                continue;
            };
            let windows = state.windows.at(place as usize, self.frontier);
            let newest = windows.newest(&series.history, span);
            if let Some(newest) = newest {
                stands = stands.min(span.leaves_at(newest.at()));
            }
            samples.extend(newest.and_then(|n| newest_sample(labels, &series.history, n)));
        }
        self.stands_until.set(stands);
        samples
    }

    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<RangeSeries<'_>> {
        let mut series = self.scan.range(selector, after, until);
        series.retain(|series| self.is_in_scope(&series.labels));
        self.stands_until.set(TimestampMs::MIN);
        let n_samples: usize = series.iter().map(RangeSeries::len).sum();
        self.scanned.set(self.scanned.get() + n_samples as u64);
        series
    }

    fn live(&self) -> Option<&dyn LiveSource> {
        Some(self)
    }
}

impl LiveSource for Live<'_> {
    fn windows(&self, call: &WindowCall<'_>) -> Option<Vec<Element>> {
        let state = &mut *self.state.borrow_mut();
        let moves = self.moves(state, call.until) && self.moves(state, call.after);
        if call.selector.at.is_some() || !moves {
            return None;
        }
        let selection = state.selections.find(&call.selector.matchers, self.store);
        let members = self.in_scope(state, selection);
        self.touch(members.len());
        let span = self.span(call.after, call.until);
        let keeps_labels = call.keeps_name || call.delays_name_removal;
        if !keeps_labels {
            state.nameless(selection, self.store);
        }
        let mut stands = self.stands(call.until);
        let args = call.live_args();
        let mut extrapolation = LastExtrapolation::default();
        let mut elements = Vec::with_capacity(members.len());
        for member in members {
            let place = state.selections.get(selection, self.store).members()[member as usize];
            let Some((labels, series)) = self.store.get(place as usize) else {
                continue;
            };
            let windows = state.windows.at(place as usize, self.frontier);
            let known = (labels, &series.history);
            let to_last = stands > TimestampMs::MIN;
            let value = match self.worth(windows, known, (span, &args), call, to_last) {
                Worth::Known(known) => {
                    let lasting = call.form.at(&known, &args, &mut extrapolation);
                    lasting.map(|lasting| {
                        stands = stands.min(lasting.until);
                        SampleValue::Float(lasting.value)
                    })
                }
                Worth::Now(value) => {
                    stands = TimestampMs::MIN;
                    value
                }
            };
            let Some(value) = value else {
                continue;
            };
            let nameless = || state.nameless.get(&selection)?.labels.get(member as usize);
            let labels = match keeps_labels {
                true => labels,
                false => nameless()?,
            };
            elements.push(Element {
                labels: labels.clone(),
                value,
                at: call.at,
                drop_name: !call.keeps_name,
            });
        }
        self.stands_until.set(stands);
        Some(elements)
    }

    fn aggregate(
        &self,
        aggregate: &Aggregate,
        leaf: &LiveLeaf<'_>,
        at: TimestampMs,
    ) -> Option<Vec<Element>> {
        self.aggregated(aggregate, leaf, at)
    }

    fn subquery_windows(&self, call: &SubqueryCall<'_>) -> Option<Vec<Element>> {
        self.unsettle();
        self.windows_of_subquery(call)
    }

    fn subquery_points(
        &self,
        window: &SubqueryWindow<'_>,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        self.unsettle();
        self.points_until(window, window.until)
    }

    fn joint_windows(&self, call: &JointCall<'_>) -> Option<Vec<Element>> {
        self.unsettle();
        self.joined(call)
    }

    fn take_memory(&self, call: &Call) -> CallMemory {
        self.state.borrow_mut().memories.take(call)
    }

    fn put_memory(&self, call: &Call, memory: CallMemory) {
        self.state.borrow_mut().memories.put(call, memory);
    }

    fn unsettle(&self) {
        self.stands_until.set(TimestampMs::MIN);
    }

    fn differ_without_name(&self, selector: &VectorSelector) -> bool {
        let state = &mut *self.state.borrow_mut();
        let selection = state.selections.find(&selector.matchers, self.store);
        state.is_distinct_without_name(selection, self.store)
    }
}
