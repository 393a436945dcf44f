//! promql-parser: what it accepts and how it prints it, against our parser.

use std::collections::BTreeMap;

use burnwatch::functions::Functions;
use burnwatch::promql::ast::{BinaryOp, ExprKind, RangeMode, UnaryOp};
use burnwatch::promql::{Expr, Features, parse};

use crate::corpora;

fn ours(text: &str) -> Option<Expr> {
    parse(text, &Functions, Features::ALL).ok()
}

/// Puts matchers into the order of their text, which says nothing, and forgets which numbers
/// were written as durations, which promql-parser does not keep.
fn normalize(expr: &mut Expr) {
    expr.for_each_mut(&mut |node| match &mut node.kind {
        ExprKind::Vector(selector) => selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Matrix(matrix) => matrix.selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Number(number) => number.is_duration = false,
        _ => {}
    });
}

/// What promql-parser 0.11 does not know or keep, each by what is written.
const FAULTS: [&str; 6] = [
    "anchored and smoothed",
    "histograms trimmed by </ and >/",
    "computed durations",
    "offset 0s is refused",
    "a sign of plus is dropped",
    "info() with a matcher that the empty text satisfies",
];

/// Says which of its known faults an expression meets, if any.
fn known_fault(text: &str, expr: &Expr) -> Option<&'static str> {
    let mut met = [false; FAULTS.len()];
    expr.walk(&mut |node| match &node.kind {
        ExprKind::Vector(selector) => {
            met[0] |= selector.mode != RangeMode::Plain;
            met[2] |= selector.offset.literal().is_none();
        }
        ExprKind::Matrix(matrix) => {
            met[0] |= matrix.selector.mode != RangeMode::Plain;
            met[2] |= matrix.range.literal().is_none();
            met[2] |= matrix.selector.offset.literal().is_none();
        }
        ExprKind::Subquery(subquery) => {
            let step = subquery.step.as_ref();
            met[2] |= step.is_some_and(|step| step.literal().is_none());
            met[2] |= subquery.range.literal().is_none() || subquery.offset.literal().is_none();
        }
        ExprKind::Binary(binary) => {
            met[1] |= matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        }
        ExprKind::Unary(UnaryOp::Plus, _) => met[4] = true,
        ExprKind::Call(call) if call.function == "info" => {
            if let Some(ExprKind::Vector(selector)) = call.args.get(1).map(|arg| &arg.kind) {
                met[5] |= selector.matchers.iter().all(|matcher| matcher.matches(""));
            }
        }
        _ => {}
    });
    met[3] = text.contains("offset 0s");
    FAULTS
        .into_iter()
        .zip(met)
        .find(|(_, met)| *met)
        .map(|(fault, _)| fault)
}

/// Compares trees and returns which faults were met; everything else must be alike.
fn compare(name: &str, texts: impl IntoIterator<Item = String>) -> BTreeMap<&'static str, usize> {
    let (mut n_ours, mut n_alike) = (0, 0);
    let mut faults: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for text in texts {
        let Some(mut expr) = ours(&text) else {
            continue;
        };
        n_ours += 1;
        normalize(&mut expr);
        let theirs = promql_parser::parser::parse(&text);
        let printed = theirs.as_ref().map(ToString::to_string);
        let again = printed.as_ref().ok().and_then(|printed| ours(printed));
        let is_alike = again.is_some_and(|mut again| {
            normalize(&mut again);
            again == expr
        });
        match (is_alike, known_fault(&text, &expr)) {
            (true, _) => n_alike += 1,
            (false, Some(fault)) => *faults.entry(fault).or_default() += 1,
            (false, None) => wrong.push(format!("{text}\n  ours: {expr}\n  theirs: {printed:?}")),
        }
    }
    say!("{name}: {n_alike} of {n_ours} expressions alike, but for {faults:?}");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    faults
}

#[test]
fn recorded_queries_are_the_same_tree() {
    let recorded = include_str!("../data/promql/parse_queries.jsonl");
    let query = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        record["query"].as_str().expect("a text").to_owned()
    };
    let met = compare("recorded queries", recorded.lines().map(query));
    let gone = FAULTS.iter().filter(|fault| !met.contains_key(**fault));
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "put right, take it off the list: {gone:?}");
}

#[test]
fn public_rules_are_the_same_tree() {
    let texts = corpora::expressions();
    if !texts.is_empty() {
        compare("public rules", texts);
    }
}
