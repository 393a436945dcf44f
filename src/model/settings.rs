//! What an engine must know beside its rules; part of the log, so that replay decides alike.

use std::collections::BTreeSet;

use crate::model::{ContextSettings, DurationMs, Labels, RuleFormat, TimestampMs};

/// Whether a group is evaluated as samples arrive, or at its ticks alone as Prometheus does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvaluationMode {
    /// Raised on arrival, lowered on the tick.
    #[default]
    Arrival,
    /// Ticks only: Prometheus' own alerts, byte for byte.
    Tick,
}

/// The mode of the groups that a pair of glob patterns names.
#[derive(Clone, Debug, PartialEq)]
pub struct ModeOverride {
    /// Glob over the file's path; a relative one fits any path that ends in it.
    pub file: String,
    /// Glob over the group's name.
    pub group: String,
    /// The mode of these groups.
    pub mode: EvaluationMode,
}

/// Where ticks lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Grid {
    /// Prometheus' own: `t mod interval` is a hash of group name and file, mod interval.
    #[default]
    Hashed,
    /// The grid of rule unit tests: all groups at `start`, `start + interval`, ….
    UnitTest {
        /// The first tick, ms.
        start: TimestampMs,
        /// The distance of ticks, ms.
        interval: DurationMs,
        /// promtool's order: the groups of these names first, the others as files name them.
        /// `None`: by dependence, as when serving.
        group_order: Option<Vec<String>>,
    },
}

/// A group by what is unique about it: the path of its file, then its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey {
    /// The file's path, as `rule_files` found it.
    pub file: String,
    /// The group's name.
    pub name: String,
}

impl GroupKey {
    /// Returns the key of a group.
    pub fn new(file: &str, name: &str) -> Self {
        GroupKey {
            file: file.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Settings of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineSettings {
    /// For groups without an interval, ms.
    pub evaluation_interval: DurationMs,
    /// For groups without a query offset, ms.
    pub query_offset: DurationMs,
    /// `$externalLabels`; not part of `ALERTS`.
    pub external_labels: Labels,
    /// `$externalURL`.
    pub external_url: String,
    /// The mode of groups that no override names.
    pub mode: EvaluationMode,
    /// The first that matches decides.
    pub mode_overrides: Vec<ModeOverride>,
    /// Where ticks lie.
    pub grid: Grid,
    /// Selectors kept although no rule reads them, as text.
    pub watch: Vec<String>,
    /// How long samples are kept at least, ms; 0 = as long as the rules look back.
    pub retention: DurationMs,
    /// How long the frontier waits for the rest of a scrape, ms of event time.
    pub scrape_settle: DurationMs,
    /// The same in a backlog, ms of event time.
    pub backlog_settle: DurationMs,
    /// How far behind the wall clock event time may be before it counts as a backlog, ms.
    pub idle_timeout: DurationMs,
    /// How far behind its series' newest sample a sample may be, ms.
    pub out_of_order_window: DurationMs,
    /// How often a firing alert is sent again, ms; decides how long one is valid.
    pub resend_delay: DurationMs,
    /// The most ticks a group makes when the clock leaps; the rest count as missed.
    pub ticks_per_leap_max: usize,
    /// The most samples one evaluation may hold.
    pub samples_max: usize,
    /// The most steps a subquery may have.
    pub subquery_steps_max: usize,
    /// What a group may cost in a second of its interval, in elements and samples that it looks at;
    /// 0 = any amount.
    pub group_work_max: usize,
    /// The most elements one rule may yield.
    pub elements_max: usize,
    /// Names of Prometheus' feature flags that are on.
    pub features: Vec<String>,
    /// How the rule files are to be read.
    pub rule_format: RuleFormat,
    /// The groups that are evaluated here; the files' other groups are known and left to other
    /// shards. `None`: all.
    pub share: Option<BTreeSet<GroupKey>>,
    /// Whether groups that only tick do so when what they read has settled: event time has gone
    /// on by `scrape_settle`, or the node has said that it stands still. What a tick sees is
    /// then the same for any number of shards, whatever else they read. Takes hold where all
    /// groups are of [`EvaluationMode::Tick`].
    pub ticks_when_settled: bool,
    /// What alerts say about their surroundings.
    pub context: ContextSettings,
}

impl EngineSettings {
    /// Tells whether a group is to be evaluated here.
    pub fn has_share_of(&self, file: &str, group: &str) -> bool {
        self.share
            .as_ref()
            .is_none_or(|share| share.contains(&GroupKey::new(file, group)))
    }

    /// Returns the mode of a group.
    pub fn mode_of(&self, file: &str, group: &str) -> EvaluationMode {
        let fits = |entry: &&ModeOverride| {
            glob_matches(&entry.file, file) && glob_matches(&entry.group, group)
        };
        let found = self.mode_overrides.iter().find(fits);
        found.map_or(self.mode, |entry| entry.mode)
    }
}

/// Matches a glob; one without a leading slash fits any path that ends in it.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let matches =
        |pattern: &str| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(text));
    matches(pattern) || (!pattern.starts_with('/') && matches(&format!("*/{pattern}")))
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            evaluation_interval: DurationMs::from_seconds(60),
            query_offset: DurationMs::ZERO,
            external_labels: Labels::empty(),
            external_url: String::new(),
            mode: EvaluationMode::default(),
            mode_overrides: Vec::new(),
            grid: Grid::default(),
            watch: Vec::new(),
            retention: DurationMs::ZERO,
            scrape_settle: DurationMs::from_seconds(5),
            backlog_settle: DurationMs::from_seconds(60),
            idle_timeout: DurationMs::from_seconds(60),
            out_of_order_window: DurationMs::ZERO,
            resend_delay: DurationMs::from_seconds(60),
            ticks_per_leap_max: 1000,
            samples_max: 50_000_000,
            subquery_steps_max: 1_000_000,
            group_work_max: 5_000_000,
            elements_max: 1_000_000,
            features: Vec::new(),
            rule_format: RuleFormat::default(),
            share: None,
            ticks_when_settled: false,
            context: ContextSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_find_their_evaluation_mode() {
        let slow = ModeOverride {
            file: "slow*.yml".to_owned(),
            group: "*".to_owned(),
            mode: EvaluationMode::Tick,
        };
        let settings = EngineSettings {
            mode_overrides: vec![slow],
            ..EngineSettings::default()
        };
        let check = |file: &str, expected| assert_eq!(settings.mode_of(file, "g"), expected);
        check("/etc/rules/slow-1.yml", EvaluationMode::Tick);
        check("slow.yml", EvaluationMode::Tick);
        check("/etc/rules/fast.yml", EvaluationMode::Arrival);
    }
}
