//! `GET` and `POST /api/v1/explain`: how an expression or a loaded rule is evaluated, and how
//! warm it is. Ours, not Prometheus'.
//!
//! Asked with `query=EXPR` or `rule=NAME`; `format=text` answers what `burnwatch explain` prints.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::api::json::TimeJson;
use crate::api::params::Params;
use crate::api::response::{self, ApiError, ErrorKind, Success};
use crate::api::state::ApiState;
use crate::engine::GroupStatus;
use crate::engine::explain::{
    Assumptions, Explanation, LeafCount, Live, ReadRule, RuleName, RulePart, explain,
    explain_rules, live_rules,
};
use crate::eval::plan::leaf::SubqueryGrid;
use crate::eval::plan::{LabelSet, Leaf, LeafKind, Node, OutputLabels};
use crate::model::spelling::nearest;
use crate::model::{DurationMs, TimestampMs};
use crate::promql::ast::RangeMode;

/// How often series are taken to be scraped where nobody says.
const SCRAPE_INTERVAL: DurationMs = DurationMs(15_000);

/// Answers `/api/v1/explain`.
pub async fn answer(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let groups = state.backend.groups().await?;
    let mut explanations = asked_for(&state, &params, &groups)?;
    let frontier = state.backend.receive_view().frontier;
    for explanation in &mut explanations {
        let counts = count(&state, explanation, frontier).await?;
        explanation.live = Some(Live {
            frontier,
            counts,
            rules: live_rules(&explanation.plan.text, &groups),
            ..Live::default()
        });
        explanation.keep_own_rule();
    }
    if params.value("format") == "text" {
        let texts: Vec<String> = explanations.iter().map(ToString::to_string).collect();
        return Ok(response::text(StatusCode::OK, texts.join("\n")));
    }
    let data: Vec<Value> = explanations.iter().map(to_json).collect();
    let body = Success::of(json!({ "explanations": data })).to_json();
    Ok(response::json(StatusCode::OK, body))
}

fn asked_for(
    state: &ApiState,
    params: &Params,
    groups: &[GroupStatus],
) -> Result<Vec<Explanation>, ApiError> {
    let settings = &state.settings.query;
    let scrape_interval = match params.value("scrape_interval") {
        "" => SCRAPE_INTERVAL,
        _ => DurationMs(params.duration("scrape_interval")? / 1_000_000),
    };
    if scrape_interval <= DurationMs::ZERO {
        let cause = "must be longer than nothing, such as 15s";
        return Err(ApiError::invalid_parameter("scrape_interval", cause));
    }
    let assumptions = Assumptions {
        scrape_interval,
        default_step: settings.default_step,
        features: settings.features,
    };
    let (query, name) = (params.value("query"), params.value("rule"));
    match (query.is_empty(), name.is_empty()) {
        (false, true) => explain(query, assumptions)
            .map(|explanation| vec![explanation])
            .map_err(|cause| ApiError::invalid_parameter("query", cause)),
        (true, false) => {
            let found = explain_rules(name, groups, assumptions)
                .map_err(|cause| ApiError::invalid_parameter("rule", cause))?;
            if found.is_empty() {
                return Err(no_such_rule(name, groups));
            }
            Ok(found)
        }
        _ => Err(ApiError::bad_data(
            "give either query=EXPR or rule=NAME to explain",
        )),
    }
}

