//! What a rule may claim before its series and windows have their full history.
//!
//! A rule that is true because something is small or absent is true, too, while its series are
//! only coming in: `absent(x)`, `a unless b`, `count(up) < 3`. Such a rule may become pending but
//! does not fire while it is warming; the others are at worst true later, and fire.
//!
//! The question is decided on the expression alone. Each value is asked which way missing
//! members could move it, and each comparison which way would make it true. An average or a
//! ratio of sums misses members in no particular direction; below a bound it is taken with
//! suspicion all the same, but `1 - good / total > 0.01`, the form of most SLO rules, is not
//! held back for thirty days.

use crate::promql::Expr;
use crate::promql::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Call, ExprKind, UnaryOp};

/// A part of an expression that missing members could make true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The part, canonical; its beginning where it is long.
    pub part: String,
    /// Why it is exposed, for people.
    pub why: &'static str,
}

/// Tells whether series that are missing could make the expression yield an alert.
///
/// True for `absent` and `absent_over_time`, `unless`, an aggregation on the smaller side of a
/// comparison or on either side of `==` and `!=`, anywhere in the expression.
pub fn missing_could_make_true(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |node| found |= exposed(node).is_some());
    found
}

/// The most parts that are named.
const EXPOSURES_MAX: usize = 20;
/// What is shown of a part, in bytes.
const PART_BYTES_MAX: usize = 200;

/// Returns the parts that missing members could make true, outer before inner; the first
/// twenty, which are enough to see why.
pub fn exposures(expr: &Expr) -> Vec<Exposure> {
    let mut found = Vec::new();
    expr.walk(&mut |node| {
        if found.len() < EXPOSURES_MAX
            && let Some(why) = exposed(node)
        {
            let part = shortened(node.to_string());
            found.push(Exposure { part, why });
        }
    });
    found
}

fn shortened(mut text: String) -> String {
    if text.len() > PART_BYTES_MAX {
        text.truncate(text.floor_char_boundary(PART_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Says why missing members could make a node true, if they could.
fn exposed(node: &Expr) -> Option<&'static str> {
    match &node.kind {
        ExprKind::Call(call) if is_absent(call) => Some("true while its series are missing"),
        ExprKind::Binary(binary) if binary.op == BinaryOp::Unless => {
            Some("its right side may still be missing")
        }
        ExprKind::Binary(binary) if binary.op.is_comparison() && could_become_true(binary) => {
            Some("missing members could move a side across the line")
        }
        _ => None,
    }
}

/// Which way missing members could move a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pull {
    /// It could be smaller than with all members.
    falls: bool,
    /// It could be larger.
    rises: bool,
    /// It is made of what its members add up to, so that it falls for certain.
    adds_up: bool,
}

impl Pull {
    fn or(self, other: Pull) -> Pull {
        Pull {
            falls: self.falls || other.falls,
            rises: self.rises || other.rises,
            adds_up: self.adds_up || other.adds_up,
        }
    }

    /// Of the value with its sign turned.
    fn turned(self) -> Pull {
        Pull {
            falls: self.rises,
            rises: self.adds_up,
            adds_up: false,
        }
    }
}

fn is_absent(call: &Call) -> bool {
    matches!(call.function.as_str(), "absent" | "absent_over_time")
}

fn could_become_true(binary: &Binary) -> bool {
    let (lhs, rhs) = (pull(&binary.lhs), pull(&binary.rhs));
    match binary.op {
        BinaryOp::Less | BinaryOp::LessEqual => lhs.falls || rhs.rises,
        BinaryOp::Greater | BinaryOp::GreaterEqual => lhs.rises || rhs.falls,
        _ => lhs != Pull::default() || rhs != Pull::default(),
    }
}

fn pull(expr: &Expr) -> Pull {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            Pull::default()
        }
        ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => pull(inner),
        ExprKind::Unary(UnaryOp::Minus, inner) => pull(inner).turned(),
        ExprKind::Binary(binary) => binary_pull(binary),
        ExprKind::Aggregate(aggregate) => aggregate_pull(aggregate),
        ExprKind::Call(call) => call_pull(call),
        ExprKind::Subquery(subquery) => pull(&subquery.expr),
    }
}

