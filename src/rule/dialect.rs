//! Fields that other evaluators of Prometheus rules know beside Prometheus' own.
//!
//! Prometheus refuses them, and so do we, unless `--rules.dialect` names the evaluator that the
//! files were written for. Then a field that changes nothing here is passed over with a note,
//! one that has a counterpart is read as that, and one that would give a rule another meaning is
//! refused still, with the reason: a rule that means something else is worse than none.

use crate::model::Dialect;
use crate::model::DurationMs;
use crate::rule::RuleNote;
use crate::rule::fields::{Fields, read_duration};
use crate::rule::file::Reading;
use crate::rule::hint::Level;
use crate::rule::{Rule, RuleKind};
use crate::yaml::{Node, NodeKind};

/// What becomes of a field's value under its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// It changes nothing here, for the reason given.
    PassedOver(&'static str),
    /// It is read, as what is given.
    Read(&'static str),
    /// It would give the rules another meaning, for the reason given.
    Refused(&'static str),
    /// It is no value of this field; what would be one is given.
    Wrong(&'static str),
}

use Judgement::{PassedOver, Read, Refused, Wrong};

/// A field of a dialect: where it may stand, and how its value is judged.
type Known = (Dialect, Level, &'static str, fn(&Node) -> Judgement);

const KNOWN: [Known; 21] = [
    (
        Dialect::Thanos,
        Level::Group,
        "partial_response_strategy",
        partial_response,
    ),
    (Dialect::Mimir, Level::File, "namespace", namespace),
    (
        Dialect::Mimir,
        Level::Group,
        "source_tenants",
        source_tenants,
    ),
    (Dialect::Mimir, Level::Group, EVALUATION_DELAY, |_| {
        Read("`query_offset`")
    }),
    (Dialect::Mimir, Level::Group, ALIGN, align),
    (Dialect::Mimir, Level::Group, "remote_write", |_| {
        Refused("recorded series are written where the configuration says, for all groups alike")
    }),
    (Dialect::Vmalert, Level::Group, "concurrency", |node| {
        integer(node, "the rules of a group are evaluated in order here")
    }),
    (Dialect::Vmalert, Level::Group, "eval_offset", |_| {
        Refused(
            "the group would tick at another instant than this; a group ticks where Prometheus has it tick",
        )
    }),
    (Dialect::Vmalert, Level::Group, EVAL_DELAY, |_| {
        Read("`query_offset`")
    }),
    (Dialect::Vmalert, Level::Group, "eval_alignment", |node| {
        boolean(
            node,
            "a group ticks at fixed instants of its interval anyway",
        )
    }),
    (Dialect::Vmalert, Level::Group, "params", |node| {
        unless_empty(
            node,
            "the parameters would change what the data source answers, and none is asked here",
        )
    }),
    (
        Dialect::Vmalert,
        Level::Group,
        "extra_filter_labels",
        |node| {
            unless_empty(
                node,
                "the filters would hide series from the rules; write them into the selectors",
            )
        },
    ),
    (Dialect::Vmalert, Level::Group, "headers", headers),
    (Dialect::Vmalert, Level::Group, "notifier_headers", |_| {
        PassedOver("what Alertmanager is sent is set under `alerting` of the configuration")
    }),
    (Dialect::Vmalert, Level::Group, "type", language),
    (Dialect::Vmalert, Level::Group, "datasource_type", language),
    (Dialect::Vmalert, Level::Group, "tenant", |_| {
        Refused("the rules would see this tenant's series only, and there are no tenants here")
    }),
    (Dialect::Vmalert, Level::Group, "debug", debug),
    (Dialect::Vmalert, Level::Rule, "debug", debug),
    (
        Dialect::Vmalert,
        Level::Group,
        "update_entries_limit",
        entries,
    ),
    (
        Dialect::Vmalert,
        Level::Rule,
        "update_entries_limit",
        entries,
    ),
];

const EVALUATION_DELAY: &str = "evaluation_delay";
const EVAL_DELAY: &str = "eval_delay";
const ALIGN: &str = "align_evaluation_time_on_interval";

/// The label that Mimir gives to series of federated groups.
const TENANT_LABEL: &str = "__tenant_id__";

fn partial_response(node: &Node) -> Judgement {
    let is_known = |text: &str| ["", "warn", "abort"].contains(&text.to_lowercase().as_str());
    match node.is_null() || node.text().is_some_and(is_known) {
        true => PassedOver("samples come from one place here, so no response is partial"),
        false => Wrong("`warn` or `abort`"),
    }
}

fn namespace(node: &Node) -> Judgement {
    match node.is_null() || node.text().is_some() {
        true => PassedOver("a group is known by its file and name"),
        false => Wrong("text"),
    }
}

fn source_tenants(node: &Node) -> Judgement {
    let is_text = |item: &std::rc::Rc<Node>| item.text().is_some();
    match &node.kind {
        NodeKind::Sequence(items) if !items.iter().all(is_text) => Wrong("a list of texts"),
        NodeKind::Null | NodeKind::Sequence(_) => {
            PassedOver("there are no tenants here, rules read all series that are pushed")
        }
        _ => Wrong("a list of texts"),
    }
}

fn align(node: &Node) -> Judgement {
    match boolean(node, "groups are not aligned unless asked to") {
        PassedOver(_) if truth(node) == Some(true) => Read("ticks at multiples of the interval"),
        judgement => judgement,
    }
}

fn headers(node: &Node) -> Judgement {
    let tenant = ["x-scope-orgid", "accountid", "projectid"];
    let names_tenant = |item: &std::rc::Rc<Node>| {
        let text = item.text().unwrap_or_default().to_lowercase();
        tenant
            .iter()
            .any(|name| text.trim_start().starts_with(name))
    };
    match &node.kind {
        NodeKind::Sequence(items) if items.iter().any(names_tenant) => {
            Refused("the rules would see one tenant's series only, and there are no tenants here")
        }
        NodeKind::Null | NodeKind::Sequence(_) => {
            PassedOver("no data source is asked here, samples are pushed")
        }
        _ => Wrong("a list of texts"),
    }
}

fn language(node: &Node) -> Judgement {
    match node.text() {
        None if node.is_null() => PassedOver("rules are PromQL"),
        Some("" | "prometheus") => PassedOver("rules are PromQL"),
        Some("graphite") => Refused("its expressions are Graphite's, not PromQL"),
        Some("vlogs") => Refused("its expressions are LogsQL over logs, not PromQL"),
        _ => Wrong("`prometheus`, `graphite` or `vlogs`"),
    }
}

fn debug(node: &Node) -> Judgement {
    boolean(node, "`burnwatch explain` shows how a rule is evaluated")
}

fn entries(node: &Node) -> Judgement {
    integer(node, "past evaluations are not kept here")
}

fn integer(node: &Node, reason: &'static str) -> Judgement {
    let is_integer = |text: &str| text.parse::<i64>().is_ok();
    match node.is_null() || node.text().is_some_and(is_integer) {
        true => PassedOver(reason),
        false => Wrong("an integer"),
    }
}

fn boolean(node: &Node, reason: &'static str) -> Judgement {
    match node.is_null() || truth(node).is_some() {
        true => PassedOver(reason),
        false => Wrong("`true` or `false`"),
    }
}

fn unless_empty(node: &Node, reason: &'static str) -> Judgement {
    match &node.kind {
        NodeKind::Null => PassedOver("it is empty"),
        NodeKind::Mapping(pairs) if pairs.is_empty() => PassedOver("it is empty"),
        NodeKind::Mapping(_) => Refused(reason),
        _ => Wrong("a mapping"),
    }
}

fn truth(node: &Node) -> Option<bool> {
    match node.text()? {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn known(level: Level, name: &str) -> Option<&'static Known> {
    let is_meant = |entry: &&Known| entry.1 == level && entry.2 == name;
    KNOWN.iter().find(is_meant)
}

/// Returns the words for a dialect's evaluator.
fn evaluator(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Prometheus => "Prometheus",
        Dialect::Thanos => "Thanos' ruler",
        Dialect::Mimir => "Mimir's ruler",
        Dialect::Vmalert => "vmalert",
    }
}

/// Returns which evaluator a field is of and what to do about it; `None` for a field of none.
pub(crate) fn hint(level: Level, name: &str, value: &Node) -> Option<String> {
    let (dialect, _, _, judge) = known(level, name)?;
    let of = format!("a field of {}", evaluator(*dialect));
    let switch = format!("--rules.dialect={dialect}");
    Some(match judge(value) {
        PassedOver(reason) => format!("{of}; remove it, or pass over it with {switch}: {reason}"),
        Read(meaning) if meaning.starts_with('`') => {
            format!("{of}; write {meaning}, or have it read as that with {switch}")
        }
        Read(meaning) => format!("{of}; remove it, or have it read with {switch}: {meaning}"),
        Refused(reason) => format!("{of}; remove it, {switch} refuses it too: {reason}"),
        Wrong(wanted) => {
            format!(
                "a field of {}, where it is {wanted}; remove it",
                evaluator(*dialect)
            )
        }
    })
}

/// Takes a field that Prometheus does not know: under its dialect it is passed over or read with
/// a note, or refused with the reason. Tells whether it is dealt with.
pub(crate) fn take(
    reading: &mut Reading<'_>,
    level: Level,
    key: &Node,
    value: &Node,
    about: &str,
) -> bool {
    let name = key.text().unwrap_or_default();
    let Some((dialect, _, _, judge)) = known(level, name) else {
        return false;
    };
    // The operator of Kubernetes takes this field off the rules that it gives to a Prometheus.
    let is_of_operator = reading.is_resource && *dialect == Dialect::Thanos;
    if *dialect != reading.options.format.dialect && !is_of_operator {
        return false;
    }
    let evaluator = evaluator(*dialect);
    match judge(value) {
        PassedOver(reason) => {
            note(
                reading,
                key,
                format!("{about}`{name}` is passed over: {reason}"),
            );
        }
        Read(meaning) => note(
            reading,
            key,
            format!("{about}`{name}` is read as {meaning}"),
        ),
        Refused(reason) => {
            let message = format!("{about}field '{name}' of {evaluator} cannot be kept: {reason}");
            let hint = format!("remove `{name}` if the rules are right without it");
            reading.refuse(key.place, message, Some(hint));
        }
        Wrong(wanted) => {
            let found = value.described();
            let message = format!("{about}field '{name}' must be {wanted}, found {found}");
            let hint = format!("write what {evaluator} takes, or remove `{name}`");
            reading.refuse(value.place, message, Some(hint));
        }
    }
    true
}

fn note(reading: &mut Reading<'_>, key: &Node, message: String) {
    reading.notes.push(RuleNote {
        file: reading.path.to_owned(),
        line: key.place.line,
        column: key.place.column,
        message,
    });
}

/// Reads `query_offset`, under any of its names; two of them must agree.
pub(crate) fn read_query_offset(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    about: &str,
) -> Option<DurationMs> {
    let own = read_duration(reading, fields, "query_offset", about);
    let mut offset = own;
    for name in [EVALUATION_DELAY, EVAL_DELAY] {
        let other = read_duration(reading, fields, name, about);
        if let (Some(own), Some(other)) = (own, other)
            && own != other
        {
            let place = fields
                .get(name)
                .map_or_else(Default::default, |node| node.place);
            let message = format!("{about}: `{name}` and `query_offset` differ: {other} and {own}");
            let hint = format!("`{name}` is another name of `query_offset`; keep one of them");
            reading.refuse(place, message, Some(hint));
        }
        offset = offset.or(other);
    }
    offset
}

/// Tells whether a group's ticks are to lie at multiples of its interval.
pub(crate) fn is_aligned(fields: &Fields<'_>) -> bool {
    fields.get(ALIGN).and_then(|node| truth(node)) == Some(true)
}

/// Refuses rules of federated groups that read the label which only Mimir sets.
pub(crate) fn check_tenants(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    rules: &[Rule],
    about: &str,
) {
    let Some(node) = fields.get("source_tenants") else {
        return;
    };
    if let Some(rule) = rules.iter().find(|rule| reads_tenant(rule)) {
        let message = format!(
            "{about}: rule {:?} reads {TENANT_LABEL}, which series have in Mimir alone",
            rule.name
        );
        let hint = "give the series a label of that meaning where they are scraped, and read that";
        reading.refuse(node.place, message, Some(hint.to_owned()));
    }
}

fn reads_tenant(rule: &Rule) -> bool {
    let annotations: &[(String, String)] = match &rule.kind {
        RuleKind::Alerting { annotations, .. } => annotations,
        RuleKind::Recording => &[],
    };
    let mut texts = rule.labels.iter().chain(annotations).map(|(_, text)| text);
    rule.expr.to_string().contains(TENANT_LABEL) || texts.any(|text| text.contains(TENANT_LABEL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::first_document;

    fn check(name: &str, value: &str, expected: Judgement) {
        let document = first_document(value).expect("YAML");
        let (.., judge) = KNOWN.iter().find(|known| known.2 == name).expect("known");
        let judged = judge(&document.root);
        let same = std::mem::discriminant(&judged) == std::mem::discriminant(&expected);
        assert!(same, "{name}: {value}: {judged:?}");
    }

    #[test]
    fn what_changes_nothing_is_passed_over() {
        check("partial_response_strategy", "ABORT", PassedOver(""));
        check("partial_response_strategy", "maybe", Wrong(""));
        check("namespace", "a", PassedOver(""));
        check("source_tenants", "[a, b]", PassedOver(""));
        check("source_tenants", "a", Wrong(""));
        check("concurrency", "4", PassedOver(""));
        check("concurrency", "many", Wrong(""));
        check("debug", "true", PassedOver(""));
        check("headers", "['Authorization: x']", PassedOver(""));
        check("update_entries_limit", "5", PassedOver(""));
        check("params", "{}", PassedOver(""));
        check("type", "prometheus", PassedOver(""));
        check(ALIGN, "false", PassedOver(""));
    }

    #[test]
    fn what_has_a_counterpart_is_read() {
        check(EVALUATION_DELAY, "1m", Read(""));
        check(EVAL_DELAY, "1m", Read(""));
        check(ALIGN, "true", Read(""));
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        check("eval_offset", "5m", Refused(""));
        check("params", "{nocache: ['1']}", Refused(""));
        check("tenant", "'1:2'", Refused(""));
        check("type", "graphite", Refused(""));
        check("type", "vlogs", Refused(""));
        check("type", "sql", Wrong(""));
        check("headers", "['X-Scope-OrgID: a']", Refused(""));
        check("remote_write", "[]", Refused(""));
    }
}
