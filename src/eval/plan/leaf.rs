//! The leaves of an expression: which series, which window of each, how many samples.

use crate::eval::EvalOptions;
use crate::eval::plan::subquery::kept_grid;
use crate::functions;
use crate::functions::call::plain;
use crate::model::{DurationMs, Matcher, TimestampMs};
use crate::promql::ast::{
    Aggregate, At, Call, Expr, ExprKind, RangeMode, Span, Subquery, UnaryOp, VectorSelector,
};
use crate::promql::{LOOKBACK_DELTA, SelectorUse, selectors};

/// What a leaf takes of each series.
#[derive(Clone, Debug, PartialEq)]
pub enum LeafKind {
    /// The newest sample.
    Instant,
    /// All samples of a window.
    Window {
        /// Its length, ms; `None` where it depends on the query's own range or step.
        range: Option<DurationMs>,
        /// Whether it reads beyond its edges too.
        mode: RangeMode,
    },
    /// The newest sample of info series: what `info()` takes labels from.
    Info,
}

/// A grid of instants at which a subquery evaluates what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct SubqueryGrid {
    /// As it is written: `[1h:5m]`.
    pub text: String,
    /// How long, ms; `None` where it depends on the query.
    pub range: Option<DurationMs>,
    /// The step, ms; `None` where it depends on the query.
    pub step: Option<DurationMs>,
    /// `true` when the step is that of subqueries which name none.
    pub is_default_step: bool,
    /// Why its points cannot be kept; `None` where they are, each made once.
    pub obstacle: Option<String>,
    /// The function that reads all its points at each evaluation, for want of an incremental form.
    pub points_read_by: Option<String>,
}

impl SubqueryGrid {
    /// Returns how many instants there are, on average.
    pub fn n_steps(&self) -> f64 {
        match (self.range, self.step) {
            (Some(range), Some(step)) if step.0 > 0 => range.seconds() / step.seconds(),
            _ => 1.0,
        }
    }
}

/// What is read, and from where.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// As it is written, canonical.
    pub text: String,
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// What of each.
    pub kind: LeafKind,
    /// `offset`; `None` where it depends on the query.
    pub offset: Option<DurationMs>,
    /// The function or aggregation that takes it, where one does so directly.
    pub taken_by: Option<String>,
    /// Why it is read from history whenever what is around it is evaluated; `None` where its value
    /// is had from what moves along with time.
    pub obstacle: Option<String>,
    /// Of how many samples in the window at most that is so; `None`: of any number.
    pub samples_max: Option<usize>,
    /// The subqueries around it, the outermost first.
    pub subqueries: Vec<SubqueryGrid>,
    /// How far back its oldest sample lies, ms.
    pub back: DurationMs,
    /// How far ahead its youngest sample lies, ms.
    pub forward: DurationMs,
    /// The instant that `@` pins it to: the times are relative to this one.
    pub pinned: Option<TimestampMs>,
}

impl Leaf {
    /// Returns the samples that the value follows from, of one series that is scraped at an
    /// interval: those of the window, at each instant of the subqueries around it.
    pub fn samples(&self, scrape_interval: DurationMs) -> f64 {
        let per_step = match &self.kind {
            LeafKind::Instant | LeafKind::Info => 1.0,
            LeafKind::Window { range, mode } => {
                let beyond = match mode {
                    RangeMode::Plain => DurationMs::ZERO,
                    RangeMode::Anchored => LOOKBACK_DELTA,
                    RangeMode::Smoothed => DurationMs(2 * LOOKBACK_DELTA.0),
                };
                let read = range.map_or(0.0, |range| (range.seconds() + beyond.seconds()).max(0.0));
                (read / scrape_interval.seconds().max(0.001)).max(1.0)
            }
        };
        let steps = self.subqueries.iter().map(SubqueryGrid::n_steps);
        per_step * steps.map(|steps| steps.max(1.0)).product::<f64>()
    }

