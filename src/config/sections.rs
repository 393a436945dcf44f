//! The sections that concern storing and sending alone: checked where a check is asked for, for
//! serving has no use for them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::ConfigError;
use crate::config::fields::Fields;
use crate::config::http_client::check_header;
use crate::config::scraping::read_http;
use crate::config::{steps, value};
use crate::model::{DurationMs, NameValidation};
use crate::yaml::{Node, Place};

const MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];

const TRANSLATIONS: [&str; 4] = [
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
];

/// Checks `remote_write`, `remote_read`, `storage`, `tracing` and `otlp`.
pub(crate) fn check(
    fields: &mut Fields<'_>,
    base_dir: &Path,
    names: NameValidation,
) -> Result<(), ConfigError> {
    for key in ["remote_write", "remote_read"] {
        check_remotes(fields, key, base_dir, names)?;
    }
    fields.read("storage", check_storage)?;
    fields.read("tracing", check_tracing)?;
    fields.read("otlp", |node, what| check_otlp(node, what, names))?;
    Ok(())
}

fn check_headers(fields: &mut Fields<'_>) -> Result<(), ConfigError> {
    fields.read("headers", |node, what| {
        value::entries(node, what)?.iter().try_for_each(|(key, _)| {
            check_header(key.text).map_err(|message| ConfigError::at(key.place, message))
        })
    })?;
    Ok(())
}

fn check_queue(node: &Node, what: &str) -> Result<(), ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let mut count = |key: &'static str, default: u64| -> Result<u64, ConfigError> {
        match fields.number(key)?.unwrap_or(default) {
            0 => Err(fields
                .error(format!("remote write queue {key} must be positive"))
                .remedy(format!("leave {key} out, or write 1 or more"))),
            n => Ok(n),
        }
    };
    let most = count("max_shards", 50)?;
    let least = count("min_shards", 1)?;
    count("max_samples_per_send", 2000)?;
    count("capacity", 10_000)?;
    if least > most {
        return Err(fields
            .error("remote write queue min_shards must not be greater than max_shards")
            .remedy(format!("write a min_shards of {most} or less")));
    }
    let min = fields.duration("min_backoff")?.unwrap_or(DurationMs(30));
    let max = fields.duration("max_backoff")?.unwrap_or(DurationMs(5000));
    if max < min {
        return Err(fields
            .error("remote write queue max_backoff must not be less than min_backoff")
            .remedy(format!("write a max_backoff of {min} or more")));
    }
    fields.finish_except(&[
        "batch_send_deadline",
        "retry_on_http_429",
        "sample_age_limit",
    ])
}

fn check_storage(node: &Node, what: &str) -> Result<(), ConfigError> {
    let mut fields = Fields::open(node, what)?;
    fields.read("tsdb", |node, what| {
        let mut tsdb = Fields::open(node, what)?;
        tsdb.read("chunk_encoding", |node, what| {
            let words = [("xor", ()), ("xor2", ()), ("", ())];
            Fields::open(node, what)?.word("floats", &words)
        })?;
        tsdb.read("retention", |node, what| {
            let mut retention = Fields::open(node, what)?;
            retention.duration("time")?;
            retention.read("percentage", |node, what| {
                let text = value::text(node, what)?;
                match text.parse::<f64>() {
                    Ok(share) if (0.0..=100.0).contains(&share) => Ok(()),
                    _ => Err(ConfigError::at(
                        node.place,
                        format!("'{what}' must be in the range [0, 100], got {text}"),
                    )),
                }
            })?;
            retention.read("size", |node, what| {
                let text = value::text(node, what)?;
                match text.starts_with('-') {
                    true => Err(ConfigError::at(
                        node.place,
                        format!("'{what}' must be greater than or equal to 0, got {text}"),
                    )),
                    false => Ok(()),
                }
            })
        })
    })?;
    Ok(())
}

fn check_tracing(node: &Node, what: &str) -> Result<(), ConfigError> {
    let mut fields = Fields::open(node, what)?;
    check_headers(&mut fields)?;
    fields.word("client_type", &[("http", ()), ("grpc", ())])?;
    fields.word("compression", &[("gzip", ()), ("", ())])?;
    match fields.nonempty("endpoint")? {
        Some(_) => Ok(()),
        None => Err(fields
            .error("tracing endpoint must be set")
            .remedy("write its `endpoint`: host:port")),
    }
}

fn check_otlp(node: &Node, what: &str, names: NameValidation) -> Result<(), ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let all = fields.bool("promote_all_resource_attributes")? == Some(true);
    let lists = ["promote_resource_attributes", "ignore_resource_attributes"];
    for key in lists {
        let attributes = fields.texts(key)?;
        let mut seen: Vec<&str> = Vec::new();
        for attribute in attributes.iter().map(|text| text.trim()) {
            if attribute.is_empty() || seen.contains(&attribute) {
                return Err(fields
                    .error(format!(
                        "invalid '{key}': empty or duplicated {attribute:?}"
                    ))
                    .remedy("name each attribute once"));
            }
            seen.push(attribute);
        }
        let is_ignored = key == lists[1];
        if !attributes.is_empty() && all != is_ignored {
            return Err(fields.error(match is_ignored {
                true => {
                    "'ignore_resource_attributes' cannot be configured unless \
                     'promote_all_resource_attributes' is true"
                }
                false => {
                    "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot \
                     be configured simultaneously"
                }
            }));
        }
    }
    let strategies = TRANSLATIONS.map(|name| (name, name));
    let strategy = fields.read("translation_strategy", |node, what| {
        match value::text(node, what)? {
            "" => Ok(""),
            _ => value::word(node, what, &strategies),
        }
    })?;
    let keeps_utf8 = strategy.is_some_and(|name| name.starts_with("No"));
    if keeps_utf8 && names == NameValidation::Legacy {
        return Err(fields
            .error("this translation strategy is not allowed when UTF8 is disabled")
            .remedy("take metric_name_validation_scheme: legacy out of `global`"));
    }
    Ok(())
}

/// Checks `remote_write` and `remote_read`: each has a URL, and a name of its own if any.
fn check_remotes(
    fields: &mut Fields<'_>,
    key: &'static str,
    base_dir: &Path,
    names: NameValidation,
) -> Result<(), ConfigError> {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    fields.list(key, |node, what| {
        if node.is_null() {
            let message = format!("empty or null {} config section", key.replace('_', " "));
            return Err(ConfigError::at(node.place, message).remedy("remove the empty element"));
        }
        let mut inner = Fields::open(node, what)?;
        if inner.nonempty("url")?.is_none() {
            return Err(inner
                .error(format!("url for {key} is empty"))
                .remedy("write the `url` to send to or ask"));
        }
        check_headers(&mut inner)?;
        read_http(&mut inner, base_dir, &mut Vec::new())?;
        inner.read("queue_config", check_queue)?;
        inner.word("protobuf_message", &MESSAGES.map(|name| (name, ())))?;
        inner.list("write_relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?;
        if let Some(name) = inner.nonempty("name")?
            && let Some(first) = seen.insert(name.clone(), node.place)
        {
            let message = format!(
                "found multiple {} configs with job name {name:?}",
                key.replace('_', " ")
            );
            let remedy = format!("the first is at line {}; rename one of them", first.line);
            return Err(ConfigError::at(node.place, message).remedy(remedy));
        }
        Ok(())
    })?;
    Ok(())
}
