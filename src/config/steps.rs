//! Reads `*_relabel_configs`.

use crate::config::ConfigError;
use crate::config::fields::Fields;
use crate::config::value;
use crate::model::NameValidation;
use crate::relabel::{ACTIONS, RelabelConfig, RelabelFields};
use crate::yaml::Node;

/// Reads one relabelling step.
pub(crate) fn read(
    node: &Node,
    what: &str,
    names: NameValidation,
) -> Result<RelabelConfig, ConfigError> {
    if node.is_null() {
        return Err(
            ConfigError::at(node.place, format!("{what}: empty or null relabeling rule"))
                .remedy("remove the empty element"),
        );
    }
    let mut fields = Fields::open(node, what)?;
    let defaults = RelabelFields::default();
    let source_labels = fields.has("source_labels").then_some(());
    let step = RelabelFields {
        source_labels: match (source_labels, fields.texts("source_labels")?) {
            (Some(()), names) => Some(names),
            (None, _) => None,
        },
        separator: fields.text("separator")?.unwrap_or(defaults.separator),
        // `regex:` without a value is the empty expression in Prometheus, not the default.
        regex: match fields.node_or_null("regex") {
            Some(node) => value::text(node, "regex")?.to_owned(),
            None => defaults.regex,
        },
        modulus: fields.number("modulus")?.unwrap_or(0),
        target_label: fields.text("target_label")?.unwrap_or_default(),
        replacement: fields.text("replacement")?.unwrap_or(defaults.replacement),
        action: fields
            .read("action", |node, what| {
                let text = value::text(node, what)?.to_lowercase();
                let found = ACTIONS.iter().find(|(name, _)| *name == text);
                found.map(|(_, action)| *action).ok_or_else(|| {
                    let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
                    ConfigError::at(node.place, format!("unknown relabel action {text:?}"))
                        .remedy(format!("write one of {}", names.join(", ")))
                })
            })?
            .unwrap_or(defaults.action),
    };
    fields.finish()?;
    RelabelConfig::new(step, names).map_err(|e| ConfigError::at(node.place, format!("{what}: {e}")))
}
