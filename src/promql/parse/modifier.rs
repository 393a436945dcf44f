//! What stands behind an expression: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use crate::model::DurationMs;
use crate::model::TimestampMs;
use crate::model::float::format_plain;
use crate::promql::ast::{
    At, BinaryOp, DurationExpr, ExprKind, MatrixSelector, RangeMode, Span, Subquery, UnaryOp,
    VectorSelector,
};
use crate::promql::parse::{Parsed, Parser, Result, signed};
use crate::promql::token::{Keyword, Preprocessor, TokenKind};

impl Parser<'_> {
    /// Parses all modifiers behind an expression.
    pub(super) fn modifiers(&mut self, mut parsed: Parsed) -> Result<Parsed> {
        loop {
            match self.peek()?.kind {
                TokenKind::LeftBracket => parsed = self.range_or_subquery(parsed)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut parsed)?,
                TokenKind::At => self.at(&mut parsed)?,
                TokenKind::Keyword(Keyword::Anchored) => {
                    self.range_mode(&mut parsed, RangeMode::Anchored)?;
                }
                TokenKind::Keyword(Keyword::Smoothed) => {
                    self.range_mode(&mut parsed, RangeMode::Smoothed)?;
                }
                _ => return Ok(parsed),
            }
        }
    }

    fn range_or_subquery(&mut self, inner: Parsed) -> Result<Parsed> {
        let open = self.take()?;
        let expected = "number, duration, step(), or range()";
        let range = self.range_duration("subquery or range selector", expected)?;
        let start = inner.expr.span.start;
        if self.take_if(TokenKind::Colon)?.is_some() {
            let step = if self.peek()?.kind == TokenKind::RightBracket {
                None
            } else {
                let expected = "number, duration, step(), range(), or \"]\"";
                Some(self.range_duration("subquery selector", expected)?)
            };
            if self.take_if(TokenKind::RightBracket)?.is_none() {
                return Err(self.unexpected("subquery selector", "\"]\""));
            }
            let subquery = Subquery {
                expr: inner.expr,
                range,
                step,
                offset: DurationExpr::Literal(DurationMs::ZERO),
                at: None,
            };
            let end = self.last_end;
            let kind = ExprKind::Subquery(Box::new(subquery));
            return self.node(kind, Span { start, end }, inner.height + 1);
        }
        if self.take_if(TokenKind::RightBracket)?.is_none() {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let end = self.last_end;
        let problem = match inner.expr.kind {
            ExprKind::Vector(selector) => match range_problem(&selector) {
                None => {
                    let kind = ExprKind::Matrix(MatrixSelector { selector, range });
                    return self.node(kind, Span { start, end }, inner.height);
                }
                Some(problem) => problem,
            },
            _ => "ranges only allowed for vector selectors",
        };
        let brackets = Span {
            start: open.span.start,
            end,
        };
        Err(self.error(brackets, problem))
    }

    fn offset(&mut self, parsed: &mut Parsed) -> Result<()> {
        self.take()?;
        let offset = self.offset_duration()?;
        let span = parsed.expr.span;
        let target = match &mut parsed.expr.kind {
            ExprKind::Vector(selector) => &mut selector.offset,
            ExprKind::Matrix(matrix) => &mut matrix.selector.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector \
                               or range vector selector or a subquery";
                return Err(self.error(span, message));
            }
        };
        if *target != DurationExpr::Literal(DurationMs::ZERO) {
            return Err(self.error(span, "offset may not be set multiple times"));
        }
        *target = offset;
        parsed.expr.span.end = self.last_end;
        Ok(())
    }

    fn at(&mut self, parsed: &mut Parsed) -> Result<()> {
        self.take()?;
        let span = parsed.expr.span;
        let at = self.at_instant(span)?;
        let target = match &mut parsed.expr.kind {
            ExprKind::Vector(selector) => &mut selector.at,
            ExprKind::Matrix(matrix) => &mut matrix.selector.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => {
                let message = "@ modifier must be preceded by an instant vector selector \
                               or range vector selector or a subquery";
                return Err(self.error(span, message));
            }
        };
        if target.is_some() {
            return Err(self.error(span, "@ <timestamp> may not be set multiple times"));
        }
        *target = Some(at);
        parsed.expr.span.end = self.last_end;
        Ok(())
    }

    /// Parses what follows `@`; `target` is what it stands behind.
    fn at_instant(&mut self, target: Span) -> Result<At> {
        const CONTEXT: &str = "@";
        const EXPECTED: &str = "timestamp";
        let token = self.peek()?;
        let at = match token.kind {
            TokenKind::Preprocessor(Preprocessor::Start) => At::Start,
            TokenKind::Preprocessor(Preprocessor::End) => At::End,
            _ => {
                let sign = self.take_sign()?;
                let token = self.peek()?;
                if !matches!(token.kind, TokenKind::Number | TokenKind::Duration) {
                    return Err(self.unexpected(CONTEXT, EXPECTED));
                }
                self.take()?;
                let seconds = signed(sign.unwrap_or(UnaryOp::Plus), self.number_literal(token)?);
                return self.timestamp(seconds.value, target);
            }
        };
        self.take()?;
        for kind in [TokenKind::LeftParen, TokenKind::RightParen] {
            if self.take_if(kind)?.is_none() {
                return Err(self.unexpected(CONTEXT, EXPECTED));
            }
        }
        Ok(at)
    }

    fn timestamp(&self, seconds: f64, target: Span) -> Result<At> {
        // As in Prometheus, the bound is on seconds although milliseconds are kept.
        if seconds.is_finite() && seconds.abs() < i64::MAX as f64 {
            return Ok(At::Instant(TimestampMs((seconds * 1000.0).round() as i64)));
        }
        let shown = if seconds.is_finite() {
            format!("{seconds:.6}")
        } else {
            format_plain(seconds)
        };
        let message = format!("timestamp out of bounds for @ modifier: {shown}");
        Err(self.error(target, message))
    }

    /// Takes `+` or `-`.
    pub(super) fn take_sign(&mut self) -> Result<Option<UnaryOp>> {
        let sign = match self.peek()?.kind {
            TokenKind::Operator(BinaryOp::Add) => UnaryOp::Plus,
            TokenKind::Operator(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(sign))
    }

    fn range_mode(&mut self, parsed: &mut Parsed, mode: RangeMode) -> Result<()> {
        self.take()?;
        let span = parsed.expr.span;
        let word = match mode {
            RangeMode::Smoothed => "smoothed",
            _ => "anchored",
        };
        if !self.features.extended_range_selectors {
            let message = format!("{word} modifier is experimental and not enabled");
            return Err(self.error(span, message));
        }
        let selector = match &mut parsed.expr.kind {
            ExprKind::Vector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return Err(self.error(span, message));
            }
            _ => return Err(self.error(span, format!("{word} modifier not implemented"))),
        };
        if selector.mode != RangeMode::Plain && selector.mode != mode {
            let message = "anchored and smoothed modifiers cannot be used together";
            return Err(self.error(span, message));
        }
        selector.mode = mode;
        parsed.expr.span.end = self.last_end;
        Ok(())
    }
}

/// Says why a range may not follow a selector.
fn range_problem(selector: &VectorSelector) -> Option<&'static str> {
    if selector.offset != DurationExpr::Literal(DurationMs::ZERO) {
        Some("no offset modifiers allowed before range")
    } else if selector.at.is_some() {
        Some("no @ modifiers allowed before range")
    } else {
        None
    }
}
