//! All routes in one list.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{Redirect, Response};
use axum::routing::{MethodRouter, get, post};

use crate::api::state::{ApiSettings, ApiState};
use crate::api::{
    Backend, alertmanagers, alerts, cors, explain, format_query, manage, metadata, metrics, query,
    query_range, response, rules, series, status, targets,
};

type Shared = Arc<ApiState>;

/// Builds the router of the API, the management endpoints and `/metrics`. `more` is what else
/// is to be served under the route prefix and counted: the pages, the receiver.
pub fn router(backend: Arc<dyn Backend>, settings: ApiSettings, more: Router<Shared>) -> Router {
    let prefix = settings.route_prefix.clone();
    let state = Arc::new(ApiState::new(backend, settings));
    let routes = management()
        .merge(more)
        .nest("/api/v1", api(&state))
        .route_layer(from_fn_with_state(Arc::clone(&state), metrics::measure));
    let routes = if prefix.is_empty() {
        routes
    } else {
        let home = format!("{prefix}/");
        let to_home = move || async move { Redirect::to(&home) };
        Router::new()
            .route("/", get(to_home.clone()))
            .route(&prefix, get(to_home))
            .nest(&format!("{prefix}/"), routes)
    };
    routes.fallback(not_found).with_state(state)
}

fn management() -> Router<Shared> {
    let commands = |command: MethodRouter<Shared>| command.get(manage::post_or_put_only);
    Router::new()
        .route("/version", get(status::version))
        .route("/metrics", get(metrics::metrics))
        .route("/-/healthy", get(manage::healthy))
        .route("/-/ready", get(manage::ready))
        .route(
            "/-/reload",
            commands(post(manage::reload).put(manage::reload)),
        )
        .route("/-/quit", commands(post(manage::quit).put(manage::quit)))
}

fn api(state: &Shared) -> Router<Shared> {
    let shut_until_ready = from_fn_with_state(Arc::clone(state), manage::require_ready);
    let with_cors = from_fn_with_state(Arc::clone(state), cors::allow_origins);
    queries()
        .merge(lists())
        .fallback(not_found)
        .layer(shut_until_ready)
        .route("/status/walreplay", get(status::log_replay))
        .layer(with_cors)
}

fn queries() -> Router<Shared> {
    Router::new()
        .route("/query", get(query::query).post(query::query))
        .route(
            "/query_range",
            get(query_range::query_range).post(query_range::query_range),
        )
        .route(
            "/format_query",
            get(format_query::format_query).post(format_query::format_query),
        )
        .route("/explain", get(explain::answer).post(explain::answer))
        .route("/query_exemplars", get(targets::none).post(targets::none))
        .route("/series", get(series::series).post(series::series))
        .route("/labels", get(series::labels).post(series::labels))
        .route("/label/{name}/values", get(series::label_values))
        .route("/metadata", get(metadata::metadata))
}

fn lists() -> Router<Shared> {
    Router::new()
        .route("/rules", get(rules::rules))
        .route("/alerts", get(alerts::alerts))
        .route("/alertmanagers", get(alertmanagers::alertmanagers))
        .route("/targets", get(targets::targets))
        .route("/targets/metadata", get(targets::none))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/notifications", get(targets::none))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/tsdb", get(status::tsdb))
}

async fn not_found() -> Response {
    response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
