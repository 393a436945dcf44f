//! Some series over some time, as they were between two log entries.
//!
//! Questions from the API are answered from snapshots on other threads, so that a long query
//! never holds up an evaluation.

use std::collections::HashMap;

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

/// Series with a part of their past, in the order in which they were first met: where PromQL
/// leaves open which of equal elements is taken or added first, Prometheus goes by that order.
/// Rules do not: they go by labels, so that no alert depends on which sender came first.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    series: Vec<Part>,
}

/// A part of one series.
#[derive(Clone, Debug)]
struct Part {
    /// Its place in the order.
    number: u64,
    labels: Labels,
    history: SeriesHistory,
}

impl Snapshot {
    /// Takes what `selections` ask for out of `from`. Full chunks are shared, so that this costs
    /// little for each series and next to nothing for each sample.
    pub fn take(from: &dyn SeriesReader, selections: &[Selection]) -> Snapshot {
        let mut found = Vec::new();
        for selection in selections {
            let span = (selection.after, selection.until);
            from.select_numbered(&selection.matchers, &mut |number, labels, history| {
                found.push((number, labels, history, span));
            });
        }
        found.sort_by_key(|(number, ..)| *number);
        // A series that two selections ask for comes with all that lies between.
        found.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.3 = (kept.3.0.min(next.3.0), kept.3.1.max(next.3.1));
            }
            is_same
        });
        let part = |(number, labels, history, (after, until)): (_, &Labels, &SeriesHistory, _)| {
            let (labels, history) = (labels.clone(), history.part(after, until));
            Part {
                number,
                labels,
                history,
            }
        };
        Snapshot {
            series: found.into_iter().map(part).collect(),
        }
    }

    /// Adds the series of another shard. One that both have is there once: with the newer end,
    /// since a shard may have read it once and no longer, then with the longer past, since each
    /// keeps what its own rules look back on.
    pub fn merge(&mut self, other: Snapshot) {
        if self.series.is_empty() {
            self.series = other.series;
            return;
        }
        let parts = self.series.iter().enumerate();
        let known: HashMap<Labels, usize> =
            parts.map(|(at, part)| (part.labels.clone(), at)).collect();
        for part in other.series {
            match known.get(&part.labels) {
                Some(at) if reach(&self.series[*at].history) >= reach(&part.history) => {}
                Some(at) => self.series[*at].history = part.history,
                None => self.series.push(part),
            }
        }
        self.series.sort_by_key(|part| part.number);
    }

    /// Adds one series behind the others, for tests and loaders.
    pub fn insert(&mut self, labels: Labels, history: SeriesHistory) {
        if let Some(known) = self.series.iter_mut().find(|part| part.labels == labels) {
            known.history = history;
            return;
        }
        let number = self.series.last().map_or(0, |last| last.number + 1);
        self.series.push(Part {
            number,
            labels,
            history,
        });
    }

    /// Iterates over the series in the order in which they were first met.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &SeriesHistory)> {
        let parts = self.series.iter();
        parts.map(|part| (&part.labels, &part.history))
    }
}

fn reach(history: &SeriesHistory) -> (Option<TimestampMs>, usize) {
    (history.newest().map(|newest| newest.at), history.len())
}

impl SeriesReader for Snapshot {
    fn select_numbered<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(u64, &'a Labels, &'a SeriesHistory),
    ) {
        let is_selected = |part: &&Part| matchers.iter().all(|m| m.matches_labels(&part.labels));
        for part in self.series.iter().filter(is_selected) {
            visit(part.number, &part.labels, &part.history);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SampleValue;

    fn snapshot(series: &[(&str, (i64, i64))]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, (from, until)) in series {
            let mut history = SeriesHistory::default();
            for at in *from..*until {
                history.append(TimestampMs(at), SampleValue::Float(1.0), TimestampMs::MAX);
            }
            snapshot.insert(Labels::from_pairs([("__name__", *name)]), history);
        }
        snapshot
    }

    #[test]
    fn a_series_that_two_shards_have_is_there_once_with_its_newer_end_and_longer_past() {
        let long = |from: i64, n: i64| (from, from + n);
        let mut whole = snapshot(&[
            ("short_here", long(4, 1)),
            ("only_here", long(0, 2)),
            ("long_here", long(2, 3)),
            ("left_here", long(0, 5)),
        ]);
        whole.merge(snapshot(&[
            ("short_here", long(0, 5)),
            ("long_here", long(4, 1)),
            ("only_there", long(0, 4)),
            ("left_here", long(7, 2)),
        ]));
        let lengths = whole.iter().map(|(labels, history)| {
            let n_samples = history.len();
            format!("{} {n_samples}", labels.metric_name())
        });
        let mut lengths: Vec<String> = lengths.collect();
        lengths.sort();
        let expected = [
            "left_here 2",
            "long_here 3",
            "only_here 2",
            "only_there 4",
            "short_here 5",
        ];
        assert_eq!(lengths, expected);
    }
}
