//! The short cut: leaves that a live source answers without showing their samples.

use crate::eval::interpret::Interpreter;
use crate::eval::plan::standing::stands_exactly;
use crate::eval::source::{JointCall, LiveLeaf, PlainFunction, WindowCall};
use crate::eval::{EvalError, LiveSource};
use crate::functions::call::plain;
use crate::functions::{
    self, Annotations, Argument, Call, CallMemory, Element, LiveFunction, Output, RangeVector,
};
use crate::model::{DerivedLabels, SampleValue, TimestampMs};
use crate::promql::Expr;
use crate::promql::ast::{Aggregate, Binary, ExprKind, MatrixSelector, RangeMode, Span};

/// The arguments of a function of a window besides the window.
#[derive(Default)]
pub(super) struct GivenArguments<'e> {
    pub scalars: Vec<f64>,
    pub options: &'e str,
}

impl<'a> Interpreter<'a> {
    pub(super) fn live_source(&self) -> Option<&'a dyn LiveSource> {
        let source = self.source;
        // Who makes use of start timestamps has to see them.
        source
            .live()
            .filter(|_| !self.options.features.start_timestamps_used)
    }

    /// Has the source know that what an operator made of its sides could be turned by rounding.
    pub(super) fn unsettle(&self, binary: &Binary) {
        if let Some(source) = self.live_source()
            && !(stands_exactly(&binary.lhs) && stands_exactly(&binary.rhs))
        {
            source.unsettle();
        }
    }

    /// Evaluates a call of a function that has an incremental form over a plain window.
    pub(super) fn live_call(
        &mut self,
        function: &dyn functions::Function,
        exprs: &[&Expr],
        at: TimestampMs,
    ) -> Result<Option<Vec<Element>>, EvalError> {
        let (Some(source), Some(live)) = (self.live_source(), function.live()) else {
            return Ok(None);
        };
        let found = self.live_elements((source, live), function, exprs, at)?;
        Ok(match found {
            Some(elements) if live.is_absence => {
                let is_absent = elements.is_empty();
                let absence = || functions::absence(exprs.first().copied(), at);
                Some(is_absent.then(absence).into_iter().collect())
            }
            found => found,
        })
    }

    fn live_elements(
        &mut self,
        (source, live): (&dyn LiveSource, LiveFunction),
        function: &dyn functions::Function,
        exprs: &[&Expr],
        at: TimestampMs,
    ) -> Result<Option<Vec<Element>>, EvalError> {
        let Some((matrix, given)) = self.live_arguments(exprs, at)? else {
            return self.live_subquery_call((source, live), exprs, at);
        };
        let plain = self.plain_function(function, exprs, &given.scalars, at);
        let call = self.window_call(live, matrix, (&given, &plain), at)?;
        let Some(elements) = source.windows(&call) else {
            return Ok(None);
        };
        self.hold(elements.len())?;
        if live.keeps_name || source.differ_without_name(&matrix.selector) {
            return Ok(Some(elements));
        }
        self.unique(elements).map(Some)
    }

    /// Evaluates a call of a function that takes several series of a plain window together.
    pub(super) fn live_joint_call(
        &mut self,
        exprs: &[&Expr],
        at: TimestampMs,
    ) -> Result<Option<Vec<Element>>, EvalError> {
        let text = |index: usize| match exprs.get(index).map(|expr| &expr.kind) {
            Some(ExprKind::String(text)) => text.as_str(),
            _ => "",
        };
        let matrix = match exprs.first().map(|expr| &expr.kind) {
            Some(ExprKind::Matrix(matrix)) if matrix.selector.mode == RangeMode::Plain => matrix,
            _ => return Ok(None),
        };
        let Some(source) = self.live_source() else {
            return Ok(None);
        };
        let selector = &matrix.selector;
        let range = self.positive(&matrix.range)?;
        let until = self.resolve(selector.at, self.offset(&selector.offset)?, at);
        let found = source.joint_windows(&JointCall {
            selector,
            after: until - range,
            until,
            at,
            dim: text(1),
            options: text(2),
        });
        if let Some(elements) = &found {
            self.hold(elements.len())?;
        }
        Ok(found)
    }

    /// Evaluates an aggregation right above a leaf.
    pub(super) fn live_aggregate(
        &mut self,
        aggregate: &Aggregate,
        at: TimestampMs,
    ) -> Result<Option<Vec<Element>>, EvalError> {
        let Some(source) = self.live_source() else {
            return Ok(None);
        };
        if aggregate.parameter.is_some() || self.options.features.delayed_name_removal {
            return Ok(None);
        }
        match &plain(&aggregate.expr).kind {
            ExprKind::Vector(selector) if selector.mode == RangeMode::Plain => {
                let until = self.resolve(selector.at, self.offset(&selector.offset)?, at);
                let leaf = LiveLeaf::Instant {
                    selector,
                    after: until - self.options.lookback,
                    until,
                };
                Ok(source.aggregate(aggregate, &leaf, at))
            }
            ExprKind::Call(call) => {
                let Some(function) = functions::find(&call.function) else {
                    return Ok(None);
                };
                let Some(live) = function.live().filter(|live| !live.is_absence) else {
                    return Ok(None);
                };
                let exprs: Vec<&Expr> = call.args.iter().map(plain).collect();
                let Some((matrix, given)) = self.live_arguments(&exprs, at)? else {
                    return Ok(None);
                };
                // What is wrong with options shows where the call is made by itself.
                if !given.options.is_empty() && function.check_texts(&[given.options]).is_err() {
                    return Ok(None);
                }
                // Two series that become one by losing their names are an error, which only the
                // elements show.
                if !live.keeps_name && !source.differ_without_name(&matrix.selector) {
                    return Ok(None);
                }
                let plain = self.plain_function(function, &exprs, &given.scalars, at);
                let call = self.window_call(live, matrix, (&given, &plain), at)?;
                Ok(source.aggregate(aggregate, &LiveLeaf::Window(call), at))
            }
            _ => Ok(None),
        }
    }

    /// Returns a function as it is of samples. What it has to remark is not asked for where
    /// windows are kept.
    fn plain_function<'r>(
        &self,
        function: &'r dyn functions::Function,
        exprs: &'r [&'r Expr],
        scalars: &'r [f64],
        at: TimestampMs,
    ) -> impl Fn(RangeVector<'_>) -> Option<SampleValue> + use<'r> {
        let (query, features) = (self.query, self.options.features);
        move |window| {
            let (mut window, mut scalars) = (Some(window), scalars.iter());
            let args = exprs.iter().map(|expr| match &expr.kind {
                ExprKind::Matrix(_) => window.take().map(Argument::Matrix),
                ExprKind::String(text) => Some(Argument::String(text.clone())),
                _ => scalars.next().map(|value| Argument::Scalar(*value)),
            });
            let output = function.call(&mut Call {
                args: args.collect::<Option<Vec<_>>>()?,
                exprs: exprs.to_vec(),
                span: Span::default(),
                at,
                query,
                is_range: false,
                features,
                origins: None,
                annotations: &mut Annotations::default(),
                nameless: &mut DerivedLabels::default(),
                memory: &mut CallMemory::default(),
            });
            match output.ok()? {
                Output::Vector(elements) => elements.into_iter().next().map(|e| e.value),
                Output::Scalar(_) => None,
            }
        }
    }

    fn window_call<'r>(
        &mut self,
        live: LiveFunction,
        matrix: &'r MatrixSelector,
        (given, plain): (&'r GivenArguments<'r>, &'r PlainFunction<'r>),
        at: TimestampMs,
    ) -> Result<WindowCall<'r>, EvalError> {
        let selector = &matrix.selector;
        let range = self.positive(&matrix.range)?;
        let until = self.resolve(selector.at, self.offset(&selector.offset)?, at);
        Ok(WindowCall {
            selector,
            after: until - range,
            until,
            at,
            form: live.form,
            scalars: &given.scalars,
            options: given.options,
            plain,
            keeps_name: live.keeps_name,
            delays_name_removal: self.options.features.delayed_name_removal,
        })
    }

    /// Returns the one plain window among the arguments, and the values of all others, which have
    /// to be numbers or options.
    fn live_arguments<'e>(
        &mut self,
        exprs: &[&'e Expr],
        at: TimestampMs,
    ) -> Result<Option<(&'e MatrixSelector, GivenArguments<'e>)>, EvalError> {
        let mut windows = exprs.iter().filter_map(|expr| match &expr.kind {
            ExprKind::Matrix(matrix) => Some(matrix),
            _ => None,
        });
        let (Some(matrix), None) = (windows.next(), windows.next()) else {
            return Ok(None);
        };
        let is_subquery = |expr: &&Expr| matches!(expr.kind, ExprKind::Subquery(_));
        if matrix.selector.mode != RangeMode::Plain || exprs.iter().any(is_subquery) {
            return Ok(None);
        }
        let given = self.given_arguments(exprs, at)?;
        Ok(given.map(|given| (matrix, given)))
    }

    /// Returns the values of the arguments that are no windows; `None` where there are others than
    /// numbers and one text of options.
    pub(super) fn given_arguments<'e>(
        &mut self,
        exprs: &[&'e Expr],
        at: TimestampMs,
    ) -> Result<Option<GivenArguments<'e>>, EvalError> {
        let mut given = GivenArguments::default();
        for expr in exprs {
            match &expr.kind {
                ExprKind::Matrix(_) | ExprKind::Subquery(_) => {}
                ExprKind::String(text) if given.options.is_empty() => given.options = text,
                _ => match self.eval(expr, at)? {
                    Argument::Scalar(value) => given.scalars.push(value),
                    _ => return Ok(None),
                },
            }
        }
        Ok(Some(given))
    }
}
