//! `alerting:`

use std::path::Path;

use serde::Serialize;

use crate::config::fields::Fields;
use crate::config::http_client::refuse;
use crate::config::value;
use crate::config::{
    ConfigError, Discovery, HttpClientConfig, discovery, http_client, serialize, steps,
};
use crate::model::{DurationMs, NameValidation};
use crate::relabel::RelabelConfig;
use crate::yaml::Node;

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alerting {
    /// Applied to every alert after external labels are added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<RelabelConfig>,
    /// The Alertmanagers, a block for each way of finding and talking to them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alertmanagers: Vec<AlertmanagerConfig>,
}

/// Alertmanagers that are found and spoken to in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertmanagerConfig {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// What stands before `/api/v2/alerts`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// How long one request may take.
    #[serde(serialize_with = "serialize::duration")]
    pub timeout: DurationMs,
    /// Always `v2`.
    pub api_version: &'static str,
    /// Where they are found.
    #[serde(flatten)]
    pub discovery: Discovery,
    /// Applied to the Alertmanagers found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<RelabelConfig>,
    /// Applied to alerts after the global steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<RelabelConfig>,
    /// How to speak HTTP with them.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

impl Default for AlertmanagerConfig {
    fn default() -> Self {
        AlertmanagerConfig {
            scheme: Scheme::Http,
            path_prefix: String::new(),
            timeout: DurationMs::from_seconds(10),
            api_version: "v2",
            discovery: Discovery::default(),
            relabel_configs: Vec::new(),
            alert_relabel_configs: Vec::new(),
            http: HttpClientConfig::default(),
        }
    }
}

/// The URL scheme of an Alertmanager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Returns the scheme as it stands in an URL.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

pub(crate) fn read(
    node: &Node,
    base_dir: &Path,
    names: NameValidation,
) -> Result<Alerting, ConfigError> {
    let mut fields = Fields::open(node, "alerting")?;
    let alerting = Alerting {
        alert_relabel_configs: fields.list("alert_relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?,
        alertmanagers: fields.list("alertmanagers", |node, what| {
            read_alertmanager(node, what, base_dir, names)
        })?,
    };
    fields.finish()?;
    Ok(alerting)
}

fn read_alertmanager(
    node: &Node,
    what: &str,
    base_dir: &Path,
    names: NameValidation,
) -> Result<AlertmanagerConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let defaults = AlertmanagerConfig::default();
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let config = AlertmanagerConfig {
        scheme: fields.word("scheme", &schemes)?.unwrap_or_default(),
        path_prefix: fields.text("path_prefix")?.unwrap_or_default(),
        timeout: fields
            .positive_duration("timeout")?
            .unwrap_or(defaults.timeout),
        api_version: fields.read("api_version", read_version)?.unwrap_or("v2"),
        discovery: discovery::read(&mut fields, base_dir)?,
        relabel_configs: fields.list("relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?,
        alert_relabel_configs: fields.list("alert_relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?,
        http: http_client::read(&mut fields, base_dir, true)?,
    };
    refuse(
        &mut fields,
        "sigv4",
        "is not supported",
        "put a signing proxy in between",
    )?;
    // With relabelling the address may still change, so it is looked at when it is used.
    let groups = config.discovery.static_configs.iter();
    let mut targets = groups.flat_map(|group| &group.targets);
    if config.relabel_configs.is_empty()
        && let Some(url) = targets.find(|target| target.contains('/'))
    {
        return Err(fields
            .error(format!("{url:?} is not a valid hostname"))
            .remedy("write host:port; scheme and path_prefix have keys of their own"));
    }
    fields.finish()?;
    Ok(config)
}

fn read_version(node: &Node, what: &str) -> Result<&'static str, ConfigError> {
    match value::text(node, what)? {
        "v2" => Ok("v2"),
        other => Err(ConfigError::at(
            node.place,
            format!("expected Alertmanager api version to be one of [v2] but got {other}"),
        )
        .remedy("Alertmanager before 0.16 is not supported")),
    }
}
