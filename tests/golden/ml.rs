//! The recorded values of functions over distributions, embeddings and bins, through rules: their
//! inputs are sent to a running server, rules of it compute them, and what it recorded is asked.
//!
//! Catches: what is lost between the door and a rule's value: a bucket, an infinite count, a
//! histogram's schema; options that a rule file cannot say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use burnwatch::model::{BucketSpan, CounterResetHint, FloatHistogram, Labels, SampleValue};
use serde_json::Value as Json;

use crate::answer::read_float;
use crate::process::{Server, Setup, now_ms, wait_for};
use crate::push::Recorded;

/// The files, the functions that they are of, and where the value stands if it is one of several.
const FILES: [(&str, &str, Option<&str>); 13] = [
    ("psi", "drift_psi", None),
    ("kl", "drift_kl", None),
    ("js", "drift_js", None),
    ("hellinger", "drift_hellinger", None),
    ("total_variation", "drift_total_variation", None),
    ("ks_stat", "drift_ks", None),
    ("ks_pvalue", "drift_ks_pvalue", None),
    ("chi2_test", "drift_chi2", Some("statistic")),
    ("chi2_test", "drift_chi2_pvalue", Some("p_value")),
    ("wasserstein1", "drift_wasserstein", None),
    ("cosine_similarity", "drift_cosine_similarity", None),
    ("l2_distance", "drift_l2_distance", None),
    ("ece", "calibration_error", Some("ece")),
];

fn cases(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/ml/{file}.jsonl.gz"));
    let packed = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed);
    unpacked.read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| read_float(json))
}

fn plain(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

/// A case of a file as it is asked of one function.
struct Asked {
    id: String,
    function: &'static str,
    expected: Json,
    tolerance: (f64, f64),
    /// The call's texts, with a comma before each.
    texts: String,
    /// How many vectors the call takes.
    n_vectors: usize,
    series: Vec<(Labels, SampleValue)>,
}

impl Asked {
    fn new(case: &Json, function: &'static str, member: Option<&str>) -> Self {
        let id = plain(&case["id"]);
        let mut asked = Asked {
            function,
            expected: match member {
                Some(member) => case["expected"][member].clone(),
                None => case["expected"].clone(),
            },
            tolerance: (
                number(&case["tolerance"]["rel"]),
                number(&case["tolerance"]["abs"]),
            ),
            texts: String::new(),
            n_vectors: 2,
            series: Vec::new(),
            id,
        };
        let args = case["args"].as_object().into_iter().flatten();
        let args: Vec<String> = args
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect();
        if !args.is_empty() {
            asked.texts = format!(", \"{}\"", args.join(","));
        }
        if let Some(bins) = case["inputs"]["bins"].as_array() {
            asked.add_bins(bins);
        } else {
            asked.add_vector("vector0", &case["inputs"]["current"]);
            asked.add_vector("vector1", &case["inputs"]["reference"]);
        }
        asked
    }

    fn add(&mut self, name: &str, label: Option<(&str, &str)>, value: SampleValue) {
        let mut pairs = vec![
            ("__name__", name.to_owned()),
            ("case", format!("{} {}", self.function, self.id)),
        ];
        pairs.extend(label.map(|(name, value)| (name, value.to_owned())));
        self.series.push((Labels::from_pairs(pairs), value));
    }

    /// Confidence by bin: with the sums of it where they are counted.
    fn add_bins(&mut self, bins: &[Json]) {
        self.texts = ", \"label=bin\"".to_owned();
        let has_sums = bins.iter().all(|bin| bin["conf_sum"].is_number());
        let fields = ["total", "correct", "conf_sum"];
        self.n_vectors = if has_sums { 3 } else { 2 };
        if has_sums {
            self.function = "calibration_error_sums";
        }
        for (index, field) in fields.iter().enumerate().take(self.n_vectors) {
            for bin in bins {
                let upper = bin["upper"].to_string();
                let value = SampleValue::Float(number(&bin[field]));
                self.add(&format!("vector{index}"), Some(("bin", &upper)), value);
            }
        }
    }

    fn add_vector(&mut self, name: &str, json: &Json) {
        if let Some(bounds) = json["le"].as_array() {
            let counts = json["cum"].as_array().unwrap();
            for (bound, count) in bounds.iter().zip(counts) {
                let value = SampleValue::Float(number(count));
                self.add(name, Some(("le", &plain(bound))), value);
            }
        } else if json["schema"].is_null() {
            self.texts = ", \"dim\"".to_owned();
            for (dim, value) in json.as_object().unwrap() {
                self.add(name, Some(("dim", dim)), SampleValue::Float(number(value)));
            }
        } else {
            self.add(name, None, SampleValue::Histogram(native(json).into()));
        }
    }
}

fn native(json: &Json) -> FloatHistogram {
    let side = |json: &Json| {
        let counts = json.as_object().into_iter().flatten();
        let counts: BTreeMap<i32, f64> = counts
            .map(|(index, count)| (index.parse().unwrap(), number(count)))
            .collect();
        let mut next = 0;
        let spans = counts.keys().map(|index| BucketSpan {
            offset: index - std::mem::replace(&mut next, index + 1),
            length: 1,
        });
        let spans: Vec<BucketSpan> = spans.collect();
        (spans, counts.into_values().collect::<Vec<f64>>())
    };
    let (positive_spans, positive_buckets) = side(&json["positive"]);
    let (negative_spans, negative_buckets) = side(&json["negative"]);
    let zero_count = number(&json["zero_count"]);
    let in_buckets = positive_buckets.iter().chain(&negative_buckets);
    FloatHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: json["schema"].as_i64().unwrap() as i32,
        zero_threshold: number(&json["zero_threshold"]),
        zero_count,
        count: in_buckets.sum::<f64>() + zero_count,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        ..FloatHistogram::default()
    }
}

