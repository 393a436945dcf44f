//! `anomaly_mad`: how far the newest sample lies from the median of those before it, by their
//! median absolute deviation: few outliers among them change neither.
//!
//! `0.6745 (x - median) / MAD`, which of normally distributed values is their z-score (Iglewicz and
//! Hoaglin, 1993; 3.5 is their threshold). Where more than half of the values are one (a MAD up to
//! 1e-12 of the median) the mean absolute deviation times 1.2533 stands in for MAD / 0.6745. NaN
//! is skipped; an infinity among the samples makes it NaN.

use std::any::Any;

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, after, distance, is_negligible, since};
use crate::functions::anomaly::zscore::mean;
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::functions::quantile::quantile;
use crate::model::{FloatPoint, SampleValue, TimestampMs};
use crate::windows::{
    Inside, LiveForm, LiveResult, NoState, Ordered, StateKind, VALUES_MAX, WindowState,
};

/// So many samples are compared with at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

/// The 0.75-quantile of the normal distribution: its MAD in standard deviations.
const NORMAL_MAD: f64 = 0.674_489_750_196_081_7;

/// The square root of π/2: the standard deviation of a normal distribution in mean absolute
/// deviations.
const NORMAL_MEAN_DEVIATIONS: f64 = 1.253_314_137_315_500_3;

pub(in crate::functions) static ANOMALY_MAD: WindowFunction = WindowFunction::new(
    "anomaly_mad",
    "Returns how far the newest sample is from the median of those before it in the window, in \
     standard deviations as their median absolute deviation suggests.",
    "abs(anomaly_mad(node_load1[1d])) > 3.5",
    |window| {
        let options = MadOptions::read(window.options())?;
        window.remark_ignored_histograms();
        let score = options.score(window.floats());
        Ok(score.map(SampleValue::Float))
    },
)
.with_options(MATRIX_WITH_OPTIONS, |text| MadOptions::read(text).map(drop))
.live(LiveForm::state_of_floats(&MAD, |held, _| {
    held.get::<MadState>()?.score()
}))
.up_to(|_| Some(VALUES_MAX));

static MAD: StateKind = StateKind {
    name: "mad",
    make: |args| match MadOptions::read(args.options) {
        Ok(options) => Box::new(MadState {
            options,
            newest: None,
            ordered: Ordered::default(),
        }),
        Err(_) => Box::new(NoState),
    },
};

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct MadOptions {
    warmup: Warmup,
    since: TimestampMs,
}

impl MadOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("anomaly_mad", text)?;
        let read = MadOptions {
            warmup: Warmup::read(&mut options, MIN_SAMPLES)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }

    fn score(&self, points: &[FloatPoint]) -> Option<f64> {
        let (newest, before) = after(points, self.since).split_last()?;
        let before = before.iter().map(|point| point.value);
        let mut before: Vec<f64> = before.filter(|value| !value.is_nan()).collect();
        match self.warmup.is_over(before.len()) {
            true => Some(mad_score(newest.value, &mut before)),
            false => self.warmup.answer(),
        }
    }
}

/// Returns the score of a value among at least two others, of which none is NaN.
fn mad_score(value: f64, others: &mut [f64]) -> f64 {
    if others.iter().any(|other| other.is_infinite()) {
        return f64::NAN;
    }
    let median = quantile(0.5, others);
    let mut deviations: Vec<f64> = others.iter().map(|other| (other - median).abs()).collect();
    let mad = quantile(0.5, &mut deviations);
    if !is_negligible(mad, median) {
        return distance(value, median, mad / NORMAL_MAD);
    }
    let n = deviations.len() as f64;
    let spread = mean(deviations.into_iter(), n) * NORMAL_MEAN_DEVIATIONS;
    distance(value, median, spread)
}

/// The newest sample, and all in order.
#[derive(Clone, Debug)]
struct MadState {
    options: MadOptions,
    newest: Option<FloatPoint>,
    ordered: Ordered,
}

impl MadState {
    fn score(&self) -> LiveResult<f64> {
        let Some(newest) = self.newest else {
            return Ok(None);
        };
        let values = self.ordered.values()?;
        let numbers = &values[values.partition_point(|value| value.is_nan())..];
        let others = Others {
            left_out: match newest.value.is_nan() {
                true => numbers.len(),
                false => numbers.partition_point(|value| *value < newest.value),
            },
            n: numbers.len() - usize::from(!newest.value.is_nan()),
            numbers,
        };
        let warmup = self.options.warmup;
        Ok(match warmup.is_over(others.n) {
            true => Some(others.score(newest.value)),
            false => warmup.answer(),
        })
    }
}

/// Ascending values but for one.
struct Others<'a> {
    numbers: &'a [f64],
    left_out: usize,
    n: usize,
}

impl Others<'_> {
    fn at(&self, number: usize) -> f64 {
        self.numbers[number + usize::from(number >= self.left_out)]
    }

    fn score(&self, value: f64) -> f64 {
        if self.at(0).is_infinite() || self.at(self.n - 1).is_infinite() {
            return f64::NAN;
        }
        let (lower, upper) = ((self.n - 1) / 2, self.n / 2);
        let between = |lower: f64, upper: f64| match self.n % 2 {
            0 => lower * 0.5 + upper * 0.5,
            _ => lower,
        };
        let median = between(self.at(lower), self.at(upper));
        let mut deviations = self.deviations(median).skip(lower);
        let nearer = deviations.next().unwrap_or(f64::NAN);
        let farther = match self.n % 2 {
            0 => deviations.next().unwrap_or(f64::NAN),
            _ => nearer,
        };
        let mad = between(nearer, farther);
        if !is_negligible(mad, median) {
            return distance(value, median, mad / NORMAL_MAD);
        }
        let spread = mean(self.deviations(median), self.n as f64) * NORMAL_MEAN_DEVIATIONS;
        distance(value, median, spread)
    }

    /// Iterates over the distances from the median, ascending: they grow to both sides of it.
    fn deviations(&self, median: f64) -> impl Iterator<Item = f64> {
        let distance = move |number: usize| (self.at(number) - median).abs();
        // What is not taken yet on either side: the first so many, and those from there on.
        let (mut below, mut above) = (self.n.div_ceil(2), self.n.div_ceil(2));
        std::iter::from_fn(move || {
            let nearest_below = below.checked_sub(1).map(distance);
            let nearest_above = (above < self.n).then(|| distance(above));
            match (nearest_below, nearest_above) {
                (Some(nearest), other) if other.is_none_or(|other| nearest <= other) => {
                    below -= 1;
                    Some(nearest)
                }
                (_, other) => {
                    above += 1;
                    other
                }
            }
        })
    }
}

impl WindowState for MadState {
    fn enter(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at > self.options.since {
            self.newest = Some(sample);
            self.ordered.enter(sample, inside);
        }
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        if sample.at <= self.options.since {
            return;
        }
        if self.newest.is_some_and(|newest| newest.at <= sample.at) {
            self.newest = None;
        }
        self.ordered.leave(sample, inside);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
