//! `absent`, `absent_over_time`: one element where there is none.

use crate::functions::formula::{MATRIX, check_mode, vector_signature};
use crate::functions::{
    Argument, Call, Element, Function, FunctionError, LiveFunction, Output, RangeSeries,
};
use crate::model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, SampleValue, TimestampMs};
use crate::promql::Signature;
use crate::promql::ast::{Expr, ExprKind};
use crate::windows::LiveForm;

/// `absent(v)`
pub(super) struct Absent;

impl Function for Absent {
    fn signature(&self) -> Signature {
        vector_signature("absent")
    }

    fn about(&self) -> &'static str {
        "Returns 1 when the vector is empty, with the labels the selector demands."
    }

    fn example(&self) -> &'static str {
        "absent(up{job=\"api\"})"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let is_empty = call.take_vector(0).is_empty();
        Ok(one_if(is_empty, call))
    }
}

/// `absent_over_time(v[w])`
pub(super) struct AbsentOverTime;

impl Function for AbsentOverTime {
    fn signature(&self) -> Signature {
        Signature {
            args: MATRIX,
            ..vector_signature("absent_over_time")
        }
    }

    fn about(&self) -> &'static str {
        "Returns 1 when no series has a sample in the window, with the labels the selector \
         demands."
    }

    fn live(&self) -> Option<LiveFunction> {
        Some(LiveFunction {
            form: LiveForm::edges_of_any(
                |_, _| Some(1.0),
                |_, _| Ok(Some(SampleValue::Float(1.0))),
            ),
            keeps_name: true,
            is_absence: true,
        })
    }

    fn example(&self) -> &'static str {
        "absent_over_time(up{job=\"api\"}[10m])"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let is_empty = match call.args.first() {
            Some(Argument::Matrix(range)) => {
                check_mode("absent_over_time", &[], range.mode)?;
                range.series.iter().all(RangeSeries::is_empty)
            }
            _ => true,
        };
        Ok(one_if(is_empty, call))
    }
}

fn one_if(is_empty: bool, call: &Call<'_>) -> Output {
    let expr = call.exprs.first().copied();
    Output::Vector(
        is_empty
            .then(|| absence(expr, call.at))
            .into_iter()
            .collect(),
    )
}

/// Returns the element that says that an argument has none.
pub fn absence(expr: Option<&Expr>, at: TimestampMs) -> Element {
    Element {
        labels: expr.map_or_else(Labels::empty, demanded),
        value: SampleValue::Float(1.0),
        at,
        drop_name: false,
    }
}

/// Returns the labels that a selector compares for equality, each once.
fn demanded(expr: &Expr) -> Labels {
    let matchers = match &expr.kind {
        ExprKind::Vector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::default();
    let mut seen = Vec::new();
    for matcher in matchers
        .iter()
        .filter(|matcher| matcher.name != METRIC_NAME)
    {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.build()
}
