//! `change_cusum`: cumulative sums of standardised distances from the normal mean.
//!
//! `z = (x - mu) / sigma`; `S+ = max(0, S+ + z - k)`, `S- = max(0, S- - z - k)`; an alarm when
//! either is above `h`, and then both begin at 0 (Page, 1954). `k` is half of the shift that is to
//! be found, in standard deviations, and `h` what it costs: 5 is a false alarm in 465 samples of
//! white noise, 8 in some 10,000. NaN is skipped.
//!
//! What is normal is given as `mu` and `sigma`, or learned from the first samples (`train`); as
//! long as it learns there is no value.

use crate::functions::FunctionError;
use crate::functions::anomaly::{distance, since};
use crate::functions::blocks::{self, DetectorFunction, Standing};
use crate::functions::change::alarm::{Alarms, Mode};
use crate::functions::change::learn::{Learner, Training};
use crate::functions::formula::WindowFunction;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Detector, StateKind};

/// So many samples are learned from at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

/// The part of the window that is learned from, where nothing else is said.
const TRAIN: Training = Training::Share(0.25);

pub(in crate::functions) static CHANGE_CUSUM: WindowFunction = blocks::function::<Cusum>(
    "change_cusum",
    "Returns 1 where cumulative sums of deviations find that the mean has changed, else 0.",
    "change_cusum(node_load1[2d], \"h=8,hold=30m\") == 1",
    &CUSUM,
);

static CUSUM: StateKind = blocks::kind::<Cusum>("cusum");

#[derive(Clone, Copy, Debug)]
enum CusumOutput {
    Alarm,
    Up,
    Down,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct CusumOptions {
    mu: Option<f64>,
    sigma: Option<f64>,
    k: f64,
    h: f64,
    mode: Mode,
    train: Training,
    min_samples: usize,
    hold: DurationMs,
    output: CusumOutput,
    since: TimestampMs,
}

impl CusumOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("change_cusum", text)?;
        let outputs = [
            ("alarm", CusumOutput::Alarm),
            ("pos", CusumOutput::Up),
            ("neg", CusumOutput::Down),
        ];
        let given = |value: f64| (!value.is_nan()).then_some(value);
        let not_negative = |number: f64| number >= 0.0;
        let positive = |number: f64| number > 0.0;
        let mu = options.number("mu", f64::NAN, "a number", f64::is_finite)?;
        let sigma = options.number("sigma", f64::NAN, "a number above 0", positive)?;
        let read = CusumOptions {
            mu: given(mu),
            sigma: given(sigma),
            k: options.number("k", 0.5, "a number from 0 on", not_negative)?,
            h: options.number("h", 5.0, "a number above 0", positive)?,
            mode: Mode::read(&mut options)?,
            train: Training::read(&mut options)?.unwrap_or(TRAIN),
            min_samples: options.count("min_samples", MIN_SAMPLES, 1, 1_000_000)?,
            hold: options.duration("hold", DurationMs(0))?,
            output: options.choice("output", &outputs)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }
}

/// The two sums.
#[derive(Clone, Debug)]
struct Cusum {
    options: CusumOptions,
    /// What is normal, where it is not given.
    learner: Option<Learner>,
    /// Whether any sample has been judged.
    has_begun: bool,
    up: f64,
    down: f64,
    alarms: Alarms,
}

impl Cusum {
    fn standardised(&self, value: f64) -> f64 {
        let learned = self.learner.as_ref();
        let or_learned = |given: Option<f64>, learn: fn(&Learner) -> f64| {
            given.or_else(|| learned.map(learn)).unwrap_or(f64::NAN)
        };
        let mu = or_learned(self.options.mu, Learner::mean);
        let sigma = or_learned(self.options.sigma, Learner::deviation);
        match self.options.sigma {
            Some(sigma) => (value - mu) / sigma,
            None => distance(value, mu, sigma),
        }
    }
}

impl DetectorFunction for Cusum {
    type Options = CusumOptions;

    fn read(text: &str) -> Result<Self::Options, FunctionError> {
        CusumOptions::read(text)
    }

    fn since(options: &Self::Options) -> TimestampMs {
        options.since
    }

    fn begin(options: CusumOptions, range: DurationMs) -> Self {
        let is_given = options.mu.is_some() && options.sigma.is_some();
        let learner = || Learner::new(options.train.span(range), options.min_samples);
        Cusum {
            options,
            learner: (!is_given).then(learner),
            has_begun: false,
            up: 0.0,
            down: 0.0,
            alarms: Alarms::default(),
        }
    }

    fn standing(&self, end: TimestampMs) -> Option<Standing> {
        self.has_begun.then(|| match self.options.output {
            CusumOutput::Alarm => self.alarms.standing(end, self.options.hold),
            CusumOutput::Up => Standing::lasting(self.up),
            CusumOutput::Down => Standing::lasting(self.down),
        })
    }
}

impl Detector for Cusum {
    fn take(&mut self, sample: FloatPoint) {
        if let Some(learner) = &mut self.learner
            && learner.takes(sample)
        {
            return;
        }
        self.has_begun = true;
        let z = self.standardised(sample.value);
        let mut is_alarm = false;
        if !z.is_nan() {
            let (k, h, mode) = (self.options.k, self.options.h, self.options.mode);
            if mode != Mode::Down {
                self.up = (self.up + z - k).max(0.0);
            }
            if mode != Mode::Up {
                self.down = (self.down - z - k).max(0.0);
            }
            is_alarm = self.up > h || self.down > h;
            if is_alarm {
                (self.up, self.down) = (0.0, 0.0);
            }
        }
        self.alarms.note(sample.at, is_alarm);
    }
}
