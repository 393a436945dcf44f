//! Aggregations right above a leaf: members are added up as they come, without becoming elements.
//!
//! Which group a member belongs to is found once. Values are added in the order of members by
//! the very steps of the plain interpreter, so a sum has the same bits.

use std::collections::HashMap;

use crate::eval::interpret::aggregate::group_labels;
use crate::eval::interpret::aggregate::reduce::Group;
use crate::eval::live::Live;
use crate::eval::live::bounds::GroupBounds;
use crate::eval::live::lines::LeafKey;
use crate::eval::live::windows_by_place::WindowsByPlace;
use crate::eval::source::LiveLeaf;
use crate::functions::call::drop_metadata;
use crate::functions::{Annotations, Element};
use crate::model::{Labels, SampleValue, TimestampMs};
use crate::promql::ast::{Aggregate, AggregateOp, Span};
use crate::series::{SelectionId, SeriesStore, StandingSelection};
use crate::windows::{self, Heads, Known, LastExtrapolation, Lasting, LiveArgs, Newest, Worth};

/// What the windows of so many series are going to move over is looked at before they are moved.
const AHEAD: usize = 16;

/// With so many series in a store, what their windows move over lies in no near cache.
const SPREAD_MIN: usize = 256;

/// The groups of members, by selection and by how they are grouped.
#[derive(Debug, Default)]
pub(super) struct Groupings {
    groupings: Vec<Grouping>,
    /// By selection, whether names are dropped before, and where the aggregation lies in memory: a
    /// guess, which is checked.
    by_address: HashMap<(SelectionId, bool, usize), usize>,
    by_text: HashMap<GroupingKey, usize>,
}

/// The selection, whether names are dropped before, `without`, the labels.
type GroupingKey = (SelectionId, bool, bool, Vec<String>);

#[derive(Debug, Default)]
struct Grouping {
    without: bool,
    by: Vec<String>,
    version: Option<u64>,
    /// The number of each member's group.
    of_member: Vec<u32>,
    labels: Vec<Labels>,
    /// By group: the evaluation in which it last came up, and its place among those of that.
    came_up: Vec<(u64, u32)>,
    /// The number of the evaluation.
    n_evaluations: u64,
}

impl Groupings {
    fn find(
        &mut self,
        aggregate: &Aggregate,
        (selection, drops_name): (SelectionId, bool),
        members: &StandingSelection,
        store: &SeriesStore,
    ) -> &mut Grouping {
        let address = std::ptr::from_ref(aggregate) as usize;
        let guess = self.by_address.get(&(selection, drops_name, address));
        let is_it = |at: &&usize| {
            let grouping = &self.groupings[**at];
            grouping.without == aggregate.without && grouping.by == aggregate.grouping
        };
        let at = match guess.filter(is_it) {
            Some(at) => *at,
            None => {
                let by = aggregate.grouping.clone();
                let key = (selection, drops_name, aggregate.without, by);
                let at = *self.by_text.entry(key).or_insert_with(|| {
                    self.groupings.push(Grouping {
                        without: aggregate.without,
                        by: aggregate.grouping.clone(),
                        ..Grouping::default()
                    });
                    self.groupings.len() - 1
                });
                self.by_address.insert((selection, drops_name, address), at);
                at
            }
        };
        let grouping = &mut self.groupings[at];
        if grouping.version != Some(members.version()) {
            grouping.make(aggregate, drops_name, members, store);
        }
        grouping.n_evaluations += 1;
        grouping
    }
}

impl Grouping {
    fn make(
        &mut self,
        aggregate: &Aggregate,
        drops_name: bool,
        members: &StandingSelection,
        store: &SeriesStore,
    ) {
        let mut numbers: HashMap<Labels, u32> = HashMap::new();
        self.version = Some(members.version());
        self.of_member.clear();
        self.labels.clear();
        self.came_up.clear();
        for place in members.members() {
            let labels = match store.get(*place as usize) {
                Some((labels, _)) if drops_name => drop_metadata(labels),
                Some((labels, _)) => labels.clone(),
                None => Labels::empty(),
            };
            let labels = group_labels(aggregate, &labels);
            let next = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry(labels).or_insert_with_key(|labels| {
                self.labels.push(labels.clone());
                next
            });
            self.of_member.push(number);
        }
        self.came_up.resize(self.labels.len(), (0, 0));
    }

