//! `vector`: a number as a vector of one element without labels.

use crate::functions::{Call, Element, Function, FunctionError, Output};
use crate::model::{Labels, SampleValue};
use crate::promql::{Signature, ValueType};

/// `vector(s)`
pub(super) struct Vector;

impl Function for Vector {
    fn signature(&self) -> Signature {
        Signature {
            name: "vector",
            args: &[ValueType::Scalar],
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Returns a number as a vector of one element without labels."
    }

    fn example(&self) -> &'static str {
        "sum(up) or vector(0)"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(Output::Vector(vec![Element {
            labels: Labels::empty(),
            value: SampleValue::Float(call.scalar(0)),
            at: call.at,
            drop_name: false,
        }]))
    }
}