    /// Tells whether an evaluation of a rule reads nothing from history for it, and no points.
    pub fn is_incremental(&self) -> bool {
        let is_kept =
            |grid: &SubqueryGrid| grid.obstacle.is_none() && grid.points_read_by.is_none();
        self.obstacle.is_none() && self.subqueries.iter().all(is_kept)
    }

    /// Tells whether there are more samples in the window, scraped at an interval, than it can be
    /// had of as they move.
    pub fn is_over(&self, scrape_interval: DurationMs) -> bool {
        let max = self.samples_max.filter(|_| self.subqueries.is_empty());
        max.is_some_and(|max| self.samples(scrape_interval) > max as f64)
    }

    /// Returns the samples that an evaluation of a rule reads from history of one series that is
    /// scraped at an interval. What the steps of a subquery read as they pass is not among them.
    pub fn samples_read(&self, scrape_interval: DurationMs) -> f64 {
        let is_read = match self.subqueries.first() {
            Some(outermost) => outermost.obstacle.is_some(),
            None => self.obstacle.is_some() || self.is_over(scrape_interval),
        };
        match is_read {
            true => self.samples(scrape_interval),
            false => 0.0,
        }
    }

    /// Returns a query for how many samples of each series one evaluation may reach: asked at the
    /// evaluation's instant, or at that of `@`. `None` where it reaches into the future alone.
    pub fn count_over_time(&self) -> Option<String> {
        let is_plain = self.subqueries.is_empty() && self.forward == DurationMs::ZERO;
        let offset = self.offset.filter(|_| is_plain).unwrap_or_default();
        let range = DurationMs(self.back.0 - offset.0);
        if range <= DurationMs::ZERO {
            return None;
        }
        let matchers: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        let offset = match offset {
            DurationMs::ZERO => String::new(),
            offset => format!(" offset {offset}"),
        };
        let matchers = matchers.join(",");
        Some(format!("count_over_time({{{matchers}}}[{range}]{offset})"))
    }

    /// Tells whether it reads all samples of a window, and not one.
    pub fn is_window(&self) -> bool {
        matches!(self.kind, LeafKind::Window { .. })
    }

    /// Returns the span that one evaluation reads of a series, ms, without `offset`.
    pub fn window(&self) -> Option<DurationMs> {
        match self.kind {
            LeafKind::Instant | LeafKind::Info => None,
            LeafKind::Window { range, .. } => range,
        }
    }
}

/// Returns the leaves in the order written.
pub fn leaves(expr: &Expr, default_step: DurationMs) -> Vec<Leaf> {
    let mut collector = Collector {
        default_step,
        around: Around::default(),
        uses: selectors(expr).into_iter(),
        subqueries: Vec::new(),
        found: Vec::new(),
    };
    collector.visit(expr, None);
    collector.found
}

/// What the call around has among its arguments.
#[derive(Default)]
struct Around {
    n_windows: usize,
    texts: Vec<String>,
}

impl Around {
    fn of(call: &Call) -> Self {
        let args = || call.args.iter().map(plain);
        let is_window =
            |arg: &&Expr| matches!(arg.kind, ExprKind::Matrix(_) | ExprKind::Subquery(_));
        let text = |arg: &Expr| match &arg.kind {
            ExprKind::String(text) => Some(text.clone()),
            _ => None,
        };
        Around {
            n_windows: args().filter(is_window).count(),
            texts: args().filter_map(text).collect(),
        }
    }
}

struct Collector {
    default_step: DurationMs,
    around: Around,
    /// The selectors in the same order, with the times that they reach.
    uses: std::vec::IntoIter<SelectorUse>,
    subqueries: Vec<SubqueryGrid>,
    found: Vec<Leaf>,
}

