//! Durations in ranges, steps and offsets: a literal, or arithmetic behind a feature flag.
//!
//! An offset reads less than a range does, so that `x offset 5m + y` adds `y` to the selection:
//! only an offset that begins with a parenthesis goes on over operators.

use crate::model::DurationMs;
use crate::promql::ast::{BinaryOp, DurationExpr, DurationNode, Number, Span, UnaryOp};
use crate::promql::parse::{
    HEIGHT_MAX, POWER_PRECEDENCE, Parser, Result, UNARY_PRECEDENCE, precedence, signed,
};
use crate::promql::token::{Preprocessor, Token, TokenKind};

/// What an error says when a token does not belong.
#[derive(Clone, Copy)]
struct Place {
    context: &'static str,
    expected: &'static str,
}

const OFFSET: Place = Place {
    context: "offset",
    expected: "number, duration, step(), or range()",
};

/// A duration with its place and how many levels it has.
pub(super) struct Duration {
    node: DurationNode,
    pub(super) span: Span,
    /// The place of which an evaluation's errors speak: within parentheses, behind a plus sign,
    /// and of `min_of` the arguments.
    place: Span,
    height: usize,
}

impl Duration {
    /// Returns the number when the duration is a plain literal.
    pub(super) fn number(&self) -> Option<Number> {
        match self.node {
            DurationNode::Number(number) => Some(number),
            _ => None,
        }
    }

    fn into_expr(self) -> DurationExpr {
        match self.node {
            DurationNode::Number(number) => DurationExpr::Literal(whole_milliseconds(number.value)),
            node => DurationExpr::Computed(Box::new(node), self.place),
        }
    }
}

/// Drops what is below a millisecond, as Prometheus does. It counts nanoseconds, and a float
/// loses some of them from three months on: `70358415s769ms` comes out a millisecond short.
fn whole_milliseconds(seconds: f64) -> DurationMs {
    DurationMs((seconds * 1e9).round() as i64 / 1_000_000)
}

