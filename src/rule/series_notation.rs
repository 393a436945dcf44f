//! The notation of series in unit tests: `up{job="a"}` with `1 2+3x4 _x2 stale {{sum:1 count:2}}`.
//!
//! It is promtool's, whose parser reads it as a part of PromQL: numbers may be durations, a
//! repeated value stands once more than its factor says, increments add up one after another.

use std::sync::Arc;

use crate::model::float::format_general;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::labels::quote;
use crate::model::{
    BucketSpan, CounterResetHint, DurationMs, FloatHistogram, Labels, MatchOp, SampleValue,
    stale_nan,
};
use crate::promql::ast::ExprKind;
use crate::promql::{Features, Signature, SignatureTable, parse};

/// How many values one series may be written to have; more is refused.
pub const VALUES_MAX: usize = 5_000_000;

/// Why a text is no series or no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotationError {
    /// The metric does not parse.
    #[error("{0}")]
    Metric(String),
    /// The values do not.
    #[error("1:{}: parse error: {message}", at + 1)]
    Values {
        /// The byte at which it goes wrong.
        at: usize,
        /// What is wrong.
        message: String,
    },
}

/// One value of a series, `None` where nothing was sent.
pub type SequenceValue = Option<SampleValue>;

/// Parses a metric with its labels, such as `up{job="a"}`, `{}` or `{"a metric", x="y"}`.
pub fn parse_metric(text: &str) -> Result<Labels, NotationError> {
    let blank = |text: &str| text.trim().is_empty();
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'));
    if blank(text) || inner.is_some_and(blank) {
        return Ok(Labels::empty());
    }
    let refuse = |message: String| Err(NotationError::Metric(message));
    let expr = match parse(text, &NoFunctions, Features::default()) {
        Ok(expr) => expr,
        Err(e) => return refuse(e.to_string()),
    };
    let ExprKind::Vector(selector) = &expr.kind else {
        return refuse(format!("{} is not a metric with labels", quote(text)));
    };
    if let Some(matcher) = selector.matchers.iter().find(|m| m.op != MatchOp::Equal) {
        return refuse(format!("{matcher}: a label is set with `=`"));
    }
    let pairs = selector.matchers.iter().map(|m| (&m.name, &m.value));
    Ok(Labels::from_pairs(pairs))
}

/// A metric calls no functions.
struct NoFunctions;

impl SignatureTable for NoFunctions {
    fn signature(&self, _name: &str) -> Option<Signature> {
        None
    }

