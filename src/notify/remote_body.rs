//! Recorded samples as remote-write messages, 1.0 and 2.0, compressed.

use std::collections::HashMap;

use prost::Message as _;

use crate::config::ProtobufMessage;
use crate::model::{CounterResetHint, FloatHistogram, Labels, SampleValue};
use crate::notify::RecordedSample;
use crate::wire::{v1, v2};

/// Returns the compressed body of a request; samples of one series are put together, series in
/// the order in which they first come.
pub fn encode(samples: &[RecordedSample], message: ProtobufMessage) -> Result<Vec<u8>, String> {
    let series = by_series(samples);
    let bytes = match message {
        ProtobufMessage::V1 => request_v1(&series).encode_to_vec(),
        ProtobufMessage::V2 => request_v2(&series).encode_to_vec(),
    };
    let mut encoder = snap::raw::Encoder::new();
    encoder.compress_vec(&bytes).map_err(|e| e.to_string())
}

type Series<'a> = (&'a Labels, Vec<&'a RecordedSample>);

fn by_series(samples: &[RecordedSample]) -> Vec<Series<'_>> {
    // 2.0 does not allow floats and histograms in one series, and 1.0 does not mind them apart.
    let mut places: HashMap<(&Labels, bool), usize> = HashMap::new();
    let mut series: Vec<Series<'_>> = Vec::new();
    for sample in samples {
        let is_float = matches!(sample.value, SampleValue::Float(_));
        let place = *places.entry((&sample.labels, is_float)).or_insert_with(|| {
            series.push((&sample.labels, Vec::new()));
            series.len() - 1
        });
        series[place].1.push(sample);
    }
    series
}

fn request_v1(series: &[Series<'_>]) -> v1::WriteRequest {
    let label = |(name, value): (&str, &str)| v1::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let one = |(labels, samples): &Series<'_>| {
        let mut one = v1::TimeSeries {
            labels: labels.iter().map(label).collect(),
            ..v1::TimeSeries::default()
        };
        for sample in samples {
            let timestamp = sample.at.0;
            match &sample.value {
                SampleValue::Float(value) => one.samples.push(v1::Sample {
                    value: *value,
                    timestamp,
                }),
                SampleValue::Histogram(histogram) => {
                    one.histograms.push(histogram_v1(histogram, timestamp));
                }
            }
        }
        one
    };
    v1::WriteRequest {
        timeseries: series.iter().map(one).collect(),
        ..v1::WriteRequest::default()
    }
}

/// Texts and their places; the first is empty.
struct Symbols<'a> {
    texts: Vec<String>,
    places: HashMap<&'a str, u32>,
}

