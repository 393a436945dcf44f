//! The points of one subquery: a series for each label set, a point for each instant of its grid.
//!
//! Windows over the points are the windows over any series. Points are made in order; one that is
//! made anew, because a sample came late, rebuilds the series it changes, which is rare and so
//! simple.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::eval::EvalError;
use crate::eval::live::Scope;
use crate::eval::source::{SubqueryCall, SubqueryWindow};
use crate::functions::call::drop_metadata;
use crate::functions::{Element, RangeSeries};
use crate::history::{Appended, SeriesHistory};
use crate::model::{
    CounterResetHint, DurationMs, Labels, LabelsMap, Point, SampleValue, TimestampMs,
};
use crate::windows::{LiveArgs, SeriesWindows, Span};

/// What an instant of the grid has come to.
pub type MadePoint = (TimestampMs, Result<Vec<Element>, EvalError>);

/// Old points are dropped when so many new ones have been made.
const POINTS_PER_CUT: u32 = 64;

/// One series of points.
#[derive(Debug)]
pub(super) struct PointSeries {
    pub labels: Labels,
    nameless: Labels,
    pub drop_name: bool,
    pub history: SeriesHistory,
    windows: SeriesWindows,
}

/// The points of a subquery.
#[derive(Debug, Default)]
pub struct Recorder {
    pub(super) series: Vec<PointSeries>,
    pub(super) by_labels: LabelsMap<u32>,
    /// The series in the order of labels.
    sorted: Vec<u32>,
    /// The series of the last instant, in the order in which they came.
    pub(super) last_order: Vec<u32>,
    /// Grows whenever series come or go.
    version: u64,
    parts: HashMap<u32, Part>,
    pub(super) newest: Option<TimestampMs>,
    /// Instants at which the expression fails.
    pub(super) failed: BTreeMap<TimestampMs, EvalError>,
    pub(super) since_cut: u32,
    /// When a window was last asked for of all series, by its lags: what it has not let go of
    /// must not be forgotten.
    pub(super) asked: BTreeMap<(DurationMs, DurationMs), TimestampMs>,
}

/// The series by partition.
#[derive(Debug, Default)]
struct Part {
    version: Option<u64>,
    by_key: HashMap<u64, Vec<u32>>,
}

/// The points cannot stand for the subquery: there are too many series, or they are such that
/// no series can hold them.
#[derive(Debug, PartialEq, Eq)]
pub struct CannotKeep;

