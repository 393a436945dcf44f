//! `time`, and what depends on the query alone: `start`, `end`, `range`, `step`.

use crate::functions::call::Call;
use crate::functions::{Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// A number that follows from the query's times.
pub(super) struct ClockFunction {
    name: &'static str,
    experimental: bool,
    about: &'static str,
    example: &'static str,
    seconds: fn(&Call<'_>) -> f64,
}

pub(super) static TIME: ClockFunction = ClockFunction {
    name: "time",
    experimental: false,
    about: "Returns the evaluation time in Unix seconds.",
    example: "time() - process_start_time_seconds",
    seconds: |call| call.at.seconds(),
};

pub(super) static START: ClockFunction = ClockFunction {
    name: "start",
    experimental: true,
    about: "Returns the query's first evaluation time in Unix seconds.",
    example: "time() - start()",
    seconds: |call| call.query.start.seconds(),
};

pub(super) static END: ClockFunction = ClockFunction {
    name: "end",
    experimental: true,
    about: "Returns the query's last evaluation time in Unix seconds.",
    example: "end() - time()",
    seconds: |call| call.query.end.seconds(),
};

pub(super) static RANGE: ClockFunction = ClockFunction {
    name: "range",
    experimental: true,
    about: "Returns the seconds between the query's first and last evaluation.",
    example: "range() / 2",
    seconds: |call| (call.query.end - call.query.start).seconds(),
};

pub(super) static STEP: ClockFunction = ClockFunction {
    name: "step",
    experimental: true,
    about: "Returns the query's step in seconds; 0 for an instant query.",
    example: "step() * 2",
    seconds: |call| {
        if call.query.start == call.query.end {
            0.0
        } else {
            call.query.step.seconds()
        }
    },
};

impl Function for ClockFunction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: &[],
            variadic: 0,
            returns: ValueType::Scalar,
            experimental: self.experimental,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(Output::Scalar((self.seconds)(call)))
    }
}
