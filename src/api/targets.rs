//! What Prometheus knows of scraping and exemplars, and we do not: empty lists, so that a
//! client made for Prometheus finds what it looks for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::response::{ApiResult, Success};

/// No targets.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetsJson {
    active_targets: [(); 0],
    dropped_targets: [(); 0],
    dropped_target_counts: BTreeMap<String, usize>,
}

/// Answers `/api/v1/targets`.
pub async fn targets() -> ApiResult<TargetsJson> {
    Ok(Success::of(TargetsJson::default()))
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

/// Answers `/api/v1/targets/metadata`, `/api/v1/query_exemplars` and `/api/v1/notifications`.
pub async fn none() -> ApiResult<[(); 0]> {
    Ok(Success::of([]))
}
