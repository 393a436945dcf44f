//! The expression tree: what the parser makes, the checker types and the interpreter walks.
//!
//! Every node carries the [`Span`] of its text, so that errors and warnings can point.

use std::fmt;

use crate::model::{DurationMs, Matcher, TimestampMs};

/// A range of bytes in the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

/// An expression with its place in the text. Equality ignores the place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `Inf`, `5m` as a number of seconds (kept as a duration for printing).
    Number(Number),
    /// `"text"`
    String(String),
    /// `(e)`
    Paren(Box<Expr>),
    /// `-e`, `+e`
    Unary(UnaryOp, Box<Expr>),
    /// `a op b`
    Binary(Box<Binary>),
    /// `sum by (x) (e)`
    Aggregate(Box<Aggregate>),
    /// `rate(x[5m])`
    Call(Call),
    /// `x{a="b"} offset 5m @ 12`
    Vector(VectorSelector),
    /// `x[5m]`
    Matrix(MatrixSelector),
    /// `e[1h:5m]`
    Subquery(Box<Subquery>),
}

/// A number literal.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its value; durations are seconds.
    pub value: f64,
    /// `true` when it was written as a duration (`5m`), which printing keeps.
    pub is_duration: bool,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.is_duration == other.is_duration
    }
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
    /// `</`: trims a histogram above a bound.
    TrimUpper,
    /// `>/`: trims a histogram below a bound.
    TrimLower,
}

impl BinaryOp {
    /// Tells whether this is `==`, `!=`, `<`, `<=`, `>` or `>=`.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(
            self,
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual
        )
    }

    /// Tells whether this is `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// Returns the operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
        }
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// `lhs op [bool] [matching] rhs`
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left side.
    pub lhs: Expr,
    /// The right side.
    pub rhs: Expr,
    /// `bool` after a comparison: answer 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How elements of two vectors find each other; `None` where a side is a scalar.
    pub matching: Option<VectorMatching>,
}

/// How many elements may match on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// `and`, `or`, `unless`.
    ManyToMany,
}

/// `on(…)`/`ignoring(…)`, `group_left(…)`/`group_right(…)`, `fill…(…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorMatching {
    /// How many may match.
    pub cardinality: Cardinality,
    /// `true` for `on`, `false` for `ignoring` or neither.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// The labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// `fill(v)`/`fill_left(v)`: the value of a missing left element.
    pub fill_left: Option<f64>,
    /// `fill(v)`/`fill_right(v)`: the value of a missing right element.
    pub fill_right: Option<f64>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All operators, by name.
    pub const ALL: [(&'static str, AggregateOp); 14] = [
        ("sum", AggregateOp::Sum),
        ("avg", AggregateOp::Avg),
        ("count", AggregateOp::Count),
        ("min", AggregateOp::Min),
        ("max", AggregateOp::Max),
        ("group", AggregateOp::Group),
        ("stddev", AggregateOp::Stddev),
        ("stdvar", AggregateOp::Stdvar),
        ("topk", AggregateOp::Topk),
        ("bottomk", AggregateOp::Bottomk),
        ("count_values", AggregateOp::CountValues),
        ("quantile", AggregateOp::Quantile),
        ("limitk", AggregateOp::Limitk),
        ("limit_ratio", AggregateOp::LimitRatio),
    ];

    /// Returns the operator's name.
    pub fn name(self) -> &'static str {
        AggregateOp::ALL
            .iter()
            .find(|(_, op)| *op == self)
            .map_or("", |(name, _)| name)
    }

    /// Tells whether a parameter stands before the vector, as in `topk(5, x)`.
    pub fn has_parameter(self) -> bool {
        use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(
            self,
            Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio
        )
    }
}

/// `op by|without (labels) (parameter, expr)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `quantile`, `count_values` and the like.
    pub parameter: Option<Expr>,
    /// `true` for `without`.
    pub without: bool,
    /// The grouping labels, in the order written.
    pub grouping: Vec<String>,
}

