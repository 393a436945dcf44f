//! HTTP towards receivers: the client fields of the configuration on top of reqwest.
//!
//! Secrets and certificates in files are read at every use, so that they can be changed while
//! we run; a client is built anew only when a certificate's text has changed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Body, Certificate, Client, ClientBuilder, Identity, NoProxy, Proxy, redirect, tls};
use url::Url;

use crate::clock::Stopwatch;
use crate::config::{Auth, HttpClientConfig, SecretSource, TlsVersion};
use crate::notify::departure::Departure;
use crate::notify::oauth2::TokenSource;

/// How long a connection may take to stand up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects are followed, as in Go.
const REDIRECTS_MAX: usize = 10;
/// How much of an error's body is kept for the log, in bytes.
const ERROR_BYTES_MAX: usize = 512;
/// How large a discovery page may be, in bytes.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// How large the answer with a token may be, in bytes.
const TOKEN_BYTES_MAX: usize = 1 << 20;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A file with a secret or certificate cannot be read or used.
    #[error("{0}")]
    Config(String),
    /// No connection, no answer in time, or a broken answer.
    #[error("{0}")]
    Transport(String),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        transport(error)
    }
}

/// An answer's status, and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, where it is given in seconds.
    pub retry_after: Option<Duration>,
    /// When the first byte of the request left.
    pub departed: Option<Stopwatch>,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The beginning of the body of an answer that is no 2xx.
    pub text: String,
}

/// A client for one receiver.
#[derive(Debug)]
pub struct HttpClient {
    config: HttpClientConfig,
    built: Mutex<Option<(TlsTexts, Client)>>,
    tokens: Option<Box<TokenSource>>,
}

/// The PEM texts that a client was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TlsTexts {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

/// Installs the TLS provider of the process; more than once does no harm.
fn install_tls_provider() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Returns a client without any of the configuration's fields, for talking to ourselves.
pub fn plain() -> Result<Client, reqwest::Error> {
    install_tls_provider();
    Client::builder().no_proxy().build()
}

impl HttpClient {
    /// Returns a client; files are read when it is used.
    pub fn new(config: HttpClientConfig) -> Self {
        install_tls_provider();
        let tokens = match &config.auth {
            Some(Auth::OAuth2(oauth2)) => Some(TokenSource::new((**oauth2).clone())),
            _ => None,
        };
        HttpClient {
            config,
            built: Mutex::new(None),
            tokens: tokens.map(Box::new),
        }
    }

