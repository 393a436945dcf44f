//! What every input from outside must survive, a function for each door.
//!
//! The fuzzer calls these with what it makes up (`fuzz_targets/`), and `tests/fuzz_smoke.rs`
//! includes this file and calls them in every test run, so that they cannot rot. None may panic.

use std::path::Path;
use std::sync::Arc;

use burnwatch::config::{self, Source};
use burnwatch::engine::{Engine, compile};
use burnwatch::eval::{EvalOptions, Scan, evaluate};
use burnwatch::functions::Functions;
use burnwatch::ingest::{Limits, Node, NodeSettings, Protocol, ReadSet, ShardId};
use burnwatch::log::{LogTail, MemoryLog};
use burnwatch::model::{
    DurationMs, EngineSettings, Entry, Generation, Labels, MatchOp, Matcher, RuleSource,
    SampleValue, TimestampMs, VectorElement,
};
use burnwatch::promql::{self, Features};
use burnwatch::rule;
use burnwatch::rule::histogram_notation::{parse_histogram, print_histogram};
use burnwatch::rule::series_notation::{parse_metric, parse_values};
use burnwatch::rule::test_file::parse_test_file;
use burnwatch::series::SeriesStore;
use burnwatch::server::pipeline::receive;
use burnwatch::template::{Template, TemplateData};
use burnwatch::wire::v1;
use prost::Message;

/// The wall clock of all runs, ms.
pub const WALL: TimestampMs = TimestampMs(1_700_000_000_000);

/// Rules that look at everything in many ways.
const RULES: &str = "
groups:
- name: g
  interval: 15s
  rules:
  - {alert: Level, expr: '{__name__=~\".+\"} > 1', for: 30s, annotations: {s: '{{ $value }}'}}
  - {alert: Rate, expr: 'rate({__name__=~\".+\"}[5m]) > 0'}
  - {alert: Slow, expr: 'histogram_quantile(0.9, {__name__=~\".+\"}) > 1'}
  - {record: 'a:b', expr: 'sum by (job) ({__name__!=\"a:b\"})'}
  - {alert: Gone, expr: 'absent(up)'}
";

/// A request to the receiver, then its samples through an engine. The first byte chooses the
/// protocol, and whether the rest is the message or a body as it came over the wire.
pub fn remote_write(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let protocol = if choice & 1 == 0 {
        Protocol::V1
    } else {
        Protocol::V2
    };
    let is_body = choice & 2 != 0;
    let body = if is_body {
        rest.to_vec()
    } else {
        compress(rest)
    };
    let limits = Limits {
        request_decoded_bytes: 1 << 20,
        ..Limits::default()
    };
    let settings = NodeSettings {
        limits,
        out_of_order_time_window: DurationMs::from_seconds(i64::from(choice & 4) * 60),
        ..NodeSettings::default()
    };
    let (log, tail) = MemoryLog::new(1_000_000);
    let node = Node::new(vec![log], settings, 7);
    let everything = Matcher::new(MatchOp::Matches, "__name__", ".+").expect("a pattern");
    let read_set = ReadSet {
        generation: Generation(1),
        selectors: vec![(ShardId(0), vec![everything])],
        ..ReadSet::default()
    };
    let rules = Arc::new(RuleSource {
        files: vec![("rules.yml".to_owned(), RULES.to_owned())],
        settings: EngineSettings::default(),
    });
    let mut entry = |_, stamp| Entry::Rules {
        stamp,
        generation: Generation(1),
        rules: Arc::clone(&rules),
    };
    node.adopt(read_set, &mut entry, WALL)
        .expect("the log is open");

    let answer = receive(&node, &body, protocol, WALL);
    let status = answer.status.as_u16();
    assert!(
        [204, 400, 413].contains(&status),
        "{status}: {}",
        answer.text
    );
    assert_eq!(status == 204, answer.text.is_empty());
    assert_eq!(
        receive(&node, &body, protocol, WALL),
        answer,
        "a repetition"
    );
    let good = receive(&node, &good_body(), Protocol::V1, WALL);
    // Another series of that name may be in the way of this sample, nothing else.
    assert!([204, 400].contains(&good.status.as_u16()), "{}", good.text);

    let (mut engine, mut effects) = (Engine::new(), Vec::new());
    for (_, entry) in tail.entries().try_iter() {
        engine.apply(&entry, &|| 0.0, &mut effects);
    }
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let compressed = snap::raw::Encoder::new().compress_vec(plain);
    compressed.expect("below 4 GB")
}