impl Parser<'_> {
    /// Parses a range or a step, which must not be zero or negative.
    pub(super) fn range_duration(
        &mut self,
        context: &'static str,
        expected: &'static str,
    ) -> Result<DurationExpr> {
        let duration = self.duration(Place { context, expected }, 0)?;
        if duration.number().is_some_and(|number| number.value <= 0.0) {
            return Err(self.error(duration.span, "duration must be greater than 0"));
        }
        Ok(duration.into_expr())
    }

    /// Parses what follows `offset`.
    pub(super) fn offset_duration(&mut self) -> Result<DurationExpr> {
        let start = self.peek()?.span.start;
        let sign = self.take_sign()?;
        let token = self.peek()?;
        let operand = match token.kind {
            // Only these go on over operators.
            TokenKind::LeftParen if sign.is_none() => {
                return Ok(self.duration(OFFSET, 0)?.into_expr());
            }
            TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => {
                let operand = self.duration(OFFSET, UNARY_PRECEDENCE + 1)?;
                let lhs = self.signed_duration(sign, operand, start)?;
                return Ok(self.duration_operators(lhs, OFFSET, 0)?.into_expr());
            }
            _ => self.duration_primary(OFFSET)?,
        };
        Ok(self.signed_duration(sign, operand, start)?.into_expr())
    }

    fn duration(&mut self, place: Place, precedence_min: u8) -> Result<Duration> {
        self.enter()?;
        let start = self.peek()?.span.start;
        let lhs = match self.take_sign()? {
            None => self.duration_primary(place)?,
            sign => {
                let operand = self.duration(place, UNARY_PRECEDENCE + 1)?;
                self.signed_duration(sign, operand, start)?
            }
        };
        let duration = self.duration_operators(lhs, place, precedence_min)?;
        self.nesting -= 1;
        Ok(duration)
    }

    fn duration_operators(
        &mut self,
        mut lhs: Duration,
        place: Place,
        precedence_min: u8,
    ) -> Result<Duration> {
        loop {
            let token = self.peek()?;
            let TokenKind::Operator(op) = token.kind else {
                return Ok(lhs);
            };
            let binding = precedence(op);
            let is_arithmetic = op != BinaryOp::Atan2 && binding > precedence(BinaryOp::Equal);
            if !is_arithmetic || binding < precedence_min {
                return Ok(lhs);
            }
            self.take()?;
            let rhs_min = if binding == POWER_PRECEDENCE {
                binding
            } else {
                binding + 1
            };
            let rhs = self.duration(place, rhs_min)?;
            lhs = self.duration_binary(lhs, op, token.span, rhs)?;
        }
    }

    fn duration_binary(
        &self,
        lhs: Duration,
        op: BinaryOp,
        op_span: Span,
        rhs: Duration,
    ) -> Result<Duration> {
        self.require_duration_expr(lhs.span)?;
        let divides_by_zero = rhs.number().is_some_and(|number| number.value == 0.0);
        match op {
            BinaryOp::Div if divides_by_zero => Err(self.error(op_span, "division by zero")),
            BinaryOp::Mod if divides_by_zero => Err(self.error(op_span, "modulo by zero")),
            _ => {
                let span = Span {
                    start: lhs.span.start,
                    end: rhs.span.end,
                };
                let place = Span {
                    start: lhs.place.start,
                    end: rhs.place.end,
                };
                let height = lhs.height.max(rhs.height) + 1;
                let node = DurationNode::Binary(op, Box::new(lhs.node), Box::new(rhs.node));
                let combined = self.duration_node(node, span, height)?;
                Ok(Duration { place, ..combined })
            }
        }
    }

    fn duration_node(&self, node: DurationNode, span: Span, height: usize) -> Result<Duration> {
        if height > HEIGHT_MAX {
            return Err(self.too_high(span));
        }
        Ok(Duration {
            node,
            span,
            place: span,
            height,
        })
    }

    fn duration_primary(&mut self, place: Place) -> Result<Duration> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.take()?;
                let number = self.number_literal(token)?;
                self.require_in_range(number, token.span)?;
                self.duration_node(DurationNode::Number(number), token.span, 1)
            }
            TokenKind::LeftParen => {
                self.take()?;
                let inner = self.duration(place, 0)?;
                let span = self.closed_by_paren(token, place)?;
                self.require_duration_expr(inner.span)?;
                let node = DurationNode::Paren(Box::new(inner.node));
                let wrapped = self.duration_node(node, span, inner.height + 1)?;
                Ok(Duration {
                    place: inner.place,
                    ..wrapped
                })
            }
            TokenKind::Preprocessor(word @ (Preprocessor::Step | Preprocessor::Range)) => {
                self.take()?;
                self.demand(TokenKind::LeftParen, place)?;
                let span = self.closed_by_paren(token, place)?;
                self.require_duration_expr(span)?;
                let node = match word {
                    Preprocessor::Step => DurationNode::Step,
                    _ => DurationNode::Range,
                };
                self.duration_node(node, span, 1)
            }
            _ => self.duration_extremum(token, place),
        }
    }

    /// Parses `min(a, b)` and `max(a, b)`, which newer versions call `min_of` and `max_of`.
    fn duration_extremum(&mut self, token: Token, place: Place) -> Result<Duration> {
        let combine = match self.text_of(token).to_ascii_lowercase().as_str() {
            "min" | "min_of" => DurationNode::Min,
            "max" | "max_of" => DurationNode::Max,
            _ => return Err(self.unexpected(place.context, place.expected)),
        };
        self.take()?;
        self.demand(TokenKind::LeftParen, place)?;
        let first = self.duration(place, 0)?;
        self.demand(TokenKind::Comma, place)?;
        let second = self.duration(place, 0)?;
        let span = self.closed_by_paren(token, place)?;
        self.require_duration_expr(span)?;
        let height = first.height.max(second.height) + 1;
        let place = Span {
            start: first.span.start,
            end: second.span.end,
        };
        let node = combine(Box::new(first.node), Box::new(second.node));
        let combined = self.duration_node(node, span, height)?;
        Ok(Duration { place, ..combined })
    }

    fn demand(&mut self, kind: TokenKind, place: Place) -> Result<Token> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => Err(self.unexpected(place.context, place.expected)),
        }
    }

    fn closed_by_paren(&mut self, open: Token, place: Place) -> Result<Span> {
        let close = self.demand(TokenKind::RightParen, place)?;
        Ok(Span {
            start: open.span.start,
            end: close.span.end,
        })
    }

    fn signed_duration(
        &self,
        sign: Option<UnaryOp>,
        operand: Duration,
        start: usize,
    ) -> Result<Duration> {
        let span = Span {
            start,
            end: operand.span.end,
        };
        match (sign, operand.node) {
            (Some(sign), DurationNode::Number(number)) => {
                let number = signed(sign, number);
                self.duration_node(DurationNode::Number(number), span, operand.height)
            }
            (Some(UnaryOp::Minus), node) => {
                let node = DurationNode::Neg(Box::new(node));
                self.duration_node(node, span, operand.height + 1)
            }
            // A plus sign says nothing, and Prometheus does not print it.
            (_, node) => {
                let signed = self.duration_node(node, span, operand.height)?;
                Ok(Duration {
                    place: operand.place,
                    ..signed
                })
            }
        }
    }

    fn require_duration_expr(&self, span: Span) -> Result<()> {
        if self.features.duration_expr {
            return Ok(());
        }
        Err(self.error(span, "experimental duration expression is not enabled"))
    }

    fn require_in_range(&self, number: Number, span: Span) -> Result<()> {
        // Prometheus keeps durations as nanoseconds in 64 bits.
        const SECONDS_MAX: f64 = (1u64 << 63) as f64 / 1e9;
        if number.value.abs() <= SECONDS_MAX {
            return Ok(());
        }
        Err(self.error(span, "duration out of range"))
    }
}