    fn names(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Parses the values of a series, in their order.
pub fn parse_values(text: &str) -> Result<Vec<SequenceValue>, NotationError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut values = Vec::new();
    loop {
        cursor.skip_spaces();
        if cursor.rest().is_empty() {
            return Ok(values);
        }
        cursor.item(&mut values)?;
        if !cursor.rest().is_empty() && !cursor.rest().starts_with(is_space) {
            return cursor.fail("unexpected character between values; separate them by spaces");
        }
    }
}

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

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, NotationError>;

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(NotationError::Values {
            at: self.at,
            message: message.into(),
        })
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_here = self.rest().starts_with(wanted);
        if is_here {
            self.at += wanted.len();
        }
        is_here
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let tail = rest.trim_start_matches(wanted);
        self.at = self.text.len() - tail.len();
        &rest[..rest.len() - tail.len()]
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        if self.take("_") {
            let n = self.times()?.unwrap_or(1);
            return self.push(values, n, std::iter::repeat_n(None, n));
        }
        if self.rest().starts_with("{{") {
            return self.histograms(values);
        }
        let mut value = self.value()?;
        let step = match self.rest().chars().next() {
            Some('+' | '-') => Some(self.signed_number()?),
            _ => None,
        };
        let times = self.times()?;
        if step.is_some() && times.is_none() {
            return self.fail("an increment needs the number of times, as in 1+2x3");
        }
        let n = times.map_or(1, |times| times + 1);
        let Some(step) = step else {
            let same = Some(SampleValue::Float(value));
            return self.push(values, n, std::iter::repeat_n(same, n));
        };
        let series = std::iter::repeat_with(|| {
            let now = value;
            // promtool adds on and on, with the rounding that this has.
            value += step;
            Some(SampleValue::Float(now))
        });
        self.push(values, n, series.take(n))
    }

    fn push(
        &self,
        values: &mut Vec<SequenceValue>,
        n: usize,
        more: impl Iterator<Item = SequenceValue>,
    ) -> Read<()> {
        if values.len() + n > VALUES_MAX {
            return self.fail(format!("more than {VALUES_MAX} values in one series"));
        }
        values.extend(more);
        Ok(())
    }

    /// `x3`, if it is here.
    fn times(&mut self) -> Read<Option<usize>> {
        if !self.take("x") {
            return Ok(None);
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        match digits.parse::<usize>() {
            Ok(times) if times < VALUES_MAX => Ok(Some(times)),
            Ok(_) => self.fail(format!("more than {VALUES_MAX} values in one series")),
            Err(_) => self.fail("invalid repetition in series values: a number must follow x"),
        }
    }

    fn value(&mut self) -> Read<f64> {
        if self.take("stale") {
            return Ok(stale_nan());
        }
        match self.rest().chars().next() {
            Some('+' | '-') => self.signed_number(),
            _ => self.number(),
        }
    }

    fn signed_number(&mut self) -> Read<f64> {
        let sign = if self.take("-") {
            -1.0
        } else {
            self.take("+");
            1.0
        };
        Ok(sign * self.number()?)
    }

    fn any_number(&mut self) -> Read<f64> {
        match self.rest().chars().next() {
            Some('+' | '-') => self.signed_number(),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Read<f64> {
        let start = self.at;
        let word = self.rest().get(..3).unwrap_or("").to_ascii_lowercase();
        if word == "nan" || word == "inf" {
            self.at += 3;
            return Ok(if word == "nan" {
                f64::NAN
            } else {
                f64::INFINITY
            });
        }
        self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '_');
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.take_while(|c| c.is_ascii_digit());
        } else if self.rest().starts_with(['s', 'm', 'h', 'd', 'w', 'y']) {
            self.take_while(|c| c.is_ascii_digit() || "smhdwy".contains(c));
        }
        let text = &self.text[start..self.at];
        match number_of(text) {
            Some(number) => Ok(number),
            None => {
                self.at = start;
                let found = self.rest().split(is_space).next().unwrap_or("");
                self.fail(format!(
                    "unexpected {} in series values, expected number or \"stale\"",
                    quote(found)
                ))
            }
        }
    }

    fn histograms(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
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

/// Reads a number as Go does, `017` being octal; or a duration, as seconds.
fn number_of(text: &str) -> Option<f64> {
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    if misplaced || !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let plain = text.replace('_', "");
    let is_octal = plain.len() > 1 && plain.starts_with('0');
    if is_octal && let Ok(number) = i64::from_str_radix(&plain, 8) {
        return Some(number as f64);
    }
    match plain.parse::<f64>() {
        Ok(number) => Some(number),
        Err(_) => DurationMs::parse(&plain).ok().map(DurationMs::seconds),
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

    fn printed(value: &SequenceValue) -> String {
        match value {
            None => "_".to_owned(),
            Some(SampleValue::Histogram(histogram)) => histogram.to_string(),
            Some(value) if value.is_stale() => "stale".to_owned(),
            Some(value) => format!("{:?}", value.as_float().unwrap_or(0.0)),
        }
    }

    fn check(text: &str, expected: &str) {
        let values = parse_values(text).expect(text);
        let found: Vec<String> = values.iter().map(printed).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn values_are_written_out() {
        check("1 2 -3.5 +4", "1.0 2.0 -3.5 4.0");
        check("1+2x3 5-1x2", "1.0 3.0 5.0 7.0 5.0 4.0 3.0");
        check("-2+4x3 1x4", "-2.0 2.0 6.0 10.0 1.0 1.0 1.0 1.0 1.0");
        check("_ 1 _x3 2x0", "_ 1.0 _ _ _ 2.0");
        check("stale NaN Inf -inf", "stale NaN inf -inf");
        check(
            "1e3 1e+1+1e-1x1 .5 5m 1h30m 1_000 017",
            "1000.0 10.0 10.1 0.5 300.0 5400.0 1000.0 15.0",
        );
        check("", "");
        check(" \n1\t2 ", "1.0 2.0");
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

    #[test]
    fn what_is_no_value_is_refused_where_it_stands() {
        let check = |text: &str, expected: &str| {
            let error = parse_values(text).expect_err(text);
            assert_eq!(error.to_string(), expected, "{text}");
        };
        let unexpected = |at: usize, word: &str| {
            format!(
                "1:{at}: parse error: unexpected \"{word}\" in series values, expected number or \"stale\""
            )
        };
        check("1 abc", &unexpected(3, "abc"));
        check(
            "1 2a",
            "1:4: parse error: unexpected character between values; separate them by spaces",
        );
        check(
            "1+2",
            "1:4: parse error: an increment needs the number of times, as in 1+2x3",
        );
        check(
            "1x",
            "1:3: parse error: invalid repetition in series values: a number must follow x",
        );
        check(
            "1x99999999",
            "1:11: parse error: more than 5000000 values in one series",
        );
        check(
            "{{sum:1",
            "1:8: parse error: unexpected text in histogram description, expected \
            histogram description key, e.g. buckets:[5 10 7]",
        );
        check(
            "{{sum:1 sum:2}}",
            "1:9: parse error: duplicate key \"sum\" in histogram",
        );
        check(
            "{{foo:1}}",
            "1:3: parse error: bad histogram descriptor found: \"foo\"",
        );
    }

    #[test]
    fn metrics_are_labels() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_metric(text).expect(text).to_string(), expected);
        };
        check("up{job=\"a\", b='c'}", "up{b=\"c\", job=\"a\"}");
        check("{}", "{}");
        check("", "{}");
        check("{\"a b\", x=\"1\"}", "{\"a b\", x=\"1\"}");
        check("{__name__=\"up\"}", "up");
        for text in ["up{a=~\"b\"}", "rate(up[5m])", "5", "up{"] {
            assert!(parse_metric(text).is_err(), "{text}");
        }
    }
}
