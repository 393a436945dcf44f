//! The fleet: targets whose whole scrapes are sent, bodies encoded once and filled in anew for
//! every scrape.
//!
//! A target is a model server with ten gauges that a threshold watches, twenty pairs of counters
//! under a burn-rate rule, and gauges that no rule reads for the rest.

use burnwatch::wire::v1::{Label, TimeSeries};
use prost::Message;

/// Gauges of a target that a threshold watches.
pub const QUEUES: usize = 10;
/// Pairs of counters of a target, errors and requests, that the burn-rate rule sums up.
pub const HANDLERS: usize = 20;
/// Targets that run the same model.
pub const TARGETS_PER_MODEL: usize = 2;
/// Series of a target that rules read.
pub const WATCHED: usize = QUEUES + 2 * HANDLERS;

/// What the rules of the bench say; `for: 0s`.
pub const RULES: &str = "
groups:
- name: latency
  rules:
  - alert: QueueFull
    expr: queue_length > 100
    for: 0s
    labels: {severity: page}
  - alert: ErrorBudgetBurns
    expr: |
      sum by (model) (rate(errors_total[5m])) / sum by (model) (rate(requests_total[5m])) > 0.01
    for: 0s
    labels: {severity: page}
";

/// One target.
pub struct Target {
    /// The value of its `instance` label.
    pub instance: String,
    /// Which model it runs.
    pub model: usize,
    /// Whether each queue is beyond the threshold.
    pub queues: [bool; QUEUES],
    /// The counters of each handler: errors and requests.
    pub counters: [(f64, f64); HANDLERS],
    halves: [Part; 2],
}

/// A part of a scrape: the message, and where values and timestamps stand in it.
struct Part {
    message: Vec<u8>,
    places: Vec<(usize, Source)>,
}

/// What a series shows.
#[derive(Clone, Copy)]
enum Source {
    Queue(usize),
    Errors(usize),
    Requests(usize),
    Unread(usize),
}

/// Name of a model, as the label has it.
pub fn model_name(model: usize) -> String {
    format!("model-{model}")
}

impl Target {
    /// Returns target `n` with so many series. Its scrape is in one message, or in two.
    pub fn new(n: usize, n_series: usize, is_split: bool) -> Self {
        let instance = format!("10.0.{}.{}:9090", n / 250, n % 250);
        let model = n / TARGETS_PER_MODEL;
        let queues = (0..QUEUES).map(Source::Queue);
        let counters = (0..HANDLERS).flat_map(|h| [Source::Errors(h), Source::Requests(h)]);
        let unread = (0..n_series.saturating_sub(WATCHED)).map(Source::Unread);
        let sources: Vec<Source> = queues.chain(counters).chain(unread).collect();
        // The second half has counters, so both halves are read and the frontier waits for it.
        let cut = if is_split {
            QUEUES + HANDLERS
        } else {
            sources.len()
        };
        let part = |sources: &[Source]| Part::new(sources, &instance, model);
        Target {
            halves: [part(&sources[..cut]), part(&sources[cut..])],
            instance,
            model,
            queues: [false; QUEUES],
            counters: [(0.0, 0.0); HANDLERS],
        }
    }

    /// Adds what a target counts between two scrapes: half of the errors that the rule allows.
    pub fn count(&mut self) {
        for (errors, requests) in &mut self.counters {
            *errors += 1.0;
            *requests += 200.0;
        }
    }

    /// Returns the bodies of a scrape at an instant, ms since 1970: one, or two of a split one.
    pub fn bodies(&mut self, at_ms: i64) -> Vec<Vec<u8>> {
        let value = |source| match source {
            Source::Queue(n) if self.queues[n] => 250.0,
            Source::Queue(n) => 10.0 + n as f64,
            Source::Errors(n) => self.counters[n].0,
            Source::Requests(n) => self.counters[n].1,
            Source::Unread(n) => (n as i64 * 7_919 + at_ms / 100) as f64,
        };
        let fill = |part: &mut Part| {
            for (place, source) in &part.places {
                write_sample(&mut part.message[*place..], value(*source), at_ms);
            }
            let compressed = snap::raw::Encoder::new().compress_vec(&part.message);
            compressed.expect("fits into memory")
        };
        let parts = self
            .halves
            .iter_mut()
            .filter(|part| !part.places.is_empty());
        parts.map(fill).collect()
    }
}

impl Part {
    fn new(sources: &[Source], instance: &str, model: usize) -> Self {
        let mut part = Part {
            message: Vec::new(),
            places: Vec::new(),
        };
        for source in sources {
            let series = TimeSeries {
                labels: labels(*source, instance, model),
                ..TimeSeries::default()
            };
            let mut encoded = series.encode_to_vec();
            let place = encoded.len();
            encoded.extend([0; SAMPLE_BYTES]);
            prost::encoding::encode_key(1, WIRE_LENGTH, &mut part.message);
            prost::encoding::encode_varint(encoded.len() as u64, &mut part.message);
            part.places.push((part.message.len() + place, *source));
            part.message.extend(encoded);
        }
        part
    }
}

const WIRE_LENGTH: prost::encoding::WireType = prost::encoding::WireType::LengthDelimited;
/// A sample with its key and length: a value in nine bytes, a timestamp of this century in seven.
const SAMPLE_BYTES: usize = 18;

fn write_sample(place: &mut [u8], value: f64, at_ms: i64) {
    place[..3].copy_from_slice(&[0x12, 16, 0x09]);
    place[3..11].copy_from_slice(&value.to_le_bytes());
    place[11] = 0x10;
    for (byte, shift) in place[12..18].iter_mut().zip((0..6).map(|n| 7 * n)) {
        let more = if shift < 35 { 0x80 } else { 0 };
        *byte = (at_ms >> shift) as u8 & 0x7f | more;
    }
}

fn labels(source: Source, instance: &str, model: usize) -> Vec<Label> {
    let (name, own) = match source {
        Source::Queue(n) => ("queue_length".to_owned(), ("queue", format!("q{n}"))),
        Source::Errors(n) => ("errors_total".to_owned(), ("handler", format!("/v1/h{n}"))),
        Source::Requests(n) => (
            "requests_total".to_owned(),
            ("handler", format!("/v1/h{n}")),
        ),
        Source::Unread(n) => (
            format!("process_gauge_{n}"),
            ("endpoint", "metrics".to_owned()),
        ),
    };
    let mut pairs = vec![
        ("__name__", name),
        own,
        ("cluster", "prod-eu-west-1".to_owned()),
        ("container", "model-server".to_owned()),
        ("instance", instance.to_owned()),
        ("job", "model-server".to_owned()),
        ("model", model_name(model)),
        ("namespace", "ml-serving".to_owned()),
        (
            "pod",
            format!("model-server-{}", instance.replace([':', '.'], "-")),
        ),
        ("region", "eu-west-1".to_owned()),
        ("team", "ranking".to_owned()),
        ("version", "v2.14.3".to_owned()),
    ];
    pairs.sort();
    let label = |(name, value): (&str, String)| Label {
        name: name.to_owned(),
        value,
    };
    pairs.into_iter().map(label).collect()
}
