//! The interpreter: walks an expression at one instant and asks a [`Source`] for its leaves.
//!
//! A range query and a subquery are the same walk at every step. Times are absolute here: `@`
//! and `offset` are resolved before the source is asked.

pub(super) mod aggregate;
mod binary;
mod call;
mod duration;
mod info;
pub(super) mod invariant;
mod kept;
mod live;
mod matching;
mod operation;
pub(super) mod origins;
mod reading;
mod selector;
mod set;
mod smoothed;
mod statistics;
mod steps;
pub(super) mod subquery;

pub(super) use steps::evaluate_steps;

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use crate::eval::interpret::kept::Kept;
use crate::eval::interpret::matching::Matched;
use crate::eval::interpret::origins::OriginsByCall;
use crate::eval::interpret::reading::{Reading, copied_inputs};
use crate::eval::interpret::statistics::Surroundings;
use crate::eval::{EvalError, EvalOptions, Outcome, Source, StepSamples};
use crate::functions::call::drop_metadata;
use crate::functions::{
    Annotations, Argument, CallMemory, Element, Level, QueryTimes, RangeSeries,
};
use crate::model::derived_labels::LabelsHasher;
use crate::model::raw_bytes::shown;
use crate::model::{
    DerivedLabels, DurationMs, Point, SampleValue, SeriesPoints, TimestampMs, Value, VectorElement,
};
use crate::promql::Expr;
use crate::promql::ast::{self, Aggregate, At, Binary, ExprKind, UnaryOp};

/// What a float sample takes in Prometheus.
const SAMPLE_BYTES: usize = 16;
/// What a native histogram takes there, without its buckets.
const HISTOGRAM_BYTES: usize = 168;

/// What one evaluation carries along.
struct Interpreter<'a> {
    source: &'a dyn Source,
    options: &'a EvalOptions,
    query: QueryTimes,
    annotations: Annotations,
    /// Whether the instant now evaluated is one of several.
    is_range: bool,
    /// The first of those instants.
    first_at: TimestampMs,
    /// What calls have returned at earlier steps of the range.
    origins: OriginsByCall,
    /// What calls keep from step to step.
    of_calls: Kept<ast::Call, CallMemory>,
    /// The labels by which aggregations group.
    of_aggregations: Kept<Aggregate, DerivedLabels>,
    /// The labels by which operators match, and those of their results.
    of_operators: Kept<Binary, Matched>,
    /// Labels without the name.
    nameless: DerivedLabels,
    /// What is around the node now evaluated.
    surroundings: Surroundings,
    /// The steps of the subqueries around the node, multiplied.
    n_steps_around: usize,
    /// Samples held by the values that are alive.
    n_held: usize,
    /// The most that Prometheus would have held at once.
    n_peak: usize,
    /// Elements of the values that the node now evaluated has been given.
    n_inputs: usize,
    /// Samples used.
    counted: StepSamples,
    /// Which of them count as new.
    reading: Reading,
}

/// Evaluates at one instant.
pub(super) fn evaluate_instant(
    expr: &Expr,
    source: &dyn Source,
    at: TimestampMs,
    options: &EvalOptions,
) -> Result<Outcome<Value>, EvalError> {
    let query = QueryTimes {
        start: at,
        end: at,
        step: DurationMs::ZERO,
    };
    let mut interpreter = Interpreter::new(source, options, query);
    let value = match interpreter.eval(expr, at)? {
        Argument::Scalar(value) => Value::Scalar(value),
        Argument::String(text) => Value::String(shown(&text).into_owned()),
        Argument::Vector(elements) => {
            let elements = interpreter.finish_vector(elements)?;
            let elements = elements.into_iter().map(|element| VectorElement {
                labels: element.labels,
                value: element.value,
            });
            Value::Vector(elements.collect())
        }
        Argument::Matrix(matrix) => {
            let series = interpreter.finish_matrix(matrix.series)?;
            Value::Matrix(series.into_iter().map(into_points).collect())
        }
    };
    let steps = vec![interpreter.counted];
    Ok(interpreter.outcome(value, steps))
}

impl<'a> Interpreter<'a> {
    fn new(source: &'a dyn Source, options: &'a EvalOptions, query: QueryTimes) -> Self {
        Interpreter {
            source,
            options,
            query,
            annotations: Annotations::default(),
            is_range: false,
            first_at: query.start,
            origins: OriginsByCall::new(),
            of_calls: Kept::default(),
            of_aggregations: Kept::default(),
            of_operators: Kept::default(),
            nameless: DerivedLabels::default(),
            surroundings: Surroundings::default(),
            n_steps_around: 1,
            n_held: 0,
            n_peak: 0,
            n_inputs: 0,
            counted: StepSamples::default(),
            reading: Reading::default(),
        }
    }

