//! Which version runs, and when it changed, as metrics such as `model_info{version="v3"} 1` say.
//!
//! Nothing is kept for this: the runs of such series, from a first sample to a silence, say when
//! each version began.

use std::collections::BTreeMap;

use crate::context::labels::agreement;
use crate::model::{Change, DurationMs, Labels, METRIC_NAME, Matcher, TimestampMs};
use crate::promql::LOOKBACK_DELTA;
use crate::series::SeriesReader;

/// Labels of such metrics that go with the version, and do not say what it is the version of.
const GO_ALONG: [&str; 10] = [
    "branch",
    "build_date",
    "commit",
    "goarch",
    "goos",
    "goversion",
    "revision",
    "sha",
    "tag",
    "tags",
];

/// A metric whose label says which version runs.
#[derive(Clone, Debug, PartialEq)]
pub struct InfoSelector {
    /// Its series.
    pub matchers: Vec<Matcher>,
    /// The label.
    pub label: String,
    /// The kind of change that another version is.
    pub kind: String,
}

/// A time in which a version ran somewhere.
struct Run {
    from: TimestampMs,
    until: TimestampMs,
    version: String,
}

/// What runs are of the same thing: kind, and the labels that say what.
type Thing = (String, Labels);

/// Returns the changes of version between `since` and `until` that such metrics show, the oldest
/// first; with `about` only of what it concerns. Also the samples that were read.
pub fn observed_changes(
    reader: &dyn SeriesReader,
    info: &[InfoSelector],
    about: Option<&Labels>,
    (since, until): (TimestampMs, TimestampMs),
) -> (Vec<Change>, usize) {
    let (runs, n_samples) = runs(reader, info, about, (since, until));
    let mut changes = Vec::new();
    for ((kind, labels), runs) in &runs {
        let mut before: Option<&str> = None;
        for run in runs {
            let version = run.version.as_str();
            if let Some(old) = before.replace(version)
                && old != version
            {
                changes.push(Change {
                    at: run.from,
                    kind: kind.clone(),
                    labels: labels.clone(),
                    version: version.to_owned(),
                    text: format!("version {version} instead of {old}"),
                    link: String::new(),
                });
            }
        }
    }
    changes.sort();
    // A fleet that is changed one by one is one change for whoever is concerned by all of it.
    if about.is_some() {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        changes.retain(|change| {
            let newest = seen.insert(change.kind.clone(), change.version.clone());
            newest.as_deref() != Some(change.version.as_str())
        });
    }
    (changes, n_samples)
}

/// Returns the versions that run at `until`, by the kind of metric that says so; of several the
/// one that began last. Also the samples that were read.
pub(in crate::context) fn running(
    reader: &dyn SeriesReader,
    info: &[InfoSelector],
    about: &Labels,
    (since, until): (TimestampMs, TimestampMs),
) -> (BTreeMap<String, String>, usize) {
    let (runs, n_samples) = runs(reader, info, Some(about), (since, until));
    let mut newest: BTreeMap<String, (TimestampMs, String)> = BTreeMap::new();
    for ((kind, _), runs) in runs {
        let runs_now = runs
            .into_iter()
            .filter(|run| run.until + LOOKBACK_DELTA > until);
        for run in runs_now {
            let known = newest.get(&kind);
            if known.is_none_or(|known| known.0 <= run.from) {
                newest.insert(kind.clone(), (run.from, run.version));
            }
        }
    }
    let versions = newest.into_iter();
    (
        versions
            .map(|(kind, (_, version))| (kind, version))
            .collect(),
        n_samples,
    )
}

