//! The tree back to canonical text, as Prometheus' API and rule pages show it.

use std::fmt::{self, Formatter, Write as _};

use crate::model::float::{format_general, format_plain};
use crate::model::labels::{is_legacy_label_name, quote};
use crate::model::{DurationMs, METRIC_NAME, MatchOp};
use crate::promql::ast::{
    Aggregate, At, Binary, Cardinality, DurationExpr, DurationNode, Expr, ExprKind, MatrixSelector,
    Number, RangeMode, Subquery, UnaryOp, VectorMatching, VectorSelector,
};

impl fmt::Display for Expr {
    /// Prints the canonical text, as Prometheus' API shows it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => f.write_str(&quoted(text)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(UnaryOp::Plus, inner) => write!(f, "+{inner}"),
            ExprKind::Unary(UnaryOp::Minus, inner) => write!(f, "-{inner}"),
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function)?;
                separated(f, &call.args, |f, arg| arg.fmt(f))?;
                f.write_char(')')
            }
            ExprKind::Vector(selector) => selector.fmt(f),
            ExprKind::Matrix(matrix) => matrix.fmt(f),
            ExprKind::Subquery(subquery) => subquery.fmt(f),
        }
    }
}

fn quoted(text: &str) -> String {
    escape_replacements(&quote(text))
}

/// Escapes U+FFFD, which stands for bytes that are no UTF-8 and which the lexer reads only so.
fn escape_replacements(text: &str) -> String {
    text.replace(char::REPLACEMENT_CHARACTER, r"\ufffd")
}

fn separated<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    print: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    Ok(())
}

fn label_list(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_char('(')?;
    separated(f, labels, |f, label| {
        if is_legacy_label_name(label) {
            f.write_str(label)
        } else {
            f.write_str(&quoted(label))
        }
    })?;
    f.write_char(')')
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // Prometheus cuts off what a float's nanoseconds leave of a millisecond: 1s1ms is 1s.
            DurationMs((self.value * 1e9) as i64 / 1_000_000).fmt(f)
        } else {
            f.write_str(&format_plain(self.value))
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.lhs, self.op)?;
        if self.return_bool {
            f.write_str(" bool")?;
        }
        if let Some(matching) = &self.matching {
            matching.fmt(f)?;
        }
        write!(f, " {}", self.rhs)
    }
}

impl fmt::Display for VectorMatching {
    /// Prints with a leading space, or nothing when it says nothing.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some(" group_left "),
            Cardinality::OneToMany => Some(" group_right "),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if self.on || !self.labels.is_empty() || group.is_some() {
            f.write_str(if self.on { " on " } else { " ignoring " })?;
            label_list(f, &self.labels)?;
        }
        if let Some(group) = group {
            f.write_str(group)?;
            label_list(f, &self.include)?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => {
                write!(f, " fill ({})", format_general(left))
            }
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({})", format_general(left))?;
                }
                if let Some(right) = right {
                    write!(f, " fill_right ({})", format_general(right))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", AggregateHead(self))?;
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// What stands before the parentheses of an aggregation.
pub(super) struct AggregateHead<'a>(pub(super) &'a Aggregate);

impl fmt::Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let aggregate = self.0;
        f.write_str(aggregate.op.name())?;
        if aggregate.without || !aggregate.grouping.is_empty() {
            f.write_str(if aggregate.without {
                " without "
            } else {
                " by "
            })?;
            label_list(f, &aggregate.grouping)?;
            f.write_char(' ')?;
        }
        Ok(())
    }
}

impl VectorSelector {
    /// Prints the name and the matchers, the matchers in the order of their text.
    fn fmt_series(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("");
        let is_name = |value: &str| !value.is_empty() && value == name;
        let mut matchers: Vec<String> = self
            .matchers
            .iter()
            .filter(|m| !(m.name == METRIC_NAME && m.op == MatchOp::Equal && is_name(&m.value)))
            .map(ToString::to_string)
            .collect();
        matchers.sort();
        f.write_str(name)?;
        if matchers.is_empty() {
            return Ok(());
        }
        write!(f, "{{{}}}", escape_replacements(&matchers.join(",")))
    }
}

impl fmt::Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_series(f)?;
        fmt_at(f, self.at)?;
        fmt_mode(f, self.mode)?;
        fmt_offset(f, &self.offset)
    }
}

