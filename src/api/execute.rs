//! Executes a query: waits for its turn, takes a snapshot of the series it reads, and evaluates
//! it on a thread of its own.
//!
//! An evaluation looks at a flag before every step down the expression: once its time is up, or
//! its client gone, it ends there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::api::instant::parse_duration;
use crate::api::params::Params;
use crate::api::response::{ApiError, ErrorKind};
use crate::api::selections::{QueryTimes, selections_of};
use crate::api::state::ApiState;
use crate::api::worker::on_worker;
use crate::clock::Stopwatch;
use crate::eval::{EvalError, EvalOptions, Outcome, Scan, evaluate, evaluate_range};
use crate::functions::Functions;
use crate::model::{DurationMs, SeriesPoints, Value};
use crate::promql::{self, Expr};
use crate::series::Snapshot;

/// What both kinds of queries are asked with.
pub struct Query {
    /// The expression's text, so that warnings can say where.
    pub text: Arc<str>,
    /// The expression.
    pub expr: Expr,
    /// When to evaluate it, and how far to look back.
    pub times: QueryTimes,
    /// How many elements to return at most.
    pub limit: Option<usize>,
    /// When to give up.
    pub timeout: Duration,
    /// The `stats` parameter; not empty asks for statistics.
    pub stats: String,
}

impl Query {
    /// Reads what both kinds of queries have in common; `times` still lacks the look-back.
    pub fn of(
        params: &Params,
        state: &ApiState,
        times: QueryTimes,
        limit: Option<usize>,
    ) -> Result<Self, ApiError> {
        let settings = &state.settings.query;
        let timeout = match params.value("timeout") {
            "" => settings.timeout,
            _ => {
                // What is over already is over at once.
                let nanoseconds = u64::try_from(params.duration("timeout")?).unwrap_or(0);
                Duration::from_nanos(nanoseconds).min(settings.timeout)
            }
        };
        let lookback = match params.value("lookback_delta") {
            "" => DurationMs::ZERO,
            text => {
                let nanoseconds = parse_duration(text).map_err(|cause| {
                    ApiError::bad_data(format!("error parsing lookback delta duration: {cause}"))
                })?;
                DurationMs(nanoseconds / 1_000_000)
            }
        };
        let text = params.value("query");
        let expr = promql::parse(text, &Functions, settings.features)
            .map_err(|cause| ApiError::invalid_parameter("query", cause))?;
        let is_set = lookback > DurationMs::ZERO;
        let lookback = if is_set { lookback } else { settings.lookback };
        Ok(Query {
            text: text.into(),
            expr,
            times: QueryTimes { lookback, ..times },
            limit,
            timeout,
            stats: params.value("stats").to_owned(),
        })
    }
}

/// What an evaluation came to.
pub struct Evaluated {
    /// What was asked.
    pub query: Query,
    /// The result; a range query's is a matrix.
    pub outcome: Outcome<Value>,
    /// What took how long.
    pub timings: Timings,
}

/// Wall seconds of the parts of a query.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Waiting for its turn.
    pub queue: f64,
    /// Taking the snapshot.
    pub preparation: f64,
    /// Evaluating.
    pub evaluation: f64,
}

/// Executes a query; `finish` turns the result into an answer on the thread that evaluated it,
/// for a large one takes its time.
pub async fn execute<T: Send + 'static>(
    state: &ApiState,
    query: Query,
    finish: impl FnOnce(Evaluated) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let time = TimeBudget {
        limit: query.timeout,
        spent: Stopwatch::start(),
    };
    if query.timeout.is_zero() {
        return Err(timed_out("query execution"));
    }
    let metrics = &state.settings.telemetry.queries;
    let _running = metrics.begin();

    let stopwatch = Stopwatch::start();
    let slot = Arc::clone(&state.query_slots).acquire_owned();
    let slot = time.spend("query queue", slot).await?;
    let slot = slot.expect("the semaphore is never closed");
    let queue = stopwatch.seconds();
    metrics.waited(queue);

    let stopwatch = Stopwatch::start();
    let selections = selections_of(&query.expr, query.times);
    let take = state.backend.snapshot(selections);
    let snapshot = time.spend("expression evaluation", take).await??;
    let preparation = stopwatch.seconds();
    metrics.prepared(preparation);

    let stop = StopOnDrop::default();
    let options = options_of(state, &query, Arc::clone(&stop.0));
    let metrics = metrics.clone();
    let task = on_worker(move || {
        // The slot goes along: an evaluation that is stopped but not yet over still counts.
        let _slot = slot;
        let stopwatch = Stopwatch::start();
        let outcome = evaluate_snapshot(&query, &snapshot, &options)?;
        let evaluation = stopwatch.seconds();
        metrics.evaluated(evaluation, outcome.n_samples);
        Ok(finish(Evaluated {
            query,
            outcome,
            timings: Timings {
                queue,
                preparation,
                evaluation,
            },
        }))
    });
    time.spend("expression evaluation", task).await??
}

/// How long a query may take, over all its parts.
struct TimeBudget {
    limit: Duration,
    spent: Stopwatch,
}

impl TimeBudget {
    /// Waits for `work` until the time is up; `place` is where the query then was.
    async fn spend<T>(&self, place: &str, work: impl Future<Output = T>) -> Result<T, ApiError> {
        let left = self.limit.saturating_sub(self.spent.elapsed());
        let timed_out = |_| timed_out(place);
        tokio::time::timeout(left, work).await.map_err(timed_out)
    }
}

fn timed_out(place: &str) -> ApiError {
    ApiError::new(ErrorKind::Timeout, format!("query timed out in {place}"))
}

fn options_of(state: &ApiState, query: &Query, stop: Arc<AtomicBool>) -> EvalOptions {
    let settings = &state.settings.query;
    EvalOptions {
        lookback: query.times.lookback,
        default_step: settings.default_step,
        features: settings.features,
        samples_max: settings.samples_max,
        subquery_steps_max: settings.subquery_steps_max,
        query: Some(Arc::clone(&query.text)),
        stop: Some(stop),
    }
}

/// Ends the evaluation when nobody waits for it any more: its time is up, or its client gone.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn evaluate_snapshot(
    query: &Query,
    snapshot: &Snapshot,
    options: &EvalOptions,
) -> Result<Outcome<Value>, ApiError> {
    let source = Scan::new(snapshot);
    let times = query.times;
    let outcome = if times.step == DurationMs::ZERO {
        evaluate(&query.expr, &source, times.start, options)
    } else {
        let steps = (times.start, times.end, times.step);
        evaluate_range(&query.expr, &source, steps, options).map(matrix_of)
    };
    outcome.map_err(|error| match error {
        EvalError::InvalidDuration { .. } => ApiError::invalid_parameter("query", error),
        error => ApiError::new(ErrorKind::Execution, error.to_string()),
    })
}

fn matrix_of(outcome: Outcome<Vec<SeriesPoints>>) -> Outcome<Value> {
    Outcome {
        value: Value::Matrix(outcome.value),
        warnings: outcome.warnings,
        infos: outcome.infos,
        n_samples: outcome.n_samples,
        steps: outcome.steps,
        peak_samples: outcome.peak_samples,
    }
}
