//! `GET /api/v1/alertmanagers`: where alerts are sent.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::api::response::{ApiResult, Success};
use crate::api::state::ApiState;

/// The Alertmanagers by whether relabelling kept them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagersJson {
    active_alertmanagers: Vec<AlertmanagerJson>,
    dropped_alertmanagers: Vec<AlertmanagerJson>,
}

/// One Alertmanager.
#[derive(Debug, Serialize)]
pub struct AlertmanagerJson {
    url: String,
}

/// Answers `/api/v1/alertmanagers`.
pub async fn alertmanagers(State(state): State<Arc<ApiState>>) -> ApiResult<AlertmanagersJson> {
    let (dropped, active): (Vec<_>, Vec<_>) = state
        .backend
        .alertmanagers()
        .into_iter()
        .partition(|alertmanager| alertmanager.dropped);
    let shown = |list: Vec<crate::api::AlertmanagerView>| {
        let shown = list
            .into_iter()
            .map(|found| AlertmanagerJson { url: found.url });
        shown.collect()
    };
    Ok(Success::of(AlertmanagersJson {
        active_alertmanagers: shown(active),
        dropped_alertmanagers: shown(dropped),
    }))
}
