//! Scalars: plain, quoted, and blocks behind `|` or `>`.

use crate::yaml::YamlError;
use crate::yaml::reader::{Mark, is_blank, is_blank_or_end, is_break, is_break_or_end, is_end};
use crate::yaml::scanner::Scanner;
use crate::yaml::token::{ScalarToken, Token, TokenKind};

/// White space within a scalar, until it is known what it becomes.
#[derive(Default)]
struct Space {
    /// Blanks on the line of the text before.
    blanks: String,
    /// The first line break.
    first: String,
    /// Those behind it.
    others: String,
    /// Whether the line has ended.
    is_broken: bool,
}

impl Space {
    /// Appends what the white space means: blanks stay, one line break is a space, of several
    /// the first goes.
    fn fold_into(&mut self, out: &mut String) {
        if !self.is_broken {
            out.push_str(&self.blanks);
        } else if !self.first.starts_with('\n') {
            out.push_str(&self.first);
            out.push_str(&self.others);
        } else if self.others.is_empty() {
            out.push(' ');
        } else {
            out.push_str(&self.others);
        }
        *self = Space::default();
    }
}

impl Scanner<'_> {
    /// Scans `|` or `>` and the block below it.
    pub(crate) fn scan_block_scalar(&mut self, is_literal: bool) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        self.reader.skip();
        let (chomping, increment) = self.scan_block_header(start)?;
        self.end_line(start, "did not find expected comment or line break")?;
        let begins = self.reader.mark.byte;
        let mut end = self.reader.mark;
        let mut indent = increment.map(|n| self.indent().max(0) as usize + n);
        let (mut text, mut first, mut others) = (String::new(), String::new(), String::new());
        self.scan_block_breaks(&mut indent, &mut others, start, &mut end)?;
        let mut was_blank = false;
        while Some(self.reader.mark.column) == indent && !is_end(self.reader.peek()) {
            let begins_blank = is_blank(self.reader.peek());
            if !is_literal && !was_blank && !begins_blank && first.starts_with('\n') {
                if others.is_empty() {
                    text.push(' ');
                }
                first.clear();
            }
            text.push_str(&std::mem::take(&mut first));
            text.push_str(&std::mem::take(&mut others));
            was_blank = begins_blank;
            while !is_break_or_end(self.reader.peek()) {
                self.reader.read(&mut text);
            }
            self.reader.read_break(&mut first);
            self.scan_block_breaks(&mut indent, &mut others, start, &mut end)?;
        }
        if chomping != Some('-') {
            text.push_str(&first);
        }
        if chomping == Some('+') {
            text.push_str(&others);
        }
        let kind = TokenKind::Scalar(ScalarToken {
            text,
            is_plain: false,
            begins,
        });
        Ok(Token { kind, start, end })
    }

    /// Scans what stands behind `|`: `+` or `-`, and how deep the block is indented.
    fn scan_block_header(
        &mut self,
        start: Mark,
    ) -> Result<(Option<char>, Option<usize>), YamlError> {
        let (mut chomping, mut increment) = (None, None);
        for _ in 0..2 {
            match self.reader.peek() {
                c @ ('+' | '-') if chomping.is_none() => chomping = Some(c),
                '0' if increment.is_none() => {
                    let problem = "found an indentation indicator equal to 0";
                    return Err(self.error(start, problem));
                }
                c @ '1'..='9' if increment.is_none() => {
                    increment = c.to_digit(10).map(|digit| digit as usize);
                }
                _ => break,
            }
            self.reader.skip();
        }
        Ok((chomping, increment))
    }

    /// Goes past indentation and empty lines; finds out how deep the block is indented.
    fn scan_block_breaks(
        &mut self,
        indent: &mut Option<usize>,
        breaks: &mut String,
        start: Mark,
        end: &mut Mark,
    ) -> Result<(), YamlError> {
        *end = self.reader.mark;
        let mut deepest = 0;
        loop {
            let is_within = |column: usize| indent.is_none_or(|indent| column < indent);
            while is_within(self.reader.mark.column) && self.reader.peek() == ' ' {
                self.reader.skip();
            }
            deepest = deepest.max(self.reader.mark.column);
            if is_within(self.reader.mark.column) && self.reader.peek() == '\t' {
                let problem = "found a tab character where an indentation space is expected";
                return Err(self.error(start, problem));
            }
            if !is_break(self.reader.peek()) {
                break;
            }
            self.reader.read_break(breaks);
            *end = self.reader.mark;
        }
        if indent.is_none() {
            let least = (self.indent() + 1).max(1) as usize;
            *indent = Some(deepest.max(least));
        }
        Ok(())
    }

    /// Scans text in quotes.
    pub(crate) fn scan_quoted_scalar(&mut self, quote: char) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        self.reader.skip();
        let begins = self.reader.mark.byte;
        let (mut text, mut space) = (String::new(), Space::default());
        loop {
            if self.reader.is_at_document_indicator() {
                return Err(self.error(start, "found unexpected document indicator"));
            }
            if is_end(self.reader.peek()) {
                return Err(self.error(start, "found unexpected end of stream"));
            }
            space.is_broken = self.scan_quoted_word(quote, &mut text, start)?;
            if self.reader.peek() == quote {
                break;
            }
            self.scan_space(&mut space, None, start)?;
            space.fold_into(&mut text);
        }
        self.reader.skip();
        let kind = TokenKind::Scalar(ScalarToken {
            text,
            is_plain: false,
            begins,
        });
        Ok(self.token(kind, start))
    }

    /// Scans quoted text up to white space or the quote; tells whether it ended in an escaped
    /// line break.
    fn scan_quoted_word(
        &mut self,
        quote: char,
        text: &mut String,
        start: Mark,
    ) -> Result<bool, YamlError> {
        while !is_blank_or_end(self.reader.peek()) {
            let (c, next) = (self.reader.peek(), self.reader.peek_at(1));
            if c == '\'' && quote == '\'' && next == '\'' {
                self.reader.skip();
                self.reader.read(text);
            } else if c == quote {
                break;
            } else if quote == '"' && c == '\\' && is_break(next) {
                self.reader.skip();
                self.reader.skip_break();
                return Ok(true);
            } else if quote == '"' && c == '\\' {
                self.scan_escape(next, text, start)?;
            } else {
                self.reader.read(text);
            }
        }
        Ok(false)
    }

    fn scan_escape(&mut self, c: char, text: &mut String, start: Mark) -> Result<(), YamlError> {
        let n_digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                text.push(match c {
                    '0' => '\0',
                    'a' => '\x07',
                    'b' => '\x08',
                    't' | '\t' => '\t',
                    'n' => '\n',
                    'v' => '\x0b',
                    'f' => '\x0c',
                    'r' => '\r',
                    'e' => '\x1b',
                    ' ' | '"' | '\'' | '\\' => c,
                    'N' => '\u{85}',
                    '_' => '\u{a0}',
                    'L' => '\u{2028}',
                    'P' => '\u{2029}',
                    _ => return Err(self.error(start, "found unknown escape character")),
                });
                0
            }
        };
        self.reader.skip();
        self.reader.skip();
        if n_digits == 0 {
            return Ok(());
        }
        let mut code: u32 = 0;
        for at in 0..n_digits {
            let Some(digit) = self.reader.peek_at(at).to_digit(16) else {
                return Err(self.error(start, "did not find expected hexdecimal number"));
            };
            code = code.wrapping_shl(4) | digit;
        }
        let Some(c) = char::from_u32(code) else {
            return Err(self.error(start, "found invalid Unicode character escape code"));
        };
        text.push(c);
        for _ in 0..n_digits {
            self.reader.skip();
        }
        Ok(())
    }

    /// Scans text without quotes.
    pub(crate) fn scan_plain_scalar(&mut self) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        let mut end = start;
        let indent = (self.indent() + 1).max(0) as usize;
        let (mut text, mut space) = (String::new(), Space::default());
        loop {
            if self.reader.is_at_document_indicator() || self.reader.peek() == '#' {
                break;
            }
            while !self.ends_plain() {
                space.fold_into(&mut text);
                self.reader.read(&mut text);
                end = self.reader.mark;
            }
            if !is_blank(self.reader.peek()) && !is_break(self.reader.peek()) {
                break;
            }
            self.scan_space(&mut space, Some(indent), start)?;
            if self.flow_level == 0 && self.reader.mark.column < indent {
                break;
            }
        }
        if space.is_broken {
            self.is_key_allowed = true;
        }
        let kind = TokenKind::Scalar(ScalarToken {
            text,
            is_plain: true,
            begins: start.byte,
        });
        Ok(Token { kind, start, end })
    }

    fn ends_plain(&self) -> bool {
        match self.reader.peek() {
            c if is_blank_or_end(c) => true,
            ':' => is_blank_or_end(self.reader.peek_at(1)),
            c => self.flow_level > 0 && ",?[]{}".contains(c),
        }
    }

    /// Scans white space within a scalar; `indent` is where the lines of a plain one begin.
    fn scan_space(
        &mut self,
        space: &mut Space,
        indent: Option<usize>,
        start: Mark,
    ) -> Result<(), YamlError> {
        loop {
            let c = self.reader.peek();
            if is_blank(c) {
                let is_left = indent.is_some_and(|indent| self.reader.mark.column < indent);
                if space.is_broken && is_left && c == '\t' {
                    let problem = "found a tab character that violates indentation";
                    return Err(self.error(start, problem));
                }
                match space.is_broken {
                    true => self.reader.skip(),
                    false => self.reader.read(&mut space.blanks),
                }
            } else if is_break(c) {
                match space.is_broken {
                    true => self.reader.read_break(&mut space.others),
                    false => self.reader.read_break(&mut space.first),
                }
                space.is_broken = true;
            } else {
                return Ok(());
            }
        }
    }
}
