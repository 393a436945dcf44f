//! The web configuration that is in force, and how a new one takes its place.
//!
//! The files are looked at every second; what has changed in any of them, certificates and
//! tokens included, counts for the next connection and the next request. What cannot be used is
//! told of, and leaves in force what was.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use ring::hmac;
use rustls::ServerConfig;
use tracing::{error, info, warn};
use xxhash_rust::xxh3::xxh3_128;

use crate::clock::Stopwatch;
use crate::config::{Access, ClientAuth, RateLimit, WebConfig, load_web};
use crate::web::metrics::WebMetrics;
use crate::web::people::People;
use crate::web::sign_in::{SignIn, Verdict};
use crate::web::tls;

/// The web configuration in force.
pub struct Web {
    path: Option<PathBuf>,
    key: hmac::Key,
    /// The section `access` that goes with it.
    access: Mutex<Access>,
    current: ArcSwap<Current>,
    sign_in: SignIn,
    metrics: WebMetrics,
    /// The files that were refused last, so that it is said once.
    refused: Mutex<Option<Vec<Seen>>>,
}

/// What one reading of the files gave.
pub struct Current {
    /// How connections are made; `None` is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether clients have to show a certificate.
    pub asks_for_certificates: bool,
    /// Headers of every answer.
    pub headers: HeaderMap,
    /// Who may come in.
    pub people: People,
    /// `rate_limit`
    pub limiter: Option<Limiter>,
    seen: Vec<Seen>,
}

/// A file that was read, and a digest of what was in it; `None`: it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    digest: Option<u128>,
}

impl Seen {
    fn of(path: &Path, text: &std::io::Result<String>) -> Self {
        Seen {
            path: path.to_owned(),
            digest: text.as_ref().ok().map(|text| xxh3_128(text.as_bytes())),
        }
    }

    fn again(&self) -> Self {
        Seen::of(&self.path, &std::fs::read_to_string(&self.path))
    }
}

impl Web {
    /// Reads the file of `--web.config.file` and what it and `access` name.
    pub fn new(path: Option<PathBuf>, access: &Access) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new())
            .map_err(|_| "the system has no random numbers".to_owned())?;
        let current = read_all(path.as_deref(), access, &key).map_err(|(error, _)| error)?;
        let metrics = WebMetrics::default();
        metrics.config_is_good(true);
        Ok(Web {
            path,
            key,
            access: Mutex::new(access.clone()),
            current: ArcSwap::from_pointee(current),
            sign_in: SignIn::default(),
            metrics,
            refused: Mutex::new(None),
        })
    }

    /// Returns what is in force.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &WebMetrics {
        &self.metrics
    }

    /// Says whether a password is a user's.
    pub(super) async fn verdict(
        &self,
        people: &People,
        name: &str,
        password: &str,
        peer: IpAddr,
    ) -> Verdict {
        self.sign_in.verdict(people, name, password, peer).await
    }

    /// Reads all files anew for another `access`; nothing is in force yet.
    pub fn prepare(&self, access: &Access) -> Result<Current, String> {
        let read = read_all(self.path.as_deref(), access, &self.key);
        let current = read.map_err(|(error, _)| error)?;
        self.check_change(&current)?;
        Ok(current)
    }

    /// Puts into force what was prepared for `access`.
    pub fn adopt(&self, access: &Access, prepared: Current) {
        *self.access.lock() = access.clone();
        self.put(prepared);
    }

    /// Looks at the files; reads files, so not on a thread that serves.
    pub fn look(&self) {
        let seen: Vec<Seen> = self.current.load().seen.clone();
        if seen.iter().all(|file| file.again() == *file) {
            if self.refused.lock().take().is_some() {
                self.metrics.config_is_good(true);
            }
            return;
        }
        let access = self.access.lock().clone();
        let read = read_all(self.path.as_deref(), &access, &self.key);
        let checked = read.and_then(|current| match self.check_change(&current) {
            Ok(()) => Ok(current),
            Err(error) => Err((error, current.seen)),
        });
        match checked {
            Ok(current) => {
                self.put(current);
                info!("the web configuration or a file that it names has changed, and counts now");
            }
            Err((cause, seen)) => {
                let mut refused = self.refused.lock();
                if refused.as_ref() != Some(&seen) {
                    self.metrics.config_is_good(false);
                    error!(
                        cause,
                        "web configuration refused; the old one stays in force"
                    );
                    *refused = Some(seen);
                }
            }
        }
    }

    fn put(&self, current: Current) {
        self.current.store(Arc::new(current));
        *self.refused.lock() = None;
        self.metrics.config_is_good(true);
    }

    /// Who knows us by https would send passwords in the clear if that could end.
    fn check_change(&self, new: &Current) -> Result<(), String> {
        if self.current.load().tls.is_some() == new.tls.is_some() {
            return Ok(());
        }
        Err("tls_server_config: TLS is switched on and off by a restart only".to_owned())
    }
}

