//! Events to a tree: anchors and aliases, merge keys, repeated keys.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, ScalarStyle};

use crate::yaml::{DEPTH_MAX, NODES_MAX, Node, NodeKind, Place, YamlError, YamlErrorKind};

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    is_mapping: bool,
    children: Vec<Rc<Node>>,
}

/// The tree as far as its events have come.
#[derive(Default)]
pub(crate) struct Tree {
    /// The root, once its end has come.
    pub root: Option<Rc<Node>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Repeated keys and wrong merges, in the order met.
    pub problems: Vec<YamlError>,
}

impl Tree {
    /// Takes the next event, which stands at a place; `begins` is the byte of its text.
    pub(crate) fn take(
        &mut self,
        event: Event<'_>,
        place: Place,
        begins: usize,
    ) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                let is_text = style != ScalarStyle::Plain || tag == Some("str");
                let kind = if !is_text && is_null(&text) {
                    NodeKind::Null
                } else {
                    let quoted =
                        matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                    NodeKind::Scalar {
                        text: text.into_owned(),
                        is_text,
                        begins: begins + usize::from(quoted),
                    }
                };
                self.put(Rc::new(Node::leaf(kind, place)), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(place, anchor, false),
            Event::MappingStart(_, anchor, _) => self.begin(place, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    let kind = YamlErrorKind::AliasWithinAnchor;
                    return Err(YamlError { place, kind });
                };
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, is_mapping: bool) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            let kind = YamlErrorKind::TooDeep;
            return Err(YamlError { place, kind });
        }
        self.open.push(Open {
            place,
            anchor,
            is_mapping,
            children: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let n_nodes = open
            .children
            .iter()
            .fold(1, |sum: usize, child| sum.saturating_add(child.n_nodes));
        if n_nodes > NODES_MAX {
            return Err(YamlError {
                place: open.place,
                kind: YamlErrorKind::TooLarge,
            });
        }
        let kind = if open.is_mapping {
            NodeKind::Mapping(self.pairs(&open.children))
        } else {
            NodeKind::Sequence(open.children)
        };
        let node = Node {
            kind,
            place: open.place,
            n_nodes,
        };
        self.put(Rc::new(node), open.anchor)
    }

    fn put(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// Pairs up keys and values, notes repeated keys and resolves merge keys: what is written
    /// wins over what is merged, and an earlier merge over a later one.
    fn pairs(&mut self, children: &[Rc<Node>]) -> Vec<(Rc<Node>, Rc<Node>)> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut pairs = Vec::with_capacity(children.len() / 2);
        let mut merged = Vec::new();
        for pair in children.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            if let NodeKind::Scalar { text, is_text, .. } = &key.kind {
                let is_merge = text == "<<" && !is_text;
                if is_merge {
                    self.merge(value, &mut merged);
                }
                let first = seen.insert(text.clone(), key.place.line);
                if let Some(first_line) = first {
                    self.problems.push(YamlError {
                        place: key.place,
                        kind: YamlErrorKind::RepeatedKey {
                            key: text.clone(),
                            first_line,
                        },
                    });
                }
                if is_merge || first.is_some() {
                    continue;
                }
            }
            pairs.push((Rc::clone(key), Rc::clone(value)));
        }
        for (key, value) in merged {
            if let NodeKind::Scalar { text, .. } = &key.kind
                && seen.insert(text.clone(), key.place.line).is_none()
            {
                pairs.push((key, value));
            }
        }
        pairs
    }

    fn merge(&mut self, value: &Rc<Node>, merged: &mut Vec<(Rc<Node>, Rc<Node>)>) {
        let wrong = |node: &Node| YamlError {
            place: node.place,
            kind: YamlErrorKind::MergeOfNoMapping,
        };
        match &value.kind {
            NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
            NodeKind::Sequence(maps) => {
                for map in maps {
                    match &map.kind {
                        NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
                        _ => self.problems.push(wrong(map)),
                    }
                }
            }
            _ => self.problems.push(wrong(value)),
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
