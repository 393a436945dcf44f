//! Service level objectives: what people write down about their services, compiled to plain rules.
//!
//! A specification says what share of events has to be good over a period. The compiler makes
//! recording rules of the indicator over every window, alerts on how fast the error budget burns,
//! and recordings of what is left of it. The rules are text that Prometheus loads as well.
//!
//! What lives here: the formats (`format`), what each becomes ([`objective::Slo`]), the
//! arithmetic ([`burn_rate`]), the rules (`compile`). What may not: evaluation, files, clocks.
//! Called by `rule`, for a specification may stand wherever a rule file may, and by the CLI.

pub mod burn_rate;
mod compile;
mod explain;
mod fields;
mod format;
mod history;
pub mod objective;
mod query;
mod rule_text;
mod signal;
mod standard;
pub mod windows;

pub use compile::{Compiled, CompiledSlo, Options, Windows, compile};
pub use explain::explain;
pub use format::{is_spec, read};
pub use rule_text::{Layout, RuleGroupText, to_yaml};

use crate::promql::{Features, SignatureTable};
use crate::yaml::Place;

/// The language that a specification's queries are written in.
#[derive(Clone, Copy)]
pub struct Language<'a> {
    /// The functions that a query may call.
    pub functions: &'a dyn SignatureTable,
    /// The switches of the language that are on.
    pub features: Features,
}

/// One thing wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", place.line, place.column)]
pub struct SpecError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Something about a specification that is as it should be and yet worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", place.line, place.column)]
pub struct SpecNote {
    /// Where.
    pub place: Place,
    /// What is worth knowing.
    pub message: String,
}

/// What a file of specifications holds.
#[derive(Debug, Default)]
pub struct Spec {
    /// The objectives, in order.
    pub slos: Vec<objective::Slo>,
    /// Alert windows of Sloth that stand beside them, and hold for them.
    pub windows: Vec<windows::AlertWindows>,
    /// What is worth saying about the file.
    pub notes: Vec<SpecNote>,
}