impl Collector {
    fn visit(&mut self, expr: &Expr, taken_by: Option<&str>) {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Paren(inner) => self.visit(inner, taken_by),
            ExprKind::Unary(_, inner) => self.visit(inner, None),
            ExprKind::Binary(binary) => {
                self.visit(&binary.lhs, None);
                self.visit(&binary.rhs, None);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.parameter {
                    self.visit(parameter, None);
                }
                self.visit(&aggregate.expr, Some(&heading(aggregate)));
            }
            ExprKind::Call(call) if call.function == "info" => {
                if let Some(vector) = call.args.first() {
                    self.visit(vector, Some(&call.function));
                }
                let text = call
                    .args
                    .get(1)
                    .map_or("{}".to_owned(), ToString::to_string);
                self.add(text, LeafKind::Info, Some(DurationMs::ZERO), Some("info"));
            }
            ExprKind::Call(call) => {
                let outside = std::mem::replace(&mut self.around, Around::of(call));
                for arg in &call.args {
                    self.visit(arg, Some(&call.function));
                }
                self.around = outside;
            }
            ExprKind::Vector(selector) => {
                self.add_selector(expr, selector, LeafKind::Instant, taken_by);
            }
            ExprKind::Matrix(matrix) => {
                let kind = LeafKind::Window {
                    range: matrix.range.literal(),
                    mode: matrix.selector.mode,
                };
                self.add_selector(expr, &matrix.selector, kind, taken_by);
            }
            ExprKind::Subquery(subquery) => {
                let mut grid = grid(subquery, self.default_step);
                let max = taken_by.and_then(|function| self.samples_max(function));
                let is_over = max.is_some_and(|max| grid.n_steps() > max as f64);
                if is_over || self.moving(taken_by, true).is_err() {
                    grid.points_read_by = taken_by.map(str::to_owned);
                }
                self.subqueries.push(grid);
                self.visit(&subquery.expr, taken_by);
                self.subqueries.pop();
            }
        }
    }

    /// Tells why a function cannot be had from its window as that moves, if it cannot.
    fn moving(&self, function: Option<&str>, is_subquery: bool) -> Result<(), String> {
        let Some(name) = function else {
            return Err("the window is the result".to_owned());
        };
        // Series are joined where they are kept, and not the points of a subquery.
        let has_form = functions::find(name).is_some_and(|function| {
            function.live().is_some() || (function.joins_series() && !is_subquery)
        });
        match has_form && self.around.n_windows == 1 {
            true if self.samples_max(name) == Some(0) => Err(format!(
                "{name} has no incremental form with {:?}",
                self.around.texts.last().map_or("", String::as_str)
            )),
            true => Ok(()),
            false => Err(format!("{name} has no incremental form")),
        }
    }

    /// Returns of how many samples at most a function is had from its window as that moves.
    fn samples_max(&self, function: &str) -> Option<usize> {
        let texts: Vec<&str> = self.around.texts.iter().map(String::as_str).collect();
        functions::find(function)?.live_samples_max(&texts)
    }

    /// Tells why a leaf is read from history at each evaluation, if it is.
    fn obstacle(&self, leaf: &Leaf, is_pinned: bool) -> Option<String> {
        if is_pinned {
            return Some("@ pins it".to_owned());
        }
        if leaf.offset.is_none() {
            return Some("its offset depends on the query".to_owned());
        }
        match leaf.kind {
            LeafKind::Instant | LeafKind::Info => None,
            LeafKind::Window { range: None, .. } => {
                Some("its range depends on the query".to_owned())
            }
            LeafKind::Window { mode, .. } if mode != RangeMode::Plain => {
                Some("it reads beyond its edges".to_owned())
            }
            LeafKind::Window { .. } => self.moving(leaf.taken_by.as_deref(), false).err(),
        }
    }

    fn add_selector(
        &mut self,
        expr: &Expr,
        selector: &VectorSelector,
        kind: LeafKind,
        taken_by: Option<&str>,
    ) {
        self.add(expr.to_string(), kind, selector.offset.literal(), taken_by);
    }

    fn add(
        &mut self,
        text: String,
        kind: LeafKind,
        offset: Option<DurationMs>,
        taken_by: Option<&str>,
    ) {
        // `selectors` walks the same tree in the same order.
        let Some(used) = self.uses.next() else {
            return;
        };
        let pinned = match used.at {
            Some(At::Instant(instant)) => Some(instant),
            _ => None,
        };
        let mut leaf = Leaf {
            text,
            matchers: used.matchers,
            kind,
            offset,
            taken_by: taken_by.map(str::to_owned),
            obstacle: None,
            samples_max: None,
            subqueries: self.subqueries.clone(),
            back: used.back,
            forward: used.forward,
            pinned,
        };
        leaf.obstacle = self.obstacle(&leaf, used.at.is_some());
        let function = taken_by.filter(|_| leaf.is_window() && leaf.obstacle.is_none());
        leaf.samples_max = function.and_then(|function| self.samples_max(function));
        self.found.push(leaf);
    }
}

