//! What must hold of any data: laws that tie expressions to each other.
//!
//! Catches: an operator that loses or doubles elements, a subquery off its grid, an aggregation
//! that depends on the order of its members, a function whose example does not run.

use std::collections::BTreeMap;

use burnwatch::eval::{EvalError, EvalOptions, Scan, evaluate, evaluate_range};
use burnwatch::functions::{ALL, Functions};
use burnwatch::history::SeriesHistory;
use burnwatch::model::{DurationMs, Labels, SampleValue, TimestampMs, Value};
use burnwatch::promql::{Features, parse};
use burnwatch::series::Snapshot;
use proptest::prelude::*;

/// Distance of samples, ms.
const STEP: i64 = 15_000;
const END: TimestampMs = TimestampMs(40 * STEP);

/// Values of up to eight series; `None` is a gap.
type Data = Vec<Vec<Option<f64>>>;

fn data() -> impl Strategy<Value = Data> {
    let value = prop_oneof![
        8 => (-1000i32..1000).prop_map(|v| Some(f64::from(v) / 8.0)),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        3 => Just(None),
    ];
    prop::collection::vec(prop::collection::vec(value, 0..40), 0..8)
}

fn snapshot(data: &Data) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (index, values) in data.iter().enumerate() {
        let mut history = SeriesHistory::default();
        for (at, value) in (1..).zip(values) {
            if let Some(value) = value {
                let value = SampleValue::Float(*value);
                history.append(TimestampMs(at * STEP), value, TimestampMs::MIN);
            }
        }
        let (name, group) = (format!("s{index}"), format!("g{}", index % 3));
        let labels = [("__name__", "x"), ("name", &name), ("group", &group)];
        snapshot.insert(Labels::from_pairs(labels), history);
    }
    snapshot
}

fn options() -> EvalOptions {
    EvalOptions {
        features: Features::ALL,
        ..EvalOptions::default()
    }
}

/// Evaluates to labels and the bits of floats.
fn elements(query: &str, snapshot: &Snapshot) -> BTreeMap<Labels, u64> {
    let expr = parse(query, &Functions, Features::ALL).unwrap();
    let outcome = evaluate(&expr, &Scan::new(snapshot), END, &options()).unwrap();
    let Value::Vector(elements) = outcome.value else {
        panic!("{query} is no vector");
    };
    let bits = |value: SampleValue| match value.as_float() {
        Some(value) if value.is_nan() => f64::NAN.to_bits(),
        Some(value) => value.to_bits(),
        None => panic!("no histograms here"),
    };
    let n_elements = elements.len();
    let found: BTreeMap<_, _> = elements
        .into_iter()
        .map(|e| (e.labels, bits(e.value)))
        .collect();
    assert_eq!(found.len(), n_elements, "{query}");
    found
}

