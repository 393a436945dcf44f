//! The points of subqueries: made when the frontier stands at their instants, or from history.
//!
//! Which subqueries a rule set keeps follows from its expressions. Their points are always made
//! with recorded series as they were appended; an evaluation that looks through recorded series
//! evaluates the point of its own instant itself.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::compile::CompiledRules;
use crate::engine::evaluate::{Evaluation, Leaves, RuleSourceAt, View};
use crate::eval::live::{KeptSubquery, PointsToMake, SubqueryId};
use crate::eval::plan::subquery::{kept_grid, outermost};
use crate::eval::source::{SubqueryCall, SubqueryPoints, SubqueryWindow};
use crate::eval::{EvalError, EvalOptions, LiveSource, evaluate_points};
use crate::functions::Element;
use crate::model::{DurationMs, TimestampMs};
use crate::promql::ast::{ExprKind, Subquery};
use crate::promql::selectors;

/// So many elements of points are made before they are put away.
const ELEMENTS_PER_BATCH: usize = 100_000;

impl CompiledRules {
    /// Returns the subqueries whose points can be kept, each after those within it.
    pub fn subqueries(&self, options: &EvalOptions) -> Vec<KeptSubquery> {
        let mut found = Found::default();
        for rule in &self.rules {
            let query_offset = self.groups[rule.group].query_offset;
            for subquery in outermost(&rule.expr) {
                // Appended values are read at the group's offset, live ones at the frontier.
                found.add(subquery, &[DurationMs::ZERO, query_offset], options);
            }
        }
        found.subqueries
    }
}

/// Subqueries by their inner expressions' texts.
#[derive(Default)]
struct Found {
    subqueries: Vec<KeptSubquery>,
    texts: Vec<String>,
}

impl Found {
    fn add(&mut self, subquery: &Subquery, behind: &[DurationMs], options: &EvalOptions) {
        let (default_step, steps_max) = (options.default_step, options.subquery_steps_max);
        let Ok(grid) = kept_grid(subquery, default_step, steps_max) else {
            return;
        };
        // What is within is evaluated when the frontier stands at a point's instant.
        for nested in outermost(&subquery.expr) {
            self.add(nested, &[DurationMs::ZERO], options);
        }
        let text = subquery.expr.to_string();
        let is_same = |(at, known): (usize, &String)| {
            (*known == text && self.subqueries[at].step == grid.step).then_some(at)
        };
        let known = self.texts.iter().enumerate().find_map(is_same);
        let at = known.unwrap_or_else(|| {
            let reads = selectors(&subquery.expr).into_iter();
            self.subqueries.push(KeptSubquery {
                expr: Arc::new(subquery.expr.clone()),
                step: grid.step,
                lags: Vec::new(),
                reads: reads.map(|used| (used.matchers, used.back)).collect(),
            });
            self.texts.push(text);
            self.subqueries.len() - 1
        });
        let lags = &mut self.subqueries[at].lags;
        for behind in behind {
            let tail = DurationMs(behind.0 + grid.offset.0);
            let window = (tail, DurationMs(tail.0 + grid.range.0));
            if !lags.contains(&window) {
                lags.push(window);
            }
        }
    }
}

impl Engine {
    /// Returns the next instant after the frontier at which a point of a subquery is made.
    pub(crate) fn next_point(&self) -> Option<TimestampMs> {
        let frontier = self.frontier?;
        self.live.borrow_mut().subqueries.next_instant(frontier)
    }

    /// Makes the points that are due, before the frontier moves on.
    pub(crate) fn make_due_points(&mut self) {
        let Some(frontier) = self.frontier else {
            return;
        };
        let due = self.live.get_mut().subqueries.due(frontier);
        if due.is_empty() {
            return;
        }
        self.follow_series();
        let evaluation = self.evaluation();
        for id in due {
            evaluation.make_points(id, (frontier, frontier));
        }
        self.stats.samples_scanned += evaluation.scanned.get();
    }
}

impl Evaluation<'_> {
    /// Makes the points that a window over a subquery needs and that are not there yet.
    fn make_points(&self, id: SubqueryId, window: (TimestampMs, TimestampMs)) {
        let to_make = {
            let subqueries = &mut self.live.borrow_mut().subqueries;
            subqueries.take_points_to_make(id, window, self.frontier)
        };
        let Some(PointsToMake { expr, instants }) = to_make else {
            return;
        };
        let past = instants.partition_point(|at| *at < self.frontier);
        for (leaves, instants) in [
            (Leaves::Scan, &instants[..past]),
            (Leaves::Live, &instants[past..]),
        ] {
            if instants.is_empty() {
                continue;
            }
            let source = RuleSourceAt::new(self, self.frontier, View::Appended, leaves, None);
            let (mut points, mut n_elements) = (Vec::new(), 0);
            let n_samples =
                evaluate_points(&expr, &source, instants, self.options, &mut |at, made| {
                    n_elements += made.as_ref().map_or(0, Vec::len);
                    points.push((at, made));
                    if n_elements >= ELEMENTS_PER_BATCH {
                        n_elements = 0;
                        self.record_points(id, std::mem::take(&mut points));
                    }
                });
            self.record_points(id, points);
            let scanned = match leaves {
                Leaves::Scan => n_samples as u64,
                Leaves::Live => source.scanned(),
            };
            self.scanned.set(self.scanned.get() + scanned);
        }
    }

    fn record_points(
        &self,
        id: SubqueryId,
        points: Vec<(TimestampMs, Result<Vec<Element>, EvalError>)>,
    ) {
        let (frontier, series_max) = (self.frontier, self.settings.elements_max);
        let subqueries = &mut self.live.borrow_mut().subqueries;
        subqueries.record(id, points, frontier, series_max);
    }
}

impl RuleSourceAt<'_, '_> {
    /// Makes what points of a window are missing. Returns up to where they stand for the window.
    fn prepare_points(&self, window: &SubqueryWindow<'_>) -> Option<TimestampMs> {
        let evaluation = self.evaluation;
        let frontier = evaluation.frontier;
        let id = {
            let subqueries = &mut evaluation.live.borrow_mut().subqueries;
            subqueries.find_window(window, frontier)?
        };
        let last = window.last();
        let until = match self.sees_otherwise(window.subquery, last) {
            true => TimestampMs(last.0 - 1),
            false => window.until,
        };
        evaluation.make_points(id, (window.after, until.max(window.after)));
        Some(until)
    }

    /// Tells whether the point of an instant has other recorded series in it than were appended.
    fn sees_otherwise(&self, subquery: &Subquery, at: TimestampMs) -> bool {
        let mut found = false;
        if self.view == View::Live && at == self.at {
            subquery.expr.walk(&mut |node| {
                found |= match &node.kind {
                    ExprKind::Vector(selector) => !self.viewed(selector, at).is_empty(),
                    ExprKind::Call(call) => call.function == "info",
                    _ => false,
                };
            });
        }
        found
    }

    /// See [`LiveSource::subquery_windows`].
    pub(super) fn windows_of_subquery(&self, call: &SubqueryCall<'_>) -> Option<Vec<Element>> {
        if self.prepare_points(&call.window)? < call.window.until {
            return None;
        }
        self.live.subquery_windows(call)
    }

    /// See [`LiveSource::subquery_points`].
    pub(super) fn points_of_subquery(
        &self,
        window: &SubqueryWindow<'_>,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        let until = self.prepare_points(window)?;
        self.live.points_until(window, until)
    }

    fn scanned(&self) -> u64 {
        self.live.scanned()
    }
}
