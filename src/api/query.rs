//! `GET` and `POST /api/v1/query`: an expression at one instant. And `query_exemplars`, which
//! finds none: exemplars are not kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::answer::answer;
use crate::api::execute::Query;
use crate::api::instant::Instant;
use crate::api::params::Params;
use crate::api::response::{ApiError, Success};
use crate::api::selections::QueryTimes;
use crate::api::state::ApiState;
use crate::functions::Functions;
use crate::model::DurationMs;
use crate::promql;

/// Answers `/api/v1/query`.
pub async fn query(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let now = Instant::of(state.settings.clock.now());
    let at = params.time_or("time", now)?.of_query();
    let times = QueryTimes {
        start: at,
        end: at,
        step: DurationMs::ZERO,
        lookback: DurationMs::ZERO,
    };
    let query = Query::of(&params, &state, times, limit)?;
    answer(&state, query).await
}

/// Answers `/api/v1/query_exemplars`.
pub async fn exemplars(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.time_or("start", Instant::MIN)?;
    let end = params.time_or("end", Instant::MAX)?;
    if end < start {
        let message = "end timestamp must not be before start timestamp";
        return Err(ApiError::bad_data(message));
    }
    let features = state.settings.query.features;
    let expr = promql::parse(params.value("query"), &Functions, features)
        .map_err(|cause| ApiError::bad_data(cause.to_string()))?;
    // Without a selector there is nothing that could have an exemplar.
    if promql::selectors(&expr).is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Success::of([(); 0]).into_response())
}
