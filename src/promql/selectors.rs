//! Which series an expression reads, and from how far back: what routing and retention ask.

use crate::model::{DurationMs, METRIC_NAME, Matcher, TimestampMs};
use crate::promql::ast::{
    At, BinaryOp, Call, DurationExpr, DurationNode, Expr, ExprKind, RangeMode, Span, Subquery,
    VectorSelector,
};

/// How far an instant selector looks back for a sample: Prometheus' default.
pub const LOOKBACK_DELTA: DurationMs = DurationMs(5 * 60_000);

/// A selector and the times it reads, relative to the instant that it is evaluated at.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectorUse {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// Where the selector stands; for the series that `info()` adds, the call.
    pub span: Span,
    /// The `@` that governs the selector, its own or that of a subquery around it. With
    /// [`At::Instant`] the times are relative to that instant and not to the evaluation's.
    pub at: Option<At>,
    /// How far back the oldest sample lies that may be read, never negative.
    pub back: DurationMs,
    /// How far ahead the youngest sample lies that may be read, never negative; more than zero
    /// for negative offsets and for `smoothed`.
    pub forward: DurationMs,
}

impl SelectorUse {
    /// Returns for how long a sample may still be read, ms: without end where `@` pins an
    /// instant, since a rule may come back to it at any time.
    pub fn reach(&self) -> DurationMs {
        if self.is_pinned() {
            return DurationMs(i64::MAX / 4);
        }
        self.back
    }

    /// Returns from when on all that it reads is there, of samples that are kept since an instant.
    /// What `@` pins is there when it has passed; where it lies before that instant it never will be.
    pub fn full_from(&self, since: TimestampMs) -> TimestampMs {
        match self.at {
            Some(At::Instant(instant)) if since <= instant - self.back => instant + self.forward,
            _ => since + self.reach(),
        }
    }

    /// Tells whether the selector reads the same times whenever it is evaluated.
    pub fn is_pinned(&self) -> bool {
        matches!(self.at, Some(At::Instant(_)))
    }
}

/// Times relative to the evaluation or to an `@`, in ms.
#[derive(Clone, Copy)]
struct Times {
    at: Option<At>,
    from: i64,
    to: i64,
}

const EVALUATION: Times = Times {
    at: None,
    from: 0,
    to: 0,
};

impl Times {
    /// Moves to where `@` and `offset` point: `@` forgets what lies around, an offset does not.
    fn moved(self, at: Option<At>, offset: &DurationExpr) -> Times {
        let base = match at {
            None => self,
            Some(_) => Times { at, ..EVALUATION },
        };
        let offset = span_ms(offset);
        Times {
            from: base.from.saturating_sub(offset),
            to: base.to.saturating_sub(offset),
            ..base
        }
    }

    fn extended_back(self, span: i64) -> Times {
        Times {
            from: self.from.saturating_sub(span),
            ..self
        }
    }
}

/// Returns all selectors of an expression, in the order written.
///
/// A duration that depends on the query counts with `step()` and `range()` as zero: in a rule,
/// which is evaluated at one instant, `range()` is zero, and the step is not known here.
pub fn selectors(expr: &Expr) -> Vec<SelectorUse> {
    let mut found = Vec::new();
    collect(expr, EVALUATION, &mut found);
    found
}

fn collect(expr: &Expr, times: Times, found: &mut Vec<SelectorUse>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => collect(inner, times, found),
        ExprKind::Binary(binary) => {
            collect(&binary.lhs, times, found);
            collect(&binary.rhs, times, found);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(parameter) = &aggregate.parameter {
                collect(parameter, times, found);
            }
            collect(&aggregate.expr, times, found);
        }
        ExprKind::Call(call) if call.function == "info" => {
            collect_info(call, expr.span, times, found);
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| collect(arg, times, found)),
        ExprKind::Vector(selector) => {
            found.push(selector_use(selector, expr.span, times, 0));
        }
        ExprKind::Matrix(matrix) => {
            let range = span_ms(&matrix.range);
            found.push(selector_use(&matrix.selector, expr.span, times, range));
        }
        ExprKind::Subquery(subquery) => {
            collect(&subquery.expr, subquery_times(subquery, times), found);
        }
    }
}

fn subquery_times(subquery: &Subquery, times: Times) -> Times {
    times
        .moved(subquery.at, &subquery.offset)
        .extended_back(span_ms(&subquery.range))
}

/// Describes a selector; `range_ms` is zero for an instant one.
fn selector_use(selector: &VectorSelector, span: Span, times: Times, range_ms: i64) -> SelectorUse {
    let mut times = times
        .moved(selector.at, &selector.offset)
        .extended_back(range_ms);
    if range_ms == 0 || selector.mode != RangeMode::Plain {
        times = times.extended_back(LOOKBACK_DELTA.0);
    }
    if selector.mode == RangeMode::Smoothed {
        times.to = times.to.saturating_add(LOOKBACK_DELTA.0);
    }
    SelectorUse {
        matchers: selector.matchers.clone(),
        span,
        at: times.at,
        back: DurationMs(times.from.saturating_neg().max(0)),
        forward: DurationMs(times.to.max(0)),
    }
}

