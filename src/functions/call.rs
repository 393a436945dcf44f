//! What a function gets and gives: arguments, the instant, and the kinds of bodies.
//!
//! Most functions are one formula over the floats of a vector, or over the window of one
//! series; [`FloatFunction`], [`HistogramFunction`] and [`WindowFunction`] hold such a formula
//! and do the rest.

use std::sync::Arc;

use crate::functions::Function;
use crate::functions::annotation::{Annotations, Remark};
use crate::model::{DurationMs, FloatHistogram, Labels, METRIC_NAME, SampleValue, TimestampMs};
use crate::promql::ast::{Expr, ExprKind, RangeMode, Span};
use crate::promql::{Signature, ValueType};

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

/// A float at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatPoint {
    /// The instant, ms.
    pub at: TimestampMs,
    /// The value.
    pub value: f64,
}

/// A native histogram at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// The instant, ms.
    pub at: TimestampMs,
    /// The value.
    pub value: Arc<FloatHistogram>,
}

/// The samples of one series inside a window; each list ascends in time.
#[derive(Clone, Debug)]
pub struct RangeSeries {
    /// The series' labels.
    pub labels: Labels,
    /// Its floats.
    pub floats: Vec<FloatPoint>,
    /// Its native histograms.
    pub histograms: Vec<HistogramPoint>,
    /// `true` when the name has to go at the end (only with delayed name removal).
    pub drop_name: bool,
}

impl RangeSeries {
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
pub struct RangeVector {
    /// The series with at least one sample.
    pub series: Vec<RangeSeries>,
    /// The window's open left end, ms.
    pub start: TimestampMs,
    /// The window's closed right end, ms.
    pub end: TimestampMs,
    /// `anchored` and `smoothed` windows hold samples beyond their ends.
    pub mode: RangeMode,
}

impl RangeVector {
    /// Returns the length of the window.
    pub fn range(&self) -> DurationMs {
        self.end - self.start
    }
}

/// An argument.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Argument {
    Scalar(f64),
    String(String),
    Vector(Vec<Element>),
    Matrix(RangeVector),
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

/// A call at one instant.
#[derive(Debug)]
pub struct Call<'a> {
    /// The values of the arguments; a function takes what it needs.
    pub args: Vec<Argument>,
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
    /// Whether names are dropped at the end of the query instead of at once.
    pub delayed_name_removal: bool,
    /// Where to put remarks.
    pub annotations: &'a mut Annotations,
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

    /// Adds a remark about the argument at `index`.
    pub fn remark(&mut self, index: usize, remark: Remark) {
        let place = self.place(index);
        self.annotations.add(remark, place);
    }

