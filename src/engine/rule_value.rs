//! What a rule's expression is worth as the frontier stands, by either source of leaves: for the
//! tests that hold one against the other, and for nobody else.

use crate::engine::compiled_rule::RuleIndex;
use crate::engine::evaluate::{Leaves, View};
use crate::engine::{CompiledRules, Engine};
use crate::model::VectorElement;

/// What an expression came to, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleValue {
    /// The elements, in order, or the text of the error.
    pub elements: Result<Vec<VectorElement>, String>,
    /// Samples that were read from history.
    pub samples_scanned: u64,
}

impl Engine {
    /// Sets where ticks and arrivals get their leaves from.
    pub fn set_leaves(&mut self, leaves: Leaves) {
        self.leaves = leaves;
    }

    /// Returns the rules.
    pub fn rules(&self) -> &CompiledRules {
        &self.rules
    }

    /// Returns what a rule's expression is worth at the frontier, to a tick (less its group's
    /// query offset) or to an arrival; `None` before there is a frontier or such a rule.
    pub fn rule_value(&mut self, rule: RuleIndex, leaves: Leaves, view: View) -> Option<RuleValue> {
        let frontier = self.frontier?;
        self.follow_series();
        let rule = self.rules.rules.get(rule)?;
        let at = match view {
            View::Appended => frontier - self.rules.groups[rule.group].query_offset,
            View::Live => frontier,
        };
        let mut evaluation = self.evaluation();
        evaluation.leaves = leaves;
        let elements = evaluation.vector(rule, at, view, None);
        Some(RuleValue {
            elements,
            samples_scanned: evaluation.scanned.get(),
        })
    }
}
