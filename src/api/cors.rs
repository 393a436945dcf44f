//! Cross-origin calls, as Prometheus allows them, and the answer to `OPTIONS`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::state::ApiState;

/// Adds the headers to every answer under `/api/v1`; `OPTIONS` has nothing else to say.
pub async fn allow_origins(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        allow(headers, origin, state.settings.cors_origin.as_ref());
    }
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, allowed: Option<&regex::Regex>) {
    let constant = HeaderValue::from_static;
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        constant("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        constant("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, constant("Date"));
    let allow_origin = match allowed {
        None => Some(constant("*")),
        Some(regex) if origin.to_str().is_ok_and(|text| regex.is_match(text)) => Some(origin),
        Some(_) => None,
    };
    if let Some(value) = allow_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    }
}
