//! What an evaluation has to say beside its result: warnings and infos, in Prometheus' words.
//!
//! The same text is said once per query, wherever it came from; the place kept is that of the
//! last one, as in Prometheus.

use std::collections::BTreeMap;

use crate::model::float::{format_general, format_general_rounded};
use crate::model::labels::quote;
use crate::model::{BUCKET_LABEL, TimestampMs};
use crate::promql::ast::Span;

/// How much an annotation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The result is probably not what was meant.
    Warning,
    /// The result may not be what was meant.
    Info,
}

/// Which histogram operation an annotation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramOperation {
    /// `a + b`
    Addition,
    /// `a - b`
    Subtraction,
    /// `sum`, `avg`, `sum_over_time`, `avg_over_time`
    Aggregation,
}

impl HistogramOperation {
    fn word(self) -> &'static str {
        match self {
            HistogramOperation::Addition => "addition",
            HistogramOperation::Subtraction => "subtraction",
            HistogramOperation::Aggregation => "aggregation",
        }
    }
}

/// Everything there is to remark on.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the texts below say it")]
pub enum Remark {
    InvalidQuantile(f64),
    InvalidRatio {
        got: f64,
        capped_to: f64,
    },
    BadBucketLabel {
        metric: String,
        value: String,
    },
    MixedFloatsHistograms {
        metric: String,
    },
    MixedFloatsHistogramsInAggregation,
    MixedClassicNativeHistograms {
        metric: String,
    },
    HistogramNotCounter {
        metric: String,
    },
    HistogramNotGauge {
        metric: String,
    },
    MixedExponentialCustomHistograms {
        metric: String,
    },
    IncompatibleBucketLayout {
        operator: &'static str,
    },
    SortInRangeQuery,
    CounterResetCollision(HistogramOperation),
    PossibleNonCounter {
        metric: String,
    },
    PossibleNonCounterByType {
        metric: String,
        /// What `__type__` says.
        got: String,
    },
    ForcedMonotonicity {
        metric: String,
        seen: ForcedBuckets,
    },
    IncompatibleTypes {
        lhs: &'static str,
        operator: &'static str,
        rhs: &'static str,
    },
    HistogramIgnoredInAggregation {
        aggregation: &'static str,
    },
    HistogramIgnoredInMixedRange {
        metric: String,
    },
    QuantileNanResult {
        metric: String,
    },
    QuantileNanSkew {
        metric: String,
    },
    FractionNans {
        metric: String,
    },
    MismatchedCustomBuckets(HistogramOperation),
    MissingLabel {
        label: String,
    },
    NoCommonBuckets {
        function: &'static str,
    },
    StartTimeOverlap {
        metric: String,
        /// In how many windows.
        n: usize,
    },
}

/// Which buckets of a classic histogram had to be raised, over all samples of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedBuckets {
    /// The first and last instant, ms.
    pub at: (TimestampMs, TimestampMs),
    /// The lowest and highest upper bound.
    pub bounds: (f64, f64),
    /// The largest correction.
    pub diff_max: f64,
    /// How many samples.
    pub n_samples: usize,
}

impl ForcedBuckets {
    fn merged(self, other: ForcedBuckets) -> ForcedBuckets {
        ForcedBuckets {
            at: (self.at.0.min(other.at.0), self.at.1.max(other.at.1)),
            bounds: (
                self.bounds.0.min(other.bounds.0),
                self.bounds.1.max(other.bounds.1),
            ),
            diff_max: self.diff_max.max(other.diff_max),
            n_samples: self.n_samples + other.n_samples,
        }
    }

    fn describe(&self) -> String {
        let time = |at: TimestampMs| {
            jiff::Timestamp::from_second(at.0.div_euclid(1000))
                .map_or_else(|_| at.0.to_string(), |time| time.to_string())
        };
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            format_general(self.bounds.0),
            format_general(self.bounds.1),
            format_general_rounded(self.diff_max, 2),
            self.n_samples,
            time(self.at.0),
            time(self.at.1),
        )
    }
}

