//! Which steps are refused, and why: what Prometheus refuses, in its words.

use crate::relabel::group_template::is_name_template;
use crate::relabel::{
    Action, NameValidation, REGEX_DEFAULT, REPLACEMENT_DEFAULT, RelabelFields, SEPARATOR_DEFAULT,
};

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

/// Refuses a step that cannot mean anything.
pub(crate) fn validate(fields: &RelabelFields, names: NameValidation) -> Result<(), RelabelError> {
    use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Replace};
    let (action, name) = (fields.action, fields.action.name());
    if action == HashMod && fields.modulus == 0 {
        return Err(RelabelError::NoModulus);
    }
    if action.needs_target() && fields.target_label.is_empty() {
        return Err(RelabelError::NoTarget(name));
    }
    let target_is_valid = match action {
        Replace if fields.target_label.contains('$') => {
            is_name_template(&fields.target_label, names)
        }
        _ => !action.needs_target() || names.is_label_name(&fields.target_label),
    };
    if !target_is_valid {
        let target = fields.target_label.clone();
        return Err(RelabelError::InvalidTarget(target, name));
    }
    let is_plain = fields.modulus == 0
        && fields.separator == SEPARATOR_DEFAULT
        && fields.replacement == REPLACEMENT_DEFAULT;
    match action {
        Action::Lowercase | Action::Uppercase | KeepEqual | DropEqual
            if fields.replacement != REPLACEMENT_DEFAULT =>
        {
            Err(RelabelError::UnusedReplacement(name))
        }
        LabelMap if !is_name_template(&fields.replacement, names) => {
            let replacement = fields.replacement.clone();
            Err(RelabelError::InvalidReplacement(replacement, name))
        }
        KeepEqual | DropEqual if !is_plain || fields.regex != REGEX_DEFAULT => {
            Err(RelabelError::OnlySourceAndTarget(name))
        }
        LabelDrop | LabelKeep
            if !is_plain || fields.source_labels.is_some() || !fields.target_label.is_empty() =>
        {
            Err(RelabelError::OnlyRegex(name))
        }
        _ => Ok(()),
    }
}
