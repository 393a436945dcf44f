//! `scalar`: the only float of a vector.

use crate::functions::formula::vector_signature;
use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// `scalar(v)`
pub(super) struct Scalar;

impl Function for Scalar {
    fn signature(&self) -> Signature {
        Signature {
            returns: ValueType::Scalar,
            ..vector_signature("scalar")
        }
    }

    fn about(&self) -> &'static str {
        "Returns the only float of a vector; NaN when there is none or more than one."
    }

    fn example(&self) -> &'static str {
        "scalar(count(up))"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let elements = call.take_vector(0);
        let mut floats = elements.iter().filter_map(|e| e.value.as_float());
        Ok(Output::Scalar(match (floats.next(), floats.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        }))
    }
}
