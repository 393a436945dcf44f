//! Stand-in until the evaluator's `Scan` lands.
use crate::eval::{InstantSample, Source};
use crate::model::{SeriesPoints, TimestampMs};
use crate::promql::ast::VectorSelector;
use crate::series::{SeriesReader, Snapshot};

/// Leaves from a snapshot.
pub struct Scan<'a>(&'a Snapshot);

impl<'a> Scan<'a> {
    /// Reads `snapshot`.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Scan(snapshot)
    }
}

impl Source for Scan<'_> {
    fn instant(&self, selector: &VectorSelector, after: TimestampMs, at: TimestampMs) -> Vec<InstantSample> {
        let mut found = Vec::new();
        self.0.select(&selector.matchers, &mut |labels, history| {
            if let Some(point) = history.last_at_or_before(at) && point.at > after && !point.value.is_stale() {
                found.push(InstantSample { labels: labels.clone(), at: point.at, value: point.value });
            }
        });
        found
    }

    fn range(&self, selector: &VectorSelector, after: TimestampMs, until: TimestampMs) -> Vec<SeriesPoints> {
        let mut found = Vec::new();
        self.0.select(&selector.matchers, &mut |labels, history| {
            let points: Vec<_> = history.range(after, until).filter(|p| !p.value.is_stale()).collect();
            if !points.is_empty() {
                found.push(SeriesPoints { labels: labels.clone(), points });
            }
        });
        found
    }
}
