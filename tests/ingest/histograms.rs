//! Native histograms of both protocols: integer and float counts, and Prometheus' checks.

use burnwatch::ingest::decode::histogram::RawHistogram;
use burnwatch::ingest::{NodeSettings, Protocol};
use burnwatch::model::{BucketSpan, CounterResetHint, Entry, FloatHistogram, TimestampMs};
use burnwatch::server::pipeline::receive;
use burnwatch::wire::v1::histogram::{Count, ZeroCount};
use burnwatch::wire::{v1, v2};
use proptest::prelude::*;
use prost::Message;

use crate::support::*;

pub const AT: i64 = WALL.0 - 1_000;

fn spans(spans: &[(i32, u32)]) -> Vec<v1::BucketSpan> {
    let span = |(offset, length): &(i32, u32)| v1::BucketSpan {
        offset: *offset,
        length: *length,
    };
    spans.iter().map(span).collect()
}

fn built(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    let span = |(offset, length): &(i32, u32)| BucketSpan {
        offset: *offset,
        length: *length,
    };
    spans.iter().map(span).collect()
}

/// Integers: zero bucket 2, positive 1 3 2, negative 1.
pub fn integers() -> v1::Histogram {
    v1::Histogram {
        count: Some(Count::CountInt(9)),
        sum: 18.5,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::ZeroCountInt(2)),
        negative_spans: spans(&[(-3, 1)]),
        negative_deltas: vec![1],
        positive_spans: spans(&[(0, 2), (1, 1)]),
        positive_deltas: vec![1, 2, -1],
        reset_hint: v1::histogram::ResetHint::No as i32,
        timestamp: AT,
        ..v1::Histogram::default()
    }
}

/// The same with float counts.
fn floats() -> v1::Histogram {
    v1::Histogram {
        count: Some(Count::CountFloat(9.0)),
        zero_count: Some(ZeroCount::ZeroCountFloat(2.0)),
        negative_deltas: Vec::new(),
        negative_counts: vec![1.0],
        positive_deltas: Vec::new(),
        positive_counts: vec![1.0, 3.0, 2.0],
        ..integers()
    }
}

fn custom() -> v1::Histogram {
    v1::Histogram {
        count: Some(Count::CountInt(3)),
        sum: 5.0,
        schema: -53,
        positive_spans: spans(&[(0, 1), (1, 1)]),
        positive_deltas: vec![1, 1],
        timestamp: AT,
        custom_values: vec![0.1, 1.0],
        ..v1::Histogram::default()
    }
}

pub fn expected() -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: CounterResetHint::NotReset,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 9.0,
        sum: 18.5,
        positive_spans: built(&[(0, 2), (1, 1)]),
        negative_spans: built(&[(-3, 1)]),
        positive_buckets: vec![1.0, 3.0, 2.0],
        negative_buckets: vec![1.0],
        custom_values: Vec::new(),
    }
}

fn read(histogram: &v1::Histogram) -> Result<(TimestampMs, FloatHistogram), String> {
    let mut raw = RawHistogram::default();
    let at = raw.read(&histogram.encode_to_vec()).expect("well-formed");
    raw.check()?;
    Ok((at, raw.build()))
}

#[test]
fn integers_and_floats_become_the_same_histogram() {
    for given in [integers(), floats()] {
        assert_eq!(read(&given), Ok((TimestampMs(AT), expected())));
    }
    let (_, read) = read(&custom()).expect("valid");
    assert_eq!(read.custom_values, [0.1, 1.0]);
    assert_eq!(read.positive_buckets, [1.0, 2.0]);
}

