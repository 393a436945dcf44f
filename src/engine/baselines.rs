//! Baselines in the engine: series that are worth the same at every instant while their file is
//! loaded.
//!
//! They are ordinary series: a sample is written whenever the frontier passes a whole minute, and
//! at the instant at which the file is loaded. So they are never stale, whoever asks reads them as
//! any other, and a replayed log has them alike. What is no longer loaded is ended.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::compile::CompiledRules;
use crate::model::{DurationMs, Labels, TimestampMs};

/// How often a sample is written: well within the time after which series are stale.
pub(crate) const BASELINES_EVERY: DurationMs = DurationMs::from_seconds(60);

impl Engine {
    /// Returns the next instant at which samples are due.
    pub(crate) fn next_baseline(&self) -> Option<TimestampMs> {
        if self.rules.baselines.is_empty() {
            return None;
        }
        let after = self.frontier?.max(self.baselines_after);
        Some(TimestampMs(
            (after.0.div_euclid(BASELINES_EVERY.0) + 1) * BASELINES_EVERY.0,
        ))
    }

    /// Writes a sample of each.
    pub(crate) fn write_baselines(&mut self, at: TimestampMs) {
        if self.rules.baselines.is_empty() {
            return;
        }
        for (labels, value) in Arc::clone(&self.rules.baselines).iter() {
            let place = self.find_or_insert(labels);
            self.append_recorded(place, at, value.clone());
        }
        self.follow_series();
    }

    /// Leaves out what lies before all ticks that are made in a leap of the clock.
    pub(crate) fn skip_baselines(&mut self, target: TimestampMs, n_ticks_max: i64) {
        let intervals = self.rules.groups.iter().map(|group| group.interval);
        let longest = intervals.max().unwrap_or_default().max(BASELINES_EVERY);
        let back = longest.0.saturating_mul(n_ticks_max);
        self.baselines_after = TimestampMs(target.0.saturating_sub(back));
    }

    /// Begins what is newly loaded, and ends what no longer is.
    pub(crate) fn move_baselines(&mut self, old: &CompiledRules) {
        let Some(frontier) = self.frontier else {
            return;
        };
        let kept = self.rules.baselines.iter().map(|(labels, _)| labels);
        let kept: HashSet<&Labels> = kept.collect();
        let gone = old.baselines.iter().map(|(labels, _)| labels);
        let gone = gone.filter(|labels| !kept.contains(labels));
        // Behind the sample that may have been written at this instant.
        let at = frontier + DurationMs(1);
        self.endings.extend(gone.map(|labels| (at, labels.clone())));
        self.write_baselines(frontier);
    }

    /// Tells whether a series is a baseline. They stand in the order of labels.
    pub(crate) fn is_baseline(&self, labels: &Labels) -> bool {
        let all = &self.rules.baselines;
        all.binary_search_by(|(known, _)| known.cmp(labels)).is_ok()
    }
}
