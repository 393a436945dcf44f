//! "Did you mean": the known name that an unknown one was probably meant to be.

use std::cmp::Reverse;

use crate::promql::ast::AggregateOp;
use crate::promql::signature::SignatureTable;

/// Words that other languages have, or older versions had, for what PromQL calls otherwise.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("average", "avg"),
    ("average_over_time", "avg_over_time"),
    ("ceiling", "ceil"),
    ("first", "first_over_time"),
    ("holt_winters", "double_exponential_smoothing"),
    ("last", "last_over_time"),
    ("len", "count"),
    ("length", "count"),
    ("log", "ln"),
    ("mean", "avg"),
    ("mean_over_time", "avg_over_time"),
    ("median", "quantile"),
    ("now", "time"),
    ("percentile", "quantile"),
    ("sign", "sgn"),
    ("std", "stddev"),
    ("stdev", "stddev"),
    ("total", "sum"),
    ("var", "stdvar"),
    ("variance", "stdvar"),
];

/// Returns the function or aggregation that `name` was probably meant to be, if one is near.
pub fn suggest(name: &str, functions: &dyn SignatureTable) -> Option<String> {
    // What is longer is no misspelling, and comparing it would take long.
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let mut known = functions.names();
    known.extend(AggregateOp::ALL.iter().map(|(name, _)| *name));
    if let Some((_, meant)) = OTHER_WORDS.iter().find(|(other, _)| *other == name)
        && known.contains(meant)
    {
        return Some((*meant).to_owned());
    }
    // One slip in three letters is still recognizable.
    let distance_max = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        // Of those equally near, the one that begins alike: `rat` is `rate` and not `rad`.
        .min_by_key(|(distance, candidate)| {
            (*distance, Reverse(n_alike(&name, candidate)), *candidate)
        })
        .map(|(_, candidate)| candidate.to_owned())
}

/// Counts the letters with which both begin.
fn n_alike(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Counts letters to insert, delete, replace, or swap with their neighbour.
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(to.len() + 1);
        row.push(i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::test_functions::PrometheusFunctions;

    #[test]
    fn near_names_are_suggested() {
        let check = |name: &str, expected: Option<&str>| {
            let found = suggest(name, &PrometheusFunctions);
            assert_eq!(found.as_deref(), expected, "{name}");
        };
        check("mean", Some("avg"));
        check("holt_winters", Some("double_exponential_smoothing"));
        check("rat", Some("rate"));
        check("raet", Some("rate"));
        check("RATE", Some("rate"));
        check("averge_over_time", Some("avg_over_time"));
        check("histogram_quantil", Some("histogram_quantile"));
        check("cuont", Some("count"));
        check("no_such_function", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }

    #[test]
    fn distances_count_slips() {
        let check = |a: &str, b: &str, expected| assert_eq!(edit_distance(a, b), expected);
        check("", "abc", 3);
        check("abc", "acb", 1);
        check("kitten", "sitting", 3);
        check("sum", "sum", 0);
    }
}
