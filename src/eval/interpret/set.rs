//! `and`, `or`, `unless`: elements kept by whether the other side has a match.

use std::collections::HashSet;

use crate::eval::interpret::Interpreter;
use crate::eval::interpret::matching::{default_matching, match_key};
use crate::functions::Element;
use crate::model::Labels;
use crate::promql::ast::{Binary, BinaryOp, Cardinality};

impl Interpreter<'_> {
    /// Applies a set operator.
    pub(super) fn combine_sets(
        &mut self,
        mut lhs: Vec<Element>,
        rhs: Vec<Element>,
        binary: &Binary,
    ) -> Vec<Element> {
        let default = default_matching(Cardinality::ManyToMany);
        let matching = binary.matching.as_ref().unwrap_or(&default);
        let key = |element: &Element| match_key(matching, &element.labels);
        let keys = |elements: &[Element]| -> HashSet<Labels> { elements.iter().map(key).collect() };
        match binary.op {
            BinaryOp::And => {
                let present = keys(&rhs);
                lhs.retain(|element| present.contains(&key(element)));
            }
            BinaryOp::Unless => {
                let present = keys(&rhs);
                lhs.retain(|element| !present.contains(&key(element)));
            }
            _ => {
                let present = keys(&lhs);
                lhs.extend(
                    rhs.into_iter()
                        .filter(|element| !present.contains(&key(element))),
                );
            }
        }
        lhs
    }
}
