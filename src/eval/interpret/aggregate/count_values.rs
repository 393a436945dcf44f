//! `count_values`: how many elements of each group have the same value.

use crate::eval::EvalError;
use crate::eval::interpret::aggregate::Groups;
use crate::functions::Element;
use crate::functions::call::{is_label_name, set_label};
use crate::model::float::format_plain;
use crate::model::labels::quote;
use crate::model::{DerivedLabels, SampleValue, TimestampMs};
use crate::promql::ast::Aggregate;

/// Counts elements by value; the value stands in `label`.
pub(super) fn count_values(
    aggregate: &Aggregate,
    label: &str,
    elements: Vec<Element>,
    at: TimestampMs,
) -> Result<Vec<Element>, EvalError> {
    if !is_label_name(label) {
        let text = format!("invalid label name {}", quote(label));
        return Err(EvalError::Execution(text));
    }
    let mut by_value = aggregate.clone();
    if !by_value.without {
        by_value.grouping.push(label.to_owned());
    }
    let mut keys = DerivedLabels::default();
    let mut groups: Groups<u64> = Groups::new(&by_value, &mut keys);
    for element in elements {
        let text = match &element.value {
            SampleValue::Float(value) => format_plain(*value),
            SampleValue::Histogram(histogram) => histogram.to_string(),
        };
        let labels = set_label(&element.labels, label, &text)?;
        *groups.find_or_insert(&labels, || 0) += 1;
    }
    let counted = groups.finish().map(|(labels, count)| Element {
        labels,
        value: SampleValue::Float(count as f64),
        at,
        drop_name: false,
    });
    Ok(counted.collect())
}
