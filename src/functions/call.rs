//! What a function gets and gives: arguments, the instant, a place for remarks.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::functions::annotation::{Annotations, Remark};
use crate::functions::grouped::GroupMemory;
use crate::functions::options::Options;
use crate::model::labels::quote;
use crate::model::raw_bytes::{has_raw_bytes, shown};
use crate::model::{
    DerivedLabels, DurationMs, FloatPoint, HistogramPoint, Labels, METRIC_NAME, SampleValue,
    StartTimes, TimestampMs,
};
use crate::promql::Features;
use crate::promql::ast::{Expr, ExprKind, RangeMode, Span};

/// Why a function cannot be computed; the text is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FunctionError(pub String);

/// An element of an instant vector on its way through an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
    /// When the sample behind it was taken, for `timestamp()`; else the evaluation time. In ms.
    pub at: TimestampMs,
    /// `true` when the name has to go at the end (only with delayed name removal).
    pub drop_name: bool,
}

/// The samples of one series inside a window; each list ascends in time. Floats are those of
/// the history itself where it can be had.
#[derive(Clone, Debug)]
pub struct RangeSeries<'a> {
    /// The series' labels.
    pub labels: Labels,
    /// Its floats.
    pub floats: Cow<'a, [FloatPoint]>,
    /// Its native histograms.
    pub histograms: Vec<HistogramPoint>,
    /// Since when its samples have been counting, if any says so and it is to be made use of.
    pub starts: Option<&'a StartTimes>,
    /// `true` when the name has to go at the end (only with delayed name removal).
    pub drop_name: bool,
}

impl RangeSeries<'_> {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Tells whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A range vector with its window `(start, end]`.
#[derive(Clone, Debug)]
pub struct RangeVector<'a> {
    /// The series with at least one sample.
    pub series: Vec<RangeSeries<'a>>,
    /// The window's open left end, ms.
    pub start: TimestampMs,
    /// The window's closed right end, ms.
    pub end: TimestampMs,
    /// `anchored` and `smoothed` windows hold samples beyond their ends.
    pub mode: RangeMode,
}

impl RangeVector<'_> {
    /// Returns the length of the window.
    pub fn range(&self) -> DurationMs {
        self.end - self.start
    }
}

/// An argument.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Argument<'a> {
    Scalar(f64),
    String(String),
    Vector(Vec<Element>),
    Matrix(RangeVector<'a>),
}

/// What a function returns.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Output {
    Scalar(f64),
    Vector(Vec<Element>),
}

/// The instants a whole query is evaluated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryTimes {
    /// The first, ms.
    pub start: TimestampMs,
    /// The last, ms; of an instant query, the first.
    pub end: TimestampMs,
    /// Their distance, ms; of an instant query, 0.
    pub step: DurationMs,
}

/// The series that nameless results came from at earlier steps, by the results' labels.
pub type Origins = HashMap<Labels, Labels>;

/// A call at one instant.
#[derive(Debug)]
pub struct Call<'a> {
    /// The values of the arguments; a function takes what it needs.
    pub args: Vec<Argument<'a>>,
    /// The arguments as written, without parentheses around them.
    pub exprs: Vec<&'a Expr>,
    /// Where the call stands.
    pub span: Span,
    /// The evaluation time, ms.
    pub at: TimestampMs,
    /// The query's times.
    pub query: QueryTimes,
    /// Whether this instant is one of several (a range query or a subquery).
    pub is_range: bool,
    /// Which of Prometheus' features are on.
    pub features: Features,
    /// Of a range, where results came from so far, if two series could give the same one.
    pub origins: Option<&'a mut Origins>,
    /// Where to put remarks.
    pub annotations: &'a mut Annotations,
    /// Labels without the name, of all that the evaluation has come across.
    pub nameless: &'a mut DerivedLabels,
    /// What this call has kept at earlier steps.
    pub memory: &'a mut CallMemory,
}

/// What a call keeps from one step of a range to the next.
#[derive(Debug, Default)]
pub struct CallMemory {
    /// What the function makes of its elements' labels.
    pub labels: DerivedLabels,
    /// The groups that its elements belong to.
    pub groups: GroupMemory,
    /// The regular expression that it is called with.
    pub regex: Option<regex::Regex>,
    /// Whether its texts have been found good.
    pub has_good_texts: bool,
}

