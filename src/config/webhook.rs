//! `webhooks`: receivers of Alertmanager's webhook body, without an Alertmanager in between.

use std::path::Path;

use serde::Serialize;
use url::Url;

use crate::config::fields::Fields;
use crate::config::http_client::read_hidden_url;
use crate::config::{ConfigError, HttpClientConfig, http_client, serialize};
use crate::model::DurationMs;
use crate::yaml::Node;

/// One webhook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookConfig {
    /// Where to send.
    #[serde(serialize_with = "serialize::place_alone")]
    pub url: Url,
    /// The receiver's name in the body and in metrics.
    pub name: String,
    /// Whether alerts that ended are sent.
    pub send_resolved: bool,
    /// The labels whose values make a group; `...` stands for all.
    pub group_by: Vec<String>,
    /// How long a group's first notification waits for more alerts.
    #[serde(serialize_with = "serialize::duration")]
    pub group_wait: DurationMs,
    /// How often a group that goes on firing is sent again; 0 = never.
    #[serde(serialize_with = "serialize::duration")]
    pub repeat_interval: DurationMs,
    /// How long one request may take.
    #[serde(serialize_with = "serialize::duration")]
    pub timeout: DurationMs,
    /// The most alerts of one request, the rest being counted only; 0 = all.
    pub max_alerts: usize,
    /// How to speak HTTP with it.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

pub(crate) fn read(node: &Node, what: &str, base_dir: &Path) -> Result<WebhookConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let Some(url) = fields.read("url", read_hidden_url)? else {
        return Err(fields
            .error("url is missing")
            .remedy("write url: http://host/path"));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fields.error("the URL's scheme must be http or https"));
    }
    let group_by = match fields.has("group_by") {
        true => fields.texts("group_by")?,
        false => {
            fields.node("group_by");
            vec!["alertname".to_owned()]
        }
    };
    if group_by.iter().any(|name| name == "...") && group_by.len() > 1 {
        return Err(fields
            .error("group_by cannot have \"...\" and other labels at the same time")
            .remedy("write group_by: ['...'] alone"));
    }
    let max_alerts = fields.number("max_alerts")?.unwrap_or(0);
    let config = WebhookConfig {
        url,
        name: fields
            .nonempty("name")?
            .unwrap_or_else(|| "webhook".to_owned()),
        send_resolved: fields.bool("send_resolved")?.unwrap_or(true),
        group_by,
        group_wait: fields.duration("group_wait")?.unwrap_or(DurationMs::ZERO),
        repeat_interval: fields
            .duration("repeat_interval")?
            .unwrap_or(DurationMs::from_seconds(4 * 3600)),
        timeout: fields
            .positive_duration("timeout")?
            .unwrap_or(DurationMs::from_seconds(10)),
        max_alerts: usize::try_from(max_alerts).unwrap_or(usize::MAX),
        http: http_client::read(&mut fields, base_dir, true)?,
    };
    fields.finish()?;
    Ok(config)
}