proptest! {
    #[test]
    fn and_and_unless_part_a_vector(data in data(), bound in -100i32..100) {
        let snapshot = snapshot(&data);
        let both = elements(&format!("x and (x > {bound})"), &snapshot);
        let rest = elements(&format!("x unless (x > {bound})"), &snapshot);
        prop_assert!(both.keys().all(|labels| !rest.contains_key(labels)));
        let mut whole = both;
        whole.extend(rest);
        prop_assert_eq!(whole, elements("x", &snapshot));
    }

    #[test]
    fn a_ratio_and_its_complement_part_a_vector(data in data(), percent in 1i32..100) {
        let snapshot = snapshot(&data);
        let ratio = f64::from(percent) / 100.0;
        let some = elements(&format!("limit_ratio({ratio}, x)"), &snapshot);
        let rest = elements(&format!("limit_ratio(-{}, x)", 1.0 - ratio), &snapshot);
        prop_assert_eq!(some.len() + rest.len(), elements("x", &snapshot).len());
        prop_assert!(some.keys().all(|labels| !rest.contains_key(labels)));
    }

    #[test]
    fn a_subquery_is_a_range_query(data in data()) {
        let snapshot = snapshot(&data);
        let whole = parse("x[5m:30s]", &Functions, Features::ALL).unwrap();
        let outcome = evaluate(&whole, &Scan::new(&snapshot), END, &options()).unwrap();
        let inner = parse("x", &Functions, Features::ALL).unwrap();
        let times = (TimestampMs(END.0 - 300_000 + 30_000), END, DurationMs(30_000));
        let range = evaluate_range(&inner, &Scan::new(&snapshot), times, &options()).unwrap();
        prop_assert_eq!(outcome.value, Value::Matrix(range.value));
    }

    // Without gaps, since a subquery fills them by looking back.
    #[test]
    fn a_window_is_its_own_subquery(values in prop::collection::vec(-1000i32..1000, 40)) {
        let values = values.iter().map(|value| Some(f64::from(*value) / 8.0));
        let snapshot = snapshot(&vec![values.collect()]);
        for function in ["sum", "avg", "max", "min", "count", "stddev", "last"] {
            let window = elements(&format!("{function}_over_time(x[3m])"), &snapshot);
            let query = format!("{function}_over_time(x[3m:15s])");
            prop_assert_eq!(window, elements(&query, &snapshot));
        }
    }

    #[test]
    fn aggregations_do_not_depend_on_order(data in data(), turn in 0usize..8) {
        let mut turned = data.clone();
        if !turned.is_empty() {
            let turn = turn % turned.len();
            turned.rotate_left(turn);
        }
        let (one, other) = (snapshot(&data), snapshot(&turned));
        for op in ["sum", "avg", "count", "min", "max", "group", "stddev"] {
            let query = format!("{op}(x)");
            let (a, b) = (elements(&query, &one), elements(&query, &other));
            prop_assert_eq!(a.len(), b.len());
            for (a, b) in a.values().zip(b.values()) {
                let (a, b) = (f64::from_bits(*a), f64::from_bits(*b));
                let near = (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
                prop_assert!(near || a == b || (a.is_nan() && b.is_nan()), "{op}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_rate_is_an_increase_per_second(data in data()) {
        let snapshot = snapshot(&data);
        let rate = elements("rate(x[5m])", &snapshot);
        let increase = elements("increase(x[5m]) / 300", &snapshot);
        prop_assert!(rate.keys().eq(increase.keys()));
        for (a, b) in rate.values().zip(increase.values()) {
            let (a, b) = (f64::from_bits(*a), f64::from_bits(*b));
            prop_assert!(a.is_nan() && b.is_nan() || a == b || (a - b).abs() <= 1e-12 * a.abs());
        }
    }
}

#[test]
fn every_function_runs_its_example() {
    let snapshot = Snapshot::default();
    for function in ALL {
        let example = function.example();
        let expr = parse(example, &Functions, Features::ALL)
            .unwrap_or_else(|error| panic!("{example}: {error}"));
        evaluate(&expr, &Scan::new(&snapshot), END, &options())
            .unwrap_or_else(|error| panic!("{example}: {error}"));
    }
}

#[test]
fn series_that_take_turns_still_collide_without_their_names() {
    let mut snapshot = Snapshot::default();
    for (name, seconds) in [("a", [10, 20]), ("b", [100, 110])] {
        let mut history = SeriesHistory::default();
        for at in seconds {
            let value = SampleValue::Float(1.0);
            history.append(TimestampMs(at * 1000), value, TimestampMs::MIN);
        }
        snapshot.insert(Labels::from_pairs([("__name__", name)]), history);
    }
    let result = |query: &str| {
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let outcome = evaluate(
            &expr,
            &Scan::new(&snapshot),
            TimestampMs(120_000),
            &options(),
        );
        outcome.map(|outcome| outcome.value)
    };
    let collision = "vector cannot contain metrics with the same labelset";
    let inner = r#"rate({__name__=~"a|b"}[30s])"#;
    let error = result(&format!("max_over_time({inner}[2m:10s])")).unwrap_err();
    assert_eq!(error.to_string(), collision);
    assert!(result(&format!("max_over_time({inner}[30s:10s])")).is_ok());
    assert!(result(inner).is_ok());
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let data: Data = vec![vec![Some(1.0); 40]; 8];
    let snapshot = snapshot(&data);
    let check = |query: &str, options: EvalOptions, expected: &str| {
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let error = evaluate(&expr, &Scan::new(&snapshot), END, &options).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{query}: {error}");
    };
    let few_samples = |samples_max: usize| EvalOptions {
        samples_max,
        ..options()
    };
    let too_many = EvalError::TooManySamples.to_string();
    check("x", few_samples(7), &too_many);
    check("sum_over_time(x[5m])", few_samples(100), &too_many);
    check("max_over_time(x[5m:1s])", few_samples(1000), &too_many);
    let few_steps = EvalOptions {
        subquery_steps_max: 1000,
        ..options()
    };
    check(
        "max_over_time(vector(1)[1d:1s])",
        few_steps,
        "subquery of 1d by steps of 1s",
    );
    let enough = parse("sum(x)", &Functions, Features::ALL).unwrap();
    let outcome = evaluate(&enough, &Scan::new(&snapshot), END, &few_samples(20)).unwrap();
    assert_eq!(outcome.n_samples, 8);
}

#[test]
fn of_two_errors_that_of_the_outer_texts_is_told() {
    let snapshot = snapshot(&vec![vec![Some(1.0)]]);
    let check = |query: &str, expected: &str| {
        let expr = parse(query, &Functions, Features::ALL).unwrap();
        let error = evaluate(&expr, &Scan::new(&snapshot), END, &options()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{query}");
    };
    check(
        r#"label_replace(label_replace(x, "", "", "", ""), "a", "b", "c", "(")"#,
        "invalid regular expression in label_replace(): (",
    );
    check(
        r#"label_join(label_replace(x, "", "", "", "("), "", "b", "c")"#,
        "invalid destination label name in label_join(): ",
    );
}
