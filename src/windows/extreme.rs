//! The largest and the smallest value of a window.
//!
//! Kept are the samples that may yet become the best one: each is better than all that came
//! after it. A long window over a falling gauge would have to keep them all, so there are only so
//! many: beyond that, neighbours become one *block*, of which only the best, its first, is known.
//! When that leaves, what the block stood for is read again and becomes entries and smaller
//! blocks, which are not put together any more.
//!
//! Cost: amortised O(1) a sample while there are no blocks; else a sample is read again at most
//! once for each power of [`ENTRIES_MAX`] / 2 in the number of samples, so thrice in a 30 d window
//! of 15 s, and [`ENTRIES_MAX`] entries are kept for each time and once more.

use std::any::Any;
use std::collections::VecDeque;

use crate::model::{FloatPoint, TimestampMs};
use crate::windows::{Inside, StateKind, WindowState};

/// So many entries are kept before neighbours become blocks.
const ENTRIES_MAX: usize = 64;

/// The first of the largest values; NaN only where there is nothing else.
pub static LARGEST: StateKind = StateKind {
    name: "largest",
    // Of two zeros that differ in sign the first is wanted.
    make: |_| Extreme::boxed(|older, newer| newer > older || newer.to_bits() == older.to_bits()),
};

/// The first of the smallest ones.
pub static SMALLEST: StateKind = StateKind {
    name: "smallest",
    make: |_| Extreme::boxed(|older, newer| newer < older || newer.to_bits() == older.to_bits()),
};

/// The last of the largest.
pub static LAST_LARGEST: StateKind = StateKind {
    name: "last largest",
    make: |_| Extreme::boxed(|older, newer| newer >= older),
};

/// The last of the smallest.
pub static LAST_SMALLEST: StateKind = StateKind {
    name: "last smallest",
    make: |_| Extreme::boxed(|older, newer| newer <= older),
};

/// Tells whether an older value is of no more use when a newer one has come.
type GivesWay = fn(f64, f64) -> bool;

/// A sample that may become the best one, perhaps with others between it and the next entry.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    point: FloatPoint,
    /// For how many it stands; one is the sample alone.
    n_samples: u32,
}

/// The samples of a window that are or may become the best.
#[derive(Clone, Debug)]
pub struct Extreme {
    /// Oldest and best first. The last one is the newest sample of all, and no block.
    entries: VecDeque<Entry>,
    /// So many at the front have been in blocks, and are not put together again.
    n_unfolded: usize,
    gives_way: GivesWay,
}

impl Extreme {
    fn new(gives_way: GivesWay) -> Self {
        Extreme {
            entries: VecDeque::new(),
            n_unfolded: 0,
            gives_way,
        }
    }

    fn boxed(gives_way: GivesWay) -> Box<dyn WindowState> {
        Box::new(Extreme::new(gives_way))
    }

    /// Returns the best sample.
    pub fn best(&self) -> Option<FloatPoint> {
        self.entries.front().map(|entry| entry.point)
    }

    fn push(&mut self, point: FloatPoint) {
        self.drop_worse_than(point.value);
        self.n_unfolded = self.n_unfolded.min(self.entries.len());
        self.entries.push_back(Entry {
            point,
            n_samples: 1,
        });
        if self.entries.len() - self.n_unfolded > ENTRIES_MAX {
            self.fold();
        }
    }

    fn drop_worse_than(&mut self, newer: f64) {
        let is_worse = |value: f64| value.is_nan() || (self.gives_way)(value, newer);
        while self
            .entries
            .back()
            .is_some_and(|entry| is_worse(entry.point.value))
        {
            self.entries.pop_back();
        }
    }

    /// Puts neighbours together, those that stand for the fewest first, until half are left.
    fn fold(&mut self) {
        let mut size = 2;
        let mut rest = self.entries.split_off(self.n_unfolded);
        while rest.len() > ENTRIES_MAX / 2 {
            let mut folded: VecDeque<Entry> = VecDeque::with_capacity(ENTRIES_MAX + 1);
            let newest = rest.pop_back();
            for entry in rest.drain(..) {
                match folded.back_mut() {
                    Some(block) if block.n_samples + entry.n_samples <= size => {
                        block.n_samples += entry.n_samples;
                    }
                    _ => folded.push_back(entry),
                }
            }
            folded.extend(newest);
            rest = folded;
            size = size.saturating_mul(2);
        }
        self.entries.extend(rest);
    }

    /// Returns what a block stood for but for its first: what lies between two samples, as far as
    /// it is better than the later one.
    fn unfolded(&self, block: FloatPoint, next: FloatPoint, inside: &Inside<'_>) -> Extreme {
        let mut within = Extreme::new(self.gives_way);
        let until = TimestampMs(next.at.0.saturating_sub(1));
        for point in inside.floats(block.at, until) {
            within.push(point);
        }
        within.drop_worse_than(next.value);
        within
    }
}

impl WindowState for Extreme {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        self.push(sample);
    }

    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>) {
        let is_oldest = |entry: &Entry| entry.point.at <= sample.at;
        let Some(front) = self.entries.front().copied().filter(is_oldest) else {
            return;
        };
        self.entries.pop_front();
        self.n_unfolded = self.n_unfolded.saturating_sub(1);
        let Some(next) = self.best().filter(|_| front.n_samples > 1) else {
            return;
        };
        let within = self.unfolded(front.point, next, inside);
        self.n_unfolded += within.entries.len();
        for entry in within.entries.into_iter().rev() {
            self.entries.push_front(entry);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SeriesHistory;
    use crate::model::{DurationMs, SampleValue};
    use crate::windows::{Content, SeriesWindows, Span};

    /// A window of so many samples, one a second.
    const WINDOW: i64 = 3000;

    /// Watches a window over a story and returns the most entries that it ever had.
    fn most_entries(value: impl Fn(i64) -> f64) -> usize {
        let mut history = SeriesHistory::default();
        let mut windows = SeriesWindows::default();
        let mut most = 0;
        for second in 0..3 * WINDOW {
            let frontier = TimestampMs(second * 1000);
            history.append(
                frontier,
                SampleValue::Float(value(second)),
                TimestampMs::MIN,
            );
            if second % 5 > 0 {
                continue;
            }
            let after = frontier - DurationMs(WINDOW * 1000);
            let span = Span::new(frontier, after, frontier);
            let Content::Floats(held) = windows.state(&history, span, (&LARGEST, "")) else {
                panic!("a window has floats");
            };
            let kept = held.get::<Extreme>().expect("it is what was asked for");
            let inside = (second - WINDOW + 1).max(0)..=second;
            let best = inside.map(&value).fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(kept.best().map(|best| best.value), Some(best), "{second}");
            most = most.max(kept.entries.len());
        }
        most
    }

    #[test]
    fn long_windows_keep_few_entries() {
        let bounded = 3 * ENTRIES_MAX;
        let falling = most_entries(|second| -(second as f64));
        assert!((ENTRIES_MAX..bounded).contains(&falling), "{falling}");
        let steps = most_entries(|second| -((second / 7) as f64));
        assert!((ENTRIES_MAX..bounded).contains(&steps), "{steps}");
        let teeth = most_entries(|second| (second % 1100) as f64 / 1000.0 - second as f64);
        assert!((ENTRIES_MAX..bounded).contains(&teeth), "{teeth}");
        assert_eq!(most_entries(|_| 1.0), 1);
        assert_eq!(most_entries(|second| second as f64), 1);
    }
}
