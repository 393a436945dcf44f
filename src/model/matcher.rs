//! A label matcher: `=`, `!=`, `=~`, `!~`.
//!
//! Regular expressions are fully anchored and `.` matches a newline, as in Prometheus. A label
//! that is absent has the empty value.

use std::fmt;
use std::sync::Arc;

use crate::model::Labels;
use crate::model::labels::{METRIC_NAME, is_legacy_label_name, quote};
use crate::model::regex::LabelRegex;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::NotMatches => "!~",
        })
    }
}

/// Why a matcher cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum MatcherError {
    /// The regular expression does not compile.
    #[error("error parsing regexp: {0}")]
    Regex(String),
}

/// One condition on one label.
#[derive(Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// The text or regular expression to compare with.
    pub value: String,
    regex: Option<Arc<LabelRegex>>,
}

impl Matcher {
    /// Returns the metric name that the matchers of a selector demand, if they demand one.
    pub fn exact_name(matchers: &[Matcher]) -> Option<&str> {
        let is_exact = |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal;
        let exact = matchers.iter().find(is_exact);
        exact.map(|matcher| matcher.value.as_str())
    }

    /// Builds a matcher; fails only when a regular expression does not compile.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(Arc::new(LabelRegex::new(&value)?)),
        };
        Ok(Matcher {
            name,
            op,
            value,
            regex,
        })
    }

    /// Builds `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
        }
    }

    /// Tells whether a label value satisfies the matcher; an absent label is the empty text.
    pub fn matches(&self, value: &str) -> bool {
        let regex_matches = || {
            self.regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(value))
        };
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Matches => regex_matches(),
            MatchOp::NotMatches => !regex_matches(),
        }
    }

    /// Tells whether a label set satisfies the matcher.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.value(&self.name))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.op, &self.name, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            write!(f, "{}{}{}", self.name, self.op, quote(&self.value))
        } else {
            write!(f, "{}{}{}", quote(&self.name), self.op, quote(&self.value))
        }
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: MatchOp, value: &str, matching: &[&str], others: &[&str]) {
        let matcher = Matcher::new(op, "l", value).expect(value);
        assert!(matching.iter().all(|v| matcher.matches(v)), "{matcher}");
        assert!(!others.iter().any(|v| matcher.matches(v)), "{matcher}");
    }

    #[test]
    fn matchers_compare_whole_values() {
        check(MatchOp::Equal, "a", &["a"], &["", "ab"]);
        check(MatchOp::NotEqual, "a", &["", "ab"], &["a"]);
        check(MatchOp::Matches, "a.*", &["a", "ab"], &["", "ba"]);
        check(MatchOp::NotMatches, "a|b", &["", "ab"], &["a", "b"]);
    }

    #[test]
    fn a_bad_pattern_is_refused_with_the_words_of_go() {
        let error = Matcher::new(MatchOp::Matches, "l", "(").expect_err("refused");
        assert_eq!(
            error.to_string(),
            "error parsing regexp: missing closing ): `(`"
        );
    }

    #[test]
    fn matchers_print_as_they_are_written() {
        let printed = |name: &str| Matcher::equal(name, "v\"").to_string();
        assert_eq!(printed("job"), r#"job="v\"""#);
        assert_eq!(printed("a.b"), r#""a.b"="v\"""#);
    }
}
