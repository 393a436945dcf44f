//! Native histograms in unit tests: `{{schema:1 sum:2 count:3 buckets:[1 2]}}`, read and printed.

use std::sync::Arc;

use crate::model::float::format_general;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::labels::quote;
use crate::model::{BucketSpan, CounterResetHint, FloatHistogram, SampleValue};
use crate::rule::series_notation::{Cursor, NotationError, Read, SequenceValue, parse_values};

/// Parses the histogram that a unit test expects, such as `{{schema:1 sum:2 count:3}}`.
pub fn parse_histogram(text: &str) -> Result<FloatHistogram, NotationError> {
    match parse_values(text)?.as_slice() {
        [Some(SampleValue::Histogram(histogram))] => Ok(FloatHistogram::clone(histogram)),
        values => Err(NotationError::Values {
            at: 0,
            message: format!("expected one histogram, got {} values", values.len()),
        }),
    }
}

/// Prints a histogram in the notation, empty buckets at the ends left out; two histograms that
/// print alike are equal to a unit test.
pub fn print_histogram(histogram: &FloatHistogram) -> String {
    let number = |name: &str, value: f64| {
        (value != 0.0).then(|| format!("{name}:{}", format_general(value)))
    };
    let list = |values: &[f64]| {
        let texts: Vec<String> = values.iter().map(|v| format_general(*v)).collect();
        format!("[{}]", texts.join(" "))
    };
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => None,
        CounterResetHint::Reset => Some("reset"),
        CounterResetHint::NotReset => Some("not_reset"),
        CounterResetHint::Gauge => Some("gauge"),
    };
    let buckets = |spans: &[BucketSpan], counts: &[f64], prefix: &str| {
        let (offset, counts) = joined_buckets(spans, counts);
        let offset = (offset != 0).then(|| format!("{prefix}offset:{offset}"));
        let counts = (!counts.is_empty()).then(|| format!("{prefix}buckets:{}", list(&counts)));
        [offset, counts]
    };
    let schema = histogram.schema;
    let custom = schema == CUSTOM_BUCKETS_SCHEMA;
    let mut parts = vec![
        (schema != 0).then(|| format!("schema:{schema}")),
        number("count", histogram.count),
        number("sum", histogram.sum),
        number("z_bucket", histogram.zero_count),
        number("z_bucket_w", histogram.zero_threshold),
        custom.then(|| format!("custom_values:{}", list(&histogram.custom_values))),
        hint.map(|hint| format!("counter_reset_hint:{hint}")),
    ];
    let (spans, counts) = (&histogram.positive_spans, &histogram.positive_buckets);
    parts.extend(buckets(spans, counts, ""));
    let (spans, counts) = (&histogram.negative_spans, &histogram.negative_buckets);
    parts.extend(buckets(spans, counts, "n_"));
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{{{{{}}}}}", parts.join(" "))
}

/// The buckets as one run from the first to the last that holds something, and where it begins.
fn joined_buckets(spans: &[BucketSpan], counts: &[f64]) -> (i32, Vec<f64>) {
    let (mut index, mut next) = (0i32, 0);
    let mut filled = Vec::new();
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.get(next) else {
                break;
            };
            if *count != 0.0 {
                filled.push((index, *count));
            }
            (index, next) = (index.saturating_add(1), next + 1);
        }
    }
    let (Some((first, _)), Some((last, _))) = (filled.first(), filled.last()) else {
        return (0, Vec::new());
    };
    let length = usize::try_from(last - first).unwrap_or(0) + 1;
    let mut joined = vec![0.0; length.min(GAP_MAX)];
    for (index, count) in &filled {
        let at = usize::try_from(index - first).unwrap_or(usize::MAX);
        if let Some(bucket) = joined.get_mut(at) {
            *bucket = *count;
        }
    }
    (*first, joined)
}

/// How many buckets a printed run may have; a longer one is cut.
const GAP_MAX: usize = 100_000;

