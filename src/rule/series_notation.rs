//! The notation of series in unit tests: `up{job="a"} 1 2+3x4 _x2 stale {{sum:1 count:2}}`.
//!
//! It is promtool's, read as its parser reads it, with its errors: a repeated value stands once
//! more than its factor says, increments add up one after another, spaces part values.

use crate::model::labels::quote;
use crate::model::{Labels, SampleValue, stale_nan};
use crate::promql::ParseError;
use crate::promql::metric;

/// How many values one series may be written to have; more is refused.
pub const VALUES_MAX: usize = 5_000_000;

/// Why a text is no series or no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse error: {message}")]
pub struct NotationError {
    /// The byte at which it goes wrong.
    pub at: usize,
    /// What is wrong, in promtool's words.
    pub message: String,
}

impl From<ParseError> for NotationError {
    fn from(error: ParseError) -> Self {
        NotationError {
            at: error.span.start,
            message: error.message,
        }
    }
}

/// One value of a series, `None` where nothing was sent.
pub type SequenceValue = Option<SampleValue>;

/// Parses a metric with its labels, such as `up{job="a"}`, `{}` or `{"a metric", x="y"}`.
pub fn parse_metric(text: &str) -> Result<Labels, NotationError> {
    labels_of(&metric::parse_metric(text)?)
}

/// Parses a metric and, after a space, its values.
pub fn parse_series(line: &str) -> Result<(Labels, Vec<SequenceValue>), NotationError> {
    let (pairs, end) = metric::parse_metric_of_series(line)?;
    let mut cursor = Cursor {
        text: line,
        at: end,
    };
    let values = cursor.values()?;
    Ok((labels_of(&pairs)?, values))
}

/// Parses the values of a series, in their order.
pub fn parse_values(text: &str) -> Result<Vec<SequenceValue>, NotationError> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.items()
}

fn labels_of(pairs: &metric::Pairs) -> Result<Labels, NotationError> {
    for (place, (name, _)) in pairs.iter().enumerate() {
        if pairs[..place].iter().any(|(known, _)| known == name) {
            let message = format!("label name {} is not unique", quote(name));
            return Err(NotationError { at: 0, message });
        }
    }
    Ok(Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// What stands at a place, with where it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece<'a> {
    pub kind: PieceKind,
    pub at: usize,
    pub text: &'a str,
}

/// The kinds of what stands in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    End,
    Space,
    Plus,
    Minus,
    Times,
    Blank,
    Number,
    Word,
    OpenHistogram,
    CloseHistogram,
    Key,
    Colon,
    Hint,
    OpenList,
}

impl Piece<'_> {
    /// Describes it as Prometheus describes a token.
    fn described(&self) -> String {
        match self.kind {
            PieceKind::End => "end of input".to_owned(),
            PieceKind::Number => format!("number {}", quote(self.text)),
            PieceKind::Word => format!("identifier {}", quote(self.text)),
            PieceKind::Plus | PieceKind::Minus => format!("<op:{}>", self.text),
            _ => quote(self.text),
        }
    }
}

pub(crate) const SERIES_VALUES: &str = "series values";

/// A place in a text of values.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
}

pub(crate) type Read<T> = Result<T, NotationError>;

impl<'a> Cursor<'a> {
    pub(crate) fn fail<T>(&self, at: usize, message: impl Into<String>) -> Read<T> {
        Err(NotationError {
            at,
            message: message.into(),
        })
    }

    pub(crate) fn unexpected<T>(&self, piece: Piece<'_>, context: &str, expected: &str) -> Read<T> {
        let mut message = format!("unexpected {}", piece.described());
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        self.fail(piece.at, message)
    }

    pub(crate) fn peek_char(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at = self.text.len() - rest.trim_start_matches(wanted).len();
    }

