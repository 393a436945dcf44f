//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, in Prometheus' words; and the door that
//! stays shut until the server is ready.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::response::text;
use crate::api::state::ApiState;
use crate::api::{Backend, Readiness};

/// Answers `/-/healthy`: whoever can answer is healthy.
pub async fn healthy() -> Response {
    text(StatusCode::OK, "burnwatch is Healthy.\n")
}

/// Answers `HEAD /-/healthy`.
pub async fn is_healthy() -> StatusCode {
    StatusCode::OK
}

/// Answers `HEAD /-/ready`.
pub async fn is_ready(State(state): State<Arc<ApiState>>) -> Response {
    match state.backend.readiness() {
        Readiness::Ready => StatusCode::OK.into_response(),
        other => unavailable(&other),
    }
}

/// Answers `GET /-/ready`: ready is who can be relied upon, so a log that takes nothing is a
/// reason not to be, though questions are answered.
pub async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    match state.backend.readiness() {
        Readiness::Ready => text(StatusCode::OK, "burnwatch is Ready.\n"),
        other => unavailable(&other),
    }
}

/// Answers for every handler that needs the engines until they are ready.
pub async fn require_ready(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    match refusal_until_ready(&*state.backend) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// Returns what is answered until the server is ready.
pub fn refusal_until_ready(backend: &dyn Backend) -> Option<Response> {
    let readiness = backend.readiness();
    (!readiness.answers()).then(|| unavailable(&readiness))
}

fn unavailable(readiness: &Readiness) -> Response {
    let stopping = match readiness {
        Readiness::Stopping => "true",
        _ => "false",
    };
    let body = format!("Service Unavailable: {readiness}\n");
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, body);
    let headers = response.headers_mut();
    headers.insert("x-prometheus-stopping", HeaderValue::from_static(stopping));
    response
}

/// Answers `POST` and `PUT /-/reload`.
pub async fn reload(State(state): State<Arc<ApiState>>) -> Response {
    if !state.settings.lifecycle {
        return not_enabled();
    }
    match state.backend.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(cause) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to reload config: {cause}\n"),
        ),
    }
}

/// Answers `POST` and `PUT /-/quit`.
pub async fn quit(State(state): State<Arc<ApiState>>) -> Response {
    if !state.settings.lifecycle {
        return not_enabled();
    }
    if state.backend.is_stopping() {
        return text(StatusCode::OK, "Termination already in progress.");
    }
    state.backend.quit();
    text(StatusCode::OK, "Requesting termination... Goodbye!")
}

/// Answers what only `--web.enable-lifecycle` allows.
pub fn not_enabled() -> Response {
    text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.")
}

/// Answers `GET` on what only `POST` and `PUT` do.
pub async fn post_or_put_only() -> Response {
    text(
        StatusCode::METHOD_NOT_ALLOWED,
        "Only POST or PUT requests allowed",
    )
}
