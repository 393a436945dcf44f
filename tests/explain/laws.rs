//! What a plan claims of an expression holds on data: its labels, and what partitions it.
//!
//! For every recorded query and every function's example series are made that its selectors
//! match. The result over all series must have the labels that were promised, and the part of
//! it with one value of the partition's labels must be what the series with that value alone
//! give, bit for bit.

use std::collections::{BTreeMap, BTreeSet};

use burnwatch::eval::plan::{LabelSet, Plan};
use burnwatch::eval::{EvalOptions, Scan, evaluate};
use burnwatch::functions::{self, Functions};
use burnwatch::history::SeriesHistory;
use burnwatch::model::{DurationMs, Labels, METRIC_NAME, MatchOp, SampleValue, TimestampMs, Value};
use burnwatch::promql::ast::{At, ExprKind};
use burnwatch::promql::{Expr, Features, parse, selectors};
use burnwatch::series::Snapshot;

/// When expressions are evaluated.
const NOW: TimestampMs = TimestampMs(10_000_000_000);
/// More than this many series for one metric add nothing.
const SERIES_MAX: usize = 12;

/// The labels that an expression names, and job and instance.
fn labels_named(expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["job".to_owned(), "instance".to_owned()]);
    expr.walk(&mut |node| match &node.kind {
        ExprKind::Aggregate(aggregate) => names.extend(aggregate.grouping.iter().cloned()),
        ExprKind::Binary(binary) => {
            let matching = binary.matching.iter();
            names.extend(matching.flat_map(|m| m.labels.iter().chain(&m.include).cloned()));
        }
        _ => {}
    });
    for used in selectors(expr) {
        names.extend(used.matchers.into_iter().map(|matcher| matcher.name));
    }
    names.remove(METRIC_NAME);
    names
}

/// Makes series that the selectors of an expression match, with values that differ.
fn series(expr: &Expr) -> Vec<(Labels, SeriesHistory)> {
    let names = labels_named(expr);
    let mut random = fastrand::Rng::with_seed(7);
    let mut made = BTreeMap::new();
    for used in selectors(expr) {
        for at in 0..SERIES_MAX {
            let mut pairs = vec![(METRIC_NAME.to_owned(), "some_metric".to_owned())];
            for (place, name) in names.iter().enumerate() {
                let value = match name.as_str() {
                    "le" => ["0.1", "1", "+Inf"][at % 3].to_owned(),
                    _ => ["a", "b", ""][(at >> place) % 3].to_owned(),
                };
                pairs.push((name.clone(), value));
            }
            for matcher in &used.matchers {
                let candidates = matcher.value.split(['|', '(', ')']);
                let candidates = candidates.map(|text| text.replace(".+", "a").replace(".*", "a"));
                let value = match matcher.op {
                    MatchOp::Equal => Some(matcher.value.clone()),
                    MatchOp::Matches => candidates.filter(|text| matcher.matches(text)).nth(at % 2),
                    _ => None,
                };
                if let Some(value) = value {
                    pairs.retain(|(name, _)| *name != matcher.name);
                    pairs.push((matcher.name.clone(), value));
                }
            }
            pairs.retain(|(_, value)| !value.is_empty());
            let base = match used.at {
                Some(At::Instant(instant)) => instant,
                _ => NOW,
            };
            let mut history = SeriesHistory::default();
            let (from, step) = (base - used.back, (used.back.0 / 40).max(1000));
            let mut value = 0.0;
            for k in 0..=40 {
                value += f64::from(random.u8(0..5));
                let at = TimestampMs(from.0 + k * step);
                history.append(at, SampleValue::Float(value), TimestampMs::MIN);
            }
            made.insert(Labels::from_pairs(pairs), history);
        }
    }
    made.into_iter().collect()
}

fn result(expr: &Expr, series: &[&(Labels, SeriesHistory)]) -> Option<Vec<(Labels, SampleValue)>> {
    let mut snapshot = Snapshot::default();
    for (labels, history) in series {
        snapshot.insert(labels.clone(), history.clone());
    }
    let options = EvalOptions {
        features: Features::ALL,
        ..EvalOptions::default()
    };
    let outcome = evaluate(expr, &Scan::new(&snapshot), NOW, &options).ok()?;
    match outcome.value {
        Value::Vector(elements) => Some(
            elements
                .into_iter()
                .map(|element| (element.labels, element.value))
                .collect(),
        ),
        _ => None,
    }
}

fn key(labels: &Labels, partition: &LabelSet) -> Labels {
    labels.filter(|name| partition.contains(name))
}

fn part(result: &[(Labels, SampleValue)], of: &Labels, partition: &LabelSet) -> Vec<String> {
    let of_key = result
        .iter()
        .filter(|(labels, _)| key(labels, partition) == *of);
    let mut lines: Vec<String> = of_key
        .map(|(labels, value)| match value {
            SampleValue::Float(value) => format!("{labels:?} {:x}", value.to_bits()),
            SampleValue::Histogram(histogram) => format!("{labels:?} {histogram:?}"),
        })
        .collect();
    lines.sort();
    lines
}

/// How much was found to compare.
#[derive(Default)]
struct Compared {
    n_expressions: usize,
    n_with_elements: usize,
    n_parts: usize,
    n_by_few_labels: usize,
}

