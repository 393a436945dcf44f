//! Vectors whose elements belong together but for one label: the buckets of a histogram, the
//! classes of a prediction, the dimensions of an embedding, the bins of a score.
//!
//! Functions that compare such groups take several vectors. Groups of all of them meet where
//! their labels are the same without the metric's name and that one label; what is not in all of
//! them has no result, as in any vector matching.
//!
//! Cost: a look-up in a hash table for each element, whose label set is taken apart when it comes
//! for the first time.

use std::sync::Arc;

use crate::functions::annotation::Remark;
use crate::functions::bins::{Bins, Unusable, edge};
use crate::functions::call::{Call, Element, FunctionError, drop_metadata};
use crate::model::derived_labels::LabelsMap;
use crate::model::{BUCKET_LABEL, FloatHistogram, Labels, SampleValue};

/// A float of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'e> {
    /// The labels of its element.
    labels: &'e Labels,
    /// What the member label says as a bound, NaN where it is none.
    pub bound: f64,
    /// The value.
    pub value: f64,
}

/// The elements of one vector that differ in the member label alone.
#[derive(Clone, Debug)]
pub(super) struct Group<'e> {
    /// One of the elements.
    pub first: &'e Element,
    /// The floats, in the order of the vector.
    pub floats: Vec<Member<'e>>,
    /// The native histogram, if that is what there is.
    pub histogram: Option<&'e Arc<FloatHistogram>>,
}

/// The groups that have the same labels, one of each vector.
#[derive(Debug)]
pub(super) struct Meeting<'e, const N: usize> {
    /// What they have in common: no name, no member label.
    pub labels: Labels,
    /// One of each vector, in the order of the arguments.
    pub groups: [Group<'e>; N],
}

impl<const N: usize> Meeting<'_, N> {
    /// Returns the element of the result: the labels are those of the first vector.
    pub fn result(&self, call: &Call<'_>, member: &str, value: f64) -> Element {
        let labels = match call.features.delayed_name_removal {
            true => self.groups[0].first.labels.filter(|name| name != member),
            false => self.labels.clone(),
        };
        Element {
            labels,
            value: SampleValue::Float(value),
            at: call.at,
            drop_name: true,
        }
    }
}

/// Which group each label set belongs to that a call has come across, and the bound that its
/// member label says. Kept from one evaluation to the next, so that label sets need not be taken
/// apart again.
#[derive(Debug, Default)]
pub struct GroupMemory {
    member: String,
    known: LabelsMap<Known>,
    by_common: LabelsMap<usize>,
    /// What the elements of each group have in common, and when it was last met.
    groups: Vec<(Labels, Met)>,
    /// The number of the call.
    epoch: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    group: usize,
    bound: f64,
}

/// In which call a group was last come across, and as the how manieth.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    epoch: u64,
    place: usize,
}

impl GroupMemory {
    /// Begins a call.
    fn begin(&mut self, member: &str) {
        if self.member != member {
            *self = GroupMemory {
                member: member.to_owned(),
                epoch: self.epoch,
                ..GroupMemory::default()
            };
        }
        self.epoch += 1;
    }

    fn find(&mut self, labels: &Labels) -> Known {
        if let Some(known) = self.known.get(labels) {
            return *known;
        }
        let common = drop_metadata(labels).filter(|name| name != self.member);
        let group = *self.by_common.entry(common.clone()).or_insert_with(|| {
            self.groups.push((common, Met::default()));
            self.groups.len() - 1
        });
        let bound = edge(labels.value(&self.member)).unwrap_or(f64::NAN);
        let known = Known { group, bound };
        self.known.insert(labels.clone(), known);
        known
    }
}

/// The groups of all vectors with the same labels, as far as there are any.
struct Found<'e, const N: usize> {
    group: usize,
    sides: [Option<Group<'e>>; N],
}

