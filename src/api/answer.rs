//! The answer to a query: the result cut to its limit, with statistics where they are asked for.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::execute::{Evaluated, Query, execute};
use crate::api::response::{ApiError, Success, json};
use crate::api::state::ApiState;
use crate::api::values::{SecondsJson, ValueJson};
use crate::model::labels::quote;
use crate::model::{DurationMs, Value};

/// Executes a query and writes its answer.
pub async fn answer(state: &ApiState, query: Query) -> Result<Response, ApiError> {
    let body = execute(state, query, body_of).await?;
    Ok(json(StatusCode::OK, body))
}

fn body_of(evaluated: Evaluated) -> Vec<u8> {
    let stats = stats_of(&evaluated);
    let Evaluated {
        query,
        mut outcome,
        timings: _,
    } = evaluated;
    if let Some(limit) = query.limit
        && truncate(&mut outcome.value, limit)
    {
        let warning = "results truncated due to limit".to_owned();
        outcome.warnings.push(warning);
    }
    outcome.warnings.extend(stats_warning(&query.stats));
    let data = QueryJson {
        result_type: outcome.value.type_name(),
        result: ValueJson {
            value: &outcome.value,
            at: query.times.start,
        },
        stats,
    };
    let answer = Success {
        data,
        warnings: outcome.warnings,
        infos: outcome.infos,
    };
    answer.to_json()
}

/// Keeps the first `limit` elements; tells whether there were more.
fn truncate(value: &mut Value, limit: usize) -> bool {
    match value {
        Value::Scalar(_) | Value::String(_) => false,
        Value::Vector(elements) if elements.len() > limit => {
            elements.truncate(limit);
            true
        }
        Value::Matrix(series) if series.len() > limit => {
            series.truncate(limit);
            true
        }
        Value::Vector(_) | Value::Matrix(_) => false,
    }
}

fn stats_warning(stats: &str) -> Option<String> {
    if matches!(stats, "" | "true" | "all") {
        return None;
    }
    Some(format!(
        "value {} for parameter \"stats\" is deprecated and will be rejected in the next major \
         release, use \"true\" or \"all\"",
        quote(stats)
    ))
}

fn stats_of(evaluated: &Evaluated) -> Option<StatsJson> {
    let query = &evaluated.query;
    if query.stats.is_empty() {
        return None;
    }
    let n_samples = evaluated.outcome.n_samples;
    // Only of a query at one instant it is known which step read the samples.
    let is_instant = query.times.step == DurationMs::ZERO;
    let of_step = [(SecondsJson(query.times.start), n_samples)];
    let timings = evaluated.timings;
    let evaluation = timings.preparation + timings.evaluation;
    Some(StatsJson {
        timings: TimingsJson {
            eval_total_time: evaluation,
            result_sort_time: 0.0,
            query_preparation_time: timings.preparation,
            inner_eval_time: timings.evaluation,
            exec_queue_time: timings.queue,
            exec_total_time: timings.queue + evaluation,
        },
        samples: SamplesJson {
            total_queryable_samples_per_step: (query.stats == "all" && is_instant)
                .then_some(of_step),
            total_queryable_samples: n_samples,
            peak_samples: n_samples,
        },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueryJson<'a> {
    result_type: &'static str,
    result: ValueJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsJson>,
}

#[derive(Serialize)]
struct StatsJson {
    timings: TimingsJson,
    samples: SamplesJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimingsJson {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SamplesJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    total_queryable_samples_per_step: Option<[(SecondsJson, usize); 1]>,
    total_queryable_samples: usize,
    peak_samples: usize,
}
