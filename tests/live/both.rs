//! Two engines that are told the same: one keeps windows, one scans. Their effects are equal.

use burnwatch::engine::{Effect, Engine, Leaves};
use burnwatch::model::{DurationMs, EngineSettings, Entry, Grid, TimestampMs};

/// Both of them.
pub struct Both {
    /// The one that keeps windows.
    pub live: Engine,
    scanning: Engine,
}

impl Both {
    pub fn new() -> Self {
        let [live, mut scanning] = [Engine::new(), Engine::new()];
        scanning.set_leaves(Leaves::Scan);
        Both { live, scanning }
    }

    /// Tells them an entry and returns its effects; the error says how those differ.
    pub fn apply(&mut self, entry: &Entry) -> Result<Vec<Effect>, String> {
        let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
        self.live.apply(entry, &|| 0.0, &mut ours);
        self.scanning.apply(entry, &|| 0.0, &mut theirs);
        // As texts: a NaN is like another.
        let [of_live, of_scan] = [&ours, &theirs].map(|effects| format!("{effects:?}"));
        let refused = |effect: &Effect| matches!(effect, Effect::RulesRefused { .. });
        match of_live == of_scan && !ours.iter().any(refused) {
            true => Ok(ours),
            false => Err(format!("effects {of_live}\nwanted  {of_scan}")),
        }
    }

    /// Tells them entries; returns the alerts that were told of, and when.
    pub fn alerts(&mut self, entries: &[Entry]) -> Vec<(String, TimestampMs)> {
        let effects = entries.iter().flat_map(|entry| self.apply(entry).unwrap());
        let alerts = effects.filter_map(|effect| match effect {
            Effect::Alert { at, message, .. } => {
                Some((message.labels.value("alertname").to_owned(), at))
            }
            _ => None,
        });
        alerts.collect()
    }

    /// Returns how many evaluations were spared.
    pub fn spared(&self) -> u64 {
        self.live.stats().evaluations_spared
    }
}

/// Settings of groups that tick four times a minute.
pub fn ticking() -> EngineSettings {
    EngineSettings {
        grid: Grid::UnitTest {
            start: TimestampMs(0),
            interval: DurationMs::from_seconds(15),
            group_order: None,
        },
        ..EngineSettings::default()
    }
}
