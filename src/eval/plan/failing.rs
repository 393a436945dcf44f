//! Whether the evaluation of an expression can fail, as far as that can be told from its text.
//!
//! Two series become one by losing their names, two elements match one: such an error is one of the
//! whole expression, so who leaves a part of it out must know that there is none in that part.

use crate::eval::plan::label_set::METADATA;
use crate::functions;
use crate::functions::call::plain;
use crate::promql::ast::{
    Aggregate, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, MatrixSelector, RangeMode,
    UnaryOp, VectorMatching, VectorSelector,
};

/// What an expression that cannot fail comes to; better from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Elements {
    /// Elements of which two may be alike but for name, type and unit.
    Named,
    /// Elements without these.
    Nameless,
    Number,
}

/// Returns the aggregations over functions of windows in an expression of which nothing else can fail:
/// they do where two series become one by losing their names. `None` where something else may.
pub fn only_aggregations_fail(expr: &Expr) -> Option<Vec<&Aggregate>> {
    let mut aggregations = Vec::new();
    of(expr, &mut aggregations)?;
    Some(aggregations)
}

fn of<'e>(expr: &'e Expr, aggregations: &mut Vec<&'e Aggregate>) -> Option<Elements> {
    match &plain(expr).kind {
        ExprKind::Number(_) => Some(Elements::Number),
        ExprKind::Unary(op, inner) => {
            let inner = of(inner, aggregations)?;
            (*op == UnaryOp::Plus || inner >= Elements::Nameless).then_some(inner)
        }
        ExprKind::Vector(selector) => is_plain(selector).then_some(Elements::Named),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate, aggregations),
        ExprKind::Binary(binary) => {
            let sides = (
                of(&binary.lhs, aggregations)?,
                of(&binary.rhs, aggregations)?,
            );
            of_binary(binary, sides)
        }
        _ => None,
    }
}

fn of_aggregate<'e>(
    aggregate: &'e Aggregate,
    aggregations: &mut Vec<&'e Aggregate>,
) -> Option<Elements> {
    if aggregate.parameter.is_some() {
        return None;
    }
    let inner = match windowed(aggregate) {
        Some((call, _)) => {
            aggregations.push(aggregate);
            match functions::find(&call.function)?.live()?.keeps_name {
                true => Elements::Named,
                false => Elements::Nameless,
            }
        }
        None => of(&aggregate.expr, aggregations)?,
    };
    let is_metadata = |label: &String| METADATA.contains(&label.as_str());
    let is_nameless = match aggregate.without {
        true => inner >= Elements::Nameless,
        false => !aggregate.grouping.iter().any(is_metadata),
    };
    Some(match is_nameless {
        true => Elements::Nameless,
        false => Elements::Named,
    })
}

/// Returns the call that is aggregated and its window, if that is one of series and all that is given,
/// and the text says where it lies.
pub fn windowed(aggregate: &Aggregate) -> Option<(&Call, &MatrixSelector)> {
    let ExprKind::Call(call) = &plain(&aggregate.expr).kind else {
        return None;
    };
    let [argument] = call.args.as_slice() else {
        return None;
    };
    let ExprKind::Matrix(matrix) = &plain(argument).kind else {
        return None;
    };
    matrix.range.literal().filter(|range| range.0 > 0)?;
    is_plain(&matrix.selector).then_some((call, matrix))
}

fn of_binary(binary: &Binary, (lhs, rhs): (Elements, Elements)) -> Option<Elements> {
    let (worse, better) = (lhs.min(rhs), lhs.max(rhs));
    if matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
        return None;
    }
    if binary.op.is_set() {
        return Some(worse);
    }
    let keeps_names = binary.op.is_comparison() && !binary.return_bool;
    match better == Elements::Number {
        true => (keeps_names || worse >= Elements::Nameless).then_some(worse),
        // What differs matches one element at most, if nothing is left out of account.
        false => {
            let is_one_to_one = binary.matching.as_ref().is_some_and(is_one_to_one);
            (is_one_to_one && worse == Elements::Nameless).then_some(worse)
        }
    }
}

/// Tells whether elements match where all their labels agree.
fn is_one_to_one(matching: &VectorMatching) -> bool {
    matching.cardinality == Cardinality::OneToOne
        && !matching.on
        && matching.labels.is_empty()
        && matching.fill_left.is_none()
        && matching.fill_right.is_none()
}

/// Tells whether a selector is looked up at instants that its text says.
fn is_plain(selector: &VectorSelector) -> bool {
    selector.offset.literal().is_some() && selector.mode == RangeMode::Plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    #[test]
    fn what_can_fail() {
        let ratio = "sum by (m) (rate(e[5m])) / sum by (m) (rate(t[5m]))";
        let cases = [
            // So many aggregations can fail and nothing else.
            ("up == 1 and on (m) x unless ignoring (n) y", Some(0)),
            (&format!("{ratio} > 0.1"), Some(2)),
            (&format!("-100 * (1 - {ratio}) < bool 2"), Some(2)),
            (&format!("{ratio} > 1 and sum(rate(t[1h])) > 9"), Some(3)),
            ("sum without (m) (rate(e[5m])) / sum by (m) (e)", Some(1)),
            ("avg(max_over_time(e[5m] offset 1h)) > 2 * 3", Some(1)),
            ("count(up == 0) / count(up)", Some(0)),
            // Two of them may be alike without their names.
            ("rate(e[5m]) > 1", None),
            ("-up", None),
            ("up * 2", None),
            ("up == bool 1", None),
            ("sum without (m) (up) * 2", None),
            ("sum by (__name__) (up) * 2", None),
            // Two of them may match one.
            ("e / t", None),
            ("sum by (m) (e) / on (m) sum by (m, n) (t)", None),
            ("sum by (m) (e) * on (m) group_left sum by (m) (t)", None),
            ("topk(1, up)", None),
            ("vector(scalar(up))", None),
            ("sum(rate(e[5m:1m]))", None),
        ];
        for (given, expected) in cases {
            let expr = parse(given, &Functions, Features::ALL).expect(given);
            let found = only_aggregations_fail(&expr).map(|found| found.len());
            assert_eq!(found, expected, "{given}");
        }
    }
}
