//! Pages for people, written by the server: no scripts, no assets, one request each.
//!
//! What lives here: HTML. What may not: anything the API does not know as well.

mod graph;
mod html;
mod layout;
mod overview;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::api::ApiState;

/// Returns the pages' routes, for [`crate::api::router`].
pub fn routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/rules", get(overview::to_rules))
        .route("/alerts", get(overview::to_alerts))
        .route("/graph", get(graph::page))
        .route("/query", get(graph::page))
}
