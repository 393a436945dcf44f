//! `change_adwin`: whether two parts of the recent past have different means (ADWIN2).
//!
//! The values since the last alarm lie in an exponential histogram: row `i` has up to
//! `max_buckets` buckets of `2^i` values, and the two oldest merge when one more comes, so memory
//! grows with the logarithm. Every `clock` values, if there are more than `grace_period`, all cuts
//! between buckets are tried from the oldest on, where both sides have `min_window_length`:
//! a change where `|mean0 - mean1| > √(2 m v L) + ⅔ m L`, with
//! `m = 1/(n0 - min_window_length + 1) + 1/(n1 - min_window_length + 1)`, `v` the variance of all,
//! `L = ln(2 ln(width) / delta)` (Bifet and Gavaldà, 2007; the conventions are those of river
//! 0.26's `drift.ADWIN`). On a cut the oldest bucket goes and all is tried again. After an alarm
//! it begins anew with the next value. What is no finite number is skipped.
//!
//! The bound takes values to be of a size about 1: `train` standardises them by the first samples.

use std::collections::VecDeque;

use crate::functions::FunctionError;
use crate::functions::anomaly::since;
use crate::functions::blocks::{self, DetectorFunction, Standing};
use crate::functions::change::alarm::Alarms;
use crate::functions::change::learn::{Learner, Training};
use crate::functions::formula::WindowFunction;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Detector, StateKind};

/// So many samples are learned from at least.
const TRAINED_MIN: usize = 10;

pub(in crate::functions) static CHANGE_ADWIN: WindowFunction = blocks::function::<Adwin>(
    "change_adwin",
    "Returns 1 where an adaptive window (ADWIN) is cut because its mean has changed, else 0.",
    "change_adwin(node_load1[2d], \"train=0.25,hold=30m\") == 1",
    &ADWIN,
);

static ADWIN: StateKind = blocks::kind::<Adwin>("adwin");

#[derive(Clone, Copy, Debug)]
enum AdwinOutput {
    Alarm,
    Width,
    Estimation,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct AdwinOptions {
    delta: f64,
    clock: usize,
    max_buckets: usize,
    min_window_length: usize,
    grace_period: usize,
    train: Option<Training>,
    hold: DurationMs,
    output: AdwinOutput,
    since: TimestampMs,
}

impl AdwinOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("change_adwin", text)?;
        let outputs = [
            ("alarm", AdwinOutput::Alarm),
            ("width", AdwinOutput::Width),
            ("estimation", AdwinOutput::Estimation),
        ];
        let is_share = |number: f64| number > 0.0 && number < 1.0;
        let read = AdwinOptions {
            delta: options.number("delta", 0.002, "a number between 0 and 1", is_share)?,
            clock: options.count("clock", 32, 1, 100_000)?,
            max_buckets: options.count("max_buckets", 5, 2, 100)?,
            min_window_length: options.count("min_window_length", 5, 1, 100_000)?,
            grace_period: options.count("grace_period", 10, 0, 1_000_000)?,
            train: Training::read(&mut options)?,
            hold: options.duration("hold", DurationMs(0))?,
            output: options.choice("output", &outputs)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }
}

/// Values of which only their sum and the sum of their squared distances from the mean are known.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    total: f64,
    squares: f64,
}

/// Returns what is between two groups of values of a sum of squared distances, as both have their
/// own: `n0 n1 (mean0 - mean1)² / (n0 + n1)` (Chan, Golub and LeVeque, 1979).
fn between((n0, mean0): (f64, f64), (n1, mean1): (f64, f64)) -> f64 {
    let difference = mean0 - mean1;
    n0 * n1 * difference * difference / (n0 + n1)
}

/// The values since the last alarm.
#[derive(Clone, Debug, Default)]
struct Histogram {
    /// Row `i` has buckets of 2^i values, the oldest first.
    rows: Vec<VecDeque<Bucket>>,
    n_taken: usize,
    width: f64,
    total: f64,
    squares: f64,
}

impl Histogram {
    /// Takes a value; returns whether there was a cut.
    fn take(&mut self, value: f64, options: &AdwinOptions) -> bool {
        if self.width > 0.0 {
            let mean = self.total / self.width;
            self.squares += between((self.width, mean), (1.0, value));
        }
        self.width += 1.0;
        self.total += value;
        self.put(
            0,
            Bucket {
                total: value,
                squares: 0.0,
            },
            options.max_buckets,
        );
        self.n_taken += 1;
        let is_due = self.n_taken.is_multiple_of(options.clock);
        let mut has_cut = false;
        if is_due && self.width > options.grace_period as f64 {
            while self.has_cut(options) {
                has_cut = true;
                self.drop_oldest();
            }
        }
        has_cut
    }

