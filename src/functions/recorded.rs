//! The recorded values of the functions that compare groups: each function as it is, over vectors
//! made of what `tests/data/ml` holds. Through rules, with series that are sent, the same is asked
//! in `tests/golden`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value as Json;

use crate::functions::call::{Argument, Call, CallMemory, Element, Output, QueryTimes};
use crate::functions::{Annotations, find};
use crate::model::{
    BucketSpan, DerivedLabels, DurationMs, FloatHistogram, Labels, SampleValue, TimestampMs,
};
use crate::promql::Features;
use crate::promql::ast::Span;

fn number(json: &Json) -> f64 {
    match json {
        Json::String(text) => text.parse().expect("NaN, +Inf, -Inf or a bound"),
        number => number.as_f64().expect("a number"),
    }
}

fn element(pairs: &[(&str, &str)], value: SampleValue) -> Element {
    Element {
        labels: Labels::from_pairs(pairs.iter().copied()),
        value,
        at: TimestampMs(0),
        drop_name: false,
    }
}

/// Returns spans and counts of `{index: count}`.
fn side(json: &Json) -> (Vec<BucketSpan>, Vec<f64>) {
    let counts = json.as_object().into_iter().flatten();
    let counts = counts.map(|(index, count)| (index.parse().expect("an index"), number(count)));
    let counts: BTreeMap<i32, f64> = counts.collect();
    let mut next = 0;
    let spans = counts.keys().map(|index| BucketSpan {
        offset: index - std::mem::replace(&mut next, index + 1),
        length: 1,
    });
    (spans.collect(), counts.values().copied().collect())
}

/// Returns a distribution, an embedding or a histogram as a vector.
fn vector(json: &Json) -> Vec<Element> {
    if let Some(bounds) = json["le"].as_array() {
        let bound = |json: &Json| match json {
            Json::String(text) => text.clone(),
            number => number.to_string(),
        };
        let counts = json["cum"].as_array().expect("a list").iter();
        let buckets = bounds.iter().map(bound).zip(counts.map(number));
        return buckets
            .map(|(bound, count)| element(&[("le", &bound)], SampleValue::Float(count)))
            .collect();
    }
    if json["schema"].is_null() {
        let dimensions = json.as_object().expect("by dimension").iter();
        return dimensions
            .map(|(dim, value)| element(&[("dim", dim)], SampleValue::Float(number(value))))
            .collect();
    }
    let (positive_spans, positive_buckets) = side(&json["positive"]);
    let (negative_spans, negative_buckets) = side(&json["negative"]);
    let histogram = FloatHistogram {
        schema: i32::try_from(json["schema"].as_i64().expect("a schema")).expect("small"),
        zero_threshold: number(&json["zero_threshold"]),
        zero_count: number(&json["zero_count"]),
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        ..FloatHistogram::default()
    };
    vec![element(&[], SampleValue::Histogram(histogram.into()))]
}

fn options(args: &Json) -> String {
    let args = args.as_object().into_iter().flatten();
    let text = |json: &Json| {
        json.as_str()
            .map_or_else(|| json.to_string(), str::to_owned)
    };
    let args = args.map(|(name, value)| format!("{name}={}", text(value)));
    args.collect::<Vec<_>>().join(",")
}

/// Calls a function with vectors and a text; returns its only value.
fn value(function: &str, vectors: Vec<Vec<Element>>, text: &str) -> Option<f64> {
    let found = find(function).expect(function);
    found.check_texts(&[text]).expect(text);
    let mut args: Vec<Argument> = vectors.into_iter().map(Argument::Vector).collect();
    args.push(Argument::String(text.to_owned()));
    let at = TimestampMs(0);
    let output = found.call(&mut Call {
        args,
        exprs: Vec::new(),
        span: Span::default(),
        at,
        query: QueryTimes {
            start: at,
            end: at,
            step: DurationMs::ZERO,
        },
        is_range: false,
        features: Features::default(),
        origins: None,
        annotations: &mut Annotations::default(),
        nameless: &mut DerivedLabels::default(),
        memory: &mut CallMemory::default(),
    });
    match output.expect("a value") {
        Output::Vector(elements) => {
            assert!(elements.len() < 2, "one group");
            elements.first().map(|element| match element.value {
                SampleValue::Float(value) => value,
                SampleValue::Histogram(_) => panic!("a float"),
            })
        }
        Output::Scalar(_) => panic!("a vector"),
    }
}

