//! `series`, `labels`, `label/<name>/values`: what there is, for query editors.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::params::Params;
use crate::api::response::{ApiError, LabelsJson, Success, json};
use crate::api::state::ApiState;
use crate::api::worker::on_worker;
use crate::model::labels::quote;
use crate::model::{Labels, TimestampMs};

/// Answers `/api/v1/series`.
pub async fn series(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    if params.values("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let found = select(&state, &params).await?;
    on_worker(move || {
        limited(
            found
                .set()
                .iter()
                .map(|labels| LabelsJson(labels))
                .collect(),
            limit,
        )
    })
    .await
}

/// Answers `/api/v1/labels`.
pub async fn labels(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let found = select(&state, &params).await?;
    let list = move || {
        let names = found.0.iter().flat_map(Labels::iter).map(|(name, _)| name);
        let names: BTreeSet<&str> = names.collect();
        limited(names.into_iter().collect(), limit)
    };
    on_worker(list).await
}

/// Answers `/api/v1/label/<name>/values`.
pub async fn label_values(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescaped(&name);
    if name.is_empty() {
        let message = format!("invalid label name: {}", quote(&name));
        return Err(ApiError::bad_data(message));
    }
    let limit = params.limit()?;
    let found = select(&state, &params).await?;
    let list = move || {
        let values = found.0.iter().filter_map(|labels| labels.get(&name));
        let values: BTreeSet<&str> = values.collect();
        limited(values.into_iter().collect(), limit)
    };
    on_worker(list).await
}

/// Series as shards told of them: one after the other, and two may know the same series.
struct Found(Vec<Labels>);

impl Found {
    fn set(&self) -> BTreeSet<&Labels> {
        self.0.iter().collect()
    }
}

async fn select(state: &ApiState, params: &Params) -> Result<Found, ApiError> {
    let from = params.time_or("start", TimestampMs::MIN)?;
    let until = params.time_or("end", TimestampMs::MAX)?;
    let matcher_sets = params
        .matcher_sets(state.settings.query.features)
        .map_err(|cause| ApiError::invalid_parameter("match[]", cause))?;
    let found = state.backend.series(matcher_sets, from, until).await?;
    Ok(Found(found))
}

fn limited<T: Serialize>(mut found: Vec<T>, limit: Option<usize>) -> Response {
    let is_truncated = limit.is_some_and(|limit| found.len() > limit);
    found.truncate(limit.unwrap_or(usize::MAX));
    let mut answer = Success::of(found);
    if is_truncated {
        let warning = "results truncated due to limit".to_owned();
        answer.warnings.push(warning);
    }
    json(StatusCode::OK, answer.to_json())
}

/// Undoes Prometheus' escaping of names in paths: `U__` in front, then `__` for `_` and
/// `_<hex>_` for other characters. What is not such a text is returned as it is.
fn unescaped(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    decoded(escaped).unwrap_or_else(|| name.to_owned())
}

fn decoded(escaped: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        let (code, behind) = rest[at + 1..].split_once('_')?;
        let decoded = match code {
            "" => '_',
            code => char::from_u32(u32::from_str_radix(code, 16).ok()?)?,
        };
        plain.push(decoded);
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_unescaped() {
        let check = |name: &str, expected: &str| assert_eq!(unescaped(name), expected, "{name}");
        check("job", "job");
        check("U__http_2e_status", "http.status");
        check("U__a__b_1F525_", "a_b🔥");
        check("U__broken_2e", "U__broken_2e");
        check("U__broken_xyz_", "U__broken_xyz_");
    }
}
