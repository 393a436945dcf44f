//! The line of least squares through a window.
//!
//! Kept are the exact sums of times, values and their products, with times in whole milliseconds
//! from some origin. From them the sums from any other origin follow exactly, so the origin is
//! that of the formula, and only its last steps are rounded, as Prometheus rounds them.

use std::any::Any;

use crate::model::{ExactSum, FloatPoint, TimestampMs};
use crate::windows::sum::Unsummed;
use crate::windows::{Inside, NeedsSamples, StateKind, WindowState};

/// The sums that a line of least squares follows from.
pub static LINE: StateKind = StateKind {
    name: "line",
    make: |_| Box::new(Line::default()),
};

/// Values from here on may make sums of products with times overflow: 2^900.
const LARGE: f64 = f64::from_bits((900 + 1023) << 52);

/// Times up to so many milliseconds from the origin are summed, some two thousand years.
const FAR_MS: i64 = 1 << 46;

/// The sums over the samples in a window.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The first sample that ever was; all times count from it.
    origin: TimestampMs,
    n_samples: u32,
    /// The newest samples that are equal are so many, inside or not.
    n_alike: u32,
    /// The newest value.
    last: f64,
    times: i128,
    squared_times: i128,
    values: ExactSum,
    products: ExactSum,
    unsummed: Unsummed,
}

impl Line {
    /// Returns slope per second, and value at `origin`, of the line; `None` for less than two
    /// samples. `first` is the oldest sample inside.
    pub fn through(
        &self,
        first: FloatPoint,
        origin: TimestampMs,
    ) -> Result<Option<(f64, f64)>, NeedsSamples> {
        if self.n_samples < 2 {
            return Ok(None);
        }
        let nowhere = Ok(Some((f64::NAN, f64::NAN)));
        if self.n_alike >= self.n_samples {
            return match first.value.is_infinite() {
                true => nowhere,
                false => Ok(Some((0.0, first.value))),
            };
        }
        if self.unsummed.nan > 0 {
            return nowhere;
        }
        if !self.unsummed.is_empty() {
            return Err(NeedsSamples);
        }
        let n = f64::from(self.n_samples);
        let moved = i128::from(origin.0) - i128::from(self.origin.0);
        let (x, x2) = self.times_from(moved).ok_or(NeedsSamples)?;
        let mut products: ExactSum<8> = ExactSum::default();
        products.add_sum(&self.products);
        let mut by: ExactSum<2> = ExactSum::default();
        by.add(moved as f64);
        products.subtract_sum(&self.values.times::<2, 8>(&by));
        let (y, xy) = (self.values.value(), products.divided(1000));
        let covariance = xy - x * y / n;
        let variance = x2 - x * x / n;
        let slope = covariance / variance;
        let intercept = y / n - slope * x / n;
        Ok(Some((slope, intercept)))
    }

    /// Returns the sum of times in seconds, and that of their squares, from an origin so many
    /// milliseconds later; `None` where that is too far away.
    fn times_from(&self, moved: i128) -> Option<(f64, f64)> {
        if moved.abs() >= i128::from(FAR_MS) {
            return None;
        }
        let n = i128::from(self.n_samples);
        let times = self.times - n * moved;
        let squares = self.squared_times - 2 * moved * self.times + n * moved * moved;
        Some((quotient(times, 1000), quotient(squares, 1_000_000)))
    }

    /// Returns how far a sample is from the origin, ms, and the count that it belongs to where it
    /// is not summed.
    fn place(&mut self, sample: FloatPoint) -> (i64, Option<&mut u32>) {
        let time = sample.at.0.saturating_sub(self.origin.0);
        let unsummed = match time.saturating_abs() < FAR_MS {
            true => self.unsummed.count_of(sample.value, LARGE),
            false => Some(&mut self.unsummed.large),
        };
        (time, unsummed)
    }
}

/// Divides a whole number by another.
fn quotient(number: i128, by: i128) -> f64 {
    match number % by {
        0 => (number / by) as f64,
        _ => number as f64 / by as f64,
    }
}

impl WindowState for Line {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if self.n_samples == 0 {
            // Nothing is inside, so nothing counts from another origin.
            self.origin = sample.at;
            self.n_alike = 0;
        }
        self.n_alike = match sample.value == self.last {
            true => self.n_alike.saturating_add(1),
            false => 1,
        };
        self.last = sample.value;
        self.n_samples += 1;
        let (time, unsummed) = self.place(sample);
        if let Some(count) = unsummed {
            *count += 1;
            return;
        }
        self.times += i128::from(time);
        self.squared_times += i128::from(time).pow(2);
        self.values.add(sample.value);
        self.products.add_product(time as f64, sample.value);
    }

    fn leave(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.n_samples -= 1;
        let (time, unsummed) = self.place(sample);
        if let Some(count) = unsummed {
            *count -= 1;
            return;
        }
        self.times -= i128::from(time);
        self.squared_times -= i128::from(time).pow(2);
        self.values.subtract(sample.value);
        self.products.subtract_product(time as f64, sample.value);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