    /// Returns the place of a member's group among the `groups` of this evaluation, made where it
    /// comes up for the first time.
    #[inline]
    fn place(&mut self, member: usize, groups: &mut Vec<(u32, Group)>, op: AggregateOp) -> usize {
        let number = self.of_member[member];
        let came_up = &mut self.came_up[number as usize];
        if came_up.0 != self.n_evaluations {
            *came_up = (self.n_evaluations, groups.len() as u32);
            groups.push((number, Group::new(op)));
        }
        came_up.1 as usize
    }
}

impl Live<'_> {
    /// See [`LiveSource::aggregate`](crate::eval::LiveSource::aggregate).
    pub(super) fn aggregated(
        &self,
        aggregate: &Aggregate,
        leaf: &LiveLeaf<'_>,
        at: TimestampMs,
    ) -> Option<Vec<Element>> {
        let state = &mut *self.state.borrow_mut();
        let (selector, after, until, drops_name) = match leaf {
            LiveLeaf::Instant {
                selector,
                after,
                until,
            } => (*selector, *after, *until, false),
            LiveLeaf::Window(call) => (call.selector, call.after, call.until, !call.keeps_name),
        };
        let moves = match leaf {
            LiveLeaf::Instant { .. } => self.moves(state, until),
            LiveLeaf::Window(_) => self.moves(state, until) && self.moves(state, after),
        };
        if selector.at.is_some() || !moves {
            return None;
        }
        let selection = state.selections.find(&selector.matchers, self.store);
        let scoped = self.scope.map(|_| self.in_scope(state, selection));
        let members = state.selections.get(selection, self.store);
        let key = (selection, drops_name);
        let grouping = state.groupings.find(aggregate, key, members, self.store);
        let span = self.span(after, until);
        let n_members = members.members().len();
        let n_asked = scoped.as_ref().map_or(n_members, Vec::len);
        self.touch(n_asked);
        let key = leaf.key(selection, span);
        let (lines, movements) = state.lines.begin(key, members);
        let args = match leaf {
            LiveLeaf::Window(call) => call.live_args(),
            LiveLeaf::Instant { .. } => LiveArgs {
                start: after,
                end: until,
                at,
                scalars: &[],
                options: "",
            },
        };
        let groups = Vec::with_capacity(grouping.labels.len().min(n_asked));
        let mut sums = Sums {
            leaf,
            args: &args,
            op: aggregate.op,
            grouping,
            groups,
            extrapolation: LastExtrapolation::default(),
            stands: self.stands(until),
        };
        // Where few series have moved their windows are not asked; and where nothing is decoded ahead no
        // bound holds until the next scrape.
        let is_bounded = self.bounds.are_gathered()
            && self.decodes_ahead()
            && aggregate.op == AggregateOp::Sum
            && matches!(leaf, LiveLeaf::Window(_))
            && until == self.frontier
            && !lines.is_kept();
        let mut bounds: Option<Vec<GroupBounds>> = is_bounded.then(|| {
            let labels = sums.grouping.labels.iter().cloned();
            labels.map(GroupBounds::of_nothing).collect()
        });
        let to_last = sums.stands > TimestampMs::MIN || lines.is_kept();
        // Where lines are kept few windows are asked.
        let looks_ahead = !lines.is_kept() && self.store.len() >= SPREAD_MIN;
        let mut add = |windows: &mut WindowsByPlace, member: usize| -> Option<()> {
            let place = members.members()[member] as usize;
            if let Some(known) = lines.get(movements, (member, place), after) {
                sums.add(member, &known);
                return Some(());
            }
            let (labels, series) = self.store.get(place)?;
            let windows = windows.at(place, self.frontier);
            let history = &series.history;
            let worth = match leaf {
                LiveLeaf::Instant { .. } => match windows.newest(history, span) {
                    None => Worth::Known(Known::Absent),
                    Some(Newest::Float(point)) => Worth::Known(Known::Exact(point.value, point.at)),
                    Some(Newest::Histogram(_)) => return None,
                },
                LiveLeaf::Window(call) => {
                    let times = (span, &args);
                    self.worth(windows, (labels, history), times, call, to_last)
                }
            };
            if let Some(bounds) = &mut bounds {
                let group = &mut bounds[sums.grouping.of_member[member] as usize];
                match &worth {
                    Worth::Known(known) => {
                        group.add(known, |n_max| windows.leaving(history, span, n_max));
                    }
                    Worth::Now(_) => group.lose(),
                }
            }
            let known = match &worth {
                Worth::Known(known) => known,
                Worth::Now(None) => {
                    sums.stands = TimestampMs::MIN;
                    return Some(());
                }
                Worth::Now(Some(SampleValue::Float(value))) => {
                    &Known::Exact(*value, TimestampMs::MIN)
                }
                Worth::Now(Some(SampleValue::Histogram(_))) => return None,
            };
            // What has come and lies ahead moves it without coming again.
            if lines.is_kept() && history.newest_at().is_none_or(|at| at <= until) {
                lines.put(member, *known);
            }
            sums.add(member, known);
            Some(())
        };
        let member = |at: usize| scoped.as_ref().map_or(at, |scoped| scoped[at] as usize);
        for begin in (0..n_asked).step_by(AHEAD) {
            let batch = begin..n_asked.min(begin + AHEAD);
            if looks_ahead {
                let mut heads = [Heads::default(); AHEAD];
                let mut seen = 0;
                for (heads, at) in heads.iter_mut().zip(batch.clone()) {
                    let place = members.members()[member(at)] as usize;
                    *heads = state.windows.heads(place);
                    let series = self.store.get(place);
                    seen += series.map_or(0, |(_, series)| series.history.insertions() as usize);
                }
                std::hint::black_box(seen.wrapping_add(windows::look_ahead(&heads, span)));
            }
            for at in batch {
                add(&mut state.windows, member(at))?;
            }
        }
        self.stands_until.set(sums.stands);
        self.bounds.add(aggregate, bounds);
        let mut elements = Vec::with_capacity(sums.groups.len());
        for (number, group) in sums.groups {
            let nothing_to_say = &mut Annotations::default();
            let value = group.finish(f64::NAN, Span::default(), nothing_to_say);
            elements.extend(value.map(|value| Element {
                labels: sums.grouping.labels[number as usize].clone(),
                value,
                at,
                drop_name: drops_name,
            }));
        }
        Some(elements)
    }
}

