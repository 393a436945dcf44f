//! How a function of a window is had without looking at the window's samples.

use crate::history::SeriesHistory;
use crate::model::{SampleValue, TimestampMs};
use crate::windows::{
    Content, Edges, Extrapolation, Held, HistogramEdges, LastExtrapolation, SeriesWindows, Spacing,
    Span, StateKind,
};

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
    /// The options, as they are written; nothing where there are none.
    pub options: &'a str,
}

impl LiveArgs<'_> {
    /// Returns the window's length in seconds, rounded as Go rounds a duration.
    pub fn range_seconds(&self) -> f64 {
        let range = (self.end - self.start).0;
        (range / 1000) as f64 + (range % 1000 * 1_000_000) as f64 / 1e9
    }

    /// Returns the evaluation time at which a sample leaves the window, ms.
    pub fn leaves_at(&self, sample: TimestampMs) -> TimestampMs {
        self.at + (sample - self.start)
    }
}

/// What a window does not tell: its samples have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsSamples;

/// What a form comes to; `None` leaves the series out.
pub type LiveResult<T> = Result<Option<T>, NeedsSamples>;

/// A value, and how long it stands by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lasting {
    /// The value at the instant asked for.
    pub value: f64,
    /// Before this instant of the evaluation, as long as no sample comes, it differs by rounding
    /// at most: by no more than 1e-14 of itself, and not at all where it is zero. In ms.
    pub until: TimestampMs,
}

/// What a value that follows the evaluation time is made of until the oldest sample leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fixed {
    /// By how much the series has changed from the oldest sample to the newest.
    pub change: f64,
    /// What a counter had at the oldest sample; NaN where that is not to be looked at.
    pub start: f64,
    /// Where the samples lie.
    pub spacing: Spacing,
}

/// A value that follows from where its window begins and ends besides the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The value.
    pub value: f64,
    /// It is that of all windows of these samples that begin up to here, ms,
    pub begins_by: TimestampMs,
    /// and end before this instant, ms.
    pub ends_before: TimestampMs,
}

impl Stretch {
    /// Returns when a sample would have to be taken to leave the window where the value ends, ms.
    fn first(&self, args: &LiveArgs<'_>) -> TimestampMs {
        let begun = TimestampMs(self.begins_by.0.saturating_add(1));
        begun.min(self.ends_before - (args.end - args.start))
    }
}

/// What is known of a function of a window, until a sample comes or the oldest leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// It has no value.
    Absent,
    /// This value, and when the oldest sample was taken, ms; the earliest instant where that has
    /// not been found out.
    Exact(f64, TimestampMs),
    /// What its formula is given besides the time.
    Fixed(Fixed),
}

/// What there is to a function of a window.
#[derive(Clone, Debug)]
pub enum Worth {
    /// It follows from this.
    Known(Known),
    /// It is this now, and nothing is known of what it will be.
    Now(Option<SampleValue>),
}

