//! The language as a whole: recorded errors, public rules, generated trees, arbitrary text.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::promql::ast::ExprKind;
use crate::promql::generated;
use crate::promql::test_functions::PrometheusFunctions;
use crate::promql::{Expr, Features, ParseError, ValueType, parse, type_of};
use crate::promql::{HEIGHT_MAX, NESTING_MAX};

fn parsed(text: &str) -> Result<Expr, ParseError> {
    parse(text, &PrometheusFunctions, Features::ALL)
}

/// Sorts matchers by their text, since printing does.
fn sort_matchers(expr: &mut Expr) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Matrix(matrix) => matrix.selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => sort_matchers(inner),
        ExprKind::Subquery(subquery) => sort_matchers(&mut subquery.expr),
        ExprKind::Call(call) => call.args.iter_mut().for_each(sort_matchers),
        ExprKind::Binary(binary) => {
            sort_matchers(&mut binary.lhs);
            sort_matchers(&mut binary.rhs);
        }
        ExprKind::Aggregate(aggregate) => {
            sort_matchers(&mut aggregate.expr);
            aggregate.parameter.iter_mut().for_each(sort_matchers);
        }
    }
}

/// Checks that what is printed parses to the same tree, and prints the same again.
fn check_round_trip(mut expr: Expr) {
    let printed = expr.to_string();
    let mut again = parsed(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
    assert_eq!(again.to_string(), printed);
    sort_matchers(&mut expr);
    sort_matchers(&mut again);
    assert_eq!(again, expr, "{printed}");
}

/// Returns the shared data that are too big or not ours to keep here.
fn shared(folder: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BURNWATCH_SHARED").map(|root| Path::new(&root).join(folder));
    if found.is_none() {
        say!("BURNWATCH_SHARED is not set: {folder} is skipped");
    }
    found
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_yaml = path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        let is_metricsql = path.ends_with("VictoriaMetrics__VictoriaMetrics/invalid")
            || path.ends_with("victoria-metrics.yml");
        if is_metricsql {
            // Prometheus refuses these as well.
        } else if path.is_dir() {
            yaml_files(&path, found);
        } else if is_yaml {
            found.push(path);
        }
    }
}

/// Collects what stands at `expr:` anywhere in a document.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value {
                    serde_json::Value::String(text) if key == "expr" => found.push(text.clone()),
                    serde_json::Value::Number(number) if key == "expr" => {
                        found.push(number.to_string());
                    }
                    other => expressions(other, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn public_rules_parse_and_print_back_to_the_same_tree() {
    let Some(folder) = shared("corpora") else {
        return;
    };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let (mut n_parsed, mut unread) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let Ok(document) = serde_saphyr::from_str::<serde_json::Value>(&text) else {
            say!("no YAML document: {}", file.display());
            unread += 1;
            continue;
        };
        let mut found = Vec::new();
        expressions(&document, &mut found);
        for text in found {
            let expr = parsed(&text).unwrap_or_else(|e| panic!("{}: {text}: {e}", file.display()));
            check_round_trip(expr);
            n_parsed += 1;
        }
    }
    say!(
        "parse(print(e)) == e: {n_parsed} of {n_parsed} public expressions; {unread} files are no YAML documents"
    );
    assert!(n_parsed > 9_000, "{n_parsed}");
}

/// What Prometheus 3.12 answered with all feature flags on.
#[derive(serde::Deserialize)]
struct RecordedError {
    query: String,
    error: String,
}

#[test]
fn errors_are_those_that_prometheus_gave() {
    let recorded = include_str!("../../tests/data/promql/parse_errors.jsonl");
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let recorded: RecordedError = serde_json::from_str(line).expect("a record");
        let found = match parsed(&recorded.query) {
            Ok(expr) => format!("no error, but {expr}"),
            Err(error) => error.to_string(),
        };
        if found != recorded.error {
            wrong.push(format!(
                "{}\n  ours:       {found}\n  Prometheus: {}",
                recorded.query, recorded.error
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A query that Prometheus 3.12 answered.
#[derive(serde::Deserialize)]
struct RecordedQuery {
    query: String,
    /// What it answered with, unless the data made it fail.
    #[serde(rename = "type")]
    answer: Option<String>,
    /// Whether a feature flag is needed.
    #[serde(default)]
    experimental: bool,
}

#[test]
fn queries_that_prometheus_answered_parse_and_have_its_types() {
    let recorded = include_str!("../../tests/data/promql/parse_queries.jsonl");
    for line in recorded.lines() {
        let recorded: RecordedQuery = serde_json::from_str(line).expect("a record");
        let query = &recorded.query;
        let expr = parsed(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let found = match type_of(&expr, &PrometheusFunctions) {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
        };
        if let Some(answer) = &recorded.answer {
            assert_eq!(found, answer, "{query}");
        }
        let plain = parse(query, &PrometheusFunctions, Features::default());
        assert_eq!(plain.is_err(), recorded.experimental, "{query}: {plain:?}");
        check_round_trip(expr);
    }
}

proptest! {
    #[test]
    fn generated_trees_print_and_parse_back(expr in generated::vector()) {
        check_round_trip(expr);
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,60}") {
        let _ = parsed(&text);
    }

    #[test]
    fn shuffled_tokens_never_panic(tokens in vec(select(TOKENS), 0..30)) {
        for separator in ["", " "] {
            if let Ok(expr) = parsed(&tokens.join(separator)) {
                check_round_trip(expr);
            }
        }
    }
}

const TOKENS: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "=~",
    "!~",
    "!=",
    "==",
    "<",
    "</",
    ">/",
    "@",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "atan2",
    "and",
    "or",
    "unless",
    "sum",
    "topk",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "fill",
    "bool",
    "offset",
    "anchored",
    "smoothed",
    "start",
    "step",
    "range",
    "min",
    "5m",
    "1h30m",
    "1",
    "0x1F",
    "1e3",
    "NaN",
    "x",
    "a:b",
    "rate",
    "time",
    "\"s\"",
    "'s'",
    "`s`",
    "\"\\n\"",
    "#c\n",
    "é",
    "x[5m]",
    "rate(x[5m])",
    "sum(x)",
    "x{a=\"b\"}",
];

#[test]
fn deep_nesting_is_an_error() {
    let n = 100_000;
    let deep = [
        "(".repeat(n),
        format!("{}x{}", "(".repeat(n), ")".repeat(n)),
        "-".repeat(n) + "x",
        "abs(".repeat(n),
        "sum(".repeat(n),
        format!("x{}", " + x".repeat(n)),
        format!("x{}", " ^ x".repeat(n)),
        format!("x{}", "[1m:]".repeat(n)),
        format!("x[{}", "(".repeat(n)),
        format!("x[1{}]", " + 1".repeat(n)),
        format!("x[{}1]", "-".repeat(n)),
        format!("x offset {}", "min(".repeat(n)),
        format!("{{a=~\"{}\"}}", "(".repeat(n)),
    ];
    for text in deep {
        let error = parsed(&text).expect_err(&text[..20]);
        let message = &error.message;
        assert!(
            message.contains("nest") || message.contains("chains"),
            "{}: {error:.200}",
            &text[..20]
        );
    }
    let chain = format!("x{}", " or x".repeat(HEIGHT_MAX - 1));
    check_round_trip(parsed(&chain).expect("allowed"));
    let calls = NESTING_MAX - 1;
    let calls = format!("{}x{}", "abs(".repeat(calls), ")".repeat(calls));
    check_round_trip(parsed(&calls).expect("allowed"));
}
