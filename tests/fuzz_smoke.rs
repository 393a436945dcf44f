//! The bodies of the fuzz targets, briefly: random bytes, and valid inputs that are damaged.
//!
//! Catches a panic on input from any door, and targets that no longer compile. `PROPTEST_CASES`
//! makes it longer.

#[path = "../fuzz/src/lib.rs"]
mod bodies;

// The reader of scripts looks for its notation here.
use bodies::notation;

use burnwatch::wire::{v1, v2};
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

/// One way to damage an input.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Puts a piece of one place into another.
    Copy(Index, Index, usize),
    /// The same with a piece of another input.
    Splice(Index, Index, Index, usize),
}

/// What damaged texts are likely to trip over.
const WORDS: &[&str] = &[
    "{{",
    "}}",
    "(",
    ")",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    "{",
    "}",
    "\"",
    "'",
    "`",
    "\\",
    "#",
    "- ",
    ": ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: ",
    "|",
    "|-\n",
    "!!",
    "offset -",
    "@ end()",
    "by (",
    "on () group_left",
    "1e999",
    "-0x",
    "NaN",
    "Inf",
    "9223372036854775808",
    "-9223372036854775808",
    "100000y",
    "0s",
    "1.",
    ".5",
    "é",
    "\u{0}",
    "\u{feff}",
    "\u{1d11e}",
    "%s",
    "%!",
    "$1",
    "{{ range",
    "{{ end",
    "{{ template \"x\" }}",
    "if ",
    "bool",
    "sum",
    "_",
    "x100000000",
    "stale",
    "{{schema:",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    "\t",
    "\r\n",
];

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let word = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let piece = prop_oneof![word, prop::collection::vec(any::<u8>(), 1..8)];
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (index(), piece).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (index(), 1..40usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        (index(), index(), 1..80usize).prop_map(|(from, to, n)| Damage::Copy(from, to, n)),
        (index(), index(), index(), 1..200usize)
            .prop_map(|(other, from, to, n)| Damage::Splice(other, from, to, n)),
    ]
}

fn cut<'a>(input: &'a [u8], from: &Index, n: usize) -> &'a [u8] {
    let from = from.index(input.len() + 1);
    &input[from..(from + n).min(input.len())]
}

fn insert(input: &mut Vec<u8>, to: &Index, piece: &[u8]) {
    let to = to.index(input.len() + 1);
    input.splice(to..to, piece.iter().copied());
}

fn apply(damage: &Damage, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    match damage {
        Damage::Set(at, byte) if !input.is_empty() => {
            let at = at.index(input.len());
            input[at] = *byte;
        }
        Damage::Set(..) => {}
        Damage::Insert(at, piece) => insert(input, at, piece),
        Damage::Remove(at, n) => {
            let at = at.index(input.len() + 1);
            input.drain(at..(at + n).min(input.len()));
        }
        Damage::Copy(from, to, n) => {
            let piece = cut(input, from, *n).to_vec();
            insert(input, to, &piece);
        }
        Damage::Splice(other, from, to, n) => {
            let piece = cut(&seeds[other.index(seeds.len())], from, *n).to_vec();
            insert(input, to, &piece);
        }
    }
}

