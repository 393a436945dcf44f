//! A set of label names: a few, or all but a few.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::METRIC_NAME;
use crate::model::labels::{is_legacy_label_name, quote};

/// The labels that say what a series measures; an operation that changes the value drops them.
pub const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// A set of label names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelSet {
    /// These and no others.
    Only(BTreeSet<String>),
    /// All there are but these.
    AllBut(BTreeSet<String>),
}

fn owned<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

impl LabelSet {
    /// Every label.
    pub fn all() -> Self {
        LabelSet::AllBut(BTreeSet::new())
    }

    /// No label.
    pub fn none() -> Self {
        LabelSet::Only(BTreeSet::new())
    }

    /// These labels.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        LabelSet::Only(owned(names))
    }

    /// All labels but these.
    pub fn all_but<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        LabelSet::AllBut(owned(names))
    }

    /// Tells whether a label is in the set.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            LabelSet::Only(names) => names.contains(name),
            LabelSet::AllBut(names) => !names.contains(name),
        }
    }

    /// Tells whether no label is in the set.
    pub fn is_none(&self) -> bool {
        matches!(self, LabelSet::Only(names) if names.is_empty())
    }

    /// Returns the labels that are in both.
    pub fn and(&self, other: &LabelSet) -> LabelSet {
        use LabelSet::{AllBut, Only};
        match (self, other) {
            (Only(a), Only(b)) => Only(a & b),
            (Only(a), AllBut(b)) | (AllBut(b), Only(a)) => Only(a - b),
            (AllBut(a), AllBut(b)) => AllBut(a | b),
        }
    }

    /// Returns the labels that are in either.
    pub fn or(&self, other: &LabelSet) -> LabelSet {
        use LabelSet::{AllBut, Only};
        match (self, other) {
            (Only(a), Only(b)) => Only(a | b),
            (Only(a), AllBut(b)) | (AllBut(b), Only(a)) => AllBut(b - a),
            (AllBut(a), AllBut(b)) => AllBut(a & b),
        }
    }

    /// Returns the set without these labels.
    pub fn without<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> LabelSet {
        self.and(&LabelSet::all_but(names))
    }

    /// Returns the set with these labels.
    pub fn with<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> LabelSet {
        self.or(&LabelSet::only(names))
    }
}

impl fmt::Display for LabelSet {
    /// Writes `job, instance`, `all but le`, `all` or `none`. The metadata labels count as one,
    /// the metric name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &BTreeSet<String>| {
            let shown = names
                .iter()
                .filter(|name| !METADATA[1..].contains(&name.as_str()));
            let shown = shown.map(|name| match name.as_str() {
                METRIC_NAME => "the metric name".to_owned(),
                name if is_legacy_label_name(name) => name.to_owned(),
                name => quote(name),
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        match self {
            LabelSet::Only(names) if names.is_empty() => f.write_str("none"),
            LabelSet::Only(names) => f.write_str(&listed(names)),
            LabelSet::AllBut(names) if names.is_empty() => f.write_str("all"),
            LabelSet::AllBut(names) => write!(f, "all but {}", listed(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_met_and_joined() {
        let (few, rest) = (LabelSet::only(["a", "b"]), LabelSet::all_but(["b", "c"]));
        assert_eq!(few.and(&rest), LabelSet::only(["a"]));
        assert_eq!(few.or(&rest), LabelSet::all_but(["c"]));
        assert_eq!(
            rest.and(&LabelSet::all_but(["d"])),
            LabelSet::all_but(["b", "c", "d"])
        );
        assert_eq!(
            rest.or(&LabelSet::all_but(["c", "d"])),
            LabelSet::all_but(["c"])
        );
        assert!(few.contains("a") && !rest.contains("c") && rest.contains("x"));
        assert!(few.and(&LabelSet::none()).is_none() && !LabelSet::all().is_none());
    }

    #[test]
    fn sets_are_written_in_words() {
        let check = |set: LabelSet, expected: &str| assert_eq!(set.to_string(), expected);
        check(LabelSet::none(), "none");
        check(LabelSet::all(), "all");
        check(LabelSet::only(["job", "a b"]), "\"a b\", job");
        check(LabelSet::all_but(METADATA), "all but the metric name");
        check(LabelSet::all_but(["le"]), "all but le");
    }
}
