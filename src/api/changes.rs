//! `/api/v1/changes`: somebody tells that something was changed (`POST`), or asks what was (`GET`).
//!
//! A change goes through the log to every engine, so that it is there after a restart and says
//! the same in a replay. The same one told again is no other.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::instant::{Instant, parse_time};
use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success};
use crate::api::state::ApiState;
use crate::api::worker::on_worker;
use crate::context::{ChangeJson, observed_changes};
use crate::model::labels::is_legacy_label_name;
use crate::model::{Change, DurationMs, Labels, TimestampMs};
use crate::series::Selection;

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The most labels.
const LABELS_MAX: usize = 32;
/// The longest kind, label and version, text, link, in bytes.
const KIND_BYTES_MAX: usize = 64;
const WORD_BYTES_MAX: usize = 1 << 10;
const TEXT_BYTES_MAX: usize = 4 << 10;
const LINK_BYTES_MAX: usize = 2 << 10;
/// How far ahead of the wall clock a change may be.
const AHEAD_MAX: DurationMs = DurationMs::from_seconds(600);
/// How far back metrics are looked at for versions.
const OBSERVED: DurationMs = DurationMs::from_seconds(30 * 24 * 3600);
/// So many are listed unless asked for otherwise.
const LISTED: usize = 100;

const FIELDS: [&str; 6] = ["kind", "labels", "version", "time", "text", "link"];

/// Answers `POST /api/v1/changes`.
pub async fn tell(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let body = body.map_err(|_| {
        ApiError::bad_data(format!(
            "the body is cut off or longer than {BODY_BYTES_MAX} bytes"
        ))
    })?;
    let now = state.settings.clock.now();
    let change = read(&body, now).map_err(ApiError::bad_data)?;
    let answer = Success::of(ChangeJson::of(&change)).to_json();
    state.backend.tell_change(change.clone()).await?;
    Ok(crate::api::response::json(axum::http::StatusCode::OK, answer).into_response())
}

