//! `GET` and `POST /api/v1/parse_query` and `format_query`: an expression's tree, and its text
//! over several lines.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success};
use crate::api::state::ApiState;
use crate::functions::Functions;
use crate::model::float::format_plain;
use crate::model::{DurationMs, Matcher};
use crate::promql::ast::{
    At, Binary, Call, Cardinality, DurationExpr, DurationNode, Expr, ExprKind, MatrixSelector,
    Number, RangeMode, Subquery, UnaryOp, VectorMatching, VectorSelector,
};
use crate::promql::{self, SignatureTable, ValueType};

/// Answers `/api/v1/format_query`.
pub async fn format_query(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult<String> {
    Ok(Success::of(promql::pretty(&parsed(&state, &params)?)))
}

/// Answers `/api/v1/parse_query`. The keys of each object are sorted, as Go does.
pub async fn parse_query(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult<Value> {
    Ok(Success::of(tree_of(&parsed(&state, &params)?)))
}

fn parsed(state: &ApiState, params: &Params) -> Result<Expr, ApiError> {
    let features = state.settings.query.features;
    promql::parse(params.value("query"), &Functions, features)
        .map_err(|cause| ApiError::invalid_parameter("query", cause))
}

fn tree_of(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({
            "type": "numberLiteral",
            "val": format_plain(number.value),
        }),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::Paren(inner) => json!({"expr": tree_of(inner), "type": "parenExpr"}),
        ExprKind::Unary(op, inner) => json!({
            "expr": tree_of(inner),
            "op": match op {
                UnaryOp::Plus => "+",
                UnaryOp::Minus => "-",
            },
            "type": "unaryExpr",
        }),
        ExprKind::Binary(binary) => binary_tree(binary),
        ExprKind::Aggregate(aggregate) => json!({
            "expr": tree_of(&aggregate.expr),
            "grouping": aggregate.grouping,
            "op": aggregate.op.name(),
            "param": aggregate.parameter.as_ref().map(tree_of),
            "type": "aggregation",
            "without": aggregate.without,
        }),
        ExprKind::Call(call) => call_tree(call),
        ExprKind::Vector(selector) => vector_tree(selector),
        ExprKind::Matrix(matrix) => matrix_tree(matrix),
        ExprKind::Subquery(subquery) => subquery_tree(subquery),
    }
}

fn binary_tree(binary: &Binary) -> Value {
    json!({
        "bool": binary.return_bool,
        "lhs": tree_of(&binary.lhs),
        "matching": binary.matching.as_ref().map(matching_tree),
        "op": binary.op.symbol(),
        "rhs": tree_of(&binary.rhs),
        "type": "binaryExpr",
    })
}

fn matching_tree(matching: &VectorMatching) -> Value {
    json!({
        "card": match matching.cardinality {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        },
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
        "include": matching.include,
        "labels": matching.labels,
        "on": matching.on,
    })
}

fn call_tree(call: &Call) -> Value {
    let args: Vec<Value> = call.args.iter().map(tree_of).collect();
    let function = Functions.signature(&call.function).map(|signature| {
        let types: Vec<&str> = signature.args.iter().map(|arg| type_name(*arg)).collect();
        json!({
            "argTypes": types,
            "name": signature.name,
            "returnType": type_name(signature.returns),
            "variadic": signature.variadic,
        })
    });
    json!({"args": args, "func": function, "type": "call"})
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}

fn vector_tree(selector: &VectorSelector) -> Value {
    let (timestamp, start_or_end) = at_tree(selector.at);
    json!({
        "anchored": selector.mode == RangeMode::Anchored,
        "matchers": matchers_tree(&selector.matchers),
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": ms_of(&selector.offset),
        "offsetExpr": duration_tree(&selector.offset),
        "smoothed": selector.mode == RangeMode::Smoothed,
        "startOrEnd": start_or_end,
        "timestamp": timestamp,
        "type": "vectorSelector",
    })
}

fn matrix_tree(matrix: &MatrixSelector) -> Value {
    let selector = &matrix.selector;
    let (timestamp, start_or_end) = at_tree(selector.at);
    json!({
        "anchored": selector.mode == RangeMode::Anchored,
        "matchers": matchers_tree(&selector.matchers),
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": ms_of(&selector.offset),
        "offsetExpr": duration_tree(&selector.offset),
        "range": ms_of(&matrix.range),
        "rangeExpr": duration_tree(&matrix.range),
        "smoothed": selector.mode == RangeMode::Smoothed,
        "startOrEnd": start_or_end,
        "timestamp": timestamp,
        "type": "matrixSelector",
    })
}

fn subquery_tree(subquery: &Subquery) -> Value {
    let (timestamp, start_or_end) = at_tree(subquery.at);
    let step = subquery.step.as_ref();
    json!({
        "expr": tree_of(&subquery.expr),
        "offset": ms_of(&subquery.offset),
        "offsetExpr": duration_tree(&subquery.offset),
        "range": ms_of(&subquery.range),
        "rangeExpr": duration_tree(&subquery.range),
        "startOrEnd": start_or_end,
        "step": step.map_or(0, ms_of),
        "stepExpr": step.and_then(duration_tree),
        "timestamp": timestamp,
        "type": "subquery",
    })
}

/// Returns `timestamp` and `startOrEnd`.
fn at_tree(at: Option<At>) -> (Option<i64>, Option<&'static str>) {
    match at {
        None => (None, None),
        Some(At::Instant(at)) => (Some(at.0), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
    }
}

fn matchers_tree(matchers: &[Matcher]) -> Vec<Value> {
    let trees = matchers.iter().map(|matcher| {
        json!({
            "name": matcher.name,
            "type": matcher.op.to_string(),
            "value": matcher.value,
        })
    });
    trees.collect()
}

/// Returns a known span; one that is computed counts as zero, and its tree is given.
fn ms_of(duration: &DurationExpr) -> i64 {
    duration.literal().unwrap_or(DurationMs::ZERO).0
}

fn duration_tree(duration: &DurationExpr) -> Option<Value> {
    match duration {
        DurationExpr::Literal(_) => None,
        DurationExpr::Computed(node, _) => Some(node_tree(node, false)),
    }
}

fn node_tree(node: &DurationNode, wrapped: bool) -> Value {
    let operation = |op: &str, lhs: Option<Value>, rhs: Option<Value>| {
        json!({
            "lhs": lhs,
            "op": op,
            "rhs": rhs,
            "type": "durationExpr",
            "wrapped": wrapped,
        })
    };
    let inner = |node: &DurationNode| Some(node_tree(node, false));
    match node {
        // A number in parentheses is a sign before it, in Prometheus' tree.
        DurationNode::Number(number) if wrapped => operation("+", None, Some(number_tree(number))),
        DurationNode::Number(number) => number_tree(number),
        DurationNode::Step => operation("step", None, None),
        DurationNode::Range => operation("range", None, None),
        DurationNode::Neg(operand) => operation("-", None, inner(operand)),
        DurationNode::Paren(operand) => node_tree(operand, true),
        DurationNode::Binary(op, lhs, rhs) => operation(op.symbol(), inner(lhs), inner(rhs)),
        DurationNode::Min(lhs, rhs) => operation("min_of", inner(lhs), inner(rhs)),
        DurationNode::Max(lhs, rhs) => operation("max_of", inner(lhs), inner(rhs)),
    }
}

fn number_tree(number: &Number) -> Value {
    json!({
        "duration": number.is_duration,
        "type": "numberLiteral",
        "val": format_plain(number.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Features;

    /// Compares the tree of an expression at a JSON pointer.
    fn check(text: &str, pointer: &str, expected: Value) {
        let expr = promql::parse(text, &Functions, Features::ALL).unwrap();
        let tree = tree_of(&expr);
        assert_eq!(tree.pointer(pointer), Some(&expected), "{text}: {tree}");
    }

    #[test]
    fn computed_durations_have_trees_of_their_own() {
        let number = |val: &str, duration: bool| json!({"duration": duration, "type": "numberLiteral", "val": val});
        let operation = |lhs: Value, op: &str, rhs: Value, wrapped: bool| json!({"lhs": lhs, "op": op, "rhs": rhs, "type": "durationExpr", "wrapped": wrapped});
        let step = || operation(Value::Null, "step", Value::Null, false);
        check("x[5m]", "/rangeExpr", Value::Null);
        check("x[5m]", "/range", json!(300_000));
        check("x[step()]", "/rangeExpr", step());
        check("x[step()]", "/range", json!(0));
        let sum = operation(number("60", true), "+", step(), false);
        check("x[1m+step()]", "/rangeExpr", sum);
        let minus = operation(Value::Null, "-", step(), false);
        check("x offset -step()", "/offsetExpr", minus);
        let product = operation(step(), "*", number("2", false), true);
        check("x[1h:(step()*2)]", "/stepExpr", product);
        let least = operation(step(), "min_of", number("60", true), false);
        check("x[min_of(step(),1m)]", "/rangeExpr", least);
    }

    #[test]
    fn modifiers_are_in_the_tree() {
        check("x[5m] smoothed", "/smoothed", json!(true));
        check("x anchored @ end()", "/startOrEnd", json!("end"));
        check("x @ 1.5", "/timestamp", json!(1500));
        check(
            "a + fill_left(2) b",
            "/matching/fillValues",
            json!({"lhs": 2.0, "rhs": null}),
        );
        check("x offset -5m", "/offset", json!(-300_000));
        check("topk(3, x)", "/param/val", json!("3"));
    }
}
