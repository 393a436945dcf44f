//! Which samples an expression reads: one [`Selection`] per selector, as narrow as can be.
//!
//! The instants at which a part of an expression is evaluated are an interval; `offset`, `@`
//! and subqueries move and stretch it on the way down.

use crate::model::{DurationMs, METRIC_NAME, Matcher, TimestampMs};
use crate::promql::ast::{
    At, BinaryOp, Call, DurationExpr, DurationNode, Expr, ExprKind, RangeMode, VectorSelector,
};
use crate::series::Selection;

/// The series that `info()` reads where its second argument names none.
const INFO_METRIC: &str = "target_info";

/// The instants of a query.
#[derive(Clone, Copy, Debug)]
pub struct QueryTimes {
    /// The first instant, ms.
    pub start: TimestampMs,
    /// The last instant, ms.
    pub end: TimestampMs,
    /// The step, ms; zero for a query at one instant.
    pub step: DurationMs,
    /// How far an instant selector looks back, ms.
    pub lookback: DurationMs,
}

/// Returns what `expr` reads when it is evaluated at `times`.
pub fn selections_of(expr: &Expr, times: QueryTimes) -> Vec<Selection> {
    let mut collector = Collector {
        times,
        found: Vec::new(),
    };
    collector.visit(expr, (times.start, times.end));
    collector.found
}

type Interval = (TimestampMs, TimestampMs);

struct Collector {
    times: QueryTimes,
    found: Vec<Selection>,
}

impl Collector {
    fn visit(&mut self, expr: &Expr, at: Interval) {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => self.visit(inner, at),
            ExprKind::Binary(binary) => {
                self.visit(&binary.lhs, at);
                self.visit(&binary.rhs, at);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.parameter {
                    self.visit(parameter, at);
                }
                self.visit(&aggregate.expr, at);
            }
            ExprKind::Call(call) if call.function == "info" => self.visit_info(call, at),
            ExprKind::Call(call) => call.args.iter().for_each(|arg| self.visit(arg, at)),
            ExprKind::Vector(selector) => self.select(selector, at, DurationMs::ZERO),
            ExprKind::Matrix(matrix) => {
                let range = self.span(&matrix.range);
                self.select(&matrix.selector, at, range);
            }
            ExprKind::Subquery(subquery) => {
                let (from, until) = self.shifted(at, subquery.at, &subquery.offset);
                let range = self.span(&subquery.range);
                self.visit(&subquery.expr, (from - range, until));
            }
        }
    }

    /// `info(v, {…})` reads `target_info` besides `v`, narrowed by the second argument, whose
    /// selector may name another metric instead.
    fn visit_info(&mut self, call: &Call, at: Interval) {
        if let Some(vector) = call.args.first() {
            self.visit(vector, at);
        }
        let named = match call.args.get(1).map(|arg| &arg.kind) {
            Some(ExprKind::Vector(selector)) => named_matchers(selector),
            _ => Vec::new(),
        };
        let matchers = if named.is_empty() {
            vec![Matcher::equal(METRIC_NAME, INFO_METRIC)]
        } else {
            named
        };
        self.found.push(Selection {
            matchers,
            after: at.0 - self.times.lookback,
            until: at.1,
        });
    }

    fn select(&mut self, selector: &VectorSelector, at: Interval, range: DurationMs) {
        let (from, until) = self.shifted(at, selector.at, &selector.offset);
        let lookback = self.times.lookback;
        let is_window = range > DurationMs::ZERO;
        let before = match selector.mode {
            RangeMode::Plain if is_window => range,
            RangeMode::Plain => lookback,
            RangeMode::Anchored | RangeMode::Smoothed => range_sum(range, lookback),
        };
        let behind = match selector.mode {
            RangeMode::Smoothed => lookback,
            RangeMode::Plain | RangeMode::Anchored => DurationMs::ZERO,
        };
        self.found.push(Selection {
            matchers: selector.matchers.clone(),
            after: from - before,
            until: until + behind,
        });
    }

    fn shifted(&self, at: Interval, pinned: Option<At>, offset: &DurationExpr) -> Interval {
        let (from, until) = match pinned {
            None => at,
            Some(At::Instant(instant)) => (instant, instant),
            Some(At::Start) => (self.times.start, self.times.start),
            Some(At::End) => (self.times.end, self.times.end),
        };
        let offset = self.span(offset);
        (from - offset, until - offset)
    }

    /// A duration that the evaluation will refuse (a division by zero) may come out as anything.
    fn span(&self, duration: &DurationExpr) -> DurationMs {
        match duration {
            DurationExpr::Literal(span) => *span,
            DurationExpr::Computed(node, _) => DurationMs((self.seconds_of(node) * 1000.0) as i64),
        }
    }

    fn seconds_of(&self, node: &DurationNode) -> f64 {
        match node {
            DurationNode::Number(number) => number.value,
            DurationNode::Step => self.times.step.seconds(),
            DurationNode::Range => (self.times.end - self.times.start).seconds(),
            DurationNode::Neg(inner) => -self.seconds_of(inner),
            DurationNode::Paren(inner) => self.seconds_of(inner),
            DurationNode::Min(a, b) => self.seconds_of(a).min(self.seconds_of(b)),
            DurationNode::Max(a, b) => self.seconds_of(a).max(self.seconds_of(b)),
            DurationNode::Binary(op, a, b) => {
                let (a, b) = (self.seconds_of(a), self.seconds_of(b));
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod => a % b,
                    BinaryOp::Pow => a.powf(b),
                    // The parser lets no other operator into a duration.
                    _ => 0.0,
                }
            }
        }
    }
}