/// Reads a change; an error says what is wrong and what to write.
fn read(body: &[u8], now: TimestampMs) -> Result<Change, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        format!("the body is no JSON: {error} (send {{\"kind\": \"deployment\", …}})")
    })?;
    let Value::Object(fields) = body else {
        return Err("the body must be a JSON object such as {\"kind\": \"deployment\"}".to_owned());
    };
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!(
            "unknown field {unknown:?}: a change has {}",
            FIELDS.join(", ")
        ));
    }
    let kind = text(&fields, "kind", KIND_BYTES_MAX)?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if kind.is_empty() || !kind.chars().all(is_word) {
        return Err(format!(
            "kind {kind:?} must be a word of letters, digits, _ and -, such as deployment or config"
        ));
    }
    let link = text(&fields, "link", LINK_BYTES_MAX)?;
    let has_scheme = link.starts_with("http://") || link.starts_with("https://");
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>`\\".contains(c);
    let is_url = has_scheme && link.chars().all(is_plain);
    if !link.is_empty() && !is_url {
        return Err(format!(
            "link {link:?} must be an http:// or https:// URL without blanks and quotes"
        ));
    }
    let labels = labels(&fields)?;
    Ok(Change {
        at: time(&fields, now)?,
        kind,
        labels,
        version: text(&fields, "version", WORD_BYTES_MAX)?,
        text: text(&fields, "text", TEXT_BYTES_MAX)?,
        link,
    })
}

fn text(fields: &Map<String, Value>, name: &str, bytes_max: usize) -> Result<String, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.len() > bytes_max => Err(format!(
            "{name} has {} bytes, more than {bytes_max}",
            text.len()
        )),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{name} must be a text")),
    }
}

fn labels(fields: &Map<String, Value>) -> Result<Labels, String> {
    let given = match fields.get("labels") {
        None | Some(Value::Null) => return Ok(Labels::empty()),
        Some(Value::Object(given)) => given,
        Some(_) => {
            return Err("labels must be an object of texts such as {\"job\": \"api\"}".to_owned());
        }
    };
    if given.len() > LABELS_MAX {
        return Err(format!("{} labels are more than {LABELS_MAX}", given.len()));
    }
    let mut pairs = Vec::new();
    for (name, value) in given {
        if !is_legacy_label_name(name) || name.starts_with("__") || name == "kind" {
            return Err(format!(
                "{name:?} cannot be a label of a change: letters, digits and _, not beginning with \
                 a digit or __, and not kind"
            ));
        }
        match value {
            Value::String(value) if value.len() > WORD_BYTES_MAX => {
                return Err(format!(
                    "label {name} is longer than {WORD_BYTES_MAX} bytes"
                ));
            }
            Value::String(value) => pairs.push((name.as_str(), value.as_str())),
            _ => return Err(format!("label {name} must be a text")),
        }
    }
    Ok(Labels::from_pairs(pairs))
}

fn time(fields: &Map<String, Value>, now: TimestampMs) -> Result<TimestampMs, String> {
    let text = match fields.get("time") {
        None | Some(Value::Null) => return Ok(now),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(seconds)) => seconds.to_string(),
        Some(_) => return Err("time must be RFC 3339 or seconds since 1970".to_owned()),
    };
    let at = parse_time(&text).map_err(|cause| format!("time: {cause}"))?;
    let at = at.of_query();
    if at > now + AHEAD_MAX {
        return Err(format!(
            "time {text} is more than {AHEAD_MAX} ahead of the server's clock: tell of a change \
             when it is made"
        ));
    }
    Ok(at)
}

/// A change in a list: whether somebody told of it, or metrics show it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    change: ChangeJson<'a>,
    source: &'static str,
}

/// Answers `GET /api/v1/changes`: the newest first.
pub async fn changes(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> ApiResult<serde_json::Value> {
    let (start, end) = (
        params.time_or("start", Instant::MIN)?.of_storage(),
        params.time_or("end", Instant::MAX)?.of_storage(),
    );
    let kind = params.value("kind").to_owned();
    let limit = params.limit()?.unwrap_or(LISTED);
    let answers = state.backend.context(None).await?;
    let info = answers.first().map(|answer| answer.info.clone());
    let info = info.unwrap_or_default();
    let until = answers.iter().filter_map(|answer| answer.at).max();
    let told = answers.into_iter().map(|answer| answer.changes);
    let told = told.max_by_key(|changes| changes.len()).unwrap_or_default();
    // Before the first sample there is nothing to observe.
    let span = until.map(|until| (until - OBSERVED, until));
    let mut selections = Vec::new();
    if let Some((after, until)) = span {
        selections.extend(info.iter().map(|info| Selection {
            matchers: info.matchers.clone(),
            after,
            until,
        }));
    }
    let snapshot = state.backend.snapshot(selections).await?;
    let listed = on_worker(move || {
        let observed = span.map(|span| observed_changes(&snapshot, &info, None, span).0);
        let mut all: Vec<(Change, &'static str)> = told
            .iter()
            .map(|change| (change.clone(), "told"))
            .chain(
                observed
                    .into_iter()
                    .flatten()
                    .map(|change| (change, "observed")),
            )
            .filter(|(change, _)| change.at >= start && change.at <= end)
            .filter(|(change, _)| kind.is_empty() || change.kind == kind)
            .collect();
        all.sort_by(|a, b| b.cmp(a));
        all.truncate(limit);
        let listed = all.iter().map(|(change, source)| Listed {
            change: ChangeJson::of(change),
            source,
        });
        serde_json::to_value(listed.collect::<Vec<_>>()).unwrap_or_default()
    })
    .await?;
    Ok(Success::of(listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_000_000_000);

    #[test]
    fn a_change_is_read() {
        let body = br#"{"kind": "deployment", "labels": {"job": "api", "x": ""},
            "version": "v3", "time": "1970-01-12T13:46:39Z", "text": "t", "link": "https://ci/3"}"#;
        let change = read(body, NOW).expect("valid");
        assert_eq!(change.at, TimestampMs(999_999_000));
        assert_eq!(change.labels, Labels::from_pairs([("job", "api")]));
        assert_eq!((&*change.version, &*change.link), ("v3", "https://ci/3"));
        let plain = read(br#"{"kind": "config", "time": 999999}"#, NOW).expect("valid");
        assert_eq!(plain.at, TimestampMs(999_999_000));
        assert_eq!(read(br#"{"kind": "config"}"#, NOW).expect("valid").at, NOW);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |body: &str, expected: &str| {
            let error = read(body.as_bytes(), NOW).expect_err(body);
            assert!(error.contains(expected), "{body}: {error}");
        };
        check("", "the body is no JSON");
        check("[]", "must be a JSON object");
        check("{}", "kind \"\" must be a word");
        check(r#"{"kind": "a b"}"#, "kind \"a b\" must be a word");
        check(r#"{"kind": 1}"#, "kind must be a text");
        check(
            r#"{"kind": "c", "service": "x"}"#,
            "unknown field \"service\"",
        );
        check(
            r#"{"kind": "c", "labels": ["x"]}"#,
            "labels must be an object",
        );
        check(
            r#"{"kind": "c", "labels": {"a-b": "x"}}"#,
            "\"a-b\" cannot be a label",
        );
        check(
            r#"{"kind": "c", "labels": {"__name__": "x"}}"#,
            "cannot be a label",
        );
        check(
            r#"{"kind": "c", "labels": {"a": 1}}"#,
            "label a must be a text",
        );
        check(
            r#"{"kind": "c", "link": "javascript:alert(1)"}"#,
            "must be an http://",
        );
        check(
            r#"{"kind": "c", "link": "http://a b"}"#,
            "must be an http://",
        );
        check(
            r#"{"kind": "c", "time": "yesterday"}"#,
            "time: cannot parse",
        );
        check(
            r#"{"kind": "c", "time": 1001000}"#,
            "ahead of the server's clock",
        );
        check(r#"{"kind": "c", "time": true}"#, "time must be RFC 3339");
        let long = "x".repeat(5_000);
        check(
            &format!(r#"{{"kind": "c", "text": "{long}"}}"#),
            "more than 4096",
        );
    }
}