fn no_such_rule(name: &str, groups: &[GroupStatus]) -> ApiError {
    let rules = groups.iter().flat_map(|group| &group.rules);
    let near = nearest(name, rules.map(|rule| rule.name.as_str()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
    ApiError::new(
        ErrorKind::NotFound,
        format!("no rule {name:?} is loaded{hint}"),
    )
}

/// Counts the series that each leaf has a sample of.
async fn count(
    state: &ApiState,
    explanation: &Explanation,
    frontier: Option<TimestampMs>,
) -> Result<Vec<LeafCount>, ApiError> {
    let now = frontier.unwrap_or(TimestampMs(0));
    let mut counts = Vec::new();
    for leaf in &explanation.plan.leaves {
        let at = leaf.pinned.unwrap_or(now);
        let (from, until) = (at - leaf.back + DurationMs(1), at + leaf.forward);
        let sets = vec![leaf.matchers.clone()];
        let mut found = state.backend.series(sets, from, until).await?;
        found.sort();
        found.dedup();
        counts.push(LeafCount {
            series: Some(found.len() as u64),
            samples: None,
        });
    }
    Ok(counts)
}

/// Writes an explanation as JSON: durations in seconds, times in RFC 3339.
pub fn to_json(explanation: &Explanation) -> Value {
    let plan = &explanation.plan;
    let counts = explanation.live.iter().flat_map(|live| &live.counts);
    let counts: Vec<&LeafCount> = counts.collect();
    let leaves = plan.leaves.iter().enumerate().map(|(index, leaf)| {
        let mut json = leaf_json(leaf, explanation.scrape_interval);
        if let Some(count) = counts.get(index) {
            json["series"] = json!(count.series);
            json["samples"] = json!(count.samples);
        }
        json
    });
    let exposures = explanation.exposures.iter();
    let exposures = exposures.map(|found| json!({"part": found.part, "why": found.why}));
    let functions = plan.functions.iter().map(|function| {
        json!({
            "name": function.signature().name,
            "about": function.about(),
            "example": function.example(),
        })
    });
    let mut json = json!({
        "expr": plan.text,
        "type": plan.value_type.documented(),
        "tree": node_json(&plan.root),
        "leaves": leaves.collect::<Vec<_>>(),
        "partition": set_json(&plan.partition),
        "output": output_json(&plan.output),
        "clocks": plan.clocks,
        "historySeconds": plan.history().seconds(),
        "scrapeIntervalSeconds": explanation.scrape_interval.seconds(),
        "samplesPerEvaluation": plan.samples(explanation.scrape_interval),
        "samplesReadPerEvaluation": plan.samples_read(explanation.scrape_interval),
        "exposures": exposures.collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
    });
    if let Some(rule) = &explanation.rule {
        json["rule"] = rule_json(rule);
    }
    if let Some(live) = &explanation.live {
        json["live"] = live_json(live);
    }
    json
}

fn node_json(node: &Node) -> Value {
    let operands: Vec<Value> = node.operands.iter().map(node_json).collect();
    json!({"text": node.text, "leaf": node.leaf, "operands": operands})
}

fn leaf_json(leaf: &Leaf, scrape_interval: DurationMs) -> Value {
    let seconds = |span: Option<DurationMs>| span.map(DurationMs::seconds);
    let (kind, mode) = match leaf.kind {
        LeafKind::Instant => ("instant", None),
        LeafKind::Info => ("info", None),
        LeafKind::Window { mode, .. } => match mode {
            RangeMode::Plain => ("window", None),
            RangeMode::Anchored => ("window", Some("anchored")),
            RangeMode::Smoothed => ("window", Some("smoothed")),
        },
    };
    let grid = |grid: &SubqueryGrid| {
        json!({
            "text": grid.text,
            "rangeSeconds": seconds(grid.range),
            "stepSeconds": seconds(grid.step),
            "scannedBecause": grid.obstacle,
            "pointsReadBy": grid.points_read_by,
        })
    };
    json!({
        "text": leaf.text,
        "matchers": leaf.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kind": kind,
        "mode": mode,
        "windowSeconds": seconds(leaf.window()),
        "offsetSeconds": seconds(leaf.offset),
        "pinnedTo": time_json(leaf.pinned),
        "subqueries": leaf.subqueries.iter().map(grid).collect::<Vec<_>>(),
        "takenBy": leaf.taken_by,
        "incremental": leaf.is_incremental() && !leaf.is_over(scrape_interval),
        "scannedBecause": leaf.obstacle,
        "incrementalUpToSamples": leaf.samples_max,
        "backSeconds": leaf.back.seconds(),
        "forwardSeconds": leaf.forward.seconds(),
        "samplesPerSeries": leaf.samples(scrape_interval),
        "samplesReadPerSeries": leaf.samples_read(scrape_interval),
    })
}

fn set_json(set: &LabelSet) -> Value {
    match set {
        LabelSet::Only(names) => json!({ "only": names }),
        LabelSet::AllBut(names) => json!({ "allBut": names }),
    }
}

fn output_json(known: &OutputLabels) -> Value {
    json!({
        "among": set_json(&known.among),
        "fixed": known.fixed,
        "present": known.present,
    })
}

fn name_json(rule: &RuleName) -> Value {
    json!({"name": rule.name, "group": rule.group, "file": rule.file})
}

fn rule_json(rule: &RulePart) -> Value {
    let labels = rule.labels.iter();
    let labels: Map<String, Value> = labels
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let read = |read: &ReadRule| {
        let mut json = name_json(&read.rule);
        json["leaf"] = json!(read.leaf);
        json["isAlert"] = json!(read.is_alert);
        json["lookedThrough"] = json!(read.looked_through);
        json
    };
    json!({
        "name": rule.name,
        "group": rule.group,
        "file": rule.file,
        "type": if rule.hold.is_some() { "alerting" } else { "recording" },
        "labels": labels,
        "intervalSeconds": rule.interval.seconds(),
        "onArrival": rule.on_arrival,
        "forSeconds": rule.hold.map(DurationMs::seconds),
        "heldWhileWarming": rule.held_while_warming,
        "reads": rule.reads.iter().map(read).collect::<Vec<_>>(),
        "readBy": rule.read_by.iter().map(name_json).collect::<Vec<_>>(),
    })
}

fn live_json(live: &Live) -> Value {
    let rules = live.rules.iter().map(|rule| {
        let mut json = name_json(&rule.rule);
        json["keptSince"] = time_json(rule.kept_since);
        json["warmingUntil"] = time_json(rule.warming_until);
        json["learnsSince"] = time_json(rule.learns_since);
        json["lastError"] = json!(rule.last_error);
        json
    });
    json!({
        "server": live.server,
        "isPrometheus": live.is_prometheus,
        "evaluatedUpTo": time_json(live.frontier),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn time_json(at: Option<TimestampMs>) -> Value {
    at.map_or(Value::Null, |at| json!(TimeJson(Some(at)).to_string()))
}
