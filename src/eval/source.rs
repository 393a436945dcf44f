//! What the interpreter asks for: what a leaf is worth at an instant.
//!
//! The interpreter resolves `offset` and `@` itself and asks with absolute instants.

use crate::eval::EvalError;
use crate::functions::{CallMemory, Element, RangeSeries, RangeVector};
use crate::model::{DurationMs, Labels, SampleValue, TimestampMs};
use crate::promql::ast::{Aggregate, Call, Subquery, VectorSelector};
use crate::windows::{LiveArgs, LiveForm};

/// What an instant selector found for one series.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSample {
    /// The series' labels, metric name included.
    pub labels: Labels,
    /// When the sample was taken (for `timestamp()`), ms.
    pub at: TimestampMs,
    /// Since when its counter has been counting (for `start_timestamp()`), ms;
    /// [`NO_START`](crate::model::NO_START) when it does not say.
    pub start: TimestampMs,
    /// Its value; never a stale marker.
    pub value: SampleValue,
}

/// Where leaves get their values.
pub trait Source {
    /// Returns, in one order for all instants, the newest sample in `(after, at]` of each series that
    /// `selector` matches; series whose newest sample there is a stale marker are left out.
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample>;

    /// Returns, in the same order, the samples in `(after, until]` without stale markers;
    /// series without any are left out.
    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<RangeSeries<'_>>;

    /// Returns the source as one that knows what functions and aggregations of its leaves are
    /// worth without showing their samples, if it is one.
    fn live(&self) -> Option<&dyn LiveSource> {
        None
    }
}

/// A function of the samples of one series.
pub type PlainFunction<'r> = dyn Fn(RangeVector<'_>) -> Option<SampleValue> + 'r;

/// A function of a window of each series, at one instant.
#[derive(Clone, Copy)]
pub struct WindowCall<'r> {
    /// Which series.
    pub selector: &'r VectorSelector,
    /// The window's open left end, ms.
    pub after: TimestampMs,
    /// The window's closed right end, ms.
    pub until: TimestampMs,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The function.
    pub form: LiveForm,
    /// Its scalar arguments, in the order written.
    pub scalars: &'r [f64],
    /// Its options, as they are written.
    pub options: &'r str,
    /// The function of the samples of one series, where what is kept of a window does not tell.
    pub plain: &'r PlainFunction<'r>,
    /// Whether results keep the metric name.
    pub keeps_name: bool,
    /// Whether names that go are dropped at the end of the whole evaluation only.
    pub delays_name_removal: bool,
}

impl WindowCall<'_> {
    /// Returns what a formula is given besides the window.
    pub fn live_args(&self) -> LiveArgs<'_> {
        LiveArgs {
            start: self.after,
            end: self.until,
            at: self.at,
            scalars: self.scalars,
            options: self.options,
        }
    }
}

/// What is aggregated.
#[derive(Clone, Copy)]
pub enum LiveLeaf<'r> {
    /// The newest sample in `(after, until]` of each series.
    Instant {
        /// Which series.
        selector: &'r VectorSelector,
        /// The open left end, ms.
        after: TimestampMs,
        /// The closed right end, ms.
        until: TimestampMs,
    },
    /// A function of a window of each.
    Window(WindowCall<'r>),
}

/// The window of a subquery at one instant.
#[derive(Clone, Copy)]
pub struct SubqueryWindow<'r> {
    /// The subquery.
    pub subquery: &'r Subquery,
    /// The distance of the instants of its grid, ms.
    pub step: DurationMs,
    /// The window's open left end, ms.
    pub after: TimestampMs,
    /// The window's closed right end, ms.
    pub until: TimestampMs,
}

impl SubqueryWindow<'_> {
    /// Returns the newest instant of the grid at or before the window's end.
    pub fn last(&self) -> TimestampMs {
        let step = self.step.0.max(1);
        TimestampMs(self.until.0.div_euclid(step).saturating_mul(step))
    }
}

/// A function of the points of a subquery's window, of each series, at one instant.
#[derive(Clone, Copy)]
pub struct SubqueryCall<'r> {
    /// The window.
    pub window: SubqueryWindow<'r>,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The function.
    pub form: LiveForm,
    /// Its scalar arguments, in the order written.
    pub scalars: &'r [f64],
    /// Its options, as they are written.
    pub options: &'r str,
    /// Whether results keep the metric name.
    pub keeps_name: bool,
    /// Whether names that go are dropped at the end of the whole evaluation only.
    pub delays_name_removal: bool,
}

/// A function of a window of several series together, by group, at one instant.
#[derive(Clone, Copy)]
pub struct JointCall<'r> {
    /// Which series.
    pub selector: &'r VectorSelector,
    /// The window's open left end, ms.
    pub after: TimestampMs,
    /// The window's closed right end, ms.
    pub until: TimestampMs,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The label in which the series of a group differ.
    pub dim: &'r str,
    /// The function's options, which have been found good.
    pub options: &'r str,
}

/// Points of a subquery that are known already.
pub struct SubqueryPoints {
    /// By series, in the order of labels.
    pub series: Vec<RangeSeries<'static>>,
    /// The window's points up to here are all there, ms.
    pub until: TimestampMs,
}

/// A source that keeps windows and groups from one instant to the next. `None` always means: not
/// this one, compute it from the samples.
pub trait LiveSource {
    /// Returns the value of a function for each series that has one, in the order of
    /// [`Source::range`].
    fn windows(&self, call: &WindowCall<'_>) -> Option<Vec<Element>>;

    /// Returns the groups of an aggregation without a parameter, in the order in which their
    /// first members come up.
    fn aggregate(
        &self,
        aggregate: &Aggregate,
        leaf: &LiveLeaf<'_>,
        at: TimestampMs,
    ) -> Option<Vec<Element>>;

    /// Hands out what a call has put back at an earlier evaluation.
    fn take_memory(&self, call: &Call) -> CallMemory;

    /// Keeps what a call knows for the next evaluation.
    fn put_memory(&self, call: &Call, memory: CallMemory);

    /// Says that rounding could turn something on the way from the leaves to the result, so that
    /// the result does not stand by itself however long its leaves do.
    fn unsettle(&self) {}

    /// Returns the value of a function for each group of series that has one, in the order of the
    /// groups' labels.
    fn joint_windows(&self, _call: &JointCall<'_>) -> Option<Vec<Element>> {
        None
    }

    /// Tells whether results of a window function that drop the name are sure to differ.
    fn differ_without_name(&self, selector: &VectorSelector) -> bool;

    /// Returns the value of a function for each series of a subquery that has one, in the order
    /// of labels.
    fn subquery_windows(&self, _call: &SubqueryCall<'_>) -> Option<Vec<Element>> {
        None
    }

    /// Returns the points of a subquery's window as far as they are known, or the error of the
    /// first of them that has one.
    fn subquery_points(
        &self,
        _window: &SubqueryWindow<'_>,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        None
    }
}
