//! All routes in one list, and what is answered where there is none.

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::api::redirect::{cleaned, redirect};
use crate::api::response::error_text;
use crate::api::routes::{ROUTES, Wrapping};
use crate::api::state::{ApiSettings, ApiState};
use crate::api::{Backend, compress, cors, manage, metrics, routes, status};

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
        let to = |status: StatusCode, target: String| {
            move |method: Method| async move { redirect(&method, status, &target) }
        };
        Router::new()
            .route("/", get(to(StatusCode::FOUND, prefix.clone())))
            .route(
                &prefix,
                get(to(StatusCode::MOVED_PERMANENTLY, format!("{prefix}/"))),
            )
            .nest(&format!("{prefix}/"), routes)
    };
    routes.fallback(nowhere).with_state(state)
}

fn management() -> Router<Shared> {
    let commands = |command: MethodRouter<Shared>| {
        let methods = command.get(manage::post_or_put_only);
        refusing(methods, "GET, OPTIONS, POST, PUT")
    };
    let probe = |methods: MethodRouter<Shared>| methods.fallback(refuse("GET, HEAD, OPTIONS"));
    Router::new()
        .route("/version", refusing(get(status::version), "GET, OPTIONS"))
        .route("/metrics", get(metrics::metrics))
        .route(
            "/-/healthy",
            probe(get(manage::healthy).head(manage::is_healthy)),
        )
        .route("/-/ready", probe(get(manage::ready).head(manage::is_ready)))
        .route(
            "/-/reload",
            commands(post(manage::reload).put(manage::reload)),
        )
        .route("/-/quit", commands(post(manage::quit).put(manage::quit)))
}

fn api(state: &Shared) -> Router<Shared> {
    let mut router = Router::new();
    for route in &ROUTES {
        let methods = (route.handler)();
        let methods = match route.wrapping {
            Wrapping::Whole => methods
                .layer(from_fn_with_state(Arc::clone(state), cors::allow_origins))
                .layer(axum::middleware::from_fn(compress::compress))
                .layer(from_fn_with_state(Arc::clone(state), manage::require_ready)),
            Wrapping::OriginsOnly => {
                methods.layer(from_fn_with_state(Arc::clone(state), cors::allow_origins))
            }
        };
        let methods = refusing(methods, route.methods.allow()).options(answer_options);
        router = router.route(route.path, methods);
    }
    router.fallback(nowhere)
}

/// Refuses all other methods, `HEAD` too, which Prometheus knows nothing of.
fn refusing(methods: MethodRouter<Shared>, allow: &'static str) -> MethodRouter<Shared> {
    methods.head(refuse(allow)).fallback(refuse(allow))
}

fn refuse(
    allow: &'static str,
) -> impl Fn(Method) -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    move |method| {
        let mut response = if method == Method::OPTIONS {
            StatusCode::OK.into_response()
        } else {
            error_text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
        };
        let allow = HeaderValue::from_static(allow);
        response.headers_mut().insert(header::ALLOW, allow);
        std::future::ready(response)
    }
}

/// `OPTIONS` is answered everywhere below the API, for what exists and what does not.
async fn answer_options(State(state): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(refusal) = manage::refusal_until_ready(&*state.backend) {
        return refusal;
    }
    let encoding = compress::Encoding::of(&headers);
    let mut response = StatusCode::NO_CONTENT.into_response();
    compress::announce(response.headers_mut(), encoding);
    cors::allow(&state, &headers, response.headers_mut());
    response
}

/// Answers where there is no route: by a redirect when only the spelling of the path is wrong.
async fn nowhere(
    State(state): State<Shared>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let method = request.method();
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let path = uri.path();
    let clean = cleaned(path);
    if clean != path {
        let target = format!("{clean}{query}");
        return redirect(method, StatusCode::MOVED_PERMANENTLY, &target);
    }
    let base = format!("{}/api/v1", state.settings.route_prefix);
    if path == base {
        let target = format!("{base}/{query}");
        return redirect(method, StatusCode::MOVED_PERMANENTLY, &target);
    }
    let below = path.strip_prefix(&base).unwrap_or("");
    if *method == Method::OPTIONS && below.starts_with('/') {
        return answer_options(State(state), request.headers().clone()).await;
    }
    if let Some(route) = routes::respelled(below, method) {
        // Prometheus' own redirect loses what stands before the route; ours leads there.
        let target = format!("{base}{route}{query}");
        let status = if *method == Method::GET {
            StatusCode::MOVED_PERMANENTLY
        } else {
            StatusCode::TEMPORARY_REDIRECT
        };
        return redirect(method, status, &target);
    }
    if let Some(refusal) = manage::refusal_until_ready(&*state.backend) {
        return refusal;
    }
    let without_slash = path.strip_suffix('/').unwrap_or(path);
    if path.len() > 1 && is_management(&state, without_slash) {
        let target = format!("{without_slash}{query}");
        return redirect(method, StatusCode::MOVED_PERMANENTLY, &target);
    }
    error_text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn is_management(state: &ApiState, path: &str) -> bool {
    let below = path.strip_prefix(&state.settings.route_prefix);
    matches!(
        below,
        Some("/-/healthy" | "/-/ready" | "/-/reload" | "/-/quit" | "/version" | "/metrics")
    )
}