impl<'a> Symbols<'a> {
    fn place(&mut self, text: &'a str) -> u32 {
        *self.places.entry(text).or_insert_with(|| {
            self.texts.push(text.to_owned());
            // A request has far fewer texts than that: it is bounded by its number of samples.
            u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

fn request_v2(series: &[Series<'_>]) -> v2::Request {
    let mut symbols = Symbols {
        texts: vec![String::new()],
        places: HashMap::from([("", 0)]),
    };
    let mut timeseries = Vec::with_capacity(series.len());
    for (labels, samples) in series {
        let mut one = v2::TimeSeries::default();
        for (name, value) in labels.iter() {
            one.labels_refs.push(symbols.place(name));
            one.labels_refs.push(symbols.place(value));
        }
        for sample in samples {
            let timestamp = sample.at.0;
            match &sample.value {
                SampleValue::Float(value) => one.samples.push(v2::Sample {
                    value: *value,
                    timestamp,
                    ..v2::Sample::default()
                }),
                SampleValue::Histogram(histogram) => {
                    one.histograms.push(histogram_v2(histogram, timestamp));
                }
            }
        }
        timeseries.push(one);
    }
    v2::Request {
        symbols: symbols.texts,
        timeseries,
    }
}

/// Writes a histogram as one of the two messages, which have the same fields under other names.
macro_rules! histogram {
    ($wire:ident, $histogram:expr, $timestamp:expr, $hint:expr) => {{
        use $wire::histogram::{Count, ZeroCount};
        let histogram: &FloatHistogram = $histogram;
        let spans = |spans: &[crate::model::BucketSpan]| {
            let span = |span: &crate::model::BucketSpan| $wire::BucketSpan {
                offset: span.offset,
                length: span.length,
            };
            spans.iter().map(span).collect()
        };
        $wire::Histogram {
            count: Some(Count::CountFloat(histogram.count)),
            sum: histogram.sum,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: Some(ZeroCount::ZeroCountFloat(histogram.zero_count)),
            negative_spans: spans(&histogram.negative_spans),
            negative_counts: histogram.negative_buckets.clone(),
            positive_spans: spans(&histogram.positive_spans),
            positive_counts: histogram.positive_buckets.clone(),
            reset_hint: $hint as i32,
            timestamp: $timestamp,
            custom_values: histogram.custom_values.clone(),
            ..$wire::Histogram::default()
        }
    }};
}

fn histogram_v1(histogram: &FloatHistogram, timestamp: i64) -> v1::Histogram {
    use v1::histogram::ResetHint;
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => ResetHint::Unknown,
        CounterResetHint::Reset => ResetHint::Yes,
        CounterResetHint::NotReset => ResetHint::No,
        CounterResetHint::Gauge => ResetHint::Gauge,
    };
    histogram!(v1, histogram, timestamp, hint)
}

fn histogram_v2(histogram: &FloatHistogram, timestamp: i64) -> v2::Histogram {
    use v2::histogram::ResetHint;
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => ResetHint::Unspecified,
        CounterResetHint::Reset => ResetHint::Yes,
        CounterResetHint::NotReset => ResetHint::No,
        CounterResetHint::Gauge => ResetHint::Gauge,
    };
    histogram!(v2, histogram, timestamp, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TimestampMs;
    use std::sync::Arc;

    fn sample(name: &str, at: i64, value: SampleValue) -> RecordedSample {
        RecordedSample {
            labels: Labels::from_pairs([("__name__", name), ("job", name)]),
            at: TimestampMs(at),
            value,
        }
    }

    fn decompressed(samples: &[RecordedSample], message: ProtobufMessage) -> Vec<u8> {
        let body = encode(samples, message).expect("encodes");
        snap::raw::Decoder::new()
            .decompress_vec(&body)
            .expect("snappy")
    }

    #[test]
    fn both_messages_carry_the_samples_by_series() {
        let histogram = FloatHistogram {
            count: 3.0,
            positive_buckets: vec![1.0, 2.0],
            positive_spans: vec![crate::model::BucketSpan {
                offset: -1,
                length: 2,
            }],
            ..FloatHistogram::default()
        };
        let samples = [
            sample("a", 1, SampleValue::Float(1.5)),
            sample("b", 1, SampleValue::Histogram(Arc::new(histogram))),
            sample("a", 2, SampleValue::Float(2.5)),
        ];
        let bytes = decompressed(&samples, ProtobufMessage::V1);
        let v1 = v1::WriteRequest::decode(&*bytes).expect("protobuf");
        let floats: Vec<f64> = v1.timeseries[0].samples.iter().map(|s| s.value).collect();
        assert_eq!(floats, [1.5, 2.5]);
        assert_eq!(v1.timeseries[0].labels[1].value, "a");
        assert_eq!(v1.timeseries[1].histograms[0].positive_counts, [1.0, 2.0]);

        let bytes = decompressed(&samples, ProtobufMessage::V2);
        let v2 = v2::Request::decode(&*bytes).expect("protobuf");
        assert_eq!(v2.symbols, ["", "__name__", "a", "job", "b"]);
        assert_eq!(v2.timeseries[1].labels_refs, [1, 4, 3, 4]);
        assert_eq!(v2.timeseries[0].samples[1].timestamp, 2);
    }
}
