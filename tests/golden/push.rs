//! Series as bodies of remote write, 1.0 and 2.0 in turn.

use std::collections::HashMap;

use burnwatch::model::{CounterResetHint, FloatHistogram, Labels, SampleValue, is_stale_nan};
use burnwatch::wire::{v1, v2};
use prost::Message as _;

use crate::answer::read_labels;
use crate::recorded::{lines, read_value};
use crate::sender::{Protocol, compress};

/// Samples of one request.
const BODY_SAMPLES: usize = 2_000;

/// A sample on its way: its series, its instant in ms, its value.
struct Pushed {
    series: usize,
    at: i64,
    value: SampleValue,
    /// A histogram whose counts are whole numbers is sent as such.
    is_whole: bool,
}

/// The recorded series, to be pushed in the order of time.
pub struct Recorded {
    series: Vec<Labels>,
    samples: Vec<Pushed>,
}

impl Recorded {
    /// Reads the series. A stale marker among histograms is a histogram.
    pub fn read() -> Self {
        let (mut series, mut samples) = (Vec::new(), Vec::new());
        for json in lines("series.jsonl.gz") {
            let recorded = json["samples"].as_array().unwrap();
            let has_histograms = recorded.iter().any(|sample| sample[1].is_object());
            for sample in recorded {
                let value = match read_value(&sample[1]) {
                    SampleValue::Float(sum) if has_histograms && is_stale_nan(sum) => {
                        let stale = FloatHistogram {
                            sum,
                            ..FloatHistogram::default()
                        };
                        SampleValue::Histogram(stale.into())
                    }
                    value => value,
                };
                samples.push(Pushed {
                    series: series.len(),
                    at: sample[0].as_i64().unwrap(),
                    value,
                    is_whole: sample[1]["float"].as_bool() != Some(true),
                });
            }
            series.push(read_labels(&json["labels"]));
        }
        samples.sort_by_key(|sample| sample.at);
        Recorded { series, samples }
    }

    /// Takes one sample of each series, all at one instant; counts need not be whole.
    pub fn at_once(given: Vec<(Labels, SampleValue)>, at: i64) -> Self {
        let (mut series, mut samples) = (Vec::new(), Vec::new());
        for (labels, value) in given {
            samples.push(Pushed {
                series: series.len(),
                at,
                value,
                is_whole: false,
            });
            series.push(labels);
        }
        Recorded { series, samples }
    }

    /// Returns the number of series and of samples.
    pub fn len(&self) -> (usize, usize) {
        (self.series.len(), self.samples.len())
    }

    /// Returns the bodies in order, 1.0 and 2.0 in turn: every long series comes by both.
    pub fn bodies(&self) -> impl Iterator<Item = (Protocol, Vec<u8>)> {
        let protocols = [Protocol::V1, Protocol::V2].into_iter().cycle();
        let parts = self.samples.chunks(BODY_SAMPLES).zip(protocols);
        parts.map(|(samples, protocol)| {
            let runs = runs(samples);
            let message = match protocol {
                Protocol::V1 => message_v1(&self.series, &runs),
                Protocol::V2 => message_v2(&self.series, &runs),
            };
            (protocol, compress(&with_negative_zeros(message)))
        })
    }
}

/// Stands for `-0`, which encoders take for the default value and leave out.
const NEGATIVE_ZERO: f64 = f64::from_bits(0x7ff8_6e65_675a_6572);

fn sent(value: f64) -> f64 {
    let is_negative_zero = value.to_bits() == (-0.0_f64).to_bits();
    if is_negative_zero {
        NEGATIVE_ZERO
    } else {
        value
    }
}

fn with_negative_zeros(mut message: Vec<u8>) -> Vec<u8> {
    let (stand_in, value) = (NEGATIVE_ZERO.to_le_bytes(), (-0.0_f64).to_le_bytes());
    for at in 0..message.len().saturating_sub(stand_in.len()) + 1 {
        if message[at..].starts_with(&stand_in) {
            message[at..at + value.len()].copy_from_slice(&value);
        }
    }
    message
}

/// Samples of one series that follow each other and are of one kind.
type Run<'a> = Vec<&'a Pushed>;

/// Groups samples by series. 2.0 has floats and histograms apart, so a series that changes its
/// kind is begun anew.
fn runs(samples: &[Pushed]) -> Vec<Run<'_>> {
    let is_float = |sample: &Pushed| matches!(sample.value, SampleValue::Float(_));
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut of_series: HashMap<usize, usize> = HashMap::new();
    for sample in samples {
        let open = of_series.get(&sample.series).copied();
        match open.filter(|run| is_float(runs[*run][0]) == is_float(sample)) {
            Some(run) => runs[run].push(sample),
            None => {
                of_series.insert(sample.series, runs.len());
                runs.push(vec![sample]);
            }
        }
    }
    runs
}

