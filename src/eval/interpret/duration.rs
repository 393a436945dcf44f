//! Duration arithmetic: `[5m * 2]`, `offset -step()`, `[range():1m]`.

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::model::DurationMs;
use crate::promql::ast::{BinaryOp, DurationExpr, DurationNode, Span};

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
        match span {
            DurationExpr::Computed(_, place) if result.0 <= 0 => {
                Err(invalid(*place, "duration must be greater than 0"))
            }
            _ => Ok(result),
        }
    }

    fn span(&self, span: &DurationExpr) -> Result<DurationMs, EvalError> {
        let (node, place) = match span {
            DurationExpr::Literal(span) => return Ok(*span),
            DurationExpr::Computed(node, place) => (node, *place),
        };
        let seconds = self
            .seconds(node)
            .map_err(|message| invalid(place, message))?;
        if !seconds.is_finite() {
            return Err(invalid(place, "duration is NaN or infinite"));
        }
        if seconds.abs() > SECONDS_MAX {
            return Err(invalid(place, "duration is out of range"));
        }
        Ok(DurationMs((seconds * 1000.0) as i64))
    }

    fn seconds(&self, node: &DurationNode) -> Result<f64, &'static str> {
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
                    BinaryOp::Div if b == 0.0 => return Err("division by zero"),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err("modulo by zero"),
                    BinaryOp::Mod => a % b,
                    BinaryOp::Pow => a.powf(b),
                    _ => return Err("unexpected duration expression operator"),
                }
            }
        })
    }
}

fn invalid(place: Span, message: &'static str) -> EvalError {
    EvalError::InvalidDuration { place, message }
}

#[cfg(test)]
mod tests {
    use crate::eval::{EvalOptions, Scan, evaluate};
    use crate::functions::Functions;
    use crate::model::TimestampMs;
    use crate::promql::{Features, parse};
    use crate::series::Snapshot;

    #[test]
    fn what_is_no_duration_is_refused_with_its_place() {
        let check = |query: &str, expected: &str| {
            let expr = parse(query, &Functions, Features::ALL).unwrap();
            let snapshot = Snapshot::default();
            let options = EvalOptions::default();
            let error = evaluate(&expr, &Scan::new(&snapshot), TimestampMs(0), &options);
            assert_eq!(error.unwrap_err().to_string(), expected, "{query}");
        };
        // An instant has no step and no range.
        check("rate(x[step()])", "7:13: duration must be greater than 0");
        check(
            "rate(x[1m:(range())])",
            "11:18: duration must be greater than 0",
        );
        check("rate(x[+step()])", "8:14: duration must be greater than 0");
        check(
            "rate(x[max(step(), 0)])",
            "11:20: duration must be greater than 0",
        );
        check("x offset (1 / step())", "10:20: division by zero");
    }
}
