//! The short cut: leaves that a live source answers without showing their samples.

use crate::eval::interpret::Interpreter;
use crate::eval::source::{LiveLeaf, WindowCall};
use crate::eval::{EvalError, LiveSource};
use crate::functions::call::plain;
use crate::functions::{self, Argument, Element, LiveFunction};
use crate::model::TimestampMs;
use crate::promql::Expr;
use crate::promql::ast::{Aggregate, ExprKind, MatrixSelector, RangeMode};

impl<'a> Interpreter<'a> {
    pub(super) fn live_source(&self) -> Option<&'a dyn LiveSource> {
        let source = self.source;
        // Who makes use of start timestamps has to see them.
        source
            .live()
            .filter(|_| !self.options.features.start_timestamps_used)
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
        let Some((matrix, scalars)) = self.live_arguments(exprs, at)? else {
            return self.live_subquery_call((source, live), exprs, at);
        };
        let call = self.window_call(live, matrix, &scalars, at)?;
        let Some(elements) = source.windows(&call) else {
            return Ok(None);
        };
        self.hold(elements.len())?;
        if live.keeps_name || source.names_one_metric(&matrix.selector) {
            return Ok(Some(elements));
        }
        self.unique(elements).map(Some)
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
                let function = functions::find(&call.function);
                let Some(live) = function.and_then(functions::Function::live) else {
                    return Ok(None);
                };
                let exprs: Vec<&Expr> = call.args.iter().map(plain).collect();
                let Some((matrix, scalars)) = self.live_arguments(&exprs, at)? else {
                    return Ok(None);
                };
                // Two series that become one by losing their names are an error, which only the
                // elements show.
                if !live.keeps_name && !source.names_one_metric(&matrix.selector) {
                    return Ok(None);
                }
                let call = self.window_call(live, matrix, &scalars, at)?;
                Ok(source.aggregate(aggregate, &LiveLeaf::Window(call), at))
            }
            _ => Ok(None),
        }
    }

    fn window_call<'r>(
        &mut self,
        live: LiveFunction,
        matrix: &'r MatrixSelector,
        scalars: &'r [f64],
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
            scalars,
            keeps_name: live.keeps_name,
            delays_name_removal: self.options.features.delayed_name_removal,
        })
    }

    /// Returns the one plain window among the arguments, and the values of all others, which have
    /// to be numbers.
    fn live_arguments<'e>(
        &mut self,
        exprs: &[&'e Expr],
        at: TimestampMs,
    ) -> Result<Option<(&'e MatrixSelector, Vec<f64>)>, EvalError> {
        let mut windows = exprs.iter().filter_map(|expr| match &expr.kind {
            ExprKind::Matrix(matrix) => Some(matrix),
            _ => None,
        });
        let (Some(matrix), None) = (windows.next(), windows.next()) else {
            return Ok(None);
        };
        if matrix.selector.mode != RangeMode::Plain {
            return Ok(None);
        }
        let mut scalars = Vec::new();
        for expr in exprs {
            if matches!(expr.kind, ExprKind::Matrix(_)) {
                continue;
            }
            match self.eval(expr, at)? {
                Argument::Scalar(value) => scalars.push(value),
                _ => return Ok(None),
            }
        }
        Ok(Some((matrix, scalars)))
    }
}
