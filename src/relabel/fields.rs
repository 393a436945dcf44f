//! A step as written: its fields with Prometheus' defaults, and which steps are refused.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use crate::model::NameValidation;

/// What a step does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Writes `replacement`, filled from the match, to `target_label`.
    #[default]
    Replace,
    /// Drops the set unless the source matches.
    Keep,
    /// Drops the set if the source matches.
    Drop,
    /// Drops the set unless the source equals the target label.
    KeepEqual,
    /// Drops the set if the source equals the target label.
    DropEqual,
    /// Writes a hash of the source modulo `modulus` to the target label.
    HashMod,
    /// Copies labels whose name matches to the name that `replacement` gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Writes the source in lower case to the target label.
    Lowercase,
    /// Writes the source in upper case to the target label.
    Uppercase,
}

/// The words of `action:`.
pub const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Action {
    /// Returns the word of the configuration.
    pub fn name(self) -> &'static str {
        let found = ACTIONS.iter().find(|(_, action)| *action == self);
        found.map_or("", |(name, _)| name)
    }

    /// Writes to or compares with `target_label`, so needs one.
    fn needs_target(self) -> bool {
        use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        matches!(
            self,
            Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual
        )
    }
}

/// A step as written, with Prometheus' defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelabelFields {
    /// The labels whose values are joined into the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// What stands between the joined values.
    pub separator: String,
    /// What the source (or label name) is matched with.
    pub regex: String,
    /// What a hash is taken modulo of; 0 where none is given.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label to write; may name groups of the match for `replace`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// What to write; `$1` and `${name}` are groups of the match.
    pub replacement: String,
    /// What to do.
    pub action: Action,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

const REGEX_DEFAULT: &str = "(.*)";
const REPLACEMENT_DEFAULT: &str = "$1";
const SEPARATOR_DEFAULT: &str = ";";

impl Default for RelabelFields {
    fn default() -> Self {
        RelabelFields {
            source_labels: None,
            separator: SEPARATOR_DEFAULT.to_owned(),
            regex: REGEX_DEFAULT.to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: REPLACEMENT_DEFAULT.to_owned(),
            action: Action::Replace,
        }
    }
}

