//! What a unit test expects beside what it got: compared and printed as promtool does.

use crate::model::float::format_exponent;
use crate::model::labels::{is_legacy_label_name, quote};
use crate::model::{FloatHistogram, Labels, SampleValue, VectorElement};
use crate::rule::histogram_notation::print_histogram;
use crate::rule::test_file::{ExpectedSample, Texts};

/// An alert as it is compared and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub labels: Texts,
    pub annotations: Texts,
}

/// A sample as it is compared and shown.
pub(super) struct ShownSample {
    pub labels: Texts,
    pub value: f64,
    pub histogram: Option<String>,
}

impl ShownSample {
    /// Compares as promtool does, so that NaN equals nothing.
    pub fn equals(&self, other: &ShownSample, fuzzy: bool) -> bool {
        let (x, y) = (self.value, other.value);
        let close = fuzzy && (x.next_down() == y || x.next_up() == y);
        self.labels == other.labels && self.histogram == other.histogram && (x == y || close)
    }
}

pub(super) fn shown_expected(sample: &ExpectedSample) -> ShownSample {
    ShownSample {
        labels: texts(&sample.labels),
        value: match sample.histogram {
            Some(_) => 0.0,
            None => sample.value,
        },
        histogram: sample.histogram.as_ref().map(print_histogram),
    }
}

pub(super) fn shown_element(element: &VectorElement) -> ShownSample {
    let histogram = match &element.value {
        SampleValue::Histogram(histogram) => Some(FloatHistogram::clone(histogram)),
        SampleValue::Float(_) => None,
    };
    ShownSample {
        labels: texts(&element.labels),
        value: element.value.as_float().unwrap_or(0.0),
        histogram: histogram.as_ref().map(print_histogram),
    }
}

pub(super) fn texts(labels: &Labels) -> Texts {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    labels.iter().map(owned).collect()
}

/// Prints as Prometheus prints labels: `{a="b", c="d"}`, the metric name among them.
pub(super) fn braced(texts: &Texts) -> String {
    let pair = |(name, value): &(String, String)| {
        if is_legacy_label_name(name) {
            format!("{name}={}", quote(value))
        } else {
            format!("{}={}", quote(name), quote(value))
        }
    };
    let pairs: Vec<String> = texts.iter().map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}

pub(super) fn list_of(alerts: &[Shown]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let item = |(idx, alert): (usize, &Shown)| {
        let (labels, annotations) = (braced(&alert.labels), braced(&alert.annotations));
        format!("{idx}:\n  Labels:{labels}\n  Annotations:{annotations}")
    };
    let items: Vec<String> = alerts.iter().enumerate().map(item).collect();
    format!("[\n{}\n]", items.join(",\n"))
}

pub(super) fn samples_of(samples: &[ShownSample]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let sample = |sample: &ShownSample| {
        let value = match &sample.histogram {
            Some(histogram) => histogram.clone(),
            None if sample.value.is_finite() => format_exponent(sample.value).to_uppercase(),
            None => format_exponent(sample.value),
        };
        format!("{} {value}", braced(&sample.labels))
    };
    let samples: Vec<String> = samples.iter().map(sample).collect();
    samples.join(", ")
}
