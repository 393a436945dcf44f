//! What to do about an error: the remedy that a rule file's author most likely needs.
//!
//! Prometheus says what is wrong; these say what to do, and name the tool a field comes from
//! where files of other tools are handed to us. A hint never decides anything.

use crate::model::spelling::nearest;
use crate::promql::{ParseError, SignatureTable, suggest};
use crate::yaml::{Node, NodeKind, Place};

/// Where in a file a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// At the top.
    File,
    /// In an item of `groups`.
    Group,
    /// In an item of `rules`.
    Rule,
}

impl Level {
    /// Returns the words for it.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Level::File => "rule file",
            Level::Group => "rule group",
            Level::Rule => "rule",
        }
    }

    /// Returns the fields that Prometheus knows there.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Level::File => &["groups"],
            Level::Group => &[
                "name",
                "interval",
                "query_offset",
                "limit",
                "rules",
                "labels",
            ],
            Level::Rule => &[
                "record",
                "alert",
                "expr",
                "for",
                "keep_firing_for",
                "labels",
                "annotations",
            ],
        }
    }
}

/// Fields of other files and dialects, and what to do about each.
const ELSEWHERE: [(Level, &[&str], &str); 18] = [
    (
        Level::File,
        &["inhibition_rules", "inhibit_rules"],
        "inhibition belongs to alertmanager.yml, as `inhibit_rules`",
    ),
    (
        Level::File,
        &[
            "route",
            "receivers",
            "time_intervals",
            "mute_time_intervals",
            "templates",
        ],
        "this belongs to alertmanager.yml",
    ),
    (
        Level::File,
        &[
            "alerting",
            "scrape_configs",
            "remote_write",
            "remote_read",
            "storage",
        ],
        "this belongs to prometheus.yml; a rule file is what its `rule_files` names",
    ),
    (
        Level::File,
        &["global"],
        "this belongs to prometheus.yml or alertmanager.yml",
    ),
    (
        Level::File,
        &["rule_files"],
        "this belongs to prometheus.yml or to a unit test; check the files it names",
    ),
    (
        Level::File,
        &[
            "tests",
            "evaluation_interval",
            "group_eval_order",
            "fuzzy_compare",
        ],
        "this is a unit test of rules; run it with `burnwatch test`",
    ),
    (
        Level::File,
        &["namespace"],
        "a field of Mimir's and Loki's tools; remove it",
    ),
    (
        Level::File,
        &["spec", "metadata", "kind"],
        "a field of Kubernetes objects; load what is under `spec` as a file of its own",
    ),
    (
        Level::File,
        &["rules"],
        "rules stand in groups: `groups:`, then `- name: …` with `rules:`",
    ),
    (
        Level::Group,
        &["partial_response_strategy"],
        "a field of Thanos' rulers; remove it, there is one source of samples here",
    ),
    (
        Level::Group,
        &["source_tenants", "align_evaluation_time_on_interval"],
        "a field of Mimir's rulers; remove it",
    ),
    (
        Level::Group,
        &["evaluation_delay"],
        "a field of Mimir's and Cortex' rulers; write `query_offset`",
    ),
    (
        Level::Group,
        &["eval_delay"],
        "a field of vmalert; write `query_offset`",
    ),
    (
        Level::Group,
        &[
            "concurrency",
            "eval_offset",
            "eval_alignment",
            "params",
            "headers",
            "notifier_headers",
            "type",
            "tenant",
            "debug",
            "update_entries_limit",
        ],
        "a field of vmalert; remove it",
    ),
    (
        Level::Rule,
        &["debug", "update_entries_limit"],
        "a field of vmalert; remove it",
    ),
    (
        Level::Rule,
        &["severity", "team", "priority", "service"],
        "labels stand under `labels`",
    ),
    (
        Level::Rule,
        &[
            "summary",
            "description",
            "message",
            "runbook_url",
            "dashboard_url",
        ],
        "annotations stand under `annotations`",
    ),
    (
        Level::Rule,
        &["interval", "limit", "query_offset"],
        "this is set for a whole group, beside its `name`",
    ),
];

/// Returns what to do about a field that the level does not know.
pub(crate) fn unknown_field(level: Level, name: &str) -> Option<String> {
    let told = ELSEWHERE
        .iter()
        .find(|(at, names, _)| *at == level && names.contains(&name));
    if let Some((_, _, hint)) = told {
        return Some((*hint).to_owned());
    }
    let lower = name.to_lowercase();
    let close = nearest(&lower, level.fields().iter().copied());
    close.map(|close| format!("did you mean `{close}`?"))
}