fn check(text: &str, compared: &mut Compared) {
    let Ok(expr) = parse(text, &Functions, Features::ALL) else {
        return;
    };
    compared.n_expressions += 1;
    let plan = Plan::of(&expr, DurationMs::from_seconds(60));
    let series = series(&expr);
    let all: Vec<&(Labels, SeriesHistory)> = series.iter().collect();
    let Some(whole) = result(&expr, &all) else {
        return;
    };
    compared.n_with_elements += usize::from(!whole.is_empty());
    for (labels, _) in &whole {
        let wrong = labels
            .iter()
            .find(|(name, _)| !plan.output.among.contains(name));
        assert_eq!(
            wrong, None,
            "{text}: {labels:?} is not among {}",
            plan.output.among
        );
        for (name, value) in &plan.output.fixed {
            assert_eq!(labels.value(name), value, "{text}: {name} of {labels:?}");
        }
        for name in &plan.output.present {
            assert!(labels.get(name).is_some(), "{text}: {name} of {labels:?}");
        }
    }
    let keys: BTreeSet<Labels> = whole
        .iter()
        .map(|(labels, _)| labels)
        .chain(series.iter().map(|(labels, _)| labels))
        .map(|labels| key(labels, &plan.partition))
        .collect();
    for of in keys {
        let own = series
            .iter()
            .filter(|(labels, _)| key(labels, &plan.partition) == of);
        let own: Vec<&(Labels, SeriesHistory)> = own.collect();
        let alone = result(&expr, &own).unwrap_or_default();
        assert_eq!(
            part(&alone, &of, &plan.partition),
            part(&whole, &of, &plan.partition),
            "{text}: by {} with {of:?}",
            plan.partition
        );
        compared.n_parts += 1;
        let is_few = matches!(&plan.partition, LabelSet::Only(names) if !names.is_empty());
        compared.n_by_few_labels += usize::from(is_few && !own.is_empty());
    }
}

#[test]
fn what_a_plan_says_of_labels_and_partitions_holds() {
    let recorded = include_str!("../data/promql/parse_queries.jsonl");
    let recorded = recorded.lines().map(|line| {
        let query: serde_json::Value = serde_json::from_str(line).expect("a record");
        query["query"].as_str().expect("a text").to_owned()
    });
    let mut texts: Vec<String> = recorded.collect();
    texts.extend(
        functions::ALL
            .iter()
            .map(|function| function.example().to_owned()),
    );
    texts.extend(SHAPES.iter().map(|text| (*text).to_owned()));
    let mut compared = Compared::default();
    for text in &texts {
        check(text, &mut compared);
    }
    say!(
        "{} of {} expressions: {} with elements, {} parts compared, {} of them by a few labels",
        compared.n_expressions,
        texts.len(),
        compared.n_with_elements,
        compared.n_parts,
        compared.n_by_few_labels,
    );
    assert!(
        compared.n_with_elements > 500,
        "{}",
        compared.n_with_elements
    );
    assert!(
        compared.n_by_few_labels > 200,
        "{}",
        compared.n_by_few_labels
    );
}

const SHAPES: &[&str] = &[
    "sum by (job) (x{job!=\"\"})",
    "sum by (job, instance) (rate(x[5m])) / on (job) group_left () sum by (job) (rate(x[5m]))",
    "x * on (job) group_left (team) max by (job, team) (y)",
    "x * ignoring (team) group_left (team) max by (job, instance, team) (y)",
    "max by (job) (x) + fill (0) max by (job) (y)",
    "max by (job, a) (x) + on (job) group_left () fill_left (1) max by (job) (y)",
    "label_replace(x, \"job\", \"$1\", \"instance\", \"(.*)\") > 1",
    "sum by (job) (label_replace(x, \"job\", \"$1\", \"instance\", \"(.*)\"))",
    "label_join(x, \"instance\", \"-\", \"instance\", \"job\")",
    "histogram_quantile(0.5, sum by (le, job) (x_bucket))",
    "histogram_quantiles(sum by (le, job) (x_bucket), \"instance\", 0.5, 0.9)",
    "count_values by (job, instance) (\"instance\", x)",
    "count_values without (instance) (\"job\", x)",
    "topk by (job) (1, x)",
    "topk(scalar(max(y)), x)",
    "limit_ratio by (job) (0.5, x)",
    "limitk by (job) (1, x)",
    "quantile by (job) (scalar(y{job=\"a\", instance=\"a\"}), x)",
    "x or sum by (job) (y)",
    "x unless on (job) y{instance=\"a\"}",
    "x and on (job) y{instance=\"a\"}",
    "sum by (job) (x) or vector(1)",
    "absent(x{job=\"none\"}) or x",
    "x > scalar(sum(y))",
    "info(x)",
    "sum by (job) (info(x, {__name__=~\".*_info\", data=~\".+\"}))",
    "sort_desc(max by (job) (x))",
    "max_over_time(sum by (job) (x)[10m:1m])",
    "last_over_time(x[5m]) == on (instance, job) x",
    "-max by (job) (x) ^ 2",
    "max by (job) (x) > bool max by (job) (y)",
    "avg_over_time((x > 5)[10m:1m])",
    "timestamp(x) - on (job, instance) y",
    "predict_linear(x[10m], scalar(y{job=\"a\", instance=\"b\"}))",
];
