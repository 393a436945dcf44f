//! A list of very many values that grows without moving them.
//!
//! A vector that doubles holds its contents twice while it grows, stops whoever grows it for as
//! long as copying takes, and leaves behind what an allocator can hardly use again. Here values lie
//! in blocks that never move; what of the last block is not used yet was never written to, and so
//! takes no memory.

/// Values of a block; a power of two, so that a place is split by shifting.
const BLOCK: usize = 1024;

/// A list of values by place, from 0.
#[derive(Clone, Debug)]
pub struct BlockList<T> {
    /// Each but the last is full.
    blocks: Vec<Vec<T>>,
}

impl<T> Default for BlockList<T> {
    fn default() -> Self {
        BlockList { blocks: Vec::new() }
    }
}

impl<T> BlockList<T> {
    /// Returns the value at a place.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)
    }

    /// Returns the value at a place, to change it.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.blocks.get_mut(at / BLOCK)?.get_mut(at % BLOCK)
    }

    /// Adds a value at the end; returns its place.
    pub fn push(&mut self, value: T) -> usize {
        if self.blocks.last().is_none_or(|last| last.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(last) = self.blocks.last_mut() {
            last.push(value);
        }
        self.len() - 1
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        let full = self.blocks.len().saturating_sub(1) * BLOCK;
        full + self.blocks.last().map_or(0, Vec::len)
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_where_they_were_put() {
        let mut list = BlockList::default();
        assert!(list.is_empty() && list.get(0).is_none());
        let n = 3 * BLOCK + 5;
        for value in 0..n {
            assert_eq!((list.push(value), list.len()), (value, value + 1));
        }
        let first = std::ptr::from_ref(&list.blocks[0][0]);
        list.push(n);
        assert_eq!(first, std::ptr::from_ref(&list.blocks[0][0]));
        if let Some(value) = list.get_mut(BLOCK) {
            *value = 7;
        }
        assert_eq!(list.get(BLOCK), Some(&7));
        assert_eq!(list.get(n), Some(&n));
        assert_eq!((list.get(n + 1), list.get(usize::MAX)), (None, None));
    }
}
