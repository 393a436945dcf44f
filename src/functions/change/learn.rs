//! What a series is normally, learned from the first samples that a detector sees.

use crate::functions::FunctionError;
use crate::functions::anomaly::distance;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};

/// How long a detector learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Training {
    /// A part of the window.
    Share(f64),
    /// So long.
    Duration(DurationMs),
}

/// A window's detector may have seen half of it, so it has to have learned before.
const SHARE_MAX: f64 = 0.4;

/// No more standard deviations than that are told apart.
const FAR: f64 = 1e6;

impl Training {
    /// Reads `train`: a share of the window, or a duration.
    pub fn read(options: &mut Options<'_>) -> Result<Option<Self>, FunctionError> {
        let Some(text) = options.text("train") else {
            return Ok(None);
        };
        if let Ok(share) = text.parse::<f64>() {
            let expected = "a share of the window above 0, up to 0.4, or a duration such as 6h";
            let is_share = |share: f64| share > 0.0 && share <= SHARE_MAX;
            options.number("train", share, expected, is_share)?;
            return Ok(Some(Training::Share(share)));
        }
        let duration = options.duration("train", DurationMs(0))?;
        Ok(Some(Training::Duration(duration)))
    }

    /// Returns how long that is of a window of a length: never more than 0.4 of it.
    pub fn span(self, range: DurationMs) -> DurationMs {
        let of_share = |share: f64| DurationMs((range.0 as f64 * share) as i64);
        match self {
            Training::Share(share) => of_share(share),
            Training::Duration(duration) => duration.min(of_share(SHARE_MAX)),
        }
    }
}

/// Mean and standard deviation of the first samples.
#[derive(Clone, Debug)]
pub struct Learner {
    span: DurationMs,
    min_samples: usize,
    /// Up to here it learns.
    until: Option<TimestampMs>,
    n: usize,
    mean: f64,
    squares: f64,
    is_done: bool,
}

impl Learner {
    /// Makes one that learns from the first `span` of the samples, and from so many at least.
    pub fn new(span: DurationMs, min_samples: usize) -> Self {
        Learner {
            span,
            min_samples,
            until: None,
            n: 0,
            mean: 0.0,
            squares: 0.0,
            is_done: false,
        }
    }

    /// Takes a sample to learn from. Returns `false` for one that is not: what is normal is known.
    pub fn takes(&mut self, sample: FloatPoint) -> bool {
        let until = *self.until.get_or_insert(sample.at + self.span);
        self.is_done |= sample.at > until && self.n >= self.min_samples.max(1);
        if self.is_done {
            return false;
        }
        // Mean and squares as Welford, 1962.
        if sample.value.is_finite() {
            self.n += 1;
            let difference = sample.value - self.mean;
            self.mean += difference / self.n as f64;
            self.squares += difference * (sample.value - self.mean);
        }
        true
    }

    /// Returns the mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the population standard deviation.
    pub fn deviation(&self) -> f64 {
        (self.squares / self.n as f64).sqrt()
    }

    /// Returns a value as its distance from the mean in standard deviations. Where there was no
    /// deviation, what is another value is very far, but not infinitely.
    pub fn standardised(&self, value: f64) -> f64 {
        let distance = distance(value, self.mean, self.deviation());
        match value.is_finite() {
            true => distance.clamp(-FAR, FAR),
            false => distance,
        }
    }
}
