//! The cursors of one series, each made when it is first asked for.

use std::collections::VecDeque;

use crate::history::SeriesHistory;
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};
use crate::windows::cursor::{LagCursor, is_change, is_histogram, is_reset};
use crate::windows::state::StatefulWindow;
use crate::windows::{Edges, Held, StateKind};

/// A window `(after, until]` seen from a frontier; all in ms.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Everything up to here has been evaluated; it never goes back from one call to the next.
    pub frontier: TimestampMs,
    /// The open left end.
    pub after: TimestampMs,
    /// The closed right end.
    pub until: TimestampMs,
}

impl Span {
    fn head_lag(&self) -> DurationMs {
        self.frontier - self.after
    }

    fn tail_lag(&self) -> DurationMs {
        self.frontier - self.until
    }
}

/// What there is in a window.
#[derive(Debug)]
pub enum Content<T> {
    /// No sample.
    Nothing,
    /// Floats alone.
    Floats(T),
    /// Native histograms, perhaps with floats among them: the samples have to be looked at.
    Histograms,
}

/// The newest sample at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Newest {
    /// A float.
    Float(FloatPoint),
    /// A native histogram, taken at this instant.
    Histogram(TimestampMs),
}

/// The cursors over one history.
#[derive(Debug, Default)]
pub struct SeriesWindows {
    /// By lag, the leading one first.
    cursors: Vec<LagCursor>,
    /// Resets between the hindmost cursor and the leading one: when, and the value before.
    resets: VecDeque<FloatPoint>,
    stateful: Vec<StatefulWindow>,
    /// [`SeriesHistory::insertions`] when the cursors were made.
    insertions: u32,
}

impl SeriesWindows {
    /// Starts anew when a sample was put between others: rare, so simple.
    fn check(&mut self, history: &SeriesHistory) {
        if self.insertions != history.insertions() {
            *self = SeriesWindows {
                insertions: history.insertions(),
                ..SeriesWindows::default()
            };
        }
    }

    /// Returns the number of the cursor at a lag, moved to where the frontier wants it.
    fn at(&mut self, history: &SeriesHistory, lag: DurationMs, frontier: TimestampMs) -> usize {
        let found = self.cursors.iter().position(|cursor| cursor.lag >= lag);
        let number = match found {
            Some(number) if self.cursors[number].lag == lag => number,
            Some(behind) => {
                let cursor = LagCursor {
                    lag,
                    ..self.cursors[behind].clone()
                };
                self.cursors.insert(behind, cursor);
                behind
            }
            None => {
                self.add_hindmost(history, lag, frontier);
                self.cursors.len() - 1
            }
        };
        self.advance(history, 0, frontier);
        if number > 0 {
            self.advance(history, number, frontier);
        }
        number
    }

    /// Moves a cursor to where the frontier wants it. The leading one, which has to be moved
    /// before any other, notes resets.
    fn advance(&mut self, history: &SeriesHistory, number: usize, frontier: TimestampMs) {
        let (cursor, resets) = (&mut self.cursors[number], &mut self.resets);
        let until = frontier - cursor.lag;
        cursor.advance(history, until, |reset| {
            if number == 0 {
                resets.push_back(reset);
            }
        });
    }

    /// Makes a cursor behind all others. It is as if it had always been there: what lies between
    /// it and the next one is counted.
    fn add_hindmost(&mut self, history: &SeriesHistory, lag: DurationMs, frontier: TimestampMs) {
        (0..self.cursors.len()).for_each(|number| self.advance(history, number, frontier));
        // What the hindmost so far has passed is found again.
        self.forget_resets();
        let mut hindmost = LagCursor::new(history, lag, frontier - lag);
        if let Some(ahead) = self.cursors.last() {
            let mut between = hindmost.clone();
            let mut resets = Vec::new();
            let reached = ahead.newest.map_or(TimestampMs::MIN, |newest| newest.at);
            between.advance(history, reached, |reset| resets.push(reset));
            hindmost.passed = ahead.passed.since(between.passed);
            resets.into_iter().rev().for_each(|reset| {
                self.resets.push_front(reset);
            });
        }
        self.cursors.push(hindmost);
    }

    /// Returns the newest sample in the span; nothing where that is a stale marker.
    pub fn newest(&mut self, history: &SeriesHistory, span: Span) -> Option<Newest> {
        self.check(history);
        let tail = self.at(history, span.tail_lag(), span.frontier);
        let newest = self.cursors[tail].newest?;
        if newest.at <= span.after || is_stale_nan(newest.value) {
            return None;
        }
        Some(match is_histogram(newest) {
            true => Newest::Histogram(newest.at),
            false => Newest::Float(newest),
        })
    }

    /// Returns what is known of a window from its edges.
    pub fn edges(&mut self, history: &SeriesHistory, span: Span) -> Content<Edges<'_>> {
        self.check(history);
        // The leading one first, so that resets are known when a cursor behind asks.
        self.at(history, span.tail_lag(), span.frontier);
        let head = self.at(history, span.head_lag(), span.frontier);
        let tail_lag = span.tail_lag();
        let tail = self
            .cursors
            .iter()
            .position(|cursor| cursor.lag == tail_lag);
        if head + 1 == self.cursors.len() {
            self.forget_resets();
        }
        let head = &self.cursors[head];
        let Some(tail) = tail.map(|tail| &self.cursors[tail]) else {
            return Content::Nothing;
        };
        let counts = tail.passed.since(head.passed);
        if counts.histograms > 0 {
            return Content::Histograms;
        }
        if counts.floats == 0 {
            return Content::Nothing;
        }
        let (Some(first), Some(last)) = (head.first_ahead(history), tail.last) else {
            return Content::Nothing;
        };
        // The first sample was compared with one that is not inside.
        let outside = head.last;
        let less = |holds: fn(FloatPoint, FloatPoint) -> bool| {
            u32::from(outside.is_some_and(|outside| holds(outside, first)))
        };
        Content::Floats(Edges {
            first,
            last,
            before_last: tail.before_last.filter(|_| counts.floats > 1),
            n_samples: counts.floats as usize,
            n_changes: counts.changes.wrapping_sub(less(is_change)) as usize,
            n_resets: counts.resets.wrapping_sub(less(is_reset)) as usize,
            resets: &self.resets,
        })
    }

    /// Returns a state of what is in a window.
    pub fn state<'w>(
        &'w mut self,
        history: &'w SeriesHistory,
        span: Span,
        kind: &'static StateKind,
    ) -> Content<Held<'w>> {
        self.check(history);
        let lags = (span.head_lag(), span.tail_lag());
        let known = self.stateful.iter().position(|window| {
            (window.head_lag, window.tail_lag) == lags && std::ptr::eq(window.kind, kind)
        });
        let number = known.unwrap_or_else(|| {
            let window = StatefulWindow::new(history, lags, kind, span.after);
            self.stateful.push(window);
            self.stateful.len() - 1
        });
        let window = &mut self.stateful[number];
        window.advance(history, span.after, span.until);
        match (window.n_floats, window.n_histograms) {
            (_, 1..) => Content::Histograms,
            (0, _) => Content::Nothing,
            _ => Content::Floats(window.held(history)),
        }
    }

    fn forget_resets(&mut self) {
        let passed = self.cursors.last().and_then(|hindmost| hindmost.newest);
        let Some(passed) = passed else { return };
        while self
            .resets
            .front()
            .is_some_and(|reset| reset.at <= passed.at)
        {
            self.resets.pop_front();
        }
    }
}
