//! Instants and spans in milliseconds, and Prometheus' way of writing durations.

use std::fmt;
use std::ops::{Add, Sub};

use crate::model::labels::quote;

/// An instant: ms since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimestampMs(pub i64);

/// A span in ms; negative where it points backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DurationMs(pub i64);

impl TimestampMs {
    /// The earliest instant that can be written.
    pub const MIN: TimestampMs = TimestampMs(i64::MIN / 4);
    /// The latest instant that can be written.
    pub const MAX: TimestampMs = TimestampMs(i64::MAX / 4);

    /// Returns Unix seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl DurationMs {
    /// No time at all.
    pub const ZERO: DurationMs = DurationMs(0);

    /// Returns a span of whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        DurationMs(seconds * 1000)
    }

    /// Returns the span in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Returns the span for the standard library; a negative one is zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl Add<DurationMs> for TimestampMs {
    type Output = TimestampMs;
    fn add(self, span: DurationMs) -> TimestampMs {
        TimestampMs(self.0.saturating_add(span.0))
    }
}

impl Sub<DurationMs> for TimestampMs {
    type Output = TimestampMs;
    fn sub(self, span: DurationMs) -> TimestampMs {
        TimestampMs(self.0.saturating_sub(span.0))
    }
}

impl Sub for TimestampMs {
    type Output = DurationMs;
    fn sub(self, earlier: TimestampMs) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// The text does not follow `1y2w3d4h5m6s7ms`.
    #[error("not a valid duration string: {0}")]
    Invalid(String),
    /// A unit that is none of `y`, `w`, `d`, `h`, `m`, `s`, `ms`.
    #[error("unknown unit {unit} in duration {text}")]
    UnknownUnit {
        /// The unit, quoted.
        unit: String,
        /// The whole text, quoted.
        text: String,
    },
    /// More than 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl DurationMs {
    /// Parses `5m`, `1h30m`, `0`: units from large to small, each at most once.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        Ok(DurationMs(parse_duration_nanoseconds(text)? / 1_000_000))
    }
}

/// Parses a duration as [`DurationMs::parse`] does, in ns: the unit in which Prometheus bounds it.
pub fn parse_duration_nanoseconds(text: &str) -> Result<i64, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let invalid = || DurationError::Invalid(quote(text));
    let (mut rest, mut next_unit, mut total) = (text, 0, 0i64);
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(n_digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let n_letters = tail.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (unit, tail) = tail.split_at(n_letters);
        if unit.is_empty() {
            return Err(invalid());
        }
        let at = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| DurationError::UnknownUnit {
                unit: quote(unit),
                text: quote(text),
            })?;
        if at < next_unit {
            return Err(invalid());
        }
        total = i64::try_from(number)
            .ok()
            .and_then(|number| number.checked_mul(UNITS[at].1)?.checked_mul(1_000_000))
            .and_then(|add| total.checked_add(add))
            .ok_or(DurationError::OutOfRange)?;
        (rest, next_unit) = (tail, at + 1);
    }
    Ok(total)
}

impl fmt::Display for DurationMs {
    /// Prints as Prometheus does: `1h30m`, `1d`, `0s`; years and weeks only when exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        if rest < 0 {
            f.write_str("-")?;
            rest = -rest;
        }
        for (at, (name, size)) in UNITS.iter().enumerate() {
            let exact_only = at < 2;
            if exact_only && rest % size != 0 {
                continue;
            }
            if rest / size > 0 {
                write!(f, "{}{}", rest / size, name)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_in_prometheus() {
        let check = |text: &str, ms: i64, printed: &str| {
            let parsed = DurationMs::parse(text).expect(text);
            assert_eq!(parsed, DurationMs(ms), "{text}");
            assert_eq!(parsed.to_string(), printed, "{text}");
        };
        check("0", 0, "0s");
        check("324ms", 324, "324ms");
        check("3s", 3_000, "3s");
        check("90s", 90_000, "1m30s");
        check("1h30m", 5_400_000, "1h30m");
        check("4d1h", 349_200_000, "4d1h");
        check("14d", 1_209_600_000, "2w");
        check("3w", 1_814_400_000, "3w");
        check("10y", 315_360_000_000, "10y");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "", "5", "-5m", "1.5h", "5min", "30m1h", "1h1h", "m", "293y", "5M",
        ] {
            assert!(DurationMs::parse(text).is_err(), "{text}");
        }
    }
}
