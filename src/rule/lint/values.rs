//! Which values an expression can have, as far as it alone tells: an interval, NaN aside.
//!
//! Series of monitoring are what they are named for: `up` is 0 or 1, and what a rate is taken of
//! is a counter and so never negative.

use crate::model::METRIC_NAME;
use crate::promql::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, ExprKind, UnaryOp};
use crate::promql::{SignatureTable, ValueType, type_of};
use crate::rule::lint::equal_value;

/// The least and the greatest value, both possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Values {
    pub low: f64,
    pub high: f64,
}

const ANY: Values = values(f64::NEG_INFINITY, f64::INFINITY);
const NOT_NEGATIVE: Values = values(0.0, f64::INFINITY);

const fn values(low: f64, high: f64) -> Values {
    Values { low, high }
}

impl Values {
    fn is_not_negative(self) -> bool {
        self.low >= 0.0
    }

    /// Makes bounds that came of infinities wide enough.
    fn checked(self) -> Values {
        match self.low.is_nan() || self.high.is_nan() {
            true => ANY,
            false => self,
        }
    }

    /// Returns the values that pass a comparison with some value of `other`.
    pub(crate) fn narrowed(self, op: BinaryOp, other: Values) -> Values {
        match op {
            BinaryOp::Greater | BinaryOp::GreaterEqual => {
                values(self.low.max(other.low), self.high)
            }
            BinaryOp::Less | BinaryOp::LessEqual => values(self.low, self.high.min(other.high)),
            BinaryOp::Equal => values(self.low.max(other.low), self.high.min(other.high)),
            _ => self,
        }
    }

    /// Tells whether some value compares as true with some value of `other`.
    pub(crate) fn can_pass(self, op: BinaryOp, other: Values) -> bool {
        match op {
            BinaryOp::Greater => self.high > other.low,
            BinaryOp::GreaterEqual => self.high >= other.low,
            BinaryOp::Less => self.low < other.high,
            BinaryOp::LessEqual => self.low <= other.high,
            BinaryOp::Equal => self.low <= other.high && self.high >= other.low,
            _ => true,
        }
    }
}

/// Returns the values that an expression can have.
pub(crate) fn values_of(expr: &Expr, functions: &dyn SignatureTable) -> Values {
    match &expr.kind {
        ExprKind::Number(number) => values(number.value, number.value).checked(),
        ExprKind::String(_) => ANY,
        ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => {
            values_of(inner, functions)
        }
        ExprKind::Unary(UnaryOp::Minus, inner) => {
            let inner = values_of(inner, functions);
            values(-inner.high, -inner.low)
        }
        ExprKind::Vector(selector) => match equal_value(&selector.matchers, METRIC_NAME) {
            Some("up") => values(0.0, 1.0),
            _ => ANY,
        },
        ExprKind::Matrix(matrix) => match equal_value(&matrix.selector.matchers, METRIC_NAME) {
            Some("up") => values(0.0, 1.0),
            _ => ANY,
        },
        ExprKind::Subquery(subquery) => values_of(&subquery.expr, functions),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate, functions),
        ExprKind::Call(call) => of_call(call, functions),
        ExprKind::Binary(binary) => of_binary(binary, functions),
    }
}

fn of_sum(members: Values) -> Values {
    match (members.low >= 0.0, members.high <= 0.0) {
        (true, _) => values(members.low, f64::INFINITY),
        (_, true) => values(f64::NEG_INFINITY, members.high),
        _ => ANY,
    }
}

fn of_aggregate(aggregate: &Aggregate, functions: &dyn SignatureTable) -> Values {
    use AggregateOp as Op;
    let inner = values_of(&aggregate.expr, functions);
    match aggregate.op {
        Op::Count | Op::CountValues => values(1.0, f64::INFINITY),
        Op::Group => values(1.0, 1.0),
        Op::Stddev | Op::Stdvar => NOT_NEGATIVE,
        Op::Sum => of_sum(inner),
        Op::Avg | Op::Min | Op::Max | Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio => inner,
        Op::Quantile => ANY,
    }
}

fn of_call(call: &Call, functions: &dyn SignatureTable) -> Values {
    let arg = |idx: usize| {
        let arg = call.args.get(idx);
        arg.map_or(ANY, |arg| values_of(arg, functions))
    };
    match call.function.as_str() {
        "rate" | "increase" | "irate" | "changes" | "resets" | "stddev_over_time"
        | "stdvar_over_time" | "abs" | "sqrt" | "exp" | "time" => NOT_NEGATIVE,
        "count_over_time" => values(1.0, f64::INFINITY),
        "present_over_time" | "absent" | "absent_over_time" => values(1.0, 1.0),
        "sgn" | "sin" | "cos" => values(-1.0, 1.0),
        "day_of_week" => values(0.0, 6.0),
        "day_of_month" => values(1.0, 31.0),
        "day_of_year" => values(1.0, 366.0),
        "days_in_month" => values(28.0, 31.0),
        "hour" => values(0.0, 23.0),
        "minute" => values(0.0, 59.0),
        "month" => values(1.0, 12.0),
        "sum_over_time" => of_sum(arg(0)),
        "min_over_time" | "max_over_time" | "avg_over_time" | "last_over_time"
        | "first_over_time" | "vector" | "scalar" | "label_replace" | "label_join" | "sort"
        | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => arg(0),
        _ => ANY,
    }
}

fn of_binary(binary: &Binary, functions: &dyn SignatureTable) -> Values {
    let (a, b) = (
        values_of(&binary.lhs, functions),
        values_of(&binary.rhs, functions),
    );
    let fills = binary
        .matching
        .as_ref()
        .is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
    if fills {
        return ANY;
    }
    let are_not_negative = a.is_not_negative() && b.is_not_negative();
    match binary.op {
        BinaryOp::Add => values(a.low + b.low, a.high + b.high).checked(),
        BinaryOp::Sub => values(a.low - b.high, a.high - b.low).checked(),
        BinaryOp::Mul if are_not_negative => {
            let product = values(a.low * b.low, a.high * b.high);
            match product.low.is_nan() || product.high.is_nan() {
                true => NOT_NEGATIVE,
                false => product,
            }
        }
        BinaryOp::Div if are_not_negative => NOT_NEGATIVE,
        op if op.is_comparison() && binary.return_bool => values(0.0, 1.0),
        op if op.is_comparison() => {
            let passed = match type_of(&binary.lhs, functions) {
                ValueType::Scalar => b.narrowed(turned(op), a),
                _ => a.narrowed(op, b),
            };
            match passed.low > passed.high {
                true => ANY,
                false => passed,
            }
        }
        BinaryOp::And | BinaryOp::Unless => a,
        BinaryOp::Or => values(a.low.min(b.low), a.high.max(b.high)),
        _ => ANY,
    }
}

/// Returns the comparison with its sides exchanged.
pub(crate) fn turned(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        op => op,
    }
}
