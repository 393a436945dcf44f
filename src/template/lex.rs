//! A template's text in tokens, as Go's lexer cuts it.
//!
//! Trim markers (`{{- ` and ` -}}`) and comments are dealt with here; the parser never sees
//! them. An error is a token too, and the last but the end.

use crate::model::quote::{code_point, quote};
use crate::template::token::{Keyword, Token, TokenKind};

const KEYWORDS: [(&str, Keyword); 11] = [
    ("block", Keyword::Block),
    ("break", Keyword::Break),
    ("continue", Keyword::Continue),
    ("define", Keyword::Define),
    ("else", Keyword::Else),
    ("end", Keyword::End),
    ("if", Keyword::If),
    ("nil", Keyword::Nil),
    ("range", Keyword::Range),
    ("template", Keyword::Template),
    ("with", Keyword::With),
];

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts a text into tokens, one at a time.
pub struct Lexer<'a> {
    input: &'a str,
    /// Where the next character is read.
    pos: usize,
    /// Where the current token begins.
    start: usize,
    inside_action: bool,
    paren_depth: usize,
    /// The line at `line_pos`, so that lines are counted once.
    line: usize,
    line_pos: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `input`.
    pub fn new(input: &'a str) -> Self {
        Lexer {
            input,
            pos: 0,
            start: 0,
            inside_action: false,
            paren_depth: 0,
            line: 1,
            line_pos: 0,
        }
    }

    /// Returns the next token; after the end, or an error, the end again and again.
    pub fn next_token(&mut self) -> Token {
        if self.inside_action {
            return self.inside_action();
        }
        self.text()
    }

    fn rest(&self) -> &'a str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(c) if wanted(c) => {
                self.pos += c.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn accept_run(&mut self, wanted: impl Fn(char) -> bool + Copy) {
        while self.accept(wanted) {}
    }

    fn line_at(&mut self, at: usize) -> usize {
        if at >= self.line_pos {
            let passed = &self.input.as_bytes()[self.line_pos..at];
            self.line += passed.iter().filter(|b| **b == b'\n').count();
            self.line_pos = at;
        }
        self.line
    }

    /// Ends the current token at the present position.
    fn emit(&mut self, kind: TokenKind) -> Token {
        let token = Token {
            kind,
            at: self.start,
            text: self.input[self.start..self.pos].to_owned(),
            line: self.line_at(self.start),
        };
        self.start = self.pos;
        token
    }

    /// Gives up: the message is the last token, then only the end follows.
    fn fail(&mut self, message: impl Into<String>) -> Token {
        let token = Token {
            kind: TokenKind::Error,
            at: self.start,
            text: message.into(),
            line: self.line_at(self.start),
        };
        (self.pos, self.start) = (self.input.len(), self.input.len());
        self.inside_action = false;
        token
    }

    /// Text up to an action or the end; comments are skipped.
    fn text(&mut self) -> Token {
        loop {
            let Some(length) = self.rest().find(LEFT) else {
                self.pos = self.input.len();
                let kind = if self.pos > self.start {
                    TokenKind::Text
                } else {
                    TokenKind::End
                };
                return self.emit(kind);
            };
            if length > 0 {
                let delimiter = self.pos + length;
                let mut end = delimiter;
                if has_left_trim_marker(&self.input[delimiter + LEFT.len()..]) {
                    end = self.start
                        + self.input[self.start..delimiter]
                            .trim_end_matches(SPACES)
                            .len();
                }
                self.pos = end;
                let token = self.emit(TokenKind::Text);
                (self.pos, self.start) = (delimiter, delimiter);
                if !token.text.is_empty() {
                    return token;
                }
            }
            if let Some(token) = self.left_delimiter() {
                return token;
            }
        }
    }

    /// The `{{` that is known to be here; `None` after a comment.
    fn left_delimiter(&mut self) -> Option<Token> {
        self.pos += LEFT.len();
        let marker = if has_left_trim_marker(self.rest()) {
            2
        } else {
            0
        };
        if self.rest()[marker..].starts_with("/*") {
            self.pos += marker;
            self.start = self.pos;
            return self.comment().err();
        }
        let token = self.emit(TokenKind::LeftDelimiter);
        self.inside_action = true;
        self.pos += marker;
        self.start = self.pos;
        self.paren_depth = 0;
        Some(token)
    }

    fn comment(&mut self) -> Result<(), Token> {
        self.pos += 2;
        let Some(length) = self.rest().find("*/") else {
            return Err(self.fail("unclosed comment"));
        };
        self.pos += length + 2;
        let Some(trims) = self.at_right_delimiter() else {
            return Err(self.fail("comment ends before closing delimiter"));
        };
        self.close(trims);
        self.start = self.pos;
        Ok(())
    }

    /// Tells whether the right delimiter is here, and whether it trims.
    fn at_right_delimiter(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_trim_marker(rest) && rest[2..].starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    /// Passes the right delimiter and what it trims.
    fn close(&mut self, trims: bool) {
        if trims {
            self.pos += 2;
        }
        self.pos += RIGHT.len();
        if trims {
            self.pos = self.input.len() - self.rest().trim_start_matches(SPACES).len();
        }
    }

    fn right_delimiter(&mut self, trims: bool) -> Token {
        if trims {
            self.pos += 2;
            self.start = self.pos;
        }
        self.pos += RIGHT.len();
        let token = self.emit(TokenKind::RightDelimiter);
        if trims {
            self.pos = self.input.len() - self.rest().trim_start_matches(SPACES).len();
            self.start = self.pos;
        }
        self.inside_action = false;
        token
    }

    fn inside_action(&mut self) -> Token {
        if let Some(trims) = self.at_right_delimiter() {
            if self.paren_depth == 0 {
                return self.right_delimiter(trims);
            }
            return self.fail("unclosed left paren");
        }
        let Some(c) = self.peek() else {
            return self.fail("unclosed action");
        };
        if is_space(c) {
            return self.space();
        }
        self.pos += c.len_utf8();
        match c {
            '=' => self.emit(TokenKind::Assign),
            ':' => {
                if self.next_char() != Some('=') {
                    return self.fail("expected :=");
                }
                self.emit(TokenKind::Declare)
            }
            '|' => self.emit(TokenKind::Pipe),
            '"' => self.quoted('"', TokenKind::String, "unterminated quoted string"),
            '\'' => self.quoted(
                '\'',
                TokenKind::CharConstant,
                "unterminated character constant",
            ),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(TokenKind::Variable),
            '.' if !self.peek().is_none_or(|next| next.is_ascii_digit()) => {
                self.field_or_variable(TokenKind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.pos = self.start;
                self.number()
            }
            c if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.paren_depth += 1;
                self.emit(TokenKind::LeftParen)
            }
            ')' if self.paren_depth == 0 => self.fail("unexpected right paren"),
            ')' => {
                self.paren_depth -= 1;
                self.emit(TokenKind::RightParen)
            }
            '!'..='~' => self.emit(TokenKind::Char),
            c => self.fail(format!(
                "unrecognized character in action: {}",
                code_point(c)
            )),
        }
    }

    /// A run of spaces; the last may belong to a trim-marked right delimiter.
    fn space(&mut self) -> Token {
        self.accept_run(is_space);
        let before_last = self.pos - 1;
        let tail = &self.input[before_last..];
        if has_right_trim_marker(tail) && tail[2..].starts_with(RIGHT) {
            self.pos = before_last;
            if self.pos == self.start {
                return self.right_delimiter(true);
            }
        }
        self.emit(TokenKind::Space)
    }

    fn identifier(&mut self) -> Token {
        self.accept_run(is_alphanumeric);
        if let Some(token) = self.bad_character() {
            return token;
        }
        let word = &self.input[self.start..self.pos];
        let keyword = KEYWORDS.iter().find(|(name, _)| *name == word);
        let kind = match (keyword, word) {
            (Some((_, keyword)), _) => TokenKind::Keyword(*keyword),
            (None, "true" | "false") => TokenKind::Bool,
            (None, _) => TokenKind::Identifier,
        };
        self.emit(kind)
    }

    fn field_or_variable(&mut self, kind: TokenKind) -> Token {
        if self.at_terminator() {
            // Nothing interesting follows: `.` or `$`.
            return self.emit(match kind {
                TokenKind::Variable => TokenKind::Variable,
                _ => TokenKind::Keyword(Keyword::Dot),
            });
        }
        self.accept_run(is_alphanumeric);
        match self.bad_character() {
            Some(token) => token,
            None => self.emit(kind),
        }
    }

    fn bad_character(&mut self) -> Option<Token> {
        if self.at_terminator() {
            return None;
        }
        let c = self.peek()?;
        Some(self.fail(format!("bad character {}", code_point(c))))
    }

    /// Tells whether a name may end here.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn quoted(&mut self, end: char, kind: TokenKind, unterminated: &str) -> Token {
        loop {
            let c = match self.next_char() {
                Some('\\') => match self.next_char() {
                    Some(escaped) if escaped != '\n' => continue,
                    _ => return self.fail(unterminated),
                },
                c => c,
            };
            match c {
                None | Some('\n') => return self.fail(unterminated),
                Some(c) if c == end => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token {
        match self.rest().find('`') {
            Some(length) => {
                self.pos += length + 1;
                self.emit(TokenKind::RawString)
            }
            None => self.fail("unterminated raw quoted string"),
        }
    }

    fn number(&mut self) -> Token {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            // Complex: 1+2i, without spaces.
            if !self.scan_number() || !self.input[..self.pos].ends_with('i') {
                return self.bad_number();
            }
            return self.emit(TokenKind::Complex);
        }
        self.emit(TokenKind::Number)
    }

    fn bad_number(&mut self) -> Token {
        let text = quote(&self.input[self.start..self.pos]);
        self.fail(format!("bad number syntax: {text}"))
    }

    /// Passes what may be a number; what is wrong with it the parser finds.
    fn scan_number(&mut self) -> bool {
        self.accept(|c| c == '+' || c == '-');
        let mut digits: fn(char) -> bool = |c| c.is_ascii_digit() || c == '_';
        let mut exponent = ['e', 'E'];
        if self.accept(|c| c == '0') {
            if self.accept(|c| c == 'x' || c == 'X') {
                digits = |c| c.is_ascii_hexdigit() || c == '_';
                exponent = ['p', 'P'];
            } else if self.accept(|c| c == 'o' || c == 'O') {
                digits = |c| ('0'..='7').contains(&c) || c == '_';
                exponent = ['\0', '\0'];
            } else if self.accept(|c| c == 'b' || c == 'B') {
                digits = |c| c == '0' || c == '1' || c == '_';
                exponent = ['\0', '\0'];
            }
        }
        self.accept_run(digits);
        if self.accept(|c| c == '.') {
            self.accept_run(digits);
        }
        if exponent[0] != '\0' && self.accept(|c| exponent.contains(&c)) {
            self.accept(|c| c == '+' || c == '-');
            self.accept_run(|c| c.is_ascii_digit() || c == '_');
        }
        self.accept(|c| c == 'i');
        if self.accept(is_alphanumeric) {
            return false;
        }
        true
    }
}

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn has_left_trim_marker(text: &str) -> bool {
    matches!(text.as_bytes(), [b'-', b' ' | b'\t' | b'\r' | b'\n', ..])
}

fn has_right_trim_marker(text: &str) -> bool {
    matches!(text.as_bytes(), [b' ' | b'\t' | b'\r' | b'\n', b'-', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            let token = lexer.next_token();
            let kind = token.kind;
            if kind == TokenKind::End {
                break;
            }
            if kind != TokenKind::Space {
                found.push(format!("{}@{}:{token}", token.at, token.line));
            }
        }
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn texts_are_cut_as_go_cuts_them() {
        check("a{{ .X }}", r#"0@1:"a" 1@1:"{{" 4@1:".X" 7@1:"}}""#);
        check(
            "a \n{{- 3 -}} \n b",
            r#"0@1:"a" 3@2:"{{" 7@2:"3" 10@2:"}}" 15@3:"b""#,
        );
        check("x{{/* c */ -}}  y", r#"0@1:"x" 16@1:"y""#);
        check(
            "{{if -3.2e+5}}",
            r#"0@1:"{{" 2@1:<if> 5@1:"-3.2e+5" 12@1:"}}""#,
        );
        check(
            "{{$x:=`a\nb`}}",
            r#"0@1:"{{" 2@1:"$x" 4@1:":=" 6@1:"`a\nb`" 11@2:"}}""#,
        );
        check("{{a#}}", r#"0@1:"{{" 2@1:bad character U+0023 '#'"#);
        check("{{\n", "0@1:\"{{\" 3@2:unclosed action");
        check("{{(}}", r#"0@1:"{{" 2@1:"(" 3@1:unclosed left paren"#);
    }
}