/// Collects what `info(v, {labels})` reads: `v`, and the series that it takes labels from, which
/// are `target_info` unless the labels name others. These are read where the first selector of `v` is.
fn collect_info(call: &Call, span: Span, times: Times, found: &mut Vec<SelectorUse>) {
    let n_before = found.len();
    if let Some(vector) = call.args.first() {
        collect(vector, times, found);
    }
    let Some(first) = found.get(n_before) else {
        return;
    };
    let mut matchers = match call.args.get(1).map(|labels| &labels.kind) {
        Some(ExprKind::Vector(selector)) => selector.matchers.clone(),
        _ => Vec::new(),
    };
    if !matchers.iter().any(|m| m.name == METRIC_NAME) {
        matchers.push(Matcher::equal(METRIC_NAME, "target_info"));
    }
    let lookback = times.extended_back(LOOKBACK_DELTA.0).from.saturating_neg();
    found.push(SelectorUse {
        matchers,
        span,
        at: first.at,
        back: first.back.max(DurationMs(lookback.max(0))),
        forward: first.forward,
    });
}

fn span_ms(duration: &DurationExpr) -> i64 {
    match duration {
        DurationExpr::Literal(span) => span.0,
        // The cast saturates, and what is no number is zero.
        DurationExpr::Computed(node, _) => (seconds(node) * 1000.0).round() as i64,
    }
}

fn seconds(node: &DurationNode) -> f64 {
    match node {
        DurationNode::Number(number) => number.value,
        DurationNode::Step | DurationNode::Range => 0.0,
        DurationNode::Neg(inner) => -seconds(inner),
        DurationNode::Paren(inner) => seconds(inner),
        DurationNode::Min(a, b) => seconds(a).min(seconds(b)),
        DurationNode::Max(a, b) => seconds(a).max(seconds(b)),
        DurationNode::Binary(op, lhs, rhs) => {
            let (lhs, rhs) = (seconds(lhs), seconds(rhs));
            match op {
                BinaryOp::Sub => lhs - rhs,
                BinaryOp::Mul => lhs * rhs,
                BinaryOp::Div => lhs / rhs,
                BinaryOp::Mod => lhs % rhs,
                BinaryOp::Pow => lhs.powf(rhs),
                _ => lhs + rhs,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TimestampMs;
    use crate::promql::test_functions::PrometheusFunctions;
    use crate::promql::{Features, parse};

    const MINUTE: i64 = 60_000;

    fn uses(query: &str) -> Vec<SelectorUse> {
        selectors(&parse(query, &PrometheusFunctions, Features::ALL).expect(query))
    }

    /// Checks minutes back and ahead of each selector.
    fn check(query: &str, expected: &[(i64, i64)]) {
        let found: Vec<_> = uses(query)
            .iter()
            .map(|u| (u.back.0 / MINUTE, u.forward.0 / MINUTE))
            .collect();
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn reaches_add_up() {
        check("1 + time()", &[]);
        check("x", &[(5, 0)]);
        check("x offset 1h", &[(65, 0)]);
        check("x offset -1h", &[(0, 60)]);
        check("x offset -2m", &[(3, 2)]);
        check("rate(x[1h])", &[(60, 0)]);
        check("rate(x[1h] offset 1d)", &[(1500, 0)]);
        check("rate(x[1h] anchored)", &[(65, 0)]);
        check("rate(x[1h] smoothed)", &[(65, 5)]);
        check("max_over_time(rate(x[5m])[1h:1m])", &[(65, 0)]);
        check("max_over_time(x[1h:1m] offset 10m)", &[(75, 0)]);
        check("max_over_time(sum(x offset -20m)[1h:])", &[(45, 20)]);
        check("max_over_time(max_over_time(x[1h:])[1d:])", &[(1505, 0)]);
    }

    #[test]
    fn computed_durations_count_without_the_query() {
        check("rate(x[30m * 2])", &[(60, 0)]);
        check("rate(x[max(step(), 10m)])", &[(10, 0)]);
        check("x offset (1h - 30m)", &[(35, 0)]);
        check("rate(x[range() + 1m])", &[(1, 0)]);
    }

    #[test]
    fn pins_reset_what_lies_around() {
        check("max_over_time(x[1h:] @ 60)", &[(65, 0)]);
        check("max_over_time((x @ 60)[1h:])", &[(5, 0)]);
        check("max_over_time((x @ start())[1h:])", &[(5, 0)]);
        let pinned = |query: &str| uses(query)[0].clone();
        assert_eq!(pinned("x @ 60").at, Some(At::Instant(TimestampMs(60_000))));
        assert!(pinned("max_over_time(x[1h:] @ 60)").is_pinned());
        assert!(!pinned("x @ start()").is_pinned());
        assert!(!pinned("x").is_pinned());
    }

    #[test]
    fn info_reads_series_that_are_not_written() {
        let names = |query: &str| -> Vec<String> {
            let name = |u: &SelectorUse| {
                let matcher = u.matchers.iter().find(|m| m.name == METRIC_NAME);
                matcher.map_or(String::new(), ToString::to_string)
            };
            uses(query).iter().map(name).collect()
        };
        let target_info = r#"__name__="target_info""#;
        assert_eq!(names("info(x)"), [r#"__name__="x""#, target_info]);
        assert_eq!(
            names(r#"info(x, {a="b"})"#),
            [r#"__name__="x""#, target_info]
        );
        let other = r#"info(x, {__name__="build_info"})"#;
        assert_eq!(
            names(other),
            [r#"__name__="x""#, r#"__name__="build_info""#]
        );
        check("info(rate(x[1h]))", &[(60, 0), (60, 0)]);
        check("info(rate(x[1m]))", &[(1, 0), (5, 0)]);
    }
}
