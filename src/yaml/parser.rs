//! Tokens to trees: the grammar, as Prometheus' decoder has it.
//!
//! Cost: linear in the text; an aliased node is shared, not copied.

use std::rc::Rc;

use crate::yaml::reader::Mark;
use crate::yaml::scanner::Scanner;
use crate::yaml::token::TokenKind;
use crate::yaml::tree::{Child, Properties, Tree};
use crate::yaml::{DEPTH_MAX, Node, YamlError, YamlErrorKind};

/// What `!!` in front of a tag stands for.
pub(crate) const CORE_PREFIX: &str = "tag:yaml.org,2002:";

/// Which kinds of collections may begin where a node is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// A value or key of a block mapping: `- ` need not be indented.
    BlockMapping,
    /// An entry of a block sequence, or a document.
    Block,
    /// A flow collection, where indentation means nothing.
    Flow,
}

/// A text that is parsed document by document.
pub(crate) struct Parser<'a> {
    scanner: Scanner<'a>,
    /// Handles of tags and what they stand for, in the document.
    handles: Vec<(String, String)>,
    tree: Tree,
    depth: usize,
    is_first: bool,
}

/// A document: its root, and repeated keys and wrong merges in it.
pub(crate) struct Parsed {
    pub root: Rc<Node>,
    pub problems: Vec<YamlError>,
}