/// Returns what to do about a name that is none in the naming scheme of the configuration.
pub(crate) fn for_name(name: &str) -> String {
    if name.is_empty() {
        return "a name must not be empty".to_owned();
    }
    "write letters, digits and `_` only, not a digit first, or set \
     `metric_name_validation_scheme: utf8`"
        .to_owned()
}

/// Returns what to do about a text that is not YAML.
pub(crate) fn for_yaml() -> String {
    "look at the indentation and quotes of this line and those above it: the fields of an item \
     stand in one column, behind its `- `"
        .to_owned()
}

/// Returns what to do about a list or mapping where text is wanted.
pub(crate) fn for_no_text(node: &Node) -> Option<String> {
    match node.kind {
        NodeKind::Mapping(_) => {
            Some("quote text that begins with `{` or holds `: `, or put it behind `|`".to_owned())
        }
        NodeKind::Sequence(_) => Some("quote text that begins with `[` or `- `".to_owned()),
        _ => None,
    }
}

/// Returns how to write what was meant by something that is no duration.
pub(crate) fn for_duration(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("remove the field, or write a duration such as `5m`".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("a unit is missing: `{text}s`, `{text}m`?"));
    }
    Some(
        "write integers with units from large to small: `1h30m`; the units are y w d h m s ms"
            .to_owned(),
    )
}

/// Returns what to do about a template that does not parse.
pub(crate) fn for_template(message: &str) -> Option<String> {
    if message.contains("undefined variable") {
        let known = "$labels, $value, $externalLabels and $externalURL";
        return Some(format!("the variables are {known}"));
    }
    None
}

/// Functions of older versions or other languages of which there is more to say than a name.
const RENAMED: [(&str, &str); 2] = [
    (
        "holt_winters",
        "it is called `double_exponential_smoothing` since Prometheus 3",
    ),
    ("median", "a MetricsQL function; write `quantile(0.5, …)`"),
];

/// Returns where in the file an expression is wrong and what to do about it.
pub(crate) fn for_expression(
    text: &str,
    error: &ParseError,
    at: Option<Place>,
    functions: &dyn SignatureTable,
) -> Option<String> {
    let place = at.map(|at| format!("at {}:{} of this file", at.line, at.column));
    let remedy = remedy_for_expression(text, error, functions);
    let parts: Vec<String> = [place, remedy].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns what to do about an expression that does not parse.
pub fn remedy_for_expression(
    text: &str,
    error: &ParseError,
    functions: &dyn SignatureTable,
) -> Option<String> {
    if let Some(rest) = error.message.strip_prefix("unknown function with name ") {
        let name = rest.trim_matches('"');
        if let Some((_, hint)) = RENAMED.iter().find(|(old, _)| *old == name) {
            return Some((*hint).to_owned());
        }
        return suggest(name, functions).map(|close| format!("did you mean `{close}`?"));
    }
    if error.message.starts_with("function ") && error.message.ends_with(" is not enabled") {
        return Some("turn on the feature promql-experimental-functions".to_owned());
    }
    if error.message.contains("experimental duration expression") {
        return Some("turn on the feature promql-duration-expr, or write one literal".to_owned());
    }
    if error
        .message
        .ends_with(" modifier is experimental and not enabled")
    {
        return Some("turn on the feature promql-extended-range-selectors".to_owned());
    }
    if error
        .message
        .starts_with("binop fill modifiers are experimental")
    {
        return Some("turn on the feature promql-binop-fill-modifiers".to_owned());
    }
    if text.contains("{{") || text.contains("<%") {
        return Some("this looks like a template; render it before loading it".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: Level, field: &str, expected: &str) {
        let hint = unknown_field(level, field).unwrap_or_default();
        assert!(hint.contains(expected), "{field}: {hint}");
    }

    #[test]
    fn fields_of_other_dialects_are_named() {
        check(Level::File, "inhibition_rules", "`inhibit_rules`");
        check(Level::Group, "partial_response_strategy", "Thanos");
        check(Level::Group, "source_tenants", "Mimir");
        check(Level::Group, "concurrency", "vmalert");
        check(Level::Rule, "severity", "`labels`");
    }

    #[test]
    fn a_slip_is_put_right() {
        check(Level::Rule, "Alert", "`alert`");
        check(Level::Rule, "exp", "`expr`");
        check(Level::Rule, "anotations", "`annotations`");
        check(Level::Group, "rule", "`rules`");
        check(Level::File, "zzz", "");
    }
}
