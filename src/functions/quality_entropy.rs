//! `quality_entropy`: how evenly predictions are spread over classes.
//!
//! H = −Σ p ln p over the shares of the classes (Shannon 1948). A model that predicts one class
//! whatever comes has 0, one that guesses evenly among k has ln k; `output=uniformity` divides by
//! ln k, so that 1 is even, with k the classes that there are, or `classes`.

use crate::functions::bins::Bins;
use crate::functions::grouped::{fill_with_histograms, meetings, named_floats};
use crate::functions::options::Options;
use crate::functions::{Call, Function, FunctionError, Output, call};
use crate::model::BUCKET_LABEL;
use crate::promql::{Signature, ValueType};

/// `quality_entropy(v, "label", "options")`
pub(super) struct QualityEntropy;

const NAME: &str = "quality_entropy";
const CLASSES_MAX: usize = 1_000_000;

/// What a call asks for.
struct Asked {
    /// The unit, in nats.
    unit: f64,
    is_uniformity: bool,
    /// How many classes there are; 0 where that is counted.
    n_classes: usize,
}

fn asked(text: &str) -> Result<Asked, FunctionError> {
    let mut options = Options::parse(NAME, text)?;
    let unit = options.choice("base", &[("e", 1.0), ("2", std::f64::consts::LN_2)])?;
    let is_uniformity = options.choice("output", &[("entropy", false), ("uniformity", true)])?;
    let n_classes = match is_uniformity {
        true => options.count("classes", 0, 2, CLASSES_MAX)?,
        false => 0,
    };
    options.end()?;
    Ok(Asked {
        unit,
        is_uniformity,
        n_classes,
    })
}

/// Returns what is asked for of the baseline in the bins.
fn entropy(bins: &Bins, asked: &Asked) -> f64 {
    let terms = bins
        .shares()
        .map(|(p, _)| if p > 0.0 { -p * p.ln() } else { 0.0 });
    // Rounding must not make it negative, nor minus zero.
    let nats = terms.sum::<f64>().max(0.0) + 0.0;
    if !asked.is_uniformity {
        return nats / asked.unit;
    }
    let n_classes = match asked.n_classes {
        0 => bins.all().len(),
        n => n.max(bins.n_filled()),
    };
    match n_classes {
        0 | 1 => f64::NAN,
        n => nats / (n as f64).ln(),
    }
}

impl Function for QualityEntropy {
    fn signature(&self) -> Signature {
        Signature {
            name: NAME,
            args: &[ValueType::Vector, ValueType::String, ValueType::String],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Returns the entropy of counts by the label, in nats: 0 if all are of one class. Options: \
         base=e|2, output=entropy|uniformity, classes=N."
    }

    fn example(&self) -> &'static str {
        "quality_entropy(sum by (model, class) (rate(predictions_total[1h])), \"class\", \
         \"output=uniformity\")"
    }

    fn is_extension(&self) -> bool {
        true
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        let text = |at: usize| texts.get(at).copied().unwrap_or_default();
        call::check_member_label(NAME, text(0))?;
        asked(text(1)).map(drop)
    }

    fn member_label(&self, texts: &[&str]) -> Option<String> {
        texts.first().map(|label| (*label).to_owned())
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let (label, asked) = (call.text(1).to_owned(), asked(call.text(2))?);
        let vectors = [call.take_vector(0)];
        let met = meetings(call, NAME, &label, &vectors)?;
        let mut bins = Bins::default();
        let mut out = Vec::with_capacity(met.len());
        for meeting in &met {
            let filled = if label == BUCKET_LABEL {
                // A histogram beside itself: its bins are those that both have.
                let [group] = &meeting.groups;
                fill_with_histograms(call, NAME, [group, group], &mut bins)
            } else {
                let [mut counts] = named_floats(call, NAME, &label, &meeting.groups);
                let mut others = counts.clone();
                bins.of_categories(&mut counts, &mut others)
            };
            let value = match filled.and_then(|()| bins.check_totals()) {
                Ok(()) => entropy(&bins, &asked),
                Err(_) => f64::NAN,
            };
            out.push(meeting.result(call, &label, value));
        }
        Ok(Output::Vector(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_spread_has_the_most() {
        let check = |counts: &[f64], text: &str, expected: f64| {
            let names = ["a", "b", "c", "d"];
            let counts = || names.into_iter().zip(counts.iter().copied());
            let (mut side, mut other): (Vec<_>, Vec<_>) = (counts().collect(), counts().collect());
            let mut bins = Bins::default();
            bins.of_categories(&mut side, &mut other).expect("counts");
            let found = entropy(&bins, &asked(text).expect(text));
            let is_same = (found - expected).abs() < 1e-12 || (found.is_nan() && expected.is_nan());
            assert!(is_same, "{counts:?} {text}: {found}", counts = side);
        };
        check(&[5.0, 5.0], "base=2", 1.0);
        check(&[5.0, 0.0], "", 0.0);
        check(&[5.0, 5.0, 0.0, 0.0], "output=uniformity", 0.5);
        check(&[5.0, 5.0], "output=uniformity,classes=4", 0.5);
        check(&[5.0], "output=uniformity", f64::NAN);
    }
}
