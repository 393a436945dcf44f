//! Which labels the elements of a result can have, as far as the expression alone tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, VectorMatching,
};
use crate::promql::{SignatureTable, ValueType, type_of};

/// The labels that the elements of a result can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputLabels {
    possible: Possible,
    /// Labels that every element has, with the one value they have.
    known: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Possible {
    AllBut(BTreeSet<String>),
    Only(BTreeSet<String>),
}

impl OutputLabels {
    fn any() -> Self {
        OutputLabels {
            possible: Possible::AllBut(BTreeSet::new()),
            known: BTreeMap::new(),
        }
    }

    fn none() -> Self {
        OutputLabels {
            possible: Possible::Only(BTreeSet::new()),
            known: BTreeMap::new(),
        }
    }

    /// Tells whether an element may have the label.
    pub(crate) fn may_have(&self, name: &str) -> bool {
        match &self.possible {
            Possible::AllBut(names) => !names.contains(name),
            Possible::Only(names) => names.contains(name),
        }
    }

    /// Returns the value that the label has in every element.
    pub(crate) fn known(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }

    /// Returns the labels whose value is known.
    pub(crate) fn known_names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// Returns the possible labels where they can be listed.
    pub(crate) fn listed(&self) -> Option<&BTreeSet<String>> {
        match &self.possible {
            Possible::AllBut(_) => None,
            Possible::Only(names) => Some(names),
        }
    }

    fn forbid(&mut self, name: &str) {
        self.known.remove(name);
        match &mut self.possible {
            Possible::AllBut(names) => {
                names.insert(name.to_owned());
            }
            Possible::Only(names) => {
                names.remove(name);
            }
        }
    }

    fn allow(&mut self, name: &str) {
        self.known.remove(name);
        match &mut self.possible {
            Possible::AllBut(names) => {
                names.remove(name);
            }
            Possible::Only(names) => {
                names.insert(name.to_owned());
            }
        }
    }

    /// Keeps only the listed labels.
    fn keep(self, names: &[String]) -> Self {
        let kept = names.iter().filter(|name| self.may_have(name));
        let possible = Possible::Only(kept.cloned().collect());
        let mut known = self.known;
        known.retain(|name, _| names.contains(name));
        OutputLabels { possible, known }
    }

    /// Joins what two operands may have.
    fn or(self, other: Self) -> Self {
        let possible = match (&self.possible, &other.possible) {
            (Possible::AllBut(a), Possible::AllBut(b)) => {
                Possible::AllBut(a.intersection(b).cloned().collect())
            }
            (Possible::Only(a), Possible::Only(b)) => Possible::Only(a.union(b).cloned().collect()),
            (Possible::AllBut(not), Possible::Only(only))
            | (Possible::Only(only), Possible::AllBut(not)) => {
                Possible::AllBut(not.difference(only).cloned().collect())
            }
        };
        let mut known = self.known;
        known.retain(|name, value| other.known.get(name) == Some(value));
        OutputLabels { possible, known }
    }
}

/// Returns the labels that the result of an expression can have.
pub(crate) fn output_labels(expr: &Expr, functions: &dyn SignatureTable) -> OutputLabels {
    let of = |expr: &Expr| output_labels(expr, functions);
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => OutputLabels::none(),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => of(inner),
        ExprKind::Vector(selector) => of_matchers(&selector.matchers),
        ExprKind::Matrix(matrix) => of_matchers(&matrix.selector.matchers),
        ExprKind::Subquery(subquery) => of(&subquery.expr),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate, of(&aggregate.expr)),
        ExprKind::Call(call) => of_call(call, functions),
        ExprKind::Binary(binary) => of_binary(binary, functions),
    }
}

fn of_matchers(matchers: &[Matcher]) -> OutputLabels {
    let mut labels = OutputLabels::any();
    for matcher in matchers {
        match (matcher.op, matcher.value.as_str()) {
            (MatchOp::Equal, "") => labels.forbid(&matcher.name),
            (MatchOp::Equal, value) if matcher.name != METRIC_NAME => {
                labels.known.insert(matcher.name.clone(), value.to_owned());
            }
            _ => {}
        }
    }
    labels
}

fn of_aggregate(aggregate: &Aggregate, inner: OutputLabels) -> OutputLabels {
    use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Topk};
    if matches!(aggregate.op, Topk | Bottomk | Limitk | LimitRatio) {
        return inner;
    }
    let mut labels = match aggregate.without {
        false => inner.keep(&aggregate.grouping),
        true => {
            let mut labels = inner;
            labels.forbid(METRIC_NAME);
            aggregate
                .grouping
                .iter()
                .for_each(|name| labels.forbid(name));
            labels
        }
    };
    if aggregate.op == CountValues {
        match aggregate.parameter.as_ref().map(|p| &p.kind) {
            Some(ExprKind::String(name)) => labels.allow(name),
            _ => return OutputLabels::any(),
        }
    }
    labels
}

