//! Aggregations right above a leaf: members are added up as they come, without becoming elements.
//!
//! Which group a member belongs to is found once. Values are added in the order of members by
//! the very steps of the plain interpreter, so a sum has the same bits.

use std::collections::HashMap;

use crate::eval::interpret::aggregate::group_labels;
use crate::eval::interpret::aggregate::reduce::Group;
use crate::eval::live::Live;
use crate::eval::source::LiveLeaf;
use crate::functions::call::drop_metadata;
use crate::functions::{Annotations, Element};
use crate::model::{Labels, SampleValue, TimestampMs};
use crate::promql::ast::{Aggregate, Span};
use crate::series::{SelectionId, SeriesStore, StandingSelection};
use crate::windows::Newest;

/// The groups of members, by selection and by how they are grouped.
#[derive(Debug, Default)]
pub(super) struct Groupings {
    by_text: HashMap<GroupingKey, Grouping>,
}

/// The selection, whether names are dropped before, `without`, the labels.
type GroupingKey = (SelectionId, bool, bool, Vec<String>);

#[derive(Debug, Default)]
struct Grouping {
    version: Option<u64>,
    /// The number of each member's group.
    of_member: Vec<u32>,
    labels: Vec<Labels>,
}

impl Groupings {
    fn find(
        &mut self,
        aggregate: &Aggregate,
        (selection, drops_name): (SelectionId, bool),
        members: &StandingSelection,
        store: &SeriesStore,
    ) -> &Grouping {
        let labels = aggregate.grouping.clone();
        let key = (selection, drops_name, aggregate.without, labels);
        let grouping = self.by_text.entry(key).or_default();
        if grouping.version == Some(members.version()) {
            return grouping;
        }
        let mut numbers: HashMap<Labels, u32> = HashMap::new();
        grouping.version = Some(members.version());
        grouping.of_member.clear();
        grouping.labels.clear();
        for place in members.members() {
            let labels = match store.get(*place as usize) {
                Some((labels, _)) if drops_name => drop_metadata(labels),
                Some((labels, _)) => labels.clone(),
                None => Labels::empty(),
            };
            let labels = group_labels(aggregate, &labels);
            let next = u32::try_from(grouping.labels.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry(labels).or_insert_with_key(|labels| {
                grouping.labels.push(labels.clone());
                next
            });
            grouping.of_member.push(number);
        }
        grouping
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
        let mut groups: Vec<Option<Group>> = Vec::new();
        groups.resize_with(grouping.labels.len(), || None);
        let mut order = Vec::new();
        let span = self.span(after, until);
        let n_members = members.members().len();
        self.touch(scoped.as_ref().map_or(n_members, Vec::len));
        let mut add = |member: usize| -> Option<()> {
            let place = members.members()[member] as usize;
            let (labels, series) = self.store.get(place)?;
            let windows = state.windows.at(place);
            let value = match leaf {
                LiveLeaf::Instant { .. } => match windows.newest(&series.history, span) {
                    None => None,
                    Some(Newest::Float(point)) => Some(point.value),
                    Some(Newest::Histogram(_)) => return None,
                },
                LiveLeaf::Window(call) => {
                    let known = (labels, &series.history);
                    match self.value(windows, known, span, call) {
                        None => None,
                        Some(SampleValue::Float(value)) => Some(value),
                        Some(SampleValue::Histogram(_)) => return None,
                    }
                }
            };
            if let Some(value) = value {
                let number = grouping.of_member[member];
                let group = &mut groups[number as usize];
                if group.is_none() {
                    order.push(number);
                }
                let group = group.get_or_insert_with(|| Group::new(aggregate.op));
                group.add_float(value);
            }
            Some(())
        };
        match &scoped {
            None => (0..n_members).try_for_each(&mut add)?,
            Some(scoped) => scoped.iter().try_for_each(|member| add(*member as usize))?,
        }
        let mut elements = Vec::with_capacity(order.len());
        for number in order {
            let group = groups[number as usize].take()?;
            let nothing_to_say = &mut Annotations::default();
            let value = group.finish(f64::NAN, Span::default(), nothing_to_say);
            elements.extend(value.map(|value| Element {
                labels: grouping.labels[number as usize].clone(),
                value,
                at,
                drop_name: drops_name,
            }));
        }
        Some(elements)
    }
}
