//! Aggregations and lists of grouping labels.

use crate::model::labels::quote;
use crate::model::raw_bytes::has_raw_bytes;
use crate::promql::ast::{Aggregate, AggregateOp, BinaryOp, ExprKind, Span};
use crate::promql::parse::call::Arguments;
use crate::promql::parse::{Parsed, Parser, Result, literal};
use crate::promql::token::{Keyword, Token, TokenKind};

/// `by (labels)` or `without (labels)`
#[derive(Default)]
struct Grouping {
    without: bool,
    labels: Vec<String>,
}

impl Parser<'_> {
    /// Parses from the name of an aggregation, which may also be a metric's.
    pub(super) fn aggregate_or_metric(&mut self, op: AggregateOp) -> Result<Parsed> {
        let name = self.take()?;
        let next = self.peek()?;
        let begins_aggregation = matches!(
            next.kind,
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        );
        if !begins_aggregation {
            return self.vector_selector(Some(name));
        }
        self.aggregations += 1;
        let before = self.grouping()?;
        let arguments = self.arguments()?;
        let grouping = match before {
            Some(before) => before,
            None => self.grouping()?.unwrap_or_default(),
        };
        self.aggregations -= 1;
        let span = Span {
            start: name.span.start,
            end: self.last_end,
        };
        self.aggregate(op, grouping, arguments, span)
    }

    fn aggregate(
        &self,
        op: AggregateOp,
        grouping: Grouping,
        arguments: Arguments,
        span: Span,
    ) -> Result<Parsed> {
        let Arguments { mut args, height } = arguments;
        if args.is_empty() {
            let message = "no arguments for aggregate expression provided";
            return Err(self.error(span, message));
        }
        if matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio)
            && !self.features.experimental_functions
        {
            let message = format!(
                "{}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions",
                op.name()
            );
            return Err(self.error(span, message));
        }
        let (n_args, n_wanted) = (args.len(), if op.has_parameter() { 2 } else { 1 });
        let expr = args.pop().filter(|_| n_args == n_wanted).ok_or_else(|| {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {n_wanted}, got {n_args}"
            );
            self.error(span, message)
        })?;
        let aggregate = Aggregate {
            op,
            expr,
            parameter: args.pop(),
            without: grouping.without,
            grouping: grouping.labels,
        };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span, height + 1)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>> {
        let without = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.take()?;
        let labels = self.grouping_labels()?;
        Ok(Some(Grouping { without, labels }))
    }

    /// Parses `(a, b)`, `()`; a comma may trail.
    pub(super) fn grouping_labels(&mut self) -> Result<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if self.take_if(TokenKind::LeftParen)?.is_none() {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        while self.take_if(TokenKind::RightParen)?.is_none() {
            let token = self.peek()?;
            if !may_name_label(token.kind) {
                // A lone comma is no empty list.
                return Err(self.unexpected(CONTEXT, "label"));
            }
            self.take()?;
            labels.push(self.grouping_label(token)?);
            if self.take_if(TokenKind::Comma)?.is_none()
                && self.peek()?.kind != TokenKind::RightParen
            {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn grouping_label(&self, token: Token) -> Result<String> {
        let text = self.text_of(token);
        let label = match token.kind {
            TokenKind::String => literal::unquote(text),
            _ => text.to_owned(),
        };
        if label.is_empty() || has_raw_bytes(&label) {
            let message = format!("invalid label name for grouping: {}", quote(&label));
            return Err(self.error(token.span, message));
        }
        Ok(label)
    }
}

/// Tells whether a token may be a grouping label; almost every keyword may.
fn may_name_label(kind: TokenKind) -> bool {
    match kind {
        TokenKind::String
        | TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregate(_)
        | TokenKind::Preprocessor(_) => true,
        TokenKind::Keyword(keyword) => keyword != Keyword::Without,
        TokenKind::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
        _ => false,
    }
}
