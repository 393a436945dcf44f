//! `write_back`: where recorded series and `ALERTS` are written; the fields of `remote_write`.

use std::path::Path;

use serde::Serialize;
use url::Url;

use crate::config::fields::Fields;
use crate::config::http_client::{check_header, read_url, refuse};
use crate::config::{ConfigError, HttpClientConfig, http_client, serialize, steps};
use crate::model::{DurationMs, NameValidation};
use crate::relabel::RelabelConfig;
use crate::yaml::Node;

/// One remote-write receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemoteWriteConfig {
    /// Where to send.
    #[serde(serialize_with = "serialize::url")]
    pub url: Url,
    /// Its name in metrics; the URL's host where none is written.
    pub name: String,
    /// How long one request may take.
    #[serde(serialize_with = "serialize::duration")]
    pub remote_timeout: DurationMs,
    /// Headers of every request.
    #[serde(
        serialize_with = "serialize::pairs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<(String, String)>,
    /// Remote write 1.0 or 2.0.
    pub protobuf_message: ProtobufMessage,
    /// Applied to every series.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Whether native histograms are sent.
    pub send_native_histograms: bool,
    /// How samples are queued.
    pub queue_config: QueueConfig,
    /// How to speak HTTP with it.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

/// The message of remote write 1.0 or 2.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ProtobufMessage {
    /// Remote write 1.0.
    #[default]
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    /// Remote write 2.0.
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
}

/// How samples are queued. `max_shards` and `min_shards` are accepted for the sake of copied
/// blocks; one sender keeps the order, and an evaluator's output is small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueConfig {
    /// The most samples that wait; when full the oldest go.
    pub capacity: usize,
    /// The most samples of one request.
    pub max_samples_per_send: usize,
    /// How long samples wait for a full request.
    #[serde(serialize_with = "serialize::duration")]
    pub batch_send_deadline: DurationMs,
    /// The first pause after a failure.
    #[serde(serialize_with = "serialize::duration")]
    pub min_backoff: DurationMs,
    /// The longest pause after a failure.
    #[serde(serialize_with = "serialize::duration")]
    pub max_backoff: DurationMs,
    /// Whether 429 is retried.
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent; 0 sends all.
    #[serde(serialize_with = "serialize::duration")]
    pub sample_age_limit: DurationMs,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            capacity: 100_000,
            max_samples_per_send: 2_000,
            batch_send_deadline: DurationMs::from_seconds(5),
            min_backoff: DurationMs(30),
            max_backoff: DurationMs::from_seconds(5),
            retry_on_http_429: false,
            sample_age_limit: DurationMs::ZERO,
        }
    }
}

/// Reads one `write_back` block.
pub(crate) fn read(
    node: &Node,
    what: &str,
    base_dir: &Path,
    names: NameValidation,
) -> Result<RemoteWriteConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let Some(url) = fields.read("url", read_url)? else {
        return Err(fields
            .error("url is empty")
            .remedy("write url: http://host/path"));
    };
    let headers = fields.text_map("headers")?;
    for (name, _) in &headers {
        check_header(name).map_err(|message| fields.error(message))?;
    }
    let messages = [
        ("prometheus.WriteRequest", ProtobufMessage::V1),
        ("io.prometheus.write.v2.Request", ProtobufMessage::V2),
    ];
    let config = RemoteWriteConfig {
        name: fields
            .nonempty("name")?
            .unwrap_or_else(|| url.host_str().unwrap_or("write_back").to_owned()),
        url,
        remote_timeout: fields
            .positive_duration("remote_timeout")?
            .unwrap_or(DurationMs::from_seconds(30)),
        headers,
        protobuf_message: fields
            .word("protobuf_message", &messages)?
            .unwrap_or_default(),
        write_relabel_configs: fields.list("write_relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?,
        send_native_histograms: fields.bool("send_native_histograms")?.unwrap_or(false),
        queue_config: fields.read("queue_config", read_queue)?.unwrap_or_default(),
        http: http_client::read(&mut fields, base_dir, false)?,
    };
    // What has no meaning for rule results is accepted, so that a block can be copied over.
    fields.bool("send_exemplars")?;
    fields.bool("round_robin_dns")?;
    fields.bool("failed_request_logging")?;
    fields.node("metadata_config");
    for key in ["sigv4", "azuread", "google_iam"] {
        refuse(
            &mut fields,
            key,
            "is not supported",
            "put a signing proxy in between",
        )?;
    }
    fields.finish()?;
    Ok(config)
}

fn read_queue(node: &Node, what: &str) -> Result<QueueConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let defaults = QueueConfig::default();
    for key in ["max_shards", "min_shards"] {
        fields.number(key)?;
    }
    let mut count = |key, default| -> Result<usize, ConfigError> {
        match fields.number(key)? {
            Some(0) => Err(fields.error(format!("{key} must be positive"))),
            Some(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            None => Ok(default),
        }
    };
    let queue = QueueConfig {
        capacity: count("capacity", defaults.capacity)?,
        max_samples_per_send: count("max_samples_per_send", defaults.max_samples_per_send)?,
        batch_send_deadline: fields
            .duration("batch_send_deadline")?
            .unwrap_or(defaults.batch_send_deadline),
        min_backoff: fields
            .positive_duration("min_backoff")?
            .unwrap_or(defaults.min_backoff),
        max_backoff: fields
            .positive_duration("max_backoff")?
            .unwrap_or(defaults.max_backoff),
        retry_on_http_429: fields.bool("retry_on_http_429")?.unwrap_or(false),
        sample_age_limit: fields
            .duration("sample_age_limit")?
            .unwrap_or(defaults.sample_age_limit),
    };
    if queue.max_backoff < queue.min_backoff {
        return Err(fields.error("max_backoff must not be less than min_backoff"));
    }
    fields.finish()?;
    Ok(queue)
}
