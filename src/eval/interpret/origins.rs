//! Which series a nameless result came from, over the steps of a range.
//!
//! A function over windows drops metric names. Prometheus evaluates it series by series over all
//! steps of a range query or subquery, so two series that differ in name alone collide there even
//! if they never have a value at the same step.

use std::collections::HashMap;

use crate::eval::interpret::Interpreter;
use crate::functions::Origins;
use crate::model::Matcher;
use crate::promql::Expr;
use crate::promql::ast::{Call, ExprKind};

/// The origins of every call's results, by the call's place in the tree.
pub(super) type OriginsByCall = HashMap<*const Call, Origins>;

impl Interpreter<'_> {
    /// Hands out what the call has returned at earlier steps, if that can matter.
    pub(super) fn take_origins(&mut self, call: &Call) -> Option<Origins> {
        let matters = self.is_range
            && !self.options.features.delayed_name_removal
            && call.args.iter().any(may_mix_names);
        matters.then(|| {
            self.origins
                .remove(&std::ptr::from_ref(call))
                .unwrap_or_default()
        })
    }

    /// Takes it back for the next step.
    pub(super) fn put_origins(&mut self, call: &Call, origins: Option<Origins>) {
        if let Some(origins) = origins {
            self.origins.insert(std::ptr::from_ref(call), origins);
        }
    }
}

/// Tells whether the series of an expression can have different names.
pub(in crate::eval) fn may_mix_names(expr: &Expr) -> bool {
    let mut names: Vec<Option<&str>> = Vec::new();
    expr.walk(&mut |node| {
        let selector = match &node.kind {
            ExprKind::Vector(selector) => selector,
            ExprKind::Matrix(matrix) => &matrix.selector,
            _ => return,
        };
        names.push(Matcher::exact_name(&selector.matchers));
    });
    names.iter().any(|name| name.is_none() || *name != names[0])
}
