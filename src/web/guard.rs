//! What stands before every route: who comes in, with which headers everything goes out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;

use crate::api::{Need, need_of};
use crate::config::Role;
use crate::ingest::sender::AuthenticatedUser;
use crate::web::current::{Current, Web};
use crate::web::metrics::Refusal;
use crate::web::people::may;
use crate::web::sign_in::Verdict;

/// What the guard needs.
struct Guard {
    web: Arc<Web>,
    route_prefix: String,
}

/// Puts the guard before all routes of `app`, and before what is answered where there is none.
pub fn protect(app: Router, web: Arc<Web>, route_prefix: &str) -> Router {
    let guard = Guard {
        web,
        route_prefix: route_prefix.to_owned(),
    };
    app.layer(from_fn_with_state(Arc::new(guard), look_at))
}

async fn look_at(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let web = &guard.web;
    let current = web.current();
    if current
        .limiter
        .as_ref()
        .is_some_and(|limiter| !limiter.allows())
    {
        return refuse(web, &current, Refusal::RateLimit);
    }
    let pattern = request.extensions().get::<MatchedPath>();
    let pattern = pattern.map(MatchedPath::as_str);
    let need = need_of(pattern, request.method(), &guard.route_prefix);
    let admitted = match of_other_site(need, &request) {
        true => Err(Refusal::CrossSite),
        false => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
            // A body cannot be looked at from two threads: the request itself does not go along.
            let credentials = credentials(request.headers());
            admit(web, &current, need, credentials, peer).await
        }
    };
    let mut response = match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refusal) => refuse(web, &current, refusal),
    };
    for (name, value) in &current.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Says who it is, or why nobody is let in.
async fn admit(
    web: &Web,
    current: &Current,
    need: Need,
    credentials: Option<Credentials>,
    peer: IpAddr,
) -> Result<Option<AuthenticatedUser>, Refusal> {
    let people = &current.people;
    if people.is_open(need) {
        return Ok(None);
    }
    let admitted = |name: &str, roles: &[Role]| match may(roles, need) {
        true => Ok(Some(AuthenticatedUser(Arc::from(name)))),
        false => Err(Refusal::Forbidden),
    };
    match credentials.ok_or(Refusal::Unauthorized)? {
        Credentials::Bearer(token) => {
            let holder = people.holder(&token).ok_or(Refusal::Unauthorized)?;
            admitted(&holder.name, &holder.roles)
        }
        Credentials::Basic(name, password) => {
            match web.verdict(people, &name, &password, peer).await {
                Verdict::Right => {}
                Verdict::Wrong => return Err(Refusal::Unauthorized),
                Verdict::Busy => return Err(Refusal::Busy),
            }
            let user = people.user(&name).ok_or(Refusal::Unauthorized)?;
            admitted(&name, &user.roles)
        }
    }
}

enum Credentials {
    Basic(String, String),
    Bearer(String),
}

/// Reads `Authorization`; what cannot be read is as good as nothing.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next()?, values.next());
    if more.is_some() {
        return None;
    }
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| Credentials::Bearer(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(rest)
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Credentials::Basic(name.to_owned(), password.to_owned()))
}

/// Tells whether a browser was sent here by a page that is not ours: it would send along the
/// password that it was given for us, and reach servers that listen on loopback.
fn of_other_site(need: Need, request: &Request) -> bool {
    if !matches!(need, Need::Write | Need::Admin) {
        return false;
    }
    let looks = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let site = request.headers().get("sec-fetch-site");
    !looks && site.is_some_and(|site| site != "same-origin" && site != "none")
}

fn refuse(web: &Web, current: &Current, refusal: Refusal) -> Response {
    web.metrics().refused(refusal);
    let (status, text) = match refusal {
        Refusal::Forbidden => (
            StatusCode::FORBIDDEN,
            "Forbidden: this user or token has another role\n",
        ),
        Refusal::CrossSite => (
            StatusCode::FORBIDDEN,
            "Forbidden: a page of another site may not do this\n",
        ),
        Refusal::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n"),
        Refusal::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many passwords are being looked at; come again\n",
        ),
        Refusal::Unauthorized | Refusal::Connections | Refusal::Handshake => {
            (StatusCode::UNAUTHORIZED, "Unauthorized\n")
        }
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    match refusal {
        Refusal::Unauthorized => {
            for challenge in current.people.challenges() {
                let challenge = HeaderValue::from_static(challenge);
                headers.append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        Refusal::Busy => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_they_are_sent() {
        let check = |value: &str, expected: Option<(&str, &str)>| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(value).expect("a header");
            headers.insert(header::AUTHORIZATION, value.clone());
            let found = match credentials(&headers) {
                None => None,
                Some(Credentials::Basic(name, password)) => Some((name, password)),
                Some(Credentials::Bearer(token)) => Some(("bearer".to_owned(), token)),
            };
            let found = found.as_ref().map(|(a, b)| (a.as_str(), b.as_str()));
            assert_eq!(found, expected, "{value:?}");
            // Two of them might be read differently by a proxy in between.
            headers.append(header::AUTHORIZATION, value);
            assert!(credentials(&headers).is_none());
        };
        check("Basic YTpiOmM=", Some(("a", "b:c")));
        check("bAsIc YTpiOmM=", Some(("a", "b:c")));
        check("Basic OnA=", Some(("", "p")));
        check("Basic YQ==", None);
        check("Basic YTpiOmM", None);
        check("Basic", None);
        check("Bearer abc", Some(("bearer", "abc")));
        check("BEARER  abc", Some(("bearer", "abc")));
        check("Bearer ", None);
        check("Digest a", None);
    }
}
