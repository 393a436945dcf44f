//! Rule files as resources of Kubernetes: `kind: PrometheusRule`, alone, in a list, or several
//! documents in a file.
//!
//! What is under `spec` is read as a rule file is; places are those of the file that holds the
//! resource. As Prometheus' operator does it, an empty duration counts as none, Thanos' field is
//! passed over, and every resource counts as a file of its own: of several in one file, two may
//! have groups of one name.

use std::collections::HashMap;
use std::rc::Rc;

use crate::model::spelling::nearest;
use crate::rule::ParsedFile;
use crate::rule::file::{Reading, read_groups};
use crate::yaml::{Document, Node, NodeKind, Place};

/// The kind that holds rules.
const RULE: &str = "PrometheusRule";
/// The kinds that hold resources.
const LISTS: [&str; 2] = ["List", "PrometheusRuleList"];

/// Tells whether a document is a resource rather than a rule file.
pub(crate) fn is_resource(root: &Node) -> bool {
    let has = |name: &str| field(root, name).is_some();
    (has("kind") || has("apiVersion")) && !has("groups")
}

/// Reads the groups of all resources of a file's documents.
pub(crate) fn read_resources<'a>(
    reading: &mut Reading<'a>,
    documents: &'a [Document],
    parsed: &mut ParsedFile,
) {
    reading.is_resource = true;
    let mut resources: Vec<(&'a Document, &'a Node)> = Vec::new();
    let mut is_list = false;
    for document in documents {
        reading.document = document;
        reading.refuse_problems();
        let root = &document.root;
        if kind(root).is_some_and(|kind| LISTS.contains(&kind)) {
            is_list = true;
            let items = items(reading, root).iter();
            resources.extend(items.map(|item| (document, item.as_ref())));
        } else if !root.is_null() {
            resources.push((document, root));
        }
    }
    let is_one_of_many = is_list || resources.len() > 1;
    let mut names = HashMap::new();
    for (document, resource) in resources {
        reading.document = document;
        let Some(spec) = spec_of(reading, resource) else {
            continue;
        };
        if is_one_of_many && !name_file(reading, resource, &mut names) {
            continue;
        }
        read_spec(reading, spec, parsed);
    }
}

/// Returns the items of a list of resources.
fn items<'a>(reading: &mut Reading<'_>, list: &'a Node) -> &'a [Rc<Node>] {
    let Some(node) = field(list, "items") else {
        return &[];
    };
    match &node.kind {
        NodeKind::Null => &[],
        NodeKind::Sequence(items) => items,
        _ => {
            let message = format!("field 'items' must be a list, found {}", node.described());
            let hint = format!("each item is a {RULE}, with `kind`, `metadata` and `spec`");
            reading.refuse(node.place, message, Some(hint));
            &[]
        }
    }
}

/// Returns the spec of a resource that holds rules; refuses any other.
fn spec_of<'a>(reading: &mut Reading<'_>, resource: &'a Node) -> Option<&'a Node> {
    match kind(resource) {
        Some(RULE) => return field(resource, "spec").filter(|spec| !spec.is_null()),
        Some(kind) => {
            let place = field(resource, "kind").map_or(resource.place, |node| node.place);
            let message = format!("{kind} is a Kubernetes object that holds no rules");
            reading.refuse(place, message, Some(hint_for_kind(kind)));
        }
        None => {
            let message = format!(
                "{} is no Kubernetes object: it has no kind",
                shown(resource)
            );
            let hint = format!("write `kind: {RULE}`, or `groups:` at the top for a rule file");
            reading.refuse(resource.place, message, Some(hint));
        }
    }
    None
}

fn shown(node: &Node) -> String {
    match &node.kind {
        NodeKind::Mapping(_) => "this mapping".to_owned(),
        _ => node.described(),
    }
}

fn hint_for_kind(kind: &str) -> String {
    match kind {
        "ConfigMap" | "Secret" => {
            "a rule file is the text of one key of its data; write it to a file of its own: \
             `kubectl get configmap NAME -o go-template='{{index .data \"rules.yml\"}}'`"
                .to_owned()
        }
        "VMRule" => "a resource of VictoriaMetrics' operator; write what is under its `spec` to a \
                     file of its own and load that with --rules.dialect=vmalert"
            .to_owned(),
        kind => match nearest(kind, [RULE, "List", "PrometheusRuleList"]) {
            Some(near) => format!("did you mean `kind: {near}`?"),
            None => format!("rules stand in a {RULE}, alone or in a List; take the others out"),
        },
    }
}

/// Makes a resource the file of the groups that follow; refuses a second one of its name.
fn name_file(
    reading: &mut Reading<'_>,
    resource: &Node,
    names: &mut HashMap<String, Place>,
) -> bool {
    let metadata = |name: &str| {
        let node = field(resource, "metadata").and_then(|metadata| field(metadata, name));
        node.and_then(Node::text).filter(|text| !text.is_empty())
    };
    let name = match (metadata("namespace"), metadata("name").unwrap_or("")) {
        (Some(namespace), name) => format!("{namespace}/{name}"),
        (None, name) => name.to_owned(),
    };
    reading.group_file = format!("{}#{name}", reading.path);
    let Some(first) = names.get(&name) else {
        names.insert(name, resource.place);
        return true;
    };
    let message = format!("{RULE} {name:?} is repeated in the same file");
    let hint = format!("line {} has one of that name; rename one", first.line);
    reading.refuse(resource.place, message, Some(hint));
    false
}

fn read_spec(reading: &mut Reading<'_>, spec: &Node, parsed: &mut ParsedFile) {
    let NodeKind::Mapping(pairs) = &spec.kind else {
        let message = format!("field 'spec' must be a mapping, found {}", spec.described());
        let hint = "write `spec:` and below it `groups:`".to_owned();
        return reading.refuse(spec.place, message, Some(hint));
    };
    for (key, value) in pairs {
        match key.text() {
            Some("groups") => read_groups(reading, value, parsed),
            Some(_) if reading.options.format.ignore_unknown_fields => {}
            name => {
                let name = name.map_or_else(|| key.described(), str::to_owned);
                let message = format!("field {name} not found in the spec of a {RULE}");
                let hint = "a spec holds `groups` alone; its rules are those of a rule file";
                reading.refuse(key.place, message, Some(hint.to_owned()));
            }
        }
    }
}

fn kind(resource: &Node) -> Option<&str> {
    field(resource, "kind").and_then(Node::text)
}

/// Returns a field of a mapping.
fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        return None;
    };
    let found = pairs.iter().find(|(key, _)| key.text() == Some(name));
    found.map(|(_, value)| value.as_ref())
}
