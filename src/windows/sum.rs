//! Sums over a window: of its values, and of their squares.
//!
//! Sums are exact, so they are of the samples inside alone, whatever has been. What is no finite
//! number is counted, and so is what is so large that Prometheus' sums may overflow on the way:
//! whether they do depends on the order, so then the samples themselves are asked for.

use std::any::Any;

use crate::model::{ExactSum, FloatPoint};
use crate::windows::{Inside, NeedsSamples, StateKind, WindowState};

/// The sum of the values.
pub static SUM: StateKind = StateKind {
    name: "sum",
    make: |_| Box::new(Sum::default()),
};

/// The sums of the values and of their squares.
pub static MOMENTS: StateKind = StateKind {
    name: "moments",
    make: |_| Box::new(Moments::default()),
};

/// Values from here on may make a sum of 2^32 of them overflow: 2^990.
const LARGE_IN_SUM: f64 = f64::from_bits((990 + 1023) << 52);

/// Squares of values from here on may do so: 2^480.
const LARGE_IN_SQUARES: f64 = f64::from_bits((480 + 1023) << 52);

/// How many values there are that do not go into a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsummed {
    pub nan: u32,
    pub infinite: u32,
    pub negative_infinite: u32,
    pub large: u32,
}

impl Unsummed {
    /// Returns the count that a value belongs to; `None` for one that goes into the sum.
    pub fn count_of(&mut self, value: f64, large: f64) -> Option<&mut u32> {
        if value.abs() < large {
            return None;
        }
        Some(if value.is_nan() {
            &mut self.nan
        } else if value == f64::INFINITY {
            &mut self.infinite
        } else if value == f64::NEG_INFINITY {
            &mut self.negative_infinite
        } else {
            &mut self.large
        })
    }

    /// Adds what others count.
    fn add_all(&mut self, others: &Unsummed) {
        self.nan += others.nan;
        self.infinite += others.infinite;
        self.negative_infinite += others.negative_infinite;
        self.large += others.large;
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Unsummed::default()
    }

    /// Returns what these alone make of a sum; `None` when there is none of them.
    fn total(&self) -> Result<Option<f64>, NeedsSamples> {
        if self.large > 0 {
            return Err(NeedsSamples);
        }
        Ok(match (self.nan, self.infinite, self.negative_infinite) {
            (0, 0, 0) => None,
            (0, 1.., 0) => Some(f64::INFINITY),
            (0, 0, 1..) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        })
    }
}

/// The sum of the values in a window.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    sum: ExactSum,
    n_samples: u32,
    unsummed: Unsummed,
}

impl Sum {
    /// Returns the sum, rounded once.
    pub fn total(&self) -> Result<f64, NeedsSamples> {
        let decided = self.unsummed.total()?;
        Ok(decided.unwrap_or_else(|| self.sum.value()))
    }

    /// Returns the mean, rounded once.
    pub fn mean(&self) -> Result<f64, NeedsSamples> {
        let decided = self.unsummed.total()?;
        Ok(decided.unwrap_or_else(|| self.sum.divided(self.n_samples.into())))
    }
}

impl WindowState for Sum {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.n_samples += 1;
        match self.unsummed.count_of(sample.value, LARGE_IN_SUM) {
            None => self.sum.add(sample.value),
            Some(count) => *count += 1,
        }
    }

    fn leave(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.n_samples -= 1;
        match self.unsummed.count_of(sample.value, LARGE_IN_SUM) {
            None => self.sum.subtract(sample.value),
            Some(count) => *count -= 1,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The sums of the values in a window and of their squares.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    sum: ExactSum,
    squares: ExactSum,
    n_samples: u32,
    unsummed: Unsummed,
}

impl Moments {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.n_samples += 1;
        match self.unsummed.count_of(value, LARGE_IN_SQUARES) {
            None => {
                self.sum.add(value);
                self.squares.add_product(value, value);
            }
            Some(count) => *count += 1,
        }
    }

    /// Takes away a value that has been added.
    pub fn remove(&mut self, value: f64) {
        self.n_samples -= 1;
        match self.unsummed.count_of(value, LARGE_IN_SQUARES) {
            None => {
                self.sum.subtract(value);
                self.squares.subtract_product(value, value);
            }
            Some(count) => *count -= 1,
        }
    }

    /// Adds the values that others are of.
    pub fn add_all(&mut self, others: &Moments) {
        self.sum.add_sum(&others.sum);
        self.squares.add_sum(&others.squares);
        self.n_samples += others.n_samples;
        self.unsummed.add_all(&others.unsummed);
    }

    /// Returns how many values there are.
    pub fn n_values(&self) -> usize {
        self.n_samples as usize
    }

    /// Returns the mean, rounded once.
    pub fn mean(&self) -> Result<f64, NeedsSamples> {
        let decided = self.unsummed.total()?;
        Ok(decided.unwrap_or_else(|| self.sum.divided(self.n_samples.into())))
    }

    /// Returns the variance of all the values, rounded once: `(n Σx² - (Σx)²) / n²`.
    pub fn variance(&self) -> Result<f64, NeedsSamples> {
        if self.unsummed.large > 0 {
            return Err(NeedsSamples);
        }
        if !self.unsummed.is_empty() {
            return Ok(f64::NAN);
        }
        let mut count: ExactSum<1> = ExactSum::default();
        count.add(self.n_samples.into());
        let mut spread: ExactSum<12> = self.squares.times(&count);
        spread.subtract_sum(&self.sum.times::<3, 12>(&self.sum));
        Ok(spread.divided(u64::from(self.n_samples).pow(2)))
    }
}

impl WindowState for Moments {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.add(sample.value);
    }

    fn leave(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.remove(sample.value);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::history::SeriesHistory;
    use crate::model::TimestampMs;

    /// A sum that has gone through so many samples has the bits of one of the last few.
    #[test]
    fn sums_do_not_drift() {
        let n = match std::env::var_os("BURNWATCH_DEEP") {
            Some(_) => 10_000_000,
            None => 100_000,
        };
        let history = SeriesHistory::default();
        let head = history.walk_from(TimestampMs::MIN);
        let inside = Inside::of(&history, &head);
        let mut random = fastrand::Rng::with_seed(4);
        let mut recent: VecDeque<FloatPoint> = VecDeque::new();
        let (mut sum, mut moments) = (Sum::default(), Moments::default());
        for step in 0..n {
            let at = TimestampMs(step);
            let value = (random.f64() - 0.5) * 10f64.powi(random.i32(-20..20));
            let point = FloatPoint { at, value };
            sum.enter(point, &inside);
            moments.enter(point, &inside);
            recent.push_back(point);
            if let Some(oldest) = (recent.len() > 100).then(|| recent.pop_front()).flatten() {
                sum.leave(oldest, &inside);
                moments.leave(oldest, &inside);
            }
        }
        let (mut fresh_sum, mut fresh_moments) = (Sum::default(), Moments::default());
        for point in recent {
            fresh_sum.enter(point, &inside);
            fresh_moments.enter(point, &inside);
        }
        let bits = |value: Result<f64, NeedsSamples>| value.map(f64::to_bits);
        assert_eq!(bits(sum.total()), bits(fresh_sum.total()));
        assert_eq!(bits(sum.mean()), bits(fresh_sum.mean()));
        assert_eq!(bits(moments.variance()), bits(fresh_moments.variance()));
    }
}
