//! The alerts of one rule, and what a tick or an arrival does to them all.
//!
//! Iteration is in the order of labels, so that the same evaluations give the same transitions.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use crate::alert::{Alert, Phase, Transition};
use crate::model::{DurationMs, Labels, TimestampMs};

/// What an evaluation found for one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Which part of the rule it comes from, where the rule can be taken apart.
    pub part: Option<u64>,
    /// The expression's value; of a native histogram its count.
    pub value: f64,
    /// The expanded annotations.
    pub annotations: Arc<[(String, String)]>,
}

/// How a rule's alerts behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `for`
    pub hold: DurationMs,
    /// `keep_firing_for`
    pub keep_firing: DurationMs,
    /// The most active alerts; 0 = no limit.
    pub limit: usize,
    /// `false` while a window warms whose missing members could make the rule true.
    pub may_fire: bool,
}

/// The pending and firing alerts of one rule.
#[derive(Clone, Debug, Default)]
pub struct ActiveAlerts {
    alerts: BTreeMap<Labels, Alert>,
    /// The alerts of each part of the rule.
    by_part: BTreeMap<u64, BTreeSet<Labels>>,
}

impl ActiveAlerts {
    /// Iterates over the alerts in the order of labels.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Removes all alerts and returns them: the limit was exceeded, or the rule is gone.
    pub fn take_all(&mut self) -> Vec<Alert> {
        self.by_part.clear();
        std::mem::take(&mut self.alerts).into_values().collect()
    }

    /// Applies a tick. `found` is what Prometheus would see; `live` is what an arrival would see
    /// where that differs (the rule reads recorded series). Returns the transitions in order of
    /// labels, or the number of alerts when it is above the limit (all state is then dropped,
    /// as in Prometheus).
    pub fn tick(
        &mut self,
        at: TimestampMs,
        found: &BTreeMap<Labels, Found>,
        live: Option<&BTreeMap<Labels, Found>>,
        policy: &Policy,
    ) -> Result<Vec<(Alert, Transition)>, usize> {
        let (mut changes, mut missing) = (Vec::new(), Vec::new());
        // Both are in the order of labels: they are gone through side by side, which takes few
        // comparisons of labels.
        let mut known = std::mem::take(&mut self.alerts).into_iter().peekable();
        let mut alerts = Vec::with_capacity(known.len().max(found.len()));
        for (labels, as_prometheus, as_arrival) in side_by_side(found, live) {
            let Some(seen) = as_prometheus.or(as_arrival) else {
                continue;
            };
            missing.extend(std::iter::from_fn(|| {
                known.next_if(|(known, _)| known < labels)
            }));
            let before = known.next_if(|(known, _)| known == labels);
            let is_new = before.is_none();
            let (labels, mut alert) = before.unwrap_or_else(|| {
                let alert = Alert::new(labels.clone(), Arc::clone(&seen.annotations), at);
                (labels.clone(), alert)
            });
            let reads_differently = alert.annotations != seen.annotations;
            alert.annotations = Arc::clone(&seen.annotations);
            alert.value = seen.value;
            move_to(&mut self.by_part, &mut alert, seen.part);
            alert.ticked(at, as_prometheus.is_some(), as_arrival.is_some());
            if policy.may_fire && alert.fire_if_due(at, policy.hold, true) {
                changes.push((alert.clone(), Transition::Fired));
            } else if is_new {
                changes.push((alert.clone(), Transition::BecamePending));
            } else if reads_differently && alert.phase != Phase::Pending {
                changes.push((alert.clone(), Transition::Refreshed));
            }
            alerts.push((labels, alert));
        }
        missing.extend(known);
        for (labels, mut alert) in missing {
            if alert.keeps_firing(at, policy.keep_firing) {
                alerts.push((labels, alert));
                continue;
            }
            move_to(&mut self.by_part, &mut alert, None);
            let transition = match alert.phase {
                Phase::Pending => Transition::Dropped,
                Phase::Firing { fired_at } => Transition::Resolved { fired_at },
            };
            changes.push((alert, transition));
        }
        self.alerts = alerts.into_iter().collect();
        if policy.limit > 0 && self.alerts.len() > policy.limit {
            return Err(self.alerts.len());
        }
        Ok(changes)
    }

