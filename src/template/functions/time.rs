//! Instants and spans: `toTime`, `toDuration`, `now`, `parseDuration`, and the methods of
//! `time.Time`, `time.Duration`, `time.Month` and `time.Weekday` that a template can use.
//!
//! Everything is UTC, as in Prometheus; `Local` stays there too, for a server's time zone is no
//! part of what was received.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::DurationMs;
use crate::model::float::format_general;
use crate::template::functions::humanize::to_float;
use crate::template::functions::{Called, Function, Method, Param, Signature, function, text_of};
use crate::template::value::{Duration, GoValue, IntType, Time, float_to_int};

pub(super) const FUNCTIONS: [Function; 4] = [
    function("toTime", &[Param::Any], |_, a| {
        Ok(GoValue::Time(Time {
            nanoseconds: float_to_time(to_float(&a[0])?)?,
            is_pointer: true,
        }))
    }),
    function("toDuration", &[Param::Any], |_, a| {
        Ok(GoValue::Duration(Duration {
            nanoseconds: float_to_int(to_float(&a[0])? * 1e9),
            is_pointer: true,
        }))
    }),
    function("now", &[], |context, _| {
        Ok(GoValue::Float(context.data.at.seconds()))
    }),
    function("parseDuration", &[Param::String], |_, a| {
        parse_duration(text_of(&a, 0)).map(GoValue::Float)
    }),
];

/// Seconds as an instant in whole milliseconds, which is Prometheus' grain.
pub(super) fn float_to_time(seconds: f64) -> Result<i128, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let nanoseconds = seconds * 1e9;
    // i64::MAX as a float is 2^63, and Go compares with that.
    if nanoseconds > i64::MAX as f64 || nanoseconds < i64::MIN as f64 {
        let seconds = format_general(seconds);
        return Err(format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    Ok(i128::from(float_to_int(nanoseconds) / 1_000_000) * 1_000_000)
}

/// Seconds of `1h30m`, which may have a minus before it.
fn parse_duration(text: &str) -> Result<f64, String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, text),
    };
    let span = DurationMs::parse(unsigned).map_err(|e| e.to_string())?;
    Ok((sign * span.0 * 1_000_000) as f64 / 1e9)
}

const fn method(
    name: &'static str,
    params: &'static [Param],
    body: fn(&GoValue, &[GoValue]) -> Called,
) -> Method {
    Method {
        signature: Signature {
            name,
            params,
            variadic: None,
        },
        body,
    }
}

