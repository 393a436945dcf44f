//! What an expression was worth for one alert: at an instant, and over 24 hours.
//!
//! Where labels take an expression apart, only the series of the alert's part are read. What is
//! read is counted, and bounded: first the history has fewer points, then there is none.

use crate::context::labels::agreement;
use crate::eval::plan::partition::partition;
use crate::eval::{EvalOptions, Scan, evaluate, evaluate_range};
use crate::model::{ContextSettings, DurationMs, Labels, Matcher, SampleValue, TimestampMs, Value};
use crate::promql::Expr;
use crate::promql::ast::{ExprKind, VectorMatching};
use crate::series::SeriesReader;

/// A history has as many points at most: one for half an hour.
const POINTS_MAX: i64 = 48;

/// The values of an expression over 24 hours.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The first instant asked for, ms.
    pub from: TimestampMs,
    /// The last one, ms.
    pub until: TimestampMs,
    /// The distance of points, ms.
    pub step: DurationMs,
    /// The points at which there was a value; never empty.
    pub points: Vec<(TimestampMs, f64)>,
    /// The least of their values that are numbers.
    pub min: f64,
    /// Their mean.
    pub avg: f64,
    /// The greatest.
    pub max: f64,
}

/// Reads values for one alert.
pub struct Readings<'a> {
    reader: &'a dyn SeriesReader,
    identity: &'a Labels,
    options: EvalOptions,
    samples_left: usize,
    n_samples: usize,
    is_cut: bool,
}

impl<'a> Readings<'a> {
    /// Reads from `reader` for the alert that is about `identity`, so many samples at most.
    pub fn new(
        reader: &'a dyn SeriesReader,
        identity: &'a Labels,
        options: &EvalOptions,
        samples_max: usize,
    ) -> Self {
        Readings {
            reader,
            identity,
            options: options.clone(),
            samples_left: samples_max,
            n_samples: 0,
            is_cut: false,
        }
    }

    /// Returns how many samples have been read.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Tells whether something was not read because it would have been too much.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Where the alert's series are.
    pub fn reader(&self) -> &'a dyn SeriesReader {
        self.reader
    }

    /// Counts samples that were read elsewhere for the same alert; `false` when that was too much.
    pub fn spend(&mut self, n_samples: usize) -> bool {
        self.n_samples += n_samples;
        self.is_cut |= n_samples > self.samples_left;
        self.samples_left = self.samples_left.saturating_sub(n_samples);
        self.samples_left > 0
    }

    /// Returns what an expression is worth at an instant: a scalar, or the element that agrees
    /// with the alert; with `matching` only in the labels by which sides find each other.
    pub fn value(
        &mut self,
        expr: &Expr,
        matching: Option<&VectorMatching>,
        at: TimestampMs,
    ) -> Option<f64> {
        let identity = matched(self.identity, matching);
        let outcome = evaluate(
            &self.narrowed(expr, &identity),
            &Scan::new(self.reader),
            at,
            &self.bounded(),
        );
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(_) => return None,
        };
        self.spend(outcome.n_samples);
        match outcome.value {
            Value::Scalar(value) => Some(value),
            Value::Vector(elements) => {
                let labels = elements.iter().map(|element| &element.labels);
                let at = agreeing(labels, &identity, matching)?;
                number(&elements[at].value)
            }
            Value::String(_) | Value::Matrix(_) => None,
        }
    }

    /// Returns what an expression was worth in the 24 hours until `until`; nothing where it had
    /// no value. `n_samples_each` is what one point costs.
    pub fn history(
        &mut self,
        expr: &Expr,
        until: TimestampMs,
        n_samples_each: usize,
    ) -> Option<History> {
        let affordable = self.samples_left / n_samples_each.max(1);
        let n_points = POINTS_MAX.min(i64::try_from(affordable).unwrap_or(POINTS_MAX));
        self.is_cut |= n_points < POINTS_MAX;
        if n_points < 2 {
            return None;
        }
        let step = DurationMs(ContextSettings::HISTORY.0 / n_points);
        let from = until - DurationMs(step.0 * (n_points - 1));
        let narrowed = self.narrowed(expr, self.identity);
        let source = Scan::new(self.reader);
        let series = evaluate_range(&narrowed, &source, (from, until, step), &self.options);
        let outcome = series.ok()?;
        self.spend(outcome.n_samples);
        let labels = outcome.value.iter().map(|series| &series.labels);
        let at = agreeing(labels, self.identity, None)?;
        let points = outcome.value[at].points.iter();
        let points = points.filter_map(|point| Some((point.at, number(&point.value)?)));
        History::of(points.collect(), from, until, step)
    }

    fn bounded(&self) -> EvalOptions {
        EvalOptions {
            samples_max: self.options.samples_max.min(self.samples_left.max(1)),
            ..self.options.clone()
        }
    }

    /// Returns the expression with selectors that select the alert's part alone.
    fn narrowed(&self, expr: &Expr, identity: &Labels) -> Expr {
        let parts = partition(expr);
        let own = identity.iter().filter(|(name, _)| parts.contains(name));
        let own: Vec<Matcher> = own
            .map(|(name, value)| Matcher::equal(name, value))
            .collect();
        let mut narrowed = expr.clone();
        if own.is_empty() {
            return narrowed;
        }
        narrowed.for_each_mut(&mut |node| match &mut node.kind {
            ExprKind::Vector(selector) => selector.matchers.extend(own.iter().cloned()),
            ExprKind::Matrix(matrix) => matrix.selector.matchers.extend(own.iter().cloned()),
            _ => {}
        });
        narrowed
    }
}

