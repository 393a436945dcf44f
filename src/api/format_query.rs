//! `GET` and `POST /api/v1/format_query`: an expression in its canonical text.

use std::sync::Arc;

use axum::extract::State;

use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success};
use crate::api::state::ApiState;
use crate::functions::Functions;
use crate::promql;

/// Answers `/api/v1/format_query`.
pub async fn format_query(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult<String> {
    let features = state.settings.query.features;
    let expr = promql::parse(params.value("query"), &Functions, features)
        .map_err(|cause| ApiError::invalid_parameter("query", cause))?;
    Ok(Success::of(expr.to_string()))
}