impl Call<'_> {
    /// Returns the scalar argument at `index`; NaN where there is none.
    pub fn scalar(&self, index: usize) -> f64 {
        match self.args.get(index) {
            Some(Argument::Scalar(value)) => *value,
            _ => f64::NAN,
        }
    }

    /// Returns the text argument at `index`.
    pub fn text(&self, index: usize) -> &str {
        match self.args.get(index) {
            Some(Argument::String(text)) => text,
            _ => "",
        }
    }

    /// Takes the vector argument at `index`.
    pub fn take_vector(&mut self, index: usize) -> Vec<Element> {
        match self.args.get_mut(index) {
            Some(Argument::Vector(vector)) => std::mem::take(vector),
            _ => Vec::new(),
        }
    }

    /// Returns the text's place of the argument at `index`; a subquery has none, as in
    /// Prometheus, which puts it at the beginning.
    pub fn place(&self, index: usize) -> Span {
        match self.exprs.get(index) {
            Some(expr) if !matches!(expr.kind, ExprKind::Subquery(_)) => expr.span,
            _ => Span::default(),
        }
    }

    /// Notes where a result comes from; fails when at another step it came from another series.
    pub fn note_origin(&mut self, result: &Labels, series: &Labels) -> Result<(), FunctionError> {
        let Some(origins) = &mut self.origins else {
            return Ok(());
        };
        let earlier = origins
            .entry(result.clone())
            .or_insert_with(|| series.clone());
        if earlier == series {
            return Ok(());
        }
        let text = "vector cannot contain metrics with the same labelset";
        Err(FunctionError(text.to_owned()))
    }

    /// Adds a remark about the argument at `index`.
    pub fn remark(&mut self, index: usize, remark: Remark) {
        let place = self.place(index);
        self.annotations.add(remark, place);
    }

    /// Returns `element` with another value, and without its name as functions leave it.
    pub fn renamed(&mut self, element: Element, value: SampleValue) -> Element {
        Element {
            labels: if self.features.delayed_name_removal {
                element.labels
            } else {
                self.nameless.labels(&element.labels, drop_metadata)
            },
            value,
            at: self.at,
            drop_name: true,
        }
    }
}

/// Returns the labels without name, type and unit, which a changed value no longer has.
pub fn drop_metadata(labels: &Labels) -> Labels {
    let is_metadata = |name: &str| matches!(name, METRIC_NAME | "__type__" | "__unit__");
    if labels.iter().any(|(name, _)| is_metadata(name)) {
        labels.filter(|name| !is_metadata(name))
    } else {
        labels.clone()
    }
}

/// Tells whether a text can be the name of a label: any UTF-8 but the empty text.
pub fn is_label_name(text: &str) -> bool {
    !text.is_empty() && !has_raw_bytes(text)
}

/// Refuses a text that is to name the label by which elements of a group are told apart, and
/// cannot.
pub fn check_member_label(function: &str, label: &str) -> Result<(), FunctionError> {
    if is_label_name(label) && label != METRIC_NAME {
        return Ok(());
    }
    Err(FunctionError(format!(
        "{function}(): {label:?} must be the name of the label that tells the elements of a group \
         apart"
    )))
}

/// Reads that label as the option `label`.
pub fn member_option(
    function: &str,
    options: &mut Options<'_>,
) -> Result<Option<String>, FunctionError> {
    let Some(label) = options.text("label") else {
        return Ok(None);
    };
    check_member_label(function, label)?;
    Ok(Some(label.to_owned()))
}

/// Returns the labels with `name` set to `value`, which may have become too long to hold. Bytes
/// in it that are not UTF-8 become what every answer of Prometheus shows of them.
pub fn set_label(labels: &Labels, name: &str, value: &str) -> Result<Labels, FunctionError> {
    let max = Labels::TEXT_BYTES_MAX;
    if name.len().max(value.len()) > max {
        return Err(FunctionError(format!(
            "label {} would have {} bytes, at most {max} are allowed: use a shorter replacement",
            quote(&name[..name.floor_char_boundary(80)]),
            value.len()
        )));
    }
    Ok(labels.with(name, &shown(value)))
}

/// Returns an expression without the parentheses around it.
pub fn plain(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    expr
}