fn number(value: &SampleValue) -> Option<f64> {
    match value {
        SampleValue::Float(value) => Some(*value),
        SampleValue::Histogram(histogram) => Some(histogram.count),
    }
}

/// Returns the labels that count where two sides are matched.
fn matched(labels: &Labels, matching: Option<&VectorMatching>) -> Labels {
    match matching {
        None => labels.clone(),
        Some(matching) => {
            labels.filter(|name| matching.labels.iter().any(|label| label == name) == matching.on)
        }
    }
}

/// Returns which of several label sets agrees best with the alert: no label differs, most are the
/// same, the first of equals. One that is alone need have nothing in common.
fn agreeing<'a>(
    sets: impl ExactSizeIterator<Item = &'a Labels>,
    identity: &Labels,
    matching: Option<&VectorMatching>,
) -> Option<usize> {
    let is_alone = sets.len() == 1;
    let mut best: Option<(usize, usize)> = None;
    for (at, labels) in sets.enumerate() {
        let Some(n_common) = agreement(&matched(labels, matching), identity) else {
            continue;
        };
        let is_better = best.is_none_or(|(most, _)| n_common > most);
        if is_better && (n_common > 0 || is_alone || identity.is_empty()) {
            best = Some((n_common, at));
        }
    }
    best.map(|(_, at)| at)
}

impl History {
    fn of(
        points: Vec<(TimestampMs, f64)>,
        from: TimestampMs,
        until: TimestampMs,
        step: DurationMs,
    ) -> Option<History> {
        if points.is_empty() {
            return None;
        }
        let numbers: Vec<f64> = points.iter().map(|point| point.1).collect();
        let numbers: Vec<f64> = numbers
            .into_iter()
            .filter(|value| !value.is_nan())
            .collect();
        let mut mean = 0.0;
        for (n, value) in numbers.iter().enumerate() {
            // Divided before it is added, so that large values do not overflow.
            mean += value / (n + 1) as f64 - mean / (n + 1) as f64;
        }
        let avg = if numbers.is_empty() { f64::NAN } else { mean };
        Some(History {
            from,
            until,
            step,
            min: numbers.iter().copied().fold(f64::NAN, f64::min),
            avg,
            max: numbers.iter().copied().fold(f64::NAN, f64::max),
            points,
        })
    }

    /// Draws the points as a line of text, a character for each step; a blank where there was no
    /// value.
    pub fn sparkline(&self) -> String {
        const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let mut line = String::new();
        let mut at = self.from;
        let mut points = self.points.iter().peekable();
        while at <= self.until && self.step.0 > 0 {
            let value = points.next_if(|point| point.0 == at).map(|point| point.1);
            let level = value.filter(|value| value.is_finite()).map(|value| {
                let share = (value - self.min) / (self.max - self.min);
                // Where all are alike the share is no number, and the level the lowest.
                let level = (share * 8.0) as usize;
                LEVELS[level.min(LEVELS.len() - 1)]
            });
            line.push(level.unwrap_or(' '));
            at = at + self.step;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::history::SeriesHistory;
    use crate::promql::{Features, parse};
    use crate::series::Snapshot;

    const HOUR: i64 = 3_600_000;

    /// Two jobs whose value is the hour, plus 100 for the second.
    fn two_jobs() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (job, base) in [("a", 0.0), ("b", 100.0)] {
            let mut history = SeriesHistory::default();
            for minute in 0..(48 * 60) {
                let at = TimestampMs(minute * 60_000);
                let value = SampleValue::Float(base + (minute / 60) as f64);
                history.append(at, value, TimestampMs::MAX);
            }
            let labels = Labels::from_pairs([("__name__", "x"), ("job", job)]);
            snapshot.insert(labels, history);
        }
        snapshot
    }

    fn expr(text: &str) -> Expr {
        parse(text, &Functions, Features::default()).expect("valid")
    }

    #[test]
    fn the_alerts_own_element_is_read() {
        let snapshot = two_jobs();
        let identity = Labels::from_pairs([("job", "b")]);
        let mut readings = Readings::new(&snapshot, &identity, &EvalOptions::default(), 1000);
        let at = TimestampMs(30 * HOUR);
        assert_eq!(readings.value(&expr("x"), None, at), Some(130.0));
        assert_eq!(readings.n_samples(), 1, "the other series is not read");
        assert_eq!(readings.value(&expr("sum(x)"), None, at), Some(160.0));
        assert_eq!(readings.value(&expr("5"), None, at), Some(5.0));
        assert_eq!(readings.value(&expr("x{job=\"a\"}"), None, at), None);
    }

    #[test]
    fn a_history_is_bounded() {
        let snapshot = two_jobs();
        let identity = Labels::from_pairs([("job", "a")]);
        let until = TimestampMs(30 * HOUR);
        let mut readings = Readings::new(&snapshot, &identity, &EvalOptions::default(), 1000);
        let history = readings.history(&expr("x"), until, 1).expect("there");
        assert_eq!(history.points.len(), 48);
        assert_eq!((history.min, history.max), (6.0, 30.0));
        let line = history.sparkline();
        assert_eq!(line.chars().count(), 48);
        assert!(line.starts_with('▁') && line.ends_with('█'), "{line}");
        assert!(!readings.is_cut());

        let mut readings = Readings::new(&snapshot, &identity, &EvalOptions::default(), 10);
        let history = readings.history(&expr("x"), until, 1).expect("there");
        assert_eq!(history.points.len(), 10);
        assert!(readings.is_cut());
        assert_eq!(readings.history(&expr("x"), until, 1), None);
    }
}
