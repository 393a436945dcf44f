//! `series`, `labels`, `label/<name>/values`: what there is, for query editors.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::api::instant::Instant;
use crate::api::json::LabelsJson;
use crate::api::params::Params;
use crate::api::redirect::{cleaned, redirect};
use crate::api::response::{ApiError, Success, error_text, json};
use crate::api::state::ApiState;
use crate::api::worker::on_worker;
use crate::model::Labels;
use crate::model::labels::quote;

/// How many digits the code of a character may have in an escaped name; Prometheus' limit.
const CODE_DIGITS_MAX: usize = 5;

/// Answers `/api/v1/series`.
pub async fn series(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    params.check_form()?;
    if params.values("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let wrong_matcher = |cause| ApiError::invalid_parameter("match[]", cause);
    let found = select(&state, &params, wrong_matcher).await?;
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
    let found = select(&state, &params, ApiError::bad_data).await?;
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
    OriginalUri(uri): OriginalUri,
    params: Params,
) -> Result<Response, ApiError> {
    let name: Vec<u8> = percent_decode_str(name_in(uri.path())).collect();
    if name.is_empty() {
        let target = cleaned(uri.path());
        return Ok(redirect(
            &Method::GET,
            StatusCode::MOVED_PERMANENTLY,
            &target,
        ));
    }
    if name.contains(&b'/') {
        return Ok(error_text(StatusCode::NOT_FOUND, "404 page not found\n"));
    }
    let name = match String::from_utf8(name) {
        Ok(name) => unescaped(&name),
        Err(error) => return Err(invalid_name(&quoted_bytes(error.as_bytes()))),
    };
    if name.is_empty() {
        return Err(invalid_name(&quote(&name)));
    }
    let limit = params.limit()?;
    let found = select(&state, &params, ApiError::bad_data).await?;
    let list = move || {
        let values = found.0.iter().filter_map(|labels| labels.get(&name));
        let values: BTreeSet<&str> = values.collect();
        limited(values.into_iter().collect(), limit)
    };
    on_worker(list).await
}

fn invalid_name(quoted: &str) -> ApiError {
    ApiError::bad_data(format!("invalid label name: {quoted}"))
}

/// Returns the name in `…/label/<name>/values`, still escaped.
fn name_in(path: &str) -> &str {
    let mut parts = path.rsplit('/');
    parts.next();
    parts.next().unwrap_or("")
}

/// Quotes bytes that are no UTF-8 as Go does: those that are wrong as `\xff`.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        let quoted = quote(chunk.valid());
        text.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    format!("\"{text}\"")
}

/// Series as shards told of them: one after the other, and two may know the same series.
struct Found(Vec<Labels>);

impl Found {
    fn set(&self) -> BTreeSet<&Labels> {
        self.0.iter().collect()
    }
}

async fn select(
    state: &ApiState,
    params: &Params,
    wrong_matcher: impl Fn(String) -> ApiError,
) -> Result<Found, ApiError> {
    let from = params.time_or("start", Instant::MIN)?.of_storage();
    let until = params.time_or("end", Instant::MAX)?.of_storage();
    let matcher_sets = params
        .matcher_sets(state.settings.query.features)
        .map_err(wrong_matcher)?;
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
    let escaped = name.strip_prefix("U__");
    escaped.and_then(decoded).unwrap_or_else(|| name.to_owned())
}

fn decoded(escaped: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        let (code, behind) = rest[at + 1..].split_once('_')?;
        let is_code =
            code.len() <= CODE_DIGITS_MAX && code.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.push(match code {
            "" => '_',
            code if is_code => char::from_u32(u32::from_str_radix(code, 16).ok()?)?,
            _ => return None,
        });
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
        check("U__a__b_1f525_", "a_b🔥");
        check("U__broken_2e", "U__broken_2e");
        check("U__a_2E_b", "a.b");
        check("U__too_long_010000_", "U__too_long_010000_");
        check("U__broken_xyz_", "U__broken_xyz_");
    }
}
