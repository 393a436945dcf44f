//! Infix operators: on two scalars, on a vector and a scalar, and the way to vector matching.

use crate::eval::EvalError;
use crate::eval::interpret::operation::{changes_metric, combine, combine_scalars};
use crate::eval::interpret::{Interpreter, unexpected};
use crate::eval::plan::standing;
use crate::functions::{Argument, Element};
use crate::model::{SampleValue, TimestampMs};
use crate::promql::ast::{Binary, BinaryOp, Span};

impl<'a> Interpreter<'a> {
    /// Evaluates both sides and the operator between them.
    pub(super) fn eval_binary(
        &mut self,
        binary: &Binary,
        span: Span,
        at: TimestampMs,
    ) -> Result<Argument<'a>, EvalError> {
        let surroundings = match binary.op {
            BinaryOp::TrimUpper | BinaryOp::TrimLower => self.surroundings.needing_buckets(),
            _ => self.surroundings,
        };
        let (lhs, rhs) = self.within(surroundings, |interpreter| {
            let lhs = interpreter.eval(&binary.lhs, at)?;
            Ok((lhs, interpreter.eval(&binary.rhs, at)?))
        })?;
        let elements = match (lhs, rhs) {
            (Argument::Scalar(lhs), Argument::Scalar(rhs)) => {
                return Ok(Argument::Scalar(combine_scalars(binary.op, lhs, rhs)));
            }
            (Argument::Vector(lhs), Argument::Scalar(rhs)) => {
                self.with_scalar((lhs, rhs), Side::Left, binary, (span, at))
            }
            (Argument::Scalar(lhs), Argument::Vector(rhs)) => {
                self.with_scalar((rhs, lhs), Side::Right, binary, (span, at))
            }
            (Argument::Vector(lhs), Argument::Vector(rhs)) if binary.op.is_set() => {
                self.combine_sets(lhs, rhs, binary)
            }
            (Argument::Vector(lhs), Argument::Vector(rhs)) => {
                self.match_vectors(lhs, rhs, binary, (span, at))?
            }
            _ => return Err(unexpected("scalar or instant vector")),
        };
        let elements = self.unique(elements)?;
        Ok(Argument::Vector(elements))
    }

    /// Applies an operator to every element and one scalar. A comparison keeps the element's
    /// value, whichever side it is on.
    fn with_scalar(
        &mut self,
        (elements, scalar): (Vec<Element>, f64),
        vector_side: Side,
        binary: &Binary,
        (span, at): (Span, TimestampMs),
    ) -> Vec<Element> {
        let scalar = SampleValue::Float(scalar);
        let mut is_delicate = false;
        let mut out = Vec::with_capacity(elements.len());
        for element in elements {
            let (lhs, rhs) = match vector_side {
                Side::Left => (&element.value, &scalar),
                Side::Right => (&scalar, &element.value),
            };
            let combined = match combine(binary.op, lhs, rhs) {
                Ok(combined) => combined,
                Err(remark) => {
                    self.annotations.add(remark, span);
                    continue;
                }
            };
            is_delicate |= standing::is_delicate(binary.op, (lhs, rhs), &combined.value);
            let value = if binary.return_bool {
                SampleValue::Float(f64::from(u8::from(combined.keep)))
            } else if !combined.keep {
                continue;
            } else if binary.op.is_comparison() {
                element.value.clone()
            } else {
                combined.value
            };
            out.push(if changes_metric(binary.op) || binary.return_bool {
                self.renamed(element, value, at)
            } else {
                Element {
                    value,
                    at,
                    ..element
                }
            });
        }
        if is_delicate {
            self.unsettle(binary);
        }
        out
    }
}

/// On which side of the operator the vector is.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}
