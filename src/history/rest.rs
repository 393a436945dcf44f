//! What a history has besides the chunk that is being written.
//!
//! Every series that looks back far has a [`Rest`], so that is small too; what only few have, and
//! others for as long as it takes to write a chunk to the store, lies in a block of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::chunk::SealedChunk;
use crate::history::cold::ColdChain;
use crate::model::{HistogramPoint, StartTimes};

/// What a history has besides the chunk that is being written.
#[derive(Debug, Default)]
pub struct Rest {
    /// Chunks that are not in memory, all before the others.
    pub cold: Option<ColdChain>,
    /// What few series have, and those that look back far for moments.
    pub more: Option<Box<More>>,
}

const _: () = assert!(size_of::<Rest>() == 64);

/// What else a history may have.
#[derive(Clone, Debug, Default)]
pub struct More {
    /// The native histograms of the head.
    pub aside: Vec<HistogramPoint>,
    /// Chunks that are full and in memory, all before the head and behind the cold ones.
    pub sealed: VecDeque<Arc<SealedChunk>>,
    /// The start timestamps, if any sample ever stated one; shared as chunks are.
    pub starts: Option<Arc<StartTimes>>,
}

impl Rest {
    /// Tells whether chunks are full and in memory.
    pub fn has_sealed(&self) -> bool {
        let more = self.more.as_ref();
        more.is_some_and(|more| !more.sealed.is_empty())
    }

    /// Forgets what is in memory.
    pub fn forget_all(&mut self) {
        if let Some(more) = &mut self.more {
            more.sealed.clear();
            more.aside.clear();
        }
    }

    /// Gives back the room of what there is nothing of.
    pub fn tidy(&mut self) {
        let Some(more) = &mut self.more else { return };
        if more.sealed.is_empty() {
            more.sealed = VecDeque::new();
        }
        if more.sealed.is_empty() && more.aside.is_empty() && more.starts.is_none() {
            self.more = None;
        }
    }
}