/// What members are added up to in one evaluation.
struct Sums<'s> {
    leaf: &'s LiveLeaf<'s>,
    args: &'s LiveArgs<'s>,
    op: AggregateOp,
    grouping: &'s mut Grouping,
    /// By the numbers of groups, in the order in which they came up.
    groups: Vec<(u32, Group)>,
    extrapolation: LastExtrapolation,
    /// Until when time alone changes none of the values.
    stands: TimestampMs,
}

impl Sums<'_> {
    /// Adds what a member is worth.
    #[inline(always)]
    fn add(&mut self, member: usize, known: &Known) {
        let lasting = self.leaf.at(known, self.args, &mut self.extrapolation);
        if let Some(lasting) = lasting {
            self.stands = self.stands.min(lasting.until);
            let place = self.grouping.place(member, &mut self.groups, self.op);
            self.groups[place].1.add_float(lasting.value);
        }
    }
}

impl LiveLeaf<'_> {
    fn key(&self, selection: SelectionId, span: windows::Span) -> LeafKey {
        let (formula, scalars, options) = match self {
            LiveLeaf::Instant { .. } => (0, &[][..], ""),
            LiveLeaf::Window(call) => (call.form.number(), call.scalars, call.options),
        };
        LeafKey {
            selection,
            head: span.frontier - span.after,
            tail: span.frontier - span.until,
            formula,
            scalars: scalars.iter().map(|scalar| scalar.to_bits()).collect(),
            options: options.into(),
        }
    }

    #[inline]
    fn at(
        &self,
        known: &Known,
        args: &LiveArgs<'_>,
        last: &mut LastExtrapolation,
    ) -> Option<Lasting> {
        match (self, known) {
            (LiveLeaf::Window(call), _) => call.form.at(known, args, last),
            (LiveLeaf::Instant { .. }, Known::Exact(value, taken_at)) => Some(Lasting {
                value: *value,
                until: args.leaves_at(*taken_at),
            }),
            (LiveLeaf::Instant { .. }, _) => None,
        }
    }
}
