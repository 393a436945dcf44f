//! What to do about an error: the remedy that a rule file's author most likely needs.
//!
//! Prometheus says what is wrong; these say what to do, and name the tool a field comes from
//! where files of other tools are handed to us. A hint never decides anything.

use crate::model::spelling::nearest;
use crate::rule::dialect;
use crate::yaml::{Node, NodeKind, Place, YamlErrorKind};

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
const ELSEWHERE: [(Level, &[&str], &str); 11] = [
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
        &["spec", "metadata", "kind"],
        "a field of Kubernetes objects; load what is under `spec` as a file of its own",
    ),
    (
        Level::File,
        &["rules"],
        "rules stand in groups: `groups:`, then `- name: …` with `rules:`",
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
pub(crate) fn unknown_field(level: Level, name: &str, value: &Node) -> String {
    let told = ELSEWHERE
        .iter()
        .find(|(at, names, _)| *at == level && names.contains(&name));
    if let Some((_, _, hint)) = told {
        return (*hint).to_owned();
    }
    if let Some(hint) = dialect::hint(level, name, value) {
        return hint;
    }
    let lower = name.to_lowercase();
    match nearest(&lower, level.fields().iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("a {} has {}", level.described(), level.fields().join(", ")),
    }
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
pub(crate) fn for_yaml(text: &str, place: Place) -> String {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or("");
    if line.contains("{{") || line.contains("<%") {
        return "quote text that holds `{{`, or render the file if it is a template itself"
            .to_owned();
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return "indent by spaces, YAML takes no tabs there".to_owned();
    }
    "look at the indentation and quotes of this line and those above it: the fields of an item \
     stand in one column, behind its `- `"
        .to_owned()
}

/// Returns what to do about YAML that cannot be told as a tree.
pub(crate) fn for_problem(problem: &YamlErrorKind) -> String {
    match problem {
        YamlErrorKind::RepeatedKey { .. } => {
            "keep one of the two: which one a reader sees would be a matter of luck".to_owned()
        }
        YamlErrorKind::CollectionAsKey(_) => {
            "a name must be text; quote what begins with `{` or `[`".to_owned()
        }
        YamlErrorKind::WrongTag { tag, .. } => {
            format!("remove `{tag}`, or write a value of that type")
        }
        YamlErrorKind::WrongBinary => "remove `!!binary`, or write base64 behind it".to_owned(),
        _ => "`<<:` takes the fields of a mapping: `<<: *name`, with `&name` at that mapping"
            .to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: Level, field: &str, expected: &str) {
        let value = Node::leaf(NodeKind::Null, Place::default());
        let hint = unknown_field(level, field, &value);
        assert!(hint.contains(expected), "{field}: {hint}");
    }

    #[test]
    fn fields_of_other_files_and_dialects_are_named() {
        check(Level::File, "inhibition_rules", "`inhibit_rules`");
        check(
            Level::Group,
            "partial_response_strategy",
            "--rules.dialect=thanos",
        );
        check(Level::Group, "source_tenants", "--rules.dialect=mimir");
        check(Level::Group, "evaluation_delay", "`query_offset`");
        check(Level::Group, "concurrency", "--rules.dialect=vmalert");
        check(Level::Group, "tenant", "refuses it too");
        check(Level::Rule, "severity", "`labels`");
    }

    #[test]
    fn a_slip_is_put_right() {
        check(Level::Rule, "Alert", "`alert`");
        check(Level::Rule, "exp", "`expr`");
        check(Level::Rule, "anotations", "`annotations`");
        check(Level::Group, "rule", "`rules`");
        check(Level::File, "zzz", "a rule file has groups");
    }
}
