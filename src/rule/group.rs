//! One group of a rule file and its rules, checked as Prometheus checks them.
//!
//! Reading goes on behind an error, so that a group is refused with everything that is wrong
//! with it. The order of the checks and their words are those of `rulefmt`.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::model::labels::quote;
use crate::model::{DurationMs, METRIC_NAME};
use crate::promql::{self, Expr, ValueType};
use crate::rule::dialect;
use crate::rule::expression_hint::for_expression;
use crate::rule::fields::{
    Fields, known_fields, node_text, peek_text, read_duration, read_limit, read_text, read_texts,
};
use crate::rule::file::Reading;
use crate::rule::hint::{self, Level};
use crate::rule::template_hint::for_template;
use crate::rule::{Rule, RuleGroup, RuleKind};
use crate::template::Template;
use crate::yaml::{Node, NodeKind, Place};

/// Reads one group; `names` are the groups met before and where.
pub(crate) fn read_group(
    reading: &mut Reading<'_>,
    node: &Node,
    names: &mut HashMap<String, Place>,
) -> Option<RuleGroup> {
    let name = peek_text(node, "name").unwrap_or("");
    let about = format!("group {}", quote(name));
    let fields = known_fields(reading, node, Level::Group, &about)?;
    read_text(reading, &fields, "name", &about);
    if name.is_empty() {
        let hint = "give the group a `name`, unique in this file".to_owned();
        reading.refuse(node.place, "Groupname must not be empty", Some(hint));
    }
    if let Some(first) = names.get(name) {
        let message = format!("groupname: \"{name}\" is repeated in the same file");
        let hint = format!("line {} has a group of that name; rename one", first.line);
        reading.refuse(node.place, message, Some(hint));
    } else {
        names.insert(name.to_owned(), node.place);
    }
    let labels = read_labels(reading, &fields, &about);
    let interval = read_duration(reading, &fields, "interval", &about);
    let query_offset = dialect::read_query_offset(reading, &fields, &about);
    let limit = read_limit(reading, &fields, &about);
    let mut rules = Vec::new();
    for (idx, item) in read_rules(reading, &fields, &about).iter().enumerate() {
        rules.extend(read_rule(
            reading,
            item,
            &format!("{about}, rule {}", idx + 1),
            &labels,
        ));
    }
    dialect::check_tenants(reading, &fields, &rules, &about);
    Some(RuleGroup {
        file: reading.group_file.clone(),
        name: name.to_owned(),
        interval: interval.filter(|interval| *interval != DurationMs::ZERO),
        query_offset,
        is_aligned: dialect::is_aligned(&fields),
        limit,
        rules,
    })
}

fn read_rules<'a>(
    reading: &mut Reading<'_>,
    fields: &Fields<'a>,
    about: &str,
) -> Vec<&'a Rc<Node>> {
    let Some(node) = fields.get("rules") else {
        return Vec::new();
    };
    match &node.kind {
        NodeKind::Null => Vec::new(),
        // A null item is skipped and not counted, as Prometheus' decoder does.
        NodeKind::Sequence(items) => items.iter().filter(|item| !item.is_null()).collect(),
        _ => {
            let message = format!(
                "{about}: field 'rules' must be a list, found {}",
                node.described()
            );
            let hint = "each rule is an item: `- record: …` or `- alert: …`".to_owned();
            reading.refuse(node.place, message, Some(hint));
            Vec::new()
        }
    }
}

/// Reads one rule; `None` where it has no expression to evaluate.
fn read_rule(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
    group_labels: &BTreeMap<String, String>,
) -> Option<Rule> {
    let record = peek_text(node, "record").unwrap_or("");
    let alert = peek_text(node, "alert").unwrap_or("");
    let name = if alert.is_empty() { record } else { alert };
    let about = &format!("{about}, {}", quote(name));
    let fields = known_fields(reading, node, Level::Rule, about)?;
    let is_text =
        read_text(reading, &fields, "record", about) & read_text(reading, &fields, "alert", about);
    let place_of = |field: &str| fields.get(field).map_or(node.place, |node| node.place);
    if !record.is_empty() && !alert.is_empty() {
        let other = place_of("alert");
        let message = format!("{about}: only one of 'record' and 'alert' must be set");
        let hint = format!(
            "`alert` is at {}:{}; make it two rules",
            other.line, other.column
        );
        reading.refuse(place_of("record"), message, Some(hint));
    }
    if name.is_empty() && is_text {
        let message = format!("{about}: one of 'record' or 'alert' must be set");
        let hint = "name the rule: `record:` a series name or `alert:` an alert name".to_owned();
        reading.refuse(place_of("record"), message, Some(hint));
    }
    let expr = read_expr(reading, &fields, node.place, about);
    let hold = read_duration(reading, &fields, "for", about).unwrap_or_default();
    let keep_firing = read_duration(reading, &fields, "keep_firing_for", about).unwrap_or_default();
    let labels = read_labels(reading, &fields, about);
    let annotations = read_annotations(reading, &fields, about);
    if !record.is_empty() {
        let wrong = [
            ("annotations", !annotations.is_empty()),
            ("for", hold != DurationMs::ZERO),
            ("keep_firing_for", keep_firing != DurationMs::ZERO),
        ];
        for (field, _) in wrong.iter().filter(|(_, wrong)| *wrong) {
            let message = format!("{about}: invalid field '{field}' in recording rule");
            let hint = format!("remove `{field}`, or make the rule an `alert`");
            reading.refuse(place_of("record"), message, Some(hint));
        }
        check_record_name(reading, record, place_of("record"), about);
    }
    if !alert.is_empty() {
        check_templates(reading, &fields, alert, about);
    }
    let mut merged = group_labels.clone();
    merged.extend(labels);
    let kind = if alert.is_empty() {
        RuleKind::Recording
    } else {
        RuleKind::Alerting {
            hold,
            keep_firing,
            annotations: annotations.into_iter().collect(),
        }
    };
    Some(Rule {
        name: name.to_owned(),
        kind,
        expr: expr?,
        labels: merged.into_iter().collect(),
        line: node.place.line,
        column: node.place.column,
    })
}

