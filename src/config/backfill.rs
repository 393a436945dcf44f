//! `backfill`: a Prometheus that is asked for history that windows look back on and we lack.

use std::path::Path;

use serde::Serialize;
use url::Url;

use crate::config::fields::Fields;
use crate::config::http_client::read_url;
use crate::config::{ConfigError, HttpClientConfig, http_client, serialize};
use crate::model::DurationMs;
use crate::yaml::Node;

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackfillConfig {
    /// Its remote-read endpoint.
    #[serde(serialize_with = "serialize::url")]
    pub url: Url,
    /// How long one request, for a day of one selector, may take.
    #[serde(serialize_with = "serialize::duration")]
    pub timeout: DurationMs,
    /// How to speak HTTP with it.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

pub(crate) fn read(
    node: &Node,
    what: &str,
    base_dir: &Path,
) -> Result<BackfillConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let Some(url) = fields.read("url", read_url)? else {
        return Err(fields
            .error("url is missing")
            .remedy("write url: http://prometheus:9090/api/v1/read"));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fields.error("the URL's scheme must be http or https"));
    }
    let config = BackfillConfig {
        url,
        timeout: fields
            .positive_duration("timeout")?
            .unwrap_or(DurationMs::from_seconds(300)),
        http: http_client::read(&mut fields, base_dir, true)?,
    };
    fields.finish()?;
    Ok(config)
}
