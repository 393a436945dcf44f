//! Where receivers are found: `static_configs`, `file_sd_configs`, `dns_sd_configs`,
//! `http_sd_configs`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use url::Url;

use crate::config::fields::Fields;
use crate::config::http_client::read_url;
use crate::config::value;
use crate::config::{ConfigError, HttpClientConfig, http_client, serialize};
use crate::model::DurationMs;
use crate::yaml::Node;

/// All the places where one block looks for its receivers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Discovery {
    /// Written in the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<TargetGroup>,
    /// Written in files that are watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Asked from the DNS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<DnsSdConfig>,
    /// Asked from a web server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<HttpSdConfig>,
}

/// Addresses and the labels they share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    /// `host:port`
    pub targets: Vec<String>,
    /// Labels of each of them.
    #[serde(
        serialize_with = "serialize::pairs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub labels: Vec<(String, String)>,
}

/// Files with lists of target groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSdConfig {
    /// Paths; `*` in the last part only.
    pub files: Vec<PathBuf>,
    /// How often they are read even without a change.
    #[serde(serialize_with = "serialize::duration")]
    pub refresh_interval: DurationMs,
}

/// Names to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsSdConfig {
    /// The names.
    pub names: Vec<String>,
    /// Which records to ask for.
    #[serde(rename = "type")]
    pub record_type: DnsRecordType,
    /// The port, for all but SRV records.
    pub port: u16,
    /// How often to ask.
    #[serde(serialize_with = "serialize::duration")]
    pub refresh_interval: DurationMs,
}

/// Which records to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "each is its own name")]
pub enum DnsRecordType {
    Srv,
    A,
    Aaaa,
    Mx,
    Ns,
}

/// A web page with a list of target groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpSdConfig {
    /// The page.
    #[serde(serialize_with = "serialize::url")]
    pub url: Url,
    /// How often to fetch it.
    #[serde(serialize_with = "serialize::duration")]
    pub refresh_interval: DurationMs,
    /// How to fetch it.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

/// Reads the discovery keys among a block's own; mechanisms we lack are refused by name.
pub(crate) fn read(fields: &mut Fields<'_>, base_dir: &Path) -> Result<Discovery, ConfigError> {
    let discovery = Discovery {
        static_configs: fields.list("static_configs", read_target_group)?,
        file_sd_configs: fields.list("file_sd_configs", |node, what| {
            read_file_sd(node, what, base_dir)
        })?,
        dns_sd_configs: fields.list("dns_sd_configs", read_dns_sd)?,
        http_sd_configs: fields.list("http_sd_configs", |node, what| {
            read_http_sd(node, what, base_dir)
        })?,
    };
    let known = ["file_sd_configs", "dns_sd_configs", "http_sd_configs"];
    let other = fields.matching(|key| key.ends_with("_sd_configs") && !known.contains(&key));
    match other.first() {
        Some((key, _)) => Err(ConfigError::at(
            key.place,
            format!("{}: {} is not supported", fields.place(), key.text),
        )
        .remedy(
            "use static_configs, file_sd_configs, http_sd_configs, or dns_sd_configs with the \
             name of a headless service",
        )),
        None => Ok(discovery),
    }
}

pub(crate) fn read_target_group(node: &Node, what: &str) -> Result<TargetGroup, ConfigError> {
    if node.is_null() {
        return Err(ConfigError::at(
            node.place,
            format!("{what}: empty or null section in static_configs"),
        ));
    }
    let mut fields = Fields::open(node, what)?;
    let group = TargetGroup {
        targets: fields.texts("targets")?,
        labels: fields.text_map("labels")?,
    };
    fields.finish()?;
    Ok(group)
}

/// Reads what a discovered file or page holds, YAML or JSON: a list of target groups.
pub fn read_target_groups(text: &str) -> Result<Vec<TargetGroup>, ConfigError> {
    let root = value::parse(text)?;
    let groups = value::list(&root, "the file")?.iter();
    groups
        .map(|node| read_target_group(node, "target group"))
        .collect()
}

pub(crate) fn read_file_sd(
    node: &Node,
    what: &str,
    base_dir: &Path,
) -> Result<FileSdConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let files = fields.list("files", |node, what| {
        let path = value::text(node, what)?;
        if !is_file_sd_path(path) {
            return Err(ConfigError::at(
                node.place,
                format!("path name {path:?} is not valid for file discovery"),
            )
            .remedy("it must end in .json, .yml or .yaml, with * in its last part only"));
        }
        Ok(base_dir.join(path))
    })?;
    if files.is_empty() {
        return Err(
            fields.error("file service discovery config must contain at least one path name")
        );
    }
    let refresh_interval = fields
        .positive_duration("refresh_interval")?
        .unwrap_or(DurationMs::from_seconds(300));
    fields.finish()?;
    Ok(FileSdConfig {
        files,
        refresh_interval,
    })
}

/// `^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`
fn is_file_sd_path(path: &str) -> bool {
    let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    endings.iter().any(|ending| path.ends_with(ending))
        && path
            .split_once('*')
            .is_none_or(|(_, tail)| !tail.contains('/'))
}

pub(crate) fn read_dns_sd(node: &Node, what: &str) -> Result<DnsSdConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let names = fields.texts("names")?;
    if names.is_empty() {
        return Err(fields.error("DNS-SD config must contain at least one SRV record name"));
    }
    let record_type = fields
        .read("type", |node, what| {
            let upper = value::text(node, what)?.to_uppercase();
            let types = [
                ("SRV", DnsRecordType::Srv),
                ("A", DnsRecordType::A),
                ("AAAA", DnsRecordType::Aaaa),
                ("MX", DnsRecordType::Mx),
                ("NS", DnsRecordType::Ns),
            ];
            let found = types.iter().find(|(name, _)| *name == upper);
            match found {
                Some((_, record_type)) => Ok(*record_type),
                None => value::word(node, what, &types),
            }
        })?
        .unwrap_or(DnsRecordType::Srv);
    let port = fields.read("port", |node, what| {
        let text = value::text(node, what)?;
        text.parse::<u16>()
            .map_err(|_| ConfigError::at(node.place, format!("{what}: {text:?} is not a port")))
    })?;
    if port.unwrap_or(0) == 0 && record_type != DnsRecordType::Srv {
        return Err(
            fields.error("a port is required in DNS-SD configs for all record types except SRV")
        );
    }
    let refresh_interval = fields
        .positive_duration("refresh_interval")?
        .unwrap_or(DurationMs::from_seconds(30));
    fields.finish()?;
    Ok(DnsSdConfig {
        names,
        record_type,
        port: port.unwrap_or(0),
        refresh_interval,
    })
}

fn read_http_sd(node: &Node, what: &str, base_dir: &Path) -> Result<HttpSdConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let Some(url) = fields.read("url", read_url)? else {
        return Err(fields.error("URL is missing"));
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fields.error("URL scheme must be 'http' or 'https'"));
    }
    let refresh_interval = fields
        .positive_duration("refresh_interval")?
        .unwrap_or(DurationMs::from_seconds(60));
    let http = http_client::read(&mut fields, base_dir, true)?;
    fields.finish()?;
    Ok(HttpSdConfig {
        url,
        refresh_interval,
        http,
    })
}