impl fmt::Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.fmt_series(f)?;
        write!(f, "[{}]", self.range)?;
        fmt_mode(f, self.selector.mode)?;
        fmt_at(f, self.selector.at)?;
        fmt_offset(f, &self.selector.offset)
    }
}

impl fmt::Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, SubqueryTail(self))
    }
}

/// What stands behind the expression of a subquery.
pub(super) struct SubqueryTail<'a>(pub(super) &'a Subquery);

impl fmt::Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let subquery = self.0;
        write!(f, "[{}:", subquery.range)?;
        if let Some(step) = &subquery.step {
            step.fmt(f)?;
        }
        f.write_char(']')?;
        fmt_at(f, subquery.at)?;
        fmt_offset(f, &subquery.offset)
    }
}

fn fmt_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Instant(instant)) => write!(f, " @ {:.3}", instant.seconds()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn fmt_mode(f: &mut Formatter<'_>, mode: RangeMode) -> fmt::Result {
    f.write_str(match mode {
        RangeMode::Plain => "",
        RangeMode::Anchored => " anchored",
        RangeMode::Smoothed => " smoothed",
    })
}

fn fmt_offset(f: &mut Formatter<'_>, offset: &DurationExpr) -> fmt::Result {
    match offset {
        DurationExpr::Literal(DurationMs::ZERO) => Ok(()),
        offset => write!(f, " offset {offset}"),
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Literal(span) => span.fmt(f),
            DurationExpr::Computed(node, _) => node.fmt(f),
        }
    }
}

impl fmt::Display for DurationNode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationNode::Number(number) => number.fmt(f),
            DurationNode::Step => f.write_str("step()"),
            DurationNode::Range => f.write_str("range()"),
            DurationNode::Neg(inner) => write!(f, "-{inner}"),
            DurationNode::Paren(inner) => write!(f, "({inner})"),
            DurationNode::Binary(op, lhs, rhs) => write!(f, "{lhs} {op} {rhs}"),
            DurationNode::Min(a, b) => write!(f, "min({a}, {b})"),
            DurationNode::Max(a, b) => write!(f, "max({a}, {b})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::promql::test_functions::PrometheusFunctions;
    use crate::promql::{Features, parse};

    fn check(text: &str, expected: &str) {
        let expr = parse(text, &PrometheusFunctions, Features::ALL).expect(text);
        assert_eq!(expr.to_string(), expected, "{text}");
    }

    #[test]
    fn texts_print_canonically() {
        check("sum(x)by(a,b)", "sum by (a, b) (x)");
        check("sum by () (x)", "sum(x)");
        check("sum + without", "sum + without");
        check("sum without () (x)", "sum without () (x)");
        check("TOPK ( 3,x )", "topk(3, x)");
        check("a*on(x,)group_left(y)b", "a * on (x) group_left (y) b");
        check("a*on()b", "a * on () b");
        check("a*ignoring()b", "a * b");
        check(
            "a*ignoring()group_right b",
            "a * ignoring () group_right () b",
        );
        check("a==bool 1", "a == bool 1");
        check("a+fill(0)b", "a + fill (0) b");
        check("a+fill_right(-1)b", "a + fill_right (-1) b");
        check("- a^-2", "-a ^ -2");
        check("a ^ b ^ c", "a ^ b ^ c");
        check("-5m", "-5m");
        check("90s", "1m30s");
        check("1s1ms", "1s");
        check(
            "0x1F + 017 + 1_000 + 1e3 + inf",
            "31 + 15 + 1000 + 1000 + +Inf",
        );
        check("x[300]", "x[5m]");
        check("x{b='c',a=`\\d`}", r#"x{a="\\d",b="c"}"#);
        check(r#"{"a b","c.d"="e"}"#, r#"{"c.d"="e",__name__="a b"}"#);
        check("sum by ('c.d') (x)", r#"sum by ("c.d") (x)"#);
        check("x offset -1h @ 1.5", "x @ 1.500 offset -1h");
        check("x[5m] @ end() smoothed", "x[5m] smoothed @ end()");
        check("x smoothed @ start()", "x @ start() smoothed");
        check("x[1h:] offset 1w", "x[1h:] offset 1w");
        check("x[1h:60]", "x[1h:1m]");
        check("x[5m*2+ -step()]", "x[5m * 2 + -step()]");
        check("x[max_of(1m,(range()))]", "x[max(1m, (range()))]");
        check(r#""\xff""#, r#""\xff""#);
        check("x # comment", "x");
    }
}
