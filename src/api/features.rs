//! `GET /api/v1/features`: what this server can do, by category, in Prometheus' words.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::response::{Success, json};
use crate::api::state::ApiState;
use crate::functions::Functions;
use crate::promql::SignatureTable;
use crate::promql::ast::AggregateOp;

/// Words of the language that no flag switches.
const KEYWORDS: [&str; 8] = [
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "offset",
    "on",
    "without",
];

/// Operators that no flag switches, matchers among them as Prometheus counts them.
const OPERATORS: [&str; 21] = [
    "!=", "!~", "%", "*", "+", "-", "/", "<", "</", "<=", "==", "=~", ">", ">/", ">=", "@", "^",
    "and", "atan2", "or", "unless",
];

type Category = BTreeMap<&'static str, bool>;

/// Answers `/api/v1/features`.
pub async fn features(State(state): State<Arc<ApiState>>) -> Response {
    let answer = Success::of(categories(&state)).to_json();
    // The only answer in which Prometheus leaves `<` and `>` as they are.
    let answer = String::from_utf8_lossy(&answer)
        .replace("\\u003c", "<")
        .replace("\\u003e", ">");
    json(StatusCode::OK, answer.into_bytes())
}

fn categories(state: &ApiState) -> BTreeMap<&'static str, Category> {
    let settings = &state.settings;
    let query = &settings.query;
    let on = |names: &[&'static str]| names.iter().map(|name| (*name, true)).collect();
    let mut api: Category = on(&[
        "exclude_alerts",
        "label_values_match",
        "query_stats",
        "query_warnings",
        "remote_write_receiver",
        "time_range_labels",
        "time_range_series",
    ]);
    api.extend([
        ("admin", false),
        ("lifecycle", settings.lifecycle),
        ("otlp_write_receiver", false),
        ("search", false),
    ]);
    let mut promql: Category = on(&KEYWORDS);
    promql.extend([
        ("anchored", query.features.extended_range_selectors),
        ("at_modifier", true),
        ("delayed_name_removal", query.features.delayed_name_removal),
        ("duration_expr", query.features.duration_expr),
        ("fill", query.features.binop_fill_modifiers),
        ("fill_left", query.features.binop_fill_modifiers),
        ("fill_right", query.features.binop_fill_modifiers),
        ("negative_offset", true),
        ("per_query_lookback_delta", true),
        ("per_step_stats", query.per_step_stats),
        ("smoothed", query.features.extended_range_selectors),
        ("subqueries", true),
        ("type_and_unit_labels", false),
    ]);
    let experimental = query.features.experimental_functions;
    let mut operators: Category = on(&OPERATORS);
    operators.extend(AggregateOp::ALL.iter().map(|(name, op)| {
        let is_new = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
        (*name, !is_new || experimental)
    }));
    let functions = Functions.names().into_iter().map(|name| {
        let is_new = Functions
            .signature(name)
            .is_some_and(|signature| signature.experimental);
        (name, !is_new || experimental)
    });
    BTreeMap::from([
        ("api", api),
        ("promql", promql),
        ("promql_functions", functions.collect()),
        ("promql_operators", operators),
        ("rules", on(&["keep_firing_for", "query_offset"])),
    ])
}
