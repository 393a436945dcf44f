//! `drift_*`: how far the distribution of one histogram is from that of another.
//!
//! What lives here: a file for each measure, which is a formula over [`bins::Bins`], and what they
//! share. What may not: series, rules. A measure is named in the list of all functions.
//!
//! Both arguments are vectors of histograms: classic ones (`le`), native ones with exponential or
//! custom buckets, or counts by any label (`"label=class"`). They meet where their labels are the
//! same without the name and `le`. Conventions, which hold for all measures, in this order:
//!
//! 1. A count that is NaN, infinite or negative makes NaN, as does a classic histogram without
//!    `+Inf`. Cumulative counts that fall are raised, as `histogram_quantile` does.
//! 2. Of different bounds only the common ones are kept, which is exact; less than two buckets are
//!    NaN. Native histograms are brought to the coarser schema; buckets are those that hold
//!    something on either side.
//! 3. A side that holds nothing makes NaN.
//! 4. Buckets that are empty on both sides count nowhere.

mod bins;
pub(super) mod chi2;
pub(super) mod chi2_pvalue;
pub(super) mod hellinger;
pub(super) mod js;
pub(super) mod kl;
pub(super) mod ks;
pub(super) mod ks_pvalue;
pub(super) mod psi;
mod smoothing;
pub(super) mod total_variation;
pub(super) mod wasserstein;

use crate::functions::annotation::Remark;
use crate::functions::drift::bins::{Bins, Unusable};
use crate::functions::grouped::{Group, meetings, remove_unlabelled};
use crate::functions::options::Options;
use crate::functions::{Call, Function, FunctionError, Output, call};
use crate::model::BUCKET_LABEL;
use crate::promql::{Signature, ValueType};

/// The formula of a measure, with its options put in.
type Measure = Box<dyn Fn(&mut Bins) -> f64>;

/// A measure as a function of two vectors of histograms.
pub(super) struct DriftFunction {
    /// The name.
    name: &'static str,
    /// One sentence.
    about: &'static str,
    /// A call.
    example: &'static str,
    /// Whether the order of the bins matters, so that categories have no such distance.
    is_ordered: bool,
    /// Reads the options that are its own.
    measure: fn(&mut Options<'_>) -> Result<Measure, FunctionError>,
}

/// What a call asks for.
struct Asked {
    /// The label by which counts are told apart, where they are no histograms.
    category: Option<String>,
    measure: Measure,
}

impl Asked {
    /// Returns the label that tells the members of a histogram apart.
    fn member(&self) -> &str {
        self.category.as_deref().unwrap_or(BUCKET_LABEL)
    }
}

impl DriftFunction {
    fn asked(&self, texts: &[&str]) -> Result<Asked, FunctionError> {
        let mut options = Options::parse(self.name, texts.first().copied().unwrap_or_default())?;
        let category = match self.is_ordered {
            true => None,
            false => options.text("label"),
        };
        if let Some(label) = category.filter(|label| !call::is_label_name(label)) {
            return Err(FunctionError(format!(
                "{}(): option \"label\" is {label:?}, but must be the name of a label",
                self.name
            )));
        }
        let measure = (self.measure)(&mut options)?;
        options.end()?;
        let category = category.map(str::to_owned);
        Ok(Asked { category, measure })
    }

    /// Puts the counts of both sides into common bins.
    fn fill(
        &self,
        call: &mut Call<'_>,
        asked: &Asked,
        groups: &mut [Group<'_>; 2],
        bins: &mut Bins,
    ) -> Result<(), Unusable> {
        if let Some(label) = &asked.category {
            for (index, group) in groups.iter_mut().enumerate() {
                remove_unlabelled(call, (index, label), group);
                if group.histogram.is_some() {
                    let aggregation = self.name;
                    call.remark(index, Remark::HistogramIgnoredInAggregation { aggregation });
                }
            }
            let [current, reference] = groups;
            return bins.of_categories(&mut reference.floats, &mut current.floats);
        }
        let mut are_mixed = false;
        for (index, group) in groups.iter().enumerate() {
            let is_bad = |(text, _): &&(&str, f64)| bins::edge(text).is_none();
            let metric = || group.first.labels.metric_name().to_owned();
            if let Some((value, _)) = group.floats.iter().find(is_bad) {
                let (metric, value) = (metric(), (*value).to_owned());
                call.remark(index, Remark::BadBucketLabel { metric, value });
            }
            if group.histogram.is_some() && !group.floats.is_empty() {
                let metric = metric();
                call.remark(index, Remark::MixedClassicNativeHistograms { metric });
                are_mixed = true;
            }
        }
        if are_mixed {
            return Err(Unusable::Counts);
        }
        let [current, reference] = groups;
        let filled = bins.of_histograms(reference, current);
        if filled == Err(Unusable::Layouts) {
            let function = self.name;
            call.remark(1, Remark::NoCommonBuckets { function });
        }
        filled
    }
}

impl Function for DriftFunction {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: &[ValueType::Vector, ValueType::Vector, ValueType::String],
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
        let asked = self.asked(texts).ok()?;
        Some(asked.member().to_owned())
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let asked = self.asked(&[call.text(2)])?;
        let vectors = [call.take_vector(0), call.take_vector(1)];
        let mut met = meetings(call, self.name, asked.member(), &vectors)?;
        let mut bins = Bins::default();
        let mut out = Vec::with_capacity(met.len());
        for meeting in &mut met {
            let value = match self.fill(call, &asked, &mut meeting.groups, &mut bins) {
                Ok(()) => (asked.measure)(&mut bins),
                Err(_) => f64::NAN,
            };
            out.push(meeting.result(call, asked.member(), value));
        }
        Ok(Output::Vector(out))
    }
}
