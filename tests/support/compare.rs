//! Comparing answers, ours with recorded ones, and counting how many agree.

use std::collections::{BTreeMap, BTreeSet};

use burnwatch::model::Labels;
use burnwatch::promql::Expr;
use burnwatch::promql::ast::{AggregateOp, ExprKind};

use crate::answer::{Agreement, Sample, compare_samples};

/// A query that Prometheus 3.14, which decides, answers otherwise than the recorded 3.12.
pub struct Changed {
    query: &'static str,
    /// How many of its recorded answers differ.
    n_answers: usize,
    why: &'static str,
}

const NAN_PLACE: &str =
    "3.14 puts the remark on NaN observations at the histogram, 3.12 at the first argument";
const SORTED: &str = "3.14 names the two series of the error in the order of their texts";

const fn changed(query: &'static str, n_answers: usize, why: &'static str) -> Changed {
    Changed {
        query,
        n_answers,
        why,
    }
}

pub const CHANGED: [Changed; 13] = [
    changed("histogram_fraction(-Inf, +Inf, nh_odd)", 12, NAN_PLACE),
    changed("histogram_fraction(0, +Inf, nh_odd)", 12, NAN_PLACE),
    changed("histogram_quantile(0.25, nh_odd)", 12, NAN_PLACE),
    changed(
        "histogram_quantile(0.5, increase(nh_odd[10m]))",
        14,
        NAN_PLACE,
    ),
    changed("histogram_quantile(0.99, nh_odd)", 12, NAN_PLACE),
    changed("histogram_quantile(1, nh_odd)", 12, NAN_PLACE),
    changed(
        "mad_over_time(g_flip[10m])",
        3,
        "3.14 answers NaN as soon as one value is NaN; 3.12 took NaN for the smallest value",
    ),
    changed("v_left * on () v_right", 13, SORTED),
    changed("v_left + on (a) v_left", 13, SORTED),
    changed("v_left + on (side) group_left v_left", 13, SORTED),
    changed("v_left == on (b) v_same", 13, SORTED),
    changed(r#"v_left{b="x"} * on () group_left v_right"#, 13, SORTED),
    changed("v_right * on (a) v_left", 13, SORTED),
];

fn changed_at(place: &str) -> Option<usize> {
    let query = place.rsplit_once(" @ ").map_or(place, |(query, _)| query);
    CHANGED.iter().position(|changed| changed.query == query)
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
    /// How many answers differ, by the number in [`CHANGED`].
    changed: BTreeMap<usize, usize>,
    failures: Vec<String>,
    /// Words of queries whose answers may round beside those of [`may_round`].
    also_round: &'static [&'static str],
}

impl Tally {
    /// Returns a tally that lets queries with some words round.
    pub fn rounding(also_round: &'static [&'static str]) -> Self {
        Tally {
            also_round,
            ..Tally::default()
        }
    }

    /// Counts the verdict on one query.
    pub fn count(&mut self, kind: &str, query: &str, verdict: Result<Agreement, String>) {
        let [bits, near, all] = self.by_kind.entry(kind.to_owned()).or_default();
        *all += 1;
        let rounds = may_round(query) || self.also_round.iter().any(|word| query.contains(word));
        match verdict {
            Ok(Agreement::Bits) => *bits += 1,
            Ok(Agreement::Tolerance) if rounds => *near += 1,
            Ok(Agreement::Tolerance) => {
                self.failures.push(format!(
                    "{query}
    differs in the last bits"
                ));
            }
            Err(text) => match changed_at(query) {
                Some(index) => *self.changed.entry(index).or_default() += 1,
                None => self.failures.push(format!("{query}\n    {text}")),
            },
        }
    }

    /// Fails unless just so many answers differ as are known to.
    pub fn check_changed(&self) {
        for (index, changed) in CHANGED.iter().enumerate() {
            let n = self.changed.get(&index).copied().unwrap_or(0);
            assert_eq!(n, changed.n_answers, "{} differs", changed.query);
        }
    }

    /// Prints the counts, and fails if anything else differs.
    pub fn finish(self) {
        for (kind, [bits, near, all]) in &self.by_kind {
            let agree = bits + near;
            say!("{kind}: {agree} of {all} agree, {bits} of them bit for bit");
        }
        for (index, n) in &self.changed {
            let Changed { query, why, .. } = CHANGED[*index];
            say!("{n} answers changed since: {query}: {why}");
        }
        for failure in self.failures.iter().take(200) {
            say!("{failure}");
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
