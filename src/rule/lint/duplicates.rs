//! What loads but is hardly meant: rules that are there twice.
//!
//! Two recording rules of one name with equal labels write the same series, and the later one
//! wins by luck of time. It is a warning of `check rules`, not an error, as with promtool.

use crate::rule::RuleGroup;

/// A rule that occurs more than once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuplicateRule {
    /// The record or alert name.
    pub name: String,
    /// Its labels, the group's merged under the rule's, sorted by name.
    pub labels: Vec<(String, String)>,
    /// Where it stands, by file and line.
    pub places: Vec<(String, usize)>,
}

/// Returns the rules with equal names and labels in the given groups, by name and labels.
pub fn duplicate_rules(groups: &[RuleGroup]) -> Vec<DuplicateRule> {
    let mut all: Vec<DuplicateRule> = groups
        .iter()
        .flat_map(|group| {
            group.rules.iter().map(|rule| DuplicateRule {
                name: rule.name.clone(),
                labels: rule.labels.clone(),
                places: vec![(group.file.clone(), rule.line)],
            })
        })
        .collect();
    all.sort();
    all.dedup_by(|next, kept| {
        let is_same = (&next.name, &next.labels) == (&kept.name, &kept.labels);
        if is_same {
            kept.places.append(&mut next.places);
        }
        is_same
    });
    all.retain(|rule| rule.places.len() > 1);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::Features;
    use crate::rule::parse_file;

    #[test]
    fn equal_names_and_labels_are_duplicates() {
        let text = "
groups:
- name: a
  labels: {team: x}
  rules:
  - {record: r, expr: up}
  - {record: r, expr: up, labels: {team: y}}
  - {record: s, expr: up}
- name: b
  rules:
  - {record: r, expr: down, labels: {team: x}}
  - {record: r, expr: down, labels: {team: x}}
";
        let file = parse_file("f.yml", text, &Functions, Features::default()).expect("valid");
        let found = duplicate_rules(&file.groups);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].name, "r");
        assert_eq!(found[0].labels, [("team".to_owned(), "x".to_owned())]);
        let lines: Vec<usize> = found[0].places.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [6, 11, 12]);
    }
}
