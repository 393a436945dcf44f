//! A [`Source`] that reads leaves from history: the textbook loop, and the oracle of the tests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::eval::{InstantSample, Source};
use crate::history::{Cursor, SeriesHistory};
use crate::model::{Labels, Matcher, Point, SeriesPoints, TimestampMs};
use crate::promql::ast::VectorSelector;
use crate::series::SeriesReader;

type Selected<'a> = Rc<[(&'a Labels, &'a SeriesHistory)]>;

/// Reads from the series of a store or a snapshot.
///
/// Which series a selector matches is looked up once, since a subquery or a range query asks
/// for the same selector at every step.
pub struct Scan<'a> {
    reader: &'a dyn SeriesReader,
    selected: RefCell<HashMap<Vec<Matcher>, Selected<'a>>>,
}

impl<'a> Scan<'a> {
    /// Makes a source of what `reader` holds.
    pub fn new(reader: &'a dyn SeriesReader) -> Self {
        Scan {
            reader,
            selected: RefCell::default(),
        }
    }

    fn select(&self, matchers: &[Matcher]) -> Selected<'a> {
        if let Some(found) = self.selected.borrow().get(matchers) {
            return Rc::clone(found);
        }
        let mut found = Vec::new();
        self.reader.select(matchers, &mut |labels, history| {
            found.push((labels, history))
        });
        let found: Selected<'a> = found.into();
        self.selected
            .borrow_mut()
            .insert(matchers.to_vec(), Rc::clone(&found));
        found
    }
}

impl Source for Scan<'_> {
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample> {
        let series = self.select(&selector.matchers);
        let newest = series.iter().filter_map(|(labels, history)| {
            let newest = history.last_at_or_before(at, &mut Cursor::default())?;
            if newest.at <= after || newest.value.is_stale() {
                return None;
            }
            Some(InstantSample {
                labels: (*labels).clone(),
                at: newest.at,
                value: newest.value,
            })
        });
        newest.collect()
    }

    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<SeriesPoints> {
        let series = self.select(&selector.matchers);
        let inside = series.iter().filter_map(|(labels, history)| {
            let points = history.range(after, until);
            let points: Vec<Point> = points.filter(|point| !point.value.is_stale()).collect();
            (!points.is_empty()).then(|| SeriesPoints {
                labels: (*labels).clone(),
                points,
            })
        });
        inside.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SampleValue, stale_nan};
    use crate::promql::ast::{DurationExpr, RangeMode};
    use crate::series::Snapshot;

    #[test]
    fn windows_are_open_on_the_left_and_without_stale_markers() {
        let mut history = SeriesHistory::default();
        for (at, value) in [(10, 1.0), (20, 2.0), (30, stale_nan()), (40, 4.0)] {
            history.append(TimestampMs(at), SampleValue::Float(value), TimestampMs::MIN);
        }
        let mut snapshot = Snapshot::default();
        snapshot.insert(Labels::from_pairs([("__name__", "x")]), history);
        let scan = Scan::new(&snapshot);
        let selector = VectorSelector {
            name: None,
            matchers: vec![Matcher::equal("__name__", "x")],
            offset: DurationExpr::Literal(crate::model::DurationMs::ZERO),
            at: None,
            mode: RangeMode::Plain,
        };
        let check = |after: i64, at: i64, instant: Option<i64>, range: &[i64]| {
            let (after, at) = (TimestampMs(after), TimestampMs(at));
            let found = scan.instant(&selector, after, at);
            assert_eq!(found.first().map(|sample| sample.at.0), instant);
            let found = scan.range(&selector, after, at);
            let times = found.iter().flat_map(|series| &series.points);
            assert_eq!(times.map(|point| point.at.0).collect::<Vec<_>>(), range);
        };
        check(0, 25, Some(20), &[10, 20]);
        check(10, 35, None, &[20]);
        check(20, 45, Some(40), &[40]);
        check(20, 29, None, &[]);
    }
}
