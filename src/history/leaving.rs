//! What leaves memory: full chunks go to the store, old samples are forgotten.

use std::sync::Arc;

use crate::history::SeriesHistory;
use crate::history::chunk::HeadChunk;
use crate::history::cold::{ColdChain, ColdStore, KEEP_MIN};
use crate::model::{DurationMs, TimestampMs};

impl SeriesHistory {
    /// Sets the head aside and begins another.
    pub(in crate::history) fn seal(&mut self) {
        let aside = self.rest.as_mut().and_then(|rest| rest.aside.take());
        let histograms = aside.map_or_else(Vec::new, |aside| *aside);
        let chunk = self.head.seal(histograms);
        self.sealed_mut().push_back(chunk);
        self.number = self.number.wrapping_add(1);
        self.head.begin();
    }

    /// Moves the chunks to the store in which no sample can come between others any more. Native
    /// histograms stay in memory, and so do the chunks behind them; where there is no room, all
    /// do, and it is tried again with the next one.
    pub(in crate::history) fn spill(&mut self, oldest_allowed: TimestampMs) {
        let mut number = self.first();
        let Some(rest) = &mut self.rest else { return };
        let (Some(cold), Some(sealed)) = (&mut rest.cold, &mut rest.sealed) else {
            return;
        };
        while let Some(chunk) = sealed.front() {
            let may_change = chunk.end > oldest_allowed || !chunk.histograms.is_empty();
            if may_change || !cold.push(number, chunk) {
                return;
            }
            sealed.pop_front();
            number = number.wrapping_add(1);
        }
        // There is nothing here until the next chunk is full.
        rest.sealed = None;
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
        match (&mut rest.cold, store) {
            (Some(cold), _) => cold.set_keep(keep),
            (None, Some(store)) if keep >= KEEP_MIN && rest.sealed.is_some() => {
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
                (rest.sealed, rest.aside) = (None, None);
            }
        }
        let Some(rest) = &mut self.rest else { return };
        // What is cold ends before what is in memory begins.
        if let Some(cold) = &mut rest.cold
            && base.is_none_or(|base| base <= until)
        {
            cold.clear();
        }
        if let Some(sealed) = &mut rest.sealed {
            while sealed.front().is_some_and(|chunk| chunk.end <= until) {
                sealed.pop_front();
            }
            if sealed.is_empty() {
                rest.sealed = None;
            }
        }
        if let Some(starts) = &mut rest.starts {
            let kept = Arc::make_mut(starts);
            kept.forget(until);
            if kept.is_empty() {
                rest.starts = None;
            }
        }
    }
}