/// Returns of a window of floats, of two samples at least, by how much the series has changed, and
/// what a counter had at the oldest sample; NaN where that is not to be looked at.
pub type ChangeFormula = fn(&Edges<'_>) -> (f64, f64);

/// How changes are stretched that lie so.
pub type Extrapolate = fn(&Spacing, &LiveArgs<'_>) -> Extrapolation;

/// What a change then comes to.
pub type LineFormula = fn(&Fixed, &Extrapolation) -> Lasting;

/// A function of the edges of a window of floats, the same bits until the oldest sample leaves.
pub type EdgesFormula = fn(&Edges<'_>, &LiveArgs<'_>) -> Option<f64>;

/// A function of the edges of a window with histograms in it.
pub type HistogramFormula = fn(&HistogramEdges<'_>, &LiveArgs<'_>) -> LiveResult<SampleValue>;

/// A function of a state of the floats in a window.
pub type StateFormula = fn(&Held<'_>, &LiveArgs<'_>) -> LiveResult<f64>;

/// A function of such a state, and of where the window begins and ends.
pub type StretchFormula = fn(&Held<'_>, &LiveArgs<'_>) -> LiveResult<Stretch>;

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
    /// From the edges and the evaluation time.
    Line {
        /// What of a window of floats does not follow the time.
        change: ChangeFormula,
        /// What of the time follows from where the samples lie.
        extrapolate: Extrapolate,
        /// What both come to.
        formula: LineFormula,
        /// Of one with histograms in it.
        histograms: HistogramFormula,
    },
    /// From a state that every float enters and leaves once.
    State {
        /// Which state; functions may share one.
        kind: &'static StateKind,
        /// What it is worth.
        formula: StateFormula,
        /// Whether histograms in the window make no difference; else the samples are looked at.
        ignores_histograms: bool,
        /// Whether it knows the evaluation time.
        follows_time: bool,
    },
    /// From a state, whose value follows from where the window begins and ends besides.
    Stretch {
        /// Which state.
        kind: &'static StateKind,
        /// What it is worth, and how long. What has no value has none until a sample comes.
        formula: StretchFormula,
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

    /// A function of the edges of any window that follows the evaluation time.
    pub const fn line(
        change: ChangeFormula,
        extrapolate: Extrapolate,
        formula: LineFormula,
        histograms: HistogramFormula,
    ) -> Self {
        LiveForm::Line {
            change,
            extrapolate,
            formula,
            histograms,
        }
    }

    /// A function of a state of floats.
    pub const fn state(kind: &'static StateKind, formula: StateFormula) -> Self {
        LiveForm::State {
            kind,
            formula,
            ignores_histograms: false,
            follows_time: false,
        }
    }

    /// The same, which leaves histograms out of account.
    pub const fn state_of_floats(kind: &'static StateKind, formula: StateFormula) -> Self {
        LiveForm::State {
            kind,
            formula,
            ignores_histograms: true,
            follows_time: false,
        }
    }

    /// The same, of the evaluation time besides.
    pub const fn state_over_time(kind: &'static StateKind, formula: StateFormula) -> Self {
        LiveForm::State {
            kind,
            formula,
            ignores_histograms: true,
            follows_time: true,
        }
    }

    /// A function of a state of floats and of where the window begins and ends. It leaves
    /// histograms out of account.
    pub const fn stretch(kind: &'static StateKind, formula: StretchFormula) -> Self {
        LiveForm::Stretch { kind, formula }
    }

    /// Returns a number by which functions that differ are told apart, in this process.
    pub fn number(self) -> usize {
        match self {
            LiveForm::Line {
                change,
                extrapolate,
                formula,
                ..
            } => {
                let made_of = (change as usize).rotate_left(16) ^ extrapolate as usize;
                made_of.rotate_left(16) ^ formula as usize
            }
            LiveForm::Edges { floats, .. } => floats as usize,
            LiveForm::State { kind, formula, .. } => {
                std::ptr::from_ref(kind).addr().rotate_left(16) ^ formula as usize
            }
            LiveForm::Stretch { kind, formula } => {
                std::ptr::from_ref(kind).addr().rotate_left(16) ^ formula as usize
            }
        }
    }

    /// Returns the value over a window of a series.
    #[inline]
    pub fn value(
        self,
        series: (&mut SeriesWindows, &SeriesHistory),
        span: Span<'_>,
        args: &LiveArgs<'_>,
    ) -> LiveResult<SampleValue> {
        Ok(match self.worth(series, span, args, false)? {
            Worth::Known(known) => {
                let lasting = self.at(&known, args, &mut LastExtrapolation::default());
                lasting.map(|lasting| SampleValue::Float(lasting.value))
            }
            Worth::Now(value) => value,
        })
    }

    /// Returns what is known of the value over a window of a series. When the oldest sample was
    /// taken may take a step of a cursor, and is found out where it is `to_last`.
    #[inline(always)]
    pub fn worth(
        self,
        (windows, history): (&mut SeriesWindows, &SeriesHistory),
        span: Span<'_>,
        args: &LiveArgs<'_>,
        to_last: bool,
    ) -> Result<Worth, NeedsSamples> {
        let exact = |value: Option<f64>, first| match value {
            Some(value) => Known::Exact(value, first),
            // There are too few samples, and will not be more.
            None => Known::Absent,
        };
        let known = match self {
            LiveForm::Line {
                change, histograms, ..
            } => match windows.edges(history, span) {
                Content::Nothing => Known::Absent,
                Content::Floats(edges) => match edges.spacing() {
                    Some(spacing) => {
                        let (change, start) = change(&edges);
                        Known::Fixed(Fixed {
                            change,
                            start,
                            spacing,
                        })
                    }
                    None => Known::Absent,
                },
                Content::Histograms(edges) => return histograms(&edges, args).map(Worth::Now),
                Content::Unknown => return Err(NeedsSamples),
            },
            LiveForm::Edges { floats, histograms } => match windows.edges(history, span) {
                Content::Nothing => Known::Absent,
                Content::Floats(edges) => exact(floats(&edges, args), edges.first.at),
                Content::Histograms(edges) => {
                    return histograms.ok_or(NeedsSamples)?(&edges, args).map(Worth::Now);
                }
                Content::Unknown => return Err(NeedsSamples),
            },
            LiveForm::State {
                kind,
                formula,
                ignores_histograms,
                follows_time,
            } => {
                let held = match windows.state(history, span, (kind, args.options)) {
                    Content::Nothing => return Ok(Worth::Known(Known::Absent)),
                    Content::Floats(held) => held,
                    Content::Histograms(held) if ignores_histograms => held,
                    Content::Histograms(_) | Content::Unknown => return Err(NeedsSamples),
                };
                if held.n_floats == 0 {
                    return Ok(Worth::Known(Known::Absent));
                }
                let value = formula(&held, args)?;
                if follows_time {
                    return Ok(Worth::Now(value.map(SampleValue::Float)));
                }
                let first = to_last.then(|| held.inside.first()).flatten();
                exact(value, first.map_or(TimestampMs::MIN, |first| first.at))
            }
            LiveForm::Stretch { kind, formula } => {
                let held = match windows.state(history, span, (kind, args.options)) {
                    Content::Nothing => return Ok(Worth::Known(Known::Absent)),
                    Content::Floats(held) | Content::Histograms(held) => held,
                    Content::Unknown => return Err(NeedsSamples),
                };
                match formula(&held, args)? {
                    Some(stretch) => Known::Exact(stretch.value, stretch.first(args)),
                    None => Known::Absent,
                }
            }
        };
        Ok(Worth::Known(known))
    }

    /// Returns the value that follows from what is known, and until when it stands. `last` belongs to
    /// this form and to these `args`.
    #[inline]
    pub fn at(
        self,
        known: &Known,
        args: &LiveArgs<'_>,
        last: &mut LastExtrapolation,
    ) -> Option<Lasting> {
        match (known, self) {
            (Known::Absent, _) => None,
            (Known::Exact(value, first), _) => Some(Lasting {
                value: *value,
                until: args.leaves_at(*first),
            }),
            (
                Known::Fixed(fixed),
                LiveForm::Line {
                    extrapolate,
                    formula,
                    ..
                },
            ) => {
                let spacing = &fixed.spacing;
                let extrapolation = last.of(spacing, || extrapolate(spacing, args));
                Some(formula(fixed, extrapolation))
            }
            (Known::Fixed(_), _) => None,
        }
    }
}
