//! How an expression is evaluated: its tree, what its leaves read, what partitions it.
//!
//! What lives here: what follows from the expression alone. What may not: series, rules. Made
//! for `explain`, and for an evaluator that keeps state: which leaves there are and which part
//! of a result an arrival touches is the same question.
//!
//! Cost: linear in the size of the expression, but for the canonical texts of its nodes.

pub mod failing;
pub mod headroom;
pub mod label_set;
pub mod leaf;
pub mod output;
pub mod partition;
pub mod standing;
pub mod subquery;

pub use label_set::LabelSet;
pub use leaf::{Leaf, LeafKind};
pub use output::OutputLabels;

use crate::functions::call::plain;
use crate::functions::{self, Function, Functions};
use crate::model::DurationMs;
use crate::promql::ast::{Call, Expr, ExprKind};
use crate::promql::{ValueType, type_of};

/// Functions whose value moves although nothing arrives, when called without an argument.
const CLOCKS: [&str; 9] = [
    "time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
];

/// What an evaluation of an expression takes.
pub struct Plan {
    /// The canonical text.
    pub text: String,
    /// What it returns.
    pub value_type: ValueType,
    /// Its operations, the outermost first.
    pub root: Node,
    /// What it reads, in the order written.
    pub leaves: Vec<Leaf>,
    /// The labels that partition the result.
    pub partition: LabelSet,
    /// What is known of the result's labels.
    pub output: OutputLabels,
    /// The functions that it calls, by name, each once.
    pub functions: Vec<&'static dyn Function>,
    /// The calls by which it reads the time of the evaluation itself, each once.
    pub clocks: Vec<String>,
}

/// An operation, or a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The operation as it is written, without what it is applied to.
    pub text: String,
    /// The leaf's index in [`Plan::leaves`].
    pub leaf: Option<usize>,
    /// What it is applied to.
    pub operands: Vec<Node>,
}

impl Plan {
    /// Describes an expression; `default_step` is that of subqueries that name none.
    pub fn of(expr: &Expr, default_step: DurationMs) -> Plan {
        let leaves = leaf::leaves(expr, default_step);
        let (mut names, mut clocks) = (Vec::new(), Vec::new());
        expr.walk(&mut |node| {
            if let ExprKind::Call(call) = &node.kind {
                names.push(call.function.as_str());
                if call.args.is_empty() && CLOCKS.contains(&call.function.as_str()) {
                    clocks.push(format!("{}()", call.function));
                }
            }
        });
        names.sort_unstable();
        names.dedup();
        clocks.sort_unstable();
        clocks.dedup();
        Plan {
            text: expr.to_string(),
            value_type: type_of(expr, &Functions),
            root: node(expr, &mut 0),
            leaves,
            partition: partition::partition(expr),
            output: output::output_labels(expr),
            functions: names.into_iter().filter_map(functions::find).collect(),
            clocks,
        }
    }

    /// Returns how far back the oldest sample lies that may be read, ms; `@` with an instant
    /// is not counted, as it is not relative to the evaluation.
    pub fn history(&self) -> DurationMs {
        let relative = self.leaves.iter().filter(|leaf| leaf.pinned.is_none());
        relative.map(|leaf| leaf.back).max().unwrap_or_default()
    }

    /// Returns the samples that one evaluation of a rule reads from history, where each selector
    /// matches one series.
    pub fn samples_read(&self, scrape_interval: DurationMs) -> f64 {
        let leaves = self.leaves.iter();
        leaves.map(|leaf| leaf.samples_read(scrape_interval)).sum()
    }

    /// Returns the samples that the result follows from, where each selector matches one series.
    pub fn samples(&self, scrape_interval: DurationMs) -> f64 {
        let leaves = self.leaves.iter();
        leaves.map(|leaf| leaf.samples(scrape_interval)).sum()
    }
}

/// Tells whether an expression is an instant or a range vector.
pub(in crate::eval) fn is_vector(expr: &Expr) -> bool {
    matches!(
        type_of(expr, &Functions),
        ValueType::Vector | ValueType::Matrix
    )
}

