//! `calibration_error`, `calibration_error_sums`: do predictions come true as often as they say?
//!
//! Predictions are counted by their confidence: all of them, and those that came true. Of each bin
//! b with n_b predictions, acc_b is the share that came true (at most 1) and conf_b the mean
//! confidence: the middle of the bin, or the sum of confidences over n_b where that is counted, too.
//!
//! ece: Σ n_b / N |acc_b − conf_b|, mce: the largest |acc_b − conf_b| (Naeini et al. 2015).
//! brier: Σ n_b / N (acc_b (1 − conf_b)² + (1 − acc_b) conf_b²), Brier's score with each
//! prediction's confidence taken as that of its bin. Bins without predictions count nowhere.

use std::collections::BTreeMap;

use crate::functions::bins::{Bins, Unusable};
use crate::functions::grouped::{Group, fill_with_histograms, meetings, named_floats};
use crate::functions::options::Options;
use crate::functions::{Call, Element, Function, FunctionError, Output, call};
use crate::model::BUCKET_LABEL;
use crate::promql::{Signature, ValueType};

/// A calibration error as a function; with the sums of confidences or without.
pub(super) struct CalibrationError {
    name: &'static str,
    args: &'static [ValueType],
    about: &'static str,
    example: &'static str,
}

pub(super) static CALIBRATION_ERROR: CalibrationError = CalibrationError {
    name: "calibration_error",
    args: &[ValueType::Vector, ValueType::Vector, ValueType::String],
    about: "Returns how far the confidence of predictions is from how many of them were right, \
            from histograms of confidence of all and of the right ones. Options: \
            output=ece|mce|brier, label=LABEL.",
    example: "calibration_error(increase(prediction_confidence_bucket[1d]), \
              increase(prediction_correct_confidence_bucket[1d]), \"output=mce\")",
};

pub(super) static CALIBRATION_ERROR_SUMS: CalibrationError = CalibrationError {
    name: "calibration_error_sums",
    args: &[
        ValueType::Vector,
        ValueType::Vector,
        ValueType::Vector,
        ValueType::String,
    ],
    about: "Does as calibration_error, with the sums of the confidences in each bin as the third \
            vector instead of the middles of the bins. Options: output=ece|mce|brier, label=LABEL.",
    example: "calibration_error_sums(increase(predictions_total[1d]), \
              increase(correct_predictions_total[1d]), \
              increase(prediction_confidence_sum[1d]), \"label=bin\")",
};

/// Which of the errors.
#[derive(Clone, Copy)]
enum Kind {
    Expected,
    Largest,
    Brier,
}

/// What a call asks for.
struct Asked {
    kind: Kind,
    /// The label by which counts that are not cumulative are told apart.
    label: Option<String>,
}

/// A bin of confidence.
#[derive(Clone, Copy)]
struct ConfidenceBin {
    total: f64,
    accuracy: f64,
    confidence: f64,
}

impl CalibrationError {
    fn asked(&self, texts: &[&str]) -> Result<Asked, FunctionError> {
        let mut options = Options::parse(self.name, texts.first().copied().unwrap_or_default())?;
        let kind = options.choice(
            "output",
            &[
                ("ece", Kind::Expected),
                ("mce", Kind::Largest),
                ("brier", Kind::Brier),
            ],
        )?;
        let label = call::member_option(self.name, &mut options)?;
        options.end()?;
        Ok(Asked { kind, label })
    }

    /// Works out the error of each group; `sums` are a side of their own.
    fn results<const N: usize>(
        &self,
        call: &mut Call<'_>,
        asked: &Asked,
        vectors: &[Vec<Element>; N],
    ) -> Result<Vec<Element>, FunctionError> {
        let member = asked.label.as_deref().unwrap_or(BUCKET_LABEL);
        let met = meetings(call, self.name, member, vectors)?;
        let mut out = Vec::with_capacity(met.len());
        let mut bins = Bins::default();
        for meeting in &met {
            let found = match &asked.label {
                Some(label) => {
                    let named = named_floats(call, self.name, label, &meeting.groups);
                    match named.as_slice() {
                        [total, correct, sums] => by_any_label(total, correct, sums),
                        [total, correct] => {
                            // The second of two arguments stands first, as a baseline does.
                            bins.of_bounds(correct, total).map(|()| at_middles(&bins))
                        }
                        _ => Err(Unusable::Layouts),
                    }
                }
                None => self.by_bounds(call, &meeting.groups, &mut bins),
            };
            let value = found.map_or(f64::NAN, |found| error(&found, asked.kind));
            out.push(meeting.result(call, member, value));
        }
        Ok(out)
    }

