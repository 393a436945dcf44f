//! The routes of `/api/v1`, with the methods that each takes.

use std::sync::Arc;

use axum::http::Method;
use axum::routing::{MethodRouter, get, post};

use crate::api::redirect::cleaned;
use crate::api::state::ApiState;
use crate::api::{
    admin, alertmanagers, alerts, changes, context, detectors, explain, features, metadata,
    parse_query, query, query_range, rules, series, status, targets,
};

type Shared = Arc<ApiState>;

/// Which methods a route takes, besides `OPTIONS`, which is answered everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Looks only.
    Get,
    /// Looks only, with parameters that may be long.
    GetPost,
    /// Changes something.
    PostPut,
    /// `GET` looks, `POST` tells something.
    GetTell,
}

impl Methods {
    /// Returns them as the header `Allow` lists them.
    pub fn allow(self) -> &'static str {
        match self {
            Methods::Get => "GET, OPTIONS",
            Methods::GetPost => "GET, OPTIONS, POST",
            Methods::PostPut => "OPTIONS, POST, PUT",
            Methods::GetTell => "GET, OPTIONS, POST",
        }
    }

    fn take(self, method: &Method) -> bool {
        self.allow().split(", ").any(|name| name == method.as_str())
    }
}

/// What lies around a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Readiness, compression, origins.
    Whole,
    /// Origins alone: answered before ready, too.
    OriginsOnly,
}

/// One route.
pub struct Route {
    /// The path below `/api/v1`.
    pub path: &'static str,
    /// Which methods it takes.
    pub methods: Methods,
    /// What lies around it.
    pub wrapping: Wrapping,
    /// Returns its handlers.
    pub handler: fn() -> MethodRouter<Shared>,
}

const fn look(path: &'static str, handler: fn() -> MethodRouter<Shared>) -> Route {
    Route {
        path,
        methods: Methods::Get,
        wrapping: Wrapping::Whole,
        handler,
    }
}

const fn look_or_post(path: &'static str, handler: fn() -> MethodRouter<Shared>) -> Route {
    Route {
        methods: Methods::GetPost,
        ..look(path, handler)
    }
}

const fn look_early(path: &'static str, handler: fn() -> MethodRouter<Shared>) -> Route {
    Route {
        wrapping: Wrapping::OriginsOnly,
        ..look(path, handler)
    }
}

const fn change(path: &'static str, handler: fn() -> MethodRouter<Shared>) -> Route {
    Route {
        methods: Methods::PostPut,
        ..look(path, handler)
    }
}

/// All routes but the receiver's.
pub const ROUTES: [Route; 36] = [
    look_or_post("/query", || get(query::query).post(query::query)),
    look_or_post("/query_range", || {
        get(query_range::query_range).post(query_range::query_range)
    }),
    look_or_post("/query_exemplars", || {
        get(query::exemplars).post(query::exemplars)
    }),
    look_or_post("/format_query", || {
        get(parse_query::format_query).post(parse_query::format_query)
    }),
    look_or_post("/parse_query", || {
        get(parse_query::parse_query).post(parse_query::parse_query)
    }),
    look_or_post("/explain", || get(explain::answer).post(explain::answer)),
    look_or_post("/labels", || get(series::labels).post(series::labels)),
    look("/label/{name}/values", || get(series::label_values)),
    look_or_post("/series", || get(series::series).post(series::series)),
    look("/metadata", || get(metadata::metadata)),
    look("/rules", || get(rules::rules)),
    look("/alerts", || get(alerts::alerts)),
    look("/alerts/{fingerprint}/context", || get(context::context)),
    Route {
        methods: Methods::GetTell,
        ..look("/changes", || get(changes::changes).post(changes::tell))
    },
    change("/detectors/reset", || {
        post(detectors::reset).put(detectors::reset)
    }),
    look("/alertmanagers", || get(alertmanagers::alertmanagers)),
    look("/scrape_pools", || get(targets::scrape_pools)),
    look("/scrape_pools/config", || get(targets::scrape_pool_config)),
    look("/targets", || get(targets::targets)),
    look("/targets/metadata", || get(targets::target_metadata)),
    look("/targets/relabel_steps", || get(targets::relabel_steps)),
    look("/features", || get(features::features)),
    look("/status/config", || get(status::config)),
    look("/status/runtimeinfo", || get(status::runtime_info)),
    look("/status/buildinfo", || get(status::build_info)),
    look("/status/flags", || get(status::flags)),
    look("/status/tsdb", || get(status::tsdb)),
    look("/status/backfill", || get(status::backfill)),
    look("/status/ha", || get(status::ha)),
    look("/status/tsdb/blocks", || get(status::tsdb_blocks)),
    look_early("/status/walreplay", || get(status::log_replay)),
    look_early("/notifications", || get(targets::notifications)),
    look_early("/notifications/live", || {
        get(targets::no_live_notifications)
    }),
    change("/admin/tsdb/delete_series", || {
        post(admin::disabled).put(admin::disabled)
    }),
    change("/admin/tsdb/clean_tombstones", || {
        post(admin::disabled).put(admin::disabled)
    }),
    change("/admin/tsdb/snapshot", || {
        post(admin::disabled).put(admin::disabled)
    }),
];

/// Returns the route that a path means but for its case or a slash at its end.
pub fn respelled(path: &str, method: &Method) -> Option<String> {
    let path = cleaned(path);
    let path = path.strip_suffix('/').unwrap_or(&path);
    ROUTES
        .iter()
        .filter(|route| route.methods.take(method))
        .find_map(|route| matched(route.path, path))
}

/// Returns the path with the parts of the pattern in the pattern's case.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    if patterns.clone().count() != parts.clone().count() {
        return None;
    }
    let parts: Option<Vec<&str>> = patterns
        .zip(parts)
        .map(|(pattern, part)| match pattern {
            pattern if pattern.starts_with('{') => Some(part).filter(|part| !part.is_empty()),
            pattern => pattern.eq_ignore_ascii_case(part).then_some(pattern),
        })
        .collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_almost_right_is_respelled() {
        let check = |method: Method, path: &str, expected: Option<&str>| {
            assert_eq!(respelled(path, &method).as_deref(), expected, "{path}");
        };
        check(Method::GET, "/query/", Some("/query"));
        check(Method::GET, "/Status/TSDB", Some("/status/tsdb"));
        check(Method::GET, "/label/Job/values/", Some("/label/Job/values"));
        check(Method::POST, "/rules/", None);
        check(Method::GET, "/nothing", None);
    }
}
