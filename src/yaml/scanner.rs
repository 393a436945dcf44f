//! A text to tokens, as Prometheus' decoder has them.
//!
//! The rules are those of libyaml, which Go's decoder follows: YAML 1.1 with one token of
//! look-ahead too many, keys found only once their `:` comes, and its own ideas of where tabs may
//! stand. Other parsers take files that this one refuses and the other way round, so its rules
//! are written down here once more, with its words for what is wrong.
//!
//! Cost: linear in the text.

use std::collections::VecDeque;

use crate::yaml::YamlError;
use crate::yaml::reader::{
    Mark, Reader, is_blank, is_blank_or_end, is_break, is_break_or_end, is_end,
};
use crate::yaml::token::{Token, TokenKind};

/// A simple key stands on one line and is no longer than this, in characters.
const KEY_CHARS_MAX: usize = 1024;
/// What is said of a text that should have been a key.
const NO_COLON: &str = "could not find expected ':'";
/// How far one looks for a comment behind a token, in characters.
const COMMENT_PEEK_MAX: usize = 512;
/// Tokens are scanned until as many stand ready, and until it is known whether the first of them
/// begins a key.
const TOKENS_AHEAD: usize = 3;

/// A place at which a key may have begun that has no `?`.
#[derive(Clone, Copy, Debug, Default)]
struct SimpleKey {
    is_possible: bool,
    /// Whether nothing but a key can stand there.
    is_required: bool,
    /// The number of the token that would be the key.
    token: usize,
    mark: Mark,
}

