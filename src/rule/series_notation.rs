//! The notation of series in unit tests: `up{job="a"}` with `1 2+3x4 _x2 stale {{sum:1 count:2}}`.
//!
//! It is promtool's, whose parser reads it as a part of PromQL: numbers may be durations, a
//! repeated value stands once more than its factor says, increments add up one after another.

use crate::model::labels::quote;
use crate::model::{DurationMs, Labels, MatchOp, SampleValue, stale_nan};
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

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// A place in a text of values.
pub(crate) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
}

pub(crate) type Read<T> = Result<T, NotationError>;

impl<'a> Cursor<'a> {
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(NotationError::Values {
            at: self.at,
            message: message.into(),
        })
    }

    pub(crate) fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
    }

    pub(crate) fn take(&mut self, wanted: &str) -> bool {
        let is_here = self.rest().starts_with(wanted);
        if is_here {
            self.at += wanted.len();
        }
        is_here
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
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

    pub(crate) fn push(
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
    pub(crate) fn times(&mut self) -> Read<Option<usize>> {
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

    pub(crate) fn any_number(&mut self) -> Read<f64> {
        match self.rest().chars().next() {
            Some('+' | '-') => self.signed_number(),
            _ => self.number(),
        }
    }

    pub(crate) fn number(&mut self) -> Read<f64> {
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
