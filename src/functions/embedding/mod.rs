//! Embeddings: vectors held as one series for each dimension, compared with a baseline.
//!
//! What lives here: what the distances share; each is a file of its own. Two embeddings meet where
//! their labels are the same without the name and the label of the dimension. Both must have the
//! same dimensions, and all values must be finite: else the result is NaN.

pub(super) mod cosine_similarity;
pub(super) mod l2_distance;

use crate::functions::grouped::{meetings, named_floats};
use crate::functions::{Call, Function, FunctionError, Output, call};
use crate::promql::{Signature, ValueType};

/// A distance or a similarity of two embeddings as a function.
pub(super) struct EmbeddingFunction {
    /// The name.
    name: &'static str,
    /// One sentence.
    about: &'static str,
    /// A call.
    example: &'static str,
    /// The formula over the pairs of coordinates, all of them finite.
    formula: fn(&[(f64, f64)]) -> f64,
}

impl Function for EmbeddingFunction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: &[ValueType::Vector, ValueType::Vector, ValueType::String],
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

    fn is_extension(&self) -> bool {
        true
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        call::check_member_label(self.name, texts.first().copied().unwrap_or_default())
    }

    fn member_label(&self, texts: &[&str]) -> Option<String> {
        texts.first().map(|label| (*label).to_owned())
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let label = call.text(2).to_owned();
        let vectors = [call.take_vector(0), call.take_vector(1)];
        let met = meetings(call, self.name, &label, &vectors)?;
        let mut pairs = Vec::new();
        let mut out = Vec::with_capacity(met.len());
        for meeting in &met {
            let [mut current, mut reference] =
                named_floats(call, self.name, &label, &meeting.groups);
            if current.is_empty() && reference.is_empty() {
                continue;
            }
            let value = match pair(&mut current, &mut reference, &mut pairs) {
                true => (self.formula)(&pairs),
                false => f64::NAN,
            };
            out.push(meeting.result(call, &label, value));
        }
        Ok(Output::Vector(out))
    }
}

/// Lists the coordinates of both by dimension; `false` where they cannot be compared. The order
/// is that of the names, so that sums have the same bits whatever the order of the series.
fn pair(
    current: &mut [(&str, f64)],
    reference: &mut [(&str, f64)],
    pairs: &mut Vec<(f64, f64)>,
) -> bool {
    pairs.clear();
    if current.len() != reference.len() {
        return false;
    }
    current.sort_by(|a, b| a.0.cmp(b.0));
    reference.sort_by(|a, b| a.0.cmp(b.0));
    let both = current.iter().zip(reference.iter());
    for ((dimension, x), (other, y)) in both {
        if dimension != other || !x.is_finite() || !y.is_finite() {
            return false;
        }
        pairs.push((*x, *y));
    }
    true
}
