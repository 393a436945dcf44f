//! What every input from outside must survive, a function for each door.
//!
//! The fuzzer calls these with what it makes up (`fuzz_targets/`), and `tests/fuzz_smoke.rs`
//! includes this file and calls them in every test run, so that they cannot rot. None may panic.

// The tests' reader of promqltest scripts; it finds its notation at the root of whoever
// includes this file.
#[path = "../../tests/golden/notation.rs"]
#[allow(dead_code, missing_docs, reason = "the tests use more of it")]
pub mod notation;
#[path = "../../tests/golden/script.rs"]
#[allow(dead_code, missing_docs, reason = "the tests use more of it")]
pub mod script;

use std::path::Path;
use std::sync::Arc;

use burnwatch::api::instant::{Instant, parse_duration, parse_time};
use burnwatch::config::{self, Source};
use burnwatch::engine::explain::{Assumptions, explain};
use burnwatch::engine::unit_test::{TestOptions, run_test};
use burnwatch::engine::{Engine, compile};
use burnwatch::eval::{EvalOptions, Scan, evaluate, evaluate_range};
use burnwatch::functions::Functions;
use burnwatch::history::SeriesHistory;
use burnwatch::ingest::{Limits, Node, NodeSettings, Protocol, ReadSet, ShardId};
use burnwatch::log::backend::file::{
    FileLogSettings, Files as _, ShardReport, SimulatedFiles, check_shard, repair_shard,
};
use burnwatch::log::{FileLogs, Log as _, LogTail, MemoryLog, record};
use burnwatch::model::{
    Batch, Dialect, DurationMs, EngineSettings, Entry, Generation, Labels, MatchOp, Matcher,
    RuleFormat, RuleSource, SampleValue, SeriesDefinition, SeriesHandle, Stamp, TimestampMs,
    VectorElement, stale_nan,
};
use burnwatch::promql::{self, Features, ValueType, type_of};
use burnwatch::rule::histogram_notation::{parse_histogram, print_histogram};
use burnwatch::rule::series_notation::{parse_metric, parse_values};
use burnwatch::rule::test_file::parse_test_file;
use burnwatch::rule::{self, ParseOptions};
use burnwatch::series::{SeriesStore, Snapshot};
use burnwatch::server::pipeline::receive;
use burnwatch::storage::checkpoint_files::{CheckpointFolder, CheckpointHeader, CheckpointReader};
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
  - {record: 'a:f', expr: 'anomaly_forest({__name__=~\".+\"}[1h], \"job\", \"window_size=2,trees=2\")'}
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

/// A checkpoint as the file that it lies in, or, as the first byte chooses, its parts behind their
/// lengths, so that damage gets past the checksums. What cannot be read is said, and no more.
pub fn checkpoint(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else {
        return;
    };
    let mut parts = Vec::new();
    if choice & 1 == 0 {
        let Ok(mut reader) = CheckpointReader::of(rest, Path::new("fuzzed")) else {
            return;
        };
        while let Ok(Some(part)) = reader.part() {
            parts.push(part);
        }
    }
    while let Some((length, behind)) = rest.split_first_chunk().filter(|_| choice & 1 == 1) {
        let length = u32::from_le_bytes(*length) as usize;
        let (part, behind) = behind.split_at(length.min(behind.len()));
        parts.push(part.to_vec());
        rest = behind;
    }
    let _ = Engine::load(parts.iter().map(Vec::as_slice), None);
}

/// Returns a checkpoint in either form of [`checkpoint`].
pub fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let rules = Arc::new(RuleSource {
        files: vec![("rules.yml".to_owned(), RULES.to_owned())],
        settings: EngineSettings::default(),
    });
    let (log, tail) = MemoryLog::new(1_000_000);
    let node = Node::new(vec![log], NodeSettings::default(), 7);
    let up = Matcher::new(MatchOp::Matches, "__name__", ".+").expect("a pattern");
    let read_set = ReadSet {
        generation: Generation(1),
        selectors: vec![(ShardId(0), vec![up])],
        ..ReadSet::default()
    };
    let mut entry = |_, stamp| Entry::Rules {
        stamp,
        generation: Generation(1),
        rules: Arc::clone(&rules),
    };
    let adopted = node.adopt(read_set, &mut entry, WALL);
    adopted.expect("the log is open");
    receive(&node, &good_body(), Protocol::V1, WALL);
    let (mut engine, mut effects) = (Engine::new(), Vec::new());
    for (_, entry) in tail.entries().try_iter() {
        engine.apply(&entry, &|| 0.0, &mut effects);
    }
    let mut parts = engine.begin_checkpoint();
    while engine.is_saving() {
        parts.extend(engine.checkpoint_slice(1));
    }
    let folder = std::env::temp_dir().join(format!("burnwatch-seed-{}", std::process::id()));
    let checkpoints = CheckpointFolder::open(&folder).expect("it is writable");
    let header = CheckpointHeader {
        offset: 2,
        wall: WALL,
        generation: Generation(1),
        cold: Vec::new(),
    };
    let mut writer = checkpoints.begin(&header).expect("it is writable");
    let mut plain = vec![1];
    for part in &parts {
        writer.part(part).expect("it is writable");
        plain.extend((part.len() as u32).to_le_bytes());
        plain.extend(part);
    }
    writer.finish().expect("it is writable");
    let path = checkpoints.paths().expect("it is readable").remove(0);
    let file = std::fs::read(path).expect("it is readable");
    let _ = std::fs::remove_dir_all(folder);
    vec![[&[0], &file[..]].concat(), plain]
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

