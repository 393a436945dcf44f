//! Random trees that could come from the parser, for tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{DurationMs, METRIC_NAME, MatchOp, Matcher, TimestampMs};
use crate::promql::ast::*;

fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    select(values.to_vec())
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn parens(inner: Expr) -> Expr {
    expr(ExprKind::Paren(Box::new(inner)))
}

/// Puts parentheses around what would group otherwise next to an operator or a modifier.
fn operand(inner: Expr) -> Expr {
    let computed = |offset: &DurationExpr| matches!(offset, DurationExpr::Computed(..));
    match &inner.kind {
        // A computed offset would go on over the operator.
        ExprKind::Vector(selector) if computed(&selector.offset) => parens(inner),
        ExprKind::Subquery(subquery) if computed(&subquery.offset) => parens(inner),
        ExprKind::Unary(..) | ExprKind::Binary(_) => parens(inner),
        // These print with a sign, and a sign binds looser than `^`.
        ExprKind::Number(number) if number.value.is_sign_negative() => parens(inner),
        ExprKind::Number(number) if number.value.is_infinite() => parens(inner),
        _ => inner,
    }
}

fn label() -> impl Strategy<Value = String> {
    let words = [
        "job",
        "sum",
        "by",
        "on",
        "offset",
        "a.b",
        "größe",
        "with \"quote",
    ];
    prop_oneof![
        one_of(&words).prop_map(str::to_owned),
        "[a-zA-Z_][a-zA-Z0-9_]{0,4}"
    ]
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    vec(label(), 0..3)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let ops = [
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Matches,
        MatchOp::NotMatches,
    ];
    let values = ["", "a", "a|b", "x.*", "\\d+\n", "\"'`\u{7}", "日本"];
    (one_of(&ops), label(), one_of(&values))
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).expect("a valid pattern"))
}

fn number() -> impl Strategy<Value = Number> {
    let special = [0.0, -0.0, 0.1, 1e300, 5e-324, f64::INFINITY, -f64::INFINITY];
    let plain = prop_oneof![any::<i32>().prop_map(f64::from), one_of(&special)];
    prop_oneof![
        plain.prop_map(|value| Number {
            value,
            is_duration: false
        }),
        // Of a number with milliseconds one may be lost in print, as Prometheus loses it.
        (-100_000i32..100_000).prop_map(|seconds| Number {
            value: f64::from(seconds),
            is_duration: true
        }),
    ]
    // `-0s` prints as `0s`.
    .prop_filter("no negative zero duration", |n| {
        !(n.is_duration && n.value == 0.0)
    })
}

fn duration_node() -> impl Strategy<Value = DurationNode> {
    let number = |seconds: u32| {
        DurationNode::Number(Number {
            value: f64::from(seconds),
            is_duration: false,
        })
    };
    let leaf = prop_oneof![
        Just(DurationNode::Step),
        Just(DurationNode::Range),
        (1u32..1000).prop_map(number),
    ];
    let ops = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Pow];
    let inside = leaf.prop_recursive(3, 8, 2, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let paren = || boxed().prop_map(|node| Box::new(DurationNode::Paren(node)));
        prop_oneof![
            paren().prop_map(|node| *node),
            paren().prop_map(DurationNode::Neg),
            (boxed(), boxed()).prop_map(|(a, b)| DurationNode::Min(a, b)),
            (boxed(), boxed()).prop_map(|(a, b)| DurationNode::Max(a, b)),
            (one_of(&ops), paren(), paren()).prop_map(|(op, a, b)| DurationNode::Binary(op, a, b)),
        ]
    });
    inside.prop_map(|node| DurationNode::Paren(Box::new(node)))
}

/// Generates what may stand in brackets or, from `ms_min` below zero on, behind `offset`. The
/// lexer refuses a colon before the first number, so only what begins with one may have a step.
/// Of durations longer than three months, Prometheus may lose a millisecond.
fn duration(ms_min: i64) -> impl Strategy<Value = DurationExpr> {
    let literal = (ms_min..8_000_000_000).prop_map(|ms| DurationExpr::Literal(DurationMs(ms)));
    prop_oneof![
        4 => literal,
        1 => duration_node().prop_map(|node| {
            DurationExpr::Computed(Box::new(node), Span::default())
        }),
    ]
}

fn literal_duration() -> impl Strategy<Value = DurationExpr> {
    (1i64..100_000_000).prop_map(|ms| DurationExpr::Literal(DurationMs(ms)))
}

fn at() -> impl Strategy<Value = Option<At>> {
    option::of(prop_oneof![
        Just(At::Start),
        Just(At::End),
        any::<i32>().prop_map(|ms| At::Instant(TimestampMs(i64::from(ms)))),
    ])
}