fn binary_pull(binary: &Binary) -> Pull {
    let (lhs, rhs) = (pull(&binary.lhs), pull(&binary.rhs));
    match binary.op {
        BinaryOp::Sub => lhs.or(rhs.turned()),
        BinaryOp::Div => Pull {
            falls: lhs.falls || rhs.rises,
            rises: lhs.rises || rhs.adds_up && !lhs.adds_up,
            adds_up: lhs.adds_up && !rhs.adds_up,
        },
        // `bool` answers 0 or 1: it rises where the comparison could become true.
        op if op.is_comparison() && binary.return_bool => Pull {
            falls: lhs.or(rhs) != Pull::default(),
            rises: could_become_true(binary),
            adds_up: false,
        },
        // A filter's value is its left side's; a set operator's mostly.
        op if op.is_comparison() => lhs,
        BinaryOp::And | BinaryOp::Unless => lhs,
        // `x or vector(0)`: what is missing becomes the constant, which is there to be small.
        BinaryOp::Or => lhs.or(Pull {
            falls: rhs.falls || is_constant(&binary.rhs),
            ..rhs
        }),
        _ => lhs.or(rhs),
    }
}

fn aggregate_pull(aggregate: &Aggregate) -> Pull {
    use AggregateOp::{Avg, Bottomk, Min, Quantile, Stddev, Stdvar};
    let own = Pull {
        falls: true,
        rises: matches!(aggregate.op, Min | Bottomk),
        adds_up: !matches!(
            aggregate.op,
            Avg | Min | Bottomk | Quantile | Stddev | Stdvar
        ),
    };
    let inner = pull(&aggregate.expr);
    Pull {
        falls: true,
        rises: own.rises || inner.rises,
        adds_up: own.adds_up,
    }
}

fn call_pull(call: &Call) -> Pull {
    let args = call.args.iter().map(pull);
    let of_args = args.fold(Pull::default(), Pull::or);
    match call.function.as_str() {
        // A quantile of buckets does not shrink with their number.
        "histogram_quantile" | "histogram_fraction" | "histogram_avg" => Pull {
            adds_up: false,
            ..of_args
        },
        _ => of_args,
    }
}

/// Tells whether an expression reads no series.
fn is_constant(expr: &Expr) -> bool {
    let mut reads = false;
    expr.walk(&mut |node| {
        reads |= matches!(node.kind, ExprKind::Vector(_) | ExprKind::Matrix(_));
    });
    !reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{self, Features};

    fn parsed(text: &str) -> Expr {
        promql::parse(text, &Functions, Features::ALL).expect(text)
    }

    #[test]
    fn exposed_parts_are_named() {
        let found = exposures(&parsed("(sum(x) < 5 unless y) and x > 3"));
        let parts: Vec<&str> = found
            .iter()
            .map(|exposure| exposure.part.as_str())
            .collect();
        assert_eq!(parts, ["sum(x) < 5 unless y", "sum(x) < 5"]);
    }

    #[test]
    fn what_missing_members_could_make_true() {
        let check = |text: &str, expected: bool| {
            assert_eq!(missing_could_make_true(&parsed(text)), expected, "{text}");
        };
        // Absence.
        check("absent(up)", true);
        check("absent_over_time(up[1h])", true);
        check("x > 5 and on() absent(y)", true);
        check("a unless b", true);
        check("sum(a unless on(job) b) > 3", true);
        // Aggregations on the smaller side.
        check("sum(x) < 5", true);
        check("5 > sum(x)", true);
        check("x > on(job) sum by (job) (x)", true);
        check("count(up) <= 3", true);
        check("count(up == 1) / count(up) < 0.5", true);
        check("avg(x) < 5", true);
        check("sum(x) == 0", true);
        check("0 != sum(x)", true);
        check("(sum(x) or vector(0)) < 1", true);
        check("(x or vector(0)) < 1", true);
        check(
            "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) < 1",
            true,
        );
        check("max_over_time(sum(x)[1h:1m]) < 5", true);
        check("scalar(sum(x)) < bool 5", true);
        check("(sum(x) < bool 5) == 1", true);
        check("count(sum by (job) (x) < 5) > 2", true);
        // What is missing turned round.
        check("5 - count(up) > 2", true);
        check("sum(wanted) - sum(available) > 0", true);
        check("x / sum(y) > 5", true);
        check("min(x) > 5", true);
        // On the larger side.
        check("sum(x) > 5", false);
        check("5 < sum(x)", false);
        check("sum(rate(err[1h])) / sum(rate(all[1h])) > 0.01", false);
        check("1 - sum(rate(ok[1h])) / sum(rate(all[1h])) > 0.01", false);
        check("100 - avg by (instance) (rate(idle[5m])) * 100 > 80", false);
        check("avg(x) > 5", false);
        // Single series.
        check("up == 0", false);
        check("x < 5", false);
        check("rate(x[5m]) < 5", false);
        check("a / b < 0.1", false);
        check("x > 5 or y > 3", false);
        check("sum(up == 0) > 3", false);
    }
}
