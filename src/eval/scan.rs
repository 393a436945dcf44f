//! A [`Source`] that reads leaves from history: the textbook loop, and the oracle of the tests.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use crate::eval::{InstantSample, Source};
use crate::functions::RangeSeries;
use crate::history::{Cursor, FlatFloats, Samples, SeriesHistory};
use crate::model::{DurationMs, Labels, NO_START, TimestampMs};
use crate::promql::ast::VectorSelector;
use crate::series::SeriesReader;

/// So many floats are laid side by side for one evaluation, 128 MiB; the windows of further series
/// are copied at every step, which takes more time and no memory.
const FLAT_MAX: usize = 8 << 20;

/// Reads from the series of a store or a snapshot.
///
/// A subquery or a range query asks for the same leaf at every step. So which series a leaf
/// selects is looked up once, and the next step looks for samples where the last one found them.
pub struct Scan<'a> {
    reader: &'a dyn SeriesReader,
    leaves: Leaves<'a>,
    /// How many more floats may be laid side by side.
    flat_left: Cell<usize>,
}

/// A list that grows while what is in it is lent out.
type Leaves<'a> = OnceCell<Box<Leaf<'a>>>;

/// A selector and how far it looks back, with the series that it selects.
struct Leaf<'a> {
    selector: VectorSelector,
    length: DurationMs,
    series: Vec<SelectedSeries<'a>>,
    next: Leaves<'a>,
}

struct SelectedSeries<'a> {
    labels: &'a Labels,
    history: &'a SeriesHistory,
    /// Where the newest sample was last found.
    newest: Cell<Cursor>,
    /// How many windows were asked for.
    n_windows: Cell<usize>,
    /// From the second window on, what lies in it and after it.
    flat: OnceCell<Option<FlatFloats>>,
}

impl<'a> Scan<'a> {
    /// Makes a source of what `reader` holds.
    pub fn new(reader: &'a dyn SeriesReader) -> Self {
        Scan {
            reader,
            leaves: OnceCell::new(),
            flat_left: Cell::new(FLAT_MAX),
        }
    }

    fn leaf(&self, selector: &VectorSelector, length: DurationMs) -> &Leaf<'a> {
        let mut leaves = &self.leaves;
        while let Some(leaf) = leaves.get() {
            if leaf.length == length && leaf.selector == *selector {
                return leaf;
            }
            leaves = &leaf.next;
        }
        leaves.get_or_init(|| Box::new(self.select(selector, length)))
    }

    fn select(&self, selector: &VectorSelector, length: DurationMs) -> Leaf<'a> {
        let mut series = Vec::new();
        self.reader
            .select(&selector.matchers, &mut |labels, history| {
                series.push(SelectedSeries {
                    labels,
                    history,
                    newest: Cell::default(),
                    n_windows: Cell::new(0),
                    flat: OnceCell::new(),
                });
            });
        Leaf {
            selector: selector.clone(),
            length,
            series,
            next: OnceCell::new(),
        }
    }
}

impl Drop for Scan<'_> {
    /// Leaves go one by one: each taking the next along would need a stack as deep as the list.
    fn drop(&mut self) {
        let mut leaves = std::mem::take(&mut self.leaves);
        while let Some(leaf) = leaves.into_inner() {
            leaves = leaf.next;
        }
    }
}

impl SelectedSeries<'_> {
    fn newest(&self, after: TimestampMs, at: TimestampMs) -> Option<InstantSample> {
        let mut cursor = self.newest.get();
        let newest = self.history.last_at_or_before(at, &mut cursor);
        self.newest.set(cursor);
        let newest = newest.filter(|newest| newest.at > after && !newest.value.is_stale())?;
        Some(InstantSample {
            labels: self.labels.clone(),
            at: newest.at,
            start: self
                .history
                .starts()
                .map_or(NO_START, |starts| starts.of(newest.at)),
            value: newest.value,
        })
    }

    fn window(
        &self,
        (after, until): (TimestampMs, TimestampMs),
        flat_left: &Cell<usize>,
    ) -> Option<RangeSeries<'_>> {
        self.n_windows.set(self.n_windows.get() + 1);
        let lay_flat = || {
            let flat = FlatFloats::new(self.history, after, flat_left.get())?;
            flat_left.set(flat_left.get() - flat.len());
            Some(flat)
        };
        let flat = if self.n_windows.get() > 1 {
            self.flat.get_or_init(lay_flat).as_ref()
        } else {
            None
        };
        let samples = match flat.and_then(|flat| flat.window(after, until)) {
            Some(floats) => Samples {
                floats: Cow::Borrowed(floats),
                histograms: Vec::new(),
            },
            None => self.history.window(after, until),
        };
        (!samples.is_empty()).then(|| RangeSeries {
            labels: self.labels.clone(),
            floats: samples.floats,
            histograms: samples.histograms,
            starts: self.history.starts(),
            drop_name: false,
        })
    }
}

impl Source for Scan<'_> {
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample> {
        let series = &self.leaf(selector, at - after).series;
        let newest = series.iter().filter_map(|series| series.newest(after, at));
        newest.collect()
    }

    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<RangeSeries<'_>> {
        let series = &self.leaf(selector, until - after).series;
        let windows = series
            .iter()
            .filter_map(|series| series.window((after, until), &self.flat_left));
        windows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Matcher, SampleValue, stale_nan};
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
        let selector = VectorSelector {
            name: None,
            matchers: vec![Matcher::equal("__name__", "x")],
            offset: DurationExpr::Literal(crate::model::DurationMs::ZERO),
            at: None,
            mode: RangeMode::Plain,
        };
        // Whether they may be laid side by side or not, the first one and those after it.
        for flat_left in [0, 2, FLAT_MAX] {
            let scan = Scan::new(&snapshot);
            scan.flat_left.set(flat_left);
            let check = |after: i64, at: i64, instant: Option<i64>, range: &[i64]| {
                let (after, at) = (TimestampMs(after), TimestampMs(at));
                let found = scan.instant(&selector, after, at);
                assert_eq!(found.first().map(|sample| sample.at.0), instant);
                let found = scan.range(&selector, after, at);
                let times = found.iter().flat_map(|series| series.floats.iter());
                assert_eq!(times.map(|point| point.at.0).collect::<Vec<_>>(), range);
            };
            check(0, 25, Some(20), &[10, 20]);
            check(10, 35, None, &[20]);
            check(15, 40, Some(40), &[20, 40]);
            check(20, 45, Some(40), &[40]);
            check(5, 30, None, &[10, 20]);
            check(20, 29, None, &[]);
        }
    }
}
