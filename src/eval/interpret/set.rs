//! `and`, `or`, `unless`: elements kept by whether the other side has a match.

use crate::eval::interpret::Interpreter;
use crate::eval::interpret::matching::default_matching;
use crate::functions::Element;
use crate::promql::ast::{Binary, BinaryOp, Cardinality};

impl Interpreter<'_> {
    /// Applies a set operator.
    pub(super) fn combine_sets(
        &mut self,
        mut lhs: Vec<Element>,
        mut rhs: Vec<Element>,
        binary: &Binary,
    ) -> Vec<Element> {
        let default = default_matching(Cardinality::ManyToMany);
        let matching = binary.matching.as_ref().unwrap_or(&default);
        let mut matched = self.of_operators.take(binary);
        let (kept, other) = match binary.op {
            BinaryOp::Or => (&mut rhs, &lhs),
            _ => (&mut lhs, &rhs),
        };
        let mut is_present: Vec<bool> = Vec::new();
        for element in other {
            let key = matched.key(matching, element);
            if key >= is_present.len() {
                is_present.resize(key + 1, false);
            }
            is_present[key] = true;
        }
        kept.retain(|element| {
            let key = matched.key(matching, element);
            let has_match = is_present.get(key).is_some_and(|present| *present);
            has_match == (binary.op == BinaryOp::And)
        });
        self.of_operators.put(binary, matched);
        if binary.op == BinaryOp::Or {
            lhs.append(&mut rhs);
        }
        lhs
    }
}
