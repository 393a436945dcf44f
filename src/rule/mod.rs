//! Rule files: YAML to groups of rules, every error of Prometheus with file, line and column.
//!
//! What lives here: rules as they are written. What may not: evaluation, alert state. Called
//! by the engine (compile) and the CLI (check, test).

pub mod baseline;
mod dialect;
mod expression_hint;
mod fields;
mod file;
mod group;
mod hint;
pub mod histogram_notation;
mod kubernetes;
pub mod lint;
mod objectives;
pub mod order;
pub mod series_notation;
mod template_hint;
mod test_fields;
pub mod test_file;
pub mod warming;

pub use expression_hint::remedy_for_expression;
pub use file::parse_file;

use crate::model::{DurationMs, RuleFormat};
use crate::promql::{Expr, Features};
use crate::yaml::Place;

/// How to read a rule file; the default is what Prometheus does without flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The language features that are on.
    pub features: Features,
    /// The dialect, the valid names, what to pass over.
    pub format: RuleFormat,
}

impl From<Features> for ParseOptions {
    fn from(features: Features) -> Self {
        ParseOptions {
            features,
            format: RuleFormat::default(),
        }
    }
}

/// A group of rules as written.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// The path of its file, as `rule_files` found it; of one resource of several in a file,
    /// `path#namespace/name`.
    pub file: String,
    /// Its name, unique in the file.
    pub name: String,
    /// How often it ticks; `None` takes `global.evaluation_interval`.
    pub interval: Option<DurationMs>,
    /// How far its queries look back; `None` takes `global.rule_query_offset`.
    pub query_offset: Option<DurationMs>,
    /// Whether its ticks lie at multiples of its interval, rather than where Prometheus has them.
    pub is_aligned: bool,
    /// The most alerts or series a rule may yield; 0 = no limit.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule as written.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The record or alert name.
    pub name: String,
    /// What only one of the two kinds has.
    pub kind: RuleKind,
    /// The expression.
    pub expr: Expr,
    /// Labels as written, the group's merged under the rule's, sorted by name.
    pub labels: Vec<(String, String)>,
    /// 1-based line of the rule in its file.
    pub line: usize,
    /// 1-based column of the rule in its file.
    pub column: usize,
}

/// What only one kind of rule has.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// `record:`
    Recording,
    /// `alert:`
    Alerting {
        /// `for`
        hold: DurationMs,
        /// `keep_firing_for`
        keep_firing: DurationMs,
        /// Annotations as written, sorted by name.
        annotations: Vec<(String, String)>,
    },
}

/// One thing wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RuleError {
    /// The file's path.
    pub file: String,
    /// 1-based; 0 where there is none.
    pub line: usize,
    /// 1-based; 0 where there is none.
    pub column: usize,
    /// What is wrong: group, rule and cause, in Prometheus' words.
    pub message: String,
    /// What to do about it, where we know.
    pub hint: Option<String>,
}

impl RuleError {
    /// Returns one line for each error, with what to do about it.
    pub fn lines(errors: &[RuleError]) -> String {
        let lines = errors.iter().map(|error| match &error.hint {
            Some(hint) => format!("{error} (hint: {hint})"),
            None => error.to_string(),
        });
        lines.collect::<Vec<String>>().join("\n")
    }

    /// Says what is wrong at a place of a file.
    pub(crate) fn at(
        file: &str,
        place: Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        RuleError {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
            hint,
        }
    }
}

/// Something about a rule file that is as it should be and yet worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RuleNote {
    /// The file's path.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based.
    pub column: usize,
    /// What is worth knowing.
    pub message: String,
}

/// A file's groups and what is worth saying about it.
#[derive(Clone, Debug, Default)]
pub struct ParsedFile {
    /// The groups, in order.
    pub groups: Vec<RuleGroup>,
    /// For example: only the first of several YAML documents is used.
    pub warnings: Vec<String>,
    /// Fields of another evaluator's dialect that are passed over: where, which and why.
    pub notes: Vec<RuleNote>,
}
