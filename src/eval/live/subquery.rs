//! Subqueries as series of points: which there are, which of their points are still to be made.
//!
//! A point is made when the frontier stands at its instant, from leaves that move along. What is
//! missing (the past of a subquery that is new, instants that the frontier leapt over) and what a
//! late sample has changed is made from history, before the next window over it is read.
//!
//! What lives here: the list, and what is to be made. What may not: the evaluation of the inner
//! expressions, which is the engine's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::eval::EvalError;
use crate::eval::live::Live;
use crate::eval::live::recorder::{MadePoint, Recorder};
use crate::eval::source::{SubqueryCall, SubqueryPoints, SubqueryWindow};
use crate::functions::Element;
use crate::model::{DurationMs, Labels, Matcher, TimestampMs};
use crate::promql::{Expr, Features};

/// So many intervals of one subquery may wait to be made anew; beyond it they become one.
const INTERVALS_MAX: usize = 64;

/// The number of a subquery.
pub type SubqueryId = usize;

/// A subquery whose points are kept, as all rules together need it.
#[derive(Clone, Debug)]
pub struct KeptSubquery {
    /// What is evaluated at each instant.
    pub expr: Arc<Expr>,
    /// The distance of instants, ms; they are its multiples.
    pub step: DurationMs,
    /// How far behind the frontier the windows over it end and begin, ms.
    pub lags: Vec<(DurationMs, DurationMs)>,
    /// Which series it reads, and how far back from an instant, ms.
    pub reads: Vec<(Vec<Matcher>, DurationMs)>,
}

impl KeptSubquery {
    /// Returns for how long points are read, ms.
    fn keep(&self) -> DurationMs {
        let heads = self.lags.iter().map(|(_, head)| *head);
        heads.max().unwrap_or_default()
    }
}

/// Points to be made.
#[derive(Debug)]
pub struct PointsToMake {
    /// What is evaluated at each instant.
    pub expr: Arc<Expr>,
    /// The instants, ascending.
    pub instants: Vec<TimestampMs>,
}

/// A subquery and what there is of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub subquery: KeptSubquery,
    pub recorder: Recorder,
    /// The points between these (open, closed) have been made, but for those of `to_make`.
    /// Nothing before somebody asks.
    pub made: Option<(TimestampMs, TimestampMs)>,
    /// Intervals within, both ends included, ascending and apart.
    pub to_make: Vec<(TimestampMs, TimestampMs)>,
    /// It cannot be kept after all.
    pub given_up: bool,
}

/// The subqueries of a rule set.
#[derive(Debug, Default)]
pub struct Subqueries {
    kept: Vec<Kept>,
    by_text: HashMap<(String, DurationMs), SubqueryId>,
    /// By where the inner expression lies in memory: a guess, which is checked.
    by_address: HashMap<(usize, DurationMs), (Expr, Option<SubqueryId>)>,
    /// Which subqueries read series of a name.
    by_name: HashMap<String, Vec<SubqueryId>>,
    of_any_name: Vec<SubqueryId>,
    features: Features,
    /// Before this instant no point is due; nothing where it has to be found anew.
    next_due: Option<TimestampMs>,
}

impl Subqueries {
    /// Learns which subqueries a rule set has, each after those within it. What was made of one
    /// that stays is kept.
    pub fn adopt(&mut self, subqueries: Vec<KeptSubquery>, features: Features) {
        let mut old = std::mem::take(self);
        self.features = features;
        for subquery in subqueries {
            let id = self.kept.len();
            let key = (subquery.expr.to_string(), subquery.step);
            for (matchers, _) in &subquery.reads {
                let ids = match Matcher::exact_name(matchers) {
                    Some(name) => self.by_name.entry(name.to_owned()).or_default(),
                    None => &mut self.of_any_name,
                };
                if ids.last() != Some(&id) {
                    ids.push(id);
                }
            }
            let stays = old.by_text.get(&key).filter(|_| old.features == features);
            let stays = stays.map(|old_id| &mut old.kept[*old_id]);
            let (recorder, made, to_make) = match stays.filter(|old| !old.given_up) {
                Some(old) => {
                    old.recorder.forget_parts();
                    let recorder = std::mem::take(&mut old.recorder);
                    (recorder, old.made, std::mem::take(&mut old.to_make))
                }
                None => (Recorder::default(), None, Vec::new()),
            };
            self.kept.push(Kept {
                subquery,
                recorder,
                made,
                to_make,
                given_up: false,
            });
            self.by_text.insert(key, id);
        }
    }