impl<'a> Parser<'a> {
    /// Begins at the start of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Parser {
            scanner: Scanner::new(text),
            handles: Vec::new(),
            tree: Tree::default(),
            depth: 0,
            is_first: true,
        }
    }

    /// Parses the next document; `None` behind the last.
    pub(crate) fn next_document(&mut self) -> Result<Option<Parsed>, YamlError> {
        if self.is_next(&TokenKind::StreamStart)? {
            self.scanner.take();
        }
        while !self.is_first && self.is_next(&TokenKind::DocumentEnd)? {
            self.scanner.take();
        }
        if self.is_next(&TokenKind::StreamEnd)? {
            return Ok(None);
        }
        self.tree = Tree::default();
        self.handles.clear();
        let is_implicit = self.is_first && !self.begins_document()?;
        self.is_first = false;
        let root = if is_implicit {
            self.add_default_handles();
            self.parse_node(Within::Block)?
        } else {
            self.parse_directives()?;
            if !self.is_next(&TokenKind::DocumentStart)? {
                return Err(self.error(None, "did not find expected <document start>")?);
            }
            self.scanner.take();
            let is_empty = self.begins_document()?
                || self.is_next(&TokenKind::DocumentEnd)?
                || self.is_next(&TokenKind::StreamEnd)?;
            match is_empty {
                true => self.empty_here()?,
                false => self.parse_node(Within::Block)?,
            }
        };
        if self.is_next(&TokenKind::DocumentEnd)? {
            self.scanner.take();
        }
        let tree = std::mem::take(&mut self.tree);
        Ok(Some(Parsed {
            root: root.node,
            problems: tree.problems,
        }))
    }

    /// Tells whether a directive or `---` comes next.
    fn begins_document(&mut self) -> Result<bool, YamlError> {
        let kind = &self.scanner.peek()?.kind;
        Ok(matches!(
            kind,
            TokenKind::Version { .. } | TokenKind::TagDirective { .. } | TokenKind::DocumentStart
        ))
    }

    fn parse_directives(&mut self) -> Result<(), YamlError> {
        let mut has_version = false;
        loop {
            match self.scanner.peek()?.kind.clone() {
                TokenKind::Version { .. } if has_version => {
                    return Err(self.error(None, "found duplicate %YAML directive")?);
                }
                TokenKind::Version { major: 1, minor: 1 } => has_version = true,
                TokenKind::Version { .. } => {
                    return Err(self.error(None, "found incompatible YAML document")?);
                }
                TokenKind::TagDirective { handle, prefix } => {
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Err(self.error(None, "found duplicate %TAG directive")?);
                    }
                    self.handles.push((handle, prefix));
                }
                _ => break,
            }
            self.scanner.take();
        }
        self.add_default_handles();
        Ok(())
    }

    fn add_default_handles(&mut self) {
        for (handle, prefix) in [("!", "!"), ("!!", CORE_PREFIX)] {
            self.handles.push((handle.to_owned(), prefix.to_owned()));
        }
    }

    fn parse_node(&mut self, within: Within) -> Result<Child, YamlError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let place = self.mark()?.into();
            let kind = YamlErrorKind::TooDeep;
            return Err(YamlError { place, kind });
        }
        let node = self.parse_content(within);
        self.depth -= 1;
        node
    }

    fn parse_content(&mut self, within: Within) -> Result<Child, YamlError> {
        let start = self.mark()?;
        if let TokenKind::Alias(name) = &self.scanner.peek()?.kind {
            let name = name.clone();
            self.scanner.take();
            return self.tree.alias(&name, start);
        }
        let properties = self.parse_properties(start)?;
        let token = self.scanner.peek()?.clone();
        match token.kind {
            TokenKind::BlockEntry if within == Within::BlockMapping => {
                self.tree.open(&properties);
                let items = self.parse_unindented_sequence()?;
                self.tree.sequence(items, properties)
            }
            TokenKind::Scalar(scalar) => {
                self.scanner.take();
                Ok(self.tree.scalar(scalar, properties))
            }
            TokenKind::FlowSequenceStart => {
                self.tree.open(&properties);
                let items = self.parse_flow_sequence()?;
                self.tree.sequence(items, properties)
            }
            TokenKind::FlowMappingStart => {
                self.tree.open(&properties);
                let children = self.parse_flow_mapping()?;
                self.tree.mapping(children, properties)
            }
            TokenKind::BlockSequenceStart if within != Within::Flow => {
                self.tree.open(&properties);
                let items = self.parse_block_sequence()?;
                self.tree.sequence(items, properties)
            }
            TokenKind::BlockMappingStart if within != Within::Flow => {
                self.tree.open(&properties);
                let children = self.parse_block_mapping()?;
                self.tree.mapping(children, properties)
            }
            _ if properties.is_any() => Ok(self.tree.empty_with(properties)),
            _ => Err(self.error(Some(start), "did not find expected node content")?),
        }
    }

    /// Parses an anchor and a tag in front of a node, in either order.
    fn parse_properties(&mut self, start: Mark) -> Result<Properties, YamlError> {
        let mut properties = Properties {
            start,
            anchor: None,
            tag: None,
        };
        loop {
            match self.scanner.peek()?.kind.clone() {
                TokenKind::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some(name);
                }
                TokenKind::Tag { handle, suffix } if properties.tag.is_none() => {
                    properties.tag = Some(self.tag(&handle, &suffix, start)?);
                }
                _ => return Ok(properties),
            }
            self.scanner.take();
        }
    }

    /// Returns a tag in full.
    fn tag(&mut self, handle: &str, suffix: &str, start: Mark) -> Result<String, YamlError> {
        if handle.is_empty() {
            return Ok(suffix.to_owned());
        }
        match self.handles.iter().find(|(known, _)| known == handle) {
            Some((_, prefix)) => Ok(format!("{prefix}{suffix}")),
            None => Err(self.error(Some(start), "found undefined tag handle")?),
        }
    }

    fn parse_block_sequence(&mut self) -> Result<Vec<Child>, YamlError> {
        let start = self.mark()?;
        self.scanner.take();
        let mut items = Vec::new();
        loop {
            match self.scanner.peek()?.kind {
                TokenKind::BlockEntry => {
                    let end = self.scanner.peek()?.end;
                    self.scanner.take();
                    let is_empty = matches!(
                        self.scanner.peek()?.kind,
                        TokenKind::BlockEntry | TokenKind::BlockEnd
                    );
                    items.push(match is_empty {
                        true => self.tree.empty(end),
                        false => self.parse_node(Within::Block)?,
                    });
                }
                TokenKind::BlockEnd => {
                    self.scanner.take();
                    return Ok(items);
                }
                _ => return Err(self.error(Some(start), "did not find expected '-' indicator")?),
            }
        }
    }

    /// Parses `- ` entries that stand in the column of the keys around them.
    fn parse_unindented_sequence(&mut self) -> Result<Vec<Child>, YamlError> {
        let mut items = Vec::new();
        while self.is_next(&TokenKind::BlockEntry)? {
            let end = self.scanner.peek()?.end;
            self.scanner.take();
            let is_empty = self.is_next(&TokenKind::BlockEntry)? || self.ends_pair()?;
            items.push(match is_empty {
                true => self.tree.empty(end),
                false => self.parse_node(Within::Block)?,
            });
        }
        Ok(items)
    }

    /// Tells whether a block mapping goes on or ends next.
    fn ends_pair(&mut self) -> Result<bool, YamlError> {
        let kind = &self.scanner.peek()?.kind;
        Ok(matches!(
            kind,
            TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd
        ))
    }

    fn parse_block_mapping(&mut self) -> Result<Vec<Child>, YamlError> {
        let start = self.mark()?;
        self.scanner.take();
        let mut children = Vec::new();
        loop {
            match self.scanner.peek()?.kind {
                TokenKind::Key => {
                    children.push(self.parse_behind_indicator()?);
                    let value = match self.is_next(&TokenKind::Value)? {
                        true => self.parse_behind_indicator()?,
                        false => self.empty_here()?,
                    };
                    children.push(value);
                }
                TokenKind::BlockEnd => {
                    self.scanner.take();
                    return Ok(children);
                }
                _ => return Err(self.error(Some(start), "did not find expected key")?),
            }
        }
    }

    /// Parses what stands behind `?` or `:` in a block mapping.
    fn parse_behind_indicator(&mut self) -> Result<Child, YamlError> {
        let end = self.scanner.peek()?.end;
        self.scanner.take();
        match self.ends_pair()? {
            true => Ok(self.tree.empty(end)),
            false => self.parse_node(Within::BlockMapping),
        }
    }

    fn parse_flow_sequence(&mut self) -> Result<Vec<Child>, YamlError> {
        let start = self.mark()?;
        self.scanner.take();
        let mut items = Vec::new();
        loop {
            let is_first = items.is_empty();
            if !self.enter_flow(start, is_first, &TokenKind::FlowSequenceEnd, "]")? {
                return Ok(items);
            }
            items.push(match self.scanner.peek()?.kind {
                TokenKind::Key => self.parse_single_pair()?,
                _ => self.parse_node(Within::Flow)?,
            });
        }
    }

    /// Goes to the next entry of a flow collection; `false` at its end, which is taken.
    fn enter_flow(
        &mut self,
        start: Mark,
        is_first: bool,
        end: &TokenKind,
        bracket: &str,
    ) -> Result<bool, YamlError> {
        if !is_first && !self.is_next(end)? {
            if !self.is_next(&TokenKind::FlowEntry)? {
                let problem = format!("did not find expected ',' or '{bracket}'");
                return Err(self.error(Some(start), &problem)?);
            }
            self.scanner.take();
        }
        if self.is_next(end)? {
            self.scanner.take();
            return Ok(false);
        }
        Ok(true)
    }

    /// Parses the one pair of a mapping in a flow sequence that has no braces: `[a: b]`.
    fn parse_single_pair(&mut self) -> Result<Child, YamlError> {
        let properties = Properties {
            start: self.mark()?,
            anchor: None,
            tag: None,
        };
        self.scanner.take();
        let has_no_key = self.is_next(&TokenKind::Value)? || self.ends_flow_entry()?;
        let key = match has_no_key {
            // Go's decoder takes the token that comes instead of a key, whatever it is.
            true => {
                let end = self.scanner.peek()?.end;
                self.scanner.take();
                self.tree.empty(end)
            }
            false => self.parse_node(Within::Flow)?,
        };
        let is_value = self.is_next(&TokenKind::Value)?;
        if is_value {
            self.scanner.take();
        }
        let is_empty = !is_value || {
            let kind = &self.scanner.peek()?.kind;
            matches!(kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd)
        };
        let value = match is_empty {
            true => self.empty_here()?,
            false => self.parse_node(Within::Flow)?,
        };
        self.tree.mapping(vec![key, value], properties)
    }

    fn ends_flow_entry(&mut self) -> Result<bool, YamlError> {
        let kind = &self.scanner.peek()?.kind;
        Ok(matches!(
            kind,
            TokenKind::FlowEntry | TokenKind::FlowSequenceEnd
        ))
    }

    fn parse_flow_mapping(&mut self) -> Result<Vec<Child>, YamlError> {
        let start = self.mark()?;
        self.scanner.take();
        let mut children = Vec::new();
        loop {
            let is_first = children.is_empty();
            if !self.enter_flow(start, is_first, &TokenKind::FlowMappingEnd, "}")? {
                return Ok(children);
            }
            if !self.is_next(&TokenKind::Key)? {
                // A key alone.
                children.push(self.parse_node(Within::Flow)?);
                children.push(self.empty_here()?);
                continue;
            }
            self.scanner.take();
            let has_no_key = self.is_next(&TokenKind::Value)? || self.ends_flow_pair()?;
            children.push(match has_no_key {
                true => self.empty_here()?,
                false => self.parse_node(Within::Flow)?,
            });
            let mut has_value = self.is_next(&TokenKind::Value)?;
            if has_value {
                self.scanner.take();
                has_value = !self.ends_flow_pair()?;
            }
            children.push(match has_value {
                true => self.parse_node(Within::Flow)?,
                false => self.empty_here()?,
            });
        }
    }

    fn ends_flow_pair(&mut self) -> Result<bool, YamlError> {
        let kind = &self.scanner.peek()?.kind;
        Ok(matches!(
            kind,
            TokenKind::FlowEntry | TokenKind::FlowMappingEnd
        ))
    }

    /// Makes the null that stands where nothing is written.
    fn empty_here(&mut self) -> Result<Child, YamlError> {
        let mark = self.mark()?;
        Ok(self.tree.empty(mark))
    }

    fn is_next(&mut self, kind: &TokenKind) -> Result<bool, YamlError> {
        Ok(self.scanner.peek()?.kind == *kind)
    }

    /// Returns where the next token begins.
    fn mark(&mut self) -> Result<Mark, YamlError> {
        Ok(self.scanner.peek()?.start)
    }

    /// Says what is wrong at the next token; `context` is where the collection began, which the
    /// end of the text cuts off. Go's
    /// decoder counts the line from 0, and names none where that is 0.
    fn error(&mut self, context: Option<Mark>, problem: &str) -> Result<YamlError, YamlError> {
        let at = self.mark()?;
        let line = match context {
            Some(context) if context.line > 0 => context.line,
            _ => at.line,
        };
        let is_cut_off = self.is_next(&TokenKind::StreamEnd)?;
        let place = context.filter(|_| is_cut_off).unwrap_or(at);
        Ok(YamlError::syntax(
            (line > 0).then_some(line),
            place,
            problem,
        ))
    }
}
