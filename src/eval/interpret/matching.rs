//! Vector matching: which elements of two vectors an operator is applied to.
//!
//! Elements belong together when the labels of `on`, or all but those of `ignoring`, are equal.
//! One side is the "one" side, where a match group may hold a single element; with `group_left`
//! and `group_right` the other may hold many.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::eval::interpret::info::braces;
use crate::eval::interpret::operation::{changes_metric, combine};
use crate::eval::plan::standing;
use crate::functions::call::drop_metadata;
use crate::functions::{Element, Remark};
use crate::model::derived_labels::LabelsHasher;
use crate::model::{
    DerivedLabels, Labels, LabelsBuilder, LabelsMap, METRIC_NAME, SampleValue, TimestampMs,
};
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
        let mut pairing = Pairing {
            binary,
            matching,
            is_swapped,
            at,
            delayed: self.options.features.delayed_name_removal,
            matched: self.of_operators.take(binary),
            has_result: Vec::new(),
            results: HashSet::default(),
            remarks: Vec::new(),
            is_delicate: false,
            out: Vec::new(),
        };
        let paired = pairing.pair_all(&many, &one);
        self.of_operators.put(binary, pairing.matched);
        paired?;
        if pairing.is_delicate {
            self.unsettle(binary);
        }
        // As in Prometheus, the last remark stands for all of the operation.
        if let Some(remark) = pairing.remarks.pop() {
            self.annotations.add(remark, span);
        }
        Ok(pairing.out)
    }
}

/// What an operator between vectors keeps from step to step.
#[derive(Default)]
pub(super) struct Matched {
    /// The labels by which elements are matched.
    pub keys: DerivedLabels,
    /// By the labels of the "many" side: those of its last partner, and of their result.
    results: LabelsMap<(Labels, Labels)>,
}

impl Matched {
    /// Returns the number of an element's match key.
    pub fn key(&mut self, matching: &VectorMatching, element: &Element) -> usize {
        let match_key = |labels: &Labels| match_key(matching, labels);
        self.keys.number(&element.labels, match_key)
    }
}

/// The pairs made so far.
struct Pairing<'a> {
    binary: &'a Binary,
    matching: &'a VectorMatching,
    is_swapped: bool,
    at: TimestampMs,
    delayed: bool,
    matched: Matched,
    /// Which match keys have a result, by their numbers.
    has_result: Vec<bool>,
    /// The results' labels by match key, where there may be several.
    results: HashSet<(usize, Labels), BuildHasherDefault<LabelsHasher>>,
    remarks: Vec<Remark>,
    /// Whether rounding could turn a result.
    is_delicate: bool,
    out: Vec<Element>,
}

impl Pairing<'_> {
    fn pair_all(&mut self, many: &[Element], one: &[Element]) -> Result<(), EvalError> {
        let one_by_key = self.index(one)?;
        // A parser that keeps sides apart fills the left with `fill_left`; the "one" side of a
        // `group_right` is the left.
        let (fill_many, fill_one) = (self.matching.fill_left, self.matching.fill_right);
        for element in many {
            let key = self.matched.key(self.matching, element);
            match (one_by_key.get(key).copied().flatten(), fill_one) {
                (Some(index), _) => self.pair(element, &one[index], key)?,
                (None, Some(fill)) => {
                    let missing = self.filler(key, fill);
                    self.pair(element, &missing, key)?;
                }
                (None, None) => {}
            }
        }
        let Some(fill) = fill_many else { return Ok(()) };
        for element in one {
            let key = self.matched.key(self.matching, element);
            if !self.has_result.get(key).is_some_and(|has| *has) {
                let missing = self.filler(key, fill);
                self.pair(&missing, element, key)?;
            }
        }
        Ok(())
    }

    /// Returns where the elements of the "one" side are, by the numbers of their match keys.
    fn index(&mut self, one: &[Element]) -> Result<Vec<Option<usize>>, EvalError> {
        let mut by_key: Vec<Option<usize>> = Vec::with_capacity(one.len());
        for (index, element) in one.iter().enumerate() {
            let key = self.matched.key(self.matching, element);
            if key >= by_key.len() {
                by_key.resize(key + 1, None);
            }
            let Some(other) = by_key[key].replace(index) else {
                continue;
            };
            let side = if self.is_swapped { "left" } else { "right" };
            let mut found = [&element.labels, &one[other].labels].map(braces);
            found.sort();
            return Err(EvalError::Execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the \
                 operation: [{}, {}];many-to-many matching not allowed: matching labels must be \
                 unique on one side",
                braces(self.matched.keys.get(key)),
                found[0],
                found[1]
            )));
        }
        Ok(by_key)
    }

    fn filler(&self, key: usize, value: f64) -> Element {
        Element {
            labels: self.matched.keys.get(key).clone(),
            value: SampleValue::Float(value),
            at: self.at,
            drop_name: false,
        }
    }

    fn pair(&mut self, many: &Element, one: &Element, key: usize) -> Result<(), EvalError> {
        let (lhs, rhs) = if self.is_swapped {
            (one, many)
        } else {
            (many, one)
        };
        let combined = match combine(self.binary.op, &lhs.value, &rhs.value) {
            Ok(combined) => combined,
            Err(remark) => {
                self.remarks.push(remark);
                return Ok(());
            }
        };
        let sides = (&lhs.value, &rhs.value);
        self.is_delicate |= standing::is_delicate(self.binary.op, sides, &combined.value);
        self.remarks.extend(combined.remarks);
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

    fn refuse_duplicate(&mut self, key: usize, labels: &Labels) -> Result<(), EvalError> {
        let is_one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        if key >= self.has_result.len() {
            self.has_result.resize(key + 1, false);
        }
        let had_result = std::mem::replace(&mut self.has_result[key], true);
        let text = if is_one_to_one && had_result {
            "multiple matches for labels: many-to-one matching must be explicit \
             (group_left/group_right)"
        } else if !is_one_to_one && !self.results.insert((key, labels.clone())) {
            "multiple matches for labels: grouping labels must ensure unique matches"
        } else {
            return Ok(());
        };
        Err(EvalError::Execution(text.to_owned()))
    }

    /// Returns the labels of a pair's result; those of the same pair at the step before are kept.
    fn result_labels(&mut self, many: &Labels, one: &Labels) -> Labels {
        match self.matched.results.get(many) {
            Some((partner, result)) if partner == one => result.clone(),
            _ => {
                let result = self.make_labels(many, one);
                let kept = (one.clone(), result.clone());
                self.matched.results.insert(many.clone(), kept);
                result
            }
        }
    }

    fn make_labels(&self, many: &Labels, one: &Labels) -> Labels {
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