/// Random bytes now and then, otherwise a seed with up to six kinds of damage.
fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (any::<Index>(), prop::collection::vec(damage(), 0..6));
    let damaged = damaged.prop_map(move |(seed, damages)| {
        let mut input = seeds[seed.index(seeds.len())].clone();
        damages
            .iter()
            .for_each(|damage| apply(damage, &mut input, &seeds));
        input
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 7 => damaged]
}

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// Messages with everything in them, for both protocols, as messages and as bodies.
fn requests() -> Vec<Vec<u8>> {
    let at = bodies::WALL.0 - 1_000;
    let label = |name: &str, value: &str| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let labels = vec![
        label("__name__", "up"),
        label("job", "a"),
        label("le", "0.5"),
    ];
    let sample = |value, timestamp| v1::Sample { value, timestamp };
    let old = v1::WriteRequest {
        timeseries: vec![v1::TimeSeries {
            labels: labels.clone(),
            samples: vec![sample(1.0, at), sample(f64::NAN, at + 1)],
            exemplars: vec![v1::Exemplar {
                labels: vec![label("trace_id", "x")],
                value: 0.5,
                timestamp: at,
            }],
            histograms: vec![v1::Histogram {
                count: Some(v1::histogram::Count::CountInt(3)),
                sum: 2.0,
                schema: 1,
                zero_count: Some(v1::histogram::ZeroCount::ZeroCountInt(1)),
                positive_spans: vec![v1::BucketSpan {
                    offset: -1,
                    length: 2,
                }],
                positive_deltas: vec![1, 0],
                timestamp: at,
                ..v1::Histogram::default()
            }],
        }],
        metadata: vec![v1::MetricMetadata {
            r#type: 1,
            metric_family_name: "up".to_owned(),
            help: "Whether it is.".to_owned(),
            unit: "s".to_owned(),
        }],
    };
    let symbols = [
        "",
        "__name__",
        "up",
        "job",
        "a",
        "trace_id",
        "Whether it is.",
    ];
    let new = v2::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4],
            samples: vec![v2::Sample {
                value: 1.0,
                timestamp: at,
                start_timestamp: at - 5,
            }],
            histograms: vec![v2::Histogram {
                count: Some(v2::histogram::Count::CountFloat(2.5)),
                sum: 2.0,
                schema: -53,
                positive_spans: vec![v2::BucketSpan {
                    offset: 0,
                    length: 2,
                }],
                positive_counts: vec![1.0, 1.5],
                custom_values: vec![0.5],
                timestamp: at,
                ..v2::Histogram::default()
            }],
            exemplars: vec![v2::Exemplar {
                labels_refs: vec![5, 4],
                value: 0.5,
                timestamp: at,
            }],
            metadata: Some(v2::Metadata {
                r#type: 2,
                help_ref: 6,
                unit_ref: 0,
            }),
        }],
    };
    let mut requests = Vec::new();
    for (protocol, message) in [(0, old.encode_to_vec()), (1, new.encode_to_vec())] {
        let body = snap::raw::Encoder::new().compress_vec(&message);
        let body = body.expect("a short message");
        for (choice, bytes) in [(0, &message), (2, &body), (4, &message)] {
            requests.push([&[protocol | choice], bytes.as_slice()].concat());
        }
    }
    requests
}

const EXPRESSIONS: &[&str] = &[
    "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m])) / 2 > bool 0.01",
    "histogram_quantile(0.9, sum without (instance) (rate(x_bucket[1h] offset 1d)))",
    "a * on (job) group_left (version) b or c unless ignoring (x) d and e",
    "max_over_time(deriv(gauge[10m])[1h:1m] @ 1700000000)",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\") == -1 ^ 2 ^ 3",
    "topk(3, {\"a metric\", \"b.c\"=~\"x|y\"}) atan2 absent_over_time(up[5m])",
    "count_values(\"v\", x) + scalar(y) - time() % 0x1F",
    "rate(x[5m * 2] offset -(1h))",
];

/// Expressions that find something in the series of the bodies.
const OVER_DATA: &[&str] = &[
    "sum by (job) (rate(x[5m])) / on (job) group_left () count by (job, instance) (up) > bool 0.1",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) or histogram_quantile(0.5, h)",
    "histogram_fraction(0, 1, sum(h)) + histogram_stddev(h) - histogram_avg(rate(h[5m]))",
    "quantile_over_time(0.5, x[5m:30s]) * ignoring (job) group_right () max without (job) (a)",
    "info(up, {job=~\".+\"}) unless on (job) label_join(b, \"c\", \"-\", \"job\", \"instance\")",
    "predict_linear(x[10m], 600) atan2 double_exponential_smoothing(a[10m], 0.5, 0.5)",
    "topk by (job) (1, h or x) and sort_by_label_desc(b, \"instance\")",
    "rate(x[5m] anchored) + fill (0) increase(x[5m] smoothed) - delta(b[max(5m, step())])",
    "{__name__=~\".+\"} </ 1 == bool limit_ratio(0.5, {__name__!=\"\"})",
    "max_over_time(avg_over_time(x[5m:1m])[10m:1m] @ end() offset 1m)",
    "stdvar_over_time(x[5m]) % mad_over_time(b[5m]) ^ -ts_of_max_over_time(a[5m])",
];