fn selector() -> impl Strategy<Value = VectorSelector> {
    let names = ["up", "job:x:rate5m", "sum", "start", "unless", "without"];
    let modes = [RangeMode::Plain, RangeMode::Anchored, RangeMode::Smoothed];
    let name = option::of(one_of(&names).prop_map(str::to_owned));
    let modifiers = (duration(-100_000_000), at(), one_of(&modes));
    (name, vec(matcher(), 0..3), modifiers).prop_map(|(name, mut matchers, modifiers)| {
        let (offset, at, mode) = modifiers;
        let written = name.clone().unwrap_or_else(|| "in braces".to_owned());
        matchers.push(Matcher::equal(METRIC_NAME, written));
        VectorSelector {
            name,
            matchers,
            offset,
            at,
            mode,
        }
    })
}

fn matching() -> impl Strategy<Value = VectorMatching> {
    let cardinalities = [
        Cardinality::OneToOne,
        Cardinality::ManyToOne,
        Cardinality::OneToMany,
    ];
    let fill = || option::of(one_of(&[0.0, -1.5, 1e21, f64::INFINITY]));
    (
        one_of(&cardinalities),
        labels(),
        labels(),
        fill(),
        fill(),
        any::<bool>(),
    )
        .prop_map(
            |(cardinality, labels, mut include, fill_left, fill_right, on)| {
                if cardinality == Cardinality::OneToOne {
                    include.clear();
                }
                include.retain(|label| !labels.contains(label));
                VectorMatching {
                    cardinality,
                    on,
                    labels,
                    include,
                    fill_left,
                    fill_right,
                }
            },
        )
}

fn set_matching() -> impl Strategy<Value = VectorMatching> {
    (labels(), any::<bool>()).prop_map(|(labels, on)| VectorMatching {
        cardinality: Cardinality::ManyToMany,
        on,
        labels,
        include: Vec::new(),
        fill_left: None,
        fill_right: None,
    })
}

fn binary(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    let ops = [
        BinaryOp::Add,
        BinaryOp::Pow,
        BinaryOp::Atan2,
        BinaryOp::TrimLower,
        BinaryOp::NotEqual,
        BinaryOp::Less,
    ];
    let sets = [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless];
    let matched = prop_oneof![
        (one_of(&ops), matching().prop_map(Some), any::<bool>()),
        (one_of(&sets), set_matching().prop_map(Some), Just(false)),
    ];
    let tree = |op: BinaryOp, lhs, rhs, matching, return_bool: bool| {
        expr(ExprKind::Binary(Box::new(Binary {
            op,
            lhs: operand(lhs),
            rhs: operand(rhs),
            return_bool: return_bool && op.is_comparison(),
            matching,
        })))
    };
    let scalar = number().prop_map(|number| expr(ExprKind::Number(number)));
    prop_oneof![
        (matched, inner.clone(), inner.clone())
            .prop_map(move |((op, matching, bool), l, r)| tree(op, l, r, matching, bool)),
        (one_of(&ops), scalar, inner, any::<bool>())
            .prop_map(move |(op, l, r, bool)| tree(op, l, r, None, bool)),
    ]
}

fn aggregate(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    let ops: Vec<AggregateOp> = AggregateOp::ALL.iter().map(|(_, op)| *op).collect();
    let parts = (select(ops), inner, number(), any::<bool>(), labels());
    parts.prop_map(|(op, inner, number, without, grouping)| {
        let parameter = match op {
            AggregateOp::CountValues => ExprKind::String("a \"b\"\n".to_owned()),
            _ => ExprKind::Number(number),
        };
        expr(ExprKind::Aggregate(Box::new(Aggregate {
            op,
            expr: inner,
            parameter: op.has_parameter().then(|| expr(parameter)),
            without,
            grouping,
        })))
    })
}

fn call(function: &'static str, args: Vec<Expr>) -> Expr {
    expr(ExprKind::Call(Call {
        function: function.to_owned(),
        name_span: Span::default(),
        args,
    }))
}

fn matrix(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Expr> {
    let matrix = (selector(), duration(1))
        .prop_map(|(selector, range)| expr(ExprKind::Matrix(MatrixSelector { selector, range })));
    let modifiers = (option::of(duration(1)), duration(-100_000_000), at());
    let subquery = (inner, literal_duration(), modifiers).prop_map(|(inner, range, modifiers)| {
        let (step, offset, at) = modifiers;
        expr(ExprKind::Subquery(Box::new(Subquery {
            // What stands behind a selector's modifiers would be read as one more of them.
            expr: operand(inner),
            range,
            step,
            offset,
            at,
        })))
    });
    prop_oneof![matrix, subquery]
}

/// Generates instant vectors.
pub fn vector() -> impl Strategy<Value = Expr> {
    let leaf = selector().prop_map(|selector| expr(ExprKind::Vector(selector)));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let signs = [UnaryOp::Plus, UnaryOp::Minus];
        prop_oneof![
            inner.clone().prop_map(parens),
            (one_of(&signs), inner.clone())
                .prop_map(|(sign, inner)| expr(ExprKind::Unary(sign, Box::new(operand(inner))))),
            binary(inner.clone()),
            aggregate(inner.clone()),
            matrix(inner.clone()).prop_map(|matrix| call("rate", vec![matrix])),
            (inner.clone(), number()).prop_map(|(inner, number)| {
                call("clamp_min", vec![inner, expr(ExprKind::Number(number))])
            }),
        ]
    })
}
