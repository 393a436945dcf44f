//! Infix operators and what may stand between operator and right side.

use crate::promql::ast::{Binary, BinaryOp, Cardinality, ExprKind, Span, UnaryOp, VectorMatching};
use crate::promql::parse::selector::may_name_metric;
use crate::promql::parse::{Parsed, Parser, Result, signed};
use crate::promql::token::{Keyword, TokenKind};

/// What stands between operator and right side.
struct BinaryModifiers {
    return_bool: bool,
    matching: VectorMatching,
}

impl Parser<'_> {
    /// Parses from an operator; `rhs_min` is how tight the right side's operators must bind.
    pub(super) fn infix(&mut self, lhs: Parsed, op: BinaryOp, rhs_min: u8) -> Result<Parsed> {
        self.take()?;
        let BinaryModifiers {
            return_bool,
            matching,
        } = self.binary_modifiers()?;
        let rhs = self.expression(rhs_min)?;
        let span = Span {
            start: lhs.expr.span.start,
            end: rhs.expr.span.end,
        };
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.features.binop_fill_modifiers {
            let message = "binop fill modifiers are experimental and not enabled";
            return Err(self.error(span, message));
        }
        let height = lhs.height.max(rhs.height) + 1;
        let binary = Binary {
            op,
            lhs: lhs.expr,
            rhs: rhs.expr,
            return_bool,
            matching: Some(matching),
        };
        self.node(ExprKind::Binary(Box::new(binary)), span, height)
    }

    fn take_keyword(&mut self, keyword: Keyword) -> Result<bool> {
        Ok(self.take_if(TokenKind::Keyword(keyword))?.is_some())
    }

    fn binary_modifiers(&mut self) -> Result<BinaryModifiers> {
        let return_bool = self.take_keyword(Keyword::Bool)?;
        let mut matching = VectorMatching {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        matching.on = self.take_keyword(Keyword::On)?;
        if matching.on || self.take_keyword(Keyword::Ignoring)? {
            matching.labels = self.grouping_labels()?;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok(BinaryModifiers {
            return_bool,
            matching,
        })
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Result<()> {
        if self.take_keyword(Keyword::GroupLeft)? {
            matching.cardinality = Cardinality::ManyToOne;
        } else if self.take_keyword(Keyword::GroupRight)? {
            matching.cardinality = Cardinality::OneToMany;
        } else {
            return Ok(());
        }
        let next = self.peek()?.kind;
        if next == TokenKind::LeftParen || !may_follow_group_modifier(next) {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Result<()> {
        if self.take_keyword(Keyword::Fill)? {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
        } else if self.take_keyword(Keyword::FillLeft)? {
            matching.fill_left = Some(self.fill_value()?);
            if self.take_keyword(Keyword::FillRight)? {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.take_keyword(Keyword::FillRight)? {
            matching.fill_right = Some(self.fill_value()?);
            if self.take_keyword(Keyword::FillLeft)? {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Result<f64> {
        self.expect(TokenKind::LeftParen)?;
        let sign = match self.peek()?.kind {
            TokenKind::Operator(BinaryOp::Add) => Some(UnaryOp::Plus),
            TokenKind::Operator(BinaryOp::Sub) => Some(UnaryOp::Minus),
            _ => None,
        };
        if sign.is_some() {
            self.take()?;
        }
        let token = self.peek()?;
        if !matches!(token.kind, TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected_here());
        }
        self.take()?;
        let number = self.number_literal(token)?;
        self.expect(TokenKind::RightParen)?;
        Ok(signed(sign.unwrap_or(UnaryOp::Plus), number).value)
    }
}

/// Tells whether a token can stand behind a `group_left` that includes no labels: a fill
/// modifier or the start of an operand.
fn may_follow_group_modifier(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Number
        | TokenKind::Duration
        | TokenKind::String
        | TokenKind::LeftBrace
        | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => true,
        kind => may_name_metric(kind),
    }
}
