//! The API of a running server, burnwatch's or Prometheus', as commands ask it.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use crate::notify::http_client;

/// A server that is asked.
pub(super) struct ServerApi {
    client: reqwest::Client,
    base: String,
    timeout: Duration,
}

impl ServerApi {
    /// Will ask the server at an address; an error calls it `what`, and an answer may take so long.
    pub fn new(what: impl Display, address: &str, timeout: Duration) -> anyhow::Result<Self> {
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| anyhow!("{what} is no URL; write one such as http://127.0.0.1:9099"))?;
        Ok(ServerApi {
            client: http_client::plain()?,
            base: base.as_str().trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// Returns its address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Posts a form to `/api/v1/…` and returns the answer, whatever its status.
    pub async fn post(
        &self,
        path: &str,
        params: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(params);
        let asked = self
            .client
            .post(format!("{}/api/v1/{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .timeout(self.timeout)
            .body(form.finish());
        let cannot = || format!("cannot ask {}; is it running?", self.base);
        let answer = asked.send().await.with_context(cannot)?;
        let status = answer.status();
        Ok((status, answer.text().await.with_context(cannot)?))
    }

    /// Returns the `data` of an answer, or what the server says is wrong with `asked`.
    pub fn data(
        &self,
        (status, body): (StatusCode, String),
        asked: Option<&str>,
    ) -> anyhow::Result<Value> {
        let base = &self.base;
        let answer: Value = serde_json::from_str(&body)
            .map_err(|_| anyhow!("{base} answered {status}, and not as Prometheus' API does"))?;
        match (answer["error"].as_str(), asked) {
            (None, _) => Ok(answer["data"].clone()),
            (Some(error), None) => bail!("{base} answered: {error}"),
            (Some(error), Some(asked)) => bail!("{base} answered to {asked}: {error}"),
        }
    }
}
