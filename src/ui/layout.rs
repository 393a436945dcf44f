//! The frame around every page: head, links, foot, and what browsers may do with it.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::ApiState;
use crate::ui::html::Text;

const STYLE: &str = include_str!("style.css");
/// Nothing but what stands in the page itself: a label that slips through runs no script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'self'";
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 \
                    16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23e0562b'/%3E%3C/svg%3E";
const DOCUMENTATION: &str = "https://prometheus.io/docs/prometheus/latest/querying/basics/";

/// Wraps `body`, which is HTML, into a page; `refresh_seconds` has the browser load it anew.
pub fn page(state: &ApiState, title: &str, refresh_seconds: Option<u32>, body: &str) -> Response {
    let root = Text(&state.settings.external_path);
    let title = Text(title);
    let version = Text(&state.settings.build.version);
    let refresh = refresh_seconds.map_or_else(String::new, |seconds| {
        format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">")
    });
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{refresh}\
         <title>{title} · burnwatch</title><link rel=\"icon\" href=\"{ICON}\">\
         <style>{STYLE}</style></head><body>\
         <header><b><a href=\"{root}/\">burnwatch</a></b><nav>\
         <a href=\"{root}/#alerts\">Alerts</a><a href=\"{root}/#rules\">Rules</a>\
         <a href=\"{root}/#receiving\">Receiving</a><a href=\"{root}/graph\">Query</a>\
         <a href=\"{root}/metrics\">Metrics</a><a href=\"{root}/api/v1/rules\">API</a>\
         <a href=\"{root}/api/v1/status/config\">Configuration</a>\
         <a href=\"{DOCUMENTATION}\" rel=\"noreferrer\">PromQL</a></nav></header>\
         <main>{body}</main><footer>burnwatch {version}</footer></body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let headers =
        headers.map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)));
    (StatusCode::OK, headers, html).into_response()
}
