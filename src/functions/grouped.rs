//! Vectors whose elements belong together but for one label: the buckets of a histogram, the
//! classes of a prediction, the dimensions of an embedding, the bins of a score.
//!
//! Functions that compare such groups take several vectors. Groups of all of them meet where
//! their labels are the same without the metric's name and that one label; what is not in all of
//! them has no result, as in any vector matching.
//!
//! Cost: a look-up in a hash table for each element.

use std::sync::Arc;

use crate::functions::annotation::Remark;
use crate::functions::call::{Call, Element, FunctionError, drop_metadata};
use crate::model::{FloatHistogram, Labels, SampleValue};

/// The elements of one vector that differ in the member label alone.
#[derive(Clone, Debug)]
pub(super) struct Group<'e> {
    /// One of the elements.
    pub first: &'e Element,
    /// The member label's values and the floats, in the order of the vector.
    pub floats: Vec<(&'e str, f64)>,
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

/// Puts the elements of all vectors into groups by their labels without `member`, and returns
/// those that all vectors have, in the order of labels. Fails where a group would hold two
/// metrics.
pub(super) fn meetings<'e, const N: usize>(
    call: &mut Call<'_>,
    function: &'static str,
    member: &str,
    vectors: &'e [Vec<Element>; N],
) -> Result<Vec<Meeting<'e, N>>, FunctionError> {
    let mut sides: [Vec<Option<Group<'e>>>; N] = std::array::from_fn(|_| Vec::new());
    for (side, vector) in sides.iter_mut().zip(vectors) {
        for element in vector {
            let common = |labels: &Labels| drop_metadata(labels).filter(|name| name != member);
            let number = call.memory.labels.number(&element.labels, common);
            if number >= side.len() {
                side.resize(number + 1, None);
            }
            let group = side[number].get_or_insert_with(|| Group {
                first: element,
                floats: Vec::new(),
                histogram: None,
            });
            let name = element.labels.metric_name();
            if group.first.labels.metric_name() != name
                || (group.histogram.is_some() && matches!(element.value, SampleValue::Histogram(_)))
            {
                let labels = call.memory.labels.get(number);
                return Err(FunctionError(format!(
                    "{function}(): {:?} and {name:?} both have the labels {labels}: select one \
                     metric, or sum them",
                    group.first.labels.metric_name(),
                )));
            }
            match &element.value {
                SampleValue::Float(value) => {
                    group.floats.push((element.labels.value(member), *value));
                }
                SampleValue::Histogram(histogram) => group.histogram = Some(histogram),
            }
        }
    }
    let n_groups = sides.iter().map(Vec::len).min().unwrap_or_default();
    let mut met = Vec::new();
    for number in 0..n_groups {
        if sides.iter().any(|side| side[number].is_none()) {
            continue;
        }
        let mut taken = sides.iter_mut().filter_map(|side| side[number].take());
        let groups = std::array::from_fn(|_| taken.next().expect("looked at above"));
        let labels = call.memory.labels.get(number).clone();
        met.push(Meeting { labels, groups });
    }
    met.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(met)
}

/// Leaves out the floats of a group that lack the member label, with a remark.
pub(super) fn remove_unlabelled(
    call: &mut Call<'_>,
    (index, member): (usize, &str),
    group: &mut Group<'_>,
) {
    let n_floats = group.floats.len();
    group.floats.retain(|(value, _)| !value.is_empty());
    if group.floats.len() < n_floats {
        let label = member.to_owned();
        call.remark(index, Remark::MissingLabel { label });
    }
}
