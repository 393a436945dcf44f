//! `anomaly_mad`: how far the newest sample lies from the median of those before it, by their
//! median absolute deviation: few outliers among them change neither.
//!
//! `0.6745 (x - median) / MAD`, which of normally distributed values is their z-score (Iglewicz and
//! Hoaglin, 1993; 3.5 is their threshold). Where more than half of the values are one (a MAD up to
//! 1e-12 of the median) the mean absolute deviation times 1.2533 stands in for MAD / 0.6745. NaN
//! is skipped; an infinity among the samples makes it NaN.

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, after, distance, is_negligible, since};
use crate::functions::anomaly::zscore::mean;
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::functions::quantile::quantile;
use crate::model::{FloatPoint, SampleValue, TimestampMs};

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
.with_options(MATRIX_WITH_OPTIONS, |text| MadOptions::read(text).map(drop));

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
        if before.len() < 2 {
            return self.warmup.answer();
        }
        let n_values = before.len();
        self.warmup
            .score(n_values, || mad_score(newest.value, &mut before))
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
