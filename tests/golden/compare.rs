//! Comparing answers, ours with recorded ones, and counting how many agree.

use std::collections::{BTreeMap, BTreeSet};

use burnwatch::model::Labels;
use burnwatch::promql::Expr;
use burnwatch::promql::ast::{AggregateOp, ExprKind};

use crate::answer::{Agreement, Sample, compare_samples};

/// Where we do not answer as the recorded server did, and why.
pub const EXCEPTIONS: [(&str, Option<&str>, &str); 1] = [(
    r#"sort_by_label(opt, "b", "a")"#,
    None,
    "there an absent label is neither before nor after another: the order is no order",
)];

pub fn exception(place: &str) -> Option<usize> {
    EXCEPTIONS.iter().position(|(query, at, _)| match at {
        Some(at) => place == format!("{query} @ {at}"),
        None => place.starts_with(&format!("{query} @ ")),
    })
}

/// What is computed by the platform's library may differ in the last bits, and so may what is
/// added over series in no specified order.
pub fn may_round(query: &str) -> bool {
    let words = ["sin", "cos", "tan", "exp(", "^", "sum("];
    words.iter().any(|word| query.contains(word))
}

/// How many answers agreed, by kind; and what did not.
#[derive(Default)]
pub struct Tally {
    /// Agreeing bit for bit, agreeing otherwise, all.
    by_kind: BTreeMap<String, [usize; 3]>,
    pub exceptions: BTreeSet<usize>,
    failures: Vec<String>,
}

impl Tally {
    /// Counts the verdict on one query.
    pub fn count(&mut self, kind: &str, query: &str, verdict: Result<Agreement, String>) {
        let [bits, near, all] = self.by_kind.entry(kind.to_owned()).or_default();
        *all += 1;
        match verdict {
            Ok(Agreement::Bits) => *bits += 1,
            Ok(Agreement::Tolerance) if may_round(query) => *near += 1,
            Ok(Agreement::Tolerance) => {
                self.failures.push(format!(
                    "{query}
    differs in the last bits"
                ));
            }
            Err(text) => match exception(query) {
                Some(index) => drop(self.exceptions.insert(index)),
                None => self.failures.push(format!("{query}\n    {text}")),
            },
        }
    }

    /// Prints the counts, and fails if anything differs.
    pub fn finish(self) {
        for (kind, [bits, near, all]) in &self.by_kind {
            let agree = bits + near;
            println!("{kind}: {agree} of {all} agree, {bits} of them bit for bit");
        }
        for index in &self.exceptions {
            let (query, _, why) = EXCEPTIONS[*index];
            println!("exception: {query}: {why}");
        }
        for failure in self.failures.iter().take(200) {
            println!("{failure}");
        }
        assert!(
            self.failures.is_empty(),
            "{} answers differ",
            self.failures.len()
        );
    }
}

pub fn is_ordered(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => is_ordered(inner),
        ExprKind::Call(call) => call.function.starts_with("sort"),
        ExprKind::Aggregate(aggregate) => {
            let picks = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
            picks && aggregate.grouping.is_empty() && !aggregate.without
        }
        _ => false,
    }
}

pub type Elements = [(Labels, Sample)];

pub fn same_vector(ours: &Elements, theirs: &Elements) -> Result<Agreement, String> {
    let differ = || format!("{ours:?}\n    wanted {theirs:?}");
    let by_labels =
        |elements: &Elements| -> BTreeMap<Labels, Sample> { elements.iter().cloned().collect() };
    let (a, b) = (by_labels(ours), by_labels(theirs));
    if ours.len() != theirs.len() || a.len() != b.len() || a.len() != ours.len() {
        return Err(differ());
    }
    let mut worst = Agreement::Bits;
    for ((our_labels, ours), (their_labels, theirs)) in a.iter().zip(&b) {
        if our_labels != their_labels {
            return Err(differ());
        }
        worst = worst.max(compare_samples(ours, theirs).ok_or_else(differ)?);
    }
    Ok(worst)
}

/// The same elements, and at each place the same value: equal ones may swap.
pub fn same_order(ours: &Elements, theirs: &Elements) -> Result<Agreement, String> {
    let differ = || format!("order of {ours:?}\n    wanted {theirs:?}");
    let worst = same_vector(ours, theirs)?;
    let is_tie = |a: &Sample, b: &Sample| match (a, b) {
        (Sample::Float(a), Sample::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => false,
    };
    let mut pairs = ours.iter().zip(theirs);
    if pairs.all(|(a, b)| a.0 == b.0 || is_tie(&a.1, &b.1)) {
        return Ok(worst);
    }
    Err(differ())
}

pub type Matrix = BTreeMap<Labels, BTreeMap<i64, Sample>>;

pub fn same_matrix(ours: &Matrix, theirs: &Matrix) -> Result<Agreement, String> {
    if !ours.keys().eq(theirs.keys()) {
        let keys = |m: &Matrix| m.keys().cloned().collect::<Vec<_>>();
        return Err(format!(
            "series {:?}\n    wanted {:?}",
            keys(ours),
            keys(theirs)
        ));
    }
    let mut worst = Agreement::Bits;
    for ((labels, a), (_, b)) in ours.iter().zip(theirs) {
        let times: BTreeSet<&i64> = a.keys().chain(b.keys()).collect();
        for at in times {
            let agreement = match (a.get(at), b.get(at)) {
                (Some(ours), Some(theirs)) => compare_samples(ours, theirs),
                _ => None,
            };
            let differ = || {
                format!(
                    "{labels} at {at}: {:?}\n    wanted {:?}",
                    a.get(at),
                    b.get(at)
                )
            };
            worst = worst.max(agreement.ok_or_else(differ)?);
        }
    }
    Ok(worst)
}