pub(super) const TIME_METHODS: [Method; 24] = [
    method("Format", &[Param::String], |t, a| {
        format_time(civil(t)?, text_of(a, 0)).map(GoValue::string)
    }),
    method("String", &[], |t, _| {
        time_text(instant(t)).map(GoValue::string)
    }),
    method("UTC", &[], |t, _| Ok(time(instant(t)))),
    method("Local", &[], |t, _| Ok(time(instant(t)))),
    method("Unix", &[], |t, _| {
        int64(instant(t).div_euclid(1_000_000_000))
    }),
    method("UnixMilli", &[], |t, _| {
        int64(instant(t).div_euclid(1_000_000))
    }),
    method("UnixMicro", &[], |t, _| int64(instant(t).div_euclid(1_000))),
    method("UnixNano", &[], |t, _| int64(instant(t))),
    method("Year", &[], |t, _| int(civil(t)?.year())),
    method("Month", &[], |t, _| {
        Ok(GoValue::Int(i64::from(civil(t)?.month()), IntType::Month))
    }),
    method("Day", &[], |t, _| int(civil(t)?.day())),
    method("Hour", &[], |t, _| int(civil(t)?.hour())),
    method("Minute", &[], |t, _| int(civil(t)?.minute())),
    method("Second", &[], |t, _| int(civil(t)?.second())),
    method("Nanosecond", &[], |t, _| {
        Ok(GoValue::Int(
            i64::from(civil(t)?.subsec_nanosecond()),
            IntType::Int,
        ))
    }),
    method("YearDay", &[], |t, _| int(civil(t)?.day_of_year())),
    method("Weekday", &[], |t, _| {
        let weekday = civil(t)?.weekday().to_sunday_zero_offset();
        Ok(GoValue::Int(i64::from(weekday), IntType::Weekday))
    }),
    method("Add", &[Param::Duration], |t, a| {
        Ok(time(instant(t) + i128::from(span(&a[0]))))
    }),
    method("Sub", &[Param::Time], |t, a| {
        let difference = instant(t) - instant(&a[0]);
        let limits = (i128::from(i64::MIN), i128::from(i64::MAX));
        Ok(duration(
            i64::try_from(difference.clamp(limits.0, limits.1)).unwrap_or(0),
        ))
    }),
    method("AddDate", &[Param::Int; 3], add_date),
    method("Truncate", &[Param::Duration], |t, a| {
        Ok(time(instant(t) - beyond_step(t, span(&a[0]))))
    }),
    method("Before", &[Param::Time], |t, a| {
        Ok(GoValue::Bool(instant(t) < instant(&a[0])))
    }),
    method("After", &[Param::Time], |t, a| {
        Ok(GoValue::Bool(instant(t) > instant(&a[0])))
    }),
    method("Equal", &[Param::Time], |t, a| {
        Ok(GoValue::Bool(instant(t) == instant(&a[0])))
    }),
];

pub(super) const DURATION_METHODS: [Method; 9] = [
    method("String", &[], |d, _| {
        Ok(GoValue::string(duration_text(span(d))))
    }),
    method("Seconds", &[], |d, _| Ok(parts(d, 1_000_000_000))),
    method("Minutes", &[], |d, _| Ok(parts(d, 60_000_000_000))),
    method("Hours", &[], |d, _| Ok(parts(d, 3_600_000_000_000))),
    method("Milliseconds", &[], |d, _| {
        int64(i128::from(span(d) / 1_000_000))
    }),
    method("Microseconds", &[], |d, _| {
        int64(i128::from(span(d) / 1_000))
    }),
    method("Nanoseconds", &[], |d, _| int64(i128::from(span(d)))),
    method("Truncate", &[Param::Duration], |d, a| {
        let (value, step) = (span(d), span(&a[0]));
        Ok(duration(if step <= 0 {
            value
        } else {
            value - value % step
        }))
    }),
    method("Round", &[Param::Duration], |d, a| {
        Ok(duration(round(span(d), span(&a[0]))))
    }),
];

pub(super) const NAME_METHODS: [Method; 1] = [method("String", &[], |v, _| {
    Ok(GoValue::string(match v {
        GoValue::Int(number, IntType::Month) => month_name(*number),
        GoValue::Int(number, _) => weekday_name(*number),
        _ => "",
    }))
})];

fn instant(value: &GoValue) -> i128 {
    match value {
        GoValue::Time(time) => time.nanoseconds,
        _ => 0,
    }
}

fn span(value: &GoValue) -> i64 {
    match value {
        GoValue::Duration(duration) => duration.nanoseconds,
        _ => 0,
    }
}

fn time(nanoseconds: i128) -> GoValue {
    GoValue::Time(Time {
        nanoseconds,
        is_pointer: false,
    })
}

fn duration(nanoseconds: i64) -> GoValue {
    GoValue::Duration(Duration {
        nanoseconds,
        is_pointer: false,
    })
}

fn int(value: impl Into<i64>) -> Called {
    Ok(GoValue::Int(value.into(), IntType::Int))
}

fn int64(value: i128) -> Called {
    let value = i64::try_from(value).map_err(|_| "time out of range")?;
    Ok(GoValue::Int(value, IntType::Int64))
}

fn civil(value: &GoValue) -> Result<DateTime, String> {
    civil_of(instant(value))
}

