//! A node of the tree: what it is and where it begins.

use std::rc::Rc;

use crate::yaml::Place;

/// A node and where it begins.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it begins.
    pub place: Place,
    /// Its nodes with all aliases written out, itself included.
    pub(crate) n_nodes: usize,
}

/// The kinds of nodes.
#[derive(Debug)]
pub enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as written, its escapes resolved.
    Scalar {
        /// The text.
        text: String,
        /// `true` where quotes, a block style or `!!str` make it text whatever it looks like.
        is_text: bool,
        /// The byte of the source where the text begins, behind a quote or a block's header.
        begins: usize,
    },
    /// A list.
    Sequence(Vec<Rc<Node>>),
    /// Keys and values in the order written, behind them what merge keys add.
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// Makes a node without others in it.
    pub(crate) fn leaf(kind: NodeKind, place: Place) -> Self {
        Node {
            kind,
            place,
            n_nodes: 1,
        }
    }

    /// Tells whether there is nothing here.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }

    /// Returns the text of a scalar, `None` where there is none.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the node's kind as a message says it.
    pub fn described(&self) -> String {
        match &self.kind {
            NodeKind::Null => "null".to_owned(),
            NodeKind::Scalar { text, .. } => format!("`{}`", shortened(text)),
            NodeKind::Sequence(_) => "a list".to_owned(),
            NodeKind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Cuts a text to what a message can show on its line.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if line.len() == text.trim_end().len() && line.chars().count() <= CHARS_MAX {
        return line.to_owned();
    }
    let head: String = line.chars().take(CHARS_MAX).collect();
    format!("{head}…")
}
