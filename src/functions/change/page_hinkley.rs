//! `change_page_hinkley`: cumulative sums of distances from the mean so far.
//!
//! `n += 1`; `mean += (x - mean) / n`; `d = x - mean`; `U = α U + d - δ`; `D = α D + d + δ`;
//! `min U` (from +∞), `max D` (from -1). From `min_instances` values on: up when
//! `U - min U > threshold`, down when `max D - D > threshold` (Page, 1954; Hinkley, 1971; the
//! conventions are those of river 0.26's `drift.PageHinkley`). After an alarm it begins anew with
//! the next value. What is no finite number is skipped.
//!
//! `delta` and `threshold` are in the units of the series; with `train` they are in standard
//! deviations of its first samples.

use crate::functions::FunctionError;
use crate::functions::anomaly::since;
use crate::functions::blocks::{self, DetectorFunction, Standing};
use crate::functions::change::alarm::{Alarms, Mode};
use crate::functions::change::learn::{Learner, Training};
use crate::functions::formula::WindowFunction;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Detector, StateKind};

/// So many samples are learned from at least.
const TRAINED_MIN: usize = 10;

pub(in crate::functions) static CHANGE_PAGE_HINKLEY: WindowFunction = blocks::function::<PageHinkley>(
    "change_page_hinkley",
    "Returns 1 where the Page-Hinkley test finds that the mean has changed, else 0.",
    "change_page_hinkley(node_load1[2d], \"threshold=50,train=0.25,hold=30m\") == 1",
    &PAGE_HINKLEY,
);

static PAGE_HINKLEY: StateKind = blocks::kind::<PageHinkley>("page_hinkley");

#[derive(Clone, Copy, Debug)]
enum PageHinkleyOutput {
    Alarm,
    Increase,
    Decrease,
    Mean,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct PageHinkleyOptions {
    min_instances: usize,
    delta: f64,
    threshold: f64,
    alpha: f64,
    mode: Mode,
    train: Option<Training>,
    hold: DurationMs,
    output: PageHinkleyOutput,
    since: TimestampMs,
}

impl PageHinkleyOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("change_page_hinkley", text)?;
        let outputs = [
            ("alarm", PageHinkleyOutput::Alarm),
            ("sum_increase", PageHinkleyOutput::Increase),
            ("sum_decrease", PageHinkleyOutput::Decrease),
            ("mean", PageHinkleyOutput::Mean),
        ];
        let not_negative = |number: f64| number >= 0.0 && number.is_finite();
        let is_share = |number: f64| number > 0.0 && number <= 1.0;
        let read = PageHinkleyOptions {
            min_instances: options.count("min_instances", 30, 1, 1_000_000)?,
            delta: options.number("delta", 0.005, "a number from 0 on", not_negative)?,
            threshold: options.number("threshold", 50.0, "a number from 0 on", not_negative)?,
            alpha: options.number("alpha", 0.9999, "a number above 0, up to 1", is_share)?,
            mode: Mode::read(&mut options)?,
            train: Training::read(&mut options)?,
            hold: options.duration("hold", DurationMs(0))?,
            output: options.choice("output", &outputs)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }
}

/// The sums since the last alarm.
#[derive(Clone, Copy, Debug)]
struct Sums {
    n: usize,
    mean: f64,
    increase: f64,
    decrease: f64,
    least_increase: f64,
    most_decrease: f64,
}

impl Default for Sums {
    fn default() -> Self {
        Sums {
            n: 0,
            mean: 0.0,
            increase: 0.0,
            decrease: 0.0,
            least_increase: f64::INFINITY,
            most_decrease: -1.0,
        }
    }
}

impl Sums {
    /// Takes a value; returns whether that is a change up, and one down.
    fn take(&mut self, value: f64, options: &PageHinkleyOptions) -> (bool, bool) {
        self.n += 1;
        self.mean += (value - self.mean) / self.n as f64;
        let difference = value - self.mean;
        self.increase = options.alpha * self.increase + difference - options.delta;
        self.decrease = options.alpha * self.decrease + difference + options.delta;
        self.least_increase = self.least_increase.min(self.increase);
        self.most_decrease = self.most_decrease.max(self.decrease);
        if self.n < options.min_instances {
            return (false, false);
        }
        (
            self.increase - self.least_increase > options.threshold,
            self.most_decrease - self.decrease > options.threshold,
        )
    }
}

/// The test, and its alarms.
#[derive(Clone, Debug)]
struct PageHinkley {
    options: PageHinkleyOptions,
    learner: Option<Learner>,
    sums: Sums,
    /// How many values there have been since it began, up to what makes it warm.
    n_seen: usize,
    is_alarm: bool,
    alarms: Alarms,
}

impl DetectorFunction for PageHinkley {
    type Options = PageHinkleyOptions;

    fn read(text: &str) -> Result<Self::Options, FunctionError> {
        PageHinkleyOptions::read(text)
    }

    fn since(options: &Self::Options) -> TimestampMs {
        options.since
    }

    fn begin(options: PageHinkleyOptions, range: DurationMs) -> Self {
        let learner = |train: Training| Learner::new(train.span(range), TRAINED_MIN);
        PageHinkley {
            options,
            learner: options.train.map(learner),
            sums: Sums::default(),
            n_seen: 0,
            is_alarm: false,
            alarms: Alarms::default(),
        }
    }

    fn standing(&self, end: TimestampMs) -> Option<Standing> {
        match self.options.output {
            PageHinkleyOutput::Alarm => {
                let is_warm = self.n_seen >= self.options.min_instances;
                is_warm.then(|| self.alarms.standing(end, self.options.hold))
            }
            PageHinkleyOutput::Increase => Some(Standing::lasting(self.sums.increase)),
            PageHinkleyOutput::Decrease => Some(Standing::lasting(self.sums.decrease)),
            PageHinkleyOutput::Mean => Some(Standing::lasting(self.sums.mean)),
        }
    }
}

impl Detector for PageHinkley {
    fn take(&mut self, sample: FloatPoint) {
        let value = match &mut self.learner {
            Some(learner) => {
                if learner.takes(sample) {
                    return;
                }
                learner.standardised(sample.value)
            }
            None => sample.value,
        };
        if !value.is_finite() {
            self.alarms.note(sample.at, false);
            return;
        }
        if std::mem::take(&mut self.is_alarm) {
            self.sums = Sums::default();
        }
        self.n_seen = self.n_seen.saturating_add(1);
        let (is_up, is_down) = self.sums.take(value, &self.options);
        self.is_alarm = self.options.mode.counts(is_up, is_down);
        self.alarms.note(sample.at, self.is_alarm);
    }
}
