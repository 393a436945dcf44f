//! `abs`, `ceil`, `exp`, `floor`, `ln`, `log2`, `log10`, `sgn`, `sqrt`: one formula per float.

use crate::functions::formula::FloatFunction;
use crate::model::elementary::{ln, log2, log10};

pub(super) static ABS: FloatFunction = FloatFunction {
    name: "abs",
    about: "Returns the absolute value of every float.",
    example: "abs(node_hwmon_temp_celsius - 40)",
    formula: f64::abs,
};

pub(super) static CEIL: FloatFunction = FloatFunction {
    name: "ceil",
    about: "Rounds every float up to an integer.",
    example: "ceil(node_load1)",
    formula: f64::ceil,
};

pub(super) static EXP: FloatFunction = FloatFunction {
    name: "exp",
    about: "Returns e to the power of every float.",
    example: "exp(node_load1)",
    formula: f64::exp,
};

pub(super) static FLOOR: FloatFunction = FloatFunction {
    name: "floor",
    about: "Rounds every float down to an integer.",
    example: "floor(node_load1)",
    formula: f64::floor,
};

pub(super) static LN: FloatFunction = FloatFunction {
    name: "ln",
    about: "Returns the natural logarithm of every float.",
    example: "ln(node_load1)",
    formula: ln,
};

pub(super) static LOG10: FloatFunction = FloatFunction {
    name: "log10",
    about: "Returns the decimal logarithm of every float.",
    example: "log10(node_load1)",
    formula: log10,
};

pub(super) static LOG2: FloatFunction = FloatFunction {
    name: "log2",
    about: "Returns the binary logarithm of every float.",
    example: "log2(node_load1)",
    formula: log2,
};

pub(super) static SGN: FloatFunction = FloatFunction {
    name: "sgn",
    about: "Returns the sign of every float: -1, 0 or 1.",
    example: "sgn(delta(node_load1[5m]))",
    formula: |value| {
        if value < 0.0 {
            -1.0
        } else if value > 0.0 {
            1.0
        } else {
            value
        }
    },
};

pub(super) static SQRT: FloatFunction = FloatFunction {
    name: "sqrt",
    about: "Returns the square root of every float.",
    example: "sqrt(node_load1)",
    formula: f64::sqrt,
};