    /// Tells whether any of these alerts is there already and comes from another part of the rule.
    pub fn has_from_elsewhere(&self, live: &BTreeMap<Labels, Found>) -> bool {
        live.iter().any(|(labels, found)| {
            let known = self.alerts.get(labels);
            known.is_some_and(|alert| alert.part != found.part)
        })
    }

    /// Applies an arrival evaluation, of some parts of the rule or of the whole: raises, never
    /// lowers. Changes nothing when that would exceed the limit; the next tick says so.
    pub fn arrive(
        &mut self,
        at: TimestampMs,
        live: &BTreeMap<Labels, Found>,
        parts: Option<&[u64]>,
        policy: &Policy,
    ) -> Vec<(Alert, Transition)> {
        if policy.limit > 0 {
            let is_new = |labels: &&Labels| !self.alerts.contains_key(*labels);
            let n_new = live.keys().filter(is_new).count();
            if self.alerts.len() + n_new > policy.limit {
                return Vec::new();
            }
        }
        let mut changes = Vec::new();
        for (labels, seen) in live {
            let (alert, is_new) = match self.alerts.entry(labels.clone()) {
                Entry::Occupied(known) => (known.into_mut(), false),
                Entry::Vacant(place) => {
                    let annotations = Arc::clone(&seen.annotations);
                    (
                        place.insert(Alert::new(labels.clone(), annotations, at)),
                        true,
                    )
                }
            };
            alert.value = seen.value;
            move_to(&mut self.by_part, alert, seen.part);
            alert.seen(at);
            if policy.may_fire && alert.fire_if_due(at, policy.hold, false) {
                alert.annotations = Arc::clone(&seen.annotations);
                changes.push((alert.clone(), Transition::Fired));
            } else if is_new {
                changes.push((alert.clone(), Transition::BecamePending));
            }
        }
        let unseen = |labels: &&Labels| !live.contains_key(*labels);
        match parts {
            None => {
                for (labels, alert) in &mut self.alerts {
                    if unseen(&labels) {
                        alert.seen_since = None;
                    }
                }
            }
            Some(parts) => {
                let inside = parts.iter().filter_map(|part| self.by_part.get(part));
                for labels in inside.flatten().filter(unseen) {
                    if let Some(alert) = self.alerts.get_mut(labels) {
                        alert.seen_since = None;
                    }
                }
            }
        }
        changes
    }

    /// Returns the instants at which a pending alert will have been seen for `hold`, and which
    /// part of the rule it comes from: of all alerts, or of those of some parts.
    pub fn deadlines(
        &self,
        hold: DurationMs,
        parts: Option<&[u64]>,
    ) -> Vec<(TimestampMs, Option<u64>)> {
        let deadline = |alert: &Alert| {
            let since = alert.seen_since.filter(|_| alert.phase == Phase::Pending)?;
            Some((since + hold, alert.part))
        };
        match parts {
            None => self.alerts.values().filter_map(deadline).collect(),
            Some(parts) => {
                let inside = parts.iter().filter_map(|part| self.by_part.get(part));
                let alerts = inside
                    .flatten()
                    .filter_map(|labels| self.alerts.get(labels));
                alerts.filter_map(deadline).collect()
            }
        }
    }

    /// Takes firing alerts back to pending where a reload raised `for` above their age; returns
    /// them, so that receivers can be told to forget them.
    pub fn hold_raised(&mut self, at: TimestampMs, hold: DurationMs) -> Vec<Alert> {
        let mut back = Vec::new();
        for alert in self.alerts.values_mut() {
            if alert.phase != Phase::Pending && at - alert.active_at < hold {
                alert.phase = Phase::Pending;
                alert.keep_firing_since = None;
                back.push(alert.clone());
            }
        }
        back
    }
}

