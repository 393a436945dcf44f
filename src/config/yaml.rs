//! A YAML document as a tree whose every node knows its line and column.
//!
//! Sections of the configuration share fields (every receiver has the HTTP client's), refuse
//! unknown keys and say where. Reading them off a tree does all three in the same few lines;
//! `serde`'s flattening would lose the positions and cannot refuse unknown keys. Scalars keep
//! their text, so that `password: 0123` is the text it looks like, as in Prometheus.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::config::ConfigError;

/// The deepest nesting; a deeper document is refused.
const DEPTH_MAX: usize = 64;
/// The most nodes, aliases unfolded; a larger document is refused.
const NODES_MAX: usize = 1_000_000;

/// Where a node begins, both 1-based.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl From<Span> for Position {
    fn from(span: Span) -> Self {
        Position {
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// A node and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or truth value, as written.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the document; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it begins.
    pub at: Position,
    /// Its text.
    pub name: String,
}

impl Node {
    /// Returns an error that points at this node.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.at, message)
    }

    /// Tells whether there is nothing here.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }

    fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Scalar(_) => "a single value",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }

    /// Returns the text of a scalar; nothing is the empty text.
    pub fn text(&self, what: &str) -> Result<&str, ConfigError> {
        match &self.kind {
            NodeKind::Scalar(text) => Ok(text),
            NodeKind::Null => Ok(""),
            _ => Err(self.error(format!("{what} must be a text, not {}", self.describe()))),
        }
    }

    /// Returns the elements of a list; nothing is the empty list.
    pub fn list(&self, what: &str) -> Result<&[Node], ConfigError> {
        match &self.kind {
            NodeKind::List(nodes) => Ok(nodes),
            NodeKind::Null => Ok(&[]),
            _ => Err(self
                .error(format!("{what} must be a list, not {}", self.describe()))
                .remedy("begin each element with \"- \"")),
        }
    }

    /// Returns the entries of a mapping; nothing is the empty mapping.
    pub fn map(&self, what: &str) -> Result<&[(Key, Node)], ConfigError> {
        match &self.kind {
            NodeKind::Map(entries) => Ok(entries),
            NodeKind::Null => Ok(&[]),
            _ => Err(self.error(format!("{what} must be a mapping, not {}", self.describe()))),
        }
    }
}

/// Parses the first document of `text`; an empty text is a null node.
pub fn parse(text: &str) -> Result<Node, ConfigError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let at = Position {
                line: e.marker().line(),
                column: e.marker().col() + 1,
            };
            ConfigError::at(at, format!("yaml: {}", e.info()))
        })?;
        builder.event(event, span.into())?;
        if builder.is_done {
            break;
        }
    }
    Ok(builder.root.unwrap_or(Node {
        at: Position::default(),
        kind: NodeKind::Null,
    }))
}

/// An open sequence or mapping.
struct Open {
    at: Position,
    anchor: usize,
    items: Vec<Node>,
    /// `None` for a sequence; otherwise the entries so far.
    entries: Option<Vec<(Key, Node)>>,
    key: Option<Key>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    n_nodes: usize,
    is_done: bool,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), ConfigError> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let kind = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if plain => NodeKind::Null,
                    _ => NodeKind::Scalar(text.into_owned()),
                };
                self.close(Node { at, kind }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, None),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, Some(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let kind = match open.entries {
                    Some(entries) => NodeKind::Map(merge(entries)?),
                    None => NodeKind::List(open.items),
                };
                self.close(Node { at: open.at, kind }, open.anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or_else(|| {
                    ConfigError::at(at, "this alias names an anchor that is not complete")
                })?;
                self.n_nodes += count(&node);
                self.close(node, 0)
            }
            Event::DocumentEnd => {
                self.is_done = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        at: Position,
        anchor: usize,
        entries: Option<Vec<(Key, Node)>>,
    ) -> Result<(), ConfigError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(ConfigError::at(at, "nested too deeply"));
        }
        self.open.push(Open {
            at,
            anchor,
            items: Vec::new(),
            entries,
            key: None,
        });
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize) -> Result<(), ConfigError> {
        self.n_nodes += 1;
        if self.n_nodes > NODES_MAX {
            return Err(node.error("the document is too large"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let Some(entries) = &mut open.entries else {
            open.items.push(node);
            return Ok(());
        };
        match open.key.take() {
            Some(key) => entries.push((key, node)),
            None => {
                let name = node.text("a key")?.to_owned();
                if name != MERGE_KEY && entries.iter().any(|(key, _)| key.name == name) {
                    return Err(node
                        .error(format!("key {name:?} stands here twice"))
                        .remedy("remove one of the two"));
                }
                open.key = Some(Key { at: node.at, name });
            }
        }
        Ok(())
    }
}

const MERGE_KEY: &str = "<<";

/// Unfolds `<<: *anchor`; a key that is written out wins over a merged one.
fn merge(entries: Vec<(Key, Node)>) -> Result<Vec<(Key, Node)>, ConfigError> {
    if entries.iter().all(|(key, _)| key.name != MERGE_KEY) {
        return Ok(entries);
    }
    let (merges, mut merged): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(key, _)| key.name == MERGE_KEY);
    for (_, source) in merges {
        let sources = match &source.kind {
            NodeKind::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&source),
        };
        for source in sources {
            for (key, node) in source.map("what is merged")? {
                if merged.iter().all(|(present, _)| present.name != key.name) {
                    merged.push((key.clone(), node.clone()));
                }
            }
        }
    }
    Ok(merged)
}

fn count(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Null | NodeKind::Scalar(_) => 1,
        NodeKind::List(nodes) => 1 + nodes.iter().map(count).sum::<usize>(),
        NodeKind::Map(entries) => 1 + entries.iter().map(|(_, node)| count(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(node: &Node) -> String {
        match &node.kind {
            NodeKind::Null => "~".to_owned(),
            NodeKind::Scalar(text) => text.clone(),
            NodeKind::List(nodes) => {
                let items: Vec<String> = nodes.iter().map(print).collect();
                format!("[{}]", items.join(" "))
            }
            NodeKind::Map(entries) => {
                let items: Vec<String> = entries
                    .iter()
                    .map(|(key, node)| format!("{}={}", key.name, print(node)))
                    .collect();
                format!("{{{}}}", items.join(" "))
            }
        }
    }

    #[test]
    fn documents_become_trees() {
        let check = |text: &str, expected: &str| {
            assert_eq!(print(&parse(text).expect(text)), expected, "{text}");
        };
        check("", "~");
        check("# only a comment\n", "~");
        check("a: 0123\nb: [x, 'null', null]\n", "{a=0123 b=[x null ~]}");
        check(
            "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n",
            "{a={k=1 l=2} b={l=3 k=1}}",
        );
        check("a: 1\n---\nb: 2\n", "{a=1}");
    }

    #[test]
    fn errors_name_line_and_column() {
        let check = |text: &str, line: usize, column: usize, part: &str| {
            let error = parse(text).expect_err(text);
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text}: {error}"
            );
            assert!(error.message.contains(part), "{error}");
        };
        check("a: 1\nb: 2\na: 3\n", 3, 1, "stands here twice");
        check("a: [1\n", 1, 4, "yaml: ");
        check("? [a]\n: 1\n", 1, 3, "a key must be a text");
    }
}