impl Recorder {
    /// Takes points that have been made, ascending in time, some perhaps anew.
    pub fn record(&mut self, points: Vec<MadePoint>, series_max: usize) -> Result<(), CannotKeep> {
        let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
            return Ok(());
        };
        let (first, last) = (*first, *last);
        if self.newest.is_none_or(|newest| newest < first) {
            for (at, elements) in points {
                self.append(at, elements)?;
            }
        } else {
            self.replace(points)?;
        }
        self.newest = self.newest.max(Some(last));
        match self.series.len() > series_max {
            true => Err(CannotKeep),
            false => Ok(()),
        }
    }

    fn append(
        &mut self,
        at: TimestampMs,
        elements: Result<Vec<Element>, EvalError>,
    ) -> Result<(), CannotKeep> {
        self.since_cut += 1;
        let elements = match elements {
            Ok(elements) => elements,
            Err(error) => {
                self.failed.insert(at, error);
                return Ok(());
            }
        };
        let mut order = Vec::with_capacity(elements.len());
        for (position, element) in elements.into_iter().enumerate() {
            let place = self.place(&element, position)?;
            order.push(place);
            let history = &mut self.series[place as usize].history;
            if history.append(at, element.value, TimestampMs::MIN) != Appended::InOrder {
                return Err(CannotKeep);
            }
        }
        self.last_order = order;
        Ok(())
    }

    /// Returns the place of an element's series. Elements nearly always come in the same order.
    fn place(&mut self, element: &Element, position: usize) -> Result<u32, CannotKeep> {
        if element.value.is_stale() {
            return Err(CannotKeep);
        }
        let guess = self.last_order.get(position).copied();
        let guess = guess.filter(|place| {
            let series = self.series.get(*place as usize);
            series.is_some_and(|series| series.labels == element.labels)
        });
        let known = guess.or_else(|| self.by_labels.get(&element.labels).copied());
        if let Some(place) = known {
            return match self.series[place as usize].drop_name == element.drop_name {
                true => Ok(place),
                false => Err(CannotKeep),
            };
        }
        let place = u32::try_from(self.series.len()).map_err(|_| CannotKeep)?;
        let history = SeriesHistory::default();
        self.push_series(element.labels.clone(), element.drop_name, history);
        self.by_labels.insert(element.labels.clone(), place);
        Ok(place)
    }

    /// Adds a series, which is yet to be found by its labels.
    pub(super) fn push_series(&mut self, labels: Labels, drop_name: bool, history: SeriesHistory) {
        self.series.push(PointSeries {
            nameless: drop_metadata(&labels),
            labels,
            drop_name,
            history,
            windows: SeriesWindows::default(),
        });
        self.version += 1;
    }

    /// Puts points in place of those that are there at the same instants.
    fn replace(&mut self, points: Vec<MadePoint>) -> Result<(), CannotKeep> {
        let instants: Vec<TimestampMs> = points.iter().map(|(at, _)| *at).collect();
        let mut made: HashMap<u32, Vec<Point>> = HashMap::new();
        for (at, elements) in points {
            self.failed.remove(&at);
            match elements {
                Err(error) => {
                    self.failed.insert(at, error);
                }
                Ok(elements) => {
                    for (position, element) in elements.into_iter().enumerate() {
                        let of_series = made.entry(self.place(&element, position)?).or_default();
                        if of_series.last().is_some_and(|last| last.at == at) {
                            return Err(CannotKeep);
                        }
                        let value = element.value;
                        of_series.push(Point { at, value });
                    }
                }
            }
        }
        for (place, series) in (0..).zip(&mut self.series) {
            let made = made.remove(&place).unwrap_or_default();
            series.replace(&instants, made);
        }
        Ok(())
    }

    /// Returns the places of the series in a scope, in the order of labels.
    fn members(&mut self, scope: Option<&Scope>) -> Vec<u32> {
        if self.sorted.len() != self.series.len() {
            let series = &self.series;
            let count = u32::try_from(series.len()).unwrap_or(u32::MAX);
            self.sorted = (0..count).collect();
            let labels = |place: &u32| &series[*place as usize].labels;
            self.sorted.sort_by(|a, b| labels(a).cmp(labels(b)));
        }
        let Some(scope) = scope else {
            return self.sorted.clone();
        };
        let part = self.parts.entry(scope.class).or_default();
        if part.version != Some(self.version) {
            part.version = Some(self.version);
            part.by_key.clear();
            for place in &self.sorted {
                let labels = &self.series[*place as usize].labels;
                let key = Scope::key(&scope.labels, labels);
                part.by_key.entry(key).or_default().push(*place);
            }
        }
        let keys = scope.keys.iter();
        let inside = keys.filter_map(|key| part.by_key.get(key)).flatten();
        let mut inside: Vec<u32> = inside.copied().collect();
        let labels = |place: &u32| &self.series[*place as usize].labels;
        inside.sort_by(|a, b| labels(a).cmp(labels(b)));
        inside
    }

    /// Returns the first error in a window.
    fn error_in(&self, window: &SubqueryWindow<'_>) -> Option<&EvalError> {
        if self.failed.is_empty() || window.after >= window.until {
            return None;
        }
        let behind = TimestampMs(window.after.0.saturating_add(1));
        let mut failed = self.failed.range(behind..=window.until);
        failed.next().map(|(_, error)| error)
    }

    /// Returns the points in a window; see [`LiveSource::subquery_points`](crate::eval::LiveSource).
    pub fn points(
        &mut self,
        window: &SubqueryWindow<'_>,
        scope: Option<&Scope>,
    ) -> Option<Result<Vec<RangeSeries<'static>>, EvalError>> {
        match (self.error_in(window), scope) {
            (None, _) => {}
            (Some(error), None) => return Some(Err(error.clone())),
            // What failed may be another part.
            (Some(_), Some(_)) => return None,
        }
        let mut found = Vec::new();
        for place in self.members(scope) {
            let series = &self.series[place as usize];
            let samples = series.history.window(window.after, window.until);
            if samples.is_empty() {
                continue;
            }
            found.push(RangeSeries {
                labels: series.labels.clone(),
                floats: samples.floats.into_owned().into(),
                histograms: samples.histograms,
                starts: None,
                drop_name: series.drop_name,
            });
        }
        Some(Ok(found))
    }

    /// Returns a function of each series' window; see [`LiveSource::subquery_windows`](crate::eval::LiveSource).
    pub fn windows(
        &mut self,
        call: &SubqueryCall<'_>,
        frontier: TimestampMs,
        scope: Option<&Scope>,
    ) -> Option<Vec<Element>> {
        let window = &call.window;
        if self.error_in(window).is_some() {
            return None;
        }
        let span = Span::new(frontier, window.after, window.until);
        let lags = (frontier - window.until, frontier - window.after);
        self.asked.entry(lags).or_insert(frontier);
        let members = self.members(scope);
        let mut elements = Vec::with_capacity(members.len());
        for place in members {
            let series = &mut self.series[place as usize];
            let Some(value) = series.value(span, call)? else {
                continue;
            };
            let drop_name = !call.keeps_name || series.drop_name;
            let labels = match drop_name && !call.delays_name_removal {
                true => &series.nameless,
                false => &series.labels,
            };
            elements.push(Element {
                labels: labels.clone(),
                value,
                at: call.at,
                drop_name,
            });
        }
        if scope.is_none() {
            self.asked.insert(lags, frontier);
        }
        Some(elements)
    }

    /// Forgets what lies behind `until`, now and then. What a window has not let go of yet stays a
    /// while, but not for ever: then the windows begin anew.
    ///
    /// Returns the instant up to which points are gone, if any are.
    pub fn cut(&mut self, frontier: TimestampMs, keep: DurationMs) -> Option<TimestampMs> {
        if self.since_cut < POINTS_PER_CUT {
            return None;
        }
        self.since_cut = 0;
        let longest = frontier - DurationMs(keep.0.saturating_mul(2));
        let until = frontier - keep;
        let asked = self.asked.iter().map(|((_, head), asked)| *asked - *head);
        let held = asked.min().unwrap_or(TimestampMs::MAX);
        if held < longest {
            self.begin_windows();
        }
        let until = match held < longest {
            true => until,
            false => until.min(held),
        };
        for series in &mut self.series {
            series.history.forget(until);
        }
        self.failed = self.failed.split_off(&until);
        if self.series.iter().any(|series| series.history.is_empty()) {
            self.series.retain(|series| !series.history.is_empty());
            self.by_labels.clear();
            let places = (0..).zip(&self.series);
            let places = places.map(|(place, series)| (series.labels.clone(), place));
            self.by_labels.extend(places);
            self.sorted.clear();
            self.last_order.clear();
            self.version += 1;
        }
        Some(until)
    }

    /// Forgets how series were put into parts: another rule set numbers them otherwise.
    pub fn forget_parts(&mut self) {
        self.parts.clear();
    }

    fn begin_windows(&mut self) {
        self.asked.clear();
        for series in &mut self.series {
            series.windows = SeriesWindows::default();
        }
    }
}