/// Returns the texts that a call is written with.
pub(in crate::eval) fn texts_of<'e>(args: impl Iterator<Item = &'e Expr>) -> Vec<&'e str> {
    let texts = args.filter_map(|arg| match &plain(arg).kind {
        ExprKind::String(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Returns the label that a call's results do not have, because it tells apart what one of them
/// is made of.
pub(in crate::eval) fn member_label(call: &Call) -> Option<String> {
    let function = functions::find(&call.function)?;
    function.member_label(&texts_of(call.args.iter()))
}

/// Describes an operation; leaves are counted in the order written.
fn node(expr: &Expr, n_leaves: &mut usize) -> Node {
    let mut of = |text: String, operands: &[&Expr]| Node {
        text,
        leaf: None,
        operands: operands
            .iter()
            .map(|operand| node(operand, n_leaves))
            .collect(),
    };
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => of(expr.to_string(), &[]),
        ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            *n_leaves += 1;
            Node {
                text: expr.to_string(),
                leaf: Some(*n_leaves - 1),
                operands: Vec::new(),
            }
        }
        ExprKind::Paren(inner) => node(inner, n_leaves),
        ExprKind::Unary(op, inner) => of(leaf::sign(*op).to_owned(), &[inner]),
        ExprKind::Binary(binary) => {
            let bool_text = if binary.return_bool { " bool" } else { "" };
            let matching = binary.matching.as_ref().map(ToString::to_string);
            let text = format!("{}{bool_text}{}", binary.op, matching.unwrap_or_default());
            of(text, &[&binary.lhs, &binary.rhs])
        }
        ExprKind::Aggregate(aggregate) => {
            let text = leaf::heading(aggregate);
            match &aggregate.parameter {
                Some(parameter) => of(text, &[parameter, &aggregate.expr]),
                None => of(text, &[&aggregate.expr]),
            }
        }
        ExprKind::Call(call) if call.function == "info" => {
            let vector: Vec<&Expr> = call.args.first().into_iter().collect();
            let mut info = of("info()".to_owned(), &vector);
            info.operands.push(Node {
                text: call
                    .args
                    .get(1)
                    .map_or("{}".to_owned(), ToString::to_string),
                leaf: Some(*n_leaves),
                operands: Vec::new(),
            });
            *n_leaves += 1;
            info
        }
        ExprKind::Call(call) => {
            let args: Vec<&Expr> = call.args.iter().collect();
            of(format!("{}()", call.function), &args)
        }
        ExprKind::Subquery(subquery) => {
            let text = leaf::grid_text(subquery);
            of(text, &[&subquery.expr])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    fn tree(node: &Node, depth: usize, lines: &mut String) {
        let leaf = node.leaf.map_or(String::new(), |leaf| format!(" #{leaf}"));
        *lines += &format!("{}{}{leaf}\n", " ".repeat(depth), node.text);
        for operand in &node.operands {
            tree(operand, depth + 1, lines);
        }
    }

    fn plan(text: &str) -> Plan {
        let expr = parse(text, &Functions, Features::ALL).expect(text);
        Plan::of(&expr, DurationMs::from_seconds(60))
    }

    #[test]
    fn the_tree_names_operations_and_leaves() {
        let check = |text: &str, expected: &[&str]| {
            let mut lines = String::new();
            tree(&plan(text).root, 0, &mut lines);
            assert_eq!(lines.lines().collect::<Vec<_>>(), expected, "{text}");
        };
        check(
            "sum by (job) (rate(e[5m])) / on (job) group_left () -n > bool 0.1",
            &[
                "> bool",
                " / on (job) group_left ()",
                "  sum by (job)",
                "   rate()",
                "    e[5m] #0",
                "  -",
                "   n #1",
                " 0.1",
            ],
        );
        check(
            "topk(3, (max_over_time(x[1h:5m] offset 1d)))",
            &[
                "topk",
                " 3",
                " max_over_time()",
                "  [1h:5m] offset 1d",
                "   x #0",
            ],
        );
        check("info(x, {a=\"b\"})", &["info()", " x #0", " {a=\"b\"} #1"]);
        check("time()", &["time()"]);
    }

    #[test]
    fn leaves_and_nodes_are_counted_alike() {
        for function in functions::ALL {
            let plan = plan(function.example());
            let mut lines = String::new();
            tree(&plan.root, 0, &mut lines);
            assert_eq!(lines.matches('#').count(), plan.leaves.len(), "{lines}");
        }
    }

    #[test]
    fn the_longest_reach_is_the_history_needed() {
        let check = |text: &str, minutes: i64| {
            assert_eq!(plan(text).history(), DurationMs(minutes * 60_000), "{text}");
        };
        check("1", 0);
        check("x", 5);
        check("rate(x[1h] offset 1d) > y", 25 * 60);
        check("max_over_time(x[1h:]) + rate(x[3h] @ 0)", 65);
    }

    #[test]
    fn what_reads_the_clock_is_named() {
        let clocks = plan("time() - hour() > timestamp(x) + hour(x) + time()").clocks;
        assert_eq!(clocks, ["hour()", "time()"]);
    }
}
