//! Go's `fmt`: `Sprint`, `Sprintln` and `Sprintf` for the values of a template.

mod sprintf;

pub use sprintf::sprintf;

use std::rc::Rc;

use crate::model::float::{
    format_exponent_rounded, format_fixed, format_general, format_general_rounded, format_plain,
};
use crate::model::quote::{quote, quote_char};
use crate::template::functions::time::{duration_text, month_name, time_text, weekday_name};
use crate::template::value::{GoValue, IntType, Sample};

/// Where Go prints an address we print this, for addresses differ from run to run.
const ADDRESS: &str = "0xc000000000";

/// Returns what an action writes for a value: a pointer is followed.
pub fn action_text(value: &GoValue) -> String {
    match value {
        GoValue::Invalid | GoValue::Nil => "<no value>".to_owned(),
        GoValue::String(text) | GoValue::Html(text) => text.to_string(),
        GoValue::Sample(sample) => sample_text(sample, 'v', &Spec::default()),
        value => printed(value, 'v', &Spec::default()),
    }
}

/// `Sprint`: spaces between operands when neither is a text.
pub fn sprint(values: &[GoValue]) -> String {
    let mut out = String::new();
    let is_text = |value: &GoValue| matches!(value, GoValue::String(_) | GoValue::Html(_));
    for (idx, value) in values.iter().enumerate() {
        if idx > 0 && !is_text(value) && !is_text(&values[idx - 1]) {
            out.push(' ');
        }
        out.push_str(&printed(value, 'v', &Spec::default()));
    }
    out
}

/// `Sprintln`: spaces between all operands and a newline.
pub fn sprintln(values: &[GoValue]) -> String {
    let texts = values.iter().map(|v| printed(v, 'v', &Spec::default()));
    texts.collect::<Vec<_>>().join(" ") + "\n"
}

/// The flags, width and precision of a verb.
#[derive(Clone, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `type=value`, as Go shows an argument that it cannot print.
fn typed_text(value: &GoValue, spec: &Spec) -> String {
    match value {
        GoValue::Invalid | GoValue::Nil => "<nil>".to_owned(),
        value => {
            let text = printed(value, 'v', spec);
            format!("{}={text}", value.type_name())
        }
    }
}

/// Width and precision hold for the value that is shown, too.
fn bad_verb(value: &GoValue, verb: char, spec: &Spec) -> String {
    format!("%!{verb}({})", typed_text(value, spec))
}

/// Prints one value by one verb.
fn printed(value: &GoValue, verb: char, spec: &Spec) -> String {
    if verb == 'T' {
        return pad(value.type_name(), spec);
    }
    match value {
        GoValue::Invalid | GoValue::Nil if verb == 'v' => pad("<nil>", spec),
        GoValue::Bool(flag) if matches!(verb, 'v' | 't') => pad(&flag.to_string(), spec),
        GoValue::Int(number, int_type) => int_text(value, *number, *int_type, verb, spec),
        GoValue::Float(number) => match float_text(*number, verb, spec) {
            Some(text) => text,
            None => bad_verb(value, verb, spec),
        },
        GoValue::String(text) | GoValue::Html(text) => {
            string_text(text, verb, spec).unwrap_or_else(|| bad_verb(value, verb, spec))
        }
        GoValue::Labels(labels) => {
            let pair = |(name, value): (&str, &str)| {
                let [name, value] =
                    [name, value].map(|text| printed(&GoValue::string(text), verb, spec));
                format!("{name}:{value}")
            };
            format!(
                "map[{}]",
                labels.iter().map(pair).collect::<Vec<_>>().join(" ")
            )
        }
        GoValue::Args(args) => {
            let pair = |(name, value): (&String, &GoValue)| {
                let name = printed(&GoValue::string(name.as_str()), verb, spec);
                format!("{name}:{}", element(value, verb, spec))
            };
            format!(
                "map[{}]",
                args.entries.iter().map(pair).collect::<Vec<_>>().join(" ")
            )
        }
        GoValue::QueryResult(elements) => {
            let pointer =
                |sample: &Rc<Sample>| element(&GoValue::Sample(sample.clone()), verb, spec);
            format!(
                "[{}]",
                elements.iter().map(pointer).collect::<Vec<_>>().join(" ")
            )
        }
        GoValue::Sample(sample) => format!("&{}", sample_text(sample, verb, spec)),
        GoValue::Histogram(histogram) => string_text(&histogram.to_string(), verb, spec)
            .unwrap_or_else(|| bad_verb(value, verb, spec)),
        GoValue::Time(time) => match time_text(time.nanoseconds) {
            Ok(text) => {
                string_text(&text, verb, spec).unwrap_or_else(|| bad_verb(value, verb, spec))
            }
            Err(message) => message,
        },
        GoValue::Duration(span) => string_text(&duration_text(span.nanoseconds), verb, spec)
            .unwrap_or_else(|| int_text(value, span.nanoseconds, IntType::Int64, verb, spec)),
        GoValue::Data(data) => {
            let fields = [
                GoValue::Labels(data.labels.clone()),
                GoValue::Labels(data.external_labels.clone()),
                GoValue::String(data.external_url.clone()),
                data.value.clone(),
            ];
            let names = ["Labels", "ExternalLabels", "ExternalURL", "Value"];
            struct_text(names.iter().copied().zip(&fields), verb, spec)
        }
        value => bad_verb(value, verb, spec),
    }
}

