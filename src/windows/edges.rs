//! What is known of a window from its edges: its first and last samples, and what was counted in
//! between.

use std::collections::VecDeque;

use crate::model::FloatPoint;

/// A window of floats, at least one.
#[derive(Clone, Copy, Debug)]
pub struct Edges<'a> {
    /// The oldest sample.
    pub first: FloatPoint,
    /// The newest.
    pub last: FloatPoint,
    /// The one before the newest, where there are two.
    pub before_last: Option<FloatPoint>,
    /// How many there are.
    pub n_samples: usize,
    /// How often a sample differs from the one before it.
    pub n_changes: usize,
    /// How often a sample is less than the one before it.
    pub n_resets: usize,
    /// The resets of the series around the window, ascending: when, and the value before.
    pub(super) resets: &'a VecDeque<FloatPoint>,
}

impl Edges<'_> {
    /// Iterates over the values that were lost in resets within the window, in order of time.
    pub fn lost(&self) -> impl Iterator<Item = f64> + '_ {
        let (first, last) = (self.first.at, self.last.at);
        let from = match self.n_resets {
            0 => self.resets.len(),
            _ => self.resets.partition_point(|reset| reset.at <= first),
        };
        let inside = self.resets.range(from..);
        inside
            .take_while(move |reset| reset.at <= last)
            .map(|reset| reset.value)
    }
}
