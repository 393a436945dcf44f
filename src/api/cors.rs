//! Cross-origin calls, as Prometheus allows them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::state::ApiState;

/// Adds the headers to the answers of what lies below.
pub async fn allow_origins(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().clone();
    let mut response = next.run(request).await;
    allow(&state, &origin, response.headers_mut());
    response
}

/// Adds the headers that a request's origin asks for.
pub fn allow(state: &ApiState, request: &HeaderMap, headers: &mut HeaderMap) {
    let constant = HeaderValue::from_static;
    headers.append(header::VARY, constant("Origin"));
    let Some(origin) = request
        .get(header::ORIGIN)
        .filter(|origin| !origin.is_empty())
    else {
        return;
    };
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        constant("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        constant("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, constant("Date"));
    let is_allowed = match &state.settings.cors_origin {
        None => true,
        Some(regex) => origin.to_str().is_ok_and(|text| regex.is_match(text)),
    };
    if is_allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// Compiles `--web.cors.origin`, which an origin has to match as a whole.
pub fn cors_origin(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!("^(?s:{pattern})$"))
}
