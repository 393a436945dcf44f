//! Numbers for people: `humanize`, `humanize1024`, `humanizeDuration`, `humanizePercentage`,
//! `humanizeTimestamp`, with Prometheus' digits and prefixes.

use crate::model::float::format_general_rounded;
use crate::template::functions::time::{float_to_time, time_text};
use crate::template::functions::{Called, Function, Param, function};
use crate::template::literal::parse_float;
use crate::template::value::{GoValue, IntType, float_to_int};

pub(super) const FUNCTIONS: [Function; 5] = [
    function("humanize", &[Param::Any], |_, a| text(&a[0], humanize)),
    function("humanize1024", &[Param::Any], |_, a| {
        text(&a[0], humanize_1024)
    }),
    function("humanizeDuration", &[Param::Any], |_, a| {
        text(&a[0], humanize_duration)
    }),
    function("humanizePercentage", &[Param::Any], |_, a| {
        text(&a[0], |value| format!("{}%", four_digits(value * 100.0)))
    }),
    function("humanizeTimestamp", &[Param::Any], |_, a| {
        let value = to_float(&a[0])?;
        if !value.is_finite() {
            return Ok(GoValue::string(four_digits(value)));
        }
        time_text(float_to_time(value)?).map(GoValue::string)
    }),
];

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

fn text(value: &GoValue, print: impl Fn(f64) -> String) -> Called {
    Ok(GoValue::string(print(to_float(value)?)))
}

/// Takes a number, or a text that is one, as a float.
pub(super) fn to_float(value: &GoValue) -> Result<f64, String> {
    match value {
        GoValue::Float(value) => Ok(*value),
        GoValue::String(text) => parse_float(text),
        GoValue::Int(value, IntType::Int | IntType::Int64) => Ok(*value as f64),
        GoValue::Duration(span) if !span.is_pointer => Ok(span.nanoseconds as f64 / 1e9),
        GoValue::Nil | GoValue::Invalid => Err("can't convert <nil> to float".to_owned()),
        value => Err(format!("can't convert {} to float", value.type_name())),
    }
}

fn four_digits(value: f64) -> String {
    format_general_rounded(value, 4)
}

/// Scales up into the range of the first prefix that suits.
fn with_small_prefix(mut value: f64, unit: &str) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}{unit}", four_digits(value))
}

fn with_large_prefix(mut value: f64, prefixes: [&str; 8], base: f64) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    format!("{}{prefix}", four_digits(value))
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        four_digits(value)
    } else if value.abs() >= 1.0 {
        with_large_prefix(value, LARGE, 1000.0)
    } else {
        with_small_prefix(value, "")
    }
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        four_digits(value)
    } else {
        with_large_prefix(value, BINARY, 1024.0)
    }
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if value == 0.0 {
        return format!("{}s", four_digits(value));
    }
    if value.abs() < 1.0 {
        return with_small_prefix(value, "s");
    }
    let (sign, value) = if value < 0.0 {
        ("-", -value)
    } else {
        ("", value)
    };
    let total = float_to_int(value);
    let (days, hours) = (total / 86_400, total / 3_600 % 24);
    let (minutes, seconds) = (total / 60 % 60, total % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four_digits(value))
    }
}