/// Puts the elements of all vectors into groups by their labels without `member`, and returns
/// those that all vectors have, in the order of labels. Fails where a group would hold two
/// metrics.
pub(super) fn meetings<'e, const N: usize>(
    call: &mut Call<'_>,
    function: &'static str,
    member: &str,
    vectors: &'e [Vec<Element>; N],
) -> Result<Vec<Meeting<'e, N>>, FunctionError> {
    let memory = &mut call.memory.groups;
    memory.begin(member);
    let mut found: Vec<Found<'e, N>> = Vec::new();
    let mut collision: Option<Labels> = None;
    for (index, vector) in vectors.iter().enumerate() {
        for element in vector {
            let Known { group, bound } = memory.find(&element.labels);
            let (common, met) = &mut memory.groups[group];
            if met.epoch != memory.epoch {
                let place = found.len();
                let epoch = memory.epoch;
                *met = Met { epoch, place };
                let sides = std::array::from_fn(|_| None);
                found.push(Found { group, sides });
            }
            let side = &mut found[met.place].sides[index];
            let of_side = side.get_or_insert_with(|| Group {
                first: element,
                floats: Vec::new(),
                histogram: None,
            });
            let is_second = match &element.value {
                SampleValue::Float(value) => {
                    of_side.floats.push(Member {
                        labels: &element.labels,
                        bound,
                        value: *value,
                    });
                    false
                }
                SampleValue::Histogram(histogram) => of_side.histogram.replace(histogram).is_some(),
            };
            let (name, first) = (element.labels.metric_name(), &of_side.first.labels);
            if is_second || first.metric_name() != name {
                // Of several the first in the order of labels is told, whatever came first.
                if collision.as_ref().is_none_or(|known| &*common < known) {
                    collision = Some(common.clone());
                }
            }
        }
    }
    if let Some(labels) = collision {
        return Err(FunctionError(format!(
            "{function}(): several metrics have the labels {labels}: select one, or sum them"
        )));
    }
    let memory = &call.memory.groups;
    let mut met: Vec<Meeting<'e, N>> = found
        .into_iter()
        .filter(|found| found.sides.iter().all(Option::is_some))
        .map(|found| Meeting {
            labels: memory.groups[found.group].0.clone(),
            groups: found.sides.map(|side| side.expect("looked at above")),
        })
        .collect();
    met.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(met)
}

/// Lists the floats of each group by the member label. What cannot be told apart by it is left out
/// with a remark: floats without it, and native histograms.
pub(super) fn named_floats<'e, const N: usize>(
    call: &mut Call<'_>,
    function: &'static str,
    member: &str,
    groups: &[Group<'e>; N],
) -> [Vec<(&'e str, f64)>; N] {
    for (index, group) in groups.iter().enumerate() {
        if group.histogram.is_some() {
            let aggregation = function;
            call.remark(index, Remark::HistogramIgnoredInAggregation { aggregation });
        }
    }
    std::array::from_fn(|index| {
        let floats = groups[index].floats.iter();
        let named = floats.map(|float| (float.labels.value(member), float.value));
        let mut named: Vec<(&str, f64)> = named.collect();
        let n_floats = named.len();
        named.retain(|(name, _)| !name.is_empty());
        if named.len() < n_floats {
            let label = member.to_owned();
            call.remark(index, Remark::MissingLabel { label });
        }
        named
    })
}

/// Puts the histograms of two groups, that of the second argument first, into common bins.
/// Remarks on what is no histogram and on layouts that have nothing in common.
pub(super) fn fill_with_histograms(
    call: &mut Call<'_>,
    function: &'static str,
    [current, reference]: [&Group<'_>; 2],
    bins: &mut Bins,
) -> Result<(), Unusable> {
    let mut are_mixed = false;
    for (index, group) in [current, reference].into_iter().enumerate() {
        let metric = || group.first.labels.metric_name().to_owned();
        if let Some(bad) = group.floats.iter().find(|float| float.bound.is_nan()) {
            let value = bad.labels.value(BUCKET_LABEL).to_owned();
            let metric = metric();
            call.remark(index, Remark::BadBucketLabel { metric, value });
        }
        if group.histogram.is_some() && !group.floats.is_empty() {
            let metric = metric();
            call.remark(index, Remark::MixedClassicNativeHistograms { metric });
            are_mixed = true;
        }
    }
    if are_mixed {
        return Err(Unusable::Counts);
    }
    let filled = bins.of_histograms(reference, current);
    if filled == Err(Unusable::Layouts) {
        call.remark(1, Remark::NoCommonBuckets { function });
    }
    filled
}
