//! A range query: the same walk at every step.

use crate::eval::interpret::reading::Reading;
use crate::eval::interpret::{Interpreter, unexpected, weight};
use crate::eval::{EvalError, EvalOptions, Outcome, Source, StepSamples};
use crate::functions::{Argument, Element, QueryTimes};
use crate::model::{DurationMs, Labels, LabelsMap, Point, SampleValue, SeriesPoints, TimestampMs};
use crate::promql::Expr;

/// Evaluates at every step from `start` to `end`, both included.
pub(in crate::eval) fn evaluate_steps(
    expr: &Expr,
    source: &dyn Source,
    (start, end, step): (TimestampMs, TimestampMs, DurationMs),
    options: &EvalOptions,
) -> Result<Outcome<Vec<SeriesPoints>>, EvalError> {
    let mut interpreter = Interpreter::new(source, options, QueryTimes { start, end, step });
    interpreter.is_range = start != end;
    let mut series: LabelsMap<Vec<Point>> = LabelsMap::default();
    let mut steps = Vec::new();
    let mut at = start;
    while at <= end {
        let before = interpreter.counted;
        let elements = match interpreter.eval(expr, at)? {
            Argument::Vector(elements) => interpreter.finish_vector(elements)?,
            Argument::Scalar(value) => vec![Element {
                labels: Labels::empty(),
                value: SampleValue::Float(value),
                at,
                drop_name: false,
            }],
            _ => return Err(unexpected("scalar or instant vector")),
        };
        steps.push(StepSamples {
            used: interpreter.counted.used - before.used,
            new: interpreter.counted.new - before.new,
        });
        interpreter.reading = Reading::later(step);
        // The elements were held by `eval` and stay held: they are part of the result.
        debug_assert!(interpreter.n_held >= elements.iter().map(|e| weight(&e.value)).sum());
        for element in elements {
            let value = element.value;
            series
                .entry(element.labels)
                .or_default()
                .push(Point { at, value });
        }
        if step.0 <= 0 {
            break;
        }
        at = at + step;
    }
    let series = series.into_iter();
    let series = series.map(|(labels, points)| SeriesPoints { labels, points });
    let mut series: Vec<SeriesPoints> = series.collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(interpreter.outcome(series, steps))
}
