//! The text in which metrics are exposed: OpenMetrics inside, and Prometheus' older format for
//! clients that ask for no other.

use std::fmt::Write;

use crate::model::float::format_general;

/// The content type of OpenMetrics.
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of Prometheus' own format.
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes the head of a metric family. `kind` is OpenMetrics' word; a counter's `name` is
/// without `_total`.
pub fn write_family(text: &mut String, name: &str, kind: &str, help: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    append(
        text,
        format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
    );
}

/// Writes one sample; a counter's `name` ends with `_total`.
pub fn write_sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    text.push_str(name);
    for (at, (label, value)) in labels.iter().enumerate() {
        let open = if at == 0 { '{' } else { ',' };
        append(text, format_args!("{open}{label}=\"{}\"", escaped(value)));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    append(text, format_args!(" {}\n", format_general(value)));
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\");
    value.replace('"', "\\\"").replace('\n', "\\n")
}

fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("a String takes every text");
}

/// Ends a text as OpenMetrics wants it.
pub fn openmetrics(families: &str) -> String {
    format!("{families}# EOF\n")
}

/// Turns OpenMetrics into Prometheus' own format: counters and infos are typed under the name
/// of their samples, units have no line.
pub fn text_format(families: &str) -> String {
    let mut text = String::with_capacity(families.len());
    let mut help = None;
    for line in families.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some((name, kind)) = type_of(line) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let words = help.take().and_then(|help| help.splitn(4, ' ').nth(3));
            if let Some(words) = words {
                append(&mut text, format_args!("# HELP {name}{suffix} {words}\n"));
            }
            append(&mut text, format_args!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            append(&mut text, format_args!("{line}\n"));
        }
    }
    text
}

fn type_of(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_escaped() {
        let mut text = String::new();
        write_sample(&mut text, "a_total", &[], 1e21);
        write_sample(&mut text, "b", &[("x", "1\\\"\n"), ("y", "")], f64::NAN);
        assert_eq!(text, "a_total 1e+21\nb{x=\"1\\\\\\\"\\n\",y=\"\"} NaN\n");
    }

    #[test]
    fn counters_are_typed_under_their_samples_name() {
        let mut families = String::new();
        write_family(&mut families, "a", "counter", "An a.");
        families.push_str("# UNIT a seconds\n");
        write_sample(&mut families, "a_total", &[], 1.0);
        write_family(&mut families, "b", "unknown", "A b of two\nlines.");
        write_sample(&mut families, "b", &[], 2.0);
        assert_eq!(
            text_format(&families),
            "# HELP a_total An a.\n# TYPE a_total counter\na_total 1\n\
             # HELP b A b of two\\nlines.\n# TYPE b untyped\nb 2\n"
        );
        assert!(openmetrics(&families).ends_with("b 2\n# EOF\n"));
    }
}
