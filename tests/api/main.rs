//! The HTTP API over a backend made by hand: what a client of Prometheus would notice.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod backend;
mod detectors;
mod documented;
mod explain;
mod grafana;
mod management;
mod pages;
mod parameters;
mod query;
mod recorded;
mod recorded_state;
mod rules;
mod series;
mod status;

use serde_json::Value;

/// Sends a request to a fresh fake and compares status and JSON body.
async fn check(request: &str, status: u16, expected: Value) {
    check_at(&backend::serve(backend::fake()), request, status, expected).await;
}

/// Sends a request and compares status and JSON body.
async fn check_at(router: &axum::Router, request: &str, status: u16, expected: Value) {
    let answer = backend::send(router, request).await;
    assert_eq!(answer.status.as_u16(), status, "{request}: {}", answer.body);
    assert_eq!(
        answer.headers["content-type"], "application/json",
        "{request}"
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body, expected, "{request}");
}

/// Sends a request to a fresh fake and compares status and plain body.
async fn check_text(request: &str, status: u16, expected: &str) {
    let answer = backend::send(&backend::serve(backend::fake()), request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (status, expected),
        "{request}"
    );
}

/// Returns an error's envelope.
fn error(kind: &str, message: &str) -> Value {
    serde_json::json!({"status": "error", "errorType": kind, "error": message})
}

/// Returns an answer's envelope.
fn success(data: Value) -> Value {
    serde_json::json!({"status": "success", "data": data})
}

/// Sends a request to a fresh fake and returns the `data` at a JSON pointer.
async fn data(request: &str, pointer: &str) -> Value {
    let answer = backend::send(&backend::serve(backend::fake()), request).await;
    assert_eq!(answer.status.as_u16(), 200, "{request}: {}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let found = body["data"].pointer(pointer);
    found
        .unwrap_or_else(|| panic!("{pointer} in {body}"))
        .clone()
}
