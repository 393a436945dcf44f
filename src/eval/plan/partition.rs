//! The labels that partition an expression: what of the result an arrival can change.
//!
//! A result is partitioned by a label when its elements with one value of it follow from the
//! series with that value alone. `a / b` is partitioned by all labels, `sum by (job) (a)` by
//! `job`, `sum(a)` by none. Where it is not known, the answer is none, which is always true.
//! Errors (two elements alike, many to many) are of the whole result and not of a partition.
//!
//! A rebuilt label loses its place: what `label_replace` writes is not what the series had.

use crate::eval::plan::label_set::{LabelSet, METADATA};
use crate::eval::plan::{is_vector, member_label};
use crate::functions::call::plain;
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, Call, Expr, ExprKind, UnaryOp, VectorMatching,
};

/// Returns the labels that partition the result of an expression. One that reads no series is
/// partitioned by all labels: nothing that arrives changes it.
pub fn partition(expr: &Expr) -> LabelSet {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => LabelSet::all(),
        ExprKind::Vector(_) | ExprKind::Matrix(_) => LabelSet::all(),
        ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => partition(inner),
        ExprKind::Unary(UnaryOp::Minus, inner) => partition(inner).without(METADATA),
        ExprKind::Binary(binary) => of_binary(binary),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate),
        ExprKind::Call(call) => of_call(call),
        ExprKind::Subquery(subquery) => partition(&subquery.expr),
    }
}

/// Returns the labels that elements that belong together have in common.
pub(super) fn matched(matching: &VectorMatching) -> LabelSet {
    let labels = matching.labels.iter().map(String::as_str);
    if matching.on {
        LabelSet::only(labels)
    } else {
        LabelSet::all_but(labels.chain(METADATA))
    }
}

fn of_binary(binary: &Binary) -> LabelSet {
    let sides = partition(&binary.lhs).and(&partition(&binary.rhs));
    // Whether the name stays is known of a filter alone, and nobody asks for partitions by name.
    let sides = sides.without(METADATA);
    match &binary.matching {
        // A side is a scalar, which if it reads series at all is partitioned by none.
        None => sides,
        Some(matching) => {
            let included = matching.include.iter().map(String::as_str);
            sides.and(&matched(matching)).without(included)
        }
    }
}

/// Returns the labels that elements of one group have in common.
pub(super) fn grouped(aggregate: &Aggregate) -> LabelSet {
    let grouping = aggregate.grouping.iter().map(String::as_str);
    if aggregate.without {
        LabelSet::all_but(grouping.chain(METADATA))
    } else {
        LabelSet::only(grouping)
    }
}

fn of_aggregate(aggregate: &Aggregate) -> LabelSet {
    let mut labels = partition(&aggregate.expr).and(&grouped(aggregate));
    if let Some(parameter) = &aggregate.parameter {
        labels = labels.and(&partition(parameter));
        if let (AggregateOp::CountValues, ExprKind::String(label)) =
            (aggregate.op, &plain(parameter).kind)
        {
            labels = labels.without([label.as_str()]);
        }
    }
    labels
}

fn of_call(call: &Call) -> LabelSet {
    let args = call.args.iter().map(partition);
    let args = args.fold(LabelSet::all(), |all, arg| all.and(&arg));
    let reads_series = call.args.iter().any(reads_series);
    let text = |index: usize| match call.args.get(index).map(|arg| &plain(arg).kind) {
        Some(ExprKind::String(text)) => text.as_str(),
        _ => "",
    };
    let member = member_label(call);
    match call.function.as_str() {
        _ if !reads_series => LabelSet::all(),
        "absent" | "absent_over_time" | "scalar" | "vector" => LabelSet::none(),
        "label_replace" | "label_join" => args.without([text(1)]),
        "histogram_quantile" | "histogram_fraction" => args.without(METADATA).without(["le"]),
        "histogram_quantiles" => args.without(METADATA).without(["le", text(1)]),
        // Which info series are looked at follows from the jobs and instances of all elements.
        "info" => LabelSet::none(),
        // Order is of the whole, but says nothing of values.
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => args,
        // A result is made of what is alike in all vectors but for the name and a label.
        _ if member.is_some() => args.without(METADATA).without(member.as_deref()),
        // Over several vectors at once: nothing is known of how they meet.
        _ if call.args.iter().filter(|arg| is_vector(arg)).count() > 1 => LabelSet::none(),
        // Element by element.
        _ => args.without(METADATA),
    }
}

/// Tells whether an expression reads series.
fn reads_series(expr: &Expr) -> bool {
    let mut reads = false;
    expr.walk(&mut |node| {
        reads |= matches!(node.kind, ExprKind::Vector(_) | ExprKind::Matrix(_));
    });
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    #[test]
    fn what_partitions() {
        let check = |text: &str, expected: &str| {
            let expr = parse(text, &Functions, Features::ALL).expect(text);
            assert_eq!(partition(&expr).to_string(), expected, "{text}");
        };
        check("up", "all");
        check("time() > bool 5", "all but the metric name");
        check("rate(a[5m])", "all but the metric name");
        check("a / b", "all but the metric name");
        check("sum(a)", "none");
        check(
            "sum by (job, instance) (a) / sum by (job, instance) (b)",
            "instance, job",
        );
        check(
            "sum by (job, instance) (a) / on (job) sum by (job) (b)",
            "job",
        );
        check("sum without (le) (a)", "all but the metric name, le");
        check("topk by (job) (3, a)", "job");
        check("topk by (job) (scalar(b), a)", "none");
        check("count_values by (job, v) (\"v\", a)", "job");
        check("a * on (job) group_left (team) b", "job");
        check(
            "a * ignoring (le) group_left (team) b",
            "all but the metric name, le, team",
        );
        check("a and on () b", "none");
        check("a unless b", "all but the metric name");
        check("a or vector(0)", "all but the metric name");
        check("a > scalar(b)", "none");
        check("vector(scalar(b)) or a", "none");
        check("absent(a{job=\"x\"})", "none");
        check(
            "label_replace(a, \"b\", \"$1\", \"c\", \"(.*)\")",
            "all but b",
        );
        check(
            "histogram_quantile(0.9, sum by (le, job) (rate(a[5m])))",
            "job",
        );
        check("info(rate(a[5m]))", "none");
        check("drift_psi(a, b)", "all but the metric name, le");
        check("drift_psi(sum by (c, job) (a), b, \"label=c\")", "job");
        check("max_over_time(sum by (job) (a)[1h:1m])", "job");
        check("-(a)", "all but the metric name");
        check(
            "anomaly_forest(a[1d], \"sensor\")",
            "all but the metric name, sensor",
        );
    }
}
