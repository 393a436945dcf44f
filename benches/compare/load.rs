//! What receivers are given: series of a fleet of model servers, twelve labels each, 2,000 series a
//! request, one sample a series, as a Prometheus that scrapes the fleet sends them.
//!
//! Requests are encoded once. From scrape to scrape the timestamp and the value of each sample are
//! written over in place, and the bytes are compressed anew, so that the load generator can keep up
//! with the receivers it measures.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Series in a request; Prometheus' own default.
pub const BATCH: usize = 2_000;
/// Between the samples of a series, ms.
pub const SCRAPE_MS: i64 = 15_000;
/// The bytes of a timestamp of our days as a varint.
const TIMESTAMP_BYTES: usize = 6;

/// The version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 1.0: labels spelled out for each series.
    V1,
    /// 2.0: a table of symbols for each request.
    V2,
}

/// Which metrics the series are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One counter.
    Counter,
    /// For each set of labels a counter of requests and one of errors.
    Pairs,
    /// As `Counter`, but one in ten is of `ml_prediction_errors_total`.
    TenthErrors,
}

/// The labels of one series, sorted by name.
pub type LabelPairs = Vec<(String, String)>;

/// A series to be sent.
pub struct Series {
    /// Its labels.
    pub labels: LabelPairs,
    /// How its samples go on.
    pub course: Course,
}

/// How the samples of a series go on from scrape to scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// The value at the first scrape.
    pub first: f64,
    /// What the value gains from scrape to scrape; it is rounded down.
    pub gain: f64,
    /// How far behind the scrape's instant its samples lie, ms.
    pub delay_ms: i64,
}

/// Where the value of a sample lies in a request; its timestamp follows behind one byte.
struct Spot {
    at: usize,
    course: Course,
}

struct Request {
    plain: Vec<u8>,
    spots: Vec<Spot>,
}

/// The requests of one scrape of all series.
pub struct Load {
    requests: Vec<Request>,
    n_series: usize,
}

/// Returns the time of day, ms since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock stands behind 1970").as_millis() as i64
}

impl Load {
    /// Encodes `n_series` series of a shape.
    pub fn fleet(shape: Shape, protocol: Protocol, n_series: usize) -> Self {
        let series = |n| Series {
            labels: labels(shape, n),
            course: Course {
                gain: gain(shape, n),
                ..Course::default()
            },
        };
        Load::of(protocol, n_series, BATCH, series)
    }

    /// Encodes series by their numbers, `batch` of them a request.
    pub fn of(
        protocol: Protocol,
        n_series: usize,
        batch: usize,
        series: impl Fn(usize) -> Series,
    ) -> Self {
        let encode = |from: usize| {
            let series = (from..(from + batch).min(n_series)).map(&series);
            match protocol {
                Protocol::V1 => encode_v1(series),
                Protocol::V2 => encode_v2(series),
            }
        };
        Load {
            requests: (0..n_series).step_by(batch).map(encode).collect(),
            n_series,
        }
    }

    /// Returns the number of series, which is the number of samples of a scrape.
    pub fn len(&self) -> usize {
        self.n_series
    }

    /// Returns the compressed requests of the scrape `round`, at `at_ms`.
    pub fn scrape(&mut self, at_ms: i64, round: usize) -> Vec<Vec<u8>> {
        let mut encoder = snap::raw::Encoder::new();
        let compress = |request: &mut Request| {
            request.set(at_ms, round);
            encoder
                .compress_vec(&request.plain)
                .expect("a request of 2,000 series is below 4 GiB")
        };
        self.requests.iter_mut().map(compress).collect()
    }
}

impl Request {
    fn set(&mut self, at_ms: i64, round: usize) {
        let mut timestamp = Vec::with_capacity(TIMESTAMP_BYTES);
        for Spot { at, course } in &self.spots {
            let value = (course.first + course.gain * round as f64).floor();
            self.plain[*at..at + 8].copy_from_slice(&value.to_le_bytes());
            timestamp.clear();
            varint(&mut timestamp, (at_ms + course.delay_ms) as u64);
            self.plain[at + 9..at + 9 + TIMESTAMP_BYTES].copy_from_slice(&timestamp);
        }
    }
}