fn grid(subquery: &Subquery, default_step: DurationMs) -> SubqueryGrid {
    let steps_max = EvalOptions::default().subquery_steps_max;
    SubqueryGrid {
        text: grid_text(subquery),
        range: subquery.range.literal(),
        step: match &subquery.step {
            Some(step) => step.literal(),
            None => Some(default_step),
        },
        is_default_step: subquery.step.is_none(),
        obstacle: kept_grid(subquery, default_step, steps_max)
            .err()
            .map(str::to_owned),
        points_read_by: None,
    }
}

/// An operand that prints as two quotes, to print an operation without what it is applied to.
fn nothing(span: Span) -> Expr {
    Expr {
        kind: ExprKind::String(String::new()),
        span,
    }
}

/// Returns `[1h:5m]` with what stands behind it.
pub(super) fn grid_text(subquery: &Subquery) -> String {
    let bare = Subquery {
        expr: nothing(subquery.expr.span),
        range: subquery.range.clone(),
        step: subquery.step.clone(),
        offset: subquery.offset.clone(),
        at: subquery.at,
    };
    bare.to_string().trim_start_matches('"').to_owned()
}

/// Returns an aggregation as it is written, without what is aggregated.
pub(super) fn heading(aggregate: &Aggregate) -> String {
    let bare = Aggregate {
        op: aggregate.op,
        expr: nothing(aggregate.expr.span),
        parameter: None,
        without: aggregate.without,
        grouping: aggregate.grouping.clone(),
    };
    let text = bare.to_string();
    text.trim_end_matches("(\"\")").trim_end().to_owned()
}

