//! `forecast_time_to`, `forecast_error`: when a line through the window meets a threshold, and how
//! wrong such a line has been.
//!
//! The line is that of least squares, as `predict_linear` has it, with time measured from the
//! evaluation. `steps=cut` takes what comes after the last step alone, `method=theil_sen` the
//! median of the slopes between pairs of samples (Sen, 1968): both read the samples.

use std::any::Any;

use crate::functions::FunctionError;
use crate::functions::anomaly::{after, since};
use crate::functions::deriv::linear_regression;
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::functions::quantile::quantile;
use crate::model::{DurationMs, FloatPoint, SampleValue, TimestampMs};
use crate::promql::ValueType;
use crate::windows::{Inside, Line, LiveForm, NoState, StateKind, WindowState};

/// A difference between neighbouring samples that is so many times as large as the median of all
/// is a step.
const STEP_FACTOR: f64 = 20.0;

/// Of more samples only so many are taken for the slopes between pairs, evenly spread.
const THEIL_SEN_MAX: usize = 256;

pub(super) static FORECAST_TIME_TO: WindowFunction = WindowFunction::new(
    "forecast_time_to",
    "Returns in how many seconds the line through the window meets a threshold: 0 if it is there, \
     +Inf if it does not go there.",
    "forecast_time_to(node_filesystem_avail_bytes[6h], 0, \"direction=down\") < 4 * 3600",
    |window| {
        let options = TimeToOptions::read(window.options())?;
        window.remark_ignored_histograms();
        let (threshold, at) = (window.call.scalar(1), window.call.at);
        let seconds = options.time_to(window.floats(), threshold, at);
        Ok(seconds.map(SampleValue::Float))
    },
)
.with_options(
    &[ValueType::Matrix, ValueType::Scalar, ValueType::String],
    |text| TimeToOptions::read(text).map(drop),
)
.live(LiveForm::state_over_time(&TIME_TO, |held, args| {
    let state = held.get::<TimeToState>()?;
    let threshold = args.scalars.first().copied().unwrap_or(f64::NAN);
    let Some(first) = held.inside.first_after(state.options.fit.since) else {
        return Ok(None);
    };
    let line = state.line.through(first, args.at)?;
    Ok(line.map(|line| state.options.until_met(line, threshold, first.value)))
}))
.up_to(|text| samples_max(TimeToOptions::read(text).map(|options| options.fit)));

static TIME_TO: StateKind = StateKind {
    name: "time to",
    make: |args| match TimeToOptions::read(args.options) {
        Ok(options) if options.fit.is_plain() => Box::new(TimeToState {
            options,
            line: Line::default(),
        }),
        _ => Box::new(NoState),
    },
};

pub(super) static FORECAST_ERROR: WindowFunction = WindowFunction::new(
    "forecast_error",
    "Returns by how much the newest sample differs from what a line through the window forecast \
     some time (2h) before.",
    "abs(forecast_error(node_filesystem_avail_bytes[6h], \"horizon=2h,output=relative\")) > 0.2",
    |window| {
        let options = ErrorOptions::read(window.options())?;
        window.remark_ignored_histograms();
        Ok(options.error(window.floats()).map(SampleValue::Float))
    },
)
.with_options(MATRIX_WITH_OPTIONS, |text| {
    ErrorOptions::read(text).map(drop)
})
.live(LiveForm::state_of_floats(&ERROR, |held, _| {
    let state = held.get::<ErrorState>()?;
    let first = held.inside.first_after(state.options.fit.since);
    let (Some(newest), Some(first)) = (state.newest, first) else {
        return Ok(None);
    };
    let line = state.line.through(first, newest.at)?;
    Ok(line.map(|(_, forecast)| state.options.told(newest.value, forecast)))
}))
.up_to(|text| samples_max(ErrorOptions::read(text).map(|options| options.fit)));

static ERROR: StateKind = StateKind {
    name: "forecast error",
    make: |args| match ErrorOptions::read(args.options) {
        Ok(options) if options.fit.is_plain() => Box::new(ErrorState {
            options,
            newest: None,
            line: Line::default(),
            laid_until: None,
        }),
        _ => Box::new(NoState),
    },
};

/// How a line is laid through samples.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    LeastSquares,
    TheilSen,
}

/// Which line is meant.
#[derive(Clone, Copy, Debug)]
struct Fit {
    method: Method,
    /// Whether only what comes after the last step counts.
    cuts_steps: bool,
    since: TimestampMs,
}

impl Fit {
    fn read(options: &mut Options<'_>) -> Result<Self, FunctionError> {
        let methods = [
            ("least_squares", Method::LeastSquares),
            ("theil_sen", Method::TheilSen),
        ];
        Ok(Fit {
            method: options.choice("method", &methods)?,
            cuts_steps: options.choice("steps", &[("keep", false), ("cut", true)])?,
            since: since(options)?,
        })
    }

    /// Tells whether the line follows from sums.
    fn is_plain(&self) -> bool {
        self.method == Method::LeastSquares && !self.cuts_steps
    }

