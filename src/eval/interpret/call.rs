//! Function calls: arguments evaluated, the function asked, its result checked.

use crate::eval::EvalError;
use crate::eval::interpret::invariant::is_call_step_invariant;
use crate::eval::interpret::subquery::forget_reset_hints;
use crate::eval::interpret::{Interpreter, n_samples_in, weight};
use crate::eval::plan::texts_of;
use crate::functions::call::plain;
use crate::functions::{self, Argument, Call, Output};
use crate::model::TimestampMs;
use crate::promql::Expr;
use crate::promql::ast::{self, ExprKind, Span};

impl<'a> Interpreter<'a> {
    /// Evaluates a call.
    pub(super) fn eval_call(
        &mut self,
        call: &ast::Call,
        span: Span,
        at: TimestampMs,
    ) -> Result<Argument<'a>, EvalError> {
        if call.function == "info" {
            return self.eval_info(call, at).map(Argument::Vector);
        }
        let Some(function) = functions::find(&call.function) else {
            let text = format!("unknown function with name \"{}\"", call.function);
            return Err(EvalError::Execution(text));
        };
        let exprs: Vec<&Expr> = call.args.iter().map(plain).collect();
        // Who groups elements by their labels finds the groups of last time again.
        let keeper = self.live_source().filter(|_| function.is_extension());
        let mut memory = match keeper {
            Some(source) => source.take_memory(call),
            None => self.of_calls.take(call),
        };
        if !memory.has_good_texts {
            function.check_texts(&texts_of(call.args.iter()))?;
            memory.has_good_texts = true;
        }
        let found = match function.joins_series() {
            true => self.live_joint_call(&exprs, at)?,
            false => self.live_call(function, &exprs, at)?,
        };
        if let Some(elements) = found {
            match keeper {
                Some(source) => source.put_memory(call, memory),
                None => self.of_calls.put(call, memory),
            }
            return Ok(Argument::Vector(elements));
        }
        let surroundings = self.surroundings.inside_call(&call.function);
        let held_before = self.n_held;
        let args = self.within(surroundings, |interpreter| {
            let args = exprs.iter();
            let args = args.map(|expr| interpreter.eval_argument(&call.function, expr, at));
            args.collect::<Result<Vec<_>, _>>()
        })?;
        let windows: Vec<usize> = args.iter().flat_map(windows_of).collect();
        let is_subquery = exprs
            .iter()
            .any(|expr| matches!(expr.kind, ExprKind::Subquery(_)));
        let mut annotations = std::mem::take(&mut self.annotations);
        let mut origins = self.take_origins(call);
        let output = function.call(&mut Call {
            args,
            exprs,
            span,
            at,
            query: self.query,
            is_range: self.is_range && !is_call_step_invariant(call),
            features: self.options.features,
            origins: origins.as_mut(),
            annotations: &mut annotations,
            nameless: &mut self.nameless,
            memory: &mut memory,
        });
        self.put_origins(call, origins);
        match keeper {
            Some(source) => source.put_memory(call, memory),
            None => self.of_calls.put(call, memory),
        }
        self.annotations = annotations;
        match output? {
            Output::Scalar(value) => Ok(Argument::Scalar(value)),
            Output::Vector(elements) => {
                let n_results = elements.iter().map(|element| weight(&element.value)).sum();
                // The points of a subquery are held besides.
                let held_besides = if is_subquery {
                    self.n_held
                } else {
                    held_before
                };
                self.note_windows(held_besides, &windows, n_results);
                self.unique(elements).map(Argument::Vector)
            }
        }
    }

    fn eval_argument(
        &mut self,
        function: &str,
        expr: &Expr,
        at: TimestampMs,
    ) -> Result<Argument<'a>, EvalError> {
        match &expr.kind {
            // Only a selector's own samples have times of their own, interpolated or not.
            ExprKind::Vector(selector) if function == "timestamp" => {
                let elements = self.samples_for_timestamp(selector, at, |sample| sample.at)?;
                self.hold(elements.len())?;
                Ok(Argument::Vector(elements))
            }
            ExprKind::Vector(selector)
                if function == "start_timestamp" && self.options.features.start_timestamps_used =>
            {
                self.samples_for_timestamp(selector, at, |sample| sample.start)
                    .map(Argument::Vector)
            }
            _ if function == "start_timestamp" => {
                self.eval(expr, at)?;
                Ok(Argument::Vector(Vec::new()))
            }
            ExprKind::Matrix(matrix) => self.eval_window(matrix, at).map(Argument::Matrix),
            ExprKind::Subquery(_) => {
                let mut value = self.eval_subquery_argument(expr, at)?;
                if let Argument::Matrix(range) = &mut value {
                    forget_reset_hints(range);
                }
                Ok(value)
            }
            _ => {
                let mut value = self.eval(expr, at)?;
                if let Argument::Vector(elements) = &mut value {
                    elements.iter_mut().for_each(|element| element.at = at);
                }
                Ok(value)
            }
        }
    }
}

/// Returns how many samples each series of a window has.
fn windows_of(arg: &Argument) -> Vec<usize> {
    match arg {
        Argument::Matrix(window) => window.series.iter().map(n_samples_in).collect(),
        _ => Vec::new(),
    }
}
