//! A context: what a person asks first of an alert, put together from what is known.

use std::collections::BTreeMap;

use crate::context::changes::Changes;
use crate::context::criteria::criteria;
use crate::context::links::{LinkData, expanded, is_link, with_range};
use crate::context::readings::{History, Readings};
use crate::context::recent::{RecentAlert, RecentAlerts};
use crate::context::versions::{InfoSelector, observed_changes, running};
use crate::eval::EvalOptions;
use crate::model::change::DEPLOYMENT;
use crate::model::{
    Change, ContextPart, ContextParts, ContextSettings, DurationMs, InfoMetric, Labels, TimestampMs,
};
use crate::promql::Expr;
use crate::promql::ast::BinaryOp;
use crate::series::SeriesReader;

/// How far back the value is read that a day's is compared with where there is no day, ms.
pub const WEEK: DurationMs = DurationMs::from_seconds(7 * 24 * 3600);
/// A deployment that was told and one that metrics show are the same within this time.
const TOLD_WITHIN: DurationMs = DurationMs::from_seconds(3600);
/// So many changes and alerts are shown, the newest.
const SHOWN_MAX: usize = 10;

/// The annotations that say what to do, in the order in which they are looked for.
const ACTIONS: [&str; 4] = [
    "suggested_actions",
    "actions",
    "action",
    "burnwatch_actions",
];
/// The links that have a name of their own in annotations: the link's, then the annotations'.
const LINKS: [(&str, [&str; 3]); 3] = [
    ("dashboard", ["dashboard_url", "dashboard", "dashboardURL"]),
    ("logs", ["logs_url", "logs", "logsURL"]),
    ("runbook", ["runbook_url", "runbook", "runbookURL"]),
];

/// An alert, as far as its context follows from it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its labels, with `alertname`.
    pub labels: Labels,
    /// Those of them that say what it is about.
    pub identity: Labels,
    /// Its annotations, expanded.
    pub annotations: Vec<(String, String)>,
    /// Its rule's expression.
    pub expr: Expr,
    /// What the expression was worth when it was evaluated last.
    pub value: f64,
    /// Whether that was just now.
    pub is_fresh: bool,
    /// Whether it fires; else it is pending.
    pub is_firing: bool,
    /// Since when it is active, ms.
    pub active_at: TimestampMs,
    /// The instant that the context is of, ms.
    pub at: TimestampMs,
    /// How far before that its rule looks, ms.
    pub query_offset: DurationMs,
    /// Labels that alerts get outside.
    pub external_labels: Labels,
    /// The address under which people reach us.
    pub external_url: String,
    /// Where versions are read.
    pub info: Vec<InfoSelector>,
    /// Bounds and links.
    pub settings: ContextSettings,
}

/// What surrounds an alert. What was not asked for, or is not known, is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// The alert's labels.
    pub labels: Labels,
    /// Whether it fires; else it is pending.
    pub is_firing: bool,
    /// Since when it is active, ms.
    pub active_at: TimestampMs,
    /// The instant that this is of, ms.
    pub at: TimestampMs,
    /// The expression, canonical.
    pub expr: String,
    /// Values now and before.
    pub metrics: Option<Metrics>,
    /// The comparisons of the expression.
    pub criteria: Vec<CriterionReading>,
    /// What runs.
    pub system: Option<System>,
    /// Changes, the newest first.
    pub changes: Vec<Change>,
    /// Links by their name.
    pub links: BTreeMap<String, String>,
    /// What to do.
    pub actions: Vec<String>,
    /// Other alerts about the same, the newest first.
    pub recent_alerts: Vec<RecentAlert>,
    /// Samples that were read for it.
    pub n_samples: usize,
}

/// The value of the alert's expression, without its comparison, now and before.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Now.
    pub current: f64,
    /// What it is to be compared with.
    pub baseline: Option<Baseline>,
    /// The same time a day before.
    pub day_before: Option<f64>,
    /// The same time a week before, where so much is kept.
    pub week_before: Option<f64>,
    /// Over 24 hours.
    pub history: Option<History>,
    /// Whether less was read because more would have been too much.
    pub is_cut: bool,
}

/// What a value is to be compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The value.
    pub value: f64,
    /// What it is.
    pub of: &'static str,
}

