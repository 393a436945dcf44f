//! The bodies of the fuzz targets, briefly: random bytes, and valid inputs that are damaged.
//!
//! Catches a panic on input from any door, and targets that no longer compile. `PROPTEST_CASES`
//! makes it longer.

#[path = "../fuzz/src/lib.rs"]
mod bodies;

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
    fn promql(data in inputs(texts(EXPRESSIONS))) {
        bodies::promql(&data);
    }

    #[test]
    fn template(data in inputs(texts(TEMPLATES))) {
        bodies::template(&data);
    }

    #[test]
    fn rule_file(data in inputs([texts(&[RULE_FILE]), files(&["rules/tests/maintenance.test.yml"])].concat())) {
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
    for text in EXPRESSIONS {
        let parsed = promql::parse(text, &Functions, Features::ALL);
        assert_eq!(parsed.err(), None, "{text}");
    }
    for text in TEMPLATES {
        let parsed = burnwatch::template::Template::parse("t", text);
        assert_eq!(parsed.err(), None, "{text}");
    }
    let rules = burnwatch::rule::parse_file("r", RULE_FILE, &Functions, Features::default());
    assert_eq!(rules.err(), None);
}