fn civil_of(nanoseconds: i128) -> Result<DateTime, String> {
    let timestamp = jiff::Timestamp::from_nanosecond(nanoseconds);
    let timestamp = timestamp.map_err(|_| "time out of range")?;
    Ok(Offset::UTC.to_datetime(timestamp))
}

/// Whole and broken parts added up as Go does, so that the last digit agrees.
fn parts(value: &GoValue, unit: i64) -> GoValue {
    let (whole, rest) = (span(value) / unit, span(value) % unit);
    GoValue::Float(whole as f64 + rest as f64 / unit as f64)
}

/// How far an instant lies beyond a multiple of `step` since the year 1.
fn beyond_step(value: &GoValue, step: i64) -> i128 {
    const YEAR_ONE: i128 = -62_135_596_800 * 1_000_000_000;
    match step {
        ..=0 => 0,
        step => (instant(value) - YEAR_ONE).rem_euclid(i128::from(step)),
    }
}

/// Rounds half away from zero.
fn round(value: i64, step: i64) -> i64 {
    if step <= 0 {
        return value;
    }
    let (value, step) = (i128::from(value), i128::from(step));
    let rest = value % step;
    let rounded = match rest.abs() * 2 < step {
        true => value - rest,
        false => value - rest + step * rest.signum(),
    };
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Adds years, months and days; what is too much of one goes into the next, as in Go.
fn add_date(value: &GoValue, arguments: &[GoValue]) -> Called {
    let number = |idx: usize| match arguments.get(idx) {
        Some(GoValue::Int(number, _)) => i128::from(*number),
        _ => 0,
    };
    let date = civil(value)?;
    let day = 86_400 * 1_000_000_000;
    let months = i128::from(date.month()) - 1 + number(1);
    let year = i128::from(date.year()) + number(0) + months.div_euclid(12);
    let first = days_before(year, months.rem_euclid(12) + 1);
    let days = first + i128::from(date.day()) - 1 + number(2);
    Ok(time(days * day + instant(value).rem_euclid(day)))
}

/// Days from 1970 to the first of a month, in the Gregorian calendar of all times.
fn days_before(year: i128, month: i128) -> i128 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Returns the name of a day, Sunday being 0.
pub fn weekday_name(number: i64) -> &'static str {
    let idx = usize::try_from(number).unwrap_or(0);
    WEEKDAYS.get(idx).copied().unwrap_or("")
}

/// Returns the name of a month, January being 1.
pub fn month_name(number: i64) -> &'static str {
    let idx = usize::try_from(number - 1).unwrap_or(0);
    MONTHS.get(idx).copied().unwrap_or("")
}

/// Prints an instant as Go: `2026-01-01 00:00:00.5 +0000 UTC`.
pub fn time_text(nanoseconds: i128) -> Result<String, String> {
    format_time(
        civil_of(nanoseconds)?,
        "2006-01-02 15:04:05.999999999 -0700 MST",
    )
}

