//! The series notation of promqltest: `name{label="value"} 1 2x3 _ stale {{schema:1 …}}`.

use std::sync::Arc;

use burnwatch::model::{
    BucketSpan, CounterResetHint, FloatHistogram, Labels, LabelsBuilder, METRIC_NAME, SampleValue,
    stale_nan,
};

/// The longest sequence that is written out: more is a slip, and would fill the memory.
const TIMES_MAX: usize = 1_000_000;

fn read_times(text: &str) -> Option<usize> {
    text.parse().ok().filter(|times| *times <= TIMES_MAX)
}

/// One point of a sequence.
#[derive(Clone, Debug)]
pub enum Point {
    Omitted,
    Value(SampleValue),
    /// A histogram, and whether its reset hint was written.
    Histogram(Arc<FloatHistogram>, bool),
}

impl Point {
    pub fn value(&self) -> Option<SampleValue> {
        match self {
            Point::Omitted => None,
            Point::Value(value) => Some(value.clone()),
            Point::Histogram(histogram, _) => Some(SampleValue::Histogram(Arc::clone(histogram))),
        }
    }
}

/// Reads labels and points of a line.
pub fn read_series(line: &str) -> Option<(Labels, Vec<Point>)> {
    let (labels, rest) = read_labels(line)?;
    let mut points = Vec::new();
    for item in items(rest) {
        points.extend(read_item(&item)?);
    }
    Some((labels, points))
}

fn read_labels(line: &str) -> Option<(Labels, &str)> {
    let mut labels = LabelsBuilder::default();
    let name_end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    labels.set(METRIC_NAME, name);
    // Two braces begin a histogram, not a label set.
    if !rest.starts_with('{') || rest.starts_with("{{") {
        return Some((labels.build(), rest));
    }
    rest = rest[1..].trim_start();
    while !rest.starts_with('}') {
        let (name, tail) = if rest.starts_with(['"', '\'', '`']) {
            read_quoted(rest)?
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')?;
            (rest[..end].to_owned(), &rest[end..])
        };
        if name.is_empty() {
            return None;
        }
        let tail = tail.trim_start();
        rest = match tail.strip_prefix('=') {
            Some(tail) => {
                let (value, tail) = read_quoted(tail.trim_start())?;
                labels.set(&name, &value);
                tail
            }
            None => {
                labels.set(METRIC_NAME, &name);
                tail
            }
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((labels.build(), &rest[1..]))
}

/// Reads a quoted text with Go's escapes.
pub fn read_quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, &text[at + c.len_utf8()..]));
        }
        if c != '\\' || quote == '`' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()?.1 {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'x' => {
                let digits = [chars.next()?.1, chars.next()?.1];
                let code = u8::from_str_radix(&String::from_iter(digits), 16).ok()?;
                char::from(code)
            }
            other => other,
        });
    }
    None
}

/// Splits at blanks outside of histograms.
fn items(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut item = String::new();
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c.is_whitespace() && depth == 0 {
            if !item.is_empty() {
                out.push(std::mem::take(&mut item));
            }
            continue;
        }
        item.push(c);
    }
    if !item.is_empty() {
        out.push(item);
    }
    out
}

fn read_item(item: &str) -> Option<Vec<Point>> {
    if item.starts_with("{{") {
        return read_histograms(item);
    }
    let (body, times) = match item.rsplit_once('x') {
        Some((body, times)) => (body, Some(read_times(times)?)),
        None => (item, None),
    };
    if body == "_" {
        return Some(vec![Point::Omitted; times.unwrap_or(1)]);
    }
    if body == "stale" {
        let stale = Point::Value(SampleValue::Float(stale_nan()));
        return Some(vec![stale; times.map_or(1, |times| times + 1)]);
    }
    let (mut value, step) = match read_number(body) {
        Some(value) => (value, 0.0),
        None => {
            let is_sign = |(at, _): &(usize, &str)| *at > 0 && !body[..*at].ends_with(['e', 'E']);
            let at = body.match_indices(['+', '-']).find(is_sign)?.0;
            (read_number(&body[..at])?, read_number(&body[at..])?)
        }
    };
    let mut out = Vec::new();
    for _ in 0..=times.unwrap_or(0) {
        out.push(Point::Value(SampleValue::Float(value)));
        value += step;
    }
    Some(out)
}

/// Reads a number as the expression language does.
pub fn read_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if unsigned.eq_ignore_ascii_case("inf") {
        return Some(sign * f64::INFINITY);
    }
    if unsigned.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    unsigned.parse::<f64>().ok().map(|value| sign * value)
}

fn read_histograms(item: &str) -> Option<Vec<Point>> {
    let end = item.find("}}")? + 2;
    let (base, hint_set) = read_histogram(&item[..end])?;
    let rest = &item[end..];
    if rest.is_empty() {
        return Some(vec![Point::Histogram(Arc::new(base), hint_set)]);
    }
    if let Some(times) = rest.strip_prefix('x') {
        let times = read_times(times)?;
        return Some(vec![Point::Histogram(Arc::new(base), hint_set); times + 1]);
    }
    let (operand, times) = rest.strip_prefix(['+', '-'])?.rsplit_once('x')?;
    let (step, hint_set) = read_histogram(operand)?;
    let mut out = vec![Point::Histogram(Arc::new(base.clone()), hint_set)];
    let mut current = base;
    for _ in 0..read_times(times)? {
        let merged = if rest.starts_with('-') {
            current.subtract(&step)
        } else {
            current.add(&step)
        };
        merged.ok()?;
        out.push(Point::Histogram(Arc::new(current.clone()), hint_set));
    }
    Some(out)
}

fn read_histogram(text: &str) -> Option<(FloatHistogram, bool)> {
    let body = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let mut histogram = FloatHistogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let mut hint_set = false;
    let mut rest = body.trim_start();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once(':')?;
        let tail = tail.trim_start();
        let (value, tail) = match tail.strip_prefix('[') {
            Some(list) => list.split_once(']')?,
            None => tail.split_at(tail.find(char::is_whitespace).unwrap_or(tail.len())),
        };
        let list = || {
            value
                .split_whitespace()
                .map(read_number)
                .collect::<Option<Vec<f64>>>()
        };
        match key {
            "schema" => histogram.schema = value.parse().ok()?,
            "sum" => histogram.sum = read_number(value)?,
            "count" => histogram.count = read_number(value)?,
            "z_bucket" => histogram.zero_count = read_number(value)?,
            "z_bucket_w" => histogram.zero_threshold = read_number(value)?,
            "custom_values" => histogram.custom_values = list()?,
            "buckets" => histogram.positive_buckets = list()?,
            "n_buckets" => histogram.negative_buckets = list()?,
            "offset" => offset = value.parse().ok()?,
            "n_offset" => n_offset = value.parse().ok()?,
            "counter_reset_hint" => {
                hint_set = true;
                histogram.counter_reset_hint = match value {
                    "reset" => CounterResetHint::Reset,
                    "not_reset" => CounterResetHint::NotReset,
                    "gauge" => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                };
            }
            _ => return None,
        }
        rest = tail.trim_start();
    }
    let spans = |offset: i32, buckets: &[f64]| match buckets.len() {
        0 => Vec::new(),
        n => vec![BucketSpan {
            offset,
            length: n as u32,
        }],
    };
    histogram.positive_spans = spans(offset, &histogram.positive_buckets);
    histogram.negative_spans = spans(n_offset, &histogram.negative_buckets);
    Some((histogram, hint_set))
}
