//! The labels an alert has outside: external labels where it lacks them, then relabelling.

use crate::model::{Labels, LabelsBuilder};
use crate::relabel::{RelabelConfig, relabel};

/// Returns the labels to send, or `None` where relabelling drops the alert.
pub fn outgoing_labels(
    labels: &Labels,
    external_labels: &Labels,
    steps: &[&[RelabelConfig]],
) -> Option<Labels> {
    let mut builder = LabelsBuilder::from(labels);
    for (name, value) in external_labels.iter() {
        if labels.get(name).is_none() {
            builder.set(name, value);
        }
    }
    let labels = builder.build();
    steps
        .iter()
        .try_fold(labels, |labels, steps| relabel(&labels, steps))
}

/// Returns the page that shows an expression, `<external URL>/graph?g0.expr=…&g0.tab=1`.
pub fn generator_url(external_url: &str, expr: &str) -> String {
    let expr: String = url::form_urlencoded::byte_serialize(expr.as_bytes()).collect();
    // Go escapes what HTML forms leave alone, and leaves alone what they escape.
    let expr = expr.replace('*', "%2A").replace("%7E", "~");
    let base = external_url.trim_end_matches('/');
    format!("{base}/graph?g0.expr={expr}&g0.tab=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_url_is_escaped_as_in_go() {
        assert_eq!(
            generator_url("http://h/base/", "sum(a{b=~\"c.*\"}) * 2 > é~_-"),
            "http://h/base/graph?g0.expr=sum%28a%7Bb%3D~%22c.%2A%22%7D%29+%2A+2+%3E+%C3%A9~_-&g0.tab=1"
        );
    }

    #[test]
    fn external_labels_fill_gaps_only() {
        let labels = Labels::from_pairs([("alertname", "A"), ("cluster", "own")]);
        let external = Labels::from_pairs([("cluster", "c1"), ("zone", "z")]);
        let sent = outgoing_labels(&labels, &external, &[]).map(|labels| labels.to_string());
        let expected = r#"{alertname="A", cluster="own", zone="z"}"#;
        assert_eq!(sent.as_deref(), Some(expected));
    }
}
