//! The trigonometric and hyperbolic functions, `deg`, `rad` and `pi`.

use std::f64::consts::PI;

use crate::functions::formula::{FloatFunction, vector_signature};
use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

pub(super) static ACOS: FloatFunction = FloatFunction {
    name: "acos",
    about: "Returns the arc cosine of every float.",
    example: "acos(wind_direction_radians)",
    formula: f64::acos,
};

pub(super) static ACOSH: FloatFunction = FloatFunction {
    name: "acosh",
    about: "Returns the inverse hyperbolic cosine of every float.",
    example: "acosh(wind_direction_radians)",
    formula: f64::acosh,
};

pub(super) static ASIN: FloatFunction = FloatFunction {
    name: "asin",
    about: "Returns the arc sine of every float.",
    example: "asin(wind_direction_radians)",
    formula: f64::asin,
};

pub(super) static ASINH: FloatFunction = FloatFunction {
    name: "asinh",
    about: "Returns the inverse hyperbolic sine of every float.",
    example: "asinh(wind_direction_radians)",
    formula: f64::asinh,
};

pub(super) static ATAN: FloatFunction = FloatFunction {
    name: "atan",
    about: "Returns the arc tangent of every float.",
    example: "atan(wind_direction_radians)",
    formula: f64::atan,
};

pub(super) static ATANH: FloatFunction = FloatFunction {
    name: "atanh",
    about: "Returns the inverse hyperbolic tangent of every float.",
    example: "atanh(wind_direction_radians)",
    formula: f64::atanh,
};

pub(super) static COS: FloatFunction = FloatFunction {
    name: "cos",
    about: "Returns the cosine of every float.",
    example: "cos(wind_direction_radians)",
    formula: f64::cos,
};

pub(super) static COSH: FloatFunction = FloatFunction {
    name: "cosh",
    about: "Returns the hyperbolic cosine of every float.",
    example: "cosh(wind_direction_radians)",
    formula: f64::cosh,
};

pub(super) static SIN: FloatFunction = FloatFunction {
    name: "sin",
    about: "Returns the sine of every float.",
    example: "sin(wind_direction_radians)",
    formula: f64::sin,
};

pub(super) static SINH: FloatFunction = FloatFunction {
    name: "sinh",
    about: "Returns the hyperbolic sine of every float.",
    example: "sinh(wind_direction_radians)",
    formula: f64::sinh,
};

pub(super) static TAN: FloatFunction = FloatFunction {
    name: "tan",
    about: "Returns the tangent of every float.",
    example: "tan(wind_direction_radians)",
    formula: f64::tan,
};

pub(super) static TANH: FloatFunction = FloatFunction {
    name: "tanh",
    about: "Returns the hyperbolic tangent of every float.",
    example: "tanh(wind_direction_radians)",
    formula: f64::tanh,
};

pub(super) static DEG: FloatFunction = FloatFunction {
    name: "deg",
    about: "Turns radians into degrees.",
    example: "deg(wind_direction_radians)",
    formula: |value| value * 180.0 / PI,
};

pub(super) static RAD: FloatFunction = FloatFunction {
    name: "rad",
    about: "Turns degrees into radians.",
    example: "rad(wind_direction_degrees)",
    formula: |value| value * PI / 180.0,
};

/// `pi()`
pub(super) struct Pi;

impl Function for Pi {
    fn signature(&self) -> Signature {
        Signature {
            args: &[],
            returns: ValueType::Scalar,
            ..vector_signature("pi")
        }
    }

    fn about(&self) -> &'static str {
        "Returns the ratio of a circle's circumference to its diameter."
    }

    fn example(&self) -> &'static str {
        "2 * pi()"
    }

    fn call(&self, _call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(Output::Scalar(PI))
    }
}
