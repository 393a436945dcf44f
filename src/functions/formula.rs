//! Functions that are one formula: over every float or histogram of a vector, or over the window
//! of each series.
//!
//! Most functions are of these kinds; what is here takes arguments apart, drops names and puts
//! results together for them.

use crate::functions::annotation::Remark;
use crate::functions::call::{
    Argument, Call, Element, FunctionError, Output, RangeSeries, RangeVector, drop_metadata,
};
use crate::functions::start_reset::Counted;
use crate::functions::{Function, LiveFunction};
use crate::model::{
    FloatHistogram, FloatPoint, HistogramPoint, NO_START, SampleValue, TimestampMs,
};
use crate::promql::ast::RangeMode;
use crate::promql::{Signature, ValueType};
use crate::windows::LiveForm;

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
                if !call.features.delayed_name_removal {
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
    pub series: &'w RangeSeries<'w>,
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

    /// Returns when a sample was taken and since when its counter had been counting.
    pub(super) fn counted(&self, at: TimestampMs) -> Counted {
        let starts = self.series.starts;
        Counted {
            at,
            start: starts.map_or(NO_START, |starts| starts.of(at)),
        }
    }

    /// Returns the text of options: the last argument, where it is given.
    pub fn options(&self) -> &str {
        match self.call.args.last() {
            Some(Argument::String(text)) => text,
            _ => "",
        }
    }

    /// Returns the metric's name, for remarks.
    pub fn metric(&self) -> String {
        self.metric_name().to_owned()
    }

    /// Returns the metric's name.
    pub fn metric_name(&self) -> &str {
        self.series.labels.metric_name()
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
    /// The same from a window that moves; without it the window is read at every evaluation.
    pub live: Option<LiveForm>,
    /// Of how many samples at most it is had so, with these options.
    pub live_samples_max: SamplesMax,
    /// Refuses options that are wrong, of a function whose last argument is a text of
    /// [options](crate::functions::options); that may be left out.
    pub check_options: Option<CheckOptions>,
}

/// Tells what is wrong with a text of options.
pub type CheckOptions = fn(&str) -> Result<(), FunctionError>;

/// Tells of how many samples at most a function has an incremental form, by its options; 0: of
/// none.
pub type SamplesMax = fn(&str) -> Option<usize>;

/// The argument types of a function of one range vector with options.
pub const MATRIX_WITH_OPTIONS: &[ValueType] = &[ValueType::Matrix, ValueType::String];

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
            live: None,
            live_samples_max: |_| None,
            check_options: None,
        }
    }

    /// The same, with options as its last argument, which may be left out: `args` names their
    /// type, too.
    pub const fn with_options(
        mut self,
        args: &'static [ValueType],
        check_options: CheckOptions,
    ) -> Self {
        self.args = args;
        self.check_options = Some(check_options);
        self
    }

    /// The same, with an incremental form.
    pub const fn live(mut self, form: LiveForm) -> Self {
        self.live = Some(form);
        self
    }

    /// The same, whose incremental form is of so many samples at most.
    pub const fn up_to(mut self, samples_max: SamplesMax) -> Self {
        self.live_samples_max = samples_max;
        self
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
}

/// Refuses an `anchored` or `smoothed` window for a function that cannot take it.
pub(super) fn check_mode(
    name: &str,
    modes: &[RangeMode],
    mode: RangeMode,
) -> Result<(), FunctionError> {
    let (word, allowed) = match mode {
        RangeMode::Plain => return Ok(()),
        RangeMode::Anchored => ("anchored", "changes, delta, increase, rate, resets"),
        RangeMode::Smoothed => ("smoothed", "delta, increase, rate"),
    };
    if modes.contains(&mode) {
        return Ok(());
    }
    Err(FunctionError(format!(
        "{word} modifier can only be used with: {allowed} - not with {name}"
    )))
}

impl Function for WindowFunction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: self.args,
            variadic: i32::from(self.check_options.is_some()),
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

    fn is_extension(&self) -> bool {
        // Prometheus' own functions have no options.
        self.check_options.is_some()
    }

    fn learns(&self) -> bool {
        let check = self.check_options;
        check.is_some_and(|check| check("since=0").is_ok())
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        match (self.check_options, texts) {
            (Some(check), [options]) => check(options),
            _ => Ok(()),
        }
    }

    fn live(&self) -> Option<LiveFunction> {
        Some(LiveFunction {
            form: self.live?,
            keeps_name: self.keeps_name,
            is_absence: false,
        })
    }

    fn live_samples_max(&self, texts: &[&str]) -> Option<usize> {
        (self.live_samples_max)(texts.last().unwrap_or(&""))
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
        check_mode(self.name, self.modes, range.mode)?;
        let mut out = Vec::with_capacity(range.series.len());
        for series in range.series.iter().filter(|series| !series.is_empty()) {
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
            let labels = if drop_name && !call.features.delayed_name_removal {
                let labels = call.nameless.labels(&series.labels, drop_metadata);
                call.note_origin(&labels, &series.labels)?;
                labels
            } else {
                series.labels.clone()
            };
            out.push(Element {
                labels,
                value,
                at: call.at,
                drop_name,
            });
        }
        Ok(Output::Vector(out))
    }
}
