//! Characters into tokens.
//!
//! The lexer follows Prometheus' state by state, because the text and the place of an error
//! depend on what it was inside of: a selector's braces, a range's brackets, or neither.

use crate::model::quote::{code_point, quote, quote_char};
use crate::promql::ast::{BinaryOp, Span};
use crate::promql::token::{Keyword, Token, TokenKind, keyword};

/// What the lexer cannot read; `start` is where the token began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LexError {
    /// Prometheus' text.
    pub message: String,
    /// Where the token began.
    pub start: usize,
}

type LexResult = Result<TokenKind, String>;

/// What surrounds the next token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Neither of the two below; also behind the first number of a bracket.
    Expression,
    /// `{ }`
    Braces,
    /// `[ ]` before its first number.
    Brackets,
}

/// A cursor over the query text that yields tokens.
pub struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    start: usize,
    inside: Inside,
    paren_depth: usize,
    bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    /// Returns a lexer at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Lexer {
            text,
            pos: 0,
            start: 0,
            inside: Inside::Expression,
            paren_depth: 0,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// Returns the next token; spaces and comments are skipped.
    pub fn next_token(&mut self) -> Result<Token, LexError> {
        self.skip_blank();
        self.start = self.pos;
        let kind = match self.inside {
            Inside::Expression => self.in_expression(),
            Inside::Braces => self.in_braces(),
            Inside::Brackets => self.in_brackets(),
        };
        match kind {
            Ok(kind) => Ok(Token {
                kind,
                span: Span {
                    start: self.start,
                    end: self.pos,
                },
            }),
            Err(message) => Err(LexError {
                message,
                start: self.start,
            }),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, valid: impl Fn(char) -> bool) -> bool {
        let accepted = self.peek().is_some_and(valid);
        if accepted {
            self.next();
        }
        accepted
    }

    fn accept_run(&mut self, valid: impl Fn(char) -> bool) {
        while self.accept(&valid) {}
    }

    fn skip_blank(&mut self) {
        loop {
            self.accept_run(is_space);
            // Prometheus knows no comments between `[` and the first number.
            if self.inside == Inside::Brackets || self.peek() != Some('#') {
                return;
            }
            self.accept_run(|c| c != '\n' && c != '\r');
        }
    }

    /// Fails with the place behind the token: Prometheus finds these errors after it has
    /// already handed the token out.
    fn late(&mut self, message: &str) -> LexResult {
        self.start = self.pos;
        Err(message.to_owned())
    }

    fn in_expression(&mut self) -> LexResult {
        let Some(c) = self.next() else {
            return match (self.paren_depth, self.bracket_open) {
                (0, false) => Ok(TokenKind::Eof),
                (0, true) => Err("unclosed left bracket".to_owned()),
                _ => Err("unclosed left parenthesis".to_owned()),
            };
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '=' | '!' | '<' | '>' => return self.comparison(c),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => return self.right_paren(),
            '{' => {
                self.inside = Inside::Braces;
                TokenKind::LeftBrace
            }
            '[' => return self.left_bracket(),
            ']' => return self.right_bracket(),
            '@' => TokenKind::At,
            c if c.is_ascii_digit() => return self.number_or_duration(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                return self.number_or_duration();
            }
            c if is_alpha(c) || c == ':' => {
                return if self.bracket_open {
                    self.word_in_brackets(c)
                } else {
                    Ok(self.word())
                };
            }
            c => return Err(format!("unexpected character: {}", quote_char(c))),
        })
    }

    fn comparison(&mut self, first: char) -> LexResult {
        let second = self.peek();
        let op = match (first, second) {
            ('=', Some('=')) => BinaryOp::Equal,
            ('=', Some('~')) => {
                return Err(format!(
                    "unexpected character after '=': {}",
                    quote_or_end(second)
                ));
            }
            ('=', _) => return Ok(TokenKind::Equal),
            ('!', Some('=')) => BinaryOp::NotEqual,
            ('!', _) => {
                return Err(format!(
                    "unexpected character after '!': {}",
                    quote_or_end(second)
                ));
            }
            ('<', Some('=')) => BinaryOp::LessEqual,
            ('<', Some('/')) => BinaryOp::TrimUpper,
            ('>', Some('=')) => BinaryOp::GreaterEqual,
            ('>', Some('/')) => BinaryOp::TrimLower,
            ('<', _) => return Ok(TokenKind::Operator(BinaryOp::Less)),
            _ => return Ok(TokenKind::Operator(BinaryOp::Greater)),
        };
        self.next();
        Ok(TokenKind::Operator(op))
    }

    fn right_paren(&mut self) -> LexResult {
        if self.paren_depth == 0 {
            return self.late("unexpected right parenthesis ')'");
        }
        self.paren_depth -= 1;
        Ok(TokenKind::RightParen)
    }

    fn left_bracket(&mut self) -> LexResult {
        if self.bracket_open {
            return Err("unexpected left bracket '['".to_owned());
        }
        self.got_colon = false;
        self.bracket_open = true;
        self.inside = Inside::Brackets;
        Ok(TokenKind::LeftBracket)
    }

    fn right_bracket(&mut self) -> LexResult {
        if !self.bracket_open {
            return Err("unexpected right bracket ']'".to_owned());
        }
        self.bracket_open = false;
        self.inside = Inside::Expression;
        Ok(TokenKind::RightBracket)
    }

    /// Reads inside brackets, behind their first number.
    fn word_in_brackets(&mut self, first: char) -> LexResult {
        if first == ':' {
            if self.got_colon {
                return Err("unexpected colon ':'".to_owned());
            }
            self.got_colon = true;
            return Ok(TokenKind::Colon);
        }
        self.duration_word(first)
            .ok_or_else(|| format!("unexpected character: {}, expected ':'", quote_char(first)))
    }

    /// Reads `step`, `range`, `min`, `max`; 3.14 renamed the last two to `min_of`, `max_of`.
    fn duration_word(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.accept_run(is_alpha);
        let word = self.text[self.start..self.pos].to_ascii_lowercase();
        match word.as_str() {
            "step" | "range" | "min" | "max" => keyword(&word),
            "min_of" | "max_of" => Some(TokenKind::Identifier),
            _ => None,
        }
    }

    fn in_brackets(&mut self) -> LexResult {
        let Some(c) = self.next() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        Ok(match c {
            ']' => return self.right_bracket(),
            ':' if !self.got_duration => {
                return self.late("unexpected colon before duration in duration expression");
            }
            ':' if self.got_colon => {
                return self.late("unexpected repeated colon in duration expression");
            }
            ':' => {
                self.got_colon = true;
                TokenKind::Colon
            }
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => return self.right_paren(),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            ',' => TokenKind::Comma,
            c if c.is_ascii_digit()
                || (c == '.' && self.peek().is_some_and(|c| c.is_ascii_digit())) =>
            {
                self.got_duration = true;
                self.inside = Inside::Expression;
                return self.number_or_duration();
            }
            c => {
                return self.duration_word(c).ok_or_else(|| {
                    format!(
                        "unexpected character in duration expression: {}",
                        quote_char(c)
                    )
                });
            }
        })
    }

    fn in_braces(&mut self) -> LexResult {
        let Some(c) = self.next() else {
            return Err("unexpected end of input inside braces".to_owned());
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' if self.accept(|c| c == '~') => TokenKind::Matches,
            '=' => TokenKind::Equal,
            '!' if self.accept(|c| c == '~') => TokenKind::NotMatches,
            '!' if self.accept(|c| c == '=') => TokenKind::Operator(BinaryOp::NotEqual),
            '!' => {
                return Err(format!(
                    "unexpected character after '!' inside braces: {}",
                    quote_or_end(self.peek())
                ));
            }
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.inside = Inside::Expression;
                TokenKind::RightBrace
            }
            c if is_alpha(c) => {
                self.accept_run(is_alphanumeric);
                TokenKind::Identifier
            }
            c => {
                return Err(format!(
                    "unexpected character inside braces: {}",
                    quote_char(c)
                ));
            }
        })
    }

    fn word(&mut self) -> TokenKind {
        self.accept_run(|c| is_alphanumeric(c) || c == ':');
        let word = &self.text[self.start..self.pos];
        match keyword(word) {
            // These came late to the language, so they are names unless a parenthesis follows.
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.text[self.pos..]
                    .trim_start_matches(is_space)
                    .starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }

    fn raw_string(&mut self) -> LexResult {
        self.accept_run(|c| c != '`');
        match self.next() {
            Some(_) => Ok(TokenKind::String),
            None => Err("unterminated raw string".to_owned()),
        }
    }

    fn string(&mut self, open: char) -> LexResult {
        loop {
            match self.next() {
                Some('\\') => self.escape(open)?,
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                // Prometheus reads an escaped or literal U+FFFD as broken UTF-8.
                Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".to_owned()),
                Some(c) if c == open => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, open: char) -> Result<(), String> {
        let unterminated = || "escape sequence not terminated".to_owned();
        let c = self.next().ok_or_else(unterminated)?;
        let (digits, base, value_max) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == open => return Ok(()),
            '0'..='7' => {
                self.pos -= 1;
                (3, 8, 255)
            }
            'x' => (2, 16, 255),
            'u' => (4, 16, char::MAX as u32),
            'U' => (8, 16, char::MAX as u32),
            c => return Err(format!("unknown escape sequence {}", code_point(c))),
        };
        let mut value: u32 = 0;
        for _ in 0..digits {
            let c = self.next().ok_or_else(unterminated)?;
            let digit = c
                .to_digit(base)
                .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        if value > value_max || (0xD800..0xE000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    /// Reads from the first digit or dot, which is already consumed.
    fn number_or_duration(&mut self) -> LexResult {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration_tail() {
            return Ok(TokenKind::Duration);
        }
        Err(format!(
            "bad number or duration syntax: {}",
            quote(&self.text[self.start..self.pos])
        ))
    }

    /// Reads a unit and more number-unit pairs. Where it fails, the character it looked at last
    /// counts as read, as in Prometheus, because the error shows it.
    fn scan_duration_tail(&mut self) -> bool {
        if !self.accept(|c| "smhdwy".contains(c)) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            self.accept_run(|c| c.is_ascii_digit());
            if !self.accept(|c| "smhdw".contains(c)) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        !self.accept(is_alphanumeric)
    }

    /// Reads decimal, hexadecimal, octal and float forms; the parser refuses what is malformed.
    fn scan_number(&mut self) -> bool {
        let initial = self.pos;
        let mut hex = false;
        if self.accept(|c| c == '0') && self.accept(|c| c == 'x' || c == 'X') {
            self.accept(|c| c == '_');
            hex = true;
        }
        let is_digit = |c: char| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        let is_exponent = |c: char| c == 'e' || c == 'E';
        let cannot_follow = |c: char| "._eE".contains(c);
        self.accept(|c| c == '.');
        self.accept(is_digit);
        let (mut dot, mut exponent) = (false, false);
        while let Some(c) = self.peek() {
            if !is_digit(c) && !is_exponent(c) && c != '.' && c != '_' {
                break;
            }
            if (c == '.' && dot) || (is_exponent(c) && exponent) {
                self.next();
                return false;
            }
            if c == '.' {
                self.next();
                dot = true;
                if self.accept(|c| c == '_' || c == '.') || hex {
                    return false;
                }
            } else if is_exponent(c) {
                self.next();
                exponent = true;
                self.accept(|c| c == '+' || c == '-');
                if self.accept(cannot_follow) || self.peek().is_none() {
                    return false;
                }
            } else if c == '_' {
                self.next();
                if self.accept(cannot_follow) || self.peek().is_none() {
                    return false;
                }
            } else {
                self.accept_run(is_digit);
            }
        }
        self.pos != initial && !self.peek().is_some_and(is_alphanumeric)
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

/// Quotes a character as Go's `%q` does; the end of the text shows as U+FFFD.
fn quote_or_end(c: Option<char>) -> String {
    quote_char(c.unwrap_or(char::REPLACEMENT_CHARACTER))
}
