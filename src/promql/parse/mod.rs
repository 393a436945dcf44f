//! Tokens into the tree: a Pratt parser, one file per construct.
//!
//! Prometheus' parser is generated from a grammar, and its errors say in which construct the
//! generated parser gave up. Each function here therefore names its construct when it meets a
//! token it cannot use; where no construct does, the innermost aggregation around does.

mod aggregate;
mod binary;
mod call;
mod duration;
pub(super) mod literal;
mod modifier;
mod selector;

pub(super) use selector::may_name_metric;

use crate::model::Matcher;
use crate::promql::ParseError;
use crate::promql::ast::{Expr, ExprKind, Number, Span, UnaryOp};
use crate::promql::lex::Lexer;
use crate::promql::signature::{Features, SignatureTable};
use crate::promql::token::{Token, TokenKind};
use crate::promql::{ast::BinaryOp, line_and_column};

/// How many parentheses, calls, signs and the like may lie inside each other. The parser recurses
/// over them, so a deeper text is refused as an error instead of overflowing the stack.
pub const NESTING_MAX: usize = 128;

/// How many levels a tree may have; besides nesting, each operator of a chain `a + b + ...` adds
/// one. Everything that walks trees recurses over them, so a higher one is refused.
pub const HEIGHT_MAX: usize = 512;

type Result<T> = std::result::Result<T, ParseError>;

/// An expression and how many levels its tree has.
struct Parsed {
    expr: Expr,
    height: usize,
}

/// The parser's place in the text.
struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    peeked: Option<Token>,
    /// The end of the token taken last.
    last_end: usize,
    functions: &'a dyn SignatureTable,
    features: Features,
    /// How many expressions are being parsed around this place.
    nesting: usize,
    /// How many aggregations are being parsed around this place.
    aggregations: usize,
}

/// Parses a whole text; types are checked elsewhere.
pub fn parse_syntax(
    text: &str,
    functions: &dyn SignatureTable,
    features: Features,
) -> Result<Expr> {
    let mut parser = Parser::new(text, functions, features);
    if parser.peek()?.kind == TokenKind::Eof {
        return Err(parser.error(Span::default(), "no expression found in input"));
    }
    let parsed = parser.expression(0)?;
    if parser.peek()?.kind != TokenKind::Eof {
        return Err(parser.unexpected_here());
    }
    Ok(parsed.expr)
}

/// Parses a whole text as a name, label matchers, or both, and nothing else.
pub fn parse_selector(
    text: &str,
    functions: &dyn SignatureTable,
    features: Features,
) -> Result<Vec<Matcher>> {
    let mut parser = Parser::new(text, functions, features);
    let token = parser.peek()?;
    let selector = match token.kind {
        TokenKind::LeftBrace => parser.vector_selector(None)?,
        kind if selector::may_name_metric(kind) => {
            parser.take()?;
            parser.vector_selector(Some(token))?
        }
        _ => return Err(parser.unexpected_here()),
    };
    match (parser.peek()?.kind, selector.expr.kind) {
        (TokenKind::Eof, ExprKind::Vector(selector)) => Ok(selector.matchers),
        _ => Err(parser.unexpected_here()),
    }
}

/// Where an operator binds: higher is tighter. Unary operators bind as `*` does.
const UNARY_PRECEDENCE: u8 = 5;
const POWER_PRECEDENCE: u8 = 6;

fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Less
        | BinaryOp::LessEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => UNARY_PRECEDENCE,
        BinaryOp::Pow => POWER_PRECEDENCE,
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, functions: &'a dyn SignatureTable, features: Features) -> Self {
        Parser {
            text,
            lexer: Lexer::new(text),
            peeked: None,
            last_end: 0,
            functions,
            features,
            nesting: 0,
            aggregations: 0,
        }
    }

    fn peek(&mut self) -> Result<Token> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        let token = self.lexer.next_token().map_err(|e| {
            self.error(
                Span {
                    start: e.start,
                    end: self.text.len(),
                },
                e.message,
            )
        })?;
        self.peeked = Some(token);
        Ok(token)
    }

    fn take(&mut self) -> Result<Token> {
        let token = self.peek()?;
        self.peeked = None;
        self.last_end = token.span.end;
        Ok(token)
    }

    /// Takes the next token if it is of this kind.
    fn take_if(&mut self, kind: TokenKind) -> Result<Option<Token>> {
        if self.peek()?.kind == kind {
            self.take().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Takes a token that the grammar demands, in no construct of its own.
    fn expect(&mut self, kind: TokenKind) -> Result<Token> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => Err(self.unexpected_here()),
        }
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.span.start..token.span.end]
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        let (line, column) = line_and_column(self.text, span.start);
        ParseError {
            message: message.into(),
            span,
            line,
            column,
        }
    }

    /// Complains about the next token; when it cannot be read, that is the complaint.
    fn unexpected(&mut self, context: &str, expected: &str) -> ParseError {
        let token = match self.peek() {
            Ok(token) => token,
            Err(error) => return error,
        };
        let mut message = format!("unexpected {}", token.describe(self.text));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.span, message)
    }

    /// Complains about the next token where no construct but an aggregation can say more.
    fn unexpected_here(&mut self) -> ParseError {
        let context = if self.aggregations > 0 {
            "aggregation"
        } else {
            ""
        };
        self.unexpected(context, "")
    }

    fn too_deep(&self, span: Span) -> ParseError {
        let message = format!("expression is nested more than {NESTING_MAX} levels deep");
        self.error(span, message)
    }

    fn too_high(&self, span: Span) -> ParseError {
        let message = format!("expression chains more than {HEIGHT_MAX} operators, split it up");
        self.error(span, message)
    }

    /// Enters a level of nesting; whoever succeeds leaves it again.
    fn enter(&mut self) -> Result<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            let span = self.peek()?.span;
            return Err(self.too_deep(span));
        }
        Ok(())
    }

    fn node(&self, kind: ExprKind, span: Span, height: usize) -> Result<Parsed> {
        if height > HEIGHT_MAX {
            return Err(self.too_high(span));
        }
        Ok(Parsed {
            expr: Expr { kind, span },
            height,
        })
    }

    /// Parses operators that bind at least as tight as `precedence_min`.
    fn expression(&mut self, precedence_min: u8) -> Result<Parsed> {
        self.enter()?;
        let mut lhs = self.prefixed()?;
        while let TokenKind::Operator(op) = self.peek()?.kind {
            let binding = precedence(op);
            if binding < precedence_min {
                break;
            }
            // Only `^` groups to the right.
            let rhs_min = if op == BinaryOp::Pow {
                binding
            } else {
                binding + 1
            };
            lhs = self.infix(lhs, op, rhs_min)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    /// Parses signs and what they stand before.
    fn prefixed(&mut self) -> Result<Parsed> {
        let token = self.peek()?;
        let op = match token.kind {
            TokenKind::Operator(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Operator(BinaryOp::Sub) => UnaryOp::Minus,
            _ => {
                let primary = self.primary()?;
                return self.modifiers(primary);
            }
        };
        self.take()?;
        let operand = self.expression(UNARY_PRECEDENCE + 1)?;
        let span = Span {
            start: token.span.start,
            end: operand.expr.span.end,
        };
        match operand.expr.kind {
            ExprKind::Number(number) => {
                let kind = ExprKind::Number(signed(op, number));
                self.node(kind, span, operand.height)
            }
            _ => {
                let kind = ExprKind::Unary(op, Box::new(operand.expr));
                self.node(kind, span, operand.height + 1)
            }
        }
    }

    /// Parses what stands on its own, without offsets, ranges and the like behind it.
    fn primary(&mut self) -> Result<Parsed> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.take()?;
                let number = self.number_literal(token)?;
                self.node(ExprKind::Number(number), token.span, 1)
            }
            TokenKind::String => {
                self.take()?;
                let value = literal::unquote(self.text_of(token));
                self.node(ExprKind::String(value), token.span, 1)
            }
            TokenKind::LeftParen => {
                self.take()?;
                let inner = self.expression(0)?;
                let end = self.expect(TokenKind::RightParen)?.span.end;
                let span = Span {
                    start: token.span.start,
                    end,
                };
                let kind = ExprKind::Paren(Box::new(inner.expr));
                self.node(kind, span, inner.height + 1)
            }
            TokenKind::LeftBrace => self.vector_selector(None),
            TokenKind::Aggregate(op) => self.aggregate_or_metric(op),
            TokenKind::Identifier | TokenKind::Preprocessor(_) => self.call_or_metric(),
            _ if selector::may_name_metric(token.kind) => {
                self.take()?;
                self.vector_selector(Some(token))
            }
            _ => Err(self.unexpected_here()),
        }
    }
}

fn signed(op: UnaryOp, number: Number) -> Number {
    Number {
        value: match op {
            UnaryOp::Plus => number.value,
            UnaryOp::Minus => -number.value,
        },
        ..number
    }
}