/// Writes a rule for each way in which functions are called.
fn rules(all: &[Asked]) -> String {
    let calls: BTreeSet<(&str, &str, usize)> = all
        .iter()
        .map(|asked| (asked.function, asked.texts.as_str(), asked.n_vectors))
        .collect();
    let mut text = "groups:\n- name: ml\n  interval: 1s\n  rules:\n".to_owned();
    for (function, texts, n_vectors) in calls {
        let vectors = (0..n_vectors).map(|n| format!("vector{n}{{case=~\"{function} .*\"}}"));
        let vectors = vectors.collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "  - record: result\n    expr: '{function}({vectors}{texts})'"
        )
        .unwrap();
        writeln!(
            text,
            "    labels: {{texts: '{}'}}",
            texts.trim_start_matches(", ")
        )
        .unwrap();
    }
    text
}

/// Sends everything at an instant and a little later, so that rules tick in between.
fn send(server: &Server, all: &[Asked]) -> i64 {
    let begin = now_ms() - 30_000;
    for at in [begin, begin + 10_000, begin + 20_000] {
        let series = all.iter().flat_map(|asked| asked.series.clone()).collect();
        for (protocol, body) in Recorded::at_once(series, at).bodies() {
            let reply = server.write_body(protocol, &body);
            assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        }
    }
    begin + 10_000
}

#[test]
fn rules_compute_what_is_recorded_of_the_references() {
    let mut all = Vec::new();
    for (file, function, member) in FILES {
        let of_file = cases(file);
        all.extend(
            of_file
                .iter()
                .map(|case| Asked::new(case, function, member)),
        );
    }
    let server = Setup::with_rules(&rules(&all)).start();
    let at = send(&server, &all);
    let found = wait_for("recorded results", || {
        let path = format!("query?query=result&time={}", at as f64 / 1000.0);
        let data = server.data(&path);
        let found = data["result"].as_array().unwrap().clone();
        (!found.is_empty()).then_some(found)
    });
    let mut results = BTreeMap::new();
    for element in found {
        let key = (
            plain(&element["metric"]["case"]),
            element["metric"]["texts"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
        results.insert(key, read_float(&element["value"][1]));
    }
    let mut wrong = Vec::new();
    for asked in &all {
        let case = asked.series.first().unwrap().0.value("case").to_owned();
        let texts = asked.texts.trim_start_matches(", ").to_owned();
        let got = results.get(&(case, texts)).copied();
        let (relative, absolute) = asked.tolerance;
        let is_right = match (got, &asked.expected) {
            (None, expected) => expected.is_null(),
            (Some(got), expected) => {
                let expected = number(expected);
                let is_same = got == expected || (got.is_nan() && expected.is_nan());
                is_same || (got - expected).abs() <= absolute.max(relative * expected.abs())
            }
        };
        if !is_right {
            wrong.push(format!(
                "{}: {got:?}, expected {}",
                asked.id, asked.expected
            ));
        }
    }
    say!(
        "{} of {} values are right",
        all.len() - wrong.len(),
        all.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() > 500);
}
