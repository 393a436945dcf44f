//! A remote-write sender of our own, for both protocols, over the messages of `proto/`.

use burnwatch::wire::{v1, v2};
use prost::Message;

/// What a body is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    V1,
    V2,
}

/// Both, for what must hold in both.
pub const BOTH: [Protocol; 2] = [Protocol::V1, Protocol::V2];

impl Protocol {
    /// Returns the header that chooses the message.
    pub fn content_type(self) -> &'static str {
        match self {
            Protocol::V1 => "application/x-protobuf",
            Protocol::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// Returns the version header.
    pub fn version(self) -> &'static str {
        match self {
            Protocol::V1 => "0.1.0",
            Protocol::V2 => "2.0.0",
        }
    }

    /// Returns a whole body: the message under snappy.
    pub fn body(self, series: &[Series]) -> Vec<u8> {
        compress(&self.message(series))
    }

    /// Returns the message alone.
    pub fn message(self, series: &[Series]) -> Vec<u8> {
        match self {
            Protocol::V1 => message_v1(series).encode_to_vec(),
            Protocol::V2 => message_v2(series).encode_to_vec(),
        }
    }
}

/// Compresses as senders do.
pub fn compress(plain: &[u8]) -> Vec<u8> {
    let compressed = snap::raw::Encoder::new().compress_vec(plain);
    compressed.expect("below 4 GB")
}

/// A series in the making, with what came of it.
#[derive(Clone, Debug, Default)]
pub struct Series {
    labels: Vec<(String, String)>,
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, u64)>,
    exemplars: Vec<(i64, f64)>,
    help: Option<String>,
}

impl Series {
    /// Returns a series without samples.
    pub fn new(name: &str) -> Self {
        Series::without_name().label("__name__", name)
    }

    /// Returns a series that lacks its name.
    pub fn without_name() -> Self {
        Series::default()
    }

    /// Adds a label behind the others.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a float at an instant in ms.
    pub fn float(mut self, at: i64, value: f64) -> Self {
        self.floats.push((at, value));
        self
    }

    /// Adds a native histogram with so many observations, all in one bucket.
    pub fn histogram(mut self, at: i64, count: u64) -> Self {
        self.histograms.push((at, count));
        self
    }

    /// Adds an exemplar.
    pub fn exemplar(mut self, at: i64, value: f64) -> Self {
        self.exemplars.push((at, value));
        self
    }

    /// Says what the metric means: a gauge.
    pub fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }

    fn name(&self) -> &str {
        let name = self.labels.iter().find(|(name, _)| name == "__name__");
        name.map_or("", |(_, value)| value)
    }
}

fn message_v1(series: &[Series]) -> v1::WriteRequest {
    let label = |name: &str, value: &str| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let one = |series: &Series| v1::TimeSeries {
        labels: series.labels.iter().map(|(n, v)| label(n, v)).collect(),
        samples: series
            .floats
            .iter()
            .map(|(timestamp, value)| v1::Sample {
                value: *value,
                timestamp: *timestamp,
            })
            .collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|(timestamp, value)| v1::Exemplar {
                labels: vec![label("trace_id", "abc")],
                value: *value,
                timestamp: *timestamp,
            })
            .collect(),
        histograms: series
            .histograms
            .iter()
            .map(|(timestamp, count)| v1::Histogram {
                count: Some(v1::histogram::Count::CountInt(*count)),
                sum: *count as f64,
                positive_spans: vec![v1::BucketSpan {
                    offset: 0,
                    length: 1,
                }],
                positive_deltas: vec![i64::try_from(*count).expect("a small count")],
                timestamp: *timestamp,
                ..v1::Histogram::default()
            })
            .collect(),
    };
    let metadata = |series: &Series| {
        Some(v1::MetricMetadata {
            r#type: v1::metric_metadata::MetricType::Gauge as i32,
            metric_family_name: series.name().to_owned(),
            help: series.help.clone()?,
            unit: String::new(),
        })
    };
    v1::WriteRequest {
        timeseries: series.iter().map(one).collect(),
        metadata: series.iter().filter_map(metadata).collect(),
    }
}

/// The symbol table of a 2.0 message.
struct Symbols(Vec<String>);

impl Symbols {
    fn reference(&mut self, text: &str) -> u32 {
        let found = self.0.iter().position(|symbol| symbol == text);
        let at = found.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        u32::try_from(at).expect("a short table")
    }
}

fn message_v2(series: &[Series]) -> v2::Request {
    let mut symbols = Symbols(vec![String::new()]);
    let timeseries = series.iter().map(|one| series_v2(one, &mut symbols));
    v2::Request {
        timeseries: timeseries.collect(),
        symbols: symbols.0,
    }
}

fn series_v2(series: &Series, symbols: &mut Symbols) -> v2::TimeSeries {
    let labels = series.labels.iter();
    let labels_refs =
        labels.flat_map(|(name, value)| [symbols.reference(name), symbols.reference(value)]);
    let labels_refs = labels_refs.collect();
    let trace = [symbols.reference("trace_id"), symbols.reference("abc")];
    let metadata = series.help.as_ref().map(|help| v2::Metadata {
        r#type: v2::metadata::MetricType::Gauge as i32,
        help_ref: symbols.reference(help),
        unit_ref: 0,
    });
    v2::TimeSeries {
        labels_refs,
        metadata,
        samples: series
            .floats
            .iter()
            .map(|(timestamp, value)| v2::Sample {
                value: *value,
                timestamp: *timestamp,
                start_timestamp: 0,
            })
            .collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|(timestamp, value)| v2::Exemplar {
                labels_refs: trace.to_vec(),
                value: *value,
                timestamp: *timestamp,
            })
            .collect(),
        histograms: series
            .histograms
            .iter()
            .map(|(timestamp, count)| v2::Histogram {
                count: Some(v2::histogram::Count::CountInt(*count)),
                sum: *count as f64,
                positive_spans: vec![v2::BucketSpan {
                    offset: 0,
                    length: 1,
                }],
                positive_deltas: vec![i64::try_from(*count).expect("a small count")],
                timestamp: *timestamp,
                ..v2::Histogram::default()
            })
            .collect(),
    }
}