/// Why a step is refused; the texts are Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// The regular expression does not compile.
    #[error("{0}")]
    Regex(String),
    /// `hashmod` without a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// An action that writes a label, without one.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(&'static str),
    /// A target that can be no label name.
    #[error("{0:?} is invalid 'target_label' for {1} action")]
    InvalidTarget(String, &'static str),
    /// A replacement where none is used.
    #[error("'replacement' can not be set for {0} action")]
    UnusedReplacement(&'static str),
    /// A replacement that can give no label name.
    #[error("{0:?} is invalid 'replacement' for {1} action")]
    InvalidReplacement(String, &'static str),
    /// Fields that `keepequal` and `dropequal` do not use.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(&'static str),
    /// Fields that `labeldrop` and `labelkeep` do not use.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(&'static str),
}

impl RelabelFields {
    /// Refuses what Prometheus refuses, but for the regular expression itself.
    pub(crate) fn validate(&self, names: NameValidation) -> Result<(), RelabelError> {
        use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Replace};
        let (action, name) = (self.action, self.action.name());
        if action == HashMod && self.modulus == 0 {
            return Err(RelabelError::NoModulus);
        }
        if action.needs_target() && self.target_label.is_empty() {
            return Err(RelabelError::NoTarget(name));
        }
        let target_is_valid = match action {
            Replace if self.target_label.contains('$') => {
                is_name_template(&self.target_label, names)
            }
            _ => !action.needs_target() || names.is_label_name(&self.target_label),
        };
        if !target_is_valid {
            let target = self.target_label.clone();
            return Err(RelabelError::InvalidTarget(target, name));
        }
        let is_plain = self.modulus == 0
            && self.separator == SEPARATOR_DEFAULT
            && self.replacement == REPLACEMENT_DEFAULT;
        match action {
            Action::Lowercase | Action::Uppercase | KeepEqual | DropEqual
                if self.replacement != REPLACEMENT_DEFAULT =>
            {
                Err(RelabelError::UnusedReplacement(name))
            }
            LabelMap if !is_name_template(&self.replacement, names) => {
                let replacement = self.replacement.clone();
                Err(RelabelError::InvalidReplacement(replacement, name))
            }
            KeepEqual | DropEqual if !is_plain || self.regex != REGEX_DEFAULT => {
                Err(RelabelError::OnlySourceAndTarget(name))
            }
            LabelDrop | LabelKeep
                if !is_plain || self.source_labels.is_some() || !self.target_label.is_empty() =>
            {
                Err(RelabelError::OnlyRegex(name))
            }
            _ => Ok(()),
        }
    }
}

/// Tells whether a text with `$1` in it can give a label name. In UTF-8 any text can.
fn is_name_template(text: &str, names: NameValidation) -> bool {
    static LEGACY: LazyLock<Regex> = LazyLock::new(|| {
        // As in Prometheus, where `\w` knows ASCII only.
        let pattern = r"(?-u)^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$";
        Regex::new(pattern).expect("a pattern that compiles")
    });
    match names {
        NameValidation::Utf8 => !text.is_empty(),
        NameValidation::Legacy => LEGACY.is_match(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::RelabelConfig;

    #[test]
    fn templates_of_legacy_names() {
        let check = |text: &str, expected| {
            assert_eq!(
                is_name_template(text, NameValidation::Legacy),
                expected,
                "{text}"
            );
        };
        for valid in ["a", "_1", "$1", "a${x}_1b", "$host$2"] {
            check(valid, true);
        }
        for invalid in ["", "1a", "a-b", "a$", "${1", "$-", "ä", "$ä", "a\n"] {
            check(invalid, false);
        }
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        let check = |edit: &dyn Fn(&mut RelabelFields), names, part: &str| {
            let mut fields = RelabelFields::default();
            edit(&mut fields);
            let error = RelabelConfig::new(fields, names)
                .expect_err(part)
                .to_string();
            assert!(error.contains(part), "{error}");
        };
        use NameValidation::{Legacy, Utf8};
        check(
            &|f| f.action = Action::HashMod,
            Utf8,
            "requires non-zero modulus",
        );
        check(
            &|_| {},
            Utf8,
            "replace action requires 'target_label' value",
        );
        check(
            &|f| f.regex = "(".to_owned(),
            Utf8,
            "requires 'target_label'",
        );
        check(
            &|f| (f.regex, f.target_label) = ("(".to_owned(), "a".to_owned()),
            Utf8,
            "error parsing regexp",
        );
        check(
            &|f| f.target_label = "a-b".to_owned(),
            Legacy,
            "\"a-b\" is invalid 'target_label'",
        );
        check(
            &|f| f.target_label = "0${3".to_owned(),
            Legacy,
            "invalid 'target_label'",
        );
        check(
            &|f| {
                (f.action, f.target_label) = (Action::Lowercase, "a".to_owned());
                f.replacement = "x".to_owned();
            },
            Utf8,
            "'replacement' can not be set for lowercase action",
        );
        check(
            &|f| (f.action, f.replacement) = (Action::LabelMap, "a-b".to_owned()),
            Legacy,
            "\"a-b\" is invalid 'replacement' for labelmap action",
        );
        check(
            &|f| {
                (f.action, f.target_label) = (Action::KeepEqual, "a".to_owned());
                f.separator = ",".to_owned();
            },
            Utf8,
            "keepequal action requires only 'source_labels'",
        );
        check(
            &|f| (f.action, f.source_labels) = (Action::LabelDrop, Some(vec!["a".to_owned()])),
            Utf8,
            "labeldrop action requires only 'regex'",
        );
    }
}
