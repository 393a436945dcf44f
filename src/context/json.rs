//! A context as JSON, with the keys that such templates usually have: `metrics`, `system`,
//! `investigation`, `suggested_actions`, `recent_alerts`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::context::build::{Context, CriterionReading, Metrics, System};
use crate::context::links::rfc3339;
use crate::context::readings::History;
use crate::context::recent::RecentAlert;
use crate::model::float::format_plain;
use crate::model::{Change, Labels, TimestampMs};

/// A float that JSON can hold, or its text.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => serializer.serialize_f64(self.0),
            false => serializer.serialize_str(&format_plain(self.0)),
        }
    }
}

struct LabelsMap<'a>(&'a Labels);

impl Serialize for LabelsMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

struct Time(TimestampMs);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

#[derive(Serialize)]
struct ContextJson<'a> {
    alert: &'a str,
    fingerprint: String,
    labels: LabelsMap<'a>,
    state: &'static str,
    active_at: Time,
    timestamp: Time,
    expression: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<MetricsJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    criteria: Vec<CriterionJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<SystemJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    investigation: BTreeMap<String, &'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    suggested_actions: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent_alerts: Vec<RecentJson<'a>>,
}

#[derive(Serialize)]
struct MetricsJson<'a> {
    current: Number,
    baseline: Option<BaselineJson<'a>>,
    day_before: Option<Number>,
    week_before: Option<Number>,
    historical: Option<HistoryJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct BaselineJson<'a> {
    value: Number,
    of: &'a str,
}

#[derive(Serialize)]
struct HistoryJson {
    from: Time,
    until: Time,
    step_seconds: f64,
    min: Number,
    avg: Number,
    max: Number,
    sparkline: String,
    values: Vec<(f64, Number)>,
}

#[derive(Serialize)]
struct CriterionJson<'a> {
    expression: &'a str,
    operator: &'static str,
    value: Option<Number>,
    threshold: Option<Number>,
    distance: Option<Number>,
    relative_distance: Option<Number>,
}

#[derive(Serialize)]
struct SystemJson<'a> {
    model_version: Option<&'a str>,
    versions: &'a BTreeMap<String, String>,
    last_deployment: Option<ChangeJson<'a>>,
    recent_changes: Vec<ChangeJson<'a>>,
}

/// A change as the API and contexts show it.
#[derive(Serialize)]
pub struct ChangeJson<'a> {
    time: Time,
    kind: &'a str,
    labels: LabelsMap<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link: &'a str,
}

#[derive(Serialize)]
struct RecentJson<'a> {
    alert: &'a str,
    labels: LabelsMap<'a>,
    fired_at: Time,
    resolved_at: Option<Time>,
}

impl<'a> ChangeJson<'a> {
    /// Shows a change.
    pub fn of(change: &'a Change) -> Self {
        ChangeJson {
            time: Time(change.at),
            kind: &change.kind,
            labels: LabelsMap(&change.labels),
            version: &change.version,
            text: &change.text,
            link: &change.link,
        }
    }
}

/// Writes a context.
pub fn to_json(context: &Context) -> String {
    // It fails only where keys are no texts.
    serde_json::to_string(&shown(context)).unwrap_or_default()
}

/// Returns a context as a tree.
pub fn to_value(context: &Context) -> serde_json::Value {
    serde_json::to_value(shown(context)).unwrap_or_default()
}

fn shown(context: &Context) -> ContextJson<'_> {
    let name = context.labels.value(crate::model::ALERT_NAME);
    let system = context.system.as_ref();
    let has_changes = system.is_some() || !context.changes.is_empty();
    let links = context.links.iter();
    ContextJson {
        alert: name,
        fingerprint: format!("{:016x}", context.labels.fingerprint()),
        labels: LabelsMap(&context.labels),
        state: if context.is_firing {
            "firing"
        } else {
            "pending"
        },
        active_at: Time(context.active_at),
        timestamp: Time(context.at),
        expression: &context.expr,
        metrics: context.metrics.as_ref().map(metrics_json),
        criteria: context.criteria.iter().map(criterion_json).collect(),
        system: has_changes.then(|| system_json(system, &context.changes)),
        investigation: links
            .map(|(name, url)| (format!("{name}_url"), url.as_str()))
            .collect(),
        suggested_actions: &context.actions,
        recent_alerts: context.recent_alerts.iter().map(recent_json).collect(),
    }
}

fn metrics_json(metrics: &Metrics) -> MetricsJson<'_> {
    let baseline = metrics.baseline.as_ref();
    MetricsJson {
        current: Number(metrics.current),
        baseline: baseline.map(|baseline| BaselineJson {
            value: Number(baseline.value),
            of: baseline.of,
        }),
        day_before: metrics.day_before.map(Number),
        week_before: metrics.week_before.map(Number),
        historical: metrics.history.as_ref().map(history_json),
        note: metrics
            .is_cut
            .then_some("fewer points were read than there are (limits: context_samples)"),
    }
}

fn history_json(history: &History) -> HistoryJson {
    let points = history.points.iter();
    HistoryJson {
        from: Time(history.from),
        until: Time(history.until),
        step_seconds: history.step.seconds(),
        min: Number(history.min),
        avg: Number(history.avg),
        max: Number(history.max),
        sparkline: history.sparkline(),
        values: points
            .map(|(at, value)| (at.seconds(), Number(*value)))
            .collect(),
    }
}

fn criterion_json(reading: &CriterionReading) -> CriterionJson<'_> {
    CriterionJson {
        expression: &reading.text,
        operator: reading.op.symbol(),
        value: reading.value.map(Number),
        threshold: reading.threshold.map(Number),
        distance: reading.distance().map(Number),
        relative_distance: reading.relative_distance().map(Number),
    }
}

fn system_json<'a>(system: Option<&'a System>, changes: &'a [Change]) -> SystemJson<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let deployment = system.and_then(|system| system.last_deployment.as_ref());
    SystemJson {
        model_version: system.and_then(|system| system.model_version.as_deref()),
        versions: system.map_or(&NONE, |system| &system.versions),
        last_deployment: deployment.map(ChangeJson::of),
        recent_changes: changes.iter().map(ChangeJson::of).collect(),
    }
}

fn recent_json(alert: &RecentAlert) -> RecentJson<'_> {
    RecentJson {
        alert: alert.labels.value(crate::model::ALERT_NAME),
        labels: LabelsMap(&alert.labels),
        fired_at: Time(alert.fired_at),
        resolved_at: alert.resolved_at.map(Time),
    }
}