const TEMPLATES: &[&str] = &[
    "{{ $labels.job }} is at {{ $value | humanize }} of {{ $externalURL }}",
    "{{ range query \"up\" | sortByLabel \"job\" }}{{ .Labels.job }}: {{ .Value }}{{ else }}-{{ end }}",
    "{{ with query \"x == 1\" }}{{ . | first | value | humanizePercentage }}{{ end }}",
    "{{ define \"a\" }}{{ . }}{{ end }}{{ template \"a\" printf \"%.2f %q\" $value $labels.job }}",
    "{{ if and (gt $value 0.1) (eq $labels.job \"a\") }}{{ reReplaceAll \"a(.)\" \"$1\" .Labels.job }}{{ end }}",
    "{{- /* note */ -}} {{ $x := 1 }}{{ $x = len \"abc\" }}{{ index .Labels \"job\" | toUpper }}",
    "{{ humanizeDuration 1e9 }}{{ humanizeTimestamp $value }}{{ parseDuration \"1h\" }}{{ printf \"%5d|%x\" 3 4 }}",
];

const NOTATION: &[&str] = &[
    "up{job=\"a\", instance=\"b\"}",
    "{\"a metric\", x=\"y\"}",
    "1+2x10 _ _x3 stale NaN Inf -3 1e3 4x2",
    "{{schema:1 sum:2 count:3 buckets:[1 2] offset:-1 n_buckets:[1] z_bucket:1 z_bucket_w:0.1}}x3",
    "{{schema:-53 sum:2 count:3 buckets:[1 2] custom_values:[0.5 1] counter_reset_hint:gauge}}",
];

const SCRIPTS: &[&str] = &[
    "load 5m\n  x{job=\"a\"} 0+10x10 _x3 stale\n  h {{schema:1 sum:2 count:3 buckets:[1 2]}}x5\n\n\
     eval instant at 50m sum by (job) (x)\n  {job=\"a\"} 100\n\nclear\n",
    "load_with_nhcb 1m\n  b{le=\"1\"} 1+1x4\n\neval range from 0 to 10m step 1m x\n  expect warn\n  \
     expect fail regex: a.*\n  x 1 _ 3x2 {{sum:1}}+{{sum:2}}x2\n",
    "eval_ordered instant at 5m topk(3, x)\n  x 3\n  expect range vector from 0 to 1m step 10s\n  \
     expect string \"a\"\n",
];

const PATTERNS: &[&str] = &[
    "(a|b)*c.+[x-z&&y]{2,5}?",
    "\\Qa.b\\E|\\p{Greek}+\\d\\W(?i:K)",
    "((a{100}){100}){100}",
    "[[:alpha:][^a-c]]|(?P<n>x)$^\\bé",
];

const PARAMETERS: &[&str] = &[
    "query=up{a=\"b\"}&time=1543578564.705&timeout=5m",
    "start=2015-06-03T13:21:58.555Z&end=-1.5&step=15s&match[]={a=~\"x|y\"}",
    "limit=10&lookback_delta=1e99&time=9e99",
];

const UNIT_TEST: &str = "
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  name: a test
  external_labels: {cluster: eu}
  input_series:
  - {series: 'x{job=\"a\"}', values: '0+100x10 _ stale 4x3'}
  - {series: 'h', values: '{{schema:1 sum:2 count:3 buckets:[1 2]}}x5'}
  alert_rule_test:
  - eval_time: 10m
    alertname: A
    exp_alerts:
    - exp_labels: {severity: a, job: a, team: a}
      exp_annotations: {summary: '1 of 1'}
  promql_expr_test:
  - expr: sum(rate(x[5m])) + histogram_count(h)
    eval_time: 5m
    exp_samples: [{labels: '{}', value: 4.5}]
";

