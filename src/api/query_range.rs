//! `GET` and `POST /api/v1/query_range`: an expression at every step of a range.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::api::answer::answer;
use crate::api::execute::Query;
use crate::api::params::Params;
use crate::api::response::ApiError;
use crate::api::selections::QueryTimes;
use crate::api::state::ApiState;
use crate::functions::Functions;
use crate::model::DurationMs;
use crate::promql::{ValueType, type_of};

/// The most points a series may get; Prometheus' limit, enough for a week by minutes.
const STEPS_MAX: i64 = 11_000;

const NANOSECONDS_IN_MS: i64 = 1_000_000;

/// Answers `/api/v1/query_range`.
pub async fn query_range(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let times = times_of(&params)?;
    let query = Query::of(&params, &state, times, limit)?;
    let result_type = type_of(&query.expr, &Functions);
    if !matches!(result_type, ValueType::Scalar | ValueType::Vector) {
        let cause = format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            result_type.documented()
        );
        return Err(ApiError::invalid_parameter("query", cause));
    }
    answer(&state, query).await
}

fn times_of(params: &Params) -> Result<QueryTimes, ApiError> {
    let start = params.time("start")?;
    let end = params.time("end")?;
    if end < start {
        let cause = "end timestamp must not be before start time";
        return Err(ApiError::invalid_parameter("end", cause));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        let cause = "zero or negative query resolution step widths are not accepted. \
                     Try a positive integer";
        return Err(ApiError::invalid_parameter("step", cause));
    }
    if end.since(start) / step > STEPS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. \
             Try decreasing the query resolution (?step=XX)",
        ));
    }
    // Samples have milliseconds. Prometheus' evaluation fails on a shorter step.
    let step = DurationMs(step / NANOSECONDS_IN_MS);
    if step == DurationMs::ZERO {
        let cause = "steps below one millisecond cannot be evaluated. Try 0.001 or more";
        return Err(ApiError::invalid_parameter("step", cause));
    }
    Ok(QueryTimes {
        start: start.of_query(),
        end: end.of_query(),
        step,
        lookback: DurationMs::ZERO,
    })
}
