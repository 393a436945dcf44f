//! What deploy/alertmanager.yml lets through: its inhibitions, applied to alerts over time.
//!
//! tests/alertmanager.sh shows a real Alertmanager with the same file, in real time; here it is
//! hours of event time.

use std::path::Path;

use burnwatch::engine::{Engine, GroupStatus};
use burnwatch::model::{DurationMs, Entry, Generation, Labels, Stamp, TimestampMs};
use regex::Regex;
use serde::Deserialize;

use crate::world::{Firing, bundled_rules};

#[derive(Deserialize)]
struct File {
    inhibit_rules: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    equal: Vec<String>,
}

struct Matcher {
    label: String,
    is_equal: bool,
    pattern: Regex,
}

impl Matcher {
    /// Reads `name="text"`, `name!="text"`, `name=~"pattern"` or `name!~"pattern"`.
    fn read(text: &str) -> Self {
        let at = text.find(['=', '!']).expect("an operator");
        let quote = text.find('"').expect("quotes");
        let (operator, value) = (&text[at..quote], text[quote..].trim_matches('"'));
        let pattern = match operator {
            "=" | "!=" => format!("^{}$", regex::escape(value)),
            "=~" | "!~" => format!("^(?:{value})$"),
            other => panic!("{text}: {other} is no operator"),
        };
        Matcher {
            label: text[..at].to_owned(),
            is_equal: operator.starts_with('='),
            pattern: Regex::new(&pattern).expect("a pattern"),
        }
    }

    fn matches(&self, firing: &Firing) -> bool {
        let value = firing.labels.get(&self.label).unwrap_or_default();
        self.pattern.is_match(value) == self.is_equal
    }
}

/// One inhibition: while a source fires, targets with equal labels notify nobody.
pub struct Inhibition {
    sources: Vec<Matcher>,
    targets: Vec<Matcher>,
    equal: Vec<String>,
}

/// Returns the inhibitions of deploy/alertmanager.yml.
pub fn deployed() -> Vec<Inhibition> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alertmanager.yml");
    let text = std::fs::read_to_string(path).expect("readable");
    let file: File = serde_saphyr::from_str(&text).expect("YAML with inhibit_rules");
    let matchers = |texts: &[String]| texts.iter().map(|text| Matcher::read(text)).collect();
    let one = |written: Written| Inhibition {
        sources: matchers(&written.source_matchers),
        targets: matchers(&written.target_matchers),
        equal: written.equal,
    };
    file.inhibit_rules.into_iter().map(one).collect()
}

impl Inhibition {
    fn holds(&self, source: &Firing, target: &Firing) -> bool {
        let label = |firing: &Firing, name: &str| firing.labels.get(name).map(str::to_owned);
        let is_source = |firing: &Firing| self.sources.iter().all(|m| m.matches(firing));
        let is_target = |firing: &Firing| self.targets.iter().all(|m| m.matches(firing));
        is_source(source)
            && is_target(target)
            // As Alertmanager has it: two alerts that are both do not silence each other.
            && !(is_source(target) && is_target(source))
            && self.equal.iter().all(|name| label(source, name) == label(target, name))
    }
}

/// Returns the alerts that somebody is told of: those that fire for a moment at which nothing
/// inhibits them. `PlannedMaintenance` itself is routed to nobody.
pub fn notified(firings: &[Firing], inhibitions: &[Inhibition]) -> Vec<(String, i64)> {
    let mut told = Vec::new();
    for target in firings.iter().filter(|f| f.alert != "PlannedMaintenance") {
        let is_source = |source: &&Firing| inhibitions.iter().any(|i| i.holds(source, target));
        let mut sources: Vec<&Firing> = firings.iter().filter(is_source).collect();
        sources.sort_by_key(|source| source.from);
        // Up to where the target is inhibited without a pause.
        let mut covered = target.from;
        for source in sources {
            if source.from <= covered {
                covered = covered.max(source.until.unwrap_or(i64::MAX));
            }
        }
        if covered < target.until.unwrap_or(i64::MAX) {
            told.push((target.alert.clone(), covered));
        }
    }
    told
}

/// An alert of the bundled rules as it would be of job `j` and model `m`, and how long it waits.
fn bundled_alerts() -> Vec<(Firing, DurationMs)> {
    let entry = Entry::Rules {
        stamp: Stamp {
            sequence: 1,
            wall: TimestampMs(0),
            clock: None,
        },
        generation: Generation::default(),
        rules: bundled_rules().into(),
    };
    let mut engine = Engine::new();
    engine.apply(&entry, &|| 0.0, &mut Vec::new());
    let groups: Vec<GroupStatus> = engine.groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts = rules.filter_map(|rule| {
        let hold = rule.alerting.as_ref()?.hold;
        let own = [
            ("alertname", rule.name.as_str()),
            ("job", "j"),
            ("model", "m"),
        ];
        let written = rule.labels.iter();
        let written = written.map(|(name, value)| (name.as_str(), value.as_str()));
        let firing = Firing {
            alert: rule.name.clone(),
            labels: Labels::from_pairs(own.into_iter().chain(written)),
            from: 0,
            until: None,
        };
        Some((firing, hold))
    });
    alerts.collect()
}

/// They look at an hour and do not wait; rules/cascades.yml says so.
const WITHOUT_WAIT: [&str; 2] = ["SloBurn14_4", "LatencySloBurn14_4"];

/// What is critical goes out at once: a follower that waits less than its cause would be told
/// before it. It was so while the cascades waited two minutes.
#[test]
fn a_cascade_waits_no_longer_than_what_it_holds_back() {
    let (alerts, inhibitions) = (bundled_alerts(), deployed());
    let is_cause = |alert: &&(Firing, DurationMs)| {
        alert.0.labels.get("cascade").is_some() || alert.0.alert == "DeploymentRegression"
    };
    let mut wrong = Vec::new();
    let mut n_pairs = 0;
    for (cause, waits) in alerts.iter().filter(is_cause) {
        for (follower, holds) in &alerts {
            let is_urgent = follower.labels.get("severity") == Some("critical")
                && !WITHOUT_WAIT.contains(&follower.alert.as_str());
            if is_urgent && inhibitions.iter().any(|one| one.holds(cause, follower)) {
                n_pairs += 1;
                if holds < waits {
                    let (cause, follower) = (&cause.alert, &follower.alert);
                    wrong.push(format!(
                        "{follower} ({holds}) is told before {cause} ({waits})"
                    ));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(n_pairs > 10, "{n_pairs} pairs");
}