    /// Lists the bins of histograms; confidences are the middles, or sums over counts.
    fn by_bounds(
        &self,
        call: &mut Call<'_>,
        groups: &[Group<'_>],
        bins: &mut Bins,
    ) -> Result<Vec<ConfidenceBin>, Unusable> {
        let [total, correct, sums @ ..] = groups else {
            return Err(Unusable::Layouts);
        };
        fill_with_histograms(call, self.name, [total, correct], bins)?;
        let mut found = at_middles(bins);
        if let [sums] = sums {
            let edges: Vec<f64> = bins.all().iter().map(|bin| bin.upper).collect();
            fill_with_histograms(call, self.name, [total, sums], bins)?;
            if !edges.iter().eq(bins.all().iter().map(|bin| &bin.upper)) {
                return Err(Unusable::Layouts);
            }
            for (bin, with_sum) in found.iter_mut().zip(bins.all()) {
                bin.confidence = with_sum.reference / bin.total;
            }
        }
        Ok(found)
    }
}

/// Takes the confidence of a bin's predictions to be its middle.
fn at_middles(bins: &Bins) -> Vec<ConfidenceBin> {
    let bins = bins.all().iter().map(|bin| ConfidenceBin {
        total: bin.current,
        accuracy: bin.reference / bin.current,
        confidence: bin.lower + (bin.upper - bin.lower) / 2.0,
    });
    bins.collect()
}

/// Lists the bins where their bounds do not matter, since the sums of confidences are known. A bin
/// that a side does not have holds nothing there.
fn by_any_label(
    total: &[(&str, f64)],
    correct: &[(&str, f64)],
    sums: &[(&str, f64)],
) -> Result<Vec<ConfidenceBin>, Unusable> {
    let is_count = |(_, count): &(&str, f64)| (0.0..f64::INFINITY).contains(count);
    if ![total, correct, sums].into_iter().flatten().all(is_count) {
        return Err(Unusable::Counts);
    }
    let by_name = |side: &[(&str, f64)]| -> BTreeMap<String, f64> {
        let named = side
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        named.collect()
    };
    let (correct, sums) = (by_name(correct), by_name(sums));
    let of = |side: &BTreeMap<String, f64>, name: &str| side.get(name).copied().unwrap_or(0.0);
    // By name, so that sums have the same bits whatever the order of the series.
    let bins = by_name(total)
        .into_iter()
        .map(|(name, total)| ConfidenceBin {
            total,
            accuracy: of(&correct, &name) / total,
            confidence: of(&sums, &name) / total,
        });
    Ok(bins.collect())
}

fn error(bins: &[ConfidenceBin], kind: Kind) -> f64 {
    let n: f64 = bins.iter().map(|bin| bin.total).sum();
    if n <= 0.0 {
        return f64::NAN;
    }
    let filled = bins.iter().filter(|bin| bin.total > 0.0);
    let filled = filled.map(|bin| (bin.total, bin.accuracy.min(1.0), bin.confidence));
    match kind {
        Kind::Expected => filled
            .map(|(total, accuracy, confidence)| total / n * (accuracy - confidence).abs())
            .sum(),
        Kind::Largest => filled
            .map(|(_, accuracy, confidence)| (accuracy - confidence).abs())
            .fold(0.0, f64::max),
        Kind::Brier => filled
            .map(|(total, accuracy, confidence)| {
                let right = accuracy * (1.0 - confidence).powi(2);
                total / n * (right + (1.0 - accuracy) * confidence.powi(2))
            })
            .sum(),
    }
}

impl Function for CalibrationError {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: self.args,
            variadic: 1,
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
        self.asked(texts).map(drop)
    }

    fn member_label(&self, texts: &[&str]) -> Option<String> {
        let label = self.asked(texts).ok()?.label;
        Some(label.unwrap_or_else(|| BUCKET_LABEL.to_owned()))
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let asked = self.asked(&[call.text(self.args.len() - 1)])?;
        let (total, correct) = (call.take_vector(0), call.take_vector(1));
        let found = match self.args.len() {
            3 => self.results(call, &asked, &[total, correct])?,
            _ => {
                let sums = call.take_vector(2);
                self.results(call, &asked, &[total, correct, sums])?
            }
        };
        Ok(Output::Vector(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(total: f64, accuracy: f64, confidence: f64) -> ConfidenceBin {
        ConfidenceBin {
            total,
            accuracy,
            confidence,
        }
    }

    #[test]
    fn errors_weigh_bins_by_their_predictions() {
        let bins = [
            bin(3.0, 0.5, 0.9),
            bin(1.0, 1.0, 0.6),
            bin(0.0, f64::NAN, 0.1),
        ];
        let check = |kind: Kind, expected: f64| {
            let found = error(&bins, kind);
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        check(Kind::Expected, 0.4);
        check(Kind::Largest, 0.4);
        // 3 predictions of 0.9, half of them right: (0.01 + 0.81) / 2; one of 0.6, right: 0.16.
        check(Kind::Brier, 0.75 * 0.41 + 0.25 * 0.16);
        assert!(error(&[bin(0.0, f64::NAN, 0.5)], Kind::Expected).is_nan());
    }
}