fn of_call(call: &Call, functions: &dyn SignatureTable) -> OutputLabels {
    let text_arg = |idx: usize| match call.args.get(idx).map(|arg| &arg.kind) {
        Some(ExprKind::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let is_series = |arg: &&Expr| {
        matches!(
            type_of(arg, functions),
            ValueType::Vector | ValueType::Matrix
        )
    };
    let mut series = call.args.iter().filter(is_series);
    let inner = match (series.next(), series.next()) {
        (Some(only), None) => output_labels(only, functions),
        (Some(_), Some(_)) => return OutputLabels::any(),
        (None, _) => return OutputLabels::none(),
    };
    match call.function.as_str() {
        "label_replace" | "label_join" => match text_arg(1) {
            Some(name) => {
                let mut labels = inner;
                labels.allow(name);
                labels
            }
            None => OutputLabels::any(),
        },
        "histogram_quantiles" | "info" => OutputLabels::any(),
        "scalar" => OutputLabels::none(),
        "absent" | "absent_over_time" => of_absent(call),
        // Functions of our own may add labels.
        name if functions.signature(name).is_none() => OutputLabels::any(),
        _ => inner,
    }
}

/// The element of `absent()` has the labels that the selector asks for by `=`, each once.
fn of_absent(call: &Call) -> OutputLabels {
    let mut arg = call.args.first();
    while let Some(ExprKind::Paren(inner)) = arg.map(|arg| &arg.kind) {
        arg = Some(inner);
    }
    let matchers = match arg.map(|arg| &arg.kind) {
        Some(ExprKind::Vector(selector)) => &selector.matchers,
        Some(ExprKind::Matrix(matrix)) => &matrix.selector.matchers,
        _ => return OutputLabels::none(),
    };
    let mut labels = OutputLabels::none();
    for matcher in matchers {
        let once = matchers.iter().filter(|m| m.name == matcher.name).count() == 1;
        let is_set = matcher.op == MatchOp::Equal && !matcher.value.is_empty();
        if once && is_set && matcher.name != METRIC_NAME {
            labels.allow(&matcher.name);
            labels
                .known
                .insert(matcher.name.clone(), matcher.value.clone());
        }
    }
    labels
}

fn of_binary(binary: &Binary, functions: &dyn SignatureTable) -> OutputLabels {
    let is_vector = |expr: &Expr| type_of(expr, functions) == ValueType::Vector;
    let of = |expr: &Expr| output_labels(expr, functions);
    let matching = match (
        &binary.matching,
        is_vector(&binary.lhs),
        is_vector(&binary.rhs),
    ) {
        (Some(matching), true, true) => matching,
        (_, true, _) => return of(&binary.lhs),
        (_, _, true) => return of(&binary.rhs),
        _ => return OutputLabels::none(),
    };
    let (lhs, rhs) = (of(&binary.lhs), of(&binary.rhs));
    if binary.op == BinaryOp::Or || matching.fill_left.is_some() || matching.fill_right.is_some() {
        return lhs.or(rhs);
    }
    if binary.op == BinaryOp::Unless {
        return lhs;
    }
    let (many, one) = match matching.cardinality {
        Cardinality::OneToMany => (rhs, lhs),
        _ => (lhs, rhs),
    };
    let mut labels = matched(many, &one, matching);
    match matching.cardinality {
        Cardinality::ManyToMany => {}
        Cardinality::OneToOne if matching.on => labels = labels.keep(&matching.labels),
        Cardinality::OneToOne => matching.labels.iter().for_each(|name| labels.forbid(name)),
        Cardinality::ManyToOne | Cardinality::OneToMany => {
            for name in &matching.include {
                match one.may_have(name) {
                    true => labels.allow(name),
                    false => labels.forbid(name),
                }
            }
        }
    }
    labels
}

/// Narrows one side to what can match the other: labels that are compared are equal.
fn matched(side: OutputLabels, other: &OutputLabels, matching: &VectorMatching) -> OutputLabels {
    let mut labels = side;
    if matching.on {
        for name in &matching.labels {
            if !other.may_have(name) {
                labels.forbid(name);
            }
        }
        return labels;
    }
    let is_compared =
        |name: &str| name != METRIC_NAME && !matching.labels.iter().any(|ignored| ignored == name);
    match &other.possible {
        Possible::AllBut(names) => names
            .iter()
            .filter(|name| is_compared(name))
            .for_each(|name| labels.forbid(name)),
        Possible::Only(names) => {
            // What is not compared stays possible, the metric's name among it.
            let uncompared = matching.labels.iter().map(String::as_str);
            let candidates = names.iter().map(String::as_str).chain(uncompared);
            let mut kept: Vec<String> = candidates.map(str::to_owned).collect();
            kept.push(METRIC_NAME.to_owned());
            labels = labels.keep(&kept);
        }
    }
    labels
}