impl Remark {
    /// Tells whether this is a warning or an info.
    pub fn level(&self) -> Level {
        use Remark as R;
        match self {
            R::InvalidQuantile(_)
            | R::InvalidRatio { .. }
            | R::BadBucketLabel { .. }
            | R::MixedFloatsHistograms { .. }
            | R::MixedFloatsHistogramsInAggregation
            | R::MixedClassicNativeHistograms { .. }
            | R::HistogramNotCounter { .. }
            | R::HistogramNotGauge { .. }
            | R::MixedExponentialCustomHistograms { .. }
            | R::IncompatibleBucketLayout { .. }
            | R::SortInRangeQuery
            | R::CounterResetCollision(_)
            | R::MissingLabel { .. }
            | R::NoCommonBuckets { .. }
            | R::StartTimeOverlap { .. } => Level::Warning,
            R::PossibleNonCounter { .. }
            | R::PossibleNonCounterByType { .. }
            | R::ForcedMonotonicity { .. }
            | R::IncompatibleTypes { .. }
            | R::HistogramIgnoredInAggregation { .. }
            | R::HistogramIgnoredInMixedRange { .. }
            | R::QuantileNanResult { .. }
            | R::QuantileNanSkew { .. }
            | R::FractionNans { .. }
            | R::MismatchedCustomBuckets(_) => Level::Info,
        }
    }

    /// Returns the text without level and place.
    fn text(&self) -> String {
        use Remark as R;
        let for_metric = |text: String, metric: &str| match metric {
            "" => text,
            metric => format!("{text} for metric name {}", quote(metric)),
        };
        match self {
            R::InvalidQuantile(got) => format!(
                "quantile value should be between 0 and 1, got {}",
                format_general(*got)
            ),
            R::InvalidRatio { got, capped_to } => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                format_general(*got),
                format_general(*capped_to)
            ),
            R::BadBucketLabel { metric, value } => for_metric(
                format!(
                    "bucket label {} is missing or has a malformed value of {}",
                    quote(BUCKET_LABEL),
                    quote(value)
                ),
                metric,
            ),
            R::MixedFloatsHistograms { metric } => format!(
                "encountered a mix of histograms and floats for metric name {}",
                quote(metric)
            ),
            R::MixedFloatsHistogramsInAggregation => {
                "encountered a mix of histograms and floats for aggregation".to_owned()
            }
            R::MixedClassicNativeHistograms { metric } => for_metric(
                "vector contains a mix of classic and native histograms".to_owned(),
                metric,
            ),
            R::HistogramNotCounter { metric } => format!(
                "this native histogram metric is not a counter: {}",
                quote(metric)
            ),
            R::HistogramNotGauge { metric } => format!(
                "this native histogram metric is not a gauge: {}",
                quote(metric)
            ),
            R::MixedExponentialCustomHistograms { metric } => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {}",
                quote(metric)
            ),
            R::IncompatibleBucketLayout { operator } => {
                format!("incompatible bucket layout encountered for binary operator {operator}")
            }
            R::SortInRangeQuery => "sort is ineffective for range queries since results are \
                                    always ordered by labels"
                .to_owned(),
            R::CounterResetCollision(operation) => format!(
                "conflicting counter resets during histogram {}",
                operation.word()
            ),
            R::PossibleNonCounter { metric } => format!(
                "metric might not be a counter, name does not end in \
                 _total/_sum/_count/_bucket: {}",
                quote(metric)
            ),
            R::PossibleNonCounterByType { metric, got } => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \
                 \"histogram\", got {}: {}",
                quote(got),
                quote(metric)
            ),
            R::ForcedMonotonicity { metric, .. } => for_metric(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/\
                 #histogram_quantile)"
                    .to_owned(),
                metric,
            ),
            R::IncompatibleTypes { lhs, operator, rhs } => format!(
                "incompatible sample types encountered for binary operator {}: {lhs} {operator} \
                 {rhs}",
                quote(operator)
            ),
            R::HistogramIgnoredInAggregation { aggregation } => {
                format!("ignored histogram in {aggregation} aggregation")
            }
            R::HistogramIgnoredInMixedRange { metric } => format!(
                "ignored histograms in a range containing both floats and histograms for metric \
                 name {}",
                quote(metric)
            ),
            R::QuantileNanResult { metric } => for_metric(
                "input to histogram_quantile has NaN observations, result is NaN".to_owned(),
                metric,
            ),
            R::QuantileNanSkew { metric } => for_metric(
                "input to histogram_quantile has NaN observations, result is skewed higher"
                    .to_owned(),
                metric,
            ),
            R::FractionNans { metric } => for_metric(
                "input to histogram_fraction has NaN observations, which are excluded from all \
                 fractions"
                    .to_owned(),
                metric,
            ),
            R::MismatchedCustomBuckets(operation) => format!(
                "mismatched custom buckets were reconciled during {}",
                operation.word()
            ),
            R::MissingLabel { label } => {
                format!("label {} is missing in some elements", quote(label))
            }
            R::NoCommonBuckets { function } => format!(
                "{function}() compares histograms with fewer than two buckets in common: give \
                 both the same bounds"
            ),
            R::StartTimeOverlap { metric, .. } => format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quote(metric)
            ),
        }
    }

    /// Returns the parameter that is out of its bounds.
    fn parameter(&self) -> Option<f64> {
        match self {
            Remark::InvalidQuantile(got) | Remark::InvalidRatio { got, .. } => Some(*got),
            _ => None,
        }
    }

    /// Returns what is said behind the text where the query's text is given.
    fn details(&self) -> String {
        match self {
            Remark::ForcedMonotonicity { seen, .. } => seen.describe(),
            Remark::StartTimeOverlap { n, .. } if *n > 1 => format!(" ({n} occurrences)"),
            _ => String::new(),
        }
    }
}