/// Prints a span as Go: `1h0m0.5s`, `1.5ms`, `0s`.
pub fn duration_text(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    // The largest unit that fits, and how many decimals it leaves.
    let units = [
        (1_000_000_000, "s", 9),
        (1_000_000, "ms", 6),
        (1_000, "µs", 3),
    ];
    let fits = |(size, _, _): &&(u64, &'static str, usize)| total >= *size;
    let (unit, name, n_decimals) = units.iter().find(fits).copied().unwrap_or((1, "ns", 0));
    let (whole, rest) = (total / unit, total % unit);
    let mut decimals = String::new();
    if rest > 0 {
        let digits = format!("{rest:0n_decimals$}");
        decimals = format!(".{}", digits.trim_end_matches('0'));
    }
    if name != "s" || whole < 60 {
        return format!("{sign}{whole}{decimals}{name}");
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        return format!("{sign}{hours}h{minutes}m{seconds}{decimals}s");
    }
    format!("{sign}{minutes}m{seconds}{decimals}s")
}

/// A part of Go's reference time, and what stands for it in the layout.
type Part = (&'static str, fn(&DateTime) -> String);

/// Longer ones before those that they begin with.
const PARTS: [Part; 29] = [
    ("January", |d| month_name(d.month().into()).to_owned()),
    ("Jan", |d| month_name(d.month().into())[..3].to_owned()),
    ("Monday", |d| weekday_of(d).to_owned()),
    ("Mon", |d| weekday_of(d)[..3].to_owned()),
    ("MST", |_| "UTC".to_owned()),
    ("2006", |d| format!("{:04}", d.year())),
    ("002", |d| format!("{:03}", d.day_of_year())),
    ("01", |d| format!("{:02}", d.month())),
    ("02", |d| format!("{:02}", d.day())),
    ("03", |d| format!("{:02}", twelve(d))),
    ("04", |d| format!("{:02}", d.minute())),
    ("05", |d| format!("{:02}", d.second())),
    ("06", |d| format!("{:02}", d.year().rem_euclid(100))),
    ("15", |d| format!("{:02}", d.hour())),
    ("1", |d| d.month().to_string()),
    ("_2006", |d| format!("_{:04}", d.year())),
    ("__2", |d| format!("{:3}", d.day_of_year())),
    ("_2", |d| format!("{:2}", d.day())),
    ("2", |d| d.day().to_string()),
    ("3", |d| twelve(d).to_string()),
    ("4", |d| d.minute().to_string()),
    ("5", |d| d.second().to_string()),
    ("PM", |d| {
        if d.hour() >= 12 { "PM" } else { "AM" }.to_owned()
    }),
    ("pm", |d| {
        if d.hour() >= 12 { "pm" } else { "am" }.to_owned()
    }),
    ("-07:00", |_| "+00:00".to_owned()),
    ("-0700", |_| "+0000".to_owned()),
    ("-07", |_| "+00".to_owned()),
    ("Z07:00", |_| "Z".to_owned()),
    ("Z0700", |_| "Z".to_owned()),
];

fn weekday_of(date: &DateTime) -> &'static str {
    weekday_name(date.weekday().to_sunday_zero_offset().into())
}

fn twelve(date: &DateTime) -> i8 {
    match date.hour() % 12 {
        0 => 12,
        hour => hour,
    }
}

/// Formats by a layout in terms of `Mon Jan 2 15:04:05 MST 2006`.
fn format_time(date: DateTime, layout: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::with_capacity(layout.len() + 8), layout);
    while let Some(c) = rest.chars().next() {
        if let Some((text, after)) = fraction(&date, rest) {
            out.push_str(&text);
            rest = after;
            continue;
        }
        let is_here = |(part, _): &&Part| {
            let short = matches!(*part, "Jan" | "Mon");
            rest.strip_prefix(part).is_some_and(|after| {
                !(short && after.starts_with(|c: char| c.is_ascii_lowercase()))
            })
        };
        match PARTS.iter().find(is_here) {
            Some((part, text)) => {
                out.push_str(&text(&date));
                rest = &rest[part.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(out)
}

/// `.000` keeps zeros at the end, `.999` does not.
fn fraction<'a>(date: &DateTime, layout: &'a str) -> Option<(String, &'a str)> {
    let after_point = layout.strip_prefix(['.', ','])?;
    let digit = after_point
        .chars()
        .next()
        .filter(|c| matches!(c, '0' | '9'))?;
    let after = after_point.trim_start_matches(digit);
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let n_digits = (after_point.len() - after.len()).min(9);
    let digits = format!("{:09}", date.subsec_nanosecond());
    let digits = &digits[..n_digits];
    let kept = match digit {
        '9' => digits.trim_end_matches('0'),
        _ => digits,
    };
    let point = &layout[..1];
    let text = if kept.is_empty() {
        String::new()
    } else {
        format!("{point}{kept}")
    };
    Some((text, after))
}
