//! The functions of PromQL, one file each (small ones of one kind share), and the list of all.
//!
//! To add a function: write its file, then name it in [`ALL`]. Parser, type check, help and
//! evaluation follow from what it says of itself.

mod absent;
pub mod annotation;
mod anomaly;
mod bins;
mod blocks;
mod calendar;
mod calibration_error;
pub mod call;
mod change;
mod changes;
mod clamp;
mod classic_histogram;
mod clock;
mod deriv;
mod double_exponential_smoothing;
mod drift;
mod embedding;
mod extended_histogram_rate;
mod extended_rate;
mod extremes;
mod forecast;
pub mod forest;
mod formula;
mod grouped;
mod histogram_fraction;
mod histogram_quantile;
mod histogram_quantiles;
mod histogram_statistics;
mod info;
mod instant_rate;
mod label_join;
mod label_replace;
pub mod learning;
#[cfg(test)]
mod live_forms;
mod math;
pub mod options;
mod over_time;
mod over_time_histogram;
mod quality_auc;
mod quality_entropy;
pub mod quantile;
mod rate;
#[cfg(test)]
mod recorded;
mod resets;
mod round;
mod scalar;
mod sort;
mod start_reset;
mod timestamp;
mod trigonometry;
mod vector;

pub use absent::absence;
pub use annotation::{Annotations, HistogramOperation, Level, Remark};
pub use call::{
    Argument, Call, CallMemory, Element, FunctionError, Origins, Output, QueryTimes, RangeSeries,
    RangeVector,
};

pub use extended_histogram_rate::interpolate_histograms;
pub use extended_rate::{cut_to_window, interpolated};

use crate::promql::{Signature, SignatureTable};
use crate::windows::LiveForm;

/// The incremental form of a function.
#[derive(Clone, Copy)]
pub struct LiveFunction {
    /// How its value is had.
    pub form: LiveForm,
    /// Whether its results are still samples of the series, so keep their names.
    pub keeps_name: bool,
    /// Whether it is what there is where no series has a value.
    pub is_absence: bool,
}

/// A function of PromQL.
pub trait Function: Sync {
    /// Returns its name and types.
    fn signature(&self) -> Signature;

    /// Says in one sentence what it returns.
    fn about(&self) -> &'static str;

    /// Returns an expression that uses it.
    fn example(&self) -> &'static str;

    /// Refuses the texts among the arguments, in their order, before the others are evaluated: of
    /// two errors Prometheus tells this one. Those of an extension are refused when an expression
    /// is parsed, too.
    fn check_texts(&self, _texts: &[&str]) -> Result<(), FunctionError> {
        Ok(())
    }

    /// Tells whether Prometheus does not have it, so that rules that call it run here alone.
    fn is_extension(&self) -> bool {
        false
    }

    /// Returns the label that tells the members of a group apart, where each result is made of
    /// the elements of all vectors that are alike but for it and the name; `texts` are those of
    /// the call.
    fn member_label(&self, _texts: &[&str]) -> Option<String> {
        None
    }

    /// Returns how it is had from a window that moves, where it is a function of one.
    fn live(&self) -> Option<LiveFunction> {
        None
    }

    /// Returns of how many samples in a window at most it is had so, with these texts among its
    /// arguments; of more, history is read at every evaluation. 0: always; `None`: never.
    fn live_samples_max(&self, _texts: &[&str]) -> Option<usize> {
        None
    }

    /// Tells whether it takes several series of a window together, which differ in the label that
    /// its second argument names; `eval::live` keeps those together, too.
    fn joins_series(&self) -> bool {
        false
    }

    /// Tells whether it learns from its window what is usual; then the last of its texts are
    /// options, of which `since` says from when on.
    fn learns(&self) -> bool {
        false
    }

    /// Computes it at one instant. The arguments have the types of the signature.
    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError>;
}

