//! `global:`

use serde::Serialize;

use crate::config::fields::Fields;
use crate::config::value;
use crate::config::{ConfigError, serialize};
use crate::model::{DurationMs, Labels, NameValidation};
use crate::yaml::Node;

/// What `global:` says to an evaluator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Global {
    /// How often groups without an interval of their own tick.
    #[serde(serialize_with = "serialize::duration")]
    pub evaluation_interval: DurationMs,
    /// How far groups without an offset of their own look back.
    #[serde(serialize_with = "serialize::duration")]
    pub rule_query_offset: DurationMs,
    /// Labels added to alerts that lack them; `${NAME}` is already expanded.
    #[serde(
        serialize_with = "serialize::labels",
        skip_serializing_if = "Labels::is_empty"
    )]
    pub external_labels: Labels,
    /// Which names of labels and recorded series are valid.
    #[serde(serialize_with = "serialize::shown")]
    pub metric_name_validation_scheme: NameValidation,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            evaluation_interval: DurationMs::from_seconds(60),
            rule_query_offset: DurationMs::ZERO,
            external_labels: Labels::empty(),
            metric_name_validation_scheme: NameValidation::Utf8,
        }
    }
}

/// Keys of `global:` that concern scraping and logging alone.
const IGNORED: [&str; 18] = [
    "scrape_interval",
    "scrape_timeout",
    "scrape_protocols",
    "query_log_file",
    "scrape_failure_log_file",
    "body_size_limit",
    "sample_limit",
    "target_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "keep_dropped_targets",
    "metric_name_escaping_scheme",
    "scrape_native_histograms",
    "convert_classic_histograms_to_nhcb",
    "always_scrape_classic_histograms",
    "extra_scrape_metrics",
    "scrape_classic_histograms",
];

pub(crate) fn read(
    node: Option<&Node>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Global, ConfigError> {
    let defaults = Global::default();
    let Some(node) = node else {
        return Ok(defaults);
    };
    let mut fields = Fields::open(node, "global")?;
    let schemes = [
        ("utf8", NameValidation::Utf8),
        ("legacy", NameValidation::Legacy),
        ("", NameValidation::Utf8),
    ];
    let names = fields
        .word("metric_name_validation_scheme", &schemes)?
        .unwrap_or_default();
    let interval = fields.duration("evaluation_interval")?;
    let global = Global {
        // Zero means "not set", as in Prometheus.
        evaluation_interval: interval
            .filter(|interval| interval.0 > 0)
            .unwrap_or(defaults.evaluation_interval),
        rule_query_offset: fields
            .duration("rule_query_offset")?
            .unwrap_or(DurationMs::ZERO),
        external_labels: fields
            .read("external_labels", |node, what| {
                external_labels(node, what, names, env)
            })?
            .unwrap_or(defaults.external_labels),
        metric_name_validation_scheme: names,
    };
    fields.finish_except(&IGNORED)?;
    Ok(global)
}

fn external_labels(
    node: &Node,
    what: &str,
    names: NameValidation,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Labels, ConfigError> {
    let mut pairs = Vec::new();
    for (key, value) in value::entries(node, what)? {
        if !names.is_label_name(key.text) {
            let message = format!("{what}: {:?} is not a valid label name", key.text);
            return Err(ConfigError::at(key.place, message));
        }
        let value = expand_env(value::text(value, what)?, env);
        if key.text.len().max(value.len()) > Labels::TEXT_BYTES_MAX {
            let message = format!("{what}: a label is longer than 2 MiB");
            return Err(ConfigError::at(key.place, message));
        }
        pairs.push((key.text, value));
    }
    Ok(Labels::from_pairs(pairs))
}

/// Expands `$NAME` and `${NAME}` as Go's `os.Expand`; `$$` is a dollar, an unset variable is
/// the empty text.
fn expand_env(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(inner) = rest.strip_prefix('{') {
            match inner.split_once('}') {
                Some((name, tail)) => {
                    push_variable(&mut out, name, env);
                    rest = tail;
                }
                // Go eats "${" where no brace closes.
                None => rest = inner,
            }
            continue;
        }
        let name_len = match rest.chars().next() {
            Some(first) if is_special(first) => 1,
            _ => rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len()),
        };
        if name_len == 0 {
            out.push('$');
            continue;
        }
        push_variable(&mut out, &rest[..name_len], env);
        rest = &rest[name_len..];
    }
    out.push_str(rest);
    out
}

fn push_variable(out: &mut String, name: &str, env: &dyn Fn(&str) -> Option<String>) {
    match name {
        "" => {}
        "$" => out.push('$'),
        name => out.push_str(&env(name).unwrap_or_default()),
    }
}

/// The one-character names of Go's shell syntax.
fn is_special(c: char) -> bool {
    matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_in_go() {
        let env = |name: &str| (name == "A_1").then(|| "x".to_owned());
        let check = |text: &str, expected: &str| {
            assert_eq!(expand_env(text, &env), expected, "{text}");
        };
        check("plain", "plain");
        check("$A_1-${A_1}", "x-x");
        check("$$A_1 $${A_1}", "$A_1 ${A_1}");
        check("${UNSET}$UNSET.", ".");
        check("5$", "5$");
        check("$ a", "$ a");
        check("${A_1", "A_1");
        check("$1a", "a");
    }
}
