//! Where findings lie in the file: its tree is read once more, for rules keep only where they
//! begin.

use std::collections::HashMap;
use std::rc::Rc;

use crate::rule::Rule;
use crate::rule::lint::At;
use crate::yaml::{Document, Node, NodeKind, Place, all_documents};

/// The rules of a file by where they begin.
pub(crate) struct Places {
    documents: Vec<Document>,
    rules: HashMap<(usize, usize), RuleNodes>,
}

/// The node of a rule, that of the group around it, and the document they stand in.
struct RuleNodes {
    rule: Rc<Node>,
    group: Option<Rc<Node>>,
    document_idx: usize,
}

impl Places {
    /// Reads the tree of a file; one that cannot be read has no places in it.
    pub(crate) fn of(text: &str) -> Self {
        let documents = all_documents(text).unwrap_or_default();
        let mut rules = HashMap::new();
        for (document_idx, document) in documents.iter().enumerate() {
            collect(&document.root, None, document_idx, &mut rules);
        }
        Places { documents, rules }
    }

    /// Returns where a finding about a rule lies.
    pub(crate) fn of_finding(&self, rule: &Rule, at: &At) -> Place {
        let whole = Place {
            line: rule.line,
            column: rule.column,
        };
        let Some(nodes) = self.rules.get(&(rule.line, rule.column)) else {
            return whole;
        };
        let found = match at {
            At::Expr(span) => field(&nodes.rule, "expr").map(|node| {
                let NodeKind::Scalar { text, begins, .. } = &node.kind else {
                    return node.place;
                };
                let document = &self.documents[nodes.document_idx];
                let place = document.place_within(*begins, text, span.start);
                place.unwrap_or(node.place)
            }),
            At::Field(name) => field(&nodes.rule, name).map(|node| node.place),
            At::GroupField(name) => {
                let group = nodes.group.as_deref();
                group.map(|group| field(group, name).map_or(group.place, |node| node.place))
            }
            At::Entry(name, entry) => {
                let entries = field(&nodes.rule, name);
                entries.and_then(|node| field(node, entry).map(|node| node.place))
            }
        };
        found.unwrap_or(whole)
    }
}

/// Collects the mappings with an `expr`, wherever they stand: files and custom resources alike.
fn collect(
    node: &Rc<Node>,
    group: Option<&Rc<Node>>,
    document_idx: usize,
    rules: &mut HashMap<(usize, usize), RuleNodes>,
) {
    match &node.kind {
        NodeKind::Sequence(items) => items
            .iter()
            .for_each(|item| collect(item, group, document_idx, rules)),
        NodeKind::Mapping(_) if field(node, "expr").is_some() => {
            let place = (node.place.line, node.place.column);
            rules.entry(place).or_insert_with(|| RuleNodes {
                rule: Rc::clone(node),
                group: group.cloned(),
                document_idx,
            });
        }
        NodeKind::Mapping(pairs) => pairs
            .iter()
            .for_each(|(_, value)| collect(value, Some(node), document_idx, rules)),
        NodeKind::Null | NodeKind::Scalar { .. } => {}
    }
}

fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        return None;
    };
    let found = pairs.iter().find(|(key, _)| key.text() == Some(name));
    found.map(|(_, value)| &**value)
}
