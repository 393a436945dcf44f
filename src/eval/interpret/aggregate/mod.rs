//! Aggregations: elements put in groups by their labels, one result for each, or some of each.

mod count_values;
mod rank;
mod reduce;

use std::collections::HashMap;

use crate::eval::EvalError;
use crate::eval::interpret::{Interpreter, unexpected};
use crate::functions::call::plain;
use crate::functions::{Argument, Element};
use crate::model::{Labels, METRIC_NAME, TimestampMs};
use crate::promql::ast::{Aggregate, AggregateOp, Span};

impl<'a> Interpreter<'a> {
    /// Evaluates an aggregation.
    pub(super) fn eval_aggregate(
        &mut self,
        aggregate: &Aggregate,
        span: Span,
        at: TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        let parameter = aggregate.parameter.as_ref();
        let parameter = parameter.map(|p| self.eval(plain(p), at)).transpose()?;
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
                self.pick(aggregate, k, elements, span)
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

/// The groups of an aggregation, in the order in which they first came up.
struct Groups<T> {
    by_labels: HashMap<Labels, usize>,
    groups: Vec<(Labels, T)>,
}

impl<T> Groups<T> {
    fn new() -> Self {
        Groups {
            by_labels: HashMap::new(),
            groups: Vec::new(),
        }
    }

    /// Returns the index of the group of `labels`, made by `new` where there is none.
    fn find_or_insert(&mut self, key: Labels, new: impl FnOnce() -> T) -> &mut T {
        let next = self.groups.len();
        let index = *self.by_labels.entry(key.clone()).or_insert(next);
        if index == next {
            self.groups.push((key, new()));
        }
        &mut self.groups[index].1
    }
}

/// Returns the labels of the group that an element belongs to.
fn group_labels(aggregate: &Aggregate, labels: &Labels) -> Labels {
    let is_named = |name: &str| aggregate.grouping.iter().any(|label| label == name);
    if aggregate.without {
        labels.filter(|name| name != METRIC_NAME && !is_named(name))
    } else if aggregate.grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filter(is_named)
    }
}