/// Prints what lies inside a map or a struct; there a pointer is an address.
fn element(value: &GoValue, verb: char, spec: &Spec) -> String {
    match value {
        GoValue::Sample(_) if matches!(verb, 'v' | 'p' | 'b' | 'o' | 'd' | 'x' | 'X') => {
            ADDRESS.to_owned()
        }
        GoValue::Sample(_) => bad_verb(value, verb, spec),
        value => printed(value, verb, spec),
    }
}

fn sample_text(sample: &Sample, verb: char, spec: &Spec) -> String {
    let labels = GoValue::Labels(sample.labels.clone());
    struct_text([("Labels", &labels), ("Value", &sample.value)], verb, spec)
}

fn struct_text<'a>(
    fields: impl IntoIterator<Item = (&'static str, &'a GoValue)>,
    verb: char,
    spec: &Spec,
) -> String {
    let with_names = spec.plus && verb == 'v';
    let inner = Spec {
        plus: spec.plus && !with_names,
        ..spec.clone()
    };
    let field = |(name, value): (&str, &GoValue)| {
        let text = element(value, verb, &inner);
        if with_names {
            format!("{name}:{text}")
        } else {
            text
        }
    };
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    format!("{{{}}}", fields.join(" "))
}

/// Pads to the width, counted in characters.
fn pad(text: &str, spec: &Spec) -> String {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    if spec.minus {
        format!("{text}{}", " ".repeat(missing))
    } else if spec.zero {
        format!("{}{text}", "0".repeat(missing))
    } else {
        format!("{}{text}", " ".repeat(missing))
    }
}

fn string_text(text: &str, verb: char, spec: &Spec) -> Option<String> {
    let cut: String = match spec.precision {
        Some(precision) if matches!(verb, 'v' | 's' | 'q') => {
            text.chars().take(precision).collect()
        }
        _ => text.to_owned(),
    };
    let hex = |upper: bool| {
        let length = spec.precision.unwrap_or(usize::MAX);
        let separator = if spec.space { " " } else { "" };
        let byte = |b: u8| match (spec.sharp && spec.space, upper) {
            (true, false) => format!("0x{b:02x}"),
            (true, true) => format!("0X{b:02X}"),
            (false, false) => format!("{b:02x}"),
            (false, true) => format!("{b:02X}"),
        };
        let bytes: Vec<String> = text.bytes().take(length).map(byte).collect();
        let prefix = match (spec.sharp && !spec.space && !bytes.is_empty(), upper) {
            (true, false) => "0x",
            (true, true) => "0X",
            _ => "",
        };
        format!("{prefix}{}", bytes.join(separator))
    };
    Some(match verb {
        'v' | 's' => pad(&cut, spec),
        'q' if spec.sharp && !cut.contains('`') && !cut.contains(char::is_control) => {
            pad(&format!("`{cut}`"), spec)
        }
        'q' => pad(&quote(&cut), spec),
        'x' => pad(&hex(false), spec),
        'X' => pad(&hex(true), spec),
        _ => return None,
    })
}

