//! State that samples enter and leave: sums, extremes, regressions.

use std::any::Any;

use crate::history::{SeriesHistory, WalkCursor, Walked, WalkedSample};
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};
use crate::windows::NeedsSamples;
use crate::windows::cursor::Lag;

/// What is kept of the samples between two cursors.
///
/// Samples leave in the order in which they entered. What a state is worth must follow from the
/// samples that are inside, and not from those that have been.
pub trait WindowState: Any + Send + std::fmt::Debug {
    /// A sample has come in at the newer end.
    fn enter(&mut self, sample: FloatPoint, inside: &Inside<'_>);

    /// The oldest sample inside has left.
    fn leave(&mut self, sample: FloatPoint, inside: &Inside<'_>);

    /// Returns the state as what it is, for the formulas that know.
    fn as_any(&self) -> &dyn Any;
}

/// What lies in a window, for a state that does not remember all that it needs.
///
/// Reading is for states that read every sample a bounded number of times, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Inside<'h> {
    history: &'h SeriesHistory,
    /// Where samples leave.
    head: &'h WalkCursor,
}

impl<'h> Inside<'h> {
    /// Returns what lies behind a place in a history.
    pub(super) fn of(history: &'h SeriesHistory, head: &'h WalkCursor) -> Self {
        Inside { history, head }
    }

    /// Returns the oldest float inside, if there is any.
    pub fn first(&self) -> Option<FloatPoint> {
        floats(self.history, *self.head, TimestampMs::MAX).next()
    }

    /// Returns the oldest float inside that is after an instant, if there is any.
    pub fn first_after(&self, instant: TimestampMs) -> Option<FloatPoint> {
        match self.first() {
            Some(first) if first.at <= instant => self.floats(instant, TimestampMs::MAX).next(),
            first => first,
        }
    }

    /// Iterates over the floats in `(after, until]`, which lie inside, oldest first.
    pub fn floats(
        &self,
        after: TimestampMs,
        until: TimestampMs,
    ) -> impl Iterator<Item = FloatPoint> + use<'h> {
        floats(self.history, self.history.walk_from(after), until)
    }
}

fn floats(
    history: &SeriesHistory,
    mut cursor: WalkCursor,
    until: TimestampMs,
) -> impl Iterator<Item = FloatPoint> {
    let samples = std::iter::from_fn(move || history.walk_next(&mut cursor, until));
    samples.filter_map(|sample| match kept(&sample) {
        Kept::Float(point) => Some(point),
        Kept::Histogram | Kept::Nothing => None,
    })
}

/// A state with the window that it is of, which holds at least one sample.
#[derive(Clone, Copy, Debug)]
pub struct Held<'w> {
    /// What is kept.
    pub state: &'w dyn WindowState,
    /// The samples.
    pub inside: Inside<'w>,
    /// How many floats there are.
    pub n_floats: usize,
    /// How many native histograms there are, of which the state knows nothing.
    pub n_histograms: usize,
}

impl Held<'_> {
    /// Returns the state as what it is; functions know which they asked for.
    pub fn get<S: WindowState>(&self) -> Result<&S, NeedsSamples> {
        self.state.as_any().downcast_ref().ok_or(NeedsSamples)
    }
}

/// What a state is made for.
#[derive(Clone, Copy, Debug)]
pub struct StateArgs<'a> {
    /// The window's length.
    pub range: DurationMs,
    /// The function's options, as they are written.
    pub options: &'a str,
}

/// A kind of state, by which functions of one window share it.
#[derive(Debug)]
pub struct StateKind {
    /// Its name, one of a kind.
    pub name: &'static str,
    /// Makes one in which there is nothing.
    pub make: fn(&StateArgs<'_>) -> Box<dyn WindowState>,
}

/// What is kept where options are wrong: nothing, so that the function looks at the samples, and
/// says what is wrong.
#[derive(Clone, Copy, Debug)]
pub struct NoState;

impl WindowState for NoState {
    fn enter(&mut self, _: FloatPoint, _: &Inside<'_>) {}

    fn leave(&mut self, _: FloatPoint, _: &Inside<'_>) {}

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A window with a state of its own.
#[derive(Debug)]
pub(super) struct StatefulWindow {
    pub head_lag: Lag,
    pub tail_lag: Lag,
    pub kind: &'static StateKind,
    pub options: Box<str>,
    head: WalkCursor,
    tail: WalkCursor,
    pub state: Box<dyn WindowState>,
    pub n_floats: u32,
    pub n_histograms: u32,
}

impl StatefulWindow {
    /// Returns an empty window at `after`; [`StatefulWindow::advance`] fills it.
    pub fn new(
        history: &SeriesHistory,
        (head_lag, tail_lag): (Lag, Lag),
        (kind, options): (&'static StateKind, &str),
        after: TimestampMs,
    ) -> Self {
        let range = DurationMs(head_lag.span().0 - tail_lag.span().0);
        StatefulWindow {
            head_lag,
            tail_lag,
            kind,
            options: options.into(),
            head: history.walk_from(after),
            tail: history.walk_from(after),
            state: (kind.make)(&StateArgs { range, options }),
            n_floats: 0,
            n_histograms: 0,
        }
    }

    /// Moves the window to `(after, until]`. Everything that leaves has entered before, also what
    /// the window passed over in one leap.
    pub fn advance(&mut self, history: &SeriesHistory, after: TimestampMs, until: TimestampMs) {
        while let Some(sample) = history.walk_next(&mut self.tail, until) {
            let inside = Inside::of(history, &self.head);
            match kept(&sample) {
                Kept::Float(point) => {
                    self.n_floats += 1;
                    self.state.enter(point, &inside);
                }
                Kept::Histogram => self.n_histograms += 1,
                Kept::Nothing => {}
            }
        }
        while let Some(sample) = history.walk_next(&mut self.head, after) {
            let inside = Inside::of(history, &self.head);
            match kept(&sample) {
                Kept::Float(point) => {
                    self.n_floats -= 1;
                    self.state.leave(point, &inside);
                }
                Kept::Histogram => self.n_histograms -= 1,
                Kept::Nothing => {}
            }
        }
    }

    /// Returns the state with its window.
    pub fn held<'w>(&'w self, history: &'w SeriesHistory) -> Held<'w> {
        Held {
            state: self.state.as_ref(),
            inside: Inside::of(history, &self.head),
            n_floats: self.n_floats as usize,
            n_histograms: self.n_histograms as usize,
        }
    }
}

/// What a window keeps of a sample.
enum Kept {
    Float(FloatPoint),
    Histogram,
    /// It was a stale marker.
    Nothing,
}

fn kept(sample: &WalkedSample) -> Kept {
    let at = sample.at;
    match &sample.value {
        Walked::Float(value) if is_stale_nan(*value) => Kept::Nothing,
        Walked::Float(value) => Kept::Float(FloatPoint { at, value: *value }),
        Walked::Histogram(histogram) if is_stale_nan(histogram.sum) => Kept::Nothing,
        Walked::Histogram(_) => Kept::Histogram,
    }
}