    /// Posts a body; any answer, also an error's, is an answer. `departure` knows afterwards
    /// whether anything left.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Bytes,
        timeout: Duration,
        departure: &Departure,
    ) -> Result<Answer, HttpError> {
        let (client, url, map) = self.prepared(self.headers().await?, url, headers)?;
        let send = |body: Body| {
            let request = client.post(url.clone()).headers(map.clone());
            request.timeout(timeout).body(body).send()
        };
        let watched = Body::wrap(departure.watch(body.clone()));
        let mut response = send(watched).await.map_err(transport)?;
        if self.config.follow_redirects && is_redirect_of_body(response.status()) {
            // A watched body goes once; a plain one is sent again wherever it is wanted.
            response = send(Body::from(body)).await.map_err(transport)?;
        }
        let status = response.status().as_u16();
        if let (401, Some(tokens)) = (status, &self.tokens) {
            tokens.forget().await;
        }
        let headers = response.headers().clone();
        let mut text = Vec::new();
        if response.status().is_success() {
            // Reading to the end lets the connection be used again.
            while let Ok(Some(_)) = response.chunk().await {}
        } else {
            while text.len() < ERROR_BYTES_MAX
                && let Ok(Some(chunk)) = response.chunk().await
            {
                text.extend_from_slice(&chunk);
            }
            text.truncate(ERROR_BYTES_MAX);
        }
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        Ok(Answer {
            status,
            retry_after,
            departed: departure.at(),
            headers,
            text: String::from_utf8_lossy(&text).trim().to_owned(),
        })
    }

    /// Posts a body and returns the answer whose body is still to be read, whatever its status.
    pub async fn post_streaming(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<reqwest::Response, HttpError> {
        let (client, url, map) = self.prepared(self.headers().await?, url, headers)?;
        let request = client.post(url).headers(map).timeout(timeout);
        request.body(body).send().await.map_err(transport)
    }

    /// Fetches a page as text; only a 200 counts.
    pub async fn get_text(&self, url: &Url, timeout: Duration) -> Result<String, HttpError> {
        let accept = [("accept", "application/json")];
        let (client, url, map) = self.prepared(self.headers().await?, url, &accept)?;
        let request = client.get(url).headers(map).timeout(timeout);
        let mut response = request.send().await.map_err(transport)?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            return Err(HttpError::Transport(format!("server returned {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            body.extend_from_slice(&chunk);
            if body.len() > PAGE_BYTES_MAX {
                return Err(HttpError::TooLarge(PAGE_BYTES_MAX));
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Posts a body and returns status and body of the answer, whatever it is.
    pub(super) async fn exchange(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), HttpError> {
        let (client, url, map) = self.prepared(HeaderMap::new(), url, headers)?;
        let request = client.post(url).headers(map).timeout(timeout).body(body);
        let mut response = request.send().await.map_err(transport)?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            text.extend_from_slice(&chunk);
            if text.len() > TOKEN_BYTES_MAX {
                return Err(HttpError::TooLarge(TOKEN_BYTES_MAX));
            }
        }
        Ok((response.status().as_u16(), text))
    }

    /// Returns what a request to `url` is made of: the client, the address to connect to, and the
    /// configuration's headers with `more` and the name of the host.
    fn prepared(
        &self,
        mut map: HeaderMap,
        url: &Url,
        more: &[(&str, &str)],
    ) -> Result<(Client, Url, HeaderMap), HttpError> {
        for (name, value) in more {
            insert(&mut map, name, value)?;
        }
        let (client, url, host) = self.client_for(url)?;
        if let Some(host) = host {
            insert(&mut map, "host", &host)?;
        }
        Ok((client, url, map))
    }

    /// Returns the headers that the configuration asks for.
    async fn headers(&self) -> Result<HeaderMap, HttpError> {
        let mut map = HeaderMap::new();
        for (name, values) in &self.config.http_headers {
            let secrets = values
                .secrets
                .iter()
                .map(|secret| secret.reveal().to_owned());
            let inline = values.values.iter().cloned().chain(secrets).map(Ok);
            let files = values.files.iter().map(|path| read_trimmed(path));
            for value in inline.chain(files) {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(invalid_header)?;
                let value = HeaderValue::from_str(&value?).map_err(invalid_header)?;
                map.append(name, value);
            }
        }
        let authorization = match &self.config.auth {
            None => return Ok(map),
            Some(Auth::BasicAuth { username, password }) => {
                let pair = format!("{}:{}", text_of(username)?, text_of(password)?);
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair)
                )
            }
            Some(Auth::Authorization { kind, credentials }) => {
                format!("{kind} {}", text_of(credentials)?)
            }
            Some(Auth::OAuth2(_)) => match &self.tokens {
                Some(tokens) => tokens.authorization().await?,
                None => return Ok(map),
            },
        };
        let mut value = HeaderValue::from_str(&authorization).map_err(invalid_header)?;
        value.set_sensitive(true);
        map.insert(AUTHORIZATION, value);
        Ok(map)
    }

    /// Returns the client, the URL to ask and the `Host` to send where the two differ: with a
    /// `server_name`, TLS must speak to that name at the URL's address.
    fn client_for(&self, url: &Url) -> Result<(Client, Url, Option<String>), HttpError> {
        let client = self.client(url)?;
        let server_name = &self.config.tls_config.server_name;
        if server_name.is_empty() || url.scheme() != "https" {
            return Ok((client, url.clone(), None));
        }
        let mut named = url.clone();
        named
            .set_host(Some(server_name))
            .map_err(|e| HttpError::Config(format!("server_name {server_name:?}: {e}")))?;
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok((client, named, Some(host)))
    }

    fn client(&self, url: &Url) -> Result<Client, HttpError> {
        let tls = &self.config.tls_config;
        let texts = TlsTexts {
            ca: tls.ca.as_ref().map(read_secret).transpose()?,
            cert: tls.cert.as_ref().map(read_secret).transpose()?,
            key: tls.key.as_ref().map(read_secret).transpose()?,
        };
        let mut built = self.built.lock();
        if let Some((built_from, client)) = &*built
            && *built_from == texts
        {
            return Ok(client.clone());
        }
        let client = build(&self.config, &texts, url)?;
        *built = Some((texts, client.clone()));
        Ok(client)
    }
}

fn build(config: &HttpClientConfig, texts: &TlsTexts, url: &Url) -> Result<Client, HttpError> {
    let unusable = |what: &str| {
        let what = what.to_owned();
        move |e: reqwest::Error| HttpError::Config(format!("{what}: {}", causes(&e)))
    };
    let policy = match config.follow_redirects {
        true => redirects(!config.http_headers.is_empty()),
        false => redirect::Policy::none(),
    };
    let mut builder = Client::builder()
        .user_agent(concat!("burnwatch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Alerts are rare: the connection that the last one left is kept for the next, however
        // late that comes. TCP's keepalive, which is on, finds out when nobody is there.
        .pool_idle_timeout(None)
        .redirect(policy);
    if !config.enable_http2 {
        builder = builder.http1_only();
    }
    builder = proxy(builder, config).map_err(unusable("proxy_url"))?;
    let tls_config = &config.tls_config;
    if let Some(ca) = &texts.ca {
        let certificates = Certificate::from_pem_bundle(ca.as_bytes()).map_err(unusable("ca"))?;
        if certificates.is_empty() {
            let message = "ca holds no certificate; it must be PEM text".to_owned();
            return Err(HttpError::Config(message));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some((cert, key)) = texts.cert.as_ref().zip(texts.key.as_ref()) {
        let pem = format!("{cert}\n{key}\n");
        let identity = Identity::from_pem(pem.as_bytes()).map_err(unusable("cert and key"))?;
        builder = builder.identity(identity);
    }
    builder = builder.tls_danger_accept_invalid_certs(tls_config.insecure_skip_verify);
    if let Some(version) = tls_config.min_version {
        builder = builder.tls_version_min(tls_version(version));
    }
    if let Some(version) = tls_config.max_version {
        builder = builder.tls_version_max(tls_version(version));
    }
    if !tls_config.server_name.is_empty() && url.scheme() == "https" {
        let host = url.host_str().unwrap_or_default().to_owned();
        builder = builder.dns_resolver(Arc::new(Elsewhere(host)));
    }
    builder.build().map_err(unusable("HTTP client"))
}

/// Follows redirects. `Authorization` stays behind where they lead to another host; headers of
/// the configuration, which may be secrets, would not, so those are not followed.
fn redirects(has_headers: bool) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let from = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("stopped after 10 redirects")
        } else if has_headers && from.as_ref() != Some(&attempt.url().origin()) {
            attempt.error("a redirect to another host is not followed with http_headers set")
        } else {
            attempt.follow()
        }
    })
}

fn proxy(
    builder: ClientBuilder,
    config: &HttpClientConfig,
) -> Result<ClientBuilder, reqwest::Error> {
    if config.proxy_from_environment {
        return Ok(builder);
    }
    let builder = builder.no_proxy();
    Ok(match &config.proxy_url {
        Some(url) => {
            let exceptions = NoProxy::from_string(&config.no_proxy);
            builder.proxy(Proxy::all(url.clone())?.no_proxy(exceptions))
        }
        None => builder,
    })
}

fn tls_version(version: TlsVersion) -> tls::Version {
    match version {
        TlsVersion::Tls12 => tls::Version::TLS_1_2,
        TlsVersion::Tls13 => tls::Version::TLS_1_3,
    }
}

/// Resolves every name to the addresses of one host.
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _name: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let host = host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Tells whether an answer asks for the same request, body included, at another place.
fn is_redirect_of_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    )
}