fn check_record_name(reading: &mut Reading<'_>, record: &str, place: Place, about: &str) {
    if !reading.options.format.names.is_metric_name(record) {
        let message = format!("{about}: invalid recording rule name: {record}");
        reading.refuse(place, message, Some(hint::for_name(record)));
    }
    if record.contains(['{', '}']) {
        let message = format!(
            "{about}: braces present in the recording rule name; should it be in expr?: {record}"
        );
        let hint = "`record` is a metric name alone; labels to set go under `labels`".to_owned();
        reading.refuse(place, message, Some(hint));
    }
}

fn read_expr(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    rule: Place,
    about: &str,
) -> Option<Expr> {
    let node = fields.get("expr");
    if !read_text(reading, fields, "expr", about) {
        return None;
    }
    let place = node.map_or(rule, |node| node.place);
    let Some(NodeKind::Scalar { text, begins, .. }) = node
        .map(|node| &node.kind)
        .filter(|_| !node_text(fields, "expr").is_empty())
    else {
        let message = format!("{about}: field 'expr' must be set in rule");
        let hint = "write the PromQL expression of the rule as `expr`".to_owned();
        reading.refuse(place, message, Some(hint));
        return None;
    };
    match promql::parse(text, reading.functions, reading.options.features) {
        Ok(expr) => {
            warn_of_type(reading, &expr, about);
            Some(expr)
        }
        Err(e) => {
            let at = reading.document.place_within(*begins, text, e.span.start);
            let hint = for_expression(text, &e, at, reading.functions);
            let message = format!("{about}: could not parse expression: {e}");
            reading.refuse(place, message, Some(hint));
            None
        }
    }
}

/// Warns of an expression that loads, in Prometheus too, but fails whenever it is evaluated.
fn warn_of_type(reading: &mut Reading<'_>, expr: &Expr, about: &str) {
    let returns = promql::type_of(expr, reading.functions);
    if matches!(returns, ValueType::Matrix | ValueType::String) {
        reading.warnings.push(format!(
            "{about}: every evaluation will fail: rule result is not a vector or scalar but a {}",
            returns.documented()
        ));
    }
}

/// Parses the templates of an alert's own labels and annotations; running them is another matter.
fn check_templates(reading: &mut Reading<'_>, fields: &Fields<'_>, alert: &str, about: &str) {
    let name = format!("__alert_{alert}");
    for (field, one) in [("labels", "label"), ("annotations", "annotation")] {
        let Some(NodeKind::Mapping(pairs)) = fields.get(field).map(|node| &node.kind) else {
            continue;
        };
        for (key, value) in pairs {
            let (Some(key), Some(text)) = (key.text(), value.text()) else {
                continue;
            };
            let about = format!("{about}: {one} {}", quote(key));
            match Template::parse(&name, text) {
                Ok(template) => warn_of_queries(reading, &template, &about),
                Err(e) => {
                    let hint = for_template(&e.0);
                    reading.refuse(value.place, format!("{about}: {e}"), Some(hint));
                }
            }
        }
    }
}

/// Warns of constant queries in a template that load, in Prometheus too, but fail when it runs.
fn warn_of_queries(reading: &mut Reading<'_>, template: &Template, about: &str) {
    for query in template.constant_queries() {
        if let Err(e) = promql::parse(&query, reading.functions, reading.options.features) {
            let warning = format!("{about}: its query will fail: {e}");
            reading.warnings.push(warning);
        }
    }
}

fn read_labels(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    about: &str,
) -> BTreeMap<String, String> {
    let pairs = read_texts(reading, fields, "labels", about);
    for (name, (_, place)) in &pairs {
        if !reading.options.format.names.is_label_name(name) || name == METRIC_NAME {
            let hint = match name.as_str() {
                METRIC_NAME => "the metric name is what `record` or `alert` says".to_owned(),
                name => hint::for_name(name),
            };
            reading.refuse(
                *place,
                format!("{about}: invalid label name: {name}"),
                Some(hint),
            );
        }
    }
    pairs
        .into_iter()
        .map(|(name, (value, _))| (name, value))
        .collect()
}

fn read_annotations(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    about: &str,
) -> BTreeMap<String, String> {
    let pairs = read_texts(reading, fields, "annotations", about);
    for (name, (_, place)) in &pairs {
        if !reading.options.format.names.is_label_name(name) {
            let message = format!("{about}: invalid annotation name: {name}");
            reading.refuse(*place, message, Some(hint::for_name(name)));
        }
    }
    pairs
        .into_iter()
        .map(|(name, (value, _))| (name, value))
        .collect()
}
