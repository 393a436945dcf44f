//! `anomaly_zscore`: by how many standard deviations the newest sample differs from the mean of
//! those before it.
//!
//! `(x - mean) / std`, with the population standard deviation (`ddof=0`, as `stddev_over_time`) or
//! that of a sample (`ddof=1`). NaN among the samples is skipped; an infinity there makes it NaN.
//! A standard deviation up to 1e-12 of the mean is none.

use std::any::Any;

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, after, distance, since};
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::model::kahan::KahanSum;
use crate::model::{FloatPoint, SampleValue, TimestampMs};
use crate::windows::{Inside, LiveForm, LiveResult, Moments, NoState, StateKind, WindowState};

/// So many samples are compared with at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

pub(in crate::functions) static ANOMALY_ZSCORE: WindowFunction = WindowFunction::new(
    "anomaly_zscore",
    "Returns by how many standard deviations the newest sample differs from the mean of those \
     before it in the window.",
    "abs(anomaly_zscore(node_load1[1d])) > 4",
    |window| {
        let options = ZscoreOptions::read(window.options())?;
        window.remark_ignored_histograms();
        let score = options.score(window.floats());
        Ok(score.map(SampleValue::Float))
    },
)
.with_options(MATRIX_WITH_OPTIONS, |text| {
    ZscoreOptions::read(text).map(drop)
})
.live(LiveForm::state_of_floats(&ZSCORE, |held, _| {
    held.get::<ZscoreState>()?.score()
}));

static ZSCORE: StateKind = StateKind {
    name: "zscore",
    make: |args| match ZscoreOptions::read(args.options) {
        Ok(options) => Box::new(ZscoreState {
            options,
            newest: None,
            before: Moments::default(),
        }),
        Err(_) => Box::new(NoState),
    },
};

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct ZscoreOptions {
    ddof: usize,
    warmup: Warmup,
    since: TimestampMs,
}

impl ZscoreOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("anomaly_zscore", text)?;
        let read = ZscoreOptions {
            ddof: options.choice("ddof", &[("0", 0), ("1", 1)])?,
            warmup: Warmup::read(&mut options, MIN_SAMPLES)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }

    fn score(&self, points: &[FloatPoint]) -> Option<f64> {
        let (newest, before) = after(points, self.since).split_last()?;
        let before = before.iter().map(|point| point.value);
        let before: Vec<f64> = before.filter(|value| !value.is_nan()).collect();
        match self.warmup.is_over(before.len()) {
            true => Some(zscore(newest.value, &before, self.ddof)),
            false => self.warmup.answer(),
        }
    }
}

/// Returns the score of a value among at least two others, of which none is NaN.
pub(super) fn zscore(value: f64, others: &[f64], ddof: usize) -> f64 {
    if others.iter().any(|other| other.is_infinite()) {
        return f64::NAN;
    }
    let n = others.len() as f64;
    let mean = mean(others.iter().copied(), n);
    let squares = others.iter().map(|other| (other - mean) * (other - mean));
    let variance = sum(squares) / (n - ddof as f64);
    distance(value, mean, variance.sqrt())
}

/// Returns the same from exact sums of the others.
pub(super) fn zscore_of_moments(value: f64, others: &Moments, ddof: usize) -> LiveResult<f64> {
    let n = others.n_values() as f64;
    let variance = others.variance()? * n / (n - ddof as f64);
    Ok(Some(match variance.is_nan() {
        true => f64::NAN,
        false => distance(value, others.mean()?, variance.sqrt()),
    }))
}

/// The newest sample, and the exact sums of those before it.
#[derive(Clone, Debug)]
struct ZscoreState {
    options: ZscoreOptions,
    newest: Option<FloatPoint>,
    /// Of what is no NaN.
    before: Moments,
}

impl ZscoreState {
    fn score(&self) -> LiveResult<f64> {
        let Some(newest) = self.newest else {
            return Ok(None);
        };
        let (warmup, before) = (self.options.warmup, &self.before);
        match warmup.is_over(before.n_values()) {
            true => zscore_of_moments(newest.value, before, self.options.ddof),
            false => Ok(warmup.answer()),
        }
    }
}

impl WindowState for ZscoreState {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if sample.at <= self.options.since {
            return;
        }
        let before = self.newest.replace(sample);
        if let Some(before) = before.filter(|before| !before.value.is_nan()) {
            self.before.add(before.value);
        }
    }

    fn leave(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if sample.at <= self.options.since {
            return;
        }
        if self.newest.is_some_and(|newest| newest.at <= sample.at) {
            self.newest = None;
        } else if !sample.value.is_nan() {
            self.before.remove(sample.value);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Returns the mean of `n` values.
pub(super) fn mean(values: impl Iterator<Item = f64>, n: f64) -> f64 {
    sum(values) / n
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(KahanSum::default(), KahanSum::plus).value()
}