    /// Returns all subqueries, each after those within it.
    pub(super) fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Returns the subquery of a text and a step, to change it.
    pub(super) fn kept_mut(&mut self, key: &(String, DurationMs)) -> Option<&mut Kept> {
        self.next_due = None;
        self.kept.get_mut(*self.by_text.get(key)?)
    }

    /// Returns the numbers of the subqueries of which points may be due at the frontier.
    pub fn due(&self, frontier: TimestampMs) -> Vec<SubqueryId> {
        if self.next_due.is_some_and(|due| due > frontier) {
            return Vec::new();
        }
        let ids = 0..self.kept.len();
        ids.filter(|id| self.kept[*id].made.is_some()).collect()
    }

    /// Returns the first instant after the frontier at which a point is to be made.
    pub fn next_instant(&mut self, frontier: TimestampMs) -> Option<TimestampMs> {
        let known = self.next_due.filter(|due| *due > frontier);
        let next = known.unwrap_or_else(|| {
            let asked_for = self.kept.iter().filter(|kept| !kept.given_up);
            let instants = asked_for.filter_map(|kept| {
                let (_, until) = kept.made?;
                Some(kept.grid_after(until.max(frontier)))
            });
            instants.min().unwrap_or(TimestampMs::MAX)
        });
        self.next_due = Some(next);
        (next < TimestampMs::MAX).then_some(next)
    }

    /// Leaves points of a leap of the frontier to be made from history when they are read, where
    /// there are more than `max`.
    pub fn leap(&mut self, from: TimestampMs, to: TimestampMs, max: i64) {
        for kept in &mut self.kept {
            let Some((_, until)) = &mut kept.made else {
                continue;
            };
            let since = from.max(*until);
            if (to - since).0 / kept.subquery.step.0 <= max {
                continue;
            }
            let interval = (TimestampMs(until.0 + 1), to);
            *until = to;
            kept.add_to_make(interval);
            self.next_due = None;
        }
    }

    /// A series has changed at or behind the frontier: points over that instant are made anew.
    pub fn changed(&mut self, labels: &Labels, at: TimestampMs) {
        self.changed_between(labels, at, at);
    }

    /// A series has changed between two instants, both included: points over them are made anew.
    pub fn changed_between(&mut self, labels: &Labels, at: TimestampMs, last: TimestampMs) {
        if self.kept.is_empty() {
            return;
        }
        let named = self.by_name.get(labels.metric_name());
        for id in named.into_iter().flatten().chain(&self.of_any_name) {
            let kept = &mut self.kept[*id];
            let Some((after, until)) = kept.made.filter(|(_, until)| *until >= at) else {
                continue;
            };
            let reads = kept.subquery.reads.iter();
            let reads = reads.filter(|(matchers, _)| {
                let mut matchers = matchers.iter();
                matchers.all(|matcher| matcher.matches_labels(labels))
            });
            let Some(back) = reads.map(|(_, back)| *back).max() else {
                continue;
            };
            let from = at.max(TimestampMs(after.0 + 1));
            let interval = (
                kept.grid_after(TimestampMs(from.0 - 1)),
                until.min(last + back),
            );
            kept.add_to_make(interval);
            self.next_due = None;
        }
    }

    /// Returns the number of a subquery, if it is kept.
    pub fn find(&mut self, expr: &Expr, step: DurationMs) -> Option<SubqueryId> {
        if self.kept.is_empty() {
            return None;
        }
        let address = (std::ptr::from_ref(expr) as usize, step);
        if let Some((known, id)) = self.by_address.get(&address)
            && known == expr
        {
            return *id;
        }
        let id = self.by_text.get(&(expr.to_string(), step)).copied();
        self.by_address.insert(address, (expr.clone(), id));
        id
    }

    /// Returns a subquery's number where a window over it can be answered.
    pub fn find_window(
        &mut self,
        window: &SubqueryWindow<'_>,
        frontier: TimestampMs,
    ) -> Option<SubqueryId> {
        let id = self.find(&window.subquery.expr, window.step)?;
        let lags = (frontier - window.until, frontier - window.after);
        let kept = &self.kept[id];
        (!kept.given_up && kept.subquery.lags.contains(&lags)).then_some(id)
    }

