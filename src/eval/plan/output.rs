//! What is known of the labels of a result before anything is evaluated.

use std::collections::{BTreeMap, BTreeSet};

use crate::eval::plan::label_set::{LabelSet, METADATA};
use crate::eval::plan::partition::matched;
use crate::eval::plan::{is_vector, member_label};
use crate::functions::call::plain;
use crate::model::{METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, UnaryOp,
};

/// What is known of the labels of every element of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLabels {
    /// No element has a label that is not among these.
    pub among: LabelSet,
    /// Every element has these labels with these values.
    pub fixed: BTreeMap<String, String>,
    /// Every element has these labels with some value; those fixed are not listed again.
    pub present: BTreeSet<String>,
}

impl OutputLabels {
    fn unknown() -> Self {
        OutputLabels {
            among: LabelSet::all(),
            fixed: BTreeMap::new(),
            present: BTreeSet::new(),
        }
    }

    fn none() -> Self {
        OutputLabels {
            among: LabelSet::none(),
            ..OutputLabels::unknown()
        }
    }

    /// Only labels of `kept` are left.
    fn keep(mut self, kept: &LabelSet) -> Self {
        self.among = self.among.and(kept);
        self.fixed.retain(|name, _| kept.contains(name));
        self.present.retain(|name| kept.contains(name));
        self
    }

    fn drop<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.keep(&LabelSet::all_but(names))
    }

    /// A label is written anew, if to what nobody knows.
    fn rewrite(self, name: &str) -> Self {
        let mut rewritten = self.drop([name]);
        rewritten.among = rewritten.among.with([name]);
        rewritten
    }

    /// What holds of elements that come from either.
    fn either(self, other: &OutputLabels) -> Self {
        let present = &self.all_present() & &other.all_present();
        let mut fixed = self.fixed;
        fixed.retain(|name, value| other.fixed.get(name) == Some(value));
        OutputLabels {
            among: self.among.or(&other.among),
            present: present
                .into_iter()
                .filter(|name| !fixed.contains_key(name))
                .collect(),
            fixed,
        }
    }

    fn all_present(&self) -> BTreeSet<String> {
        self.fixed.keys().chain(&self.present).cloned().collect()
    }
}

/// Returns what is known of the labels of an expression's elements.
pub fn output_labels(expr: &Expr) -> OutputLabels {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => OutputLabels::none(),
        ExprKind::Vector(selector) => of_matchers(&selector.matchers),
        ExprKind::Matrix(matrix) => of_matchers(&matrix.selector.matchers),
        ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => output_labels(inner),
        ExprKind::Unary(UnaryOp::Minus, inner) => output_labels(inner).drop(METADATA),
        ExprKind::Binary(binary) => of_binary(binary),
        ExprKind::Aggregate(aggregate) => of_aggregate(aggregate),
        ExprKind::Call(call) => of_call(call),
        ExprKind::Subquery(subquery) => output_labels(&subquery.expr),
    }
}

fn of_matchers(matchers: &[Matcher]) -> OutputLabels {
    let mut known = OutputLabels::unknown();
    for matcher in matchers {
        let is_equal = matcher.op == MatchOp::Equal;
        if is_equal && matcher.value.is_empty() {
            known = known.drop([matcher.name.as_str()]);
        } else if is_equal {
            known
                .fixed
                .insert(matcher.name.clone(), matcher.value.clone());
        } else if !matcher.matches("") {
            known.present.insert(matcher.name.clone());
        }
    }
    let OutputLabels { fixed, present, .. } = &mut known;
    present.retain(|name| !fixed.contains_key(name));
    known
}

fn of_binary(binary: &Binary) -> OutputLabels {
    let (lhs, rhs) = (output_labels(&binary.lhs), output_labels(&binary.rhs));
    let is_filter = binary.op.is_comparison() && !binary.return_bool;
    let keeps_name = is_filter || matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
    let named = |known: OutputLabels| {
        if keeps_name {
            known
        } else {
            known.drop(METADATA)
        }
    };
    let Some(matching) = &binary.matching else {
        // Of two scalars there is nothing to tell; else the labels are the vector's. A scalar's
        // are none, so that either holds of the vector.
        let is_left = is_vector(&binary.lhs);
        return named(if is_left { lhs } else { rhs });
    };
    match binary.op {
        BinaryOp::And | BinaryOp::Unless => return lhs,
        BinaryOp::Or => return lhs.either(&rhs),
        _ => {}
    }
    let (many, one) = match matching.cardinality {
        Cardinality::OneToMany => (rhs, lhs),
        _ => (lhs, rhs),
    };
    // An element that `fill` makes up has the labels of the match.
    let has_fill = matching.fill_left.is_some() || matching.fill_right.is_some();
    let filled = one.keep(&matched(matching));
    let mut known = named(if has_fill { many.either(&filled) } else { many });
    if matching.cardinality == Cardinality::OneToOne {
        let labels = matching.labels.iter().map(String::as_str);
        known = if matching.on {
            known.keep(&LabelSet::only(labels))
        } else {
            known.drop(labels)
        };
    }
    let included = matching.include.iter();
    included.fold(known, |known, label| known.rewrite(label))
}

