//! Who sends: the name under which a request is counted, and the share that its sender has of
//! what all senders share.
//!
//! Names are exact and few are kept ([`crate::ingest::metrics`], [`crate::ingest::quota`]). Shares
//! are numbered by a keyed hash of the name, as in stochastic fairness queueing (P. McKenney,
//! 1990): no table that a stranger could fill, and nobody can choose a name that shares with a
//! certain other.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::extract::Request;
use http::HeaderName;

use crate::ingest::decode::HashKey;
use crate::model::Caller;

/// Shares there are; two senders of a thousand have the same one by chance.
pub const SHARES: usize = 1024;

/// The longest name; longer ones are cut.
const NAME_BYTES_MAX: usize = 128;

/// The number of a sender's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderShare(u16);

impl SenderShare {
    /// Returns the share of a name.
    pub fn of(name: &str, key: &HashKey) -> Self {
        SenderShare((key.hash(name.as_bytes()) % SHARES as u128) as u16)
    }

    /// Returns the number, below [`SHARES`].
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// Names the sender of a request: by the header that the settings name, else by whom it was
/// authenticated as, else by the address that it came from.
pub fn name_of(request: &Request, header: Option<&HeaderName>) -> String {
    let written = header.and_then(|header| request.headers().get(header));
    let written = written.and_then(|value| value.to_str().ok());
    if let Some(name) = written.filter(|name| !name.is_empty()) {
        return shortened(name);
    }
    if let Some(user) = request.extensions().get::<Caller>() {
        return shortened(&user.0);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_string())
}

fn shortened(name: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn a_sender_is_named_by_what_is_known_of_it() {
        let tenant = HeaderName::from_static("x-scope-orgid");
        let check = |(written, user, peer): (&str, &str, &str), expected: &str| {
            let mut request = Request::new(Body::empty());
            let value = http::HeaderValue::from_str(written).expect("a header");
            request.headers_mut().insert(&tenant, value);
            let extensions = request.extensions_mut();
            if !user.is_empty() {
                extensions.insert(Caller(user.into()));
            }
            if let Ok(peer) = peer.parse::<SocketAddr>() {
                extensions.insert(ConnectInfo(peer));
            }
            assert_eq!(name_of(&request, Some(&tenant)), expected);
        };
        check(("team-a", "prom", "10.0.0.1:99"), "team-a");
        check(("", "prom", "10.0.0.1:99"), "prom");
        check(("", "", "10.0.0.1:99"), "10.0.0.1");
        check(("", "", ""), "unknown");
        let long = "x".repeat(1_000);
        check((&long, "", ""), &long[..NAME_BYTES_MAX]);
        let mut request = Request::new(Body::empty());
        let value = http::HeaderValue::from_static("team-a");
        request.headers_mut().insert(&tenant, value);
        assert_eq!(
            name_of(&request, None),
            "unknown",
            "a header that no setting names says nothing"
        );
    }
}
