//! A copy of some series over some time, taken between two log entries.
//!
//! Questions from the API are answered from such copies on other threads, so that a long query
//! never holds up an evaluation.

use std::collections::BTreeMap;

use crate::history::SeriesHistory;
use crate::model::{Labels, Matcher, TimestampMs};
use crate::series::SeriesReader;

/// Which samples to copy: those of series that satisfy `matchers`, in `(after, until]`.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must be satisfied.
    pub matchers: Vec<Matcher>,
    /// The open left end, ms.
    pub after: TimestampMs,
    /// The closed right end, ms.
    pub until: TimestampMs,
}

/// Copied series.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    series: BTreeMap<Labels, SeriesHistory>,
    n_samples: usize,
}

impl Snapshot {
    /// Copies what `selections` ask for out of `from`. Stops and returns `false` when more than
    /// `samples_max` samples would be copied.
    pub fn take(
        &mut self,
        from: &dyn SeriesReader,
        selections: &[Selection],
        samples_max: usize,
    ) -> bool {
        for selection in selections {
            from.select(&selection.matchers, &mut |labels, history| {
                if self.n_samples > samples_max {
                    return;
                }
                let entry = self.series.entry(labels.clone()).or_default();
                for point in history.range(selection.after, selection.until) {
                    entry.append(point.at, point.value, TimestampMs::MIN);
                    self.n_samples += 1;
                }
            });
        }
        self.n_samples <= samples_max
    }

    /// Adds one series, for tests and loaders.
    pub fn insert(&mut self, labels: Labels, history: SeriesHistory) {
        self.n_samples += history.len();
        self.series.insert(labels, history);
    }

    /// Iterates over the series in the order of labels.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &SeriesHistory)> {
        self.series.iter()
    }
}

impl SeriesReader for Snapshot {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(&'a Labels, &'a SeriesHistory),
    ) {
        for (labels, history) in &self.series {
            if matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                visit(labels, history);
            }
        }
    }
}