fn range_sum(a: DurationMs, b: DurationMs) -> DurationMs {
    DurationMs(a.0.saturating_add(b.0))
}

fn named_matchers(selector: &VectorSelector) -> Vec<Matcher> {
    let matchers = selector.matchers.iter();
    matchers
        .filter(|matcher| matcher.name == METRIC_NAME)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ast::{MatrixSelector, Span, Subquery};

    fn expr(kind: ExprKind) -> Expr {
        let span = Span::default();
        Expr { kind, span }
    }

    fn literal(seconds: i64) -> DurationExpr {
        DurationExpr::Literal(DurationMs::from_seconds(seconds))
    }

    fn selector(offset: i64, at: Option<At>, mode: RangeMode) -> VectorSelector {
        VectorSelector {
            name: Some("up".into()),
            matchers: vec![Matcher::equal(METRIC_NAME, "up")],
            offset: literal(offset),
            at,
            mode,
        }
    }

    fn window(range: DurationExpr, selector: VectorSelector) -> Expr {
        expr(ExprKind::Matrix(MatrixSelector { selector, range }))
    }

    fn subquery(inner: Expr, range: i64, offset: i64, at: Option<At>) -> Expr {
        expr(ExprKind::Subquery(Box::new(Subquery {
            expr: inner,
            range: literal(range),
            step: None,
            offset: literal(offset),
            at,
        })))
    }

    /// Evaluates from 1000 s to 2000 s and compares the only selection, in seconds.
    fn check(expr: &Expr, after: i64, until: i64) {
        let times = QueryTimes {
            start: TimestampMs(1_000_000),
            end: TimestampMs(2_000_000),
            step: DurationMs::from_seconds(10),
            lookback: DurationMs::from_seconds(300),
        };
        let found = selections_of(expr, times);
        assert_eq!(found.len(), 1);
        let interval = (found[0].after.0 / 1000, found[0].until.0 / 1000);
        assert_eq!(interval, (after, until), "{expr:?}");
    }

    #[test]
    fn each_selector_asks_for_its_own_interval() {
        let plain = |offset, at| selector(offset, at, RangeMode::Plain);
        let vector = |offset, at| expr(ExprKind::Vector(plain(offset, at)));
        check(&vector(0, None), 700, 2000);
        check(&vector(60, None), 640, 1940);
        check(&vector(-60, None), 760, 2060);
        check(&vector(0, Some(At::Instant(TimestampMs(5_000)))), -295, 5);
        check(&vector(10, Some(At::Start)), 690, 990);
        check(&vector(0, Some(At::End)), 1700, 2000);
        check(&window(literal(60), plain(0, None)), 940, 2000);
        check(&window(literal(60), plain(100, Some(At::End))), 1840, 1900);
    }

    #[test]
    fn subqueries_stretch_what_lies_below() {
        let plain = |offset, at| selector(offset, at, RangeMode::Plain);
        let vector = |offset, at| expr(ExprKind::Vector(plain(offset, at)));
        check(&subquery(vector(0, None), 3600, 0, None), -2900, 2000);
        check(&subquery(vector(5, None), 3600, 60, None), -2965, 1935);
        let pinned = vector(0, Some(At::End));
        check(&subquery(pinned, 3600, 60, None), 1700, 2000);
        let inner = subquery(vector(0, None), 100, 0, Some(At::Start));
        check(&subquery(inner, 3600, 60, None), 600, 1000);
    }

    #[test]
    fn extended_selectors_reach_beyond_their_window() {
        let extended = |mode| window(literal(60), selector(0, None, mode));
        check(&extended(RangeMode::Anchored), 640, 2000);
        check(&extended(RangeMode::Smoothed), 640, 2300);
    }

    #[test]
    fn info_reads_its_metric_too() {
        let call = Call {
            function: "info".into(),
            name_span: Span::default(),
            args: vec![],
        };
        check(&expr(ExprKind::Call(call)), 700, 2000);
    }

    #[test]
    fn computed_durations_know_step_and_range() {
        let sum = DurationNode::Binary(
            BinaryOp::Add,
            Box::new(DurationNode::Step),
            Box::new(DurationNode::Neg(Box::new(DurationNode::Range))),
        );
        let minus = DurationNode::Neg(Box::new(sum));
        let range = DurationExpr::Computed(Box::new(minus), Span::default());
        check(
            &window(range, selector(0, None, RangeMode::Plain)),
            10,
            2000,
        );
    }
}
