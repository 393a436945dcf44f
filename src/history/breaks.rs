//! Where in a history counters may have been reset, without reading it.
//!
//! Chunks know at how many of their samples that may be. Of most series that is nowhere.

use crate::history::SeriesHistory;
use crate::history::cold::Found;
use crate::model::TimestampMs;

impl SeriesHistory {
    /// Tells whether no sample after an instant is less than the live one before it, and floats and
    /// histograms do not meet there; `false` is not certain. Looks at the chunk that is being written
    /// alone.
    pub fn goes_on_since(&self, after: TimestampMs) -> bool {
        self.head.is_begun() && self.head.n_breaks() == 0 && after >= self.head.base()
    }

    /// Returns the parts of `(after, until]`, ascending and each open on the left, outside of which
    /// no sample is less than the live one before it, and floats and histograms do not meet.
    ///
    /// Cost: some reads for each part that is returned, and a look at each full chunk in memory.
    pub fn broken_parts(
        &self,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<(TimestampMs, TimestampMs)> {
        let mut parts = Vec::new();
        let mut add = |from: TimestampMs, to: TimestampMs| {
            let part = (from.max(after), to.min(until));
            if part.0 < part.1 {
                parts.push(part);
            }
        };
        self.visit_cold_breaks(after, until, &mut add);
        for chunk in self.sealed().iter().filter(|chunk| chunk.n_breaks > 0) {
            add(chunk.base, chunk.end);
        }
        if self.head.is_begun() && self.head.n_breaks() > 0 {
            add(self.head.base(), self.head.newest_at());
        }
        parts
    }

    fn visit_cold_breaks(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        add: &mut impl FnMut(TimestampMs, TimestampMs),
    ) {
        let Some(cold) = self.cold() else { return };
        let behind = TimestampMs(after.0.saturating_add(1));
        let first = match cold.find(|chunk| chunk.base < behind) {
            Some(Found::Last(chunk) | Found::Oldest(chunk)) => chunk,
            None => return,
        };
        let mut n_known = first.n_breaks_before;
        loop {
            // The last chunk before which no more were: the next one is in it.
            let found = match cold.find(|chunk| chunk.n_breaks_before <= n_known) {
                Some(Found::Last(chunk)) if chunk.base < until => chunk,
                _ => return,
            };
            let next = cold.next(found.place);
            let n_breaks = next.map_or(cold.n_breaks, |next| next.n_breaks_before);
            if n_breaks > found.n_breaks_before {
                let end = next.map(|next| next.base).or_else(|| self.memory_base());
                add(found.base, end.unwrap_or(TimestampMs::MAX));
            }
            if next.is_none() || n_breaks <= n_known {
                return;
            }
            n_known = n_breaks;
        }
    }
}
