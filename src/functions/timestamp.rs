//! `timestamp`: when the samples of a selector were taken.

use crate::functions::formula::vector_signature;
use crate::functions::{Call, Function, FunctionError, Output};
use crate::model::SampleValue;
use crate::promql::Signature;

/// `timestamp(v)`
pub(super) struct Timestamp;

impl Function for Timestamp {
    fn signature(&self) -> Signature {
        vector_signature("timestamp")
    }

    fn about(&self) -> &'static str {
        "Returns when each sample was taken, in Unix seconds; of a computed value, the \
         evaluation time."
    }

    fn example(&self) -> &'static str {
        "time() - timestamp(up)"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let elements = call.take_vector(0);
        let out = elements.into_iter().map(|element| {
            let seconds = element.at.seconds();
            call.renamed(element, SampleValue::Float(seconds))
        });
        Ok(Output::Vector(out.collect()))
    }
}