    /// Returns slope per second, and value at `origin`, of the line; `None` for less than two
    /// samples.
    fn line(&self, points: &[FloatPoint], origin: TimestampMs) -> Option<(f64, f64)> {
        let mut points = after(points, self.since);
        if self.cuts_steps {
            points = after_last_step(points);
        }
        (points.len() >= 2).then(|| match self.method {
            Method::LeastSquares => linear_regression(points, origin),
            Method::TheilSen => theil_sen(points, origin),
        })
    }
}

/// Tells of how many samples a line is kept: of none that does not follow from sums.
fn samples_max(fit: Result<Fit, FunctionError>) -> Option<usize> {
    fit.is_ok_and(|fit| !fit.is_plain()).then_some(0)
}

/// Returns the samples from the last step on. A step is a difference between neighbours that is
/// much larger than most.
fn after_last_step(points: &[FloatPoint]) -> &[FloatPoint] {
    let differences = points.windows(2).map(|pair| pair[1].value - pair[0].value);
    let differences: Vec<f64> = differences.map(f64::abs).collect();
    let usual = quantile(0.5, &mut differences.clone());
    let is_step = |difference: &f64| *difference > STEP_FACTOR * usual;
    // Where most neighbours are equal everything else would be a step: then the mean is usual.
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    let is_rare_step = |difference: &f64| *difference > STEP_FACTOR.sqrt() * mean;
    let last = differences
        .iter()
        .rposition(|difference| is_step(difference) && is_rare_step(difference));
    last.map_or(points, |last| &points[last + 1..])
}

/// Returns slope per second, and value at `origin`, of the line with the median slope between
/// pairs of samples, and the median distance from the samples.
fn theil_sen(points: &[FloatPoint], origin: TimestampMs) -> (f64, f64) {
    let n = points.len();
    let n_taken = n.min(THEIL_SEN_MAX);
    let place = |number: usize| number * (n - 1) / (n_taken - 1).max(1);
    let taken: Vec<(f64, f64)> = (0..n_taken)
        .map(|number| points[place(number)])
        .map(|point| ((point.at - origin).seconds(), point.value))
        .collect();
    let mut slopes = Vec::with_capacity(n_taken * (n_taken - 1) / 2);
    for (number, later) in taken.iter().enumerate() {
        for earlier in &taken[..number] {
            slopes.push((later.1 - earlier.1) / (later.0 - earlier.0));
        }
    }
    let slope = quantile(0.5, &mut slopes);
    let mut intercepts: Vec<f64> = taken.iter().map(|(x, y)| y - slope * x).collect();
    (slope, quantile(0.5, &mut intercepts))
}

/// Which way the threshold is met.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    /// From the side on which the window's oldest sample lies.
    Auto,
    Up,
    Down,
}

/// What can be chosen of `forecast_time_to`.
#[derive(Clone, Copy, Debug)]
struct TimeToOptions {
    direction: Direction,
    fit: Fit,
}

impl TimeToOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("forecast_time_to", text)?;
        let directions = [
            ("auto", Direction::Auto),
            ("up", Direction::Up),
            ("down", Direction::Down),
        ];
        let read = TimeToOptions {
            direction: options.choice("direction", &directions)?,
            fit: Fit::read(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }

    fn time_to(&self, points: &[FloatPoint], threshold: f64, at: TimestampMs) -> Option<f64> {
        let line = self.fit.line(points, at)?;
        let first = after(points, self.fit.since).first()?;
        Some(self.until_met(line, threshold, first.value))
    }

    /// Returns when a line meets the threshold, in seconds.
    fn until_met(&self, (slope, now): (f64, f64), threshold: f64, first: f64) -> f64 {
        if slope.is_nan() || now.is_nan() || threshold.is_nan() {
            return f64::NAN;
        }
        let is_up = match self.direction {
            Direction::Up => true,
            Direction::Down => false,
            Direction::Auto => first <= threshold,
        };
        let (slope, missing) = match is_up {
            true => (slope, threshold - now),
            false => (-slope, now - threshold),
        };
        if missing <= 0.0 {
            0.0
        } else if slope <= 0.0 {
            f64::INFINITY
        } else {
            missing / slope
        }
    }
}

/// What is told of a forecast.
#[derive(Clone, Copy, Debug)]
enum ErrorOutput {
    Error,
    Relative,
    Forecast,
}

/// What can be chosen of `forecast_error`.
#[derive(Clone, Copy, Debug)]
struct ErrorOptions {
    horizon: DurationMs,
    output: ErrorOutput,
    fit: Fit,
}

