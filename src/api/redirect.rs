//! Redirects as Go writes them, and paths as it cleans them.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Sends a client elsewhere; only `GET` is told so in a body.
pub fn redirect(method: &Method, status: StatusCode, target: &str) -> Response {
    // Browsers take a backslash for a slash, and two of those for another host.
    let target = &target.replace('\\', "%5C");
    let Ok(location) = HeaderValue::from_str(target) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = if *method == Method::GET {
        let reason = status.canonical_reason().unwrap_or("");
        let body = format!("<a href=\"{}\">{reason}</a>.\n\n", escaped(target));
        (status, body).into_response()
    } else {
        status.into_response()
    };
    let headers = response.headers_mut();
    if matches!(*method, Method::GET | Method::HEAD) {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
    }
    headers.insert(header::LOCATION, location);
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// Returns a path without empty, `.` and `..` parts; a slash at its end stays.
pub fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut clean = format!("/{}", parts.join("/"));
    if path.ends_with('/') && clean.len() > 1 {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        let check = |path: &str, expected: &str| assert_eq!(cleaned(path), expected, "{path}");
        check("/", "/");
        check("//a/b", "/a/b");
        check("/a/./b//c/../d/", "/a/b/d/");
        check("/a/b", "/a/b");
        check("/../a", "/a");
    }
}
