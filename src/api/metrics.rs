//! `GET /metrics`: our own metrics, and the count of every request by handler and code.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::rule_metrics::write_rule_metrics;
use crate::api::state::ApiState;
use crate::api::{Backend, Readiness};
use crate::clock::Stopwatch;
use crate::telemetry::exposition::{self, write_family, write_sample};

/// Answers `/metrics`, in OpenMetrics where the client takes it, else in Prometheus' own format.
pub async fn metrics(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let mut text = state.backend.metrics_text();
    write_server_metrics(&mut text, &*state.backend);
    // Without an answer from the engines, which are then stopping, the rest still counts.
    if let Ok(groups) = state.backend.groups().await {
        write_rule_metrics(&mut text, &groups);
    }
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok()).unwrap_or("");
    let (content_type, body) = if accepted.contains("application/openmetrics-text") {
        (exposition::OPENMETRICS_TYPE, exposition::openmetrics(&text))
    } else {
        (exposition::TEXT_TYPE, exposition::text_format(&text))
    };
    let content_type = HeaderValue::from_static(content_type);
    (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Writes what stock alerts ask of a Prometheus: whether it is ready and ingests.
fn write_server_metrics(text: &mut String, backend: &dyn Backend) {
    let receive = backend.receive_view();
    let name = "prometheus_ready";
    let help = "Whether startup was fully completed and the server is ready.";
    write_family(text, name, "gauge", help);
    let readiness = backend.readiness();
    let is_ready = readiness == Readiness::Ready;
    write_sample(text, name, &[], f64::from(u8::from(is_ready)));
    let name = "burnwatch_not_ready";
    write_family(text, name, "gauge", "Why /-/ready says no, by reason.");
    for reason in Readiness::REASONS {
        let holds = readiness.reason() == Some(reason);
        write_sample(
            text,
            name,
            &[("reason", reason)],
            f64::from(u8::from(holds)),
        );
    }
    let name = "prometheus_tsdb_head_series";
    write_family(text, name, "gauge", "Number of series that rules read.");
    write_sample(text, name, &[], receive.series_read as f64);
    let name = "prometheus_tsdb_head_samples_appended";
    write_family(text, name, "counter", "Number of samples accepted.");
    // Histograms are counted among the floats: the alerts sum over the type.
    let labels = [("type", "float")];
    let name = "prometheus_tsdb_head_samples_appended_total";
    write_sample(text, name, &labels, receive.samples_total as f64);
}

/// Counts and times a request under the pattern of its route.
pub async fn measure(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let handler = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| handler_name(path.as_str(), &state.settings.route_prefix));
    let stopwatch = Stopwatch::start();
    let response = next.run(request).await;
    // What no route matches is not counted: paths are the client's, and would be without end.
    if let Some(handler) = handler {
        let bytes = response.body().size_hint().exact();
        let code = response.status().as_u16();
        let metrics = &state.settings.telemetry.http;
        metrics.observe(&handler, code, stopwatch.seconds(), bytes);
    }
    response
}

/// Turns `/prefix/api/v1/label/{name}/values` into `/api/v1/label/:name/values`.
fn handler_name(pattern: &str, route_prefix: &str) -> String {
    let path = pattern.strip_prefix(route_prefix).unwrap_or(pattern);
    path.replace('{', ":").replace('}', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_named_as_in_prometheus() {
        let check = |pattern: &str, prefix: &str, expected: &str| {
            assert_eq!(handler_name(pattern, prefix), expected);
        };
        check(
            "/api/v1/label/{name}/values",
            "",
            "/api/v1/label/:name/values",
        );
        check("/bw/-/ready", "/bw", "/-/ready");
    }
}