    fn outcome<T>(self, value: T, steps: Vec<StepSamples>) -> Outcome<T> {
        let query = self.options.query.as_deref();
        Outcome {
            value,
            warnings: self.annotations.texts(Level::Warning, query),
            infos: self.annotations.texts(Level::Info, query),
            n_samples: self.counted.used,
            steps,
            peak_samples: self.n_peak,
        }
    }

    /// Evaluates `expr` at `at`. What it held on the way is let go of; its result is held.
    fn eval(&mut self, expr: &Expr, at: TimestampMs) -> Result<Argument<'a>, EvalError> {
        if self.options.is_stopped() {
            return Err(EvalError::Stopped);
        }
        let held_before = self.n_held;
        let inputs_before = std::mem::take(&mut self.n_inputs);
        let value = self.eval_node(expr, at)?;
        let n_result = n_samples(&value);
        if let Some(n_copied) = copied_inputs(expr, self.n_inputs) {
            self.note_peak(self.n_held + n_copied + n_result);
        }
        self.n_inputs = inputs_before + n_elements(&value);
        self.n_held = held_before;
        self.hold(n_result)?;
        self.note_peak(self.n_held);
        Ok(value)
    }

    fn eval_node(&mut self, expr: &Expr, at: TimestampMs) -> Result<Argument<'a>, EvalError> {
        Ok(match &expr.kind {
            ExprKind::Number(number) => Argument::Scalar(number.value),
            ExprKind::String(text) => Argument::String(text.clone()),
            ExprKind::Paren(inner) => self.eval(inner, at)?,
            ExprKind::Unary(op, inner) => {
                let value = self.eval(inner, at)?;
                match op {
                    UnaryOp::Plus => value,
                    UnaryOp::Minus => self.negate(value, at)?,
                }
            }
            ExprKind::Binary(binary) => self.eval_binary(binary, expr.span, at)?,
            ExprKind::Aggregate(aggregate) => {
                Argument::Vector(self.eval_aggregate(aggregate, expr.span, at)?)
            }
            ExprKind::Call(call) => self.eval_call(call, expr.span, at)?,
            ExprKind::Vector(selector) => {
                Argument::Vector(self.eval_vector(selector, expr.span, at)?)
            }
            ExprKind::Matrix(matrix) => Argument::Matrix(self.eval_matrix(matrix, at)?),
            ExprKind::Subquery(subquery) => Argument::Matrix(self.eval_subquery(subquery, at)?),
        })
    }

    fn eval_elements(&mut self, expr: &Expr, at: TimestampMs) -> Result<Vec<Element>, EvalError> {
        match self.eval(expr, at)? {
            Argument::Vector(elements) => Ok(elements),
            _ => Err(unexpected("instant vector")),
        }
    }

    fn negate(&mut self, value: Argument<'a>, at: TimestampMs) -> Result<Argument<'a>, EvalError> {
        let elements = match value {
            Argument::Scalar(value) => return Ok(Argument::Scalar(-value)),
            Argument::Vector(elements) => elements,
            _ => return Err(unexpected("scalar or instant vector")),
        };
        let negated = elements.into_iter().map(|element| {
            let value = match &element.value {
                SampleValue::Float(value) => SampleValue::Float(-value),
                SampleValue::Histogram(histogram) => {
                    let mut negated = (**histogram).clone();
                    negated.scale(-1.0);
                    SampleValue::Histogram(negated.into())
                }
            };
            self.renamed(element, value, at)
        });
        let negated = negated.collect();
        self.unique(negated).map(Argument::Vector)
    }

    /// Returns `element` with another value and without its name.
    fn renamed(&mut self, element: Element, value: SampleValue, at: TimestampMs) -> Element {
        Element {
            labels: if self.options.features.delayed_name_removal {
                element.labels
            } else {
                self.nameless.labels(&element.labels, drop_metadata)
            },
            value,
            at,
            drop_name: true,
        }
    }

    /// Refuses a vector in which two elements have the same labels. With delayed name removal
    /// this is only known at the end.
    fn unique(&self, elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
        if !self.options.features.delayed_name_removal {
            check_unique(elements.iter().map(|element| &element.labels))?;
        }
        Ok(elements)
    }

    /// Drops the names whose removal was put off.
    fn finish_vector(&self, mut elements: Vec<Element>) -> Result<Vec<Element>, EvalError> {
        if self.options.features.delayed_name_removal {
            for element in elements.iter_mut().filter(|element| element.drop_name) {
                element.labels = drop_metadata(&element.labels);
            }
            check_unique(elements.iter().map(|element| &element.labels))?;
        }
        Ok(elements)
    }

    /// Does the same for the series of a matrix, and puts them in the order of labels.
    fn finish_matrix(
        &self,
        mut series: Vec<RangeSeries<'a>>,
    ) -> Result<Vec<RangeSeries<'a>>, EvalError> {
        if self.options.features.delayed_name_removal {
            for series in series.iter_mut().filter(|series| series.drop_name) {
                series.labels = drop_metadata(&series.labels);
            }
            check_unique(series.iter().map(|series| &series.labels))?;
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// Returns the instant that `@` and `offset` mean at `at`.
    fn resolve(&self, at_modifier: Option<At>, offset: DurationMs, at: TimestampMs) -> TimestampMs {
        let base = match at_modifier {
            None => at,
            Some(At::Instant(instant)) => instant,
            Some(At::Start) => self.query.start,
            Some(At::End) => self.query.end,
        };
        base - offset
    }

    /// Evaluates something in other surroundings.
    fn within<T>(
        &mut self,
        surroundings: Surroundings,
        evaluate: impl FnOnce(&mut Self) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let outer = std::mem::replace(&mut self.surroundings, surroundings);
        let result = evaluate(self);
        self.surroundings = outer;
        result
    }

    /// Counts samples against the limit.
    fn hold(&mut self, n_samples: usize) -> Result<(), EvalError> {
        self.n_held = self.n_held.saturating_add(n_samples);
        if self.n_held > self.options.samples_max {
            return Err(EvalError::TooManySamples);
        }
        Ok(())
    }
}

fn check_unique<'l>(
    labels: impl ExactSizeIterator<Item = &'l crate::model::Labels>,
) -> Result<(), EvalError> {
    if labels.len() < 2 {
        return Ok(());
    }
    let mut seen: HashSet<_, BuildHasherDefault<LabelsHasher>> = HashSet::default();
    seen.reserve(labels.len());
    for labels in labels {
        if !seen.insert(labels) {
            let text = "vector cannot contain metrics with the same labelset";
            return Err(EvalError::Execution(text.to_owned()));
        }
    }
    Ok(())
}