/// Returns a sign as it is written.
pub(super) fn sign(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Plus => "+",
        UnaryOp::Minus => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    fn found(text: &str) -> Vec<Leaf> {
        let expr = parse(text, &Functions, Features::ALL).expect(text);
        leaves(&expr, DurationMs::from_seconds(60))
    }

    #[test]
    fn leaves_know_what_takes_them_and_from_where() {
        let leaves = found("rate(a[5m] offset 1h) > sum by (x) (b @ 10)");
        assert_eq!(leaves[0].text, "a[5m] offset 1h");
        assert_eq!(leaves[0].taken_by.as_deref(), Some("rate"));
        assert_eq!(leaves[0].offset, Some(DurationMs::from_seconds(3600)));
        assert_eq!(leaves[0].back, DurationMs::from_seconds(3900));
        assert_eq!(leaves[1].taken_by.as_deref(), Some("sum by (x)"));
        assert_eq!(leaves[1].pinned, Some(TimestampMs(10_000)));
        assert_eq!(leaves.len(), 2);
    }

    #[test]
    fn what_is_in_reach_can_be_counted() {
        let check = |text: &str, expected: Option<&str>| {
            let query = found(text)[0].count_over_time();
            assert_eq!(query.as_deref(), expected, "{text}");
        };
        check("x", Some("count_over_time({__name__=\"x\"}[5m])"));
        check(
            "rate(x[1h] offset 1d)",
            Some("count_over_time({__name__=\"x\"}[1h] offset 1d)"),
        );
        check(
            "max_over_time(rate(x[5m])[1h:])",
            Some("count_over_time({__name__=\"x\"}[1h5m])"),
        );
        check("rate(x[5m] offset -1h)", None);
    }

    #[test]
    fn what_is_read_at_each_evaluation_says_why() {
        let check = |text: &str, read: f64, obstacles: &[&str]| {
            let leaf = &found(text)[0];
            let around = leaf.subqueries.iter();
            let around = around.flat_map(|grid| [&grid.obstacle, &grid.points_read_by]);
            let why: Vec<&str> = around
                .chain([&leaf.obstacle])
                .filter_map(|why| why.as_deref())
                .collect();
            assert_eq!(why, obstacles, "{text}");
            let samples = leaf.samples_read(DurationMs::from_seconds(15));
            assert!((samples - read).abs() < 1e-9, "{text}: {samples}");
            assert_eq!(leaf.is_incremental(), obstacles.is_empty(), "{text}");
        };
        check("x > 1", 0.0, &[]);
        check("rate(x[30d])", 0.0, &[]);
        check("max_over_time(rate(x[5m])[1h:1m])", 0.0, &[]);
        check("forecast_time_to(x[1h], 0)", 0.0, &[]);
        check("forecast_time_to(x[1h], 0, \"direction=up\")", 0.0, &[]);
        let cut = "forecast_time_to has no incremental form with \"direction=up,steps=cut\"";
        check(
            "forecast_time_to(x[1h], 0, \"direction=up,steps=cut\")",
            240.0,
            &[cut],
        );
        check(
            "forecast_error(x[1h], \"method=theil_sen\")",
            240.0,
            &["forecast_error has no incremental form with \"method=theil_sen\""],
        );
        // Four hours of samples every 15 s are kept in order, five are not.
        check("quantile_over_time(0.9, x[4h])", 0.0, &[]);
        check("quantile_over_time(0.9, x[5h])", 1200.0, &[]);
        check("anomaly_mad(x[5h])", 1200.0, &[]);
        check("quantile_over_time(0.9, x[4h:1m])", 0.0, &[]);
        let points = "quantile_over_time(0.9, x[1d:1m])";
        check(points, 0.0, &["quantile_over_time"]);
        check(
            "double_exponential_smoothing(x[5m], 0.5, 0.5)",
            20.0,
            &["double_exponential_smoothing has no incremental form"],
        );
        let anchored = "it reads beyond its edges";
        check("increase(x[5m] anchored)", 40.0, &[anchored]);
        check("x @ 0", 1.0, &["@ pins it"]);
        check(
            "max_over_time(x[1h:1m] @ 0)",
            60.0,
            &["@ pins it", "@ pins it"],
        );
        let points = "double_exponential_smoothing(x[1h:1m], 0.5, 0.5)";
        check(points, 0.0, &["double_exponential_smoothing"]);
        let at_each_step = "max_over_time(double_exponential_smoothing(x[5m], 0.5, 0.5)[1h:1m])";
        check(
            at_each_step,
            0.0,
            &["double_exponential_smoothing has no incremental form"],
        );
    }

    #[test]
    fn samples_are_those_of_the_window_at_every_step() {
        let check = |text: &str, expected: f64| {
            let samples = found(text)[0].samples(DurationMs::from_seconds(15));
            assert!((samples - expected).abs() < 1e-9, "{text}: {samples}");
        };
        check("x", 1.0);
        check("rate(x[5m])", 20.0);
        check("rate(x[30d])", 172_800.0);
        check("rate(x[1s])", 1.0);
        check("increase(x[5m] anchored)", 40.0);
        check("rate(x[5m] smoothed)", 60.0);
        check("max_over_time(rate(x[5m])[1h:5m])", 240.0);
        check("max_over_time(x[1h:])", 60.0);
        check("max_over_time(max_over_time(x[1h:1m])[1d:1h])", 1440.0);
    }
}