    /// Puts a bucket into a row; where there are too many, the two oldest become one of the next.
    fn put(&mut self, mut row: usize, mut bucket: Bucket, max_buckets: usize) {
        loop {
            if row == self.rows.len() {
                self.rows.push(VecDeque::new());
            }
            let buckets = &mut self.rows[row];
            buckets.push_back(bucket);
            if buckets.len() <= max_buckets {
                return;
            }
            let (Some(first), Some(second)) = (buckets.pop_front(), buckets.pop_front()) else {
                return;
            };
            let n = size_of_row(row);
            bucket = Bucket {
                total: first.total + second.total,
                squares: first.squares
                    + second.squares
                    + between((n, first.total / n), (n, second.total / n)),
            };
            row += 1;
        }
    }

    /// Tells whether the means before and after any cut between buckets differ too much.
    fn has_cut(&self, options: &AdwinOptions) -> bool {
        let least = options.min_window_length as f64;
        let variance = self.squares / self.width;
        let confidence = (2.0 * self.width.ln() / options.delta).ln();
        let (mut n0, mut u0) = (0.0, 0.0);
        let rows = self.rows.iter().enumerate().rev();
        let buckets = rows.flat_map(|(row, buckets)| {
            let n = size_of_row(row);
            buckets.iter().map(move |bucket| (n, bucket.total))
        });
        for (n, total) in buckets {
            n0 += n;
            u0 += total;
            let (n1, u1) = (self.width - n0, self.total - u0);
            // The newest bucket is no cut: there is nothing behind it.
            if n1 <= 0.0 {
                return false;
            }
            if n0 < least || n1 < least {
                continue;
            }
            let m = 1.0 / (n0 - least + 1.0) + 1.0 / (n1 - least + 1.0);
            let bound = (2.0 * m * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * m;
            if (u0 / n0 - u1 / n1).abs() > bound {
                return true;
            }
        }
        false
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.len().checked_sub(1) else {
            return;
        };
        let Some(bucket) = self.rows[row].pop_front() else {
            return;
        };
        let n = size_of_row(row);
        self.width -= n;
        self.total -= bucket.total;
        let mean = self.total / self.width;
        let others = between((n, bucket.total / n), (self.width, mean));
        self.squares -= bucket.squares + others;
        while self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
    }
}

/// Returns how many values a bucket of a row stands for.
fn size_of_row(row: usize) -> f64 {
    (1u64 << row.min(63)) as f64
}

/// The adaptive window, and its alarms.
#[derive(Clone, Debug)]
struct Adwin {
    options: AdwinOptions,
    learner: Option<Learner>,
    histogram: Histogram,
    /// How many values there have been since it began.
    n_seen: usize,
    is_alarm: bool,
    alarms: Alarms,
}

impl DetectorFunction for Adwin {
    type Options = AdwinOptions;

    fn read(text: &str) -> Result<Self::Options, FunctionError> {
        AdwinOptions::read(text)
    }

    fn since(options: &Self::Options) -> TimestampMs {
        options.since
    }

    fn begin(options: AdwinOptions, range: DurationMs) -> Self {
        let learner = |train: Training| Learner::new(train.span(range), TRAINED_MIN);
        Adwin {
            options,
            learner: options.train.map(learner),
            histogram: Histogram::default(),
            n_seen: 0,
            is_alarm: false,
            alarms: Alarms::default(),
        }
    }

    fn standing(&self, end: TimestampMs) -> Option<Standing> {
        let histogram = &self.histogram;
        match self.options.output {
            AdwinOutput::Alarm => {
                let is_warm = self.n_seen > self.options.grace_period;
                is_warm.then(|| self.alarms.standing(end, self.options.hold))
            }
            AdwinOutput::Width => Some(Standing::lasting(histogram.width)),
            AdwinOutput::Estimation if histogram.width > 0.0 => {
                Some(Standing::lasting(histogram.total / histogram.width))
            }
            AdwinOutput::Estimation => Some(Standing::lasting(0.0)),
        }
    }
}

impl Detector for Adwin {
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
            self.histogram = Histogram::default();
        }
        self.n_seen = self.n_seen.saturating_add(1);
        self.is_alarm = self.histogram.take(value, &self.options);
        self.alarms.note(sample.at, self.is_alarm);
    }
}
