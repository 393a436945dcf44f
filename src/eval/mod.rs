//! Evaluation: one plain interpreter over a [`Source`], and the sources.
//!
//! What lives here: what an expression is worth at an instant. What may not: rules, alerts, the
//! clock. Called by the engine for rules and by the API for queries.

mod interpret;
pub mod live;
pub mod plan;
mod scan;
pub mod source;

pub use live::{Live, LiveState};
pub use scan::Scan;
pub use source::{InstantSample, LiveSource, Source};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::functions::{Element, FunctionError};
use crate::model::{DurationMs, SeriesPoints, TimestampMs, Value};
use crate::promql::ast::Span;
use crate::promql::{Expr, Features};

/// Subqueries within one another may have this many times the steps of one together. Each alone
/// is within its limit soon, and two of them are a thousand thousand evaluations.
pub const NESTED_STEPS_FACTOR: usize = 10;

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
    /// The most steps a subquery may have; beyond it the query fails.
    pub subquery_steps_max: usize,
    /// The query's text, so that warnings can say where; without it they do not.
    pub query: Option<Arc<str>>,
    /// Set from outside when nobody waits for the answer any more; the evaluation then fails.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            lookback: DurationMs::from_seconds(300),
            default_step: DurationMs::from_seconds(60),
            features: Features::default(),
            samples_max: 50_000_000,
            subquery_steps_max: 1_000_000,
            query: None,
            stop: None,
        }
    }
}

impl EvalOptions {
    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
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
    /// The samples that all steps together used; a window counts whole at every step.
    pub n_samples: usize,
    /// The samples of each step, in the order of steps; one at a single instant.
    pub steps: Vec<StepSamples>,
    /// The most samples held at once.
    pub peak_samples: usize,
}

/// The samples of one step of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepSamples {
    /// Those it used: what the step would need if it were the only one.
    pub used: usize,
    /// Those of them that no earlier step had used.
    pub new: usize,
}

/// Why an evaluation failed; the text is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The data do not allow it (`errorType` "execution").
    #[error("{0}")]
    Execution(String),
    /// A computed duration is of no use (`errorType` "bad_data": the query itself is wrong).
    #[error("{}:{}: {message}", place.start, place.end)]
    InvalidDuration {
        /// Where it stands, in bytes.
        place: Span,
        /// What is wrong with it.
        message: &'static str,
    },
    /// The query asks for too much.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// [`EvalOptions::stop`] was set.
    #[error("query was canceled in expression evaluation")]
    Stopped,
    /// A subquery asks for too many steps.
    #[error(
        "subquery of {range} by steps of {step} has more than {max} steps: \
         raise the step or shorten the range"
    )]
    TooManySteps {
        /// How long the subquery's window is.
        range: DurationMs,
        /// Its step.
        step: DurationMs,
        /// The limit, `subquery_steps_max`.
        max: usize,
    },
    /// Subqueries within one another ask for too many steps together.
    #[error(
        "subqueries within one another have {steps} steps together, more than {max}: \
         raise a step or shorten a range"
    )]
    TooManyNestedSteps {
        /// How many, at one instant.
        steps: usize,
        /// The limit, [`NESTED_STEPS_FACTOR`] times `subquery_steps_max`.
        max: usize,
    },
}

impl From<FunctionError> for EvalError {
    fn from(error: FunctionError) -> Self {
        EvalError::Execution(error.0)
    }
}

/// Evaluates an expression at one instant.
pub fn evaluate(
    expr: &Expr,
    source: &dyn Source,
    at: TimestampMs,
    options: &EvalOptions,
) -> Result<Outcome<Value>, EvalError> {
    interpret::evaluate_instant(expr, source, at, options)
}

/// Evaluates what is in a subquery at instants in order, each as if it were the only one of its
/// grid; calls `visit` with each instant's elements, names that are to go at the end included.
/// Returns how many samples were read.
pub fn evaluate_points(
    expr: &Expr,
    source: &dyn Source,
    instants: &[TimestampMs],
    options: &EvalOptions,
    visit: &mut dyn FnMut(TimestampMs, Result<Vec<Element>, EvalError>),
) -> usize {
    interpret::subquery::evaluate_points(expr, source, instants, options, visit)
}

/// Evaluates an expression at `start`, `start + step`, … up to `end`. The series are in the
/// order of labels.
pub fn evaluate_range(
    expr: &Expr,
    source: &dyn Source,
    (start, end, step): (TimestampMs, TimestampMs, DurationMs),
    options: &EvalOptions,
) -> Result<Outcome<Vec<SeriesPoints>>, EvalError> {
    interpret::evaluate_steps(expr, source, (start, end, step), options)
}
