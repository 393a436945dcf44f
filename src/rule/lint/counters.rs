//! Rates of what is no counter any more, and quantiles without buckets.

use crate::model::METRIC_NAME;
use crate::promql::ast::{AggregateOp, Expr, ExprKind};
use crate::rule::lint::output::output_labels;
use crate::rule::lint::{At, Finding, Subject, equal_value};

/// Functions that take a drop of the value for a restart.
const OF_COUNTERS: [&str; 4] = ["rate", "increase", "irate", "resets"];
/// Functions whose result rises and falls.
const RATES: [&str; 6] = ["rate", "increase", "irate", "delta", "idelta", "deriv"];

/// Calls `look` for each call of a function of counters, with its argument.
fn for_each_rate<'e>(subject: &Subject<'e>, look: &mut dyn FnMut(&'e str, &'e Expr)) {
    subject.rule.expr.walk(&mut |expr| {
        if let ExprKind::Call(call) = &expr.kind
            && OF_COUNTERS.contains(&call.function.as_str())
            && let Some(arg) = call.args.first()
        {
            look(&call.function, plain(arg));
        }
    });
}

fn plain(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Paren(inner) => plain(inner),
        _ => expr,
    }
}

/// Tells whether an expression adds up series as they are.
fn adds_up_series(expr: &Expr) -> bool {
    match &plain(expr).kind {
        ExprKind::Aggregate(aggregate) => {
            let adds = matches!(aggregate.op, AggregateOp::Sum | AggregateOp::Avg);
            adds && (is_selector(&aggregate.expr) || adds_up_series(&aggregate.expr))
        }
        _ => false,
    }
}

fn is_selector(expr: &Expr) -> bool {
    matches!(plain(expr).kind, ExprKind::Vector(_))
}

/// Tells whether an expression is a rate, or rates added up.
fn is_rate(expr: &Expr) -> bool {
    match &plain(expr).kind {
        ExprKind::Call(call) => RATES.contains(&call.function.as_str()),
        ExprKind::Aggregate(aggregate) => is_rate(&aggregate.expr),
        _ => false,
    }
}

/// Finds `rate(sum(x)[5m:])`, and `rate(y[5m])` where a rule records `sum(x)` as `y`.
pub(crate) fn rate_of_sum(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for_each_rate(subject, &mut |function, arg| {
        let message = match &arg.kind {
            ExprKind::Subquery(subquery) if adds_up_series(&subquery.expr) => {
                format!(
                    "{function}() of a sum takes the restart of one member for a restart of all"
                )
            }
            ExprKind::Matrix(matrix) => {
                let rules = subject.context.recorded(&matrix.selector.matchers);
                let Some((group, rule)) = rules
                    .iter()
                    .find(|_| rules.iter().all(|(_, rule)| adds_up_series(&rule.expr)))
                else {
                    return;
                };
                format!(
                    "{function}() of a sum, which {}:{} records as {:?}, takes the restart of one \
                     member for a restart of all",
                    group.file, rule.line, rule.name
                )
            }
            _ => return,
        };
        let remedy = format!(
            "take {function}() of each series first and add up then: `sum({function}(x[5m]))`"
        );
        findings.push(Finding::at(At::Expr(arg.span), message, remedy));
    });
}

/// Finds rates of series that are rates already.
pub(crate) fn rate_of_rate(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for_each_rate(subject, &mut |function, arg| {
        let message = match &arg.kind {
            ExprKind::Subquery(subquery) if is_rate(&subquery.expr) => {
                format!("{function}() of a rate takes every fall of it for a restart of a counter")
            }
            ExprKind::Matrix(matrix) => {
                let rules = subject.context.recorded(&matrix.selector.matchers);
                let Some((group, rule)) = rules
                    .iter()
                    .find(|_| rules.iter().all(|(_, rule)| is_rate(&rule.expr)))
                else {
                    return;
                };
                format!(
                    "{function}() of a rate, which {}:{} records as {:?}, takes every fall of it \
                     for a restart of a counter",
                    group.file, rule.line, rule.name
                )
            }
            _ => return,
        };
        let remedy = "take the rate of the counter itself, or write avg_over_time(), \
                      max_over_time() or deriv() of the recorded rate";
        findings.push(Finding::at(At::Expr(arg.span), message, remedy));
    });
}

/// Finds quantiles of classic buckets that have been added up over `le`.
pub(crate) fn quantile_without_le(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let functions = subject.context.functions;
    subject.rule.expr.walk(&mut |expr| {
        let ExprKind::Call(call) = &expr.kind else {
            return;
        };
        let buckets = match (call.function.as_str(), call.args.as_slice()) {
            ("histogram_quantile", [_, buckets]) => buckets,
            ("histogram_fraction", [_, _, buckets]) => buckets,
            _ => return,
        };
        if output_labels(buckets, functions).may_have("le") || !reads_classic_buckets(buckets) {
            return;
        }
        findings.push(Finding::at(
            At::Expr(buckets.span),
            format!(
                "{}() finds no buckets: their label le is aggregated away",
                call.function
            ),
            "keep it: `by (le)`, with the labels that you want beside it",
        ));
    });
}

fn reads_classic_buckets(expr: &Expr) -> bool {
    let (mut n_selectors, mut n_buckets) = (0, 0);
    expr.walk(&mut |node| {
        let matchers = match &node.kind {
            ExprKind::Vector(selector) => &selector.matchers,
            ExprKind::Matrix(matrix) => &matrix.selector.matchers,
            _ => return,
        };
        n_selectors += 1;
        let name = equal_value(matchers, METRIC_NAME).unwrap_or("");
        n_buckets += usize::from(name.ends_with("_bucket"));
    });
    n_selectors > 0 && n_selectors == n_buckets
}
