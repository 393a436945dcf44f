//! `round`: to the nearest multiple, ties upwards.

use crate::functions::formula::map_floats;
use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// `round(v, to_nearest)`
pub(super) struct Round;

impl Function for Round {
    fn signature(&self) -> Signature {
        Signature {
            name: "round",
            args: &[ValueType::Vector, ValueType::Scalar],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Rounds every float to the nearest multiple of a number, 1 if none is given."
    }

    fn example(&self) -> &'static str {
        "round(node_load1, 0.5)"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let nearest = if call.args.len() > 1 {
            call.scalar(1)
        } else {
            1.0
        };
        // Multiplying by the inverse loses less than dividing, and is what Prometheus does.
        let inverse = 1.0 / nearest;
        Ok(map_floats(call, |value| {
            (value * inverse + 0.5).floor() / inverse
        }))
    }
}