impl Cursor<'_> {
    pub(crate) fn histograms(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let base = self.histogram()?;
        let signs = [('+', true), ('-', false)];
        let sign = signs
            .iter()
            .find(|(sign, _)| self.rest().starts_with(*sign));
        let Some((_, adds)) = sign else {
            let n = self.times()?.map_or(1, |times| times + 1);
            let value = Some(SampleValue::Histogram(Arc::new(base)));
            return self.push(values, n, std::iter::repeat_n(value, n));
        };
        self.at += 1;
        let step = self.histogram()?;
        let Some(times) = self.times()? else {
            return self.fail("an increment needs the number of times, as in {{…}}+{{…}}x3");
        };
        let mut current = base;
        let mut series = Vec::with_capacity(times.min(1024) + 1);
        for _ in 0..times {
            let mut next = current.clone();
            if current.schema > step.schema {
                return self.fail(format!(
                    "error combining histograms: cannot merge from schema {} to {}",
                    step.schema, current.schema
                ));
            }
            let combined = if *adds {
                next.add(&step)
            } else {
                next.subtract(&step)
            };
            if let Err(e) = combined {
                return self.fail(format!("error combining histograms: {e}"));
            }
            series.push(Some(SampleValue::Histogram(Arc::new(current))));
            current = next;
        }
        series.push(Some(SampleValue::Histogram(Arc::new(current))));
        self.push(values, series.len(), series.into_iter())
    }

    /// `{{key:value …}}`
    fn histogram(&mut self) -> Read<FloatHistogram> {
        if !self.take("{{") {
            return self.fail("expected a histogram, as in {{schema:1 sum:2 count:3}}");
        }
        let mut parts = Parts::default();
        let mut known: Vec<&str> = Vec::new();
        loop {
            self.skip_spaces();
            if self.take("}}") {
                return Ok(parts.finish());
            }
            let start = self.at;
            let key = self.take_while(|c| c.is_ascii_alphabetic() || c == '_');
            if !self.take(":") {
                self.at = start;
                return self.fail(
                    "unexpected text in histogram description, expected histogram description \
                     key, e.g. buckets:[5 10 7]",
                );
            }
            if known.contains(&key) {
                self.at = start;
                return self.fail(format!("duplicate key \"{key}\" in histogram"));
            }
            known.push(key);
            self.part(key, start, &mut parts)?;
        }
    }

    fn part(&mut self, key: &str, start: usize, parts: &mut Parts) -> Read<()> {
        let histogram = &mut parts.histogram;
        match key.to_ascii_lowercase().as_str() {
            "schema" => histogram.schema = self.int()?,
            "sum" => histogram.sum = self.any_number()?,
            "count" => histogram.count = self.any_number()?,
            "z_bucket" => histogram.zero_count = self.any_number()?,
            "z_bucket_w" => histogram.zero_threshold = self.number()?,
            "custom_values" => histogram.custom_values = self.numbers()?,
            "buckets" => histogram.positive_buckets = self.numbers()?,
            "n_buckets" => histogram.negative_buckets = self.numbers()?,
            "offset" => parts.offset = self.int()?,
            "n_offset" => parts.negative_offset = self.int()?,
            "counter_reset_hint" => histogram.counter_reset_hint = self.reset_hint()?,
            _ => {
                self.at = start;
                return self.fail(format!("bad histogram descriptor found: {}", quote(key)));
            }
        }
        Ok(())
    }

    fn int(&mut self) -> Read<i32> {
        let start = self.at;
        self.take("-");
        self.take_while(|c| c.is_ascii_digit());
        match self.text[start..self.at].parse() {
            Ok(number) => Ok(number),
            Err(_) => self.fail("expected a whole number"),
        }
    }

    fn numbers(&mut self) -> Read<Vec<f64>> {
        if !self.take("[") {
            return self.fail("expected a list of numbers, as in buckets:[5 10 7]");
        }
        let mut numbers = Vec::new();
        loop {
            self.skip_spaces();
            if self.take("]") {
                return Ok(numbers);
            }
            numbers.push(self.any_number()?);
        }
    }

    fn reset_hint(&mut self) -> Read<CounterResetHint> {
        let word = self.take_while(|c| c.is_ascii_alphabetic() || c == '_');
        match word.to_ascii_lowercase().as_str() {
            "unknown" => Ok(CounterResetHint::Unknown),
            "reset" => Ok(CounterResetHint::Reset),
            "not_reset" => Ok(CounterResetHint::NotReset),
            "gauge" => Ok(CounterResetHint::Gauge),
            _ => self.fail("expected unknown, reset, not_reset or gauge"),
        }
    }
}

/// A histogram in the making.
#[derive(Default)]
struct Parts {
    histogram: FloatHistogram,
    offset: i32,
    negative_offset: i32,
}

impl Parts {
    fn finish(self) -> FloatHistogram {
        let mut histogram = self.histogram;
        let spans = |offset: i32, buckets: &[f64]| match u32::try_from(buckets.len()) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(length) => vec![BucketSpan { offset, length }],
        };
        histogram.positive_spans = spans(self.offset, &histogram.positive_buckets);
        histogram.negative_spans = spans(self.negative_offset, &histogram.negative_buckets);
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let printed = |value: &SequenceValue| match value {
            Some(SampleValue::Histogram(histogram)) => histogram.to_string(),
            _ => "_".to_owned(),
        };
        let values = parse_values(text).expect(text);
        let found: Vec<String> = values.iter().map(printed).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn what_is_printed_reads_as_the_same() {
        let check = |text: &str| {
            let histogram = parse_histogram(text).expect(text);
            assert_eq!(print_histogram(&histogram), text);
        };
        check("{{}}");
        check("{{schema:1 count:3 sum:1.5 z_bucket:1 z_bucket_w:0.001 offset:-1 buckets:[1 0 2]}}");
        check("{{schema:-53 custom_values:[1 5] counter_reset_hint:gauge n_buckets:[1]}}");
        let histogram = parse_histogram("{{buckets:[0 0 1 0]}}").expect("parses");
        assert_eq!(print_histogram(&histogram), "{{offset:2 buckets:[1]}}");
    }

    #[test]
    fn histograms_are_written_out() {
        check(
            "{{}} {{count:2 sum:3.5}}x1",
            "{count:0, sum:0} {count:2, sum:3.5} {count:2, sum:3.5}",
        );
        check(
            "{{schema:0 sum:1 count:2 buckets:[1 1]}}+{{sum:1 count:1 buckets:[1]}}x2",
            "{count:2, sum:1, (0.5,1]:1, (1,2]:1} {count:3, sum:2, (0.5,1]:2, (1,2]:1} \
             {count:4, sum:3, (0.5,1]:3, (1,2]:1}",
        );
        let text = "{{schema:-53 custom_values:[1 5] buckets:[ 1 2 3 ] offset:0 n_offset:-1 \
                    z_bucket:1 z_bucket_w:0.5 counter_reset_hint:gauge}}";
        let histogram = parse_histogram(text).expect("parses");
        assert_eq!(histogram.custom_values, [1.0, 5.0]);
        assert_eq!(
            histogram.positive_spans,
            [BucketSpan {
                offset: 0,
                length: 3
            }]
        );
        assert_eq!(histogram.counter_reset_hint, CounterResetHint::Gauge);
    }
}