type Refused = (String, Vec<Seen>);

fn read_all(path: Option<&Path>, access: &Access, key: &hmac::Key) -> Result<Current, Refused> {
    let mut seen = Vec::new();
    let mut read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        seen.push(Seen::of(path, &text));
        text
    };
    let built = build(path, access, key, &mut read);
    match built {
        Ok(current) => Ok(Current { seen, ..current }),
        Err(error) => Err((error, seen)),
    }
}

fn build(
    path: Option<&Path>,
    access: &Access,
    key: &hmac::Key,
    read: &mut tls::ReadFile<'_>,
) -> Result<Current, String> {
    let config = match path {
        None => WebConfig::default(),
        Some(path) => {
            let text =
                read(path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
            load_web(path, &text).map_err(|e| e.to_string())?
        }
    };
    let in_file = |message: String| match path {
        Some(path) => format!("{}: {message}", path.display()),
        None => message,
    };
    let tls = match &config.tls {
        None => None,
        Some(tls) => {
            let http2 = config.http.http2;
            let built = tls::build(tls, http2, read)
                .map_err(|message| in_file(format!("tls_server_config: {message}")))?;
            if !built.left_out.is_empty() {
                let names = built.left_out.join(", ");
                warn!(
                    names,
                    "these suites or curves are not spoken here and are left out"
                );
            }
            Some(Arc::new(built.config))
        }
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &config.http.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    let people = People::new(&config.users, access, key, read)?;
    let client_auth = config.tls.as_ref().map(|tls| tls.client_auth);
    Ok(Current {
        tls,
        asks_for_certificates: client_auth.is_some_and(ClientAuth::requires),
        headers,
        people,
        limiter: config.rate_limit.map(Limiter::new),
        seen: Vec::new(),
    })
}

/// Tells whether a web configuration asks for TLS.
pub fn speaks_tls(path: &Path) -> Result<bool, String> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
    let config = load_web(path, &text).map_err(|e| e.to_string())?;
    Ok(config.tls.is_some())
}

/// Checks a web configuration and the files that it names, for `burnwatch check web-config`.
pub fn check_web_config(path: &Path) -> Result<(), String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"nothing is kept under it");
    let read = read_all(Some(path), &Access::default(), &key);
    read.map(drop).map_err(|(error, _)| error)
}

/// A bucket of tokens, full at first.
pub struct Limiter {
    limit: RateLimit,
    started: Stopwatch,
    /// Tokens, and when they were counted, seconds since the start.
    tokens: Mutex<(f64, f64)>,
}

impl Limiter {
    fn new(limit: RateLimit) -> Self {
        Limiter {
            limit,
            started: Stopwatch::start(),
            tokens: Mutex::new((limit.burst as f64, 0.0)),
        }
    }

    /// Takes a token, if there is one.
    pub fn allows(&self) -> bool {
        self.allows_at(self.started.seconds())
    }

    fn allows_at(&self, now: f64) -> bool {
        let mut counted = self.tokens.lock();
        let (tokens, at) = *counted;
        let fresh = (now - at).max(0.0) / self.limit.interval.seconds();
        let tokens = (tokens + fresh).min(self.limit.burst as f64);
        let allows = tokens >= 1.0;
        *counted = (if allows { tokens - 1.0 } else { tokens }, now);
        allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DurationMs;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_an_interval() {
        let bucket = |burst| {
            Limiter::new(RateLimit {
                interval: DurationMs::from_seconds(2),
                burst,
            })
        };
        let limiter = bucket(2);
        let allowed =
            [0.0, 0.0, 0.0, 1.9, 2.1, 2.2, 60.0, 60.0, 60.0].map(|at| limiter.allows_at(at));
        let expected = [true, true, false, false, true, false, true, true, false];
        assert_eq!(allowed, expected);
        // As in Go, where nothing fits into a bucket without room.
        assert!(!bucket(0).allows_at(100.0));
    }
}