impl ActiveAlerts {
    /// Returns a rule's alerts, each as it was.
    pub(in crate::alert) fn from_alerts(alerts: impl Iterator<Item = Alert>) -> Self {
        let mut all = ActiveAlerts::default();
        for mut alert in alerts {
            let part = alert.part.take();
            move_to(&mut all.by_part, &mut alert, part);
            all.alerts.insert(alert.labels.clone(), alert);
        }
        all
    }
}

/// What was found for one alert: by Prometheus' eyes, and by those of an arrival.
type SeenTwice<'a> = (&'a Labels, Option<&'a Found>, Option<&'a Found>);

/// Returns what a tick and an arrival have found, in the order of labels.
fn side_by_side<'a>(
    found: &'a BTreeMap<Labels, Found>,
    live: Option<&'a BTreeMap<Labels, Found>>,
) -> Vec<SeenTwice<'a>> {
    let Some(live) = live else {
        let both = found
            .iter()
            .map(|(labels, seen)| (labels, Some(seen), Some(seen)));
        return both.collect();
    };
    let keys: BTreeSet<&Labels> = found.keys().chain(live.keys()).collect();
    let both = keys.into_iter();
    both.map(|labels| (labels, found.get(labels), live.get(labels)))
        .collect()
}

/// Notes which part an alert comes from; `None` takes it out of all.
fn move_to(by_part: &mut BTreeMap<u64, BTreeSet<Labels>>, alert: &mut Alert, part: Option<u64>) {
    if alert.part == part {
        return;
    }
    if let Some(old) = alert.part
        && let Some(alerts) = by_part.get_mut(&old)
    {
        alerts.remove(&alert.labels);
        if alerts.is_empty() {
            by_part.remove(&old);
        }
    }
    if let Some(new) = part {
        by_part.entry(new).or_default().insert(alert.labels.clone());
    }
    alert.part = part;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `T`/`t` (a true/false tick) and `A`/`a` (a true/false arrival), one a second, and
    /// returns a letter for the state after each: `.` none, `p` pending, `F` firing.
    fn play(script: &str, hold: i64, keep_firing: i64) -> String {
        let labels = Labels::from_pairs([("alertname", "X")]);
        let found = Found {
            part: None,
            value: 1.0,
            annotations: Arc::new([]),
        };
        let yes = BTreeMap::from([(labels.clone(), found)]);
        let no = BTreeMap::new();
        let policy = Policy {
            hold: DurationMs::from_seconds(hold),
            keep_firing: DurationMs::from_seconds(keep_firing),
            limit: 0,
            may_fire: true,
        };
        let mut alerts = ActiveAlerts::default();
        let mut states = String::new();
        for (second, step) in script.chars().enumerate() {
            let at = TimestampMs(second as i64 * 1000);
            let found = if step.is_ascii_uppercase() { &yes } else { &no };
            match step.to_ascii_uppercase() {
                'T' => drop(alerts.tick(at, found, None, &policy)),
                _ => drop(alerts.arrive(at, found, None, &policy)),
            }
            states.push(match alerts.alerts.get(&labels).map(|alert| alert.phase) {
                None => '.',
                Some(Phase::Pending) => 'p',
                Some(Phase::Firing { .. }) => 'F',
            });
        }
        states
    }

    #[test]
    fn raised_on_arrival_and_lowered_on_the_tick() {
        let check = |script: &str, hold: i64, keep: i64, expected: &str| {
            assert_eq!(
                play(script, hold, keep),
                expected,
                "{script} for {hold} keep {keep}"
            );
        };
        // Ticks alone are Prometheus.
        check("TTTtT", 0, 0, "FFF.F");
        check("TTTTtT", 2, 0, "ppFF.p");
        check("TtTTT", 2, 0, "p.ppF");
        check("TtttT", 0, 2, "FFF.F");
        // An arrival raises at once and cannot take back.
        check("tAaat", 0, 0, ".FFF.");
        check("tAAAA", 2, 0, ".ppFF");
        // A false arrival in between stops the early start, not Prometheus' own.
        check("TAaAT", 5, 0, "ppppp");
        check("TAaAAT", 4, 0, "pppppF");
        check("TAAAAT", 4, 0, "ppppFF");
        // What a false arrival cleared starts anew.
        check("tAaAAAt", 2, 0, ".ppppF.");
    }

    #[test]
    fn alerts_that_come_stay_and_go_are_told_of_in_the_order_of_labels() {
        let found = |names: &str| {
            let one = |name: char| {
                let labels = Labels::from_pairs([("alertname", &*name.to_string())]);
                let found = Found {
                    part: Some(u64::from(name)),
                    value: 1.0,
                    annotations: Arc::new([]),
                };
                (labels, found)
            };
            names.chars().map(one).collect::<BTreeMap<_, _>>()
        };
        // What ticks find, and what is told of the last of them and which alerts are there then.
        let check = |ticks: &[&str], keep_firing: i64, told: &str, there: &str| {
            let policy = Policy {
                hold: DurationMs::ZERO,
                keep_firing: DurationMs::from_seconds(keep_firing),
                limit: 0,
                may_fire: true,
            };
            let mut alerts = ActiveAlerts::default();
            let mut changes = Vec::new();
            for (second, names) in ticks.iter().enumerate() {
                let at = TimestampMs(second as i64 * 1000);
                changes = alerts
                    .tick(at, &found(names), None, &policy)
                    .expect("no limit");
            }
            let name = |labels: &Labels| labels.value("alertname").to_owned();
            let letter = |(alert, transition): &(Alert, Transition)| match transition {
                Transition::Fired => format!("+{}", name(&alert.labels)),
                Transition::Resolved { .. } => format!("-{}", name(&alert.labels)),
                other => format!("{other:?}"),
            };
            let changes: String = changes.iter().map(letter).collect();
            let now: String = alerts.iter().map(|alert| name(&alert.labels)).collect();
            assert_eq!(
                (&*changes, &*now),
                (told, there),
                "{ticks:?} keep {keep_firing}"
            );
            let parts = alerts.by_part.keys().copied();
            assert!(parts.eq(there.bytes().map(u64::from)), "{ticks:?}");
        };
        check(&["bd"], 0, "+b+d", "bd");
        check(&["bd", "ade"], 0, "+a+e-b", "ade");
        check(&["bd", "ade"], 10, "+a+e", "abde");
        check(&["bd", ""], 0, "-b-d", "");
        check(&["bd", "", ""], 10, "", "bd");
        check(&["ac", "b", "abc"], 1, "", "abc");
        check(&["ac", "b", "abc"], 0, "+a+c", "abc");
        check(&["abc", "abc"], 0, "", "abc");
    }

    #[test]
    fn above_the_limit_a_tick_fails_and_an_arrival_waits() {
        let found = Found {
            part: None,
            value: 1.0,
            annotations: Arc::new([]),
        };
        let two: BTreeMap<_, _> = ["a", "b"]
            .map(|x| (Labels::from_pairs([("x", x)]), found.clone()))
            .into();
        let policy = Policy {
            hold: DurationMs::ZERO,
            keep_firing: DurationMs::ZERO,
            limit: 1,
            may_fire: true,
        };
        let mut alerts = ActiveAlerts::default();
        assert!(
            alerts
                .arrive(TimestampMs(0), &two, None, &policy)
                .is_empty()
        );
        assert_eq!(alerts.iter().count(), 0);
        assert_eq!(alerts.tick(TimestampMs(1), &two, None, &policy), Err(2));
    }
}
