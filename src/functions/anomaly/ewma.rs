//! `anomaly_ewma`: the z-score of the newest sample against exponentially weighted mean and
//! variance of those before it.
//!
//! The first value sets the mean, with variance 0. Then with `d = x - mean`: `z = d / √variance`,
//! `mean += α d`, `variance = (1 - α) (variance + α d²)` (Finch, 2009; `ewm(adjust=False)` in
//! pandas). A value that is no finite number is scored, but not learned.

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, since};
use crate::functions::blocks::{self, DetectorFunction, Standing};
use crate::functions::formula::WindowFunction;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Detector, StateKind};

/// The weight of a new value, where nothing else is said.
const ALPHA: f64 = 0.05;

/// So many values are learned from at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

pub(in crate::functions) static ANOMALY_EWMA: WindowFunction = blocks::function::<Ewma>(
    "anomaly_ewma",
    "Returns by how many standard deviations the newest sample differs from the exponentially \
     weighted mean of those before it.",
    "abs(anomaly_ewma(node_load1[1d], \"alpha=0.1\")) > 4",
    &EWMA,
);

static EWMA: StateKind = blocks::kind::<Ewma>("ewma");

#[derive(Clone, Copy, Debug)]
enum EwmaOutput {
    Score,
    Mean,
    Variance,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct EwmaOptions {
    alpha: f64,
    output: EwmaOutput,
    warmup: Warmup,
    since: TimestampMs,
}

impl EwmaOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("anomaly_ewma", text)?;
        let outputs = [
            ("score", EwmaOutput::Score),
            ("mean", EwmaOutput::Mean),
            ("var", EwmaOutput::Variance),
        ];
        let is_weight = |alpha: f64| alpha > 0.0 && alpha <= 1.0;
        let read = EwmaOptions {
            alpha: options.number("alpha", ALPHA, "a number above 0, up to 1", is_weight)?,
            output: options.choice("output", &outputs)?,
            warmup: Warmup::read(&mut options, MIN_SAMPLES)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }
}

/// Mean and variance of what has been, and the score of the newest value.
#[derive(Clone, Debug)]
struct Ewma {
    options: EwmaOptions,
    n_learned: usize,
    /// How many had been learned when the newest value came.
    n_before: usize,
    mean: f64,
    variance: f64,
    score: f64,
}

impl Ewma {
    fn value(&self) -> Option<f64> {
        self.options
            .warmup
            .score(self.n_before, || match self.options.output {
                EwmaOutput::Score => self.score,
                EwmaOutput::Mean => self.mean,
                EwmaOutput::Variance => self.variance,
            })
    }
}

impl DetectorFunction for Ewma {
    type Options = EwmaOptions;

    fn read(text: &str) -> Result<Self::Options, FunctionError> {
        EwmaOptions::read(text)
    }

    fn since(options: &Self::Options) -> TimestampMs {
        options.since
    }

    fn begin(options: EwmaOptions, _: DurationMs) -> Self {
        Ewma {
            options,
            n_learned: 0,
            n_before: 0,
            mean: f64::NAN,
            variance: f64::NAN,
            score: f64::NAN,
        }
    }

    fn standing(&self, _: TimestampMs) -> Option<Standing> {
        self.value().map(Standing::lasting)
    }
}

impl Detector for Ewma {
    fn take(&mut self, sample: FloatPoint) {
        let (value, alpha) = (sample.value, self.options.alpha);
        self.n_before = self.n_learned;
        if self.n_learned > 0 {
            self.score = match value - self.mean {
                0.0 => 0.0,
                // Without variance that is an infinity.
                difference => difference / self.variance.sqrt(),
            };
        }
        if !value.is_finite() {
            return;
        }
        self.n_learned += 1;
        if self.n_learned == 1 {
            (self.mean, self.variance) = (value, 0.0);
            return;
        }
        let difference = value - self.mean;
        self.mean += alpha * difference;
        self.variance = (1.0 - alpha) * (self.variance + alpha * difference * difference);
    }
}
