//! A context as annotations, for those who read an alert in a chat or on a pager: short lines.

use crate::context::build::{Context, CriterionReading, Metrics};
use crate::context::links::rfc3339;
use crate::context::recent::RecentAlert;
use crate::model::float::format_general_rounded;
use crate::model::{ALERT_NAME, Change, ContextSettings};

/// Significant digits of numbers.
const DIGITS: usize = 4;

/// Returns the annotations of a context, `burnwatch_context_<what>`, by name; what is not known is
/// not there.
pub fn annotations(context: &Context) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |what: &str, text: String| {
        if !text.is_empty() {
            found.push((format!("{}_{what}", ContextSettings::ANNOTATION), text));
        }
    };
    if let Some(metrics) = &context.metrics {
        add("current", short(metrics.current));
        add("baseline", baseline(metrics));
        add("history", history(metrics));
    }
    let criteria = context.criteria.iter().map(criterion);
    let criteria: Vec<String> = criteria.collect();
    add("threshold", criteria.join("\n"));
    if let Some(system) = &context.system {
        let version = system.model_version.clone();
        add("model_version", version.unwrap_or_default());
        let deployment = system.last_deployment.as_ref().map(change);
        add("last_deployment", deployment.unwrap_or_default());
    }
    add("changes", lines(&context.changes, change));
    for (name, url) in &context.links {
        add(name, url.clone());
    }
    add(
        "actions",
        lines(&context.actions, |action| format!("- {action}")),
    );
    add("recent_alerts", lines(&context.recent_alerts, recent));
    found.sort();
    found
}

fn short(value: f64) -> String {
    format_general_rounded(value, DIGITS)
}

fn lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    let lines: Vec<String> = items.iter().map(line).collect();
    lines.join("\n")
}

fn baseline(metrics: &Metrics) -> String {
    let baseline = metrics.baseline.as_ref();
    let shown = baseline.map(|baseline| format!("{} ({})", short(baseline.value), baseline.of));
    shown.unwrap_or_default()
}

fn history(metrics: &Metrics) -> String {
    let Some(history) = &metrics.history else {
        return String::new();
    };
    format!(
        "24h: min {}, avg {}, max {} {}",
        short(history.min),
        short(history.avg),
        short(history.max),
        history.sparkline()
    )
}

fn criterion(reading: &CriterionReading) -> String {
    let (Some(value), Some(threshold)) = (reading.value, reading.threshold) else {
        return reading.text.clone();
    };
    let mut text = format!("{} {} {}", short(value), reading.op, short(threshold));
    if let Some(distance) = reading.distance().filter(|distance| *distance != 0.0) {
        let side = if distance > 0.0 { "above" } else { "below" };
        text.push_str(&format!(", {} {side}", short(distance.abs())));
    }
    if let Some(share) = reading.relative_distance().filter(|share| *share != 0.0) {
        text.push_str(&format!(" ({:.0} %)", share.abs() * 100.0));
    }
    text
}

fn change(change: &Change) -> String {
    let words = [&change.kind, &change.version, &change.text, &change.link];
    let words: Vec<&str> = words
        .into_iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    format!("{} {}", rfc3339(change.at), words.join(" "))
}

fn recent(alert: &RecentAlert) -> String {
    let name = alert.labels.value(ALERT_NAME);
    let from = rfc3339(alert.fired_at);
    match alert.resolved_at {
        None => format!("{name} since {from}"),
        Some(until) => format!("{name} {from} to {}", rfc3339(until)),
    }
}
