//! `GET /api/v1/alerts`: what is pending and firing, over all rules.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::json::{LabelsJson, PairsJson, TimeJson};
use crate::api::response::{ApiError, Success, json};
use crate::api::state::ApiState;
use crate::engine::status::AlertingStatus;
use crate::engine::{AlertState, AlertView};
use crate::model::float::format_exponent;

/// An alert as rules and alerts list it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertJson<'a> {
    labels: LabelsJson<'a>,
    annotations: PairsJson<'a>,
    state: &'static str,
    active_at: TimeJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<TimeJson>,
    value: String,
}

impl<'a> AlertJson<'a> {
    /// Shows an alert.
    pub fn of(alert: &'a AlertView) -> Self {
        AlertJson {
            labels: LabelsJson(&alert.labels),
            annotations: PairsJson(&alert.annotations),
            state: alert.state.name(),
            active_at: TimeJson(Some(alert.active_at)),
            keep_firing_since: alert.keep_firing_since.map(|at| TimeJson(Some(at))),
            value: format_exponent(alert.value),
        }
    }
}

/// Returns a rule's alerts without resolved ones.
pub fn active_alerts(alerting: &AlertingStatus) -> impl Iterator<Item = &AlertView> {
    let is_active = |alert: &&AlertView| alert.state >= AlertState::Pending;
    alerting.alerts.iter().filter(is_active)
}

#[derive(Serialize)]
struct AlertsJson<'a> {
    alerts: Vec<AlertJson<'a>>,
}

/// Answers `GET /api/v1/alerts`.
pub async fn alerts(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let groups = state.backend.groups().await?;
    let rules = groups.iter().flat_map(|group| &group.rules);
    let of_rules = rules.filter_map(|rule| rule.alerting.as_ref());
    let alerts = of_rules
        .flat_map(active_alerts)
        .map(AlertJson::of)
        .collect();
    let answer = Success::of(AlertsJson { alerts });
    Ok(json(StatusCode::OK, answer.to_json()))
}
