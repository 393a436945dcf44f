//! Aggregations: elements put in groups by their labels, one result for each, or some of each.

mod count_values;
mod rank;
pub(in crate::eval) mod reduce;

use crate::eval::EvalError;
use crate::eval::interpret::invariant::is_step_invariant;
use crate::eval::interpret::{Interpreter, unexpected};
use crate::functions::call::plain;
use crate::functions::{Argument, Element};
use crate::model::{DerivedLabels, Labels, METRIC_NAME, TimestampMs};
use crate::promql::ast::{Aggregate, AggregateOp, Span};

impl<'a> Interpreter<'a> {
    /// Evaluates an aggregation.
    pub(super) fn eval_aggregate(
        &mut self,
        aggregate: &Aggregate,
        span: Span,
        at: TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        if let Some(elements) = self.live_aggregate(aggregate, at)? {
            return Ok(elements);
        }
        let parameter = aggregate.parameter.as_ref();
        let parameter = match parameter {
            Some(parameter) if is_step_invariant(&aggregate.expr) => {
                Some(self.eval_once(plain(parameter))?)
            }
            Some(parameter) => Some(self.eval(plain(parameter), at)?),
            None => None,
        };
        let elements = self.eval_elements(plain(&aggregate.expr), at)?;
        let number = || match parameter {
            Some(Argument::Scalar(value)) => Ok(value),
            _ => Err(unexpected("scalar")),
        };
        match aggregate.op {
            AggregateOp::CountValues => match &parameter {
                Some(Argument::String(label)) => {
                    let counted = count_values::count_values(aggregate, label, elements, at)?;
                    self.unique(counted)
                }
                _ => Err(unexpected("string")),
            },
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                let k = number()?;
                let mut keys = self.of_aggregations.take(aggregate);
                let picked = self.pick((aggregate, &mut keys), k, elements, span);
                self.of_aggregations.put(aggregate, keys);
                picked
            }
            AggregateOp::LimitRatio => {
                let ratio = number()?;
                self.sample(aggregate, ratio, elements)
            }
            AggregateOp::Quantile => {
                let q = number()?;
                Ok(self.reduce(aggregate, q, elements, at))
            }
            _ => Ok(self.reduce(aggregate, f64::NAN, elements, at)),
        }
    }
}

/// The groups of an aggregation at one step, in the order in which they first came up.
struct Groups<'k, T> {
    aggregate: &'k Aggregate,
    keys: &'k mut DerivedLabels,
    /// Where a group stands, by the number of its key.
    places: Vec<Option<usize>>,
    groups: Vec<(usize, T)>,
}

impl<'k, T> Groups<'k, T> {
    fn new(aggregate: &'k Aggregate, keys: &'k mut DerivedLabels) -> Self {
        Groups {
            aggregate,
            keys,
            places: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Returns the group that an element belongs to, made by `new` where there is none.
    fn find_or_insert(&mut self, labels: &Labels, new: impl FnOnce() -> T) -> &mut T {
        let aggregate = self.aggregate;
        let key = self
            .keys
            .number(labels, |labels| group_labels(aggregate, labels));
        if key >= self.places.len() {
            self.places.resize(key + 1, None);
        }
        let place = *self.places[key].get_or_insert(self.groups.len());
        if place == self.groups.len() {
            self.groups.push((key, new()));
        }
        &mut self.groups[place].1
    }

    /// Iterates over the groups with their labels.
    fn finish(self) -> impl Iterator<Item = (Labels, T)> + use<'k, T> {
        let keys = self.keys;
        let groups = self.groups.into_iter();
        groups.map(move |(key, group)| (keys.get(key).clone(), group))
    }
}

/// Returns the labels of the group that an element belongs to.
pub(in crate::eval) fn group_labels(aggregate: &Aggregate, labels: &Labels) -> Labels {
    let is_named = |name: &str| aggregate.grouping.iter().any(|label| label == name);
    if aggregate.without {
        labels.filter(|name| name != METRIC_NAME && !is_named(name))
    } else if aggregate.grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filter(is_named)
    }
}