impl ErrorOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("forecast_error", text)?;
        let outputs = [
            ("error", ErrorOutput::Error),
            ("relative", ErrorOutput::Relative),
            ("forecast", ErrorOutput::Forecast),
        ];
        let read = ErrorOptions {
            horizon: options.duration("horizon", DurationMs(7_200_000))?,
            output: options.choice("output", &outputs)?,
            fit: Fit::read(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }

    fn error(&self, points: &[FloatPoint]) -> Option<f64> {
        let newest = points.last()?;
        let made_at = newest.at - self.horizon;
        let known = &points[..points.partition_point(|point| point.at <= made_at)];
        let (_, forecast) = self.fit.line(known, newest.at)?;
        Some(self.told(newest.value, forecast))
    }

    fn told(&self, value: f64, forecast: f64) -> f64 {
        match self.output {
            ErrorOutput::Error => value - forecast,
            ErrorOutput::Relative => (value - forecast) / value.abs(),
            ErrorOutput::Forecast => forecast,
        }
    }
}

/// The line through a window.
#[derive(Clone, Debug)]
struct TimeToState {
    options: TimeToOptions,
    line: Line,
}

impl WindowState for TimeToState {
    fn enter(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at > self.options.fit.since {
            self.line.enter(sample, inside);
        }
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at > self.options.fit.since {
            self.line.leave(sample, inside);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The newest sample, and the line through what was known when it was forecast.
#[derive(Clone, Debug)]
struct ErrorState {
    options: ErrorOptions,
    newest: Option<FloatPoint>,
    line: Line,
    /// The line goes through all that is inside up to here.
    laid_until: Option<TimestampMs>,
}

impl WindowState for ErrorState {
    fn enter(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at <= self.options.fit.since {
            return;
        }
        self.newest = Some(sample);
        let before = || TimestampMs(sample.at.0 - 1);
        let laid_until = self.laid_until.get_or_insert_with(before);
        let known_until = sample.at - self.options.horizon;
        if known_until > *laid_until {
            for known in inside.floats(*laid_until, known_until) {
                self.line.enter(known, inside);
            }
            *laid_until = known_until;
        }
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at <= self.options.fit.since {
            return;
        }
        if self.laid_until.is_some_and(|until| sample.at <= until) {
            self.line.leave(sample, inside);
        } else {
            self.laid_until = Some(sample.at);
        }
        if self.newest.is_some_and(|newest| newest.at <= sample.at) {
            self.newest = None;
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample every 15 s.
    fn points(values: impl Iterator<Item = f64>) -> Vec<FloatPoint> {
        let at = |number: usize| TimestampMs(15_000 * number as i64);
        let points = values.enumerate();
        points
            .map(|(number, value)| FloatPoint {
                at: at(number),
                value,
            })
            .collect()
    }

    fn time_to(options: &str, points: &[FloatPoint], threshold: f64) -> Option<f64> {
        let read = TimeToOptions::read(options).expect(options);
        read.time_to(points, threshold, points[points.len() - 1].at)
    }

    #[test]
    fn a_step_is_no_trend_where_it_is_cut() {
        // 1 a second all along, and 1000 less after a restart.
        let value = |number: usize| match number {
            ..60 => 15.0 * number as f64 + 1000.0,
            _ => 15.0 * number as f64,
        };
        let points = points((0..120).map(value));
        let now = value(119);
        let cut = time_to("direction=up,steps=cut", &points, now + 600.0);
        assert!((cut.expect("a time") - 600.0).abs() < 1e-6, "{cut:?}");
        let kept = time_to("direction=up", &points, now + 600.0).expect("a time");
        assert!((kept - 600.0).abs() > 300.0, "{kept}");
    }

    #[test]
    fn outliers_do_not_bend_the_median_slope() {
        let value = |number: usize| match number % 10 {
            7 => 1e6,
            _ => 30.0 * number as f64,
        };
        let points = points((0..1000).map(value));
        let threshold = value(999) + 7200.0;
        let median = time_to("method=theil_sen", &points, threshold).expect("a time");
        assert!((median - 3600.0).abs() < 40.0, "{median}");
        assert_eq!(time_to("direction=up", &points, threshold), Some(0.0));
    }

    #[test]
    fn what_has_come_from_the_other_side_is_met_by_itself() {
        let falling = points((0..20).map(|number| 100.0 - number as f64));
        // From 81 at a fifteenth a second.
        assert_eq!(time_to("", &falling, 71.0).map(f64::round), Some(150.0));
        assert_eq!(time_to("direction=up", &falling, 71.0), Some(0.0));
        assert_eq!(time_to("", &falling, 101.0), Some(f64::INFINITY));
        assert_eq!(time_to("", &falling[..1], 71.0), None);
    }

    #[test]
    fn an_error_is_that_of_a_forecast_made_before() {
        let points = points((0..100).map(|number| match number {
            99 => 150.0,
            _ => number as f64,
        }));
        let error = |text: &str| ErrorOptions::read(text).expect(text).error(&points);
        let near = |got: Option<f64>, expected: f64| {
            let got = got.expect("a forecast");
            assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        };
        near(error("horizon=5m"), 51.0);
        near(error("horizon=5m,output=forecast"), 99.0);
        near(error("horizon=5m,output=relative"), 0.34);
        assert_eq!(error("horizon=1h"), None);
    }
}