fn good_body() -> Vec<u8> {
    let label = |name: &str, value: &str| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let series = v1::TimeSeries {
        labels: vec![label("__name__", "good")],
        samples: vec![v1::Sample {
            value: 1.0,
            timestamp: WALL.0,
        }],
        ..v1::TimeSeries::default()
    };
    let request = v1::WriteRequest {
        timeseries: vec![series],
        ..v1::WriteRequest::default()
    };
    compress(&request.encode_to_vec())
}

/// An expression: what parses prints, what is printed parses to the same, and its evaluation
/// ends in a value or an error.
pub fn promql(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(expr) = promql::parse(&text, &Functions, Features::ALL) else {
        return;
    };
    let printed = expr.to_string();
    let again = promql::parse(&printed, &Functions, Features::ALL);
    let again = again.unwrap_or_else(|error| panic!("{text} prints as {printed}: {error}"));
    assert_eq!(again.to_string(), printed, "{text}");
    let options = EvalOptions {
        features: Features::ALL,
        samples_max: 10_000,
        subquery_steps_max: 1_000,
        ..EvalOptions::default()
    };
    let store = SeriesStore::default();
    let _ = evaluate(&expr, &Scan::new(&store), WALL, &options);
}

/// A template: it parses or not, and expands to a text or an error.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(template) = Template::parse("__alert_Fuzz", &text) else {
        return;
    };
    template.constant_queries();
    let labels = Labels::from_pairs([("job", "a"), ("instance", "a:1"), ("n", "12")]);
    let data = TemplateData {
        labels: &labels,
        value: &SampleValue::Float(0.25),
        external_labels: &Labels::from_pairs([("cluster", "eu")]),
        external_url: "http://localhost:9099",
        at: WALL,
    };
    let element = VectorElement {
        labels: labels.clone(),
        value: SampleValue::Float(3.0),
    };
    let mut query = |text: &str| match text.len() % 3 {
        0 => Ok(vec![element.clone(), element.clone()]),
        1 => Ok(Vec::new()),
        _ => Err("no such thing".to_owned()),
    };
    let _ = template.expand_or_error(&data, &mut query);
}

/// A rule file, or a file of unit tests: what loads compiles.
pub fn rule_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = parse_test_file("test.yml", &text);
    if rule::parse_file("rules.yml", &text, &Functions, Features::default()).is_err() {
        return;
    }
    let source = RuleSource {
        files: vec![("rules.yml".to_owned(), text.into_owned())],
        settings: EngineSettings::default(),
    };
    if let Ok(rules) = compile(&source) {
        rules.read_selectors();
    }
}

/// A configuration, as Prometheus' file and as our own: what loads can be shown.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let path = Path::new("prometheus.yml");
    let whole = Source { path, text: &text };
    let nothing = Source { path, text: "" };
    for (prometheus, own) in [(whole, None), (nothing, Some(whole))] {
        if let Ok(config) = config::load(prometheus, own, &|_| None) {
            let shown = config.to_yaml_redacted();
            assert!(!shown.contains("error creating config string"), "{shown}");
        }
    }
}

/// The notation of series in unit tests: what is read prints, and reads the same again.
pub fn series_notation(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = parse_metric(&text);
    let _ = parse_values(&text);
    if let Ok(histogram) = parse_histogram(&text) {
        let printed = print_histogram(&histogram);
        let again = parse_histogram(&printed);
        let again = again.unwrap_or_else(|error| panic!("{text} prints as {printed}: {error}"));
        assert_eq!(print_histogram(&again), printed, "{text}");
    }
}