/// A comparison of the expression, with its two sides.
#[derive(Clone, Debug, PartialEq)]
pub struct CriterionReading {
    /// As it is written, canonical.
    pub text: String,
    /// The operator, as seen from the value.
    pub op: BinaryOp,
    /// The value.
    pub value: Option<f64>,
    /// The other side.
    pub threshold: Option<f64>,
}

impl CriterionReading {
    /// Returns how far the value is above the threshold; below it, less than zero.
    pub fn distance(&self) -> Option<f64> {
        Some(self.value? - self.threshold?)
    }

    /// Returns that as a part of the threshold's size.
    pub fn relative_distance(&self) -> Option<f64> {
        let threshold = self.threshold.filter(|threshold| *threshold != 0.0)?;
        Some(self.distance()? / threshold.abs())
    }
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    /// The version of the model, or where no metric says that, of the program.
    pub model_version: Option<String>,
    /// Versions by the kind of metric that says them.
    pub versions: BTreeMap<String, String>,
    /// The newest deployment.
    pub last_deployment: Option<Change>,
}

/// Builds the parts of a context that are asked for, at `subject.at`.
pub fn build(
    subject: &Subject,
    parts: ContextParts,
    (changes, recent): (&Changes, &RecentAlerts),
    reader: &dyn SeriesReader,
    options: &EvalOptions,
) -> Context {
    let samples_max = subject.settings.samples_max;
    let mut readings = Readings::new(reader, &subject.identity, options, samples_max);
    let values = parts.has(ContextPart::Metrics) || parts.has(ContextPart::Threshold);
    let (metrics, criteria) = match values {
        true => metrics(subject, parts, &mut readings),
        false => (None, Vec::new()),
    };
    let of_system = parts.has(ContextPart::System) || parts.has(ContextPart::Changes);
    let concerning = match of_system {
        true => concerning(subject, changes, &mut readings),
        false => Vec::new(),
    };
    let has_system = parts.has(ContextPart::System);
    let system = has_system.then(|| system(subject, &concerning, &mut readings));
    let shown_changes = concerning.iter().rev().take(SHOWN_MAX).cloned();
    let others = recent.about(&subject.labels, &subject.identity, subject.at);
    let mut others: Vec<RecentAlert> = others.cloned().collect();
    others.reverse();
    others.truncate(SHOWN_MAX);
    Context {
        labels: subject.labels.clone(),
        is_firing: subject.is_firing,
        active_at: subject.active_at,
        at: subject.at,
        expr: subject.expr.to_string(),
        metrics: metrics.filter(|_| parts.has(ContextPart::Metrics)),
        criteria,
        system,
        changes: match parts.has(ContextPart::Changes) {
            true => shown_changes.collect(),
            false => Vec::new(),
        },
        links: match parts.has(ContextPart::Links) {
            true => links(subject),
            false => BTreeMap::new(),
        },
        actions: match parts.has(ContextPart::Actions) {
            true => actions(&subject.annotations),
            false => Vec::new(),
        },
        recent_alerts: match parts.has(ContextPart::Alerts) {
            true => others,
            false => Vec::new(),
        },
        n_samples: readings.n_samples(),
    }
}

fn metrics(
    subject: &Subject,
    parts: ContextParts,
    readings: &mut Readings<'_>,
) -> (Option<Metrics>, Vec<CriterionReading>) {
    let at = subject.at - subject.query_offset;
    let criteria = criteria(&subject.expr);
    let mut compared = Vec::new();
    let mut current = None;
    let mut n_samples_each = 1;
    for (number, criterion) in criteria.iter().enumerate() {
        let before = readings.n_samples();
        let mut value = readings.value(&criterion.value, None, at);
        if number == 0 {
            n_samples_each = readings.n_samples() - before;
            // What an arrival saw may be newer than what is recorded.
            if subject.is_fresh || value.is_none() {
                value = Some(subject.value);
            }
            current = value;
        }
        let Some((op, threshold)) = &criterion.threshold else {
            continue;
        };
        compared.push(CriterionReading {
            text: criterion.text.clone(),
            op: *op,
            value,
            threshold: readings.value(threshold, criterion.matching.as_ref(), at),
        });
    }
    let (Some(first), Some(current)) = (criteria.first(), current) else {
        return (None, compared);
    };
    let mut metrics = Metrics {
        current,
        baseline: None,
        day_before: None,
        week_before: None,
        history: None,
        is_cut: false,
    };
    if parts.has(ContextPart::Metrics) {
        let value = &first.value;
        metrics.day_before = readings.value(value, None, at - ContextSettings::HISTORY);
        metrics.week_before = readings.value(value, None, at - WEEK);
        metrics.history = readings.history(value, at, n_samples_each);
        metrics.is_cut = readings.is_cut();
        let threshold = compared.first().and_then(|reading| reading.threshold);
        let candidates = [
            (metrics.day_before, "24h before"),
            (metrics.week_before, "7d before"),
            (threshold, "threshold"),
        ];
        let baseline = |(value, of): (Option<f64>, _)| value.map(|value| Baseline { value, of });
        metrics.baseline = candidates.into_iter().find_map(baseline);
    }
    if !parts.has(ContextPart::Threshold) {
        compared.clear();
    }
    (Some(metrics), compared)
}

