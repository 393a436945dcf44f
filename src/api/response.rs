//! The envelope of `/api/v1`: `status`, `data`, `errorType`, `error`, `warnings`, `infos`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::BackendError;
use crate::api::json::to_json;

/// Prometheus lists at most this many warnings and this many infos; the rest is one line.
const ANNOTATIONS_MAX: usize = 10;

/// Prometheus' kinds of errors; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong.
    BadData,
    /// The data do not allow the evaluation.
    Execution,
    /// The client went away.
    Canceled,
    /// It took too long.
    Timeout,
    /// Our own fault.
    Internal,
    /// There is no such thing.
    NotFound,
    /// Not now.
    Unavailable,
}

impl ErrorKind {
    /// Returns the `errorType` and the HTTP status.
    fn name_and_status(self) -> (&'static str, u16) {
        match self {
            ErrorKind::BadData => ("bad_data", 400),
            ErrorKind::Execution => ("execution", 422),
            ErrorKind::Canceled => ("canceled", 499),
            ErrorKind::Timeout => ("timeout", 503),
            ErrorKind::Internal => ("internal", 500),
            ErrorKind::NotFound => ("not_found", 404),
            ErrorKind::Unavailable => ("unavailable", 500),
        }
    }
}

/// An answer that says what went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind, which decides the status.
    pub kind: ErrorKind,
    /// What went wrong, as the client reads it.
    pub message: String,
}

impl ApiError {
    /// Builds an error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ApiError {
            kind,
            message: message.into(),
        }
    }

    /// Builds a 400.
    pub fn bad_data(message: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::BadData, message)
    }

    /// Builds the 400 of a wrong parameter: `invalid parameter "<name>": <cause>`.
    pub fn invalid_parameter(name: &str, cause: impl std::fmt::Display) -> Self {
        ApiError::bad_data(format!("invalid parameter \"{name}\": {cause}"))
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        let kind = match error {
            BackendError::Stopping => ErrorKind::Unavailable,
            // 503: whoever tells of something is to come again.
            BackendError::Unwritable(_) => ErrorKind::Timeout,
        };
        ApiError::new(kind, error.to_string())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorEnvelope<'a> {
    status: &'static str,
    error_type: &'static str,
    error: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (error_type, status) = self.kind.name_and_status();
        let envelope = ErrorEnvelope {
            status: "error",
            error_type,
            error: &self.message,
        };
        let status = StatusCode::from_u16(status).expect("a constant between 100 and 999");
        json(status, to_json(&envelope))
    }
}

/// An answer with data.
#[derive(Clone, Debug)]
pub struct Success<T> {
    /// The `data`.
    pub data: T,
    /// What the client should know about the data.
    pub warnings: Vec<String>,
    /// What the client may want to know about the data.
    pub infos: Vec<String>,
}

impl<T> Success<T> {
    /// Builds an answer without warnings.
    pub fn of(data: T) -> Self {
        Success {
            data,
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }
}

#[derive(Serialize)]
struct SuccessEnvelope<'a, T> {
    status: &'static str,
    data: &'a T,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    infos: &'a [String],
}

impl<T: Serialize> Success<T> {
    /// Writes the body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(&SuccessEnvelope {
            status: "success",
            data: &self.data,
            warnings: &shortened(&self.warnings, "warning"),
            infos: &shortened(&self.infos, "info"),
        })
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, self.to_json())
    }
}

/// What a handler of `/api/v1` returns.
pub type ApiResult<T> = Result<Success<T>, ApiError>;

fn shortened(annotations: &[String], kind: &str) -> Vec<String> {
    let mut lines: Vec<String> = annotations.iter().take(ANNOTATIONS_MAX).cloned().collect();
    let omitted = annotations.len() - lines.len();
    if omitted > 0 {
        lines.push(format!("{omitted} more {kind} annotations omitted"));
    }
    lines
}

/// Wraps a finished JSON body.
pub fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    (
        status,
        [(header::CONTENT_TYPE, content_type)],
        Body::from(body),
    )
        .into_response()
}

/// Wraps a plain text.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, body.into()).into_response()
}

/// Wraps a plain text as Go's `http.Error` does: browsers are not to guess what it is.
pub fn error_text(status: StatusCode, body: &'static str) -> Response {
    let options = HeaderValue::from_static("nosniff");
    (status, [(header::X_CONTENT_TYPE_OPTIONS, options)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_warning_becomes_a_count() {
        let mut answer = Success::of(());
        answer.infos = (0..12).map(|n| format!("info {n}")).collect();
        let body = String::from_utf8(answer.to_json()).unwrap();
        assert!(
            body.ends_with(r#""info 9","2 more info annotations omitted"]}"#),
            "{body}"
        );
        assert!(!body.contains("warnings"), "{body}");
    }

    #[test]
    fn errors_have_prometheus_statuses() {
        let check = |kind: ErrorKind, expected: u16| {
            let response = ApiError::new(kind, "x").into_response();
            assert_eq!(response.status().as_u16(), expected, "{kind:?}");
        };
        check(ErrorKind::BadData, 400);
        check(ErrorKind::Execution, 422);
        check(ErrorKind::Canceled, 499);
        check(ErrorKind::Timeout, 503);
        check(ErrorKind::Internal, 500);
        check(ErrorKind::NotFound, 404);
        check(ErrorKind::Unavailable, 500);
    }
}
