//! Tokens for receivers that want OAuth 2.0: fetched by client credentials (RFC 6749, 4.4), and
//! kept until shortly before they expire.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::clock::Stopwatch;
use crate::config::OAuth2Config;
use crate::notify::http_client::{HttpClient, HttpError, read_secret};

/// How long before its end a token is not used any more, as in Go.
const EXPIRES_EARLY: Duration = Duration::from_secs(10);
/// How long fetching a token may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches tokens.
#[derive(Debug)]
pub struct TokenSource {
    config: OAuth2Config,
    client: HttpClient,
    kept: Mutex<Option<Token>>,
    /// Whether the server wants the secret in the form rather than in a header.
    in_form: AtomicBool,
}

struct Token {
    authorization: String,
    /// The secret that it was fetched with; with another one it is fetched anew.
    secret: String,
    since: Stopwatch,
    /// `None`: it does not expire.
    valid_for: Option<Duration>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl TokenSource {
    /// Returns a source that has not asked yet.
    pub fn new(config: OAuth2Config) -> Self {
        TokenSource {
            client: HttpClient::new(config.http.clone()),
            config,
            kept: Mutex::new(None),
            in_form: AtomicBool::new(false),
        }
    }

    /// Returns the value of `Authorization`.
    pub async fn authorization(&self) -> Result<String, HttpError> {
        let secret = read_secret(&self.config.client_secret)?;
        let mut kept = self.kept.lock().await;
        let is_valid = |token: &&Token| {
            let left = token.valid_for;
            let left = left.map(|span| span.saturating_sub(EXPIRES_EARLY));
            token.secret == secret && left.is_none_or(|left| token.since.elapsed() < left)
        };
        if let Some(token) = kept.as_ref().filter(is_valid) {
            return Ok(token.authorization.clone());
        }
        let token = self.fetch(secret).await?;
        let authorization = token.authorization.clone();
        *kept = Some(token);
        Ok(authorization)
    }

    /// Forgets the token: the receiver did not take it.
    pub async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn fetch(&self, secret: String) -> Result<Token, HttpError> {
        let since = Stopwatch::start();
        let in_form = self.in_form.load(Ordering::Relaxed);
        let mut answer = self.ask(&secret, in_form).await?;
        if matches!(answer.0, 400..500) && !in_form {
            // Servers differ in where they look; the standard knows both places.
            answer = self.ask(&secret, true).await?;
            self.in_form.store(answer.0 < 300, Ordering::Relaxed);
        }
        let (status, body) = answer;
        // What the server says may repeat what it was sent.
        if !(200..300).contains(&status) {
            let message = format!("oauth2: cannot fetch token: response status {status}");
            return Err(HttpError::Transport(message));
        }
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| {
            HttpError::Transport("oauth2: the answer to token_url has no access_token".to_owned())
        })?;
        let kind = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer".to_owned(),
            "mac" => "MAC".to_owned(),
            "basic" => "Basic".to_owned(),
            _ => answer.token_type,
        };
        let seconds = answer.expires_in.as_ref().and_then(|value| match value {
            // Some servers write the number as a text.
            serde_json::Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        });
        Ok(Token {
            authorization: format!("{kind} {}", answer.access_token),
            secret,
            since,
            valid_for: seconds
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        })
    }

    async fn ask(&self, secret: &str, in_form: bool) -> Result<(u16, Vec<u8>), HttpError> {
        let mut headers = vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
        ];
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(secret));
        let basic = base64::engine::general_purpose::STANDARD.encode(pair);
        let basic = format!("Basic {basic}");
        if !in_form {
            headers.push(("authorization", &basic));
        }
        let body = Bytes::from(self.form(secret, in_form));
        let url = &self.config.token_url;
        self.client.exchange(url, &headers, body, TIMEOUT).await
    }

    fn form(&self, secret: &str, in_form: bool) -> String {
        let config = &self.config;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !config.scopes.is_empty() {
            form.append_pair("scope", &config.scopes.join(" "));
        }
        form.extend_pairs(&config.endpoint_params);
        if in_form {
            form.append_pair("client_id", &config.client_id);
            form.append_pair("client_secret", secret);
        }
        form.finish()
    }
}