/// The parser's type check keeps this from happening; a tree built by hand may come to it.
fn unexpected(wanted: &str) -> EvalError {
    EvalError::Execution(format!("expected {wanted} in expression"))
}

fn n_samples(value: &Argument<'_>) -> usize {
    match value {
        Argument::Scalar(_) => 1,
        Argument::String(_) => 0,
        Argument::Vector(elements) => elements.iter().map(|e| weight(&e.value)).sum(),
        Argument::Matrix(matrix) => matrix.series.iter().map(n_samples_in).sum(),
    }
}

fn n_elements(value: &Argument<'_>) -> usize {
    match value {
        Argument::Scalar(_) => 1,
        Argument::String(_) | Argument::Matrix(_) => 0,
        Argument::Vector(elements) => elements.len(),
    }
}

fn n_samples_in(series: &RangeSeries<'_>) -> usize {
    let histograms = series.histograms.iter();
    let histograms = histograms.map(|point| histogram_weight(&point.value));
    series.floats.len() + histograms.sum::<usize>()
}

fn weight(value: &SampleValue) -> usize {
    match value {
        SampleValue::Float(_) => 1,
        SampleValue::Histogram(histogram) => histogram_weight(histogram),
    }
}

/// Weighs a histogram as Prometheus does: the bytes that it takes there, rounded to floats.
fn histogram_weight(histogram: &crate::model::FloatHistogram) -> usize {
    let n_values = histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.custom_values.len();
    (HISTOGRAM_BYTES + 8 * n_values + 8) / SAMPLE_BYTES
}

/// Returns a series with floats and histograms in one list.
fn into_points(series: RangeSeries<'_>) -> SeriesPoints {
    let floats = series.floats.iter().map(|point| Point {
        at: point.at,
        value: SampleValue::Float(point.value),
    });
    let has_both = !series.histograms.is_empty();
    let histograms = series.histograms.into_iter().map(|point| Point {
        at: point.at,
        value: SampleValue::Histogram(point.value),
    });
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    if has_both {
        points.sort_by_key(|point| point.at);
    }
    SeriesPoints {
        labels: series.labels,
        points,
    }
}