fn float_text(value: f64, verb: char, spec: &Spec) -> Option<String> {
    let text = match (verb, spec.precision) {
        ('v' | 'g' | 'G', None) => format_general(value),
        ('v' | 'g' | 'G', Some(precision)) => format_general_rounded(value, precision),
        ('e' | 'E', precision) => format_exponent_rounded(value, precision.unwrap_or(6)),
        ('f' | 'F', precision) => format_fixed(value, precision.unwrap_or(6)),
        ('x' | 'X', _) if !value.is_finite() => format_plain(value),
        ('x' | 'X', _) => hex_float(value),
        _ => return None,
    };
    let text = match verb {
        'G' | 'E' | 'X' if value.is_finite() => text.to_uppercase(),
        _ => text,
    };
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => ("-", digits),
        // Go keeps the sign of +Inf, whatever the flags.
        Some(digits) => ("+", digits),
        None if spec.plus => ("+", text.as_str()),
        None if spec.space => (" ", text.as_str()),
        None => ("", text.as_str()),
    };
    let mut spec = spec.clone();
    if !value.is_finite() {
        spec.zero = false;
    }
    if spec.zero && !spec.minus {
        let width = spec.width.unwrap_or(0).saturating_sub(sign.len());
        let zeros = "0".repeat(width.saturating_sub(digits.len()));
        return Some(format!("{sign}{zeros}{digits}"));
    }
    Some(pad(&format!("{sign}{digits}"), &spec))
}

/// Prints as `%x`: the shortest hexadecimal mantissa with a binary exponent.
fn hex_float(value: f64) -> String {
    let bits = value.abs().to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let mut mantissa = bits & ((1 << 52) - 1);
    let mut exponent = i64::try_from(bits >> 52).unwrap_or(0) - 1023;
    if value == 0.0 {
        return format!("{sign}0x0p+00");
    }
    if exponent == -1023 {
        // Subnormal: Go moves the first set bit in front of the point.
        let shift = mantissa.leading_zeros() - 11;
        mantissa = (mantissa << shift) & ((1 << 52) - 1);
        exponent = -1022 - i64::from(shift);
    }
    let digits = format!("{mantissa:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.abs();
    format!("{sign}0x1{point}{digits}p{exponent_sign}{exponent:02}")
}

fn int_text(value: &GoValue, number: i64, int_type: IntType, verb: char, spec: &Spec) -> String {
    let name = match int_type {
        IntType::Weekday => Some(weekday_name(number)),
        IntType::Month => Some(month_name(number)),
        IntType::Int | IntType::Int64 | IntType::Byte => None,
    };
    if let Some(text) = name.and_then(|name| string_text(name, verb, spec)) {
        return text;
    }
    let magnitude = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' => (format!("{magnitude:o}"), "0"),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        'c' | 'q' | 'U' => {
            let code = u32::try_from(number).ok().and_then(char::from_u32);
            let c = code.unwrap_or(char::REPLACEMENT_CHARACTER);
            return match verb {
                'c' => pad(&c.to_string(), spec),
                'q' => pad(&quote_char(c), spec),
                _ => pad(&format!("U+{number:04X}"), spec),
            };
        }
        _ => return bad_verb(value, verb, spec),
    };
    let sign = match number {
        ..0 => "-",
        _ if spec.plus => "+",
        _ if spec.space => " ",
        _ => "",
    };
    let prefix = if spec.sharp || verb == 'O' {
        prefix
    } else {
        ""
    };
    let n_digits = match (spec.precision, spec.width) {
        (Some(0), _) if number == 0 => return pad("", spec),
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = "0".repeat(n_digits.saturating_sub(digits.len()));
    let without_zero = Spec {
        zero: false,
        ..spec.clone()
    };
    pad(&format!("{sign}{prefix}{zeros}{digits}"), &without_zero)
}
