//! What a request must be allowed to do, by its route.

use axum::http::Method;

use crate::api::routes::{Methods, ROUTES};

/// What somebody must be allowed to do for a request to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing in particular: there is no such route.
    Known,
    /// To ask whether the server lives and is ready.
    Health,
    /// To read `/metrics`.
    Metrics,
    /// To ask: queries, states, pages.
    Read,
    /// To send samples.
    Write,
    /// To change the server.
    Admin,
}

/// The pages of `ui`.
const PAGES: [&str; 5] = ["/", "/alerts", "/graph", "/query", "/rules"];

/// Returns what the route of a pattern needs; `None` is a path without a route. A route that
/// nobody has thought of here needs the most.
pub fn need_of(pattern: Option<&str>, method: &Method, route_prefix: &str) -> Need {
    let Some(pattern) = pattern else {
        return Need::Known;
    };
    let path = pattern.strip_prefix(route_prefix).unwrap_or(pattern);
    match path {
        "/-/healthy" | "/-/ready" => return Need::Health,
        "/metrics" => return Need::Metrics,
        "/api/v1/write" => return Need::Write,
        // What leads to the prefix.
        "" => return Need::Read,
        "/version" => return Need::Read,
        _ if PAGES.contains(&path) => return Need::Read,
        _ => {}
    }
    let below = path.strip_prefix("/api/v1");
    let route = below.and_then(|below| ROUTES.iter().find(|route| route.path == below));
    let looks = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match route.map(|route| route.methods) {
        Some(Methods::Get | Methods::GetPost) => Need::Read,
        Some(Methods::GetTell) if looks => Need::Read,
        // Who may send samples may say what they mean.
        Some(Methods::GetTell) => Need::Write,
        Some(Methods::PostPut) | None => Need::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_route_needs_the_most() {
        let check_method = |method: Method, pattern: &str, need: Need| {
            assert_eq!(need_of(Some(pattern), &method, ""), need, "{pattern}");
            let below = format!("/bw{pattern}");
            assert_eq!(need_of(Some(&below), &method, "/bw"), need, "{below}");
        };
        let check = |pattern: &str, need: Need| {
            check_method(Method::GET, pattern, need);
            check_method(Method::POST, pattern, need);
        };
        check_method(Method::GET, "/api/v1/changes", Need::Read);
        check_method(Method::POST, "/api/v1/changes", Need::Write);
        check_method(Method::DELETE, "/api/v1/changes", Need::Write);
        check("/api/v1/alerts/{fingerprint}/context", Need::Read);
        check("/api/v1/query", Need::Read);
        check("/api/v1/label/{name}/values", Need::Read);
        check("/api/v1/write", Need::Write);
        check("/-/ready", Need::Health);
        check("/-/quit", Need::Admin);
        check("/api/v1/detectors/reset", Need::Admin);
        check("/api/v1/admin/tsdb/snapshot", Need::Admin);
        check("/api/v1/new", Need::Admin);
        check("/new", Need::Admin);
        assert_eq!(need_of(None, &Method::GET, ""), Need::Known);
    }
}