    pub(crate) fn piece(&self, kind: PieceKind, at: usize) -> Piece<'a> {
        let text = &self.text[at..self.at];
        Piece { kind, at, text }
    }

    /// Takes what stands here, outside of a histogram's braces.
    pub(crate) fn next(&mut self) -> Read<Piece<'a>> {
        let at = self.at;
        let Some(c) = self.peek_char() else {
            return Ok(self.piece(PieceKind::End, at));
        };
        let kind = match c {
            '{' if self.text[at..].starts_with("{{") => {
                self.at += 2;
                return Ok(self.piece(PieceKind::OpenHistogram, at));
            }
            c if is_space(c) => PieceKind::Space,
            '+' => PieceKind::Plus,
            '-' => PieceKind::Minus,
            'x' => PieceKind::Times,
            '_' => PieceKind::Blank,
            '0'..='9' | '.' => return self.number_piece(),
            c if is_alpha(c) => {
                self.take_while(|c| is_alpha(c) || c.is_ascii_digit() || c == ':');
                let is_number = is_number_word(&self.text[at..self.at]);
                let kind = if is_number {
                    PieceKind::Number
                } else {
                    PieceKind::Word
                };
                return Ok(self.piece(kind, at));
            }
            c => {
                let message = format!("unexpected character in series sequence: '{c}'");
                return self.fail(at, message);
            }
        };
        self.at += c.len_utf8();
        let piece = self.piece(kind, at);
        self.take_while(|c| kind == PieceKind::Space && is_space(c));
        Ok(piece)
    }

    fn peek(&self) -> Read<Piece<'a>> {
        self.clone().next()
    }

    /// A number's digits, behind which nothing else of a word may stand but a factor's `x`.
    pub(crate) fn number_piece(&mut self) -> Read<Piece<'a>> {
        let at = self.at;
        self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '_');
        if matches!(self.peek_char(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek_char(), Some('+' | '-')) {
                self.at += 1;
            }
            self.take_while(|c| c.is_ascii_digit());
        }
        let text = &self.text[at..self.at];
        let goes_on = |c: char| c != 'x' && (is_alpha(c) || c.is_ascii_digit());
        if number_of(text).is_none() || self.peek_char().is_some_and(goes_on) {
            return self.fail(at, format!("bad number syntax: {}", quote(text)));
        }
        Ok(self.piece(PieceKind::Number, at))
    }

    /// The values behind a metric: a space, and then one after the other.
    fn values(&mut self) -> Read<Vec<SequenceValue>> {
        let first = self.peek()?;
        match first.kind {
            PieceKind::Space | PieceKind::End => self.items(),
            _ => self.unexpected(first, SERIES_VALUES, ""),
        }
    }

    fn items(&mut self) -> Read<Vec<SequenceValue>> {
        let mut values = Vec::new();
        if self.peek()?.kind == PieceKind::Space {
            self.next()?;
        }
        while self.peek()?.kind != PieceKind::End {
            self.item(&mut values)?;
            let behind = self.next()?;
            match behind.kind {
                PieceKind::Space => {}
                PieceKind::End => break,
                _ => return self.unexpected(behind, "", ""),
            }
        }
        Ok(values)
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let first = self.next()?;
        match first.kind {
            PieceKind::Blank => {
                let n = self.times()?.unwrap_or(1);
                self.push(values, n, std::iter::repeat_n(None, n))
            }
            PieceKind::OpenHistogram => self.histograms(values),
            PieceKind::Number | PieceKind::Word | PieceKind::Plus | PieceKind::Minus => {
                let value = self.value(first)?;
                self.floats(value, values)
            }
            _ => self.unexpected(first, "", ""),
        }
    }

    /// What may follow a value: an increment, a factor.
    fn floats(&mut self, mut value: f64, values: &mut Vec<SequenceValue>) -> Read<()> {
        let step = match self.peek()?.kind {
            PieceKind::Plus | PieceKind::Minus => {
                let sign = self.next()?;
                Some(self.value(sign)?)
            }
            _ => None,
        };
        let Some(step) = step else {
            let n = self.times()?.map_or(1, |times| times + 1);
            let same = Some(SampleValue::Float(value));
            return self.push(values, n, std::iter::repeat_n(same, n));
        };
        let n = self.needed_times()? + 1;
        let series = std::iter::repeat_with(|| {
            let now = value;
            // promtool adds on and on, with the rounding that this has.
            value += step;
            Some(SampleValue::Float(now))
        });
        self.push(values, n, series.take(n))
    }

    pub(crate) fn push(
        &self,
        values: &mut Vec<SequenceValue>,
        n: usize,
        more: impl Iterator<Item = SequenceValue>,
    ) -> Read<()> {
        if values.len() + n > VALUES_MAX {
            let message = format!("more than {VALUES_MAX} values in one series");
            return self.fail(self.at, message);
        }
        values.extend(more);
        Ok(())
    }

    /// `x3`, if it is here.
    pub(crate) fn times(&mut self) -> Read<Option<usize>> {
        match self.peek()?.kind {
            PieceKind::Times => self.needed_times().map(Some),
            _ => Ok(None),
        }
    }

    /// `x3`, which must be here.
    pub(crate) fn needed_times(&mut self) -> Read<usize> {
        for wanted in [PieceKind::Times, PieceKind::Number] {
            let found = self.next()?;
            if found.kind != wanted {
                return self.unexpected(found, SERIES_VALUES, "");
            }
            if wanted != PieceKind::Number {
                continue;
            }
            return match found.text.parse::<usize>() {
                Ok(times) if times < VALUES_MAX => Ok(times),
                Ok(_) => {
                    let message = format!("more than {VALUES_MAX} values in one series");
                    self.fail(found.at, message)
                }
                Err(_) => {
                    let message = format!(
                        "invalid repetition in series values: strconv.ParseUint: parsing {}: \
                         invalid syntax",
                        quote(found.text)
                    );
                    self.fail(found.at, message)
                }
            };
        }
        Ok(0)
    }

    /// The value that begins with a piece: a number, a sign and a number, or `stale`.
    fn value(&mut self, first: Piece<'a>) -> Read<f64> {
        match first.kind {
            PieceKind::Word if first.text == "stale" => Ok(stale_nan()),
            PieceKind::Word => self.unexpected(first, SERIES_VALUES, "number or \"stale\""),
            PieceKind::Number => Ok(number_of(first.text).unwrap_or(f64::NAN)),
            _ => {
                let number = self.next()?;
                if number.kind != PieceKind::Number {
                    return self.unexpected(number, SERIES_VALUES, "");
                }
                let value = number_of(number.text).unwrap_or(f64::NAN);
                Ok(match first.kind {
                    PieceKind::Minus => -value,
                    _ => value,
                })
            }
        }
    }
}

