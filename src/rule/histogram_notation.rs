//! Native histograms in unit tests: `{{schema:1 sum:2 count:3 buckets:[1 2]}}`, read and printed.

use std::sync::Arc;

use crate::model::float::format_general;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::labels::quote;
use crate::model::{BucketSpan, CounterResetHint, FloatHistogram, SampleValue};
use crate::rule::series_notation::{
    Cursor, NotationError, Piece, PieceKind, Read, SERIES_VALUES, SequenceValue, is_number_word,
    number_of, parse_values,
};

/// Parses the histogram that a unit test expects, such as `{{schema:1 sum:2 count:3}}`.
pub fn parse_histogram(text: &str) -> Result<FloatHistogram, NotationError> {
    let refused = |message: String| Err(NotationError { at: 0, message });
    match parse_values(text)?.as_slice() {
        [Some(SampleValue::Histogram(histogram))] => Ok(FloatHistogram::clone(histogram)),
        [Some(SampleValue::Float(value))] => refused(format!("expected histogram, got {value:.6}")),
        [None] => refused("expected histogram, got _".to_owned()),
        values => refused(format!("expected 1 value, got {}", values.len())),
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

const DESCRIPTION: &str = "histogram description";
const KEY: &str = "histogram description key, e.g. buckets:[5 10 7]";

impl<'a> Cursor<'a> {
    /// What may follow `{{`: a histogram, an increment and a factor.
    pub(crate) fn histograms(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let start = self.at;
        let base = self.histogram()?;
        let adds = match self.peek_char() {
            Some('+') => true,
            Some('-') => false,
            _ => {
                let n = self.times()?.map_or(1, |times| times + 1);
                let value = Some(SampleValue::Histogram(Arc::new(base)));
                return self.push(values, n, std::iter::repeat_n(value, n));
            }
        };
        self.at += 1;
        let open = self.next()?;
        if open.kind != PieceKind::OpenHistogram {
            return self.unexpected(open, SERIES_VALUES, "");
        }
        let step = self.histogram()?;
        let times = self.needed_times()?;
        let refused = |cause: String| -> Read<()> {
            self.fail(start, format!("error combining histograms: {cause}"))
        };
        let mut current = base;
        let mut series = Vec::with_capacity(times.min(1024) + 1);
        for _ in 0..times {
            let mut next = current.clone();
            if current.schema > step.schema {
                return refused(format!(
                    "cannot merge from schema {} to {}",
                    step.schema, current.schema
                ));
            }
            let combined = if adds {
                next.add(&step)
            } else {
                next.subtract(&step)
            };
            if let Err(e) = combined {
                return refused(e.to_string());
            }
            series.push(Some(SampleValue::Histogram(Arc::new(current))));
            current = next;
        }
        series.push(Some(SampleValue::Histogram(Arc::new(current))));
        self.push(values, series.len(), series.into_iter())
    }

    /// `key:value …}}`, the opening braces being taken.
    fn histogram(&mut self) -> Read<FloatHistogram> {
        let mut parts = Parts::default();
        loop {
            let mut piece = self.piece_in_histogram()?;
            if piece.kind == PieceKind::Space {
                piece = self.piece_in_histogram()?;
            } else if piece.kind == PieceKind::Key && !parts.known.is_empty() {
                return self.unexpected(piece, DESCRIPTION, KEY);
            }
            match piece.kind {
                PieceKind::CloseHistogram => return Ok(parts.finish()),
                PieceKind::Key => self.part(piece, &mut parts)?,
                _ => return self.unexpected_in(&parts, piece),
            }
        }
    }

    /// In the first item of a description nothing says yet that it is one.
    fn unexpected_in<T>(&self, parts: &Parts<'_>, piece: Piece<'_>) -> Read<T> {
        match parts.known.is_empty() {
            true => self.unexpected(piece, SERIES_VALUES, ""),
            false => self.unexpected(piece, DESCRIPTION, KEY),
        }
    }

    fn part(&mut self, key: Piece<'a>, parts: &mut Parts<'a>) -> Read<()> {
        let name = key.text.to_ascii_lowercase();
        let colon = self.piece_in_histogram()?;
        if colon.kind != PieceKind::Colon {
            return self.unexpected_in(parts, colon);
        }
        match name.as_str() {
            "schema" => parts.histogram.schema = self.int(parts)?,
            "sum" => parts.histogram.sum = self.any_number(parts)?,
            "count" => parts.histogram.count = self.any_number(parts)?,
            "z_bucket" => parts.histogram.zero_count = self.any_number(parts)?,
            "z_bucket_w" => parts.histogram.zero_threshold = self.any_number(parts)?,
            "custom_values" => parts.histogram.custom_values = self.numbers(parts)?,
            "buckets" => parts.histogram.positive_buckets = self.numbers(parts)?,
            "n_buckets" => parts.histogram.negative_buckets = self.numbers(parts)?,
            "offset" => parts.offset = self.int(parts)?,
            "n_offset" => parts.negative_offset = self.int(parts)?,
            _ => parts.histogram.counter_reset_hint = self.reset_hint(parts)?,
        }
        if parts.known.contains(&key.text) {
            return self.fail(
                key.at,
                format!("duplicate key \"{}\" in histogram", key.text),
            );
        }
        parts.known.push(key.text);
        Ok(())
    }

    /// Takes what stands here within a histogram's braces, outside of a list.
    fn piece_in_histogram(&mut self) -> Read<Piece<'a>> {
        let at = self.at;
        let next = self.peek_char();
        let kind = match next {
            Some(c) if c.is_ascii_whitespace() => {
                self.at += 1;
                let piece = self.piece(PieceKind::Space, at);
                self.take_while(|c| c.is_ascii_whitespace());
                return Ok(piece);
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => return self.word_in_histogram(),
            Some('0'..='9') => return self.number_piece(),
            Some(':') => PieceKind::Colon,
            Some('-') => PieceKind::Minus,
            Some('[') => PieceKind::OpenList,
            Some('}') if self.text[at..].starts_with("}}") => {
                self.at += 2;
                return Ok(self.piece(PieceKind::CloseHistogram, at));
            }
            _ => {
                let found = next.unwrap_or('\u{FFFD}');
                let message = format!("histogram description incomplete unexpected: '{found}'");
                return self.fail(at, message);
            }
        };
        self.at += 1;
        Ok(self.piece(kind, at))
    }

    fn word_in_histogram(&mut self) -> Read<Piece<'a>> {
        const KEYS: [&str; 11] = [
            "sum",
            "count",
            "schema",
            "offset",
            "n_offset",
            "buckets",
            "n_buckets",
            "z_bucket",
            "z_bucket_w",
            "custom_values",
            "counter_reset_hint",
        ];
        let at = self.at;
        self.take_while(|c| c.is_ascii_alphabetic() || c == '_');
        let word = self.text[at..self.at].to_ascii_lowercase();
        if KEYS.contains(&word.as_str()) {
            return match self.peek_char() {
                Some(':') => Ok(self.piece(PieceKind::Key, at)),
                _ => self.fail(at, "missing `:` for histogram descriptor"),
            };
        }
        if is_number_word(&word) {
            return Ok(self.piece(PieceKind::Number, at));
        }
        if hint_of(&word).is_some() {
            return Ok(self.piece(PieceKind::Hint, at));
        }
        let word = quote(&self.text[at..self.at]);
        self.fail(at, format!("bad histogram descriptor found: {word}"))
    }

    fn any_number(&mut self, parts: &Parts<'_>) -> Read<f64> {
        let mut piece = self.piece_in_histogram()?;
        let is_negative = piece.kind == PieceKind::Minus;
        if is_negative {
            piece = self.piece_in_histogram()?;
        }
        match number_of(piece.text).filter(|_| piece.kind == PieceKind::Number) {
            Some(number) if is_negative => Ok(-number),
            Some(number) => Ok(number),
            None => self.unexpected_in(parts, piece),
        }
    }

    fn int(&mut self, parts: &Parts<'_>) -> Read<i32> {
        let at = self.at;
        let number = self.any_number(parts)?;
        let whole = number as i32;
        if f64::from(whole) == number {
            return Ok(whole);
        }
        let text = quote(self.text[at..self.at].trim_start_matches('-'));
        let message = format!(
            "invalid repetition in series values: strconv.ParseUint: parsing {text}: invalid syntax"
        );
        self.fail(at, message)
    }

    fn numbers(&mut self, parts: &Parts<'_>) -> Read<Vec<f64>> {
        let open = self.piece_in_histogram()?;
        if open.kind != PieceKind::OpenList {
            return self.unexpected_in(parts, open);
        }
        let mut numbers = Vec::new();
        loop {
            self.take_while(|c| c.is_ascii_whitespace());
            let at = self.at;
            match self.peek_char() {
                Some(']') => {
                    self.at += 1;
                    return Ok(numbers);
                }
                Some('-' | '0'..='9') => numbers.push(self.any_number(parts)?),
                Some(c) if c.is_ascii_alphabetic() => {
                    self.take_while(|c| c.is_ascii_alphabetic());
                    match number_of(&self.text[at..self.at]) {
                        Some(number) => numbers.push(number),
                        None => return self.unexpected_in_list(at, Some(c)),
                    }
                }
                other => return self.unexpected_in_list(at, other),
            }
        }
    }

    fn unexpected_in_list<T>(&self, at: usize, found: Option<char>) -> Read<T> {
        let found = found.unwrap_or('\u{FFFD}');
        self.fail(
            at,
            format!("invalid character in buckets description: '{found}'"),
        )
    }

    fn reset_hint(&mut self, parts: &Parts<'_>) -> Read<CounterResetHint> {
        let piece = self.piece_in_histogram()?;
        match hint_of(&piece.text.to_ascii_lowercase()) {
            Some(hint) => Ok(hint),
            None => self.unexpected_in(parts, piece),
        }
    }
}

fn hint_of(word: &str) -> Option<CounterResetHint> {
    match word {
        "unknown" => Some(CounterResetHint::Unknown),
        "reset" => Some(CounterResetHint::Reset),
        "not_reset" => Some(CounterResetHint::NotReset),
        "gauge" => Some(CounterResetHint::Gauge),
        _ => None,
    }
}

/// A histogram in the making.
#[derive(Default)]
struct Parts<'a> {
    known: Vec<&'a str>,
    histogram: FloatHistogram,
    offset: i32,
    negative_offset: i32,
}

impl Parts<'_> {
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
