//! Some series over some time, as they were between two log entries.
//!
//! Questions from the API are answered from snapshots on other threads, so that a long query
//! never holds up an evaluation.

use crate::history::SeriesHistory;
use crate::model::{Labels, Matcher, TimestampMs};
use crate::series::SeriesReader;

/// Which samples to take: those of series that satisfy `matchers`, in `(after, until]`.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must be satisfied.
    pub matchers: Vec<Matcher>,
    /// The open left end, ms.
    pub after: TimestampMs,
    /// The closed right end, ms.
    pub until: TimestampMs,
}

/// Series with a part of their past, in the order of labels.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    series: Vec<(Labels, SeriesHistory)>,
}

impl Snapshot {
    /// Takes what `selections` ask for out of `from`. Full chunks are shared, so that this costs
    /// little for each series and next to nothing for each sample.
    pub fn take(from: &dyn SeriesReader, selections: &[Selection]) -> Snapshot {
        let mut found = Vec::new();
        for selection in selections {
            from.select(&selection.matchers, &mut |labels, history| {
                found.push((labels, history, (selection.after, selection.until)));
            });
        }
        found.sort_by(|a, b| a.0.cmp(b.0));
        // A series that two selections ask for comes with all that lies between.
        found.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.2 = (kept.2.0.min(next.2.0), kept.2.1.max(next.2.1));
            }
            is_same
        });
        let part = |(labels, history, (after, until)): (&Labels, &SeriesHistory, _)| {
            (labels.clone(), history.part(after, until))
        };
        Snapshot {
            series: found.into_iter().map(part).collect(),
        }
    }

    /// Adds the series of another shard.
    pub fn merge(&mut self, other: Snapshot) {
        if self.series.is_empty() {
            self.series = other.series;
            return;
        }
        self.series.extend(other.series);
        self.series.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// Adds one series, for tests and loaders.
    pub fn insert(&mut self, labels: Labels, history: SeriesHistory) {
        match self.series.binary_search_by(|known| known.0.cmp(&labels)) {
            Ok(at) => self.series[at].1 = history,
            Err(at) => self.series.insert(at, (labels, history)),
        }
    }

    /// Iterates over the series in the order of labels.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &SeriesHistory)> {
        self.series
            .iter()
            .map(|(labels, history)| (labels, history))
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