fn insert(map: &mut HeaderMap, name: &str, value: &str) -> Result<(), HttpError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(invalid_header)?;
    let value = HeaderValue::from_str(value).map_err(invalid_header)?;
    map.insert(name, value);
    Ok(())
}

fn invalid_header(e: impl std::fmt::Display) -> HttpError {
    HttpError::Config(format!("a header cannot be sent: {e}"))
}

/// The URL is left out: its path or query may hold a token.
fn transport(e: reqwest::Error) -> HttpError {
    HttpError::Transport(causes(&e.without_url()))
}

/// Prints an error with its causes; reqwest's own text keeps the reason to itself.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn text_of(source: &Option<SecretSource>) -> Result<String, HttpError> {
    source.as_ref().map_or(Ok(String::new()), read_secret)
}

/// Returns a secret as it is now.
pub(super) fn read_secret(source: &SecretSource) -> Result<String, HttpError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.reveal().to_owned()),
        SecretSource::File(path) => read_trimmed(path),
    }
}

fn read_trimmed(path: &Path) -> Result<String, HttpError> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|e| HttpError::Config(format!("{} cannot be read: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, TlsConfig};

    fn client(ca: SecretSource) -> HttpClient {
        HttpClient::new(HttpClientConfig {
            tls_config: TlsConfig {
                ca: Some(ca),
                ..TlsConfig::default()
            },
            ..HttpClientConfig::default()
        })
    }

    #[test]
    fn certificates_that_cannot_be_used_are_named() {
        let url: Url = "https://am.example".parse().expect("URL");
        let check = |ca: SecretSource, part: &str| {
            let error = client(ca).client_for(&url).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        };
        check(
            SecretSource::Inline(Secret::new("x")),
            "ca holds no certificate",
        );
        check(
            SecretSource::File("/no/such.pem".into()),
            "/no/such.pem cannot be read",
        );
    }

    /// Catches a secret that is read once and then kept.
    #[tokio::test]
    async fn secrets_in_files_are_read_at_every_use() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let client = HttpClient::new(HttpClientConfig {
            auth: Some(Auth::Authorization {
                kind: "Bearer".to_owned(),
                credentials: Some(SecretSource::File(path.clone())),
            }),
            ..HttpClientConfig::default()
        });
        for token in ["one", "two"] {
            std::fs::write(&path, format!("{token}\n")).expect("a file");
            let headers = client.headers().await.expect("a readable file");
            assert_eq!(headers[AUTHORIZATION], format!("Bearer {token}"));
        }
    }
}
