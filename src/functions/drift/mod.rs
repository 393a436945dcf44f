//! `drift_*`: how far the distribution of one histogram is from that of another.
//!
//! What lives here: a file for each measure, which is a formula over [`Bins`], and what they
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

use crate::functions::bins::{Bins, Unusable};
use crate::functions::grouped::{Group, fill_with_histograms, meetings, named_floats};
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
            false => call::member_option(self.name, &mut options)?,
        };
        let measure = (self.measure)(&mut options)?;
        options.end()?;
        Ok(Asked { category, measure })
    }

    /// Puts the counts of both sides into common bins.
    fn fill(
        &self,
        call: &mut Call<'_>,
        asked: &Asked,
        groups: &[Group<'_>; 2],
        bins: &mut Bins,
    ) -> Result<(), Unusable> {
        match &asked.category {
            Some(label) => {
                let [mut current, mut reference] = named_floats(call, self.name, label, groups);
                bins.of_categories(&mut reference, &mut current)?;
            }
            None => fill_with_histograms(call, self.name, groups.each_ref(), bins)?,
        }
        bins.check_totals()
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
        let met = meetings(call, self.name, asked.member(), &vectors)?;
        let mut bins = Bins::default();
        let mut out = Vec::with_capacity(met.len());
        for meeting in &met {
            let value = match self.fill(call, &asked, &meeting.groups, &mut bins) {
                Ok(()) => (asked.measure)(&mut bins),
                Err(_) => f64::NAN,
            };
            out.push(meeting.result(call, asked.member(), value));
        }
        Ok(Output::Vector(out))
    }
}
