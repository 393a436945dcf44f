//! Which of the known names a misspelled one was probably meant to be.

use std::cmp::Reverse;

/// What is longer is no misspelling, and comparing it would take long.
const NAME_BYTES_MAX: usize = 64;

/// Returns the known name nearest to `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    // One slip in three letters is still recognizable.
    let distance_max = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        // Of those equally near, the one that begins alike: `rat` is `rate` and not `rad`.
        .min_by_key(|(distance, candidate)| {
            (*distance, Reverse(n_alike(name, candidate)), *candidate)
        })
        .map(|(_, candidate)| candidate)
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

    #[test]
    fn near_names_are_found() {
        let known = ["rad", "rate", "sum", "rules", "labels"];
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name, known), expected, "{name}");
        };
        check("rat", Some("rate"));
        check("raet", Some("rate"));
        check("rule", Some("rules"));
        check("lables", Some("labels"));
        check("zzz", None);
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