fn of_aggregate(aggregate: &Aggregate) -> OutputLabels {
    use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Topk};
    let inner = output_labels(&aggregate.expr);
    if matches!(aggregate.op, Topk | Bottomk | Limitk | LimitRatio) {
        return inner;
    }
    let grouping = aggregate.grouping.iter().map(String::as_str);
    let known = if aggregate.without {
        inner.drop(grouping.chain([METRIC_NAME]))
    } else {
        inner.keep(&LabelSet::only(grouping))
    };
    match (aggregate.op, &aggregate.parameter) {
        (CountValues, Some(parameter)) => match &plain(parameter).kind {
            ExprKind::String(label) => {
                let mut known = known.rewrite(label);
                known.present.insert(label.clone());
                known
            }
            _ => OutputLabels::unknown(),
        },
        _ => known,
    }
}

fn of_call(call: &Call) -> OutputLabels {
    let vectors = call.args.iter().filter(|arg| is_vector(arg));
    let vectors: Vec<&Expr> = vectors.collect();
    let text = |index: usize| match call.args.get(index).map(|arg| &plain(arg).kind) {
        Some(ExprKind::String(text)) => text.as_str(),
        _ => "",
    };
    let Some(vector) = vectors.first() else {
        return OutputLabels::none();
    };
    let inner = output_labels(vector);
    if let Some(member) = member_label(call) {
        return inner.drop(METADATA).drop([member.as_str()]);
    }
    match call.function.as_str() {
        "scalar" => OutputLabels::none(),
        "absent" | "absent_over_time" => demanded(vector),
        "label_replace" | "label_join" => inner.rewrite(text(1)),
        "histogram_quantile" | "histogram_fraction" => inner.drop(METADATA).drop_bucket(),
        "histogram_quantiles" => inner.drop(METADATA).drop_bucket().rewrite(text(1)),
        "info" => OutputLabels {
            among: LabelSet::all(),
            ..inner
        },
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" | "first_over_time"
        | "last_over_time" => inner,
        _ if vectors.len() > 1 => OutputLabels::unknown(),
        _ => inner.drop(METADATA),
    }
}

impl OutputLabels {
    /// Classic buckets become one element without `le`; native ones may have it.
    fn drop_bucket(mut self) -> Self {
        self.fixed.remove("le");
        self.present.remove("le");
        self
    }
}

/// What `absent` answers with: the labels that a selector compares for equality, each once.
fn demanded(expr: &Expr) -> OutputLabels {
    let matchers: &[Matcher] = match &expr.kind {
        ExprKind::Vector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let once = |matcher: &&Matcher| {
        let alike = matchers.iter().filter(|other| other.name == matcher.name);
        matcher.name != METRIC_NAME
            && matcher.op == MatchOp::Equal
            && !matcher.value.is_empty()
            && alike.count() == 1
    };
    let fixed: BTreeMap<String, String> = matchers
        .iter()
        .filter(once)
        .map(|matcher| (matcher.name.clone(), matcher.value.clone()))
        .collect();
    // A label that several matchers name may come back, as it may in Prometheus.
    let named = matchers.iter().map(|matcher| matcher.name.as_str());
    OutputLabels {
        among: LabelSet::only(named.filter(|name| *name != METRIC_NAME)),
        fixed,
        present: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    #[test]
    fn what_is_known_of_labels() {
        let check = |text: &str, among: &str, fixed: &str, present: &str| {
            let expr = parse(text, &Functions, Features::ALL).expect(text);
            let known = output_labels(&expr);
            let pairs = known
                .fixed
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let pairs: Vec<String> = pairs.collect();
            let names: Vec<&str> = known.present.iter().map(String::as_str).collect();
            let found = (known.among.to_string(), pairs.join(" "), names.join(" "));
            let expected = (among.to_owned(), fixed.to_owned(), present.to_owned());
            assert_eq!(found, expected, "{text}");
        };
        check("up{job=\"a\", i=~\"x.+\"}", "all", "__name__=up job=a", "i");
        check("up{job=\"\"}", "all but job", "__name__=up", "");
        check(
            "rate(x{job=\"a\"}[5m])",
            "all but the metric name",
            "job=a",
            "",
        );
        check("sum by (job) (x{job=\"a\", i=\"b\"})", "job", "job=a", "");
        check("sum(x)", "none", "", "");
        check(
            "sum without (le) (x)",
            "all but the metric name, le",
            "",
            "",
        );
        check("count_values(\"v\", x)", "v", "", "v");
        check("topk by (job) (3, x)", "all", "__name__=x", "");
        check("x{a=\"1\"} > 3", "all", "__name__=x a=1", "");
        check("3 < bool x{a=\"1\"}", "all but the metric name", "a=1", "");
        check("x{a=\"1\"} / on (a) y", "a", "a=1", "");
        check(
            "x{a=\"1\"} / ignoring (a) y",
            "all but the metric name, a",
            "",
            "",
        );
        check(
            "x{a=\"1\", b=\"2\"} * on (a) group_left (b) y",
            "all but the metric name",
            "a=1",
            "",
        );
        check("x{a=\"1\"} or y{a=\"1\"}", "all", "a=1", "__name__");
        check("x{a=\"1\"} or vector(0)", "all", "", "");
        check("absent(x{a=\"1\", b=~\"2\"})", "a, b", "a=1", "");
        check(
            "drift_psi(a{job=\"x\", le=\"1\"}, b)",
            "all but the metric name, le",
            "job=x",
            "",
        );
        check("time()", "none", "", "");
        check(
            "anomaly_forest(a{job=\"a\", sensor=\"b\"}[1d], \"sensor\")",
            "all but the metric name, sensor",
            "job=a",
            "",
        );
        check("vector(1)", "none", "", "");
        check(
            "label_replace(x, \"b\", \"$1\", \"c\", \"(.*)\")",
            "all",
            "__name__=x",
            "",
        );
    }
}