/// The labels of series `n`: 20 (or 20 pairs) an instance, 50 models.
fn labels(shape: Shape, n: usize) -> LabelPairs {
    let (is_error, n) = match shape {
        Shape::Counter => (false, n),
        Shape::Pairs => (n % 2 == 1, n / 2),
        Shape::TenthErrors => (n % 10 == 3, n),
    };
    let name = if is_error {
        "ml_prediction_errors_total"
    } else {
        "ml_predictions_total"
    };
    let status = ["200", "400", "404", "500", "503"][n % 5];
    let handler = ["/v1/predict", "/v1/embed", "/v1/rank", "/healthz"][(n / 5) % 4];
    let host = n / 20;
    let (high, middle, low) = (host >> 16 & 255, host >> 8 & 255, host & 255);
    let pairs = [
        ("__name__", name.to_owned()),
        ("cluster", "prod-eu-west-1".to_owned()),
        ("container", "model-server".to_owned()),
        ("endpoint", "http-metrics".to_owned()),
        ("handler", handler.to_owned()),
        ("instance", format!("10.{high}.{middle}.{low}:9090")),
        ("job", "model-server".to_owned()),
        ("method", "POST".to_owned()),
        ("model", format!("recommender-{}", host % 50)),
        ("namespace", "ml-serving".to_owned()),
        ("pod", format!("model-server-7d4b9c6f5-{host:06x}")),
        ("status", status.to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Errors are a few in a hundred requests, so that no burn-rate rule fires.
fn gain(shape: Shape, n: usize) -> f64 {
    let is_error = shape == Shape::Pairs && n % 2 == 1;
    let of_status = match n / 2 % 5 {
        0 => 150.0,
        3 | 4 => 20.2,
        _ => 31.0,
    };
    let jitter = 1.0 + (n % 7) as f64 / 10.0;
    of_status * jitter * if is_error { 0.03 } else { 1.0 }
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A field of bytes: its key, its length, itself.
fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A sample whose value and timestamp are still to be written, the same bytes in both versions.
fn sample(out: &mut Vec<u8>) {
    let mut bytes = vec![0x09];
    bytes.extend_from_slice(&[0; 8]);
    bytes.push(0x10);
    bytes.extend_from_slice(&[0; TIMESTAMP_BYTES]);
    field(out, 2, &bytes);
}
/// From the end of a series that ends in a sample back to the sample's value.
const VALUE_FROM_END: usize = 8 + 1 + TIMESTAMP_BYTES;

fn encode_v1(series: impl Iterator<Item = Series>) -> Request {
    let (mut plain, mut spots) = (Vec::new(), Vec::new());
    for Series { labels, course } in series {
        let mut one = Vec::new();
        for (name, value) in &labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut one, 1, &label);
        }
        sample(&mut one);
        field(&mut plain, 1, &one);
        let at = plain.len() - VALUE_FROM_END;
        spots.push(Spot { at, course });
    }
    Request { plain, spots }
}

fn encode_v2(series: impl Iterator<Item = Series>) -> Request {
    /// Type: counter.
    const METADATA: [u8; 4] = [5 << 3 | 2, 2, 0x08, 0x01];
    let mut symbols = vec![String::new()];
    let mut known = HashMap::new();
    let (mut plain, mut spots) = (Vec::new(), Vec::new());
    for Series { labels, course } in series {
        let mut references = Vec::new();
        for text in labels.into_iter().flat_map(|(name, value)| [name, value]) {
            let next = symbols.len() as u64;
            let number = *known.entry(text.clone()).or_insert(next);
            if number == next {
                symbols.push(text);
            }
            varint(&mut references, number);
        }
        let mut one = Vec::new();
        field(&mut one, 1, &references);
        sample(&mut one);
        one.extend_from_slice(&METADATA);
        field(&mut plain, 5, &one);
        let at = plain.len() - METADATA.len() - VALUE_FROM_END;
        spots.push(Spot { at, course });
    }
    // Symbols go before the series, as Prometheus sends them.
    let mut whole = Vec::with_capacity(plain.len() + symbols.len() * 24);
    for symbol in &symbols {
        field(&mut whole, 4, symbol.as_bytes());
    }
    spots.iter_mut().for_each(|spot| spot.at += whole.len());
    whole.extend_from_slice(&plain);
    Request {
        plain: whole,
        spots,
    }
}
