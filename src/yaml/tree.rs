//! Nodes as they are found: anchors and aliases, tags, merge keys, repeated keys.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::yaml::reader::Mark;
use crate::yaml::resolve::{binary, mismatch, resolved, short};
use crate::yaml::token::ScalarToken;
use crate::yaml::{NODES_MAX, Node, NodeKind, PROBLEMS_MAX, Place, YamlError, YamlErrorKind};

/// What stands in front of a node.
pub(crate) struct Properties {
    /// Where the node begins, what stands in front of it included.
    pub start: Mark,
    pub anchor: Option<String>,
    /// Its tag in full.
    pub tag: Option<String>,
}

impl Properties {
    /// Tells whether anything is there.
    pub(crate) fn is_any(&self) -> bool {
        self.anchor.is_some() || self.tag.is_some()
    }
}

/// A node within another.
#[derive(Clone)]
pub(crate) struct Child {
    pub node: Rc<Node>,
    /// Whether an alias stands for it.
    is_alias: bool,
}

/// What an anchor names.
enum Anchored {
    /// A collection whose end has not come yet.
    Open,
    Node(Rc<Node>),
}

/// A document as far as it has been read.
#[derive(Default)]
pub(crate) struct Tree {
    anchors: HashMap<String, Anchored>,
    /// Repeated keys, wrong merges and wrong tags, in the order met.
    pub problems: Vec<YamlError>,
}

type Pair = (Rc<Node>, Rc<Node>);

impl Tree {
    /// Makes the null that stands where nothing is written.
    pub(crate) fn empty(&mut self, mark: Mark) -> Child {
        child(Node::leaf(NodeKind::Null, mark.into()))
    }

    /// Makes the node that is nothing but an anchor or tag.
    pub(crate) fn empty_with(&mut self, properties: Properties) -> Child {
        let scalar = ScalarToken {
            text: String::new(),
            is_plain: true,
            begins: properties.start.byte,
        };
        self.scalar(scalar, properties)
    }

    /// Makes a scalar.
    pub(crate) fn scalar(&mut self, scalar: ScalarToken, properties: Properties) -> Child {
        let place = properties.start.into();
        let tag = properties.tag.as_deref().map(short);
        let tag = tag.as_deref().filter(|tag| *tag != "!");
        let (mut text, begins) = (scalar.text, scalar.begins);
        let is_text = match tag {
            Some(tag) => tag == "!!str",
            None => !scalar.is_plain,
        };
        if let Some(tag) = tag {
            text = self.tagged(tag, text, place);
        }
        let kind = match !is_text && tag.is_none_or(|tag| tag == "!!null") && is_null(&text) {
            true => NodeKind::Null,
            false => NodeKind::Scalar {
                text,
                is_text,
                begins,
            },
        };
        self.anchor(Node::leaf(kind, place), properties.anchor)
    }

    /// Checks a scalar against its tag; returns its text.
    fn tagged(&mut self, tag: &str, text: String, place: Place) -> String {
        if let Some(found) = mismatch(tag, &text) {
            let kind = YamlErrorKind::WrongTag {
                found,
                text: text.clone(),
                tag: tag.to_owned(),
            };
            self.problems.push(YamlError { place, kind });
        }
        if tag != "!!binary" {
            return text;
        }
        binary(&text).unwrap_or_else(|| {
            let kind = YamlErrorKind::WrongBinary;
            self.problems.push(YamlError { place, kind });
            text
        })
    }

    /// Notes that a collection begins, so that an alias within it to itself is noticed.
    pub(crate) fn open(&mut self, properties: &Properties) {
        if let Some(anchor) = &properties.anchor {
            self.anchors.insert(anchor.clone(), Anchored::Open);
        }
    }

    /// Returns what an alias stands for.
    pub(crate) fn alias(&mut self, name: &str, mark: Mark) -> Result<Child, YamlError> {
        let kind = match self.anchors.get(name) {
            Some(Anchored::Node(node)) => {
                let node = Rc::clone(node);
                return Ok(Child {
                    node,
                    is_alias: true,
                });
            }
            Some(Anchored::Open) => YamlErrorKind::AliasWithinAnchor(name.to_owned()),
            None => YamlErrorKind::UnknownAnchor(name.to_owned()),
        };
        let place = mark.into();
        Err(YamlError { place, kind })
    }

    /// Makes a sequence.
    pub(crate) fn sequence(
        &mut self,
        items: Vec<Child>,
        properties: Properties,
    ) -> Result<Child, YamlError> {
        let n_nodes = n_nodes(&items);
        let nodes = items.into_iter().map(|item| item.node).collect();
        self.collection(NodeKind::Sequence(nodes), n_nodes, properties)
    }

