//! How often the value changed within a window.

use std::any::Any;

use crate::model::FloatPoint;
use crate::windows::{Inside, StateKind, WindowState};

/// How many floats differ from the one before them.
pub static CHANGES: StateKind = StateKind {
    name: "changes",
    make: |_| Box::new(Changes::default()),
};

/// The neighbours in a window that differ.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The newest value, if there was any.
    last: Option<f64>,
    n_samples: u32,
    n_changes: u32,
}

impl Changes {
    /// Returns how often a sample differs from the one before it.
    pub fn count(&self) -> u32 {
        self.n_changes
    }
}

/// Tells whether two values differ. NaN does not differ from NaN.
fn differ(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

impl WindowState for Changes {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        let before = self.last.replace(sample.value);
        if before.is_some_and(|before| self.n_samples > 0 && differ(before, sample.value)) {
            self.n_changes += 1;
        }
        self.n_samples += 1;
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        self.n_samples -= 1;
        if self.n_changes == 0 || self.n_samples == 0 {
            return;
        }
        let first = inside.first();
        if first.is_some_and(|first| differ(sample.value, first.value)) {
            self.n_changes -= 1;
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
