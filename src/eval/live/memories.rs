//! What calls of a rule set keep from one evaluation to the next: which group each label set that
//! they have come across belongs to. Nothing that a result could depend on.

use std::collections::HashMap;

use crate::functions::CallMemory;
use crate::promql::ast::Call;

/// What calls keep, by their places in the trees of the rules.
#[derive(Debug, Default)]
pub(super) struct Memories {
    by_call: HashMap<usize, CallMemory>,
}

impl Memories {
    fn key(call: &Call) -> usize {
        std::ptr::from_ref(call).addr()
    }

    /// Hands out what a call has put back.
    pub fn take(&mut self, call: &Call) -> CallMemory {
        let kept = self.by_call.get_mut(&Memories::key(call));
        kept.map(std::mem::take).unwrap_or_default()
    }

    /// Keeps it for the next evaluation.
    pub fn put(&mut self, call: &Call, memory: CallMemory) {
        self.by_call.insert(Memories::key(call), memory);
    }

    /// Forgets all, so that labels of series that have gone are not held.
    pub fn forget(&mut self) {
        self.by_call.clear();
    }
}
