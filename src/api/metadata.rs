//! `GET /api/v1/metadata`: type, help and unit of metrics, as senders gave them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success};
use crate::api::state::ApiState;
use crate::api::strconv::atoi;

/// What is known of one metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MetadataJson {
    r#type: String,
    help: String,
    unit: String,
}

/// Answers `/api/v1/metadata`.
pub async fn metadata(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> ApiResult<BTreeMap<String, Vec<MetadataJson>>> {
    // Here, unlike elsewhere in the API, a limit of 0 lets nothing through.
    let limit = number(&params, "limit")?;
    let per_metric = number(&params, "limit_per_metric")?.filter(|limit| *limit > 0);
    let metric = Some(params.value("metric")).filter(|metric| !metric.is_empty());
    let mut by_metric: BTreeMap<String, Vec<MetadataJson>> = BTreeMap::new();
    for found in state.backend.metadata(metric) {
        let is_new = !by_metric.contains_key(&found.metric);
        if is_new && limit.is_some_and(|limit| by_metric.len() >= limit) {
            continue;
        }
        let known = by_metric.entry(found.metric).or_default();
        let entry = MetadataJson {
            r#type: found.kind,
            help: found.help,
            unit: found.unit,
        };
        if per_metric.is_none_or(|limit| known.len() < limit) && !known.contains(&entry) {
            known.push(entry);
        }
    }
    Ok(Success::of(by_metric))
}

/// Reads a number; a negative one is no limit.
fn number(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.value(name) {
        "" => Ok(None),
        text => match atoi(text) {
            Ok(number) => Ok(usize::try_from(number).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}