/// The remarks of one evaluation.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    by_text: BTreeMap<(Level, String), (Remark, Span)>,
}

impl Annotations {
    /// Adds a remark about the part of the query at `place`.
    pub fn add(&mut self, remark: Remark, place: Span) {
        let key = (remark.level(), remark.text());
        let merged = match (self.by_text.remove(&key), remark) {
            (
                Some((Remark::ForcedMonotonicity { seen: earlier, .. }, first_place)),
                Remark::ForcedMonotonicity { metric, seen },
            ) => {
                let seen = earlier.merged(seen);
                (Remark::ForcedMonotonicity { metric, seen }, first_place)
            }
            (
                Some((Remark::StartTimeOverlap { n: earlier, .. }, first_place)),
                Remark::StartTimeOverlap { metric, n },
            ) => {
                let n = earlier + n;
                (Remark::StartTimeOverlap { metric, n }, first_place)
            }
            (_, remark) => (remark, place),
        };
        self.by_text.insert(key, merged);
    }

    /// Adds a remark on an aggregation's parameter that is out of its bounds. Of all steps only
    /// the highest and the lowest parameter are spoken of, or only that one is NaN.
    pub fn add_parameter(&mut self, remark: Remark, place: Span) {
        let Some(got) = remark.parameter() else {
            return self.add(remark, place);
        };
        let mut is_worst = true;
        self.by_text.retain(|_, (earlier, earlier_place)| {
            let Some(earlier) = earlier.parameter().filter(|_| *earlier_place == place) else {
                return true;
            };
            let is_kept = match (earlier.is_nan(), got.is_nan()) {
                (true, _) => true,
                (false, true) => false,
                _ if (earlier > 0.0) != (got > 0.0) => return true,
                _ => earlier.abs() >= got.abs(),
            };
            is_worst &= !is_kept;
            is_kept
        });
        if is_worst {
            self.add(remark, place);
        }
    }

    /// Returns the texts of one level, sorted, with `(line:column)` where the query's text is
    /// given.
    pub fn texts(&self, level: Level, query: Option<&str>) -> Vec<String> {
        let of_level = self
            .by_text
            .iter()
            .filter(|((found, _), _)| *found == level);
        of_level
            .map(|((_, text), (remark, place))| {
                let prefix = match level {
                    Level::Warning => "PromQL warning",
                    Level::Info => "PromQL info",
                };
                let Some(query) = query else {
                    return format!("{prefix}: {text}");
                };
                let details = remark.details();
                let (line, column) = line_and_column(query, place.start);
                format!("{prefix}: {text}{details} ({line}:{column})")
            })
            .collect()
    }
}

/// Returns the 1-based line, and the column in bytes, of a place in a query.
fn line_and_column(query: &str, at: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..at.min(query.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    (line, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_once_at_its_last_place() {
        let mut annotations = Annotations::default();
        for start in [3, 7] {
            let place = Span { start, end: 9 };
            annotations.add(Remark::InvalidQuantile(f64::NAN), place);
        }
        let check = |query: Option<&str>, expected: &str| {
            assert_eq!(annotations.texts(Level::Warning, query), [expected]);
            assert!(annotations.texts(Level::Info, query).is_empty());
        };
        let text = "PromQL warning: quantile value should be between 0 and 1, got NaN";
        check(None, text);
        check(Some("012345\n8901"), &format!("{text} (2:1)"));
    }

    #[test]
    fn of_a_parameter_the_highest_and_the_lowest_are_spoken_of() {
        let check = |parameters: &[f64], expected: &[&str]| {
            let mut annotations = Annotations::default();
            for got in parameters {
                let place = Span { start: 9, end: 12 };
                annotations.add_parameter(Remark::InvalidQuantile(*got), place);
            }
            let said = annotations.texts(Level::Warning, None);
            let last_word = |text: &String| text.rsplit(' ').next().map(str::to_owned);
            let got: Vec<String> = said.iter().filter_map(last_word).collect();
            assert_eq!(got, expected);
        };
        check(&[2.0, 7.0, 3.0, -1.0, -0.5], &["-1", "7"]);
        check(&[2.0, f64::NAN, 7.0], &["NaN"]);
    }
}
