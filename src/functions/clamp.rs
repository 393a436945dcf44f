//! `clamp`, `clamp_max`, `clamp_min`: floats held between bounds.

use crate::functions::formula::map_floats;
use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// One of the three: which argument is which bound.
pub(super) struct Clamp {
    name: &'static str,
    args: &'static [ValueType],
    about: &'static str,
    example: &'static str,
    lower: Option<usize>,
    upper: Option<usize>,
}

pub(super) static CLAMP: Clamp = Clamp {
    name: "clamp",
    args: &[ValueType::Vector, ValueType::Scalar, ValueType::Scalar],
    about: "Holds every float between a lower and an upper bound.",
    example: "clamp(node_load1, 0, 10)",
    lower: Some(1),
    upper: Some(2),
};

pub(super) static CLAMP_MAX: Clamp = Clamp {
    name: "clamp_max",
    args: &[ValueType::Vector, ValueType::Scalar],
    about: "Holds every float below an upper bound.",
    example: "clamp_max(node_load1, 10)",
    lower: None,
    upper: Some(1),
};

pub(super) static CLAMP_MIN: Clamp = Clamp {
    name: "clamp_min",
    args: &[ValueType::Vector, ValueType::Scalar],
    about: "Holds every float above a lower bound.",
    example: "clamp_min(node_load1, 0)",
    lower: Some(1),
    upper: None,
};

impl Function for Clamp {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: self.args,
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let bound = |index: Option<usize>, none: f64| index.map_or(none, |at| call.scalar(at));
        let lower = bound(self.lower, f64::NEG_INFINITY);
        let upper = bound(self.upper, f64::INFINITY);
        if upper < lower {
            return Ok(Output::Vector(Vec::new()));
        }
        Ok(map_floats(call, |value| {
            go_max(lower, go_min(upper, value))
        }))
    }
}

/// The smaller, where NaN on either side gives NaN (unless the other is -Inf) and -0 is less
/// than 0: Go's `math.Min`.
pub(super) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// The larger, with the mirrored rules: Go's `math.Max`.
pub(super) fn go_max(a: f64, b: f64) -> f64 {
    -go_min(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_go() {
        assert!(go_max(1.0, go_min(2.0, f64::NAN)).is_nan());
        assert!(go_max(f64::NAN, 3.0).is_nan());
        assert_eq!(go_max(f64::INFINITY, f64::NAN), f64::INFINITY);
        assert!(go_min(0.0, -0.0).is_sign_negative());
        assert!(go_max(-0.0, 0.0).is_sign_positive());
    }
}
