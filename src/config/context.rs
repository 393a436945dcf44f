//! `context`: what an alert says about its surroundings.

use serde::{Serialize, Serializer};

use crate::config::ConfigError;
use crate::config::fields::Fields;
use crate::config::value;
use crate::model::labels::is_legacy_label_name;
use crate::model::{ContextParts, ContextSettings, InfoMetric};
use crate::yaml::Node;

/// What an alert says about its surroundings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContextConfig {
    /// What is built for alerts whose rule does not say.
    #[serde(serialize_with = "as_text")]
    pub default: ContextParts,
    /// The metrics that say which version runs.
    #[serde(serialize_with = "as_list")]
    pub info: Vec<InfoMetric>,
    /// Links by their name, as templates.
    #[serde(serialize_with = "as_map")]
    pub links: Vec<(String, String)>,
}

impl Default for ContextConfig {
    fn default() -> Self {
        let ContextSettings {
            default,
            info,
            links,
            ..
        } = ContextSettings::default();
        ContextConfig {
            default,
            info,
            links,
        }
    }
}

fn as_text<S: Serializer>(parts: &ContextParts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(parts)
}

fn as_map<S: Serializer>(links: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(links.iter().map(|(name, template)| (name, template)))
}

#[derive(Serialize)]
struct Info<'a> {
    metric: &'a str,
    label: &'a str,
    kind: &'a str,
}

fn as_list<S: Serializer>(info: &[InfoMetric], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(info.iter().map(|metric| Info {
        metric: &metric.selector,
        label: &metric.label,
        kind: &metric.kind,
    }))
}

pub(crate) fn read(node: &Node, what: &str) -> Result<ContextConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let mut config = ContextConfig::default();
    let parts = fields.read("default", |node, what| {
        let text = value::text(node, what)?;
        text.parse()
            .map_err(|unknown| ConfigError::at(node.place, format!("{what}: {unknown}")))
    })?;
    config.default = parts.unwrap_or(config.default);
    if fields.has("info") {
        config.info = fields.list("info", read_info)?;
    }
    config.links = fields.text_map("links")?;
    if let Some((name, _)) = config
        .links
        .iter()
        .find(|(name, _)| !is_legacy_label_name(name))
    {
        return Err(fields
            .error(format!("links: {name:?} cannot name a link"))
            .remedy("write a word of letters, digits and _ such as dashboard, logs or runbook"));
    }
    fields.finish()?;
    Ok(config)
}

fn read_info(node: &Node, what: &str) -> Result<InfoMetric, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let Some(selector) = fields.nonempty("metric")? else {
        return Err(fields
            .error("metric is missing")
            .remedy("write metric: model_info, or a selector such as model_info{env=\"prod\"}"));
    };
    let info = InfoMetric {
        selector,
        label: fields
            .nonempty("label")?
            .unwrap_or_else(|| "version".to_owned()),
        kind: fields
            .nonempty("kind")?
            .unwrap_or_else(|| crate::model::change::DEPLOYMENT.to_owned()),
    };
    fields.finish()?;
    Ok(info)
}
