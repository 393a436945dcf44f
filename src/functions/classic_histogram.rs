//! Classic histograms inside a vector: series that differ in `le` alone, put together.

use crate::functions::annotation::Remark;
use crate::functions::call::Call;
use crate::functions::{Element, FunctionError, Output};
use crate::model::{BUCKET_LABEL, FloatHistogram, Labels, LabelsMap, SampleValue};

/// The cumulative buckets of one classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// The upper bound, included.
    pub upper: f64,
    /// Observations up to it.
    pub count: f64,
}

/// The histograms of a vector.
#[derive(Debug)]
pub(super) struct Histograms {
    /// The native ones.
    pub native: Vec<(Element, std::sync::Arc<FloatHistogram>)>,
    /// The classic ones, in the order of their labels without `le`.
    pub classic: Vec<ClassicHistogram>,
}

/// A classic histogram.
#[derive(Debug)]
pub(super) struct ClassicHistogram {
    /// The labels without `le`, and what else an element has.
    pub element: Element,
    /// The buckets, in no order.
    pub buckets: Vec<Bucket>,
}

impl Histograms {
    /// Sorts the vector at `index` into native and classic histograms. Where a native and a
    /// classic one have the same labels, both are left out with a remark.
    pub fn split(call: &mut Call<'_>, index: usize) -> Histograms {
        let mut native = Vec::new();
        let mut classic: LabelsMap<ClassicHistogram> = LabelsMap::default();
        for element in call.take_vector(index) {
            let count = match &element.value {
                SampleValue::Float(count) => *count,
                SampleValue::Histogram(histogram) => {
                    let histogram = std::sync::Arc::clone(histogram);
                    native.push((element, histogram));
                    continue;
                }
            };
            let Some(upper) = upper_bound(element.labels.value(BUCKET_LABEL)) else {
                let remark = Remark::BadBucketLabel {
                    metric: name_for_remarks(call, &element.labels),
                    value: element.labels.value(BUCKET_LABEL).to_owned(),
                };
                call.remark(index, remark);
                continue;
            };
            let without_bound = |labels: &Labels| labels.filter(|name| name != BUCKET_LABEL);
            let known = &mut call.memory.labels;
            let histogram = classic
                .entry(known.labels(&element.labels, without_bound))
                .or_insert_with_key(|labels| ClassicHistogram {
                    element: Element {
                        labels: labels.clone(),
                        ..element
                    },
                    buckets: Vec::new(),
                });
            histogram.buckets.push(Bucket { upper, count });
        }
        native.retain(|(element, _): &(Element, _)| {
            if classic.remove(&element.labels).is_none() {
                return true;
            }
            let metric = name_for_remarks(call, &element.labels);
            call.remark(index, Remark::MixedClassicNativeHistograms { metric });
            false
        });
        let mut classic: Vec<ClassicHistogram> = classic.into_values().collect();
        classic.sort_by(|a, b| a.element.labels.cmp(&b.element.labels));
        Histograms { native, classic }
    }
}

/// Remarks name the metric only when its name is still to be dropped.
pub(super) fn name_for_remarks(call: &Call<'_>, labels: &Labels) -> String {
    if call.features.delayed_name_removal {
        labels.metric_name().to_owned()
    } else {
        String::new()
    }
}

/// Applies one formula to the native and one to the classic histograms of the vector at `index`.
pub(super) fn map_histograms(
    call: &mut Call<'_>,
    index: usize,
    native: impl Fn(&mut Call<'_>, &Labels, &FloatHistogram) -> f64,
    classic: impl Fn(&mut Call<'_>, &Labels, &mut Vec<Bucket>) -> f64,
) -> Result<Output, FunctionError> {
    let histograms = Histograms::split(call, index);
    let mut out = Vec::with_capacity(histograms.native.len() + histograms.classic.len());
    for (element, histogram) in histograms.native {
        let renamed = call.renamed(element, SampleValue::Float(f64::NAN));
        let value = native(call, &renamed.labels, &histogram);
        out.push(Element {
            value: SampleValue::Float(value),
            ..renamed
        });
    }
    for ClassicHistogram {
        element,
        mut buckets,
    } in histograms.classic
    {
        let value = classic(call, &element.labels, &mut buckets);
        out.push(call.renamed(element, SampleValue::Float(value)));
    }
    Ok(Output::Vector(out))
}

/// Reads an `le` as Go's `strconv.ParseFloat` does.
pub(super) fn upper_bound(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Some(sign * f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Go answers a number that is too large with an error.
    value.is_finite().then_some(value)
}

/// Sorts the buckets and adds up those of one bound; `false` where the last is not `+Inf`.
pub(super) fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| {
        a.upper
            .partial_cmp(&b.upper)
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}