/// Returns the changes that concern the alert, told and observed, the oldest first.
fn concerning(subject: &Subject, told: &Changes, readings: &mut Readings<'_>) -> Vec<Change> {
    let since = subject.at - subject.settings.changes_age;
    let mut all: Vec<Change> = told
        .concerning(&subject.identity)
        .filter(|change| change.at >= since && change.at <= subject.at)
        .cloned()
        .collect();
    let span = (since, subject.at);
    let (observed, n_samples) = observed_changes(
        readings.reader(),
        &subject.info,
        Some(&subject.identity),
        span,
    );
    readings.spend(n_samples);
    all.extend(observed);
    all.sort();
    all
}

fn system(subject: &Subject, changes: &[Change], readings: &mut Readings<'_>) -> System {
    let span = (subject.at - subject.settings.changes_age, subject.at);
    let (versions, n_samples) = running(readings.reader(), &subject.info, &subject.identity, span);
    readings.spend(n_samples);
    let is_deployment =
        |change: &&Change| [DEPLOYMENT, InfoMetric::MODEL].contains(&change.kind.as_str());
    let newest = changes.iter().rev().find(is_deployment);
    // What somebody told of it says more than that metrics show it soon after.
    let told = newest.and_then(|newest| {
        let is_same = |change: &&Change| {
            let apart = (newest.at - change.at).0.abs();
            change.kind == DEPLOYMENT && change.version == newest.version && apart <= TOLD_WITHIN.0
        };
        changes.iter().rev().find(is_same)
    });
    let last_deployment = told.or(newest).cloned();
    let told = last_deployment
        .as_ref()
        .map(|change| change.version.clone())
        .filter(|version| !version.is_empty());
    let model_version = versions.get(InfoMetric::MODEL).cloned().or(told);
    System {
        model_version: model_version.or_else(|| versions.values().next().cloned()),
        versions,
        last_deployment,
    }
}

fn links(subject: &Subject) -> BTreeMap<String, String> {
    let data = LinkData {
        labels: &subject.labels,
        value: subject.value,
        external_labels: &subject.external_labels,
        external_url: &subject.external_url,
        active_at: subject.active_at,
        at: subject.at,
    };
    let set = subject.settings.links.iter();
    let mut links: BTreeMap<String, String> = set
        .filter_map(|(name, template)| Some((name.clone(), expanded(template, &data)?)))
        .collect();
    // What the rule says itself is more to the point.
    for (name, annotations) in LINKS {
        let Some(url) = annotation(&subject.annotations, &annotations).filter(|url| is_link(url))
        else {
            continue;
        };
        let url = match name {
            "dashboard" => with_range(url, &data),
            _ => url.to_owned(),
        };
        links.insert(name.to_owned(), url);
    }
    links
}

/// Returns what the annotations say to do: a line or a part between semicolons each.
fn actions(annotations: &[(String, String)]) -> Vec<String> {
    let text = annotation(annotations, &ACTIONS).unwrap_or("");
    let parts = text.split(['\n', ';']).map(|part| {
        part.trim()
            .trim_start_matches(['-', '*', '•'])
            .trim_start()
            .to_owned()
    });
    parts.filter(|part| !part.is_empty()).collect()
}

fn annotation<'a>(annotations: &'a [(String, String)], names: &[&str]) -> Option<&'a str> {
    let find = |name: &&str| annotations.iter().find(|(known, _)| known == name);
    let found = names.iter().find_map(find)?;
    Some(found.1.as_str())
}