fn message_v1(series: &[Labels], runs: &[Run<'_>]) -> Vec<u8> {
    let label = |(name, value): (&str, &str)| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let one = |run: &Run<'_>| {
        let mut one = v1::TimeSeries {
            labels: series[run[0].series].iter().map(label).collect(),
            ..v1::TimeSeries::default()
        };
        for sample in run {
            match &sample.value {
                SampleValue::Float(value) => one.samples.push(v1::Sample {
                    value: sent(*value),
                    timestamp: sample.at,
                }),
                SampleValue::Histogram(histogram) => {
                    one.histograms.push(histogram_v1(histogram, sample));
                }
            }
        }
        one
    };
    let request = v1::WriteRequest {
        timeseries: runs.iter().map(one).collect(),
        ..v1::WriteRequest::default()
    };
    request.encode_to_vec()
}

fn message_v2(series: &[Labels], runs: &[Run<'_>]) -> Vec<u8> {
    let mut request = v2::Request {
        symbols: vec![String::new()],
        ..v2::Request::default()
    };
    let mut places: HashMap<String, u32> = HashMap::new();
    for run in runs {
        let mut one = v2::TimeSeries::default();
        for (name, value) in series[run[0].series].iter() {
            for text in [name, value] {
                let place = places.entry(text.to_owned()).or_insert_with(|| {
                    request.symbols.push(text.to_owned());
                    u32::try_from(request.symbols.len() - 1).unwrap()
                });
                one.labels_refs.push(*place);
            }
        }
        for sample in run {
            match &sample.value {
                SampleValue::Float(value) => one.samples.push(v2::Sample {
                    value: sent(*value),
                    timestamp: sample.at,
                    ..v2::Sample::default()
                }),
                SampleValue::Histogram(histogram) => {
                    one.histograms.push(histogram_v2(histogram, sample));
                }
            }
        }
        request.timeseries.push(one);
    }
    request.encode_to_vec()
}

/// Whole counts, each bucket as the difference from the one before.
fn deltas(counts: &[f64]) -> Vec<i64> {
    let mut before = 0;
    let delta = |count: &f64| {
        let count = *count as i64;
        count - std::mem::replace(&mut before, count)
    };
    counts.iter().map(delta).collect()
}

/// Writes a histogram as one of the two messages, which have the same fields.
macro_rules! histogram {
    ($name:ident, $wire:ident) => {
        fn $name(histogram: &FloatHistogram, sample: &Pushed) -> $wire::Histogram {
            use $wire::histogram::{Count, ResetHint, ZeroCount};
            let spans = |spans: &[burnwatch::model::BucketSpan]| {
                let spans = spans.iter();
                let span = |span: &burnwatch::model::BucketSpan| $wire::BucketSpan {
                    offset: span.offset,
                    length: span.length,
                };
                spans.map(span).collect()
            };
            let shared = $wire::Histogram {
                sum: sent(histogram.sum),
                schema: histogram.schema,
                zero_threshold: histogram.zero_threshold,
                positive_spans: spans(&histogram.positive_spans),
                negative_spans: spans(&histogram.negative_spans),
                custom_values: histogram.custom_values.clone(),
                reset_hint: match histogram.counter_reset_hint {
                    CounterResetHint::Gauge => ResetHint::Gauge,
                    _ => ResetHint::default(),
                } as i32,
                timestamp: sample.at,
                ..$wire::Histogram::default()
            };
            if sample.is_whole {
                return $wire::Histogram {
                    count: Some(Count::CountInt(histogram.count as u64)),
                    zero_count: Some(ZeroCount::ZeroCountInt(histogram.zero_count as u64)),
                    positive_deltas: deltas(&histogram.positive_buckets),
                    negative_deltas: deltas(&histogram.negative_buckets),
                    ..shared
                };
            }
            $wire::Histogram {
                count: Some(Count::CountFloat(histogram.count)),
                zero_count: Some(ZeroCount::ZeroCountFloat(histogram.zero_count)),
                positive_counts: histogram.positive_buckets.clone(),
                negative_counts: histogram.negative_buckets.clone(),
                ..shared
            }
        }
    };
}

histogram!(histogram_v1, v1);
histogram!(histogram_v2, v2);
