//! What the scanner finds in a text.

use crate::yaml::reader::Mark;

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub start: Mark,
    pub end: Mark,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    StreamStart,
    StreamEnd,
    /// `%YAML`, with its version.
    Version {
        major: u8,
        minor: u8,
    },
    /// `%TAG`
    TagDirective {
        handle: String,
        prefix: String,
    },
    /// `---`
    DocumentStart,
    /// `...`
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    /// The end of a block, told by its indentation.
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    /// `-`
    BlockEntry,
    /// `,`
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag {
        handle: String,
        suffix: String,
    },
    Scalar(ScalarToken),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalarToken {
    /// Its text, escapes resolved.
    pub text: String,
    /// Whether it is neither quoted nor a block.
    pub is_plain: bool,
    /// The byte at which its text begins, behind a quote or a block's header.
    pub begins: usize,
}
