//! `timestamp`, `start_timestamp`: what a selector's samples say of time.

use crate::functions::formula::vector_signature;
use crate::functions::{Call, Function, FunctionError, Output};
use crate::model::SampleValue;
use crate::promql::Signature;

/// A function that returns the time of each element; the interpreter puts it there.
pub(super) struct Timestamp {
    name: &'static str,
    experimental: bool,
    about: &'static str,
    example: &'static str,
}

pub(super) static TIMESTAMP: Timestamp = Timestamp {
    name: "timestamp",
    experimental: false,
    about: "Returns when each sample was taken, in Unix seconds; of a computed value, the \
            evaluation time.",
    example: "time() - timestamp(up)",
};

pub(super) static START_TIMESTAMP: Timestamp = Timestamp {
    name: "start_timestamp",
    experimental: true,
    about: "Returns since when the counter behind each sample has been counting, in Unix \
            seconds; 0 where the sample does not say, nothing for a computed value or without \
            `use-start-timestamps`.",
    example: "time() - start_timestamp(http_requests_total)",
};

impl Function for Timestamp {
    fn signature(&self) -> Signature {
        Signature {
            experimental: self.experimental,
            ..vector_signature(self.name)
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
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