/// All functions, sorted by name.
pub static ALL: &[&dyn Function] = &[
    &math::ABS,
    &absent::Absent,
    &absent::AbsentOverTime,
    &trigonometry::ACOS,
    &trigonometry::ACOSH,
    &anomaly::ANOMALY_EWMA,
    &forest::AnomalyForest,
    &anomaly::ANOMALY_HOLT_WINTERS,
    &anomaly::ANOMALY_MAD,
    &anomaly::ANOMALY_SEASONAL,
    &anomaly::ANOMALY_ZSCORE,
    &trigonometry::ASIN,
    &trigonometry::ASINH,
    &trigonometry::ATAN,
    &trigonometry::ATANH,
    &over_time::AVG_OVER_TIME,
    &calibration_error::CALIBRATION_ERROR,
    &calibration_error::CALIBRATION_ERROR_SUMS,
    &math::CEIL,
    &change::CHANGE_ADWIN,
    &change::CHANGE_CUSUM,
    &change::CHANGE_PAGE_HINKLEY,
    &changes::CHANGES,
    &clamp::CLAMP,
    &clamp::CLAMP_MAX,
    &clamp::CLAMP_MIN,
    &trigonometry::COS,
    &trigonometry::COSH,
    &over_time::COUNT_OVER_TIME,
    &calendar::DAY_OF_MONTH,
    &calendar::DAY_OF_WEEK,
    &calendar::DAY_OF_YEAR,
    &calendar::DAYS_IN_MONTH,
    &trigonometry::DEG,
    &rate::DELTA,
    &deriv::DERIV,
    &double_exponential_smoothing::DOUBLE_EXPONENTIAL_SMOOTHING,
    &drift::chi2::CHI2,
    &drift::chi2_pvalue::CHI2_PVALUE,
    &embedding::cosine_similarity::COSINE_SIMILARITY,
    &drift::hellinger::HELLINGER,
    &drift::js::JS,
    &drift::kl::KL,
    &drift::ks::KS,
    &drift::ks_pvalue::KS_PVALUE,
    &embedding::l2_distance::L2_DISTANCE,
    &drift::psi::PSI,
    &drift::total_variation::TOTAL_VARIATION,
    &drift::wasserstein::WASSERSTEIN,
    &clock::END,
    &math::EXP,
    &over_time::FIRST_OVER_TIME,
    &math::FLOOR,
    &forecast::FORECAST_ERROR,
    &forecast::FORECAST_TIME_TO,
    &histogram_statistics::HISTOGRAM_AVG,
    &histogram_statistics::HISTOGRAM_COUNT,
    &histogram_fraction::HistogramFraction,
    &histogram_quantile::HistogramQuantile,
    &histogram_quantiles::HistogramQuantiles,
    &histogram_statistics::HISTOGRAM_STDDEV,
    &histogram_statistics::HISTOGRAM_STDVAR,
    &histogram_statistics::HISTOGRAM_SUM,
    &calendar::HOUR,
    &instant_rate::IDELTA,
    &rate::INCREASE,
    &info::Info,
    &instant_rate::IRATE,
    &label_join::LabelJoin,
    &label_replace::LabelReplace,
    &over_time::LAST_OVER_TIME,
    &math::LN,
    &math::LOG10,
    &math::LOG2,
    &over_time::MAD_OVER_TIME,
    &extremes::MAX_OF,
    &over_time::MAX_OVER_TIME,
    &extremes::MIN_OF,
    &over_time::MIN_OVER_TIME,
    &calendar::MINUTE,
    &calendar::MONTH,
    &trigonometry::Pi,
    &deriv::PREDICT_LINEAR,
    &over_time::PRESENT_OVER_TIME,
    &quality_auc::QualityAuc,
    &quality_entropy::QualityEntropy,
    &over_time::QUANTILE_OVER_TIME,
    &trigonometry::RAD,
    &clock::RANGE,
    &rate::RATE,
    &resets::RESETS,
    &round::Round,
    &scalar::Scalar,
    &math::SGN,
    &trigonometry::SIN,
    &trigonometry::SINH,
    &sort::SORT,
    &sort::SORT_BY_LABEL,
    &sort::SORT_BY_LABEL_DESC,
    &sort::SORT_DESC,
    &math::SQRT,
    &clock::START,
    &timestamp::START_TIMESTAMP,
    &over_time::STDDEV_OVER_TIME,
    &over_time::STDVAR_OVER_TIME,
    &clock::STEP,
    &over_time::SUM_OVER_TIME,
    &trigonometry::TAN,
    &trigonometry::TANH,
    &clock::TIME,
    &timestamp::TIMESTAMP,
    &over_time::TS_OF_FIRST_OVER_TIME,
    &over_time::TS_OF_LAST_OVER_TIME,
    &over_time::TS_OF_MAX_OVER_TIME,
    &over_time::TS_OF_MIN_OVER_TIME,
    &vector::Vector,
    &calendar::YEAR,
];

/// Returns the function of this name.
pub fn find(name: &str) -> Option<&'static dyn Function> {
    static BY_NAME: std::sync::OnceLock<std::collections::HashMap<&str, &dyn Function>> =
        std::sync::OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let named = ALL
            .iter()
            .map(|function| (function.signature().name, *function));
        named.collect()
    });
    by_name.get(name).copied()
}

/// The table of all functions, as the parser wants it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functions;

impl SignatureTable for Functions {
    fn signature(&self, name: &str) -> Option<Signature> {
        find(name).map(Function::signature)
    }

    fn check_texts(&self, name: &str, texts: &[&str]) -> Result<(), String> {
        // Prometheus finds out about its own when it evaluates them.
        match find(name).filter(|function| function.is_extension()) {
            Some(function) => function.check_texts(texts).map_err(|error| error.0),
            None => Ok(()),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        ALL.iter()
            .map(|function| function.signature().name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name_once() {
        let names = Functions.names();
        for name in &names {
            let found = find(name).expect("listed");
            assert_eq!(found.signature().name, *name);
            assert!(found.example().contains(name), "{name}");
            assert!(found.about().ends_with('.'), "{name}");
        }
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