/// A function call. Equality ignores the place of the name.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The arguments.
    pub args: Vec<Expr>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.args == other.args
    }
}

/// `@ …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// `@ 12.5`
    Instant(TimestampMs),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// A duration that is a literal, or (with the feature flag) an expression of literals,
/// `step()`, `range()`, `min(…)`, `max(…)`.
#[derive(Clone, Debug)]
pub enum DurationExpr {
    /// A known span.
    Literal(DurationMs),
    /// Arithmetic that depends on the query's step or range, and its place.
    Computed(Box<DurationNode>, Span),
}

/// Places do not count.
impl PartialEq for DurationExpr {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (DurationExpr::Literal(a), DurationExpr::Literal(b)) => a == b,
            (DurationExpr::Computed(a, _), DurationExpr::Computed(b, _)) => a == b,
            _ => false,
        }
    }
}

impl DurationExpr {
    /// Returns the span when it is known without a query.
    pub fn literal(&self) -> Option<DurationMs> {
        match self {
            DurationExpr::Literal(span) => Some(*span),
            DurationExpr::Computed(..) => None,
        }
    }
}

/// A node of duration arithmetic; numbers are seconds.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum DurationNode {
    Number(Number),
    Step,
    Range,
    Neg(Box<DurationNode>),
    Paren(Box<DurationNode>),
    Binary(BinaryOp, Box<DurationNode>, Box<DurationNode>),
    Min(Box<DurationNode>, Box<DurationNode>),
    Max(Box<DurationNode>, Box<DurationNode>),
}

/// `anchored` and `smoothed` after a selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeMode {
    /// Neither.
    #[default]
    Plain,
    /// `anchored`
    Anchored,
    /// `smoothed`
    Smoothed,
}

/// An instant selector; inside a [`MatrixSelector`] it says which series.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name when it was written in front of the braces.
    pub name: Option<String>,
    /// All matchers, the one for `__name__` included.
    pub matchers: Vec<Matcher>,
    /// `offset d`; positive looks back.
    pub offset: DurationExpr,
    /// `@ t`
    pub at: Option<At>,
    /// `anchored`, `smoothed`.
    pub mode: RangeMode,
}

/// `selector[range]`; `offset` and `@` lie in the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// Which series, from where.
    pub selector: VectorSelector,
    /// How long a window.
    pub range: DurationExpr,
}

/// `expr[range:step] offset d @ t`
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How long a window.
    pub range: DurationExpr,
    /// The step; `None` takes the evaluation interval.
    pub step: Option<DurationExpr>,
    /// `offset d`
    pub offset: DurationExpr,
    /// `@ t`
    pub at: Option<At>,
}

impl Expr {
    /// Calls `visit` for this expression and all below it, outer before inner.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix(_) => {}
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.walk(visit),
            ExprKind::Binary(binary) => {
                binary.lhs.walk(visit);
                binary.rhs.walk(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.parameter {
                    parameter.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            ExprKind::Call(call) => call.args.iter().for_each(|arg| arg.walk(visit)),
            ExprKind::Subquery(subquery) => subquery.expr.walk(visit),
        }
    }

    /// Calls `change` for this expression and all below it, inner before outer; what `change`
    /// puts in place of a node is not visited.
    pub fn for_each_mut(&mut self, change: &mut dyn FnMut(&mut Expr)) {
        match &mut self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix(_) => {}
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.for_each_mut(change),
            ExprKind::Binary(binary) => {
                binary.lhs.for_each_mut(change);
                binary.rhs.for_each_mut(change);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &mut aggregate.parameter {
                    parameter.for_each_mut(change);
                }
                aggregate.expr.for_each_mut(change);
            }
            ExprKind::Call(call) => {
                call.args
                    .iter_mut()
                    .for_each(|arg| arg.for_each_mut(change));
            }
            ExprKind::Subquery(subquery) => subquery.expr.for_each_mut(change),
        }
        change(self);
    }
}
