//! Duration arithmetic: `[5m * 2]`, `offset -step()`, `[range():1m]`.

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::model::DurationMs;
use crate::promql::ast::{BinaryOp, DurationExpr, DurationNode};

/// The longest span Prometheus can hold, in seconds: 2^63 ns.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;

impl Interpreter<'_> {
    /// Returns how far an `offset` looks back; it may look ahead.
    pub(super) fn offset(&self, offset: &DurationExpr) -> Result<DurationMs, EvalError> {
        self.span(offset)
    }

    /// Returns a range or a step, which must be positive.
    pub(super) fn positive(&self, span: &DurationExpr) -> Result<DurationMs, EvalError> {
        let result = self.span(span)?;
        if result.0 <= 0 && span.literal().is_none() {
            return Err(failed("duration must be greater than 0"));
        }
        Ok(result)
    }

    fn span(&self, span: &DurationExpr) -> Result<DurationMs, EvalError> {
        let seconds = match span {
            DurationExpr::Literal(span) => return Ok(*span),
            DurationExpr::Computed(node) => self.seconds(node)?,
        };
        if !seconds.is_finite() {
            return Err(failed("duration is NaN or infinite"));
        }
        if seconds.abs() > SECONDS_MAX {
            return Err(failed("duration is out of range"));
        }
        Ok(DurationMs((seconds * 1000.0) as i64))
    }

    fn seconds(&self, node: &DurationNode) -> Result<f64, EvalError> {
        Ok(match node {
            DurationNode::Number(number) => number.value,
            DurationNode::Step => self.query.step.seconds(),
            DurationNode::Range => (self.query.end - self.query.start).seconds(),
            DurationNode::Neg(inner) => -self.seconds(inner)?,
            DurationNode::Paren(inner) => self.seconds(inner)?,
            DurationNode::Min(a, b) => self.seconds(a)?.min(self.seconds(b)?),
            DurationNode::Max(a, b) => self.seconds(a)?.max(self.seconds(b)?),
            DurationNode::Binary(op, a, b) => {
                let (a, b) = (self.seconds(a)?, self.seconds(b)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div if b == 0.0 => return Err(failed("division by zero")),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err(failed("modulo by zero")),
                    BinaryOp::Mod => a % b,
                    BinaryOp::Pow => a.powf(b),
                    _ => {
                        let text = format!("unexpected duration expression operator \"{op}\"");
                        return Err(EvalError::Execution(text));
                    }
                }
            }
        })
    }
}

fn failed(text: &str) -> EvalError {
    EvalError::Execution(text.to_owned())
}