    /// Takes what has to be made before a window over a subquery's points can be read, as far as
    /// the frontier.
    pub fn take_points_to_make(
        &mut self,
        id: SubqueryId,
        (after, until): (TimestampMs, TimestampMs),
        frontier: TimestampMs,
    ) -> Option<PointsToMake> {
        let kept = self.kept.get_mut(id).filter(|kept| !kept.given_up)?;
        if kept.made.is_none() {
            self.next_due = None;
        }
        let (mut from, mut to) = *kept.made.get_or_insert((until, until));
        let oldest = frontier - kept.subquery.keep();
        if after < from {
            kept.add_to_make((TimestampMs(after.0 + 1), from));
            from = after;
        }
        if to < until {
            kept.add_to_make((TimestampMs(to.0 + 1), until));
            to = until;
        }
        // Nobody reads what lies before the longest window any more.
        from = from.max(oldest.min(after));
        kept.made = Some((from, to));
        let instants = kept.take_instants(from, until);
        (!instants.is_empty()).then(|| PointsToMake {
            expr: Arc::clone(&kept.subquery.expr),
            instants,
        })
    }

    /// Takes points that have been made.
    pub fn record(
        &mut self,
        id: SubqueryId,
        points: Vec<MadePoint>,
        frontier: TimestampMs,
        series_max: usize,
    ) {
        let Some(kept) = self.kept.get_mut(id).filter(|kept| !kept.given_up) else {
            return;
        };
        if kept.recorder.record(points, series_max).is_err() {
            kept.given_up = true;
            kept.recorder = Recorder::default();
            return;
        }
        let keep = kept.subquery.keep();
        if let Some(gone) = kept.recorder.cut(frontier, keep)
            && let Some((from, until)) = &mut kept.made
        {
            *from = gone.max(*from).min(*until);
        }
    }
}

impl Kept {
    /// Returns the first instant of the grid after an instant.
    fn grid_after(&self, at: TimestampMs) -> TimestampMs {
        let step = self.subquery.step.0;
        let number = at.0.div_euclid(step).saturating_add(1);
        TimestampMs(number.saturating_mul(step))
    }

    /// Adds an interval to what is to be made; intervals that touch become one.
    fn add_to_make(&mut self, (first, last): (TimestampMs, TimestampMs)) {
        if first > last {
            return;
        }
        self.to_make.push((first, last));
        self.to_make.sort_unstable();
        let mut joined: Vec<(TimestampMs, TimestampMs)> = Vec::with_capacity(self.to_make.len());
        for (first, last) in self.to_make.drain(..) {
            match joined.last_mut() {
                Some(before) if first.0 <= before.1.0.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        if joined.len() > INTERVALS_MAX
            && let (Some((first, _)), Some((_, last))) = (joined.first(), joined.last())
        {
            joined = vec![(*first, *last)];
        }
        self.to_make = joined;
    }

    /// Takes the instants of the grid that are to be made in `(from, until]`; what lies before is
    /// left out for good.
    fn take_instants(&mut self, from: TimestampMs, until: TimestampMs) -> Vec<TimestampMs> {
        let (mut instants, mut left) = (Vec::new(), Vec::new());
        for (first, last) in std::mem::take(&mut self.to_make) {
            let first = first.max(TimestampMs(from.0.saturating_add(1)));
            let mut at = self.grid_after(TimestampMs(first.0.saturating_sub(1)));
            while at <= last.min(until) {
                instants.push(at);
                at = self.grid_after(at);
            }
            if last > until {
                left.push((first.max(TimestampMs(until.0 + 1)), last));
            }
        }
        self.to_make = left;
        instants
    }
}

impl Live<'_> {
    /// See [`LiveSource::subquery_windows`](crate::eval::LiveSource::subquery_windows).
    pub(super) fn windows_of_subquery(&self, call: &SubqueryCall<'_>) -> Option<Vec<Element>> {
        let state = &mut *self.state.borrow_mut();
        let id = state.subqueries.find_window(&call.window, self.frontier)?;
        let recorder = &mut state.subqueries.kept[id].recorder;
        recorder.windows(call, self.frontier, self.scope)
    }

    /// Returns the points of a subquery's window up to an instant, as far as they are known.
    pub fn points_until(
        &self,
        window: &SubqueryWindow<'_>,
        until: TimestampMs,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        let state = &mut *self.state.borrow_mut();
        let id = state.subqueries.find_window(window, self.frontier)?;
        let kept = &mut state.subqueries.kept[id];
        let until = until.min(kept.made?.1);
        let known = SubqueryWindow { until, ..*window };
        let series = kept.recorder.points(&known, self.scope)?;
        Some(series.map(|series| SubqueryPoints { series, until }))
    }
}