pub(crate) fn is_number_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("nan") || word.eq_ignore_ascii_case("inf")
}

/// Reads a number as Go does, `017` being octal.
pub(crate) fn number_of(text: &str) -> Option<f64> {
    if is_number_word(text) {
        let is_nan = text.eq_ignore_ascii_case("nan");
        return Some(if is_nan { f64::NAN } else { f64::INFINITY });
    }
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    if misplaced || !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let plain = text.replace('_', "");
    let is_octal = plain.len() > 1 && plain.starts_with('0');
    if is_octal && let Ok(number) = i64::from_str_radix(&plain, 8) {
        return Some(number as f64);
    }
    plain.parse::<f64>().ok()
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
            "1e3 1e+1+1e-1x1 .5 1_000 017",
            "1000.0 10.0 10.1 0.5 1000.0 15.0",
        );
        check("", "");
        check(" \n1\t2 ", "1.0 2.0");
    }

    #[test]
    fn what_is_no_value_is_refused_where_it_stands() {
        let check = |text: &str, at: usize, expected: &str| {
            let error = parse_values(text).expect_err(text);
            assert_eq!((error.at, error.message.as_str()), (at, expected), "{text}");
        };
        let wanted = ", expected number or \"stale\"";
        check(
            "1 abc",
            2,
            &format!("unexpected identifier \"abc\" in series values{wanted}"),
        );
        check("1 2a", 2, "bad number syntax: \"2\"");
        check("1 5m", 2, "bad number syntax: \"5\"");
        check("1+2", 3, "unexpected end of input in series values");
        check("1+2 3", 3, "unexpected \" \" in series values");
        check("1x", 2, "unexpected end of input in series values");
        check("1 x", 2, "unexpected \"x\"");
        check("_y2", 1, "unexpected identifier \"y2\"");
        check("1,2", 1, "unexpected character in series sequence: ','");
        check("1x99999999", 2, "more than 5000000 values in one series");
        check(
            "{{sum:1",
            7,
            "histogram description incomplete unexpected: '\u{FFFD}'",
        );
        check("{{sum:1 sum:2}}", 8, "duplicate key \"sum\" in histogram");
        check("{{foo:1}}", 2, "bad histogram descriptor found: \"foo\"");
        check("{{sum}}", 2, "missing `:` for histogram descriptor");
        check("{{sum:}}", 6, "unexpected \"}}\" in series values");
        check(
            "{{schema:1 sum:}}",
            15,
            "unexpected \"}}\" in histogram description, expected histogram description key, \
             e.g. buckets:[5 10 7]",
        );
        check(
            "{{buckets:[1 2}}",
            14,
            "invalid character in buckets description: '}'",
        );
    }

    #[test]
    fn a_line_is_a_metric_and_values() {
        let parsed = parse_series("up{a=\"b\"} 1x1").expect("parses");
        assert_eq!(parsed.0.to_string(), "up{a=\"b\"}");
        assert_eq!(parsed.1.len(), 2);
        let check = |line: &str, at: usize, expected: &str| {
            let error = parse_series(line).expect_err(line);
            assert_eq!((error.at, error.message.as_str()), (at, expected), "{line}");
        };
        check("x{a=\"b\" 1", 8, "unexpected character inside braces: '1'");
        check("5x 1", 0, "unexpected number \"5\" in series values");
        check(
            "sum(x) 1",
            3,
            "unexpected character in series sequence: '('",
        );
        check("x{a=\"1\",a=\"2\"} 1", 0, "label name \"a\" is not unique");
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

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", values in "[-+0-9.xe_smhNaIf{}:\\[\\] a-z]{0,40}") {
            let _ = parse_metric(&text);
            let _ = parse_values(&text);
            let _ = parse_values(&values);
            let _ = parse_values(&format!("{{{{{values}}}}}"));
        }
    }
}