#[test]
fn histograms_reach_the_log_from_both_protocols_and_bad_ones_do_not() {
    let (node, logs) = node(1, NodeSettings::default());
    adopt(&node, reads(1, &[(0, "h.*")]));
    let of_v1 = |name, histograms| v1::TimeSeries {
        histograms,
        ..series(&[("__name__", name)], &[])
    };
    let bad = v1::Histogram {
        count: Some(Count::CountInt(8)),
        ..integers()
    };
    let later = v1::Histogram {
        timestamp: AT + 1,
        ..floats()
    };
    let first = of_v1("h1", vec![integers(), bad, later]);
    let unread = of_v1("other", vec![integers()]);
    let body = compress(&plain_v1(vec![first, unread]));
    let answer = receive(&node, &body, Protocol::V1, WALL);
    assert_eq!(
        &*answer.text,
        "bad_histogram: 1 refused: invalid native histogram; first: {__name__=\"h1\"}: \
         9 observations found in buckets, but the count is 8\n"
    );
    assert_eq!(answer.written.histograms, 3);

    let mut symbols = Symbols::new();
    let mut of_v2 = symbols.series(&[("__name__", "h1")], &[]);
    let same = v2::Histogram::decode(&*integers().encode_to_vec()).expect("the same fields");
    let conflict = v2::Histogram {
        timestamp: AT + 1,
        sum: 1.0,
        start_timestamp: 4,
        ..same.clone()
    };
    let next = v2::Histogram {
        timestamp: AT + 2,
        start_timestamp: 5,
        ..same
    };
    of_v2.histograms = vec![conflict, next];
    let body = compress(&symbols.plain(vec![of_v2]));
    let answer = receive(&node, &body, Protocol::V2, WALL);
    assert!(
        answer.text.starts_with("duplicate_timestamp: 1 refused"),
        "{}",
        answer.text
    );
    assert_eq!(answer.written.histograms, 1);

    let (mut at, mut started) = (Vec::new(), Vec::new());
    for entry in logs[0].entries() {
        let Entry::Samples { batch, .. } = entry else {
            continue;
        };
        let mut starts = batch.histogram_starts.in_order();
        for (position, (_, when, histogram)) in batch.histograms.iter().enumerate() {
            assert_eq!(**histogram, expected());
            at.push(when.0);
            started.push(starts.of(position).0);
        }
    }
    assert_eq!(at, [AT, AT + 1, AT + 2]);
    // The refused one before it took its own along.
    assert_eq!(started, [0, 0, 5]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let check = |spoil: &dyn Fn(&mut v1::Histogram), of: v1::Histogram, text: &str| {
        let mut histogram = of;
        spoil(&mut histogram);
        assert_eq!(read(&histogram), Err(text.to_owned()));
    };
    check(&|h| h.schema = 53, integers(), "invalid schema 53");
    check(&|h| h.schema = -5, integers(), "invalid schema -5");
    check(
        &|h| h.positive_spans = spans(&[(0, 4)]),
        integers(),
        "positive spans need 4 buckets, have 3 buckets",
    );
    check(
        &|h| h.negative_spans.clear(),
        floats(),
        "negative spans need 0 buckets, have 1 buckets",
    );
    check(
        &|h| h.positive_spans = spans(&[(0, 2), (-1, 1)]),
        integers(),
        "positive span number 2 has a negative offset",
    );
    check(
        &|h| h.positive_deltas = vec![1, -2, 8],
        integers(),
        "positive bucket number 2 has a negative count",
    );
    check(
        &|h| h.positive_deltas = vec![i64::MAX, 1, 0],
        integers(),
        "a bucket's count overflows",
    );
    check(
        &|h| h.negative_counts = vec![-0.5],
        floats(),
        "negative bucket number 1 has a negative count",
    );
    let negative = "the observation count or the zero bucket is negative";
    check(
        &|h| h.count = Some(Count::CountFloat(-1.0)),
        floats(),
        negative,
    );
    check(
        &|h| h.zero_count = Some(ZeroCount::ZeroCountFloat(-1.0)),
        floats(),
        negative,
    );
    check(
        &|h| {
            h.sum = f64::NAN;
            h.count = Some(Count::CountInt(8));
        },
        integers(),
        "9 observations found in buckets, but the count is 8",
    );
    check(
        &|h| h.custom_values = vec![1.0],
        integers(),
        "an exponential schema must not have custom bounds",
    );
    check(
        &|h| h.custom_values = vec![0.1, f64::NAN],
        custom(),
        "custom bounds must not be NaN",
    );
    let unsorted = "custom bounds must be in strictly increasing order";
    check(&|h| h.custom_values = vec![1.0, 0.1], custom(), unsorted);
    check(&|h| h.custom_values = vec![1.0, 1.0], custom(), unsorted);
    check(
        &|h| h.custom_values = vec![1.0, f64::INFINITY],
        custom(),
        "the last +Inf custom bound must not be given",
    );
    check(
        &|h| h.custom_values = vec![1.0],
        custom(),
        "only 1 custom bounds for spans that reach 3 buckets",
    );
    check(
        &|h| h.zero_threshold = 0.1,
        custom(),
        "custom buckets have no zero bucket",
    );
    check(
        &|h| h.negative_spans = spans(&[(0, 0)]),
        custom(),
        "custom buckets have no negative side",
    );
}

#[test]
fn observations_of_nan_are_in_no_bucket() {
    let histogram = v1::Histogram {
        count: Some(Count::CountInt(11)),
        sum: f64::NAN,
        ..integers()
    };
    assert!(read(&histogram).is_ok());
}

proptest! {
    /// Schemas beyond 8 are coarsened to 8: each bucket goes where its upper bound lies.
    #[test]
    fn finer_schemas_are_coarsened(
        schema in 9i32..16,
        first in -40i32..40,
        runs in prop::collection::vec((0i32..20, 1u32..6), 1..5),
    ) {
        let mut given = Vec::new();
        let (mut counts, mut wanted) = (Vec::new(), std::collections::BTreeMap::new());
        let mut index = 0;
        for (n, (offset, length)) in runs.into_iter().enumerate() {
            let offset = if n == 0 { first } else { offset };
            given.push((offset, length));
            index += i64::from(offset);
            for _ in 0..length {
                let count = counts.len() as f64 + 1.0;
                counts.push(count);
                let coarse = (index as f64 / f64::from(1 << (schema - 8))).ceil() as i64;
                *wanted.entry(coarse).or_insert(0.0) += count;
                index += 1;
            }
        }
        let histogram = v1::Histogram {
            count: Some(Count::CountFloat(counts.iter().sum())),
            schema,
            positive_spans: spans(&given),
            positive_counts: counts,
            ..v1::Histogram::default()
        };
        let (_, read) = read(&histogram).expect("valid");
        prop_assert_eq!(read.schema, 8);
        let (mut found, mut index, mut buckets) = (Vec::new(), 0i64, read.positive_buckets.iter());
        for (n, span) in read.positive_spans.iter().enumerate() {
            prop_assert!(n == 0 || span.offset > 0, "runs that touch are one run");
            index += i64::from(span.offset);
            for _ in 0..span.length {
                found.push((index, *buckets.next().expect("as many as the spans say")));
                index += 1;
            }
        }
        prop_assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
    }
}
