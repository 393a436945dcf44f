//! The answer to a query: the result cut to its limit, with statistics where they are asked for.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::execute::{Evaluated, Query, execute};
use crate::api::json::SecondsJson;
use crate::api::response::{ApiError, Success, json};
use crate::api::state::ApiState;
use crate::api::values::ValueJson;
use crate::eval::StepSamples;
use crate::model::labels::quote;
use crate::model::{TimestampMs, Value};

/// Executes a query and writes its answer.
pub async fn answer(state: &ApiState, query: Query) -> Result<Response, ApiError> {
    let per_step = state.settings.query.per_step_stats;
    let finish = move |evaluated| body_of(evaluated, per_step);
    let body = execute(state, query, finish).await?;
    Ok(json(StatusCode::OK, body))
}

fn body_of(evaluated: Evaluated, per_step: bool) -> Vec<u8> {
    let stats = stats_of(&evaluated, per_step);
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

fn stats_of(evaluated: &Evaluated, per_step: bool) -> Option<StatsJson> {
    let query = &evaluated.query;
    if query.stats.is_empty() {
        return None;
    }
    let outcome = &evaluated.outcome;
    let timings = evaluated.timings;
    let evaluation = timings.preparation + timings.evaluation;
    let of_steps = |of: fn(&StepSamples) -> usize| {
        let step = query.times.step;
        let steps = (0..).zip(&outcome.steps).map(|(at, samples)| {
            let at = TimestampMs(query.times.start.0 + at * step.0);
            (SecondsJson(at), of(samples))
        });
        (per_step && query.stats == "all").then(|| steps.collect::<Vec<_>>())
    };
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
            total_queryable_samples_per_step: of_steps(|samples| samples.used),
            total_queryable_samples: outcome.n_samples,
            samples_read_per_step: of_steps(|samples| samples.new),
            samples_read: outcome.steps.iter().map(|samples| samples.new).sum(),
            peak_samples: outcome.peak_samples,
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
    total_queryable_samples_per_step: Option<Vec<(SecondsJson, usize)>>,
    total_queryable_samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples_read_per_step: Option<Vec<(SecondsJson, usize)>>,
    samples_read: usize,
    peak_samples: usize,
}