/// The times of all samples: a scrape every fifteen seconds for ten minutes.
fn sample_times() -> impl Iterator<Item = TimestampMs> {
    (0..40)
        .map(|n| WALL - DurationMs::from_seconds(n * 15))
        .rev()
}

/// Series of every kind: counters that reset, gauges with special values, classic buckets,
/// native histograms, stale ones, info metrics.
fn series(seed: u64) -> Snapshot {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut snapshot = Snapshot::default();
    for name in [
        "x",
        "up",
        "http_requests_total",
        "x_bucket",
        "a",
        "b",
        "target_info",
        "h",
    ] {
        for (job, instance) in [("a", "a:1"), ("a", "a:2"), ("b", "b:1")] {
            let mut history = SeriesHistory::default();
            let mut total = 0.0;
            for at in sample_times() {
                total = if random.u8(..) < 8 {
                    0.0
                } else {
                    total + random.f64()
                };
                let value = match random.u8(0..40) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => stale_nan(),
                    3 => continue,
                    _ => total,
                };
                let value = match name {
                    "h" if !value.is_nan() => {
                        let text = format!(
                            "{{{{schema:{} sum:{value} count:{} buckets:[{} 2] offset:{}}}}}",
                            random.i32(-1..3),
                            random.u8(1..9),
                            random.u8(0..9),
                            random.i32(-3..3),
                        );
                        let histogram = parse_histogram(&text);
                        histogram.map_or(SampleValue::Float(value), |histogram| {
                            SampleValue::Histogram(Arc::new(histogram))
                        })
                    }
                    _ => SampleValue::Float(value),
                };
                history.append(at, value, TimestampMs::MIN);
            }
            let le = ["0.1", "1", "+Inf"][random.usize(0..3)];
            let pairs = [
                ("__name__", name),
                ("instance", instance),
                ("job", job),
                ("le", le),
            ];
            let n_pairs = if name == "x_bucket" { 4 } else { 3 };
            snapshot.insert(
                Labels::from_pairs(pairs[..n_pairs].iter().copied()),
                history,
            );
        }
    }
    snapshot
}