/// Bytes that begin with a choice.
fn chosen(seeds: &[&str]) -> Vec<Vec<u8>> {
    let choices = 0u8..;
    let seeds = choices.zip(seeds);
    seeds
        .map(|(choice, seed)| [&[choice], seed.as_bytes()].concat())
        .collect()
}

fn files(names: &[&str]) -> Vec<Vec<u8>> {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &&str| std::fs::read(top.join(name)).expect("a file of the repository");
    names.iter().map(read).collect()
}

const RULE_FILE: &str = "
groups:
- name: g
  interval: 30s
  query_offset: 1s
  limit: 10
  labels: {team: a}
  rules:
  - alert: A
    expr: |
      sum by (job) (rate(x[5m])) > 1
    for: 5m
    keep_firing_for: 1m
    labels: {severity: '{{ $labels.job }}'}
    annotations:
      summary: \"{{ $value }} of {{ query `up` | len }}\"
  - record: a:b
    expr: sum(a)
";

proptest! {
    #[test]
    fn remote_write(data in inputs(requests())) {
        bodies::remote_write(&data);
    }

    #[test]
    fn checkpoint(data in inputs(bodies::checkpoint_seeds())) {
        bodies::checkpoint(&data);
    }

    #[test]
    fn log(data in inputs(bodies::log_seeds())) {
        bodies::log(&data);
    }

    #[test]
    fn promql(data in inputs(texts(EXPRESSIONS))) {
        bodies::promql(&data);
    }

    #[test]
    fn evaluation(data in inputs(chosen(&[EXPRESSIONS, OVER_DATA].concat()))) {
        bodies::evaluation(&data);
    }

    #[test]
    fn promql_script(data in inputs(texts(SCRIPTS))) {
        bodies::promql_script(&data);
    }

    #[test]
    fn pattern(data in inputs(texts(PATTERNS))) {
        bodies::pattern(&data);
    }

    #[test]
    fn parameters(data in inputs(texts(PARAMETERS))) {
        bodies::parameters(&data);
    }

    #[test]
    fn unit_test(data in inputs(texts(&[&format!("{UNIT_TEST}{}{RULE_FILE}", bodies::RULES_MARK)]))) {
        bodies::unit_test(&data);
    }

    #[test]
    fn template(data in inputs(texts(TEMPLATES))) {
        bodies::template(&data);
    }

    #[test]
    fn rule_file(data in inputs([texts(&[RULE_FILE]), files(&[
        "rules/tests/maintenance.test.yml",
        "tests/data/slo/alert-windows.yml",
        "tests/data/slo/openslo.yml",
        "tests/data/slo/predictor.yml",
        "tests/data/slo/pyrra.yml",
        "tests/data/slo/sloth.yml",
    ])].concat())) {
        bodies::rule_file(&data);
    }

    #[test]
    fn config(data in inputs(files(&["tests/data/config/full.yml", "deploy/burnwatch.yml"]))) {
        bodies::config(&data);
    }

    #[test]
    fn series_notation(data in inputs(texts(NOTATION))) {
        bodies::series_notation(&data);
    }
}

/// Catches seeds that are refused before anything is looked at.
#[test]
fn the_seeds_themselves_are_valid() {
    use burnwatch::functions::Functions;
    use burnwatch::promql::{self, Features};
    for text in EXPRESSIONS.iter().chain(OVER_DATA) {
        let parsed = promql::parse(text, &Functions, Features::ALL);
        assert_eq!(parsed.err(), None, "{text}");
    }
    for text in TEMPLATES {
        let parsed = burnwatch::template::Template::parse("t", text);
        assert_eq!(parsed.err(), None, "{text}");
    }
    for text in SCRIPTS {
        let script = bodies::script::read_script(text);
        assert!(script.is_ok(), "{text}: {script:?}");
    }
    let tests = burnwatch::rule::test_file::parse_test_file("t", UNIT_TEST);
    assert_eq!(tests.err(), None);
    let rules = burnwatch::rule::parse_file("r", RULE_FILE, &Functions, Features::default());
    assert_eq!(rules.err(), None);
}