    /// Makes a mapping of keys and values in turn.
    pub(crate) fn mapping(
        &mut self,
        children: Vec<Child>,
        properties: Properties,
    ) -> Result<Child, YamlError> {
        let n_nodes = n_nodes(&children);
        let pairs = self.pairs(&children);
        self.collection(NodeKind::Mapping(pairs), n_nodes, properties)
    }

    fn collection(
        &mut self,
        kind: NodeKind,
        n_nodes: usize,
        properties: Properties,
    ) -> Result<Child, YamlError> {
        let place = properties.start.into();
        if n_nodes > NODES_MAX {
            let kind = YamlErrorKind::TooLarge;
            return Err(YamlError { place, kind });
        }
        let node = Node {
            kind,
            place,
            n_nodes,
        };
        Ok(self.anchor(node, properties.anchor))
    }

    fn anchor(&mut self, node: Node, name: Option<String>) -> Child {
        let child = child(node);
        if let Some(name) = name {
            let anchored = Anchored::Node(Rc::clone(&child.node));
            self.anchors.insert(name, anchored);
        }
        child
    }

    /// Pairs up keys and values, notes repeated keys and resolves the merge key: what is written
    /// wins over what is merged, and an earlier merge over a later one.
    fn pairs(&mut self, children: &[Child]) -> Vec<Pair> {
        let mut lines: HashMap<(u8, &str), Vec<usize>> = HashMap::new();
        let mut pairs: Vec<Pair> = Vec::with_capacity(children.len() / 2);
        let mut merged = Vec::new();
        let mut is_merged = false;
        for pair in children.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            let before = lines.entry(identity(&key.node)).or_default();
            let n_left = PROBLEMS_MAX.saturating_sub(self.problems.len());
            self.problems
                .extend(before.iter().take(n_left).map(|line| YamlError {
                    place: key.node.place,
                    kind: YamlErrorKind::RepeatedKey {
                        key: identity(&key.node).1.to_owned(),
                        first_line: *line,
                    },
                }));
            before.push(key.node.place.line);
            let is_repeated = before.len() > 1;
            if is_merge_key(&key.node) {
                is_merged = true;
                self.merge(value, &mut merged);
            } else if !is_repeated {
                pairs.push((Rc::clone(&key.node), Rc::clone(&value.node)));
            }
        }
        if is_merged {
            self.refuse_collections(&pairs);
            let mut seen: HashSet<String> = pairs.iter().filter_map(name).collect();
            for pair in merged {
                if name(&pair).is_none_or(|name| seen.insert(name)) {
                    pairs.push(pair);
                }
            }
        }
        pairs
    }

    /// Notes keys that are no scalars, which a mapping with a merge key cannot have.
    fn refuse_collections(&mut self, pairs: &[Pair]) {
        for (key, _) in pairs {
            let kind = match key.kind {
                NodeKind::Sequence(_) => YamlErrorKind::CollectionAsKey("[]interface {}"),
                NodeKind::Mapping(_) => YamlErrorKind::CollectionAsKey("map[string]interface {}"),
                NodeKind::Null | NodeKind::Scalar { .. } => continue,
            };
            let place = key.place;
            self.problems.push(YamlError { place, kind });
        }
    }

    fn merge(&mut self, value: &Child, merged: &mut Vec<Pair>) {
        match &value.node.kind {
            NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
            NodeKind::Sequence(maps) if !value.is_alias => {
                for map in maps {
                    match &map.kind {
                        NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
                        _ => self.refuse_merge(map),
                    }
                }
            }
            _ => self.refuse_merge(&value.node),
        }
    }

    fn refuse_merge(&mut self, node: &Node) {
        let (place, kind) = (node.place, YamlErrorKind::MergeOfNoMapping);
        self.problems.push(YamlError { place, kind });
    }
}

fn child(node: Node) -> Child {
    Child {
        node: Rc::new(node),
        is_alias: false,
    }
}

fn n_nodes(children: &[Child]) -> usize {
    let nodes = children.iter().map(|child| child.node.n_nodes);
    nodes.fold(1, usize::saturating_add)
}

/// Returns what keys must differ in: their kind and text.
fn identity(key: &Node) -> (u8, &str) {
    match &key.kind {
        NodeKind::Null => (0, ""),
        NodeKind::Scalar { text, .. } => (0, text),
        NodeKind::Sequence(_) => (1, ""),
        NodeKind::Mapping(_) => (2, ""),
    }
}

/// Returns the name of a pair.
fn name((key, _): &Pair) -> Option<String> {
    key.text().map(str::to_owned)
}

fn is_merge_key(key: &Node) -> bool {
    matches!(&key.kind, NodeKind::Scalar { text, is_text: false, .. } if text == "<<")
}

fn is_null(text: &str) -> bool {
    resolved(text) == "!!null"
}
