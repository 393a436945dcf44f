//! How a function of a window is had without looking at the window's samples.

use crate::history::SeriesHistory;
use crate::model::{SampleValue, TimestampMs};
use crate::windows::{Content, Edges, Held, HistogramEdges, SeriesWindows, Span, StateKind};

/// What a formula is given besides the window.
#[derive(Clone, Copy, Debug)]
pub struct LiveArgs<'a> {
    /// The window's open left end, ms.
    pub start: TimestampMs,
    /// The window's closed right end, ms.
    pub end: TimestampMs,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The scalar arguments, in the order written.
    pub scalars: &'a [f64],
}

impl LiveArgs<'_> {
    /// Returns the window's length in seconds, rounded as Go rounds a duration.
    pub fn range_seconds(&self) -> f64 {
        let range = (self.end - self.start).0;
        (range / 1000) as f64 + (range % 1000 * 1_000_000) as f64 / 1e9
    }
}

/// What a window does not tell: its samples have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsSamples;

/// What a form comes to; `None` leaves the series out.
pub type LiveResult<T> = Result<Option<T>, NeedsSamples>;

/// A function of the edges of a window of floats.
pub type EdgesFormula = fn(&Edges<'_>, &LiveArgs<'_>) -> Option<f64>;

/// A function of the edges of a window with histograms in it.
pub type HistogramFormula = fn(&HistogramEdges<'_>, &LiveArgs<'_>) -> LiveResult<SampleValue>;

/// A function of a state of the floats in a window.
pub type StateFormula = fn(&Held<'_>, &LiveArgs<'_>) -> LiveResult<f64>;

/// The incremental form of a function of one window.
#[derive(Clone, Copy)]
pub enum LiveForm {
    /// From the edges alone.
    Edges {
        /// Of a window of floats.
        floats: EdgesFormula,
        /// Of one with histograms in it; without it the samples are looked at.
        histograms: Option<HistogramFormula>,
    },
    /// From a state that every float enters and leaves once.
    State {
        /// Which state; functions may share one.
        kind: &'static StateKind,
        /// What it is worth.
        formula: StateFormula,
        /// Whether histograms in the window make no difference; else the samples are looked at.
        ignores_histograms: bool,
    },
}

impl LiveForm {
    /// A function of the edges of a window of floats.
    pub const fn edges(floats: EdgesFormula) -> Self {
        LiveForm::Edges {
            floats,
            histograms: None,
        }
    }

    /// The same, which also knows windows with histograms.
    pub const fn edges_of_any(floats: EdgesFormula, histograms: HistogramFormula) -> Self {
        LiveForm::Edges {
            floats,
            histograms: Some(histograms),
        }
    }

    /// A function of a state of floats.
    pub const fn state(kind: &'static StateKind, formula: StateFormula) -> Self {
        LiveForm::State {
            kind,
            formula,
            ignores_histograms: false,
        }
    }

    /// The same, which leaves histograms out of account.
    pub const fn state_of_floats(kind: &'static StateKind, formula: StateFormula) -> Self {
        LiveForm::State {
            kind,
            formula,
            ignores_histograms: true,
        }
    }

    /// Returns the value over a window of a series.
    #[inline]
    pub fn value(
        self,
        (windows, history): (&mut SeriesWindows, &SeriesHistory),
        span: Span,
        args: &LiveArgs<'_>,
    ) -> LiveResult<SampleValue> {
        let value = match self {
            LiveForm::Edges { floats, histograms } => match windows.edges(history, span) {
                Content::Nothing => None,
                Content::Floats(edges) => floats(&edges, args),
                Content::Histograms(edges) => {
                    return histograms.ok_or(NeedsSamples)?(&edges, args);
                }
                Content::Unknown => return Err(NeedsSamples),
            },
            LiveForm::State {
                kind,
                formula,
                ignores_histograms,
            } => match windows.state(history, span, kind) {
                Content::Nothing => None,
                Content::Floats(held) => formula(&held, args)?,
                Content::Histograms(held) if ignores_histograms => match held.n_floats {
                    0 => None,
                    _ => formula(&held, args)?,
                },
                Content::Histograms(_) | Content::Unknown => return Err(NeedsSamples),
            },
        };
        Ok(value.map(SampleValue::Float))
    }
}
