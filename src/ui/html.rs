//! The few pieces of HTML that pages are made of. Every text from outside goes through
//! [`Text`] or [`query_text`].

use std::fmt;

use crate::model::TimestampMs;

/// A text between tags or in a quoted attribute, escaped.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Escapes a text for the query part of a URL.
pub fn query_text(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Writes a text, as a link where it is one. Only http and https are: a `javascript:` URL in an
/// annotation stays a text.
pub fn linked(text: &str) -> String {
    let shown = Text(text);
    let is_link = text.starts_with("http://") || text.starts_with("https://");
    if is_link && !text.contains(char::is_whitespace) {
        format!("<a href=\"{shown}\" rel=\"noreferrer\">{shown}</a>")
    } else {
        shown.to_string()
    }
}

/// Writes `count` with a thin gap between thousands.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Writes a span of seconds in its two largest units: `3h 12m`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    let sign = if seconds < 0.0 { "−" } else { "" };
    let seconds = seconds.abs();
    if seconds < 60.0 {
        let decimals = usize::from(seconds < 10.0);
        return format!("{sign}{seconds:.decimals$}s");
    }
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{sign}{minutes}m {}s", whole % 60),
        (0, _) => format!("{sign}{hours}h {minutes}m"),
        _ => format!("{sign}{days}d {hours}h"),
    }
}

/// Writes how long before `now` an instant lies, with the instant itself as a tooltip.
pub fn age(at: TimestampMs, now: TimestampMs) -> String {
    let instant = crate::api::json::TimeJson(Some(at));
    format!(
        "<time title=\"{instant}\">{}</time>",
        span((now - at).seconds())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            Text("a<b>&\"c\" é 'd'").to_string(),
            "a&lt;b&gt;&amp;&quot;c&quot; é &#39;d&#39;"
        );
        assert_eq!(query_text("a{b=\"c\"} > 1"), "a%7Bb%3D%22c%22%7D+%3E+1");
    }

    #[test]
    fn only_web_addresses_become_links() {
        let check = |text: &str, is_link: bool| {
            assert_eq!(linked(text).starts_with("<a "), is_link, "{text}");
        };
        check("https://runbooks/x?a=1&b=2", true);
        check("javascript:alert(1)", false);
        check("see https://x", false);
        check("https://x and more", false);
    }

    #[test]
    fn spans_have_two_units() {
        let check = |seconds: f64, expected: &str| assert_eq!(span(seconds), expected);
        check(0.42, "0.4s");
        check(42.4, "42s");
        check(-3.0, "−3.0s");
        check(125.0, "2m 5s");
        check(11_520.0, "3h 12m");
        check(180_000.0, "2d 2h");
        check(f64::NAN, "–");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
