//! Links to where one goes on looking: templates with the alert's labels and its time.
//!
//! A link is only shown, never followed from here. What comes from labels is escaped before it is
//! put in, and host and scheme are written out in the template, so that no label can lead people
//! elsewhere.

use crate::model::{DurationMs, Labels, SampleValue, TimestampMs};
use crate::template::{Template, TemplateData};

/// How long before an alert became active its links begin, ms.
const BEFORE: DurationMs = DurationMs::from_seconds(3600);

const EXTERNAL_URL: &str = "$externalURL";

/// What a link is about.
pub(in crate::context) struct LinkData<'a> {
    pub labels: &'a Labels,
    pub value: f64,
    pub external_labels: &'a Labels,
    pub external_url: &'a str,
    pub active_at: TimestampMs,
    pub at: TimestampMs,
}

/// Checks the template of a link; an error says what is wrong and what to write.
pub fn check_link(template: &str) -> Result<(), String> {
    // What follows our own address must not become a part of its host.
    let behind_ours = template
        .strip_prefix("{{")
        .and_then(|rest| rest.trim_start().strip_prefix(EXTERNAL_URL))
        .and_then(|rest| rest.trim_start().strip_prefix("}}"));
    let is_ours = behind_ours.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !is_ours {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| template.strip_prefix(scheme));
        let Some(rest) = rest else {
            return Err("it must begin with http:// or https:// or {{ $externalURL }}".to_owned());
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or("");
        if host.is_empty() || host.contains("{{") || host.contains(['@', '\\']) {
            return Err(
                "its host must be written out, without a template and without a user".to_owned(),
            );
        }
    }
    let parsed = parsed(template, TimestampMs(0), TimestampMs(0));
    parsed.map(drop)
}

/// Returns the link, or nothing where it cannot be made.
pub(in crate::context) fn expanded(template: &str, data: &LinkData<'_>) -> Option<String> {
    check_link(template).ok()?;
    let parsed = parsed(template, data.active_at - BEFORE, data.at).ok()?;
    let labels = data.labels.iter();
    let labels: Vec<(&str, String)> = labels.map(|(name, v)| (name, escaped(v))).collect();
    let text = parsed
        .expand(
            &TemplateData {
                labels: &Labels::from_pairs(labels.iter().map(|(n, v)| (*n, v.as_str()))),
                value: &SampleValue::Float(data.value),
                external_labels: data.external_labels,
                external_url: data.external_url,
                at: data.at,
            },
            &mut |_| Err("a link has no queries".to_owned()),
        )
        .ok()?;
    is_link(&text).then_some(text)
}

/// Tells whether a text can be shown as a link.
pub(in crate::context) fn is_link(text: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>`\\".contains(c);
    let has_scheme = text.starts_with("http://") || text.starts_with("https://");
    has_scheme && text.chars().all(is_plain)
}

/// Returns a link to a dashboard with its time range, unless it says one itself.
pub(in crate::context) fn with_range(url: &str, data: &LinkData<'_>) -> String {
    if url.contains("from=") || url.contains('#') {
        return url.to_owned();
    }
    let sign = if url.contains('?') { '&' } else { '?' };
    let (from, to) = (data.active_at - BEFORE, data.at);
    format!("{url}{sign}from={}&to={}", from.0, to.0)
}

fn parsed(template: &str, from: TimestampMs, to: TimestampMs) -> Result<Template, String> {
    // Texts and not numbers, which a template would show with an exponent.
    let text = format!(
        "{{{{$from := \"{}\"}}}}{{{{$to := \"{}\"}}}}\
         {{{{$fromTime := \"{}\"}}}}{{{{$toTime := \"{}\"}}}}{template}",
        from.0,
        to.0,
        escaped(&rfc3339(from)),
        escaped(&rfc3339(to))
    );
    Template::parse("link", &text).map_err(|error| error.to_string())
}

/// Writes an instant as RFC 3339 in UTC.
pub(in crate::context) fn rfc3339(at: TimestampMs) -> String {
    // It fails only beyond the years that have four digits.
    let instant = jiff::Timestamp::from_millisecond(at.0);
    instant.map_or_else(|_| at.0.to_string(), |instant| instant.to_string())
}

/// Escapes what is not plain in any part of a URL.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(template: &str, job: &str) -> Option<String> {
        expanded(
            template,
            &LinkData {
                labels: &Labels::from_pairs([("alertname", "Slow"), ("job", job)]),
                value: 1.0,
                external_labels: &Labels::empty(),
                external_url: "http://bw/x",
                active_at: TimestampMs(7_200_000),
                at: TimestampMs(10_800_000),
            },
        )
    }

    #[test]
    fn a_link_has_labels_and_time() {
        let check = |template: &str, expected: &str| {
            assert_eq!(
                link(template, "a b&c").as_deref(),
                Some(expected),
                "{template}"
            );
        };
        check(
            "https://grafana/d/x?var-job={{ $labels.job }}&from={{ $from }}&to={{ $to }}",
            "https://grafana/d/x?var-job=a%20b%26c&from=3600000&to=10800000",
        );
        check(
            "http://logs/?since={{ $fromTime }}",
            "http://logs/?since=1970-01-01T01%3A00%3A00Z",
        );
        check("https://wiki/{{ $labels.alertname }}", "https://wiki/Slow");
        check("{{ $externalURL }}/alerts", "http://bw/x/alerts");
    }

    #[test]
    fn no_label_leads_elsewhere() {
        for template in [
            "{{ $labels.job }}",
            "https://{{ $labels.job }}/x",
            "https://user@{{ $labels.job }}/x",
            "https://good@evil/x",
            "{{ $externalURL }}{{ $labels.job }}/x",
            "javascript:alert(1)",
            "//evil/x",
            "https:///x",
            "",
        ] {
            assert!(check_link(template).is_err(), "{template}");
            assert_eq!(link(template, "evil"), None, "{template}");
        }
        let found = link("https://good/{{ $labels.job }}", "/../@evil\r\n\"");
        assert_eq!(
            found.as_deref(),
            Some("https://good/%2F..%2F%40evil%0D%0A%22")
        );
        assert!(check_link("https://good/{{ .Nothing }").is_err());
    }
}
