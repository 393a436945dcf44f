//! `quality_auc`: the area under the ROC curve, from histograms of the scores of positives and of
//! negatives.
//!
//! AUC = Σ_b P_b (N_below b + N_b / 2) / (P N): the probability that a positive scores above a
//! negative, ties counting half (Mann and Whitney 1947). Two scores in one bin are a tie, so finer
//! bins are nearer to the AUC of the scores themselves.

use crate::functions::bins::Bins;
use crate::functions::grouped::{fill_with_histograms, meetings, named_floats};
use crate::functions::options::Options;
use crate::functions::{Call, Function, FunctionError, Output, call};
use crate::model::BUCKET_LABEL;
use crate::promql::{Signature, ValueType};

/// `quality_auc(positives, negatives, "options")`
pub(super) struct QualityAuc;

const NAME: &str = "quality_auc";

/// Returns the label of bins that are not cumulative, if one is given.
fn asked(text: &str) -> Result<Option<String>, FunctionError> {
    let mut options = Options::parse(NAME, text)?;
    let label = call::member_option(NAME, &mut options)?;
    options.end()?;
    Ok(label)
}

/// Returns the area; the bins hold the negatives as the baseline.
fn area(bins: &Bins) -> f64 {
    let (mut below, mut wins) = (0.0, 0.0);
    for bin in bins.filled() {
        let (negatives, positives) = (bin.reference, bin.current);
        wins += positives / bins.current_total * (below + negatives / 2.0);
        below += negatives;
    }
    wins / bins.reference_total
}

impl Function for QualityAuc {
    fn signature(&self) -> Signature {
        Signature {
            name: NAME,
            args: &[ValueType::Vector, ValueType::Vector, ValueType::String],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Returns the area under the ROC curve from histograms of the scores of positives and of \
         negatives: 0.5 if the score says nothing, 1 if it tells them apart. Option: label=LABEL."
    }

    fn example(&self) -> &'static str {
        "quality_auc(increase(positive_score_bucket[1d]), increase(negative_score_bucket[1d]))"
    }

    fn is_extension(&self) -> bool {
        true
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        asked(texts.first().copied().unwrap_or_default()).map(drop)
    }

    fn member_label(&self, texts: &[&str]) -> Option<String> {
        let label = asked(texts.first().copied().unwrap_or_default()).ok()?;
        Some(label.unwrap_or_else(|| BUCKET_LABEL.to_owned()))
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let label = asked(call.text(2))?;
        let member = label.as_deref().unwrap_or(BUCKET_LABEL);
        let vectors = [call.take_vector(0), call.take_vector(1)];
        let met = meetings(call, NAME, member, &vectors)?;
        let mut bins = Bins::default();
        let mut out = Vec::with_capacity(met.len());
        for meeting in &met {
            let filled = match label {
                Some(_) => {
                    let [positives, negatives] = named_floats(call, NAME, member, &meeting.groups);
                    bins.of_bounds(&negatives, &positives)
                }
                None => fill_with_histograms(call, NAME, meeting.groups.each_ref(), &mut bins),
            };
            let value = match filled.and_then(|()| bins.check_totals()) {
                Ok(()) => area(&bins),
                Err(_) => f64::NAN,
            };
            out.push(meeting.result(call, member, value));
        }
        Ok(Output::Vector(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_ranked_and_ties_count_half() {
        let check = |positives: &[(&str, f64)], negatives: &[(&str, f64)], expected: f64| {
            let mut bins = Bins::default();
            bins.of_bounds(negatives, positives).expect("bounds");
            bins.check_totals().expect("counts");
            assert!((area(&bins) - expected).abs() < 1e-12, "{}", area(&bins));
        };
        check(&[("0.9", 5.0)], &[("0.1", 7.0)], 1.0);
        check(&[("0.1", 5.0)], &[("0.9", 7.0)], 0.0);
        check(&[("0.5", 5.0)], &[("0.5", 7.0)], 0.5);
        // Scores 0.2 0.4 | 0.1 0.2 0.3: of six pairs 4 are won, one is a tie.
        check(
            &[("0.2", 1.0), ("0.4", 1.0)],
            &[("0-0.1", 1.0), ("0.1-0.2", 1.0), ("0.2-0.3", 1.0)],
            4.5 / 6.0,
        );
    }
}
