//! Function calls, and plain names, which look alike up to the parenthesis.

use crate::model::labels::quote;
use crate::promql::ast::{Call, Expr, ExprKind, Span};
use crate::promql::parse::{Parsed, Parser, Result, selector};
use crate::promql::token::{Token, TokenKind};

/// The arguments of a call and the height of the highest.
pub(super) struct Arguments {
    pub(super) args: Vec<Expr>,
    pub(super) height: usize,
}

impl Parser<'_> {
    /// Parses from a name that is a function's if a parenthesis follows, or else a metric's.
    pub(super) fn call_or_metric(&mut self) -> Result<Parsed> {
        let name = self.take()?;
        if self.peek()?.kind != TokenKind::LeftParen {
            return self.vector_selector(Some(name));
        }
        let Arguments { args, height } = self.arguments()?;
        let function = self.text_of(name);
        let Some(signature) = self.functions.signature(function) else {
            let message = format!("unknown function with name {}", quote(function));
            return Err(self.error(name.span, message));
        };
        if signature.experimental && !self.features.experimental_functions {
            let message = format!("function {} is not enabled", quote(function));
            return Err(self.error(name.span, message));
        }
        let call = Call {
            function: function.to_owned(),
            name_span: name.span,
            args,
        };
        let span = Span {
            start: name.span.start,
            end: self.last_end,
        };
        self.node(ExprKind::Call(call), span, height + 1)
    }

    /// Parses `(a, b)`.
    pub(super) fn arguments(&mut self) -> Result<Arguments> {
        self.expect(TokenKind::LeftParen)?;
        let mut arguments = Arguments {
            args: Vec::new(),
            height: 0,
        };
        if self.take_if(TokenKind::RightParen)?.is_some() {
            return Ok(arguments);
        }
        loop {
            let Parsed { expr, height } = self.expression(0)?;
            arguments.args.push(expr);
            arguments.height = arguments.height.max(height);
            let Some(comma) = self.take_if(TokenKind::Comma)? else {
                self.expect(TokenKind::RightParen)?;
                return Ok(arguments);
            };
            let next = self.peek()?;
            if !starts_expression(next) {
                let message = "trailing commas not allowed in function call args";
                return Err(self.error(comma.span, message));
            }
        }
    }
}

fn starts_expression(token: Token) -> bool {
    use crate::promql::ast::BinaryOp;
    matches!(
        token.kind,
        TokenKind::Number
            | TokenKind::Duration
            | TokenKind::String
            | TokenKind::LeftParen
            | TokenKind::LeftBrace
            | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub)
    ) || selector::may_name_metric(token.kind)
}
