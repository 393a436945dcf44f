//! YAML text to a tree whose every node knows its line and column.
//!
//! Rule files, their unit tests and the configuration are read through this tree rather than
//! through serde, for three reasons: one wrong field need not hide the others, so reading can go
//! on behind an error; Prometheus takes a scalar of any type as the text that was written
//! (`name: 5`, `password: 0123`), which serde has lost by the time it asks for a string; and
//! every message needs the place of its node. Anchors, aliases and merge keys work as in
//! Prometheus' decoder, and a key that occurs twice is an error.
//!
//! What lives here: the tree. What may not: what its fields mean, or how a reader words what is
//! wrong with them.

mod document;
mod node;
mod parser;
mod reader;
mod resolve;
mod scan_name;
mod scan_scalar;
mod scanner;
mod token;
mod tree;

pub use document::{Document, all_documents, first_document};
pub use node::{Node, NodeKind};

use reader::Mark;

use crate::model::labels::quote;

/// How deeply collections may nest; a rule file needs six levels, so what is deeper is refused.
const DEPTH_MAX: usize = 64;
/// How many nodes a document may have once its aliases are written out; more is refused, so
/// that a small file of aliases to aliases cannot cost hours.
const NODES_MAX: usize = 5_000_000;

/// How many repeated keys and the like are told of a document; what goes beyond is not, so that a
/// mapping of one key over and over cannot cost hours.
const PROBLEMS_MAX: usize = 1000;

/// Where a node begins: 1-based line and column, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// Something wrong with the text as YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct YamlError {
    /// Where.
    pub place: Place,
    /// What, in the words of Prometheus' decoder.
    pub kind: YamlErrorKind,
}

impl YamlError {
    /// Says what is wrong with the syntax, and on which line the decoder of Prometheus says it is.
    fn syntax(line: Option<usize>, at: Mark, problem: &str) -> Self {
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        YamlError {
            place: at.into(),
            kind: YamlErrorKind::Syntax(format!("{line}{problem}")),
        }
    }
}

/// What may be wrong with a text as YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlErrorKind {
    /// It is no YAML, for the reason given.
    #[error("yaml: {0}")]
    Syntax(String),
    /// It nests too deeply.
    #[error("yaml: nested deeper than {} levels", DEPTH_MAX)]
    TooDeep,
    /// It has too many nodes.
    #[error(
        "yaml: more than {} nodes with aliases written out: excessive aliasing",
        NODES_MAX
    )]
    TooLarge,
    /// An alias stands within what its anchor names.
    #[error("yaml: anchor '{0}' value contains itself")]
    AliasWithinAnchor(String),
    /// An alias names no anchor before it.
    #[error("yaml: unknown anchor '{0}' referenced")]
    UnknownAnchor(String),
    /// A scalar is not what the tag in front of it says.
    #[error("yaml: cannot decode {found} `{text}` as a {tag}")]
    WrongTag {
        /// The tag by the scalar's looks.
        found: &'static str,
        /// The scalar.
        text: String,
        /// The tag as written.
        tag: String,
    },
    /// A scalar behind `!!binary` is no base64 of text.
    #[error("yaml: !!binary value contains invalid base64 data")]
    WrongBinary,
    /// A mapping with a merge key has a key that is a list or mapping; Go's word for its type.
    #[error("yaml: runtime error: hash of unhashable type {0}")]
    CollectionAsKey(&'static str),
    /// A mapping has a key twice; the place is the later one's.
    #[error("mapping key {} already defined at line {first_line}", quote(.key))]
    RepeatedKey {
        /// The key.
        key: String,
        /// Where it stands first.
        first_line: usize,
    },
    /// A merge key's value is no mapping.
    #[error("yaml: map merge requires map or sequence of maps as the value")]
    MergeOfNoMapping,
}
