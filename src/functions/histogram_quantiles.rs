//! `histogram_quantiles`: several quantiles of the same histograms, told apart by a label.

use crate::functions::call::Call;
use crate::functions::classic_histogram::Histograms;
use crate::functions::histogram_quantile::{classic_quantile, native_quantile, remark_invalid};
use crate::functions::{Element, Function, FunctionError, Output};
use crate::model::SampleValue;
use crate::model::float::{format_general, format_plain};
use crate::promql::{Signature, ValueType};

/// `histogram_quantiles(v, label, q, …)`
pub(super) struct HistogramQuantiles;

impl Function for HistogramQuantiles {
    fn signature(&self) -> Signature {
        Signature {
            name: "histogram_quantiles",
            args: &[
                ValueType::Vector,
                ValueType::String,
                ValueType::Scalar,
                ValueType::Scalar,
            ],
            variadic: 9,
            returns: ValueType::Vector,
            experimental: true,
        }
    }

    fn about(&self) -> &'static str {
        "Estimates several quantiles of the observations in classic or native histograms."
    }

    fn example(&self) -> &'static str {
        "histogram_quantiles(rate(http_request_duration_seconds[5m]), \"q\", 0.5, 0.99)"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let label = call.text(1).to_owned();
        let places = 2..call.args.len();
        let quantiles: Vec<(usize, f64)> = places.map(|at| (at, call.scalar(at))).collect();
        for (index, q) in &quantiles {
            remark_invalid(call, *index, *q);
        }
        let mut histograms = Histograms::split(call, 0);
        let mut out = Vec::new();
        for (_, q) in quantiles {
            let labelled = |element: Element| Element {
                labels: element.labels.with(&label, &open_metrics(q)),
                ..element
            };
            for (element, histogram) in &histograms.native {
                let renamed = call.renamed(element.clone(), SampleValue::Float(f64::NAN));
                let value = native_quantile(call, 0, (q, &renamed.labels, histogram));
                out.push(labelled(Element {
                    value: SampleValue::Float(value),
                    ..renamed
                }));
            }
            // Counts raised for one quantile stay raised for the next, so this is remarked once.
            for classic in &mut histograms.classic {
                let labels = &classic.element.labels;
                let value = classic_quantile(call, 0, (q, labels, &mut classic.buckets));
                let renamed = call.renamed(classic.element.clone(), SampleValue::Float(value));
                out.push(labelled(renamed));
            }
        }
        Ok(Output::Vector(out))
    }
}

/// Prints a float as OpenMetrics does: always with a point or an exponent.
fn open_metrics(value: f64) -> String {
    let text = format_general(value);
    if !value.is_finite() {
        return format_plain(value);
    }
    if text.contains(['e', '.']) {
        text
    } else {
        format!("{text}.0")
    }
}
