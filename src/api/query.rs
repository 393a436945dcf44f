//! `GET` and `POST /api/v1/query`: an expression at one instant.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::api::answer::answer;
use crate::api::execute::Query;
use crate::api::params::Params;
use crate::api::response::ApiError;
use crate::api::selections::QueryTimes;
use crate::api::state::ApiState;
use crate::model::DurationMs;

/// Answers `/api/v1/query`.
pub async fn query(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let at = params.time_or("time", state.settings.clock.now())?;
    let times = QueryTimes {
        start: at,
        end: at,
        step: DurationMs::ZERO,
        lookback: DurationMs::ZERO,
    };
    let query = Query::of(&params, &state, times)?;
    answer(&state, query).await
}
