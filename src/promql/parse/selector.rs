//! Vector selectors: a name, label matchers, or both.

use crate::model::{DurationMs, METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::BinaryOp;
use crate::promql::ast::{DurationExpr, ExprKind, RangeMode, Span, VectorSelector};
use crate::promql::parse::{Parsed, Parser, Result, literal};
use crate::promql::token::{Keyword, Token, TokenKind};

const CONTEXT: &str = "label matching";

/// Tells whether a token may name a metric; many keywords may.
pub(in crate::promql) fn may_name_metric(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregate(_)
        | TokenKind::Preprocessor(_) => true,
        TokenKind::Operator(op) => op.is_set(),
        TokenKind::Keyword(keyword) => !matches!(
            keyword,
            Keyword::On
                | Keyword::Ignoring
                | Keyword::GroupLeft
                | Keyword::GroupRight
                | Keyword::Bool
        ),
        _ => false,
    }
}

impl Parser<'_> {
    /// Parses the braces behind a metric name, if there are any; without a name there are.
    pub(super) fn vector_selector(&mut self, name: Option<Token>) -> Result<Parsed> {
        let start = match name {
            Some(name) => name.span.start,
            None => self.peek()?.span.start,
        };
        let mut matchers = Vec::new();
        if self.take_if(TokenKind::LeftBrace)?.is_some() {
            self.label_matchers(&mut matchers)?;
        }
        let end = self.last_end;
        let name = name.map(|name| self.text_of(name).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        let selector = VectorSelector {
            name,
            matchers,
            offset: DurationExpr::Literal(DurationMs::ZERO),
            at: None,
            mode: RangeMode::Plain,
        };
        self.node(ExprKind::Vector(selector), Span { start, end }, 1)
    }

    /// Parses up to the closing brace; a comma may trail.
    fn label_matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<()> {
        while self.take_if(TokenKind::RightBrace)?.is_none() {
            matchers.push(self.label_matcher()?);
            if self.take_if(TokenKind::Comma)?.is_none()
                && self.peek()?.kind != TokenKind::RightBrace
            {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
        Ok(())
    }

    fn label_matcher(&mut self) -> Result<Matcher> {
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => self.text_of(label).to_owned(),
            TokenKind::String => literal::unquote(self.text_of(label)),
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        self.take()?;
        let op = match self.peek()?.kind {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::Matches => MatchOp::Matches,
            TokenKind::NotMatches => MatchOp::NotMatches,
            // A lone quoted text is the metric's name.
            _ if label.kind == TokenKind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.take()?;
        let Some(value) = self.take_if(TokenKind::String)? else {
            return Err(self.unexpected(CONTEXT, "string"));
        };
        let pattern = literal::unquote(self.text_of(value));
        Matcher::new(op, name, pattern).map_err(|e| {
            let span = Span {
                start: label.span.start,
                end: value.span.end,
            };
            self.error(span, e.to_string())
        })
    }
}
