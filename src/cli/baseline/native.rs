//! Native histograms as the API answers with them, back to what they were.
//!
//! An answer lists the buckets that hold something, with their bounds, and does not name the
//! schema: it follows from the bounds, since those of schema s are powers of 2^(2^−s). Bounds that
//! are no such powers are those of custom buckets; of these, empty ones that lie side by side
//! become one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{BucketSpan, FloatHistogram};

/// The schemas there are, the coarsest first.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

#[derive(Clone, Copy)]
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

/// Reads a histogram; `None` where it is none.
pub fn read(json: &Value) -> Option<FloatHistogram> {
    let number = |value: &Value| value.as_str()?.parse::<f64>().ok();
    let (count, sum) = (number(&json["count"])?, number(&json["sum"])?);
    let buckets = json["buckets"].as_array().into_iter().flatten();
    let buckets = buckets.map(|bucket| {
        Some(Bucket {
            lower: number(&bucket[1])?,
            upper: number(&bucket[2])?,
            count: number(&bucket[3])?,
        })
    });
    let buckets: Vec<Bucket> = buckets.collect::<Option<_>>()?;
    let found = exponential(&buckets).unwrap_or_else(|| custom(&buckets));
    Some(FloatHistogram {
        count,
        sum,
        ..found
    })
}

/// Returns the index of a bound in a schema, if it is one.
fn index_of(bound: f64, schema: i32) -> Option<i32> {
    let place = bound.log2() * 2f64.powi(schema);
    let index = place.round();
    (place.is_finite() && (place - index).abs() < 1e-6).then_some(index as i32)
}

fn exponential(buckets: &[Bucket]) -> Option<FloatHistogram> {
    let is_zero = |bucket: &&Bucket| bucket.lower <= 0.0 && bucket.upper >= 0.0;
    let zero = buckets.iter().find(is_zero);
    if zero.is_some_and(|zero| zero.lower != -zero.upper) {
        return None;
    }
    // What is farthest from zero is not cut by the zero bucket.
    let outer = |bucket: &Bucket| bucket.lower.abs().max(bucket.upper.abs());
    let inner = |bucket: &Bucket| bucket.lower.abs().min(bucket.upper.abs());
    let others = || buckets.iter().filter(|bucket| !is_zero(bucket));
    let farthest = others().max_by(|a, b| outer(a).total_cmp(&outer(b)));
    let fits = |schema: &i32| {
        let is_whole = |bucket: &Bucket| {
            let width = index_of(outer(bucket), *schema)? - index_of(inner(bucket), *schema)?;
            Some(width == 1)
        };
        farthest.is_none_or(|bucket| is_whole(bucket) == Some(true))
            && others().all(|bucket| index_of(outer(bucket), *schema).is_some())
    };
    let schema = SCHEMAS.clone().find(fits)?;
    let side = |is_mine: fn(&Bucket) -> bool| {
        let mine = others().filter(|bucket| is_mine(bucket));
        let counts = mine.filter_map(|b| Some((index_of(outer(b), schema)?, b.count)));
        spans(counts.collect())
    };
    let (positive_spans, positive_buckets) = side(|bucket| bucket.upper > 0.0);
    let (negative_spans, negative_buckets) = side(|bucket| bucket.upper < 0.0);
    Some(FloatHistogram {
        schema,
        zero_threshold: zero.map_or(0.0, |zero| zero.upper),
        zero_count: zero.map_or(0.0, |zero| zero.count),
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        ..FloatHistogram::default()
    })
}

fn custom(buckets: &[Bucket]) -> FloatHistogram {
    let bounds = buckets
        .iter()
        .flat_map(|bucket| [bucket.lower, bucket.upper]);
    let mut custom_values: Vec<f64> = bounds.filter(|bound| bound.is_finite()).collect();
    custom_values.sort_by(f64::total_cmp);
    custom_values.dedup();
    let place = |bucket: &Bucket| custom_values.partition_point(|bound| *bound < bucket.upper);
    let counts = buckets
        .iter()
        .map(|bucket| (place(bucket) as i32, bucket.count));
    let (positive_spans, positive_buckets) = spans(counts.collect());
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        positive_spans,
        positive_buckets,
        custom_values,
        ..FloatHistogram::default()
    }
}

/// Returns counts by index as runs.
fn spans(counts: BTreeMap<i32, f64>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for index in counts.keys() {
        match spans.last_mut().filter(|_| *index == next) {
            Some(span) => span.length += 1,
            None => spans.push(BucketSpan {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    (spans, counts.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::histogram_notation::{parse_histogram, print_histogram};
    use serde_json::json;

    #[test]
    fn histograms_are_what_they_were() {
        let check = |text: &str| {
            let histogram = parse_histogram(text).expect(text);
            let buckets = histogram.buckets().into_iter().filter(|b| b.count != 0.0);
            let buckets = buckets.map(|bucket| {
                json!([
                    0,
                    bucket.lower.to_string().replace("inf", "Inf"),
                    bucket.upper.to_string().replace("inf", "Inf"),
                    bucket.count.to_string(),
                ])
            });
            let answer = json!({
                "count": histogram.count.to_string(),
                "sum": histogram.sum.to_string(),
                "buckets": buckets.collect::<Vec<_>>(),
            });
            let found = read(&answer).expect(text);
            assert_eq!(
                print_histogram(&found),
                print_histogram(&histogram),
                "{text}"
            );
        };
        check("{{schema:0 count:4 sum:5 buckets:[1 2 1]}}");
        check("{{schema:3 count:9 sum:5 offset:-20 buckets:[1 2 0 0 6]}}");
        check("{{schema:-2 count:3 sum:5 buckets:[1 2]}}");
        check("{{schema:8 count:3 sum:5 offset:100 buckets:[1 2]}}");
        check("{{schema:1 count:8 sum:1 z_bucket:2 z_bucket_w:0.001 buckets:[1 2] n_buckets:[3]}}");
        check("{{schema:-53 count:4 sum:5 custom_values:[0.1 0.5 2] buckets:[1 1 1 1]}}");
    }
}
