//! What stands inside an action: declarations, commands, words.

use crate::model::labels::quote;
use crate::template::ast::{Command, Pipe, Word, WordKind};
use crate::template::literal::{parse_number, unquote};
use crate::template::parse::{Parsed, Parser};
use crate::template::token::{Keyword, TokenKind};

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: TokenKind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            at: self.peek_non_space().at,
            is_assignment: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(context, &mut pipe)?;
        loop {
            let token = self.next_non_space();
            if token.kind == end {
                self.check_pipeline(&pipe, context)?;
                return Ok(pipe);
            }
            if !starts_operand(token.kind) {
                return self.unexpected(&token, context);
            }
            self.push_back();
            pipe.commands.push(self.command()?);
        }
    }

    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<()> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != TokenKind::Variable {
                return Ok(());
            }
            self.next();
            // A space is a token, so that `$x foo` is told from `$x := foo` only three ahead.
            let after = self.peek();
            let next = self.peek_non_space();
            let is_comma = next.kind == TokenKind::Char && next.text == ",";
            if matches!(next.kind, TokenKind::Assign | TokenKind::Declare) || is_comma {
                self.next_non_space();
                pipe.variables.push(variable.text.clone());
                self.scope.variables.push(variable.text);
                if !is_comma {
                    pipe.is_assignment = next.kind == TokenKind::Assign;
                    return Ok(());
                }
                if context != "range" || pipe.variables.len() >= 2 {
                    return self.fail(format!("too many declarations in {context}"));
                }
                let follows = self.peek_non_space().kind;
                if !matches!(
                    follows,
                    TokenKind::Variable | TokenKind::RightDelimiter | TokenKind::RightParen
                ) {
                    return self.fail("range can only initialize variables");
                }
                continue;
            }
            if after.kind == TokenKind::Space {
                self.tokens[1] = Some(after);
                self.tokens[2] = Some(variable);
                self.n_pushed_back = 3;
            } else {
                self.tokens[1] = Some(variable);
                self.n_pushed_back = 2;
            }
            return Ok(());
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (idx, command) in pipe.commands.iter().enumerate().skip(1) {
            if let WordKind::Bool(_)
            | WordKind::Dot
            | WordKind::Nil
            | WordKind::Number(_)
            | WordKind::String { .. } = command.words[0].kind
            {
                let stage = idx + 1;
                return self.fail(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    /// Words up to a pipe, which is passed, or the end of the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_non_space().at;
        let mut words = Vec::new();
        loop {
            self.peek_non_space();
            words.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelimiter | TokenKind::RightParen => self.push_back(),
                TokenKind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if words.is_empty() {
            return self.fail("empty command");
        }
        Ok(Command { at, words })
    }

    /// A term and the fields taken of it; `None` where none begins here.
    fn operand(&mut self) -> Parsed<Option<Word>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != TokenKind::Field {
            return Ok(Some(term));
        }
        let mut names = Vec::new();
        while self.peek().kind == TokenKind::Field {
            names.push(self.next().text[1..].to_owned());
        }
        let at = first.at;
        let kind = match term.kind {
            WordKind::Field(mut known) => {
                known.append(&mut names);
                WordKind::Field(known)
            }
            WordKind::Variable(mut known) => {
                known.append(&mut names);
                WordKind::Variable(known)
            }
            WordKind::Bool(_)
            | WordKind::String { .. }
            | WordKind::Number(_)
            | WordKind::Nil
            | WordKind::Dot => {
                let term = quote(&term.to_string());
                return self.fail(format!("unexpected . after term {term}"));
            }
            _ => WordKind::Chain(Box::new(term), names),
        };
        Ok(Some(Word { at, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Word>> {
        let token = self.next_non_space();
        let kind = match token.kind {
            TokenKind::Identifier => {
                if !(self.is_function)(&token.text) {
                    let name = quote(&token.text);
                    return self.fail(format!("function {name} not defined"));
                }
                WordKind::Identifier(token.text)
            }
            TokenKind::Keyword(Keyword::Dot) => WordKind::Dot,
            TokenKind::Keyword(Keyword::Nil) => WordKind::Nil,
            TokenKind::Variable => {
                if !self.scope.variables.contains(&token.text) {
                    let name = quote(&token.text);
                    return self.fail(format!("undefined variable {name}"));
                }
                WordKind::Variable(vec![token.text])
            }
            TokenKind::Field => WordKind::Field(vec![token.text[1..].to_owned()]),
            TokenKind::Bool => WordKind::Bool(token.text == "true"),
            TokenKind::CharConstant | TokenKind::Complex | TokenKind::Number => {
                match parse_number(&token.text) {
                    Ok(number) => WordKind::Number(number),
                    Err(message) => return self.fail(message),
                }
            }
            TokenKind::LeftParen => {
                self.deeper()?;
                let pipe = self.pipeline("parenthesized pipeline", TokenKind::RightParen)?;
                self.nesting -= 1;
                WordKind::Pipe(pipe)
            }
            TokenKind::String | TokenKind::RawString => match unquote(&token.text) {
                Some(text) => WordKind::String {
                    quoted: token.text,
                    text,
                },
                None => return self.fail("invalid syntax"),
            },
            _ => {
                self.push_back();
                return Ok(None);
            }
        };
        let at = match &kind {
            // Go gives a parenthesised pipeline the place of what is in it.
            WordKind::Pipe(pipe) => pipe.at,
            _ => token.at,
        };
        Ok(Some(Word { at, kind }))
    }
}

fn starts_operand(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Bool
            | TokenKind::CharConstant
            | TokenKind::Complex
            | TokenKind::Keyword(Keyword::Dot | Keyword::Nil)
            | TokenKind::Field
            | TokenKind::Identifier
            | TokenKind::Number
            | TokenKind::RawString
            | TokenKind::String
            | TokenKind::Variable
            | TokenKind::LeftParen
    )
}
