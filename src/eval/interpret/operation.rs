//! What an infix operator makes of two values.

use std::sync::Arc;

use crate::functions::{HistogramOperation, Remark};
use crate::model::elementary::pow;
use crate::model::histogram::Merged;
use crate::model::{CounterResetHint, FloatHistogram, SampleValue};
use crate::promql::ast::BinaryOp;

/// The result of an operator on two elements.
pub(super) struct Combined {
    /// The value; of a comparison, the left one.
    pub value: SampleValue,
    /// Whether a comparison holds; `true` for other operators.
    pub keep: bool,
    /// What came up on the way.
    pub remarks: Vec<Remark>,
}

impl Combined {
    fn new(value: SampleValue) -> Self {
        Combined {
            value,
            keep: true,
            remarks: Vec::new(),
        }
    }

    fn compared(value: SampleValue, keep: bool) -> Self {
        Combined {
            value,
            keep,
            remarks: Vec::new(),
        }
    }

    fn histogram(mut value: FloatHistogram) -> Self {
        value.compact();
        Combined::new(SampleValue::Histogram(Arc::new(value)))
    }
}

/// Applies an operator to two numbers; comparisons give 0 or 1.
pub(super) fn combine_scalars(op: BinaryOp, lhs: f64, rhs: f64) -> f64 {
    match compare(op, lhs, rhs) {
        Some(holds) => f64::from(u8::from(holds)),
        None => arithmetic(op, lhs, rhs).unwrap_or(f64::NAN),
    }
}

/// Applies an operator to two values. `Err` means that it does not apply to them.
pub(super) fn combine(
    op: BinaryOp,
    lhs: &SampleValue,
    rhs: &SampleValue,
) -> Result<Combined, Remark> {
    let incompatible = |lhs, rhs| Remark::IncompatibleTypes {
        lhs,
        operator: op.symbol(),
        rhs,
    };
    match (lhs, rhs) {
        (SampleValue::Float(a), SampleValue::Float(b)) => {
            if let Some(holds) = compare(op, *a, *b) {
                return Ok(Combined::compared(SampleValue::Float(*a), holds));
            }
            let value = arithmetic(op, *a, *b).ok_or_else(|| incompatible("float", "float"))?;
            Ok(Combined::new(SampleValue::Float(value)))
        }
        (SampleValue::Float(factor), SampleValue::Histogram(histogram)) => match op {
            BinaryOp::Mul => Ok(scaled(histogram, *factor)),
            _ => Err(incompatible("float", "histogram")),
        },
        (SampleValue::Histogram(histogram), SampleValue::Float(number)) => match op {
            BinaryOp::Mul => Ok(scaled(histogram, *number)),
            BinaryOp::Div => {
                let mut divided = (**histogram).clone();
                divided.divide(*number);
                Ok(Combined::histogram(divided))
            }
            BinaryOp::TrimUpper => {
                let trimmed = histogram.trim_above(*number);
                Ok(Combined::new(SampleValue::Histogram(Arc::new(trimmed))))
            }
            BinaryOp::TrimLower => {
                let trimmed = histogram.trim_below(*number);
                Ok(Combined::new(SampleValue::Histogram(Arc::new(trimmed))))
            }
            _ => Err(incompatible("histogram", "float")),
        },
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => match op {
            BinaryOp::Add => sum(a, b),
            BinaryOp::Sub => difference(a, b),
            BinaryOp::Equal => Ok(Combined::compared(lhs.clone(), a.equals(b))),
            BinaryOp::NotEqual => Ok(Combined::compared(lhs.clone(), !a.equals(b))),
            _ => Err(incompatible("histogram", "histogram")),
        },
    }
}

fn scaled(histogram: &FloatHistogram, factor: f64) -> Combined {
    let mut scaled = histogram.clone();
    scaled.scale(factor);
    Combined::histogram(scaled)
}

fn sum(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, Remark> {
    let mut sum = a.clone();
    let merged = sum
        .add(b)
        .map_err(|_| Remark::IncompatibleBucketLayout { operator: "+" })?;
    Ok(with_remarks(
        Combined::histogram(sum),
        merged,
        HistogramOperation::Addition,
    ))
}

fn difference(a: &FloatHistogram, b: &FloatHistogram) -> Result<Combined, Remark> {
    let mut difference = a.clone();
    let merged = difference
        .subtract(b)
        .map_err(|_| Remark::IncompatibleBucketLayout { operator: "-" })?;
    difference.counter_reset_hint = CounterResetHint::Gauge;
    let combined = Combined::histogram(difference);
    Ok(with_remarks(
        combined,
        merged,
        HistogramOperation::Subtraction,
    ))
}

fn with_remarks(mut combined: Combined, merged: Merged, operation: HistogramOperation) -> Combined {
    if merged.counter_reset_collision {
        combined
            .remarks
            .push(Remark::CounterResetCollision(operation));
    }
    if merged.bounds_reconciled {
        combined
            .remarks
            .push(Remark::MismatchedCustomBuckets(operation));
    }
    combined
}

fn compare(op: BinaryOp, lhs: f64, rhs: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => lhs == rhs,
        BinaryOp::NotEqual => lhs != rhs,
        BinaryOp::Less => lhs < rhs,
        BinaryOp::LessEqual => lhs <= rhs,
        BinaryOp::Greater => lhs > rhs,
        BinaryOp::GreaterEqual => lhs >= rhs,
        _ => return None,
    })
}

fn arithmetic(op: BinaryOp, lhs: f64, rhs: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod => lhs % rhs,
        BinaryOp::Pow => pow(lhs, rhs),
        BinaryOp::Atan2 => lhs.atan2(rhs),
        _ => return None,
    })
}

/// Tells whether the result is no longer a sample of the metric.
pub(super) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_ieee_754() {
        let check = |op: BinaryOp, lhs: f64, rhs: f64, expected: f64| {
            let got = combine_scalars(op, lhs, rhs);
            assert!(
                got == expected || (got.is_nan() && expected.is_nan()),
                "{lhs} {op} {rhs}"
            );
        };
        check(BinaryOp::Mod, -7.0, 3.0, -1.0);
        check(BinaryOp::Div, 1.0, 0.0, f64::INFINITY);
        check(BinaryOp::Pow, 2.0, 10.0, 1024.0);
        check(BinaryOp::Pow, 1.0, f64::NAN, 1.0);
        check(BinaryOp::Equal, f64::NAN, f64::NAN, 0.0);
        check(BinaryOp::NotEqual, f64::NAN, f64::NAN, 1.0);
    }

    #[test]
    fn floats_cannot_be_trimmed() {
        let (a, b) = (SampleValue::Float(1.0), SampleValue::Float(2.0));
        let remark = combine(BinaryOp::TrimLower, &a, &b)
            .err()
            .expect("does not apply");
        let expected = Remark::IncompatibleTypes {
            lhs: "float",
            operator: ">/",
            rhs: "float",
        };
        assert_eq!(remark, expected);
    }
}