/// An expression over series: at an instant and over a range it comes to a value or an error
/// within its limits, twice to the same, and it can be explained. The first byte chooses the
/// series.
pub fn evaluation(data: &[u8]) {
    let Some((seed, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let assumptions = Assumptions {
        scrape_interval: DurationMs::from_seconds(15),
        default_step: DurationMs::from_seconds(60),
        features: Features::ALL,
    };
    let Ok(explanation) = explain(&text, assumptions) else {
        return;
    };
    assert!(!explanation.to_string().is_empty());
    let expr = promql::parse(&text, &Functions, Features::ALL).expect("it was explained");
    let options = EvalOptions {
        features: Features {
            delayed_name_removal: seed & 1 == 1,
            ..Features::ALL
        },
        samples_max: 10_000,
        subquery_steps_max: 300,
        ..EvalOptions::default()
    };
    let series = series(u64::from(*seed));
    let once = evaluate(&expr, &Scan::new(&series), WALL, &options);
    let again = evaluate(&expr, &Scan::new(&series), WALL, &options);
    let shown = |outcome: &Result<_, _>| format!("{outcome:?}");
    assert_eq!(shown(&once), shown(&again), "{text}");
    if matches!(
        type_of(&expr, &Functions),
        ValueType::Scalar | ValueType::Vector
    ) {
        let start = WALL - DurationMs::from_seconds(120);
        let times = (start, WALL, DurationMs::from_seconds(60));
        let _ = evaluate_range(&expr, &Scan::new(&series), times, &options);
    }
}

/// A script of promqltest: it is read or refused.
pub fn promql_script(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = script::read_script(&text);
}

/// A regular expression: it is refused, or says of texts whether it matches them.
pub fn pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for op in [MatchOp::Matches, MatchOp::NotMatches] {
        if let Ok(matcher) = Matcher::new(op, "a", text.clone()) {
            for value in ["", "a", "aaa\nb", "ſ{1}", &text] {
                matcher.matches(value);
            }
        }
    }
}

/// The parameters of a request: times, durations, selectors.
pub fn parameters(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for word in text.split(['&', '=', '\n']) {
        if let Ok(at) = parse_time(word) {
            let (query, storage) = (at.of_query(), at.of_storage());
            at.since(Instant::of(query));
            at.since(Instant::of(storage));
        }
        let _ = parse_duration(word);
        let _ = promql::parse(word, &Functions, Features::ALL);
    }
}

/// The mark between a file of unit tests and the rules that it tests.
pub const RULES_MARK: &str = "\n=== rules\n";

/// A file of unit tests with its rules: the tests pass or fail. Long ones are not run: how long
/// a test takes is its author's choice.
pub fn unit_test(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (tests, rules) = text.split_once(RULES_MARK).unwrap_or((&text, ""));
    let Ok(file) = parse_test_file("test.yml", tests) else {
        return;
    };
    let rules = [("rules.yml".to_owned(), rules.to_owned())];
    for case in &file.tests {
        let alerts = case.alert_tests.iter().map(|test| test.eval_time);
        let exprs = case.expr_tests.iter().map(|test| test.eval_time);
        let end = alerts.chain(exprs).max().unwrap_or_default();
        let n_values: usize = case
            .input_series
            .iter()
            .map(|series| series.values.len())
            .sum();
        let is_long = |interval: DurationMs| interval.0 <= 0 || end.0 / interval.0 > 200;
        if !is_long(file.evaluation_interval) && !is_long(case.interval) && n_values < 10_000 {
            run_test(&file, case, &rules, &TestOptions::default());
        }
    }
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
    for dialect in Dialect::ALL {
        let format = RuleFormat {
            dialect,
            ignore_unknown_fields: dialect == Dialect::Thanos,
            ..RuleFormat::default()
        };
        let features = Features::ALL;
        let options = ParseOptions { features, format };
        let _ = rule::parse_file("rules.yml", &text, &Functions, options);
    }
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

/// Where the log of these runs lies, and its only file.
const LOG_FILE: &str = "/log/0/00000000000000000000.log";

/// A record of the log, and a file of it: bytes are entries or an error, a file is one that can be
/// gone on with, or is damaged and can be after it was repaired.
pub fn log(data: &[u8]) {
    if let Ok(entry) = record::decode(data) {
        let mut bytes = Vec::new();
        record::encode(&entry, &mut bytes);
        record::decode(&bytes).expect("it was encoded");
    }
    let disk = SimulatedFiles::default();
    let file = disk.create(Path::new(LOG_FILE)).expect("it is not there");
    file.write_at(0, data).expect("there is room");
    let folder = Path::new("/log/0");
    let before = check_shard(&disk, folder, 0).expect("it is readable");
    if repair_shard(&disk, folder, 0).is_ok() {
        let after = check_shard(&disk, folder, 0).expect("it is readable");
        let kept = |report: &ShardReport| report.segments.first().map(|first| first.offsets);
        // Frames that are whole may hold entries that are none; those stay.
        if before.bad.is_none() {
            assert_eq!(kept(&before), kept(&after));
        }
    }
}

/// A record, and a file of the log with every kind of entry.
pub fn log_seeds() -> Vec<Vec<u8>> {
    let disk = SimulatedFiles::default();
    let files = Arc::new(disk.clone());
    let logs = FileLogs::open(files, Path::new("/log"), 1, FileLogSettings::default());
    let logs = logs.expect("an empty disk");
    let log = logs.log(0);
    let stamp = |sequence| Stamp {
        sequence,
        wall: WALL,
        clock: (sequence > 1).then_some(WALL),
    };
    let generation = Generation(1);
    let batch = Batch {
        definitions: vec![SeriesDefinition {
            handle: SeriesHandle(0),
            labels: Labels::from_pairs([("__name__", "up"), ("job", "a")]),
        }],
        floats: vec![(SeriesHandle(0), WALL, 1.0), (SeriesHandle(3), WALL, 2.0)],
        histograms: vec![(SeriesHandle(0), WALL, Arc::default())],
        ..Batch::default()
    };
    let rules = Arc::new(RuleSource {
        files: vec![("rules.yml".to_owned(), RULES.to_owned())],
        settings: EngineSettings::default(),
    });
    let entries = [
        Entry::Rules {
            stamp: stamp(1),
            generation,
            rules,
        },
        Entry::Samples {
            stamp: stamp(2),
            generation,
            batch,
        },
        Entry::Clock { stamp: stamp(3) },
    ];
    let mut seeds = Vec::new();
    for entry in entries {
        let mut bytes = Vec::new();
        record::encode(&entry, &mut bytes);
        seeds.push(bytes);
        log.append(entry).expect("it is open");
        log.commitment().wait_blocking().expect("there is room");
    }
    logs.close();
    let file = disk.open(Path::new(LOG_FILE)).expect("it was made");
    let mut bytes = vec![0; file.n_bytes().expect("it is open") as usize];
    file.read_at(0, &mut bytes).expect("it is open");
    seeds.push(bytes);
    seeds
}