    /// Returns `element` with another value, and without its name as functions leave it.
    pub fn renamed(&self, element: Element, value: SampleValue) -> Element {
        Element {
            labels: if self.delayed_name_removal {
                element.labels
            } else {
                drop_metadata(&element.labels)
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

/// A function that is one formula over every float of a vector; histograms are left out.
pub struct FloatFunction {
    /// The name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// A call.
    pub example: &'static str,
    /// The formula.
    pub formula: fn(f64) -> f64,
}

impl Function for FloatFunction {
    fn signature(&self) -> Signature {
        vector_signature(self.name)
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(map_floats(call, self.formula))
    }
}

/// Applies a formula to every float of the first argument.
pub fn map_floats(call: &mut Call<'_>, formula: impl Fn(f64) -> f64) -> Output {
    let mut out = Vec::new();
    for element in call.take_vector(0) {
        if let SampleValue::Float(value) = element.value {
            out.push(call.renamed(element, SampleValue::Float(formula(value))));
        }
    }
    Output::Vector(out)
}

/// Returns the signature of a function from instant vector to instant vector.
pub const fn vector_signature(name: &'static str) -> Signature {
    Signature {
        name,
        args: &[ValueType::Vector],
        variadic: 0,
        returns: ValueType::Vector,
        experimental: false,
    }
}

/// A function that is one formula over every native histogram of a vector.
pub struct HistogramFunction {
    /// The name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// A call.
    pub example: &'static str,
    /// The formula.
    pub formula: fn(&FloatHistogram) -> f64,
}

impl Function for HistogramFunction {
    fn signature(&self) -> Signature {
        vector_signature(self.name)
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let mut out = Vec::new();
        for mut element in call.take_vector(0) {
            if let SampleValue::Histogram(histogram) = &element.value {
                let value = (self.formula)(histogram);
                if !call.delayed_name_removal {
                    element.labels = element.labels.without_name();
                }
                element.value = SampleValue::Float(value);
                element.at = call.at;
                element.drop_name = true;
                out.push(element);
            }
        }
        Ok(Output::Vector(out))
    }
}

/// The window of one series, in a call.
#[derive(Debug)]
pub struct Window<'w, 'a> {
    /// The samples.
    pub series: &'w RangeSeries,
    /// The window's open left end, ms.
    pub start: TimestampMs,
    /// The window's closed right end, ms.
    pub end: TimestampMs,
    /// `anchored`, `smoothed`.
    pub mode: RangeMode,
    /// The argument that is the range vector.
    pub index: usize,
    /// The call.
    pub call: &'w mut Call<'a>,
}

impl Window<'_, '_> {
    /// Returns the floats.
    pub fn floats(&self) -> &[FloatPoint] {
        &self.series.floats
    }

    /// Returns the histograms.
    pub fn histograms(&self) -> &[HistogramPoint] {
        &self.series.histograms
    }

    /// Returns the window's length in seconds, rounded as Go rounds a duration.
    pub fn range_seconds(&self) -> f64 {
        let range = (self.end - self.start).0;
        (range / 1000) as f64 + (range % 1000 * 1_000_000) as f64 / 1e9
    }

    /// Returns the metric's name, for remarks.
    pub fn metric(&self) -> String {
        self.series.labels.metric_name().to_owned()
    }

    /// Adds a remark about the range vector.
    pub fn remark(&mut self, remark: Remark) {
        self.call.remark(self.index, remark);
    }

    /// Remarks that the histograms were left out, if there are any beside the floats.
    pub fn remark_ignored_histograms(&mut self) {
        if !self.histograms().is_empty() {
            let metric = self.metric();
            self.remark(Remark::HistogramIgnoredInMixedRange { metric });
        }
    }
}

/// A function that is one formula over the window of each series.
pub struct WindowFunction {
    /// The name.
    pub name: &'static str,
    /// The types of the arguments; one of them is a range vector.
    pub args: &'static [ValueType],
    /// See [`Signature::experimental`].
    pub experimental: bool,
    /// One sentence.
    pub about: &'static str,
    /// A call.
    pub example: &'static str,
    /// `true` when the result is still a sample of the series, so keeps its name.
    pub keeps_name: bool,
    /// Which of `anchored` and `smoothed` windows it can take.
    pub modes: &'static [RangeMode],
    /// The formula; `None` leaves the series out.
    pub formula: fn(&mut Window<'_, '_>) -> Result<Option<SampleValue>, FunctionError>,
}

/// The argument types of a function of one range vector.
pub const MATRIX: &[ValueType] = &[ValueType::Matrix];

impl WindowFunction {
    /// A function that takes one plain range vector and drops the name.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        example: &'static str,
        formula: fn(&mut Window<'_, '_>) -> Result<Option<SampleValue>, FunctionError>,
    ) -> Self {
        WindowFunction {
            name,
            args: MATRIX,
            experimental: false,
            about,
            example,
            keeps_name: false,
            modes: &[],
            formula,
        }
    }

    /// The same, behind `promql-experimental-functions`.
    pub const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    /// The same, keeping the name.
    pub const fn keeping_name(mut self) -> Self {
        self.keeps_name = true;
        self
    }

    /// The same, with these argument types.
    pub const fn with_args(mut self, args: &'static [ValueType]) -> Self {
        self.args = args;
        self
    }

    /// The same, taking these kinds of windows, too.
    pub const fn with_modes(mut self, modes: &'static [RangeMode]) -> Self {
        self.modes = modes;
        self
    }

    fn check_mode(&self, mode: RangeMode) -> Result<(), FunctionError> {
        let (word, allowed) = match mode {
            RangeMode::Plain => return Ok(()),
            RangeMode::Anchored => ("anchored", "changes, delta, increase, rate, resets"),
            RangeMode::Smoothed => ("smoothed", "delta, increase, rate"),
        };
        if self.modes.contains(&mode) {
            return Ok(());
        }
        Err(FunctionError(format!(
            "{word} modifier can only be used with: {allowed} - not with {}",
            self.name
        )))
    }
}

impl Function for WindowFunction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: self.args,
            variadic: 0,
            returns: ValueType::Vector,
            experimental: self.experimental,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let is_matrix = |ty: &ValueType| *ty == ValueType::Matrix;
        let index = self.args.iter().position(is_matrix).unwrap_or(0);
        let range = match call.args.get_mut(index) {
            Some(Argument::Matrix(range)) => {
                let empty = RangeVector {
                    series: Vec::new(),
                    ..*range
                };
                std::mem::replace(range, empty)
            }
            _ => return Ok(Output::Vector(Vec::new())),
        };
        self.check_mode(range.mode)?;
        let mut out = Vec::with_capacity(range.series.len());
        for series in range.series.iter().filter(|series| !series.is_empty()) {
            if range.mode != RangeMode::Plain && !series.histograms.is_empty() {
                let text = "smoothed and anchored modifiers do not work with native histograms";
                return Err(FunctionError(text.to_owned()));
            }
            let mut window = Window {
                series,
                start: range.start,
                end: range.end,
                mode: range.mode,
                index,
                call,
            };
            let Some(value) = (self.formula)(&mut window)? else {
                continue;
            };
            let drop_name = !self.keeps_name || series.drop_name;
            let strip = drop_name && !call.delayed_name_removal;
            out.push(Element {
                labels: if strip {
                    drop_metadata(&series.labels)
                } else {
                    series.labels.clone()
                },
                value,
                at: call.at,
                drop_name,
            });
        }
        Ok(Output::Vector(out))
    }
}

/// Returns an expression without the parentheses around it.
pub fn plain(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    expr
}
