//! What the nodes of a tree keep from one step of a range to the next.

use std::collections::HashMap;

/// Something for every node of a kind, by its place in the tree.
///
/// A node takes what is its own, and puts it back when it is done.
pub(super) struct Kept<N, T> {
    by_node: HashMap<*const N, T>,
}

impl<N, T> Default for Kept<N, T> {
    fn default() -> Self {
        Kept {
            by_node: HashMap::new(),
        }
    }
}

impl<N, T: Default> Kept<N, T> {
    /// Hands out what the node has put back at the step before.
    pub fn take(&mut self, node: &N) -> T {
        let kept = self.by_node.get_mut(&std::ptr::from_ref(node));
        kept.map(std::mem::take).unwrap_or_default()
    }

    /// Keeps it for the next step.
    pub fn put(&mut self, node: &N, kept: T) {
        self.by_node.insert(std::ptr::from_ref(node), kept);
    }
}