/// The state of scanning.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    pub(crate) reader: Reader<'a>,
    tokens: VecDeque<Token>,
    /// How many tokens have been taken.
    n_taken: usize,
    is_started: bool,
    is_ended: bool,
    /// The column of the block that is open; -1 outside all.
    indent: isize,
    /// Those of the blocks around it.
    indents: Vec<isize>,
    /// How many flow collections are open.
    pub(crate) flow_level: usize,
    /// Whether a key without `?` may begin here.
    pub(crate) is_key_allowed: bool,
    /// One for each flow collection, and one for the block.
    keys: Vec<SimpleKey>,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Scanner {
            reader: Reader::new(text),
            tokens: VecDeque::new(),
            n_taken: 0,
            is_started: false,
            is_ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            is_key_allowed: true,
            keys: vec![SimpleKey::default()],
        }
    }

    /// Returns the next token without taking it; behind the end, the end once more.
    pub(crate) fn peek(&mut self) -> Result<&Token, YamlError> {
        while !self.is_ended && self.needs_more()? {
            self.fetch()?;
        }
        Ok(&self.tokens[0])
    }

    /// Takes the token that was peeked at.
    pub(crate) fn take(&mut self) {
        if self.tokens.len() > 1 || !self.is_ended {
            self.tokens.pop_front();
            self.n_taken += 1;
        }
    }

    /// Says what is wrong at the next character; `context` is what was begun before, and what
    /// the end of the text cuts off.
    pub(crate) fn error(&self, context: Mark, problem: &str) -> YamlError {
        let is_cut_off = is_end(self.reader.peek());
        let place = if is_cut_off {
            context
        } else {
            self.reader.mark
        };
        self.error_at(place, context, problem)
    }

    fn error_at(&self, place: Mark, context: Mark, problem: &str) -> YamlError {
        let at = self.reader.mark;
        if self.reader.is_cut && is_end(self.reader.peek()) {
            return YamlError::syntax(None, at, "control characters are not allowed");
        }
        // Go's decoder names the line of the context unless that is the first.
        let line = if context.line > 0 {
            context.line
        } else {
            at.line
        };
        YamlError::syntax((line > 0).then_some(line + 1), place, problem)
    }

    fn needs_more(&mut self) -> Result<bool, YamlError> {
        if self.tokens.len() < TOKENS_AHEAD {
            return Ok(true);
        }
        let first = self.n_taken;
        let is_first = |key: &SimpleKey| key.is_possible && key.token == first;
        match self.keys.iter().position(is_first) {
            Some(at) => self.is_key_valid(at),
            None => Ok(false),
        }
    }

    /// Scans to the next token and puts it in the queue.
    fn fetch(&mut self) -> Result<(), YamlError> {
        if !self.is_started {
            self.is_started = true;
            let mark = self.reader.mark;
            self.push(TokenKind::StreamStart, mark);
            return Ok(());
        }
        let before = self.reader.mark;
        self.skip_to_token();
        let column = self.reader.mark.column as isize;
        self.unroll_indent(column, before);
        let c = self.reader.peek();
        if is_end(c) {
            return self.fetch_end();
        }
        if column == 0 && c == '%' {
            self.leave_block()?;
            let token = self.scan_directive()?;
            self.tokens.push_back(token);
            return Ok(());
        }
        if self.reader.is_at_document_indicator() {
            let kind = match c {
                '-' => TokenKind::DocumentStart,
                _ => TokenKind::DocumentEnd,
            };
            self.leave_block()?;
            self.push_of_length(kind, 3);
            return Ok(());
        }
        self.fetch_content(c)?;
        let is_entry = |token: &Token| token.kind == TokenKind::BlockEntry;
        if !self.tokens.back().is_some_and(is_entry) {
            self.skip_comment_behind();
        }
        Ok(())
    }

    fn fetch_content(&mut self, c: char) -> Result<(), YamlError> {
        let is_flow = self.flow_level > 0;
        let ends_word = is_blank_or_end(self.reader.peek_at(1));
        match c {
            '[' => self.open_flow(TokenKind::FlowSequenceStart),
            '{' => self.open_flow(TokenKind::FlowMappingStart),
            ']' => self.close_flow(TokenKind::FlowSequenceEnd),
            '}' => self.close_flow(TokenKind::FlowMappingEnd),
            ',' => {
                self.remove_key()?;
                self.is_key_allowed = true;
                self.push_of_length(TokenKind::FlowEntry, 1);
                Ok(())
            }
            '-' if ends_word => self.fetch_block_entry(),
            '?' if is_flow || ends_word => self.fetch_key(),
            ':' if is_flow || ends_word => self.fetch_value(),
            '*' | '&' | '!' => {
                self.save_key()?;
                self.is_key_allowed = false;
                let token = match c {
                    '!' => self.scan_tag()?,
                    _ => self.scan_anchor(c == '&')?,
                };
                self.tokens.push_back(token);
                Ok(())
            }
            '|' | '>' if !is_flow => {
                self.remove_key()?;
                self.is_key_allowed = true;
                let token = self.scan_block_scalar(c == '|')?;
                self.tokens.push_back(token);
                Ok(())
            }
            '\'' | '"' => {
                self.save_key()?;
                self.is_key_allowed = false;
                let token = self.scan_quoted_scalar(c)?;
                self.tokens.push_back(token);
                Ok(())
            }
            c if self.begins_plain(c) => {
                self.save_key()?;
                self.is_key_allowed = false;
                let token = self.scan_plain_scalar()?;
                self.tokens.push_back(token);
                Ok(())
            }
            _ => Err(self.error(
                self.reader.mark,
                "found character that cannot start any token",
            )),
        }
    }

    fn begins_plain(&self, c: char) -> bool {
        let next = self.reader.peek_at(1);
        match c {
            '-' => !is_blank(next),
            '?' | ':' => self.flow_level == 0 && !is_blank_or_end(next),
            c => !is_blank_or_end(c) && !",[]{}#&*!|>'\"%@`".contains(c),
        }
    }

    /// Goes past white space and comments to the next token.
    fn skip_to_token(&mut self) {
        loop {
            let takes_tabs = self.flow_level > 0 || !self.is_key_allowed;
            while self.reader.peek() == ' ' || takes_tabs && self.reader.peek() == '\t' {
                self.reader.skip();
            }
            self.skip_comments();
            if !is_break(self.reader.peek()) {
                return;
            }
            self.reader.skip_break();
            if self.flow_level == 0 {
                self.is_key_allowed = true;
            }
        }
    }

    /// Goes past a comment that stands here, and past others that follow it, blank lines and
    /// tabs in front of them included.
    fn skip_comments(&mut self) {
        while self.reader.peek() == '#' {
            self.reader.skip_line();
            let mut n_chars = 0;
            while n_chars < COMMENT_PEEK_MAX {
                let c = self.reader.peek_at(n_chars);
                if !is_blank(c) && !is_break(c) {
                    break;
                }
                n_chars += 1;
            }
            if self.reader.peek_at(n_chars) != '#' {
                return;
            }
            while self.reader.peek() != '#' {
                match is_blank(self.reader.peek()) {
                    true => self.reader.skip(),
                    false => self.reader.skip_break(),
                }
            }
        }
    }

    /// Goes past a comment on the line of the token before.
    pub(crate) fn skip_comment_behind(&mut self) {
        if self.reader.n_breaks > 0 {
            return;
        }
        let blanks = (0..COMMENT_PEEK_MAX).find(|n| !is_blank(self.reader.peek_at(*n)));
        if blanks.is_some_and(|n| self.reader.peek_at(n) == '#') {
            self.reader.skip_line();
        }
    }

    pub(crate) fn push(&mut self, kind: TokenKind, mark: Mark) {
        self.tokens.push_back(Token {
            kind,
            start: mark,
            end: mark,
        });
    }

    /// Goes past an indicator and puts its token in the queue.
    fn push_of_length(&mut self, kind: TokenKind, n_chars: usize) {
        let start = self.reader.mark;
        for _ in 0..n_chars {
            self.reader.skip();
        }
        let end = self.reader.mark;
        self.tokens.push_back(Token { kind, start, end });
    }

    fn fetch_end(&mut self) -> Result<(), YamlError> {
        if self.reader.is_cut {
            return Err(self.error(self.reader.mark, ""));
        }
        if self.reader.mark.column != 0 {
            self.reader.mark.column = 0;
            self.reader.mark.line += 1;
        }
        self.leave_block()?;
        let mark = self.reader.mark;
        self.push(TokenKind::StreamEnd, mark);
        self.is_ended = true;
        Ok(())
    }

    /// Closes all blocks in front of a directive, a document's indicator or the end.
    fn leave_block(&mut self) -> Result<(), YamlError> {
        self.unroll_indent(-1, self.reader.mark);
        self.remove_key()?;
        self.is_key_allowed = false;
        Ok(())
    }

    fn open_flow(&mut self, kind: TokenKind) -> Result<(), YamlError> {
        self.save_key()?;
        self.keys.push(SimpleKey::default());
        self.flow_level += 1;
        self.is_key_allowed = true;
        self.push_of_length(kind, 1);
        Ok(())
    }

    fn close_flow(&mut self, kind: TokenKind) -> Result<(), YamlError> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.keys.pop();
        }
        self.is_key_allowed = false;
        self.push_of_length(kind, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            let context = "block sequence entries are not allowed in this context";
            self.begin_block(TokenKind::BlockSequenceStart, context)?;
        }
        self.remove_key()?;
        self.is_key_allowed = true;
        self.push_of_length(TokenKind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            let context = "mapping keys are not allowed in this context";
            self.begin_block(TokenKind::BlockMappingStart, context)?;
        }
        self.remove_key()?;
        self.is_key_allowed = self.flow_level == 0;
        self.push_of_length(TokenKind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), YamlError> {
        let last = self.keys.len() - 1;
        if self.is_key_valid(last)? {
            let key = self.keys[last];
            let at = key.token - self.n_taken;
            let token = |kind| Token {
                kind,
                start: key.mark,
                end: key.mark,
            };
            self.tokens.insert(at, token(TokenKind::Key));
            if self.deepen(key.mark.column as isize) {
                self.tokens.insert(at, token(TokenKind::BlockMappingStart));
            }
            self.keys[last].is_possible = false;
            self.is_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                let context = "mapping values are not allowed in this context";
                self.begin_block(TokenKind::BlockMappingStart, context)?;
            }
            self.is_key_allowed = self.flow_level == 0;
        }
        self.push_of_length(TokenKind::Value, 1);
        Ok(())
    }

    /// Begins a block here, unless it is open.
    fn begin_block(&mut self, kind: TokenKind, problem: &str) -> Result<(), YamlError> {
        let mark = self.reader.mark;
        if !self.is_key_allowed {
            return Err(self.error(mark, problem));
        }
        if self.deepen(mark.column as isize) {
            self.push(kind, mark);
        }
        Ok(())
    }

    /// Tells whether a block begins at a column, and opens it.
    fn deepen(&mut self, column: isize) -> bool {
        let begins = self.flow_level == 0 && self.indent < column;
        if begins {
            self.indents.push(self.indent);
            self.indent = column;
        }
        begins
    }

    /// Closes the blocks that stand to the right of a column.
    fn unroll_indent(&mut self, column: isize, mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    /// Tells whether a key may still begin where it was thought to.
    fn is_key_valid(&mut self, at: usize) -> Result<bool, YamlError> {
        let key = self.keys[at];
        if !key.is_possible {
            return Ok(false);
        }
        let mark = self.reader.mark;
        if key.mark.line < mark.line || key.mark.index + KEY_CHARS_MAX < mark.index {
            if key.is_required {
                return Err(self.error_at(key.mark, key.mark, NO_COLON));
            }
            self.keys[at].is_possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// Notes that the next token may be a key.
    fn save_key(&mut self) -> Result<(), YamlError> {
        if !self.is_key_allowed {
            return Ok(());
        }
        let mark = self.reader.mark;
        let key = SimpleKey {
            is_possible: true,
            is_required: self.flow_level == 0 && self.indent == mark.column as isize,
            token: self.n_taken + self.tokens.len(),
            mark,
        };
        self.remove_key()?;
        *self.keys.last_mut().expect("one for the block") = key;
        Ok(())
    }

    /// Gives up the key that may have begun.
    fn remove_key(&mut self) -> Result<(), YamlError> {
        let key = *self.keys.last().expect("one for the block");
        if key.is_possible && key.is_required {
            return Err(self.error_at(key.mark, key.mark, NO_COLON));
        }
        self.keys.last_mut().expect("one for the block").is_possible = false;
        Ok(())
    }

    /// Returns the column of the block that is open; -1 outside all.
    pub(crate) fn indent(&self) -> isize {
        self.indent
    }

    /// Goes past blanks.
    pub(crate) fn skip_blanks(&mut self) {
        while is_blank(self.reader.peek()) {
            self.reader.skip();
        }
    }

    /// Goes past what may stand behind a header on its line; `problem` says what is wrong with
    /// anything else.
    pub(crate) fn end_line(&mut self, context: Mark, problem: &str) -> Result<(), YamlError> {
        self.skip_blanks();
        if self.reader.peek() == '#' {
            self.reader.skip_line();
        }
        if !is_break_or_end(self.reader.peek()) {
            return Err(self.error(context, problem));
        }
        self.reader.skip_break();
        Ok(())
    }
}
