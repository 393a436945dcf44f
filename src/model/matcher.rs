//! A label matcher: `=`, `!=`, `=~`, `!~`.
//!
//! Regular expressions are fully anchored and `.` matches a newline, as in Prometheus. A label
//! that is absent has the empty value.

use std::fmt;
use std::sync::Arc;

use crate::model::Labels;
use crate::model::labels::{is_legacy_label_name, quote};

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
    regex: Option<Arc<regex::Regex>>,
}

impl Matcher {
    /// Builds a matcher; fails only when a regular expression does not compile.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(Arc::new(compile_anchored(&value)?)),
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

/// Compiles an RE2 pattern, fully anchored, `.` matching newlines.
pub fn compile_anchored(pattern: &str) -> Result<regex::Regex, MatcherError> {
    regex::Regex::new(&format!("^(?s:{pattern})$")).map_err(|e| MatcherError::Regex(e.to_string()))
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
