//! The alerts of the last 24 hours: what fired, since when, until when.

use crate::context::labels::agreement;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{ContextSettings, Labels, TimestampMs};

/// An alert that fires, or did in the last 24 hours.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentAlert {
    /// Its labels, with `alertname`.
    pub labels: Labels,
    /// Those of them that say what it is about.
    pub identity: Labels,
    /// When it began to fire, ms.
    pub fired_at: TimestampMs,
    /// When it was over, ms.
    pub resolved_at: Option<TimestampMs>,
}

/// The alerts of the last 24 hours, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentAlerts {
    known: Vec<RecentAlert>,
}

impl RecentAlerts {
    /// Notes that an alert began to fire. Beyond `max` the oldest is forgotten.
    pub fn fired(&mut self, labels: Labels, identity: Labels, at: TimestampMs, max: usize) {
        self.known.retain(|alert| {
            let newest = alert.resolved_at.unwrap_or(at);
            newest >= at - ContextSettings::HISTORY
        });
        let too_many = (self.known.len() + 1).saturating_sub(max.max(1));
        self.known.drain(..too_many.min(self.known.len()));
        self.known.push(RecentAlert {
            labels,
            identity,
            fired_at: at,
            resolved_at: None,
        });
    }

    /// Notes that an alert is over.
    pub fn ended(&mut self, labels: &Labels, at: TimestampMs) {
        let is_on =
            |alert: &&mut RecentAlert| alert.resolved_at.is_none() && alert.labels == *labels;
        if let Some(alert) = self.known.iter_mut().rev().find(is_on) {
            alert.resolved_at = Some(at);
        }
    }

    /// Returns all that are known, in the order in which they began.
    pub fn all(&self) -> &[RecentAlert] {
        &self.known
    }

    /// Returns the other alerts of the 24 hours before `at` that are about the same: every label
    /// of their expressions that both have agrees, and there is one.
    pub fn about<'a>(
        &'a self,
        labels: &'a Labels,
        identity: &'a Labels,
        at: TimestampMs,
    ) -> impl Iterator<Item = &'a RecentAlert> {
        self.known.iter().filter(move |alert| {
            let newest = alert.resolved_at.unwrap_or(at);
            let is_recent = newest >= at - ContextSettings::HISTORY;
            let is_same = agreement(identity, &alert.identity).is_some_and(|n| n > 0);
            is_recent && is_same && alert.labels != *labels
        })
    }

    /// Adds the alerts of another shard.
    pub fn merge(&mut self, other: &RecentAlerts) {
        for alert in &other.known {
            let is_same = |known: &RecentAlert| {
                known.labels == alert.labels && known.fired_at == alert.fired_at
            };
            if !self.known.iter().any(is_same) {
                self.known.push(alert.clone());
            }
        }
        let order = |alert: &RecentAlert| (alert.fired_at, alert.labels.clone());
        self.known.sort_by_key(order);
    }

    /// Puts the alerts.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.known.iter(), |out, alert| {
            out.labels(&alert.labels);
            out.labels(&alert.identity);
            out.instant(alert.fired_at);
            out.option(alert.resolved_at, ByteWriter::instant);
        });
    }

    /// Takes what [`RecentAlerts::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<RecentAlerts> {
        let known = read.list(4, |read| {
            Ok(RecentAlert {
                labels: read.labels()?,
                identity: read.labels()?,
                fired_at: read.instant()?,
                resolved_at: read.option(ByteReader::instant)?,
            })
        })?;
        Ok(RecentAlerts { known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn alert(name: &str, job: &str) -> (Labels, Labels) {
        let labels = Labels::from_pairs([("alertname", name), ("job", job), ("severity", "x")]);
        let identity = Labels::from_pairs([("job", job)]);
        (labels, identity)
    }

    #[test]
    fn others_of_the_last_day_with_the_same_labels_are_found() {
        let mut recent = RecentAlerts::default();
        for (name, job, hour) in [("Old", "a", 0), ("On", "a", 1), ("Other", "b", 2)] {
            let (labels, identity) = alert(name, job);
            recent.fired(labels, identity, TimestampMs(hour * HOUR), 10);
        }
        recent.ended(&alert("Old", "a").0, TimestampMs(2 * HOUR));
        let (own, identity) = alert("Own", "a");
        let names = |recent: &RecentAlerts, hour: i64| {
            let found = recent.about(&own, &identity, TimestampMs(hour * HOUR));
            let names: Vec<String> = found
                .map(|alert| alert.labels.value("alertname").to_owned())
                .collect();
            names.join(" ")
        };
        assert_eq!(names(&recent, 20), "Old On");
        assert_eq!(names(&recent, 27), "On", "what is over is old after a day");
        recent.fired(own.clone(), identity.clone(), TimestampMs(27 * HOUR), 2);
        assert_eq!(recent.all().len(), 2, "the oldest makes room");
    }

    #[test]
    fn those_of_several_shards_stand_in_order_and_once() {
        let of = |fired: &[(&str, i64)]| {
            let mut recent = RecentAlerts::default();
            for (name, hour) in fired {
                let (labels, identity) = alert(name, "a");
                recent.fired(labels, identity, TimestampMs(hour * HOUR), 10);
            }
            recent
        };
        let mut all = of(&[("First", 1), ("Third", 3)]);
        all.merge(&of(&[("Second", 2), ("Third", 3), ("Third", 4)]));
        let known = all.all().iter();
        let known: Vec<(&str, i64)> = known
            .map(|alert| (alert.labels.value("alertname"), alert.fired_at.0 / HOUR))
            .collect();
        assert_eq!(
            known,
            [("First", 1), ("Second", 2), ("Third", 3), ("Third", 4)]
        );
    }
}
