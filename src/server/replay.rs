//! What a shard's log holds from an earlier run is applied once more, and what follows from it is
//! told as one news for each alert.
//!
//! The effects of these entries are old: most have been delivered. So they are kept until the
//! replay is done, the newest state of each alert alone, and handed on then. Samples that rules
//! recorded are not written back again, as Prometheus does not after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::error;

use crate::backfill::PastFile;
use crate::engine::Effect;
use crate::log::Offset;
use crate::model::{Entry, Labels};

/// How far the replay of one shard is; for readiness and metrics.
#[derive(Debug)]
pub struct ReplayProgress {
    first: u64,
    next: AtomicU64,
    end: u64,
}

impl ReplayProgress {
    /// Returns that of a replay of the entries from `first` to before `end`.
    pub fn new(first: Offset, end: Offset) -> Arc<Self> {
        Arc::new(ReplayProgress {
            first: first.0,
            next: AtomicU64::new(first.0),
            end: end.0,
        })
    }

    /// Returns how many entries there are to apply, and how many are applied.
    pub fn of_and_applied(&self) -> (u64, u64) {
        let next = self.next.load(Ordering::Acquire).min(self.end);
        let of = self.end.saturating_sub(self.first);
        (of, next.saturating_sub(self.first))
    }

    /// Tells whether all is applied.
    pub fn is_done(&self) -> bool {
        self.next.load(Ordering::Acquire) >= self.end
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    progress: Arc<ReplayProgress>,
    alerts: BTreeMap<Labels, Newest>,
    first_tick: Option<Effect>,
    refused: Option<Effect>,
}

/// What is to be told of an alert.
#[derive(Debug, Default)]
struct Newest {
    /// Its newest state that somebody may have been, or is to be, notified of.
    told: Option<Effect>,
    /// That it has become pending, or not, since.
    since: Option<Effect>,
}

impl Replay {
    /// Begins a replay; nothing if there is nothing to apply.
    pub fn begin(progress: &Arc<ReplayProgress>) -> Option<Replay> {
        (!progress.is_done()).then(|| Replay {
            progress: Arc::clone(progress),
            alerts: BTreeMap::new(),
            first_tick: None,
            refused: None,
        })
    }

    /// Keeps what an entry has caused. Returns whether the replay is done with it: then `effects`
    /// is what is left to tell.
    pub fn applied(&mut self, offset: Offset, effects: &mut Vec<Effect>) -> bool {
        for effect in effects.drain(..) {
            self.keep(effect);
        }
        self.progress.next.store(offset.0 + 1, Ordering::Release);
        if !self.progress.is_done() {
            return false;
        }
        let alerts = std::mem::take(&mut self.alerts).into_values();
        effects.extend(self.refused.take());
        effects.extend(
            alerts
                .flat_map(|newest| [newest.told, newest.since])
                .flatten(),
        );
        effects.extend(self.first_tick.take());
        true
    }

    fn keep(&mut self, effect: Effect) {
        match &effect {
            Effect::Alert { message, .. } => {
                let newest = self.alerts.entry(message.labels.clone()).or_default();
                newest.told = Some(effect);
                newest.since = None;
            }
            Effect::Forget { labels } => {
                let newest = self.alerts.entry(labels.clone()).or_default();
                newest.told = Some(effect);
                newest.since = None;
            }
            Effect::Pending { labels, .. } | Effect::Dropped { labels, .. } => {
                let newest = self.alerts.entry(labels.clone()).or_default();
                newest.since = Some(effect);
            }
            Effect::FirstTick { .. } => self.first_tick = Some(effect),
            Effect::RulesRefused { .. } => self.refused = Some(effect),
            Effect::Recorded { .. } | Effect::Overran { .. } => {}
        }
    }
}

/// Returns an entry as it is to be applied: the log knows history from before by the name of its
/// file.
pub fn opened(entry: Entry, folder: &Path) -> Entry {
    let Entry::Past { stamp, past } = &entry else {
        return entry;
    };
    if !past.series.is_named_only() {
        return entry;
    }
    let name = past.series.name();
    // A name is one of that folder, whatever the log says.
    let path = Path::new(name).file_name().map(|name| folder.join(name));
    match PastFile::open(&path.unwrap_or_default()) {
        Ok(past) => Entry::Past {
            stamp: *stamp,
            past: Arc::new(past),
        },
        Err(error) => {
            error!(%error, "history from before is lacking; what looks back on it is incomplete");
            entry
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SampleValue, TimestampMs};

    #[test]
    fn the_newest_state_of_each_alert_is_told_at_the_end() {
        let labels = |name: &str| Labels::from_pairs([("alertname", name)]);
        let pending = |name: &str, at| Effect::Pending {
            at: TimestampMs(at),
            labels: labels(name),
        };
        let forget = |name: &str| Effect::Forget {
            labels: labels(name),
        };
        let recorded = Effect::Recorded {
            labels: labels("x"),
            at: TimestampMs(1),
            value: SampleValue::Float(1.0),
        };
        let progress = ReplayProgress::new(Offset(5), Offset(8));
        let mut replay = Replay::begin(&progress).expect("three entries");
        let mut effects = vec![pending("a", 1), pending("b", 1), recorded];
        assert!(!replay.applied(Offset(5), &mut effects) && effects.is_empty());
        effects = vec![pending("a", 2), forget("b")];
        assert!(!replay.applied(Offset(6), &mut effects));
        assert_eq!(progress.of_and_applied(), (3, 2));
        effects = vec![forget("a"), pending("a", 3)];
        assert!(replay.applied(Offset(7), &mut effects));
        assert_eq!(effects, [forget("a"), pending("a", 3), forget("b")]);
        assert!(Replay::begin(&progress).is_none(), "it is done");
    }
}
