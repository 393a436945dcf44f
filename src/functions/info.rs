//! `info`: labels of info metrics, such as `target_info`, added to the series they describe.
//!
//! It reads series of its own, so the interpreter evaluates it; here is what the parser and the
//! documentation need.

use crate::functions::{Call, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// `info(v, {selector})`
pub(super) struct Info;

impl Function for Info {
    fn signature(&self) -> Signature {
        Signature {
            name: "info",
            args: &[ValueType::Vector, ValueType::Vector],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: true,
        }
    }

    fn about(&self) -> &'static str {
        "Adds to every series the labels of the info metrics with the same job and instance."
    }

    fn example(&self) -> &'static str {
        "info(rate(http_requests_total[5m]), {k8s_cluster_name=~\".+\"})"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        Ok(Output::Vector(call.take_vector(0)))
    }
}
