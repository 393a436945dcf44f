//! What Prometheus knows of scraping, and we do not: empty lists, so that a client made for
//! Prometheus finds what it looks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success};
use crate::api::state::ApiState;
use crate::api::strconv::atoi;
use crate::functions::Functions;
use crate::model::labels::quote;
use crate::promql;

/// No targets.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetsJson {
    active_targets: [(); 0],
    dropped_targets: [(); 0],
    /// `null` where dropped targets are not asked for.
    dropped_target_counts: Option<BTreeMap<String, usize>>,
}

/// Answers `/api/v1/targets`.
pub async fn targets(params: Params) -> ApiResult<TargetsJson> {
    let state = params.value("state").to_lowercase();
    let asks_for_dropped = matches!(state.as_str(), "" | "any" | "dropped");
    Ok(Success::of(TargetsJson {
        dropped_target_counts: asks_for_dropped.then(BTreeMap::new),
        ..TargetsJson::default()
    }))
}

/// Answers `/api/v1/targets/metadata`.
pub async fn target_metadata(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> ApiResult<[(); 0]> {
    let limit = params.value("limit");
    if !limit.is_empty() && atoi(limit).is_err() {
        return Err(ApiError::bad_data("limit must be a number"));
    }
    let selector = params.value("match_target");
    if !selector.is_empty() {
        promql::parse_selector(selector, &Functions, state.settings.query.features)
            .map_err(|cause| ApiError::invalid_parameter("match_target", cause))?;
    }
    Ok(Success::of([]))
}

/// No scrape pools.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScrapePoolsJson {
    scrape_pools: [(); 0],
}

/// Answers `/api/v1/scrape_pools`.
pub async fn scrape_pools() -> ApiResult<ScrapePoolsJson> {
    Ok(Success::of(ScrapePoolsJson::default()))
}

/// Answers `/api/v1/scrape_pools/config`.
pub async fn scrape_pool_config(params: Params) -> ApiError {
    match params.value("scrapePool") {
        "" => ApiError::bad_data("no scrapePool parameter provided"),
        pool => no_scrape_pool(pool),
    }
}

/// Answers `/api/v1/targets/relabel_steps`.
pub async fn relabel_steps(params: Params) -> ApiError {
    let pool = params.value("scrapePool");
    if pool.is_empty() {
        return ApiError::bad_data("no scrapePool parameter provided");
    }
    if params.value("labels").is_empty() {
        return ApiError::bad_data("no labels parameter provided");
    }
    no_scrape_pool(pool)
}

fn no_scrape_pool(pool: &str) -> ApiError {
    let pool = quote(pool);
    ApiError::bad_data(format!(
        "error retrieving scrape config: scrape pool {pool} not found"
    ))
}

/// Answers `/api/v1/notifications`.
pub async fn notifications() -> ApiResult<[(); 0]> {
    Ok(Success::of([]))
}

/// Answers `/api/v1/notifications/live` as a Prometheus with no room for another listener.
pub async fn no_live_notifications() -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