/// Returns the runs of each thing, in the order in which they began.
fn runs(
    reader: &dyn SeriesReader,
    info: &[InfoSelector],
    about: Option<&Labels>,
    (since, until): (TimestampMs, TimestampMs),
) -> (BTreeMap<Thing, Vec<Run>>, usize) {
    let mut found: BTreeMap<Thing, Vec<Run>> = BTreeMap::new();
    let mut n_samples = 0;
    for metric in info {
        reader.select(&metric.matchers, &mut |labels, history| {
            let Some(version) = labels.get(&metric.label) else {
                return;
            };
            let thing = labels.filter(|name| {
                name != METRIC_NAME && name != metric.label && !GO_ALONG.contains(&name)
            });
            let concerns = |about| agreement(&thing, about).is_some_and(|n| n > 0);
            if !about.is_none_or(concerns) {
                return;
            }
            let mut run: Option<Run> = None;
            let of_thing = found.entry((metric.kind.clone(), thing)).or_default();
            let points = history.range(since - DurationMs(1), until);
            for point in points {
                n_samples += 1;
                let is_on = !point.value.is_stale() && point.value.as_float() != Some(0.0);
                let goes_on = run
                    .as_ref()
                    .is_some_and(|run| point.at - run.until < LOOKBACK_DELTA);
                match &mut run {
                    Some(run) if is_on && goes_on => run.until = point.at,
                    _ => {
                        of_thing.extend(run.take());
                        run = is_on.then(|| Run {
                            from: point.at,
                            until: point.at,
                            version: version.to_owned(),
                        });
                    }
                }
            }
            of_thing.extend(run);
        });
    }
    for runs in found.values_mut() {
        runs.sort_by(|a, b| (a.from, &a.version).cmp(&(b.from, &b.version)));
    }
    (found, n_samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SeriesHistory;
    use crate::model::{SampleValue, stale_nan};
    use crate::series::Snapshot;

    const MINUTE: i64 = 60_000;

    /// A series of `model_info` for each version, with a sample a minute in `[from, until)`.
    fn models(runs: &[(&str, &str, i64, i64)]) -> Snapshot {
        let mut histories: BTreeMap<Labels, SeriesHistory> = BTreeMap::new();
        for (instance, version, from, until) in runs {
            let labels = Labels::from_pairs([
                ("__name__", "model_info"),
                ("instance", instance),
                ("job", "model"),
                ("version", version),
            ]);
            let history = histories.entry(labels).or_default();
            let mut put = |minute: i64, value| {
                let at = TimestampMs(minute * MINUTE);
                history.append(at, SampleValue::Float(value), TimestampMs::MAX);
            };
            (*from..*until).for_each(|minute| put(minute, 1.0));
            put(*until, stale_nan());
        }
        let mut snapshot = Snapshot::default();
        for (labels, history) in histories {
            snapshot.insert(labels, history);
        }
        snapshot
    }

    fn info() -> Vec<InfoSelector> {
        vec![InfoSelector {
            matchers: vec![Matcher::equal(METRIC_NAME, "model_info")],
            label: "version".to_owned(),
            kind: "model".to_owned(),
        }]
    }

    fn shown(changes: &[Change]) -> String {
        let show = |change: &Change| format!("{}@{}", change.version, change.at.0 / MINUTE);
        changes.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn another_version_is_a_change_and_so_is_the_way_back() {
        let snapshot = models(&[("i", "v1", 0, 10), ("i", "v2", 10, 20), ("i", "v1", 20, 30)]);
        let span = (TimestampMs(0), TimestampMs(60 * MINUTE));
        let (changes, n_samples) = observed_changes(&snapshot, &info(), None, span);
        assert_eq!(shown(&changes), "v2@10 v1@20");
        assert_eq!(n_samples, 33);
        assert_eq!(changes[0].text, "version v2 instead of v1");
    }

    #[test]
    fn a_fleet_changes_once_for_whom_all_of_it_concerns() {
        let snapshot = models(&[
            ("a", "v1", 0, 10),
            ("b", "v1", 0, 12),
            ("a", "v2", 10, 30),
            ("b", "v2", 12, 30),
        ]);
        let span = (TimestampMs(0), TimestampMs(29 * MINUTE));
        let about = |pairs: &[(&str, &str)]| {
            let about = Labels::from_pairs(pairs.iter().copied());
            let (changes, _) = observed_changes(&snapshot, &info(), Some(&about), span);
            let (versions, _) = running(&snapshot, &info(), &about, span);
            let version = versions.get("model").cloned().unwrap_or_default();
            format!("{} {version}", shown(&changes))
        };
        assert_eq!(about(&[("job", "model")]), "v2@10 v2");
        assert_eq!(about(&[("instance", "b")]), "v2@12 v2");
        assert_eq!(about(&[("job", "other")]), " ");
        assert_eq!(about(&[("region", "eu")]), " ", "nothing in common");
    }
}
