//! What leaves memory: full chunks go to the store, old samples are forgotten.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::chunk::{HeadChunk, SealedChunk};
use crate::history::cold::{ColdChain, ColdStore, KEEP_MIN};
use crate::model::{DurationMs, TimestampMs};

impl SeriesHistory {
    /// Sets the head aside and begins another.
    pub(in crate::history) fn seal(&mut self) {
        let more = self.rest.get_or_insert_default();
        let more = more.more.get_or_insert_default();
        let chunk = self.head.seal(std::mem::take(&mut more.aside));
        more.sealed.push_back(chunk);
        self.number = self.number.wrapping_add(1);
        self.head.begin();
    }

    /// Moves the chunks to the store in which no sample can come between others any more. Native
    /// histograms stay in memory, and so do the chunks behind them; where there is no room, all
    /// do, and it is tried again with the next one.
    pub(in crate::history) fn spill(&mut self, oldest_allowed: TimestampMs) {
        let mut number = self.first();
        let Some(rest) = &mut self.rest else { return };
        let (Some(cold), Some(more)) = (&mut rest.cold, &mut rest.more) else {
            return;
        };
        while let Some(chunk) = more.sealed.front() {
            let may_change = chunk.end > oldest_allowed || !chunk.histograms.is_empty();
            if may_change || !cold.push(number, chunk) {
                return;
            }
            more.sealed.pop_front();
            number = number.wrapping_add(1);
        }
        // There is nothing here until the next chunk is full.
        rest.tidy();
    }

    /// Forgets what is older than `keep` at event time `now`. Full chunks of a series that looks
    /// back far go to `store`, from now on all in which no sample after `oldest_allowed` can come.
    pub fn cut(
        &mut self,
        now: TimestampMs,
        keep: DurationMs,
        store: Option<&Arc<dyn ColdStore>>,
        oldest_allowed: TimestampMs,
    ) {
        self.forget(now - keep);
        // Series that are young have nothing to put there yet.
        let Some(rest) = &mut self.rest else { return };
        let has_sealed = rest.has_sealed();
        match (&mut rest.cold, store) {
            (Some(cold), _) => cold.set_keep(keep),
            (None, Some(store)) if keep >= KEEP_MIN && has_sealed => {
                rest.cold = Some(ColdChain::new(Arc::clone(store), keep));
            }
            _ => {}
        }
        self.spill(oldest_allowed);
    }

    /// Forgets what lies at or before `until`.
    pub fn forget(&mut self, until: TimestampMs) {
        if until <= self.forgotten {
            return;
        }
        self.forgotten = until;
        let base = self.memory_base();
        if self.newest_at().is_none() {
            self.number = self.number.wrapping_add(1);
            self.head = HeadChunk::default();
            if let Some(rest) = &mut self.rest {
                rest.forget_all();
            }
        }
        let Some(rest) = &mut self.rest else { return };
        // What is cold ends before what is in memory begins.
        if let Some(cold) = &mut rest.cold
            && base.is_none_or(|base| base <= until)
        {
            cold.clear();
        }
        let Some(more) = &mut rest.more else { return };
        let is_gone = |chunk: &Arc<SealedChunk>| chunk.end <= until;
        while more.sealed.front().is_some_and(is_gone) {
            more.sealed.pop_front();
        }
        if let Some(starts) = &mut more.starts {
            let kept = Arc::make_mut(starts);
            kept.forget(until);
            if kept.is_empty() {
                more.starts = None;
            }
        }
        rest.tidy();
    }
}