impl PointSeries {
    /// Puts `made` in place of what is there at `instants`, both ascending.
    fn replace(&mut self, instants: &[TimestampMs], made: Vec<Point>) {
        let (Some(first), Some(last)) = (instants.first(), instants.last()) else {
            return;
        };
        let is_made = |point: &Point| instants.binary_search(&point.at).is_ok();
        let there = self.history.range(TimestampMs(first.0 - 1), *last);
        if there.filter(is_made).eq(made.iter().cloned()) {
            return;
        }
        let mut history = SeriesHistory::default();
        let mut made = made.into_iter().peekable();
        let kept = self.history.range(TimestampMs::MIN, TimestampMs::MAX);
        for point in kept.filter(|point| !is_made(point)) {
            while let Some(new) = made.next_if(|new| new.at < point.at) {
                history.append(new.at, new.value, TimestampMs::MIN);
            }
            history.append(point.at, point.value, TimestampMs::MIN);
        }
        for new in made {
            history.append(new.at, new.value, TimestampMs::MIN);
        }
        self.history = history;
        self.windows = SeriesWindows::default();
    }

    /// Returns the value of a function over the window; `None` where the points have to be looked
    /// at.
    fn value(&mut self, span: Span<'_>, call: &SubqueryCall<'_>) -> Option<Option<SampleValue>> {
        let args = LiveArgs {
            start: span.after,
            end: span.until,
            at: call.at,
            scalars: call.scalars,
            options: call.options,
        };
        let windows = (&mut self.windows, &self.history);
        let mut value = call.form.value(windows, span, &args).ok()?;
        // What the points say of resets was found out here, and is not said by a subquery.
        if let Some(SampleValue::Histogram(histogram)) = &mut value
            && histogram.counter_reset_hint != CounterResetHint::Gauge
        {
            Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
        }
        Some(value)
    }
}
