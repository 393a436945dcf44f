//! Functions of a window that are a detector's: what it has become by the samples from the boundary
//! on at which [`Blocks`] says that it begins.
//!
//! A member says how its options read, how it begins and what it is worth ([`DetectorFunction`]); the plain
//! loop over a window's samples and the form that moves with the window are the same for all.

use crate::functions::FunctionError;
use crate::functions::formula::{MATRIX_WITH_OPTIONS, Window, WindowFunction};
use crate::model::{DurationMs, SampleValue, TimestampMs};
use crate::windows::{
    Blocks, Detector, Held, LiveArgs, LiveForm, LiveResult, NoState, StateArgs, StateKind, Stretch,
    WindowState, first_boundary,
};

/// A detector of which a function of a window is made.
pub trait DetectorFunction: Detector + Sync {
    /// What can be chosen.
    type Options: Copy;

    /// Reads the options.
    fn read(text: &str) -> Result<Self::Options, FunctionError>;

    /// Up to when samples do not count, ms.
    fn since(options: &Self::Options) -> TimestampMs;

    /// Begins, for a window of a length.
    fn begin(options: Self::Options, range: DurationMs) -> Self;

    /// Returns what it is worth at a window's end; `None` for nothing.
    fn standing(&self, end: TimestampMs) -> Option<Standing>;
}

/// What a detector is worth, and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The value.
    pub value: f64,
    /// Where no sample comes this is so as long as the window ends before this instant, ms.
    pub until: TimestampMs,
}

impl Standing {
    /// A value that stands until a sample comes.
    pub fn lasting(value: f64) -> Self {
        Standing {
            value,
            until: TimestampMs::MAX,
        }
    }
}

/// Returns the function of a detector; `kind` is [`kind`] of the same.
pub const fn function<D: DetectorFunction>(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    kind: &'static StateKind,
) -> WindowFunction {
    WindowFunction::new(name, about, example, scan::<D>)
        .with_options(MATRIX_WITH_OPTIONS, check::<D>)
        .live(LiveForm::stretch(kind, live::<D>))
}

/// Returns the state that a window keeps of a detector.
pub const fn kind<D: DetectorFunction>(name: &'static str) -> StateKind {
    StateKind {
        name,
        make: make::<D>,
    }
}

fn check<D: DetectorFunction>(text: &str) -> Result<(), FunctionError> {
    D::read(text).map(drop)
}

fn scan<D: DetectorFunction>(
    window: &mut Window<'_, '_>,
) -> Result<Option<SampleValue>, FunctionError> {
    let options = D::read(window.options())?;
    window.remark_ignored_histograms();
    let range = window.end - window.start;
    let begin = first_boundary(window.start, range).max(D::since(&options));
    let points = window.floats();
    let seen = &points[points.partition_point(|point| point.at <= begin)..];
    if seen.is_empty() {
        return Ok(None);
    }
    let mut detector = D::begin(options, range);
    seen.iter().for_each(|point| detector.take(*point));
    let standing = detector.standing(window.end);
    Ok(standing.map(|standing| SampleValue::Float(standing.value)))
}

fn live<D: DetectorFunction>(held: &Held<'_>, args: &LiveArgs<'_>) -> LiveResult<Stretch> {
    let blocks = held.get::<Blocks<D>>()?;
    Ok(blocks
        .of_window(args.start)
        .and_then(|(detector, begins_by)| {
            let standing = detector.standing(args.end)?;
            Some(Stretch {
                value: standing.value,
                begins_by,
                ends_before: standing.until,
            })
        }))
}

fn make<D: DetectorFunction>(args: &StateArgs<'_>) -> Box<dyn WindowState> {
    match D::read(args.options) {
        Ok(options) => Box::new(Blocks::new(
            D::begin(options, args.range),
            args.range,
            D::since(&options),
        )),
        Err(_) => Box::new(NoState),
    }
}
