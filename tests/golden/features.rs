//! What each of Prometheus' `--enable-feature` names for the language switches.
//!
//! Catches: a name that is spelled otherwise, or that reaches the parser but not the evaluation.

use burnwatch::engine::features;
use burnwatch::eval::{EvalOptions, Scan, evaluate};
use burnwatch::functions::Functions;
use burnwatch::history::SeriesHistory;
use burnwatch::model::{Labels, SampleValue, TimestampMs, Value};
use burnwatch::promql::{Features, parse};
use burnwatch::series::Snapshot;

/// A counter that began at 20 s and is seen from 30 s on.
fn snapshot() -> Snapshot {
    let mut history = SeriesHistory::default();
    for (at, value) in [(30_000, 3.0), (60_000, 6.0)] {
        let value = SampleValue::Float(value);
        let (at, start) = (TimestampMs(at), TimestampMs(20_000));
        history.append_started(at, start, value, TimestampMs::MIN);
    }
    let labels = [("__name__", "x_total"), ("__type__", "gauge")];
    let mut snapshot = Snapshot::default();
    snapshot.insert(Labels::from_pairs(labels), history);
    snapshot
}

/// Returns the elements or the error, then the infos.
fn answer(query: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let features: Features = features(&names);
    let options = EvalOptions {
        features,
        ..EvalOptions::default()
    };
    let expr = match parse(query, &Functions, features) {
        Ok(expr) => expr,
        Err(error) => return error.to_string(),
    };
    let snapshot = snapshot();
    let scan = Scan::new(&snapshot);
    let outcome = match evaluate(&expr, &scan, TimestampMs(60_000), &options) {
        Ok(outcome) => outcome,
        Err(error) => return error.to_string(),
    };
    let mut lines = match outcome.value {
        Value::Vector(elements) => elements
            .iter()
            .map(|e| format!("{} {}", e.labels, e.value.as_float().unwrap()))
            .collect(),
        other => vec![format!("{other:?}")],
    };
    lines.extend(outcome.infos);
    lines.join("; ")
}

#[test]
fn every_name_switches_what_it_does_in_prometheus() {
    const X: &str = r#"x_total{__type__="gauge"}"#;
    let x_6 = format!("{X} 6");
    let experimental = "promql-experimental-functions";
    let cases: &[(&[&str], &str, &str, &str)] = &[
        (
            &[experimental],
            "max_of(1, 2)",
            r#"1:1: parse error: function "max_of" is not enabled"#,
            "Scalar(2.0)",
        ),
        (
            &["promql-duration-expr"],
            "x_total offset (1*1s)",
            "1:17: parse error: experimental duration expression is not enabled",
            &format!("{X} 3"),
        ),
        (
            &["promql-extended-range-selectors"],
            "increase(x_total[50s] anchored)",
            "1:10: parse error: anchored modifier is experimental and not enabled",
            "{} 3",
        ),
        (
            &["promql-binop-fill-modifiers"],
            "x_total + fill(1) y",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
            "{} 7",
        ),
        (
            &["promql-delayed-name-removal"],
            r#"label_replace(x_total * 1, "name", "$1", "__name__", "(.*)")"#,
            "{} 6",
            r#"{name="x_total"} 6"#,
        ),
        (
            &["use-start-timestamps"],
            "increase(x_total[50s])",
            "{} 5",
            "{} 6",
        ),
        (
            &[experimental, "use-start-timestamps"],
            "start_timestamp(x_total)",
            r#"1:1: parse error: function "start_timestamp" is not enabled"#,
            "{} 20",
        ),
        (
            &["type-and-unit-labels"],
            "increase(x_total[50s])",
            "{} 5",
            "{} 5; PromQL info: metric might not be a counter, __type__ label is not set to \
             \"counter\" or \"histogram\", got \"gauge\": \"x_total\"",
        ),
        (&["no-such-feature"], "x_total", &x_6, &x_6),
    ];
    for (names, query, without, with) in cases {
        assert_eq!(&answer(query, &[]), without, "{query}");
        assert_eq!(&answer(query, names), with, "{query} with {names:?}");
    }
}
