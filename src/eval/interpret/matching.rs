//! Vector matching: which elements of two vectors an operator is applied to.
//!
//! Elements belong together when the labels of `on`, or all but those of `ignoring`, are equal.
//! One side is the "one" side, where a match group may hold a single element; with `group_left`
//! and `group_right` the other may hold many.

use std::collections::{HashMap, HashSet};

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::eval::interpret::info::braces;
use crate::eval::interpret::operation::{changes_metric, combine};
use crate::functions::Element;
use crate::functions::call::drop_metadata;
use crate::model::{Labels, LabelsBuilder, METRIC_NAME, SampleValue, TimestampMs};
use crate::promql::ast::{Binary, Cardinality, Span, VectorMatching};

/// Returns the labels by which an element is matched.
pub(super) fn match_key(matching: &VectorMatching, labels: &Labels) -> Labels {
    if matching.on {
        labels.filter(|name| matching.labels.iter().any(|label| label == name))
    } else {
        labels.filter(|name| {
            name != METRIC_NAME && !matching.labels.iter().any(|label| label == name)
        })
    }
}

/// Matching without `on` or `ignoring`.
pub(super) fn default_matching(cardinality: Cardinality) -> VectorMatching {
    VectorMatching {
        cardinality,
        on: false,
        labels: Vec::new(),
        include: Vec::new(),
        fill_left: None,
        fill_right: None,
    }
}

impl Interpreter<'_> {
    /// Applies an arithmetic or comparison operator to matching elements.
    pub(super) fn match_vectors(
        &mut self,
        lhs: Vec<Element>,
        rhs: Vec<Element>,
        binary: &Binary,
        (span, at): (Span, TimestampMs),
    ) -> Result<Vec<Element>, EvalError> {
        let default = default_matching(Cardinality::OneToOne);
        let matching = binary.matching.as_ref().unwrap_or(&default);
        let fills = (matching.fill_left, matching.fill_right);
        if (lhs.is_empty() && rhs.is_empty())
            || ((lhs.is_empty() || rhs.is_empty()) && fills == (None, None))
        {
            return Ok(Vec::new());
        }
        // From here on the right is the "one" side.
        let is_swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if is_swapped { (rhs, lhs) } else { (lhs, rhs) };
        let one_by_key = index_one_side(&one, matching, is_swapped)?;
        let mut pairing = Pairing {
            binary,
            matching,
            is_swapped,
            at,
            delayed: self.options.delayed_name_removal,
            matched: HashMap::new(),
            out: Vec::new(),
        };
        let mut remarks = Vec::new();
        // A parser that keeps sides apart fills the left with `fill_left`; the "one" side of a
        // `group_right` is the left.
        let (fill_many, fill_one) = fills;
        for element in &many {
            let key = match_key(matching, &element.labels);
            let partner = match (one_by_key.get(&key), fill_one) {
                (Some(index), _) => one[*index].clone(),
                (None, Some(fill)) => filler(&key, fill, at),
                (None, None) => continue,
            };
            pairing.pair(element, &partner, key, &mut remarks)?;
        }
        if let Some(fill) = fill_many {
            for element in &one {
                let key = match_key(matching, &element.labels);
                if !pairing.matched.contains_key(&key) {
                    let missing = filler(&key, fill, at);
                    pairing.pair(&missing, element, key, &mut remarks)?;
                }
            }
        }
        let out = pairing.out;
        // As in Prometheus, the last remark stands for all of the operation.
        if let Some(remark) = remarks.pop() {
            self.annotations.add(remark, span);
        }
        Ok(out)
    }
}

fn filler(key: &Labels, value: f64, at: TimestampMs) -> Element {
    Element {
        labels: key.clone(),
        value: SampleValue::Float(value),
        at,
        drop_name: false,
    }
}

fn index_one_side(
    one: &[Element],
    matching: &VectorMatching,
    is_swapped: bool,
) -> Result<HashMap<Labels, usize>, EvalError> {
    let mut by_key = HashMap::with_capacity(one.len());
    for (index, element) in one.iter().enumerate() {
        let key = match_key(matching, &element.labels);
        let Some(other) = by_key.insert(key.clone(), index) else {
            continue;
        };
        let side = if is_swapped { "left" } else { "right" };
        let mut found = [&element.labels, &one[other].labels].map(braces);
        found.sort();
        return Err(EvalError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the \
             operation: [{}, {}];many-to-many matching not allowed: matching labels must be \
             unique on one side",
            braces(&key),
            found[0],
            found[1]
        )));
    }
    Ok(by_key)
}

/// The pairs made so far.
struct Pairing<'a> {
    binary: &'a Binary,
    matching: &'a VectorMatching,
    is_swapped: bool,
    at: TimestampMs,
    delayed: bool,
    /// The results' labels by match group, to find two of the same.
    matched: HashMap<Labels, HashSet<Labels>>,
    out: Vec<Element>,
}

impl Pairing<'_> {
    fn pair(
        &mut self,
        many: &Element,
        one: &Element,
        key: Labels,
        remarks: &mut Vec<crate::functions::Remark>,
    ) -> Result<(), EvalError> {
        let (lhs, rhs) = if self.is_swapped {
            (one, many)
        } else {
            (many, one)
        };
        let combined = match combine(self.binary.op, &lhs.value, &rhs.value) {
            Ok(combined) => combined,
            Err(remark) => {
                remarks.push(remark);
                return Ok(());
            }
        };
        remarks.extend(combined.remarks);
        let labels = self.result_labels(&many.labels, &one.labels);
        self.refuse_duplicate(key, &labels)?;
        let value = if self.binary.return_bool {
            SampleValue::Float(f64::from(u8::from(combined.keep)))
        } else if combined.keep {
            combined.value
        } else {
            return Ok(());
        };
        self.out.push(Element {
            labels,
            value,
            at: self.at,
            drop_name: self.binary.return_bool,
        });
        Ok(())
    }

    fn refuse_duplicate(&mut self, key: Labels, labels: &Labels) -> Result<(), EvalError> {
        let is_one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let group = self.matched.entry(key).or_default();
        let text = if is_one_to_one && !group.is_empty() {
            "multiple matches for labels: many-to-one matching must be explicit \
             (group_left/group_right)"
        } else if !group.insert(labels.clone()) {
            "multiple matches for labels: grouping labels must ensure unique matches"
        } else {
            return Ok(());
        };
        Err(EvalError::Execution(text.to_owned()))
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let returns_bool = self.binary.return_bool && !self.delayed;
        let mut labels = if changes_metric(self.binary.op) || returns_bool {
            drop_metadata(many)
        } else {
            many.clone()
        };
        let is_matched = |name: &str| self.matching.labels.iter().any(|label| label == name);
        if self.matching.cardinality == Cardinality::OneToOne {
            labels = labels.filter(|name| is_matched(name) == self.matching.on);
        }
        if self.matching.include.is_empty() {
            return labels;
        }
        let mut builder = LabelsBuilder::from(&labels);
        for name in &self.matching.include {
            builder.set(name, one.value(name));
        }
        builder.build()
    }
}
