//! Evaluation: one plain interpreter over a [`Source`], and the sources.
//!
//! What lives here: what an expression is worth at an instant. What may not: rules, alerts, the
//! clock. Called by the engine for rules and by the API for queries.

pub mod source;

pub use source::{InstantSample, Source};

use crate::model::{DurationMs, SeriesPoints, TimestampMs, Value};
use crate::promql::{Expr, Features};

/// The instant and the settings of an evaluation.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// How far an instant selector looks back, ms (Prometheus: 5 minutes).
    pub lookback: DurationMs,
    /// The step of a subquery that names none, ms.
    pub default_step: DurationMs,
    /// Which language features are on.
    pub features: Features,
    /// The most samples one query may hold at once; beyond it the query fails.
    pub samples_max: usize,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            lookback: DurationMs::from_seconds(300),
            default_step: DurationMs::from_seconds(60),
            features: Features::default(),
            samples_max: 50_000_000,
        }
    }
}

/// A result with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// The result.
    pub value: T,
    /// Warnings, as the API lists them.
    pub warnings: Vec<String>,
    /// Infos, as the API lists them.
    pub infos: Vec<String>,
    /// The samples that were read.
    pub n_samples: usize,
}

/// Why an evaluation failed; the text is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The data do not allow it (`errorType` "execution").
    #[error("{0}")]
    Execution(String),
    /// The query asks for too much.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
}

/// Evaluates an expression at one instant.
pub fn evaluate(
    _expr: &Expr,
    _source: &dyn Source,
    _at: TimestampMs,
    _options: &EvalOptions,
) -> Result<Outcome<Value>, EvalError> {
    unimplemented!("the evaluator's own change")
}

/// Evaluates an expression at `start`, `start + step`, … up to `end`.
pub fn evaluate_range(
    _expr: &Expr,
    _source: &dyn Source,
    (_start, _end, _step): (TimestampMs, TimestampMs, DurationMs),
    _options: &EvalOptions,
) -> Result<Outcome<Vec<SeriesPoints>>, EvalError> {
    unimplemented!("the evaluator's own change")
}