/// Compares with the tolerance of a vector.
fn check(case: &Json, function: &str, got: Option<f64>, expected: &Json) {
    let id = &case["id"];
    if expected.is_null() {
        return assert_eq!(got, None, "{id}");
    }
    let (got, expected) = (got.expect("a result"), number(expected));
    let (relative, absolute) = (&case["tolerance"]["rel"], &case["tolerance"]["abs"]);
    let allowed = number(absolute).max(number(relative) * expected.abs());
    let is_same = got == expected || (got.is_nan() && expected.is_nan());
    assert!(
        is_same || (got - expected).abs() <= allowed,
        "{id}: {function} is {got}, expected {expected}"
    );
}

fn cases(name: &str) -> Vec<Json> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ml");
    let packed = std::fs::read(folder.join(format!("{name}.jsonl.gz"))).expect(name);
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
    unpacked.read_to_string(&mut text).expect(name);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect(line));
    lines.collect()
}

/// Asks a function of two groups about all vectors of a file.
fn check_file(file: &str, function: &str, member: Option<&str>) {
    let cases = cases(file);
    assert!(cases.len() > 20, "{file}");
    for case in &cases {
        let inputs = ["current", "reference"].map(|side| vector(&case["inputs"][side]));
        let text = match member {
            Some(dim) => dim.to_owned(),
            None => options(&case["args"]),
        };
        let got = value(function, inputs.to_vec(), &text);
        let expected = match case["expected"].as_object() {
            Some(several) if function.ends_with("pvalue") => &several["p_value"],
            Some(several) => &several["statistic"],
            None => &case["expected"],
        };
        check(case, function, got, expected);
    }
}

#[test]
fn distances_of_distributions_are_those_of_the_references() {
    check_file("psi", "drift_psi", None);
    check_file("kl", "drift_kl", None);
    check_file("js", "drift_js", None);
    check_file("hellinger", "drift_hellinger", None);
    check_file("total_variation", "drift_total_variation", None);
    check_file("ks_stat", "drift_ks", None);
    check_file("ks_pvalue", "drift_ks_pvalue", None);
    check_file("chi2_test", "drift_chi2", None);
    check_file("chi2_test", "drift_chi2_pvalue", None);
    check_file("wasserstein1", "drift_wasserstein", None);
}

#[test]
fn distances_of_embeddings_are_those_of_the_references() {
    check_file("cosine_similarity", "drift_cosine_similarity", Some("dim"));
    check_file("l2_distance", "drift_l2_distance", Some("dim"));
}

#[test]
fn calibration_errors_are_those_of_the_reference() {
    for case in &cases("ece") {
        let bins = case["inputs"]["bins"].as_array().expect("bins");
        let by_bin = |field: &str| {
            let of_bin = |bin: &Json| {
                let value = SampleValue::Float(number(&bin[field]));
                element(&[("bin", &bin["upper"].to_string())], value)
            };
            bins.iter().map(of_bin).collect::<Vec<_>>()
        };
        let mut vectors = vec![by_bin("total"), by_bin("correct")];
        let has_sums = bins.iter().all(|bin| bin["conf_sum"].is_number());
        let function = match has_sums {
            true => {
                vectors.push(by_bin("conf_sum"));
                "calibration_error_sums"
            }
            false => "calibration_error",
        };
        for output in ["ece", "mce"] {
            let text = format!("label=bin,output={output}");
            let got = value(function, vectors.clone(), &text);
            check(case, function, got, &case["expected"][output]);
        }
    }
}
