//! Instants and spans of requests, read and reckoned with as Go's `time` package does.
//!
//! A request may give nanoseconds and years that no sample has. Prometheus compares and checks
//! such times as they are and turns them into milliseconds last; far from today those overflow,
//! and then it is one thing for queries and another for everything else. Both are kept.

use crate::model::labels::quote;
use crate::model::{TimestampMs, float};

const SECOND_NS: i64 = 1_000_000_000;

/// The bounds that Prometheus' clients send for "since ever" and "for ever"; their years have
/// more digits than RFC 3339 allows.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// Seconds from the first of January of the year 1 to that of 1970.
const EPOCH_SECONDS: i64 = 62_135_596_800;

/// An instant with nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since the year 1, which is where Go counts from when it compares.
    seconds: i64,
    /// Nanoseconds behind them, below 10^9.
    nanoseconds: u32,
}

impl Instant {
    /// What is meant where no start is given.
    pub const MIN: Instant = Instant {
        seconds: i64::MIN / 1000 + 1 + 2 * EPOCH_SECONDS,
        nanoseconds: 0,
    };
    /// What is meant where no end is given.
    pub const MAX: Instant = Instant {
        seconds: i64::MAX / 1000 - 1,
        nanoseconds: 999_999_999,
    };

    /// Normalizes as Go's `time.Unix`.
    fn unix(seconds: i64, nanoseconds: i64) -> Self {
        let carried = nanoseconds.div_euclid(SECOND_NS);
        let rest = nanoseconds.rem_euclid(SECOND_NS);
        Instant {
            seconds: seconds.wrapping_add(carried).wrapping_add(EPOCH_SECONDS),
            nanoseconds: u32::try_from(rest).unwrap_or(0),
        }
    }

    /// Returns the instant of a timestamp.
    pub fn of(at: TimestampMs) -> Self {
        Instant::unix(at.0.div_euclid(1000), at.0.rem_euclid(1000) * 1_000_000)
    }

    fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * i128::from(SECOND_NS) + i128::from(self.nanoseconds)
    }

    fn unix_seconds(self) -> i64 {
        self.seconds.wrapping_sub(EPOCH_SECONDS)
    }

    /// Returns the timestamp at which a query is evaluated.
    pub fn of_query(self) -> TimestampMs {
        // Go counts nanoseconds since 1970 in 64 bits; what does not fit wraps around.
        let whole = self.unix_seconds().wrapping_mul(SECOND_NS);
        let nanoseconds = whole.wrapping_add(i64::from(self.nanoseconds));
        TimestampMs(nanoseconds / 1_000_000)
    }

    /// Returns the timestamp by which series are looked up.
    pub fn of_storage(self) -> TimestampMs {
        let ms = i64::from(self.nanoseconds / 1_000_000);
        TimestampMs(self.unix_seconds().wrapping_mul(1000).wrapping_add(ms))
    }

    /// Returns the nanoseconds since an earlier instant, at most what 64 bits hold.
    pub fn since(self, earlier: Instant) -> i64 {
        let span = self.nanoseconds() - earlier.nanoseconds();
        i64::try_from(span).unwrap_or(if span < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Reads a time: Unix seconds, rounded to ms, or RFC 3339.
pub fn parse_time(text: &str) -> Result<Instant, String> {
    if let Ok(seconds) = float::parse(text) {
        let fraction = if seconds.is_infinite() {
            f64::NAN
        } else {
            (seconds.fract() * 1000.0).round() / 1000.0
        };
        return Ok(Instant::unix(
            truncated(seconds.trunc()),
            truncated(fraction * SECOND_NS as f64),
        ));
    }
    if let Some(instant) = parse_rfc3339(text) {
        return Ok(instant);
    }
    match text {
        EARLIEST => Ok(Instant::MIN),
        LATEST => Ok(Instant::MAX),
        _ => Err(format!("cannot parse {} to a valid timestamp", quote(text))),
    }
}

/// Converts as the processor does for Go: what does not fit is the smallest integer.
fn truncated(value: f64) -> i64 {
    if value >= i64::MIN as f64 && value < i64::MAX as f64 {
        value as i64
    } else {
        i64::MIN
    }
}

/// Reads RFC 3339 as Go does, which also takes an hour of one digit and a comma before the
/// fraction.
fn parse_rfc3339(text: &str) -> Option<Instant> {
    let mut rest = Rest(text);
    let year = rest.digits(4)?;
    let month = rest.after("-")?.digits(2)?;
    let day = rest.after("-")?.digits(2)?;
    rest.after("T")?;
    let n_digits = rest.0.bytes().take_while(u8::is_ascii_digit).count();
    let hour = rest.digits(n_digits.clamp(1, 2))?;
    let minute = rest.after(":")?.digits(2)?;
    let second = rest.after(":")?.digits(2)?;
    let nanoseconds = rest.fraction();
    let offset = rest.offset()?;
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 || !rest.0.is_empty() {
        return None;
    }
    let days = days_from_epoch(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    Some(Instant::unix(seconds, nanoseconds))
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn after(&mut self, literal: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(self)
    }

    fn digits(&mut self, n_digits: usize) -> Option<i64> {
        let digits = self.0.get(..n_digits)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0 = &self.0[n_digits..];
        digits.parse().ok()
    }

    /// Reads a fraction of a second as nanoseconds; there need not be one.
    fn fraction(&mut self) -> i64 {
        let Some(fraction) = self.0.strip_prefix(['.', ',']) else {
            return 0;
        };
        let n_digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits == 0 {
            return 0;
        }
        self.0 = &fraction[n_digits..];
        let digits = format!("{:0<9}", &fraction[..n_digits.min(9)]);
        digits.parse().unwrap_or(0)
    }

    /// Reads `Z` or `+02:00`, in seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.after("Z").is_some() {
            return Some(0);
        }
        let sign = if self.after("-").is_some() {
            -1
        } else {
            self.after("+")?;
            1
        };
        let hours = self.digits(2)?;
        let minutes = self.after(":")?.digits(2)?;
        // Go takes both bounds, since some do write them.
        (hours <= 24 && minutes <= 60).then_some(sign * (hours * 60 + minutes) * 60)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts the days from 1970-01-01 in the Gregorian calendar; years begin with March, so that
/// the leap day comes last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads a duration in nanoseconds: seconds, or Prometheus' `1h30m`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = float::parse(text) {
        let nanoseconds = seconds * SECOND_NS as f64;
        if nanoseconds > i64::MAX as f64 || nanoseconds < i64::MIN as f64 {
            return Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quote(text)
            ));
        }
        return Ok(truncated(nanoseconds));
    }
    crate::model::time::parse_duration_nanoseconds(text)
        .map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds_or_rfc_3339() {
        let check = |text: &str, expected: Option<i64>| {
            let found = parse_time(text).ok().map(|at| at.of_query().0);
            assert_eq!(found, expected, "{text}");
        };
        check("0", Some(0));
        check("123.123", Some(123_123));
        check("1543578564.705", Some(1_543_578_564_705));
        check("-1.5", Some(-1_500));
        check("1e3", Some(1_000_000));
        check("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555));
        check("2015-06-03T14:21:58.555+01:00", Some(1_433_337_718_555));
        check("2015-06-03T13:21:58.555999999Z", Some(1_433_337_718_555));
        check("2016-02-29T00:00:00Z", Some(1_456_704_000_000));
        check("1969-12-31T23:59:59.5Z", Some(-500));
        for text in [
            "",
            "30s",
            "foo",
            "2015-06-03",
            "2015-06-03T13:21",
            "2015-02-29T00:00:00Z",
        ] {
            check(text, None);
        }
    }

    /// Far from today a query and a look-up of series see different times, as in Prometheus.
    #[test]
    fn what_does_not_fit_wraps_around() {
        let check = |text: &str, query: i64, storage: i64| {
            let at = parse_time(text).unwrap();
            assert_eq!(
                (at.of_query().0, at.of_storage().0),
                (query, storage),
                "{text}"
            );
        };
        check("9223372037", -9_223_372_036_709, 9_223_372_037_000);
        check("NaN", -9_223_372_036_854, -9_223_372_036_855);
        check("1e20", 0, 0);
        check(EARLIEST, 6_795_364_580_679, -9_223_309_901_257_974_000);
    }

    #[test]
    fn durations_are_seconds_or_prometheus_durations() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        };
        check("123.333", Some(123_333_000_000));
        check("0.0001", Some(100_000));
        check("-3", Some(-3_000_000_000));
        check("15s", Some(15_000_000_000));
        check("5m", Some(300_000_000_000));
        for text in ["", "foo", "1e99", "-5m", "Inf"] {
            check(text, None);
        }
    }
}
