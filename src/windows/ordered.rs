//! The floats of a window in order of size, for quantiles.
//!
//! All of them have to be kept: a quantile of a window can become any of them. So this is for
//! windows of up to [`VALUES_MAX`] samples; longer ones are read when they are asked for.
//!
//! Cost: a search and a move of up to 8 KiB a sample, 8 bytes a sample.

use std::any::Any;
use std::cmp::Ordering;

use crate::model::{FloatPoint, TimestampMs};
use crate::windows::{Inside, NeedsSamples, StateKind, WindowState};

/// So many values are kept: four hours of samples every 15 s.
pub const VALUES_MAX: usize = 1024;

/// The values in order.
pub static ORDERED: StateKind = StateKind {
    name: "ordered",
    make: |_| Box::new(Ordered::default()),
};

/// The values in a window.
#[derive(Clone, Debug, Default)]
pub struct Ordered {
    /// Ascending, NaN first; nothing when there are too many.
    values: Vec<f64>,
    n_samples: usize,
    /// Whether there were too many.
    is_over: bool,
}

/// Orders values, NaN first. What is equal stays in the order in which it came, and leaves in it,
/// as where all are sorted that are inside.
fn order(a: &f64, b: &f64) -> Ordering {
    let is_number = |value: &f64| !value.is_nan();
    let numbers = a.partial_cmp(b);
    numbers.unwrap_or_else(|| is_number(a).cmp(&is_number(b)))
}

impl Ordered {
    /// Returns the values, ascending with NaN first.
    pub fn values(&self) -> Result<&[f64], NeedsSamples> {
        match self.is_over {
            true => Err(NeedsSamples),
            false => Ok(&self.values),
        }
    }

    fn insert(&mut self, value: f64) {
        let place = self
            .values
            .partition_point(|known| order(known, &value).is_le());
        self.values.insert(place, value);
    }
}

impl WindowState for Ordered {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.n_samples += 1;
        if self.n_samples > VALUES_MAX {
            self.is_over = true;
            self.values = Vec::new();
        }
        if !self.is_over {
            self.insert(sample.value);
        }
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        self.n_samples -= 1;
        if !self.is_over {
            let is_before = |known: &f64| order(known, &sample.value).is_lt();
            let place = self.values.partition_point(is_before);
            if place < self.values.len() {
                self.values.remove(place);
            }
        } else if self.n_samples <= VALUES_MAX / 2 {
            // So many have left since that reading the rest is cheap.
            let rest = inside.floats(sample.at, TimestampMs::MAX);
            self.values = rest.take(self.n_samples).map(|point| point.value).collect();
            self.values.sort_by(order);
            self.is_over = false;
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
