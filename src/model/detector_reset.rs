//! That detectors are to learn anew what is usual: after a deployment, what was normal before says
//! nothing of what comes.
//!
//! An entry of the log like samples, so that the same rules learn from the same instant on when it
//! is replayed.

use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{GroupKey, TimestampMs};

/// A rule by what stays of it over reloads. Several rules of one group may have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// Its group.
    pub group: GroupKey,
    /// The record or alert name.
    pub name: String,
    /// Whether it is an alerting rule.
    pub is_alert: bool,
    /// Labels as written, the group's merged under the rule's, sorted by name.
    pub labels: Vec<(String, String)>,
}

/// The detectors of some rules begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorReset {
    /// Samples up to then are not looked at, ms.
    pub at: TimestampMs,
    /// Which rules.
    pub rules: Vec<RuleKey>,
}

impl RuleKey {
    /// Puts the key.
    pub fn save(&self, out: &mut ByteWriter) {
        let RuleKey {
            group,
            name,
            is_alert,
            labels,
        } = self;
        out.text(&group.file);
        out.text(&group.name);
        out.text(name);
        out.flag(*is_alert);
        out.list(labels.iter(), |out, (name, value)| {
            out.text(name);
            out.text(value);
        });
    }

    /// Takes what [`RuleKey::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<RuleKey> {
        Ok(RuleKey {
            group: GroupKey {
                file: read.string()?,
                name: read.string()?,
            },
            name: read.string()?,
            is_alert: read.flag()?,
            labels: read.list(2, |read| Ok((read.string()?, read.string()?)))?,
        })
    }
}

impl DetectorReset {
    /// Puts it.
    pub fn save(&self, out: &mut ByteWriter) {
        let DetectorReset { at, rules } = self;
        out.instant(*at);
        out.list(rules.iter(), |out, rule| rule.save(out));
    }

    /// Takes what [`DetectorReset::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<DetectorReset> {
        Ok(DetectorReset {
            at: read.instant()?,
            rules: read.list(5, RuleKey::load)?,
        })
    }
}
