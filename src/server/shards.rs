//! Which groups this process evaluates, and which of its shards each of them.
//!
//! The first is decided by the files alone, the same on every node (`--shard=i/N`); the second
//! once they have run by what they cost, and a group that runs stays in its shard.
//!
//! What may not live here: the assignment itself ([`assignment`] is pure), threads, logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::engine::assignment::{self, Component, Measured};
use crate::ingest::sequencer::Settle;
use crate::ingest::{ReadSet, ShardId};
use crate::model::{EngineSettings, GroupKey, Matcher, RuleSource};
use crate::server::load::Loaded;

/// Which share of the groups a process has: the `index`-th of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: usize,
}

/// The most processes that groups are shared among.
const PROCESSES_MAX: usize = 1024;
/// The most shards of a process.
pub const SHARDS_MAX: usize = 1024;

impl Default for Share {
    /// Everything.
    fn default() -> Self {
        Share { index: 1, of: 1 }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Why a text names no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// It is not two numbers.
    #[error("expected i/N, such as 1/3 for the first of three processes")]
    Form,
    /// There is no such process.
    #[error(
        "there is no shard {index} of {of}: they are counted from 1 to {of}, at most {PROCESSES_MAX}"
    )]
    Range {
        /// The first number.
        index: usize,
        /// The second.
        of: usize,
    },
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = |text: &str| -> Option<usize> {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| is_plain)
        };
        let (index, of) = text.split_once('/').ok_or(ShareError::Form)?;
        let (Some(index), Some(of)) = (number(index), number(of)) else {
            return Err(ShareError::Form);
        };
        if index == 0 || index > of || of > PROCESSES_MAX {
            return Err(ShareError::Range { index, of });
        }
        Ok(Share { index, of })
    }
}

impl Share {
    /// Returns the components that this process has a share of: from what is written alone.
    fn of(self, components: Vec<Component>) -> Vec<Component> {
        if self.of == 1 {
            return components;
        }
        // Whether groups tick only matters inside a process.
        let alike = components.iter().cloned().map(|component| Component {
            ticks_only: false,
            ..component
        });
        let alike: Vec<Component> = alike.collect();
        let mut shards = assignment::spread(&alike, self.of, &BTreeMap::new());
        let own = shards.swap_remove(self.index - 1);
        let is_own = |component: &Component| component.groups.iter().all(|key| own.contains(key));
        components.into_iter().filter(is_own).collect()
    }

    /// Tells whether what no group reads, `watch` and `log: all`, is kept here: by the first.
    fn keeps_unread(self) -> bool {
        self.index == 1
    }
}

/// How many shards run, and which groups each has.
#[derive(Debug)]
pub struct Shards {
    share: Share,
    n_shards: usize,
    /// Where each group was put last.
    placed: BTreeMap<GroupKey, usize>,
}

impl Shards {
    /// Decides how many shards to run: as many as wanted, else as there are processors, and no
    /// more than the rules can use.
    pub fn new(loaded: &Loaded, share: Share, wanted: Option<usize>) -> Self {
        let own = share.of(estimated(loaded));
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = wanted.unwrap_or_else(processors).clamp(1, SHARDS_MAX);
        Shards {
            share,
            n_shards: assignment::usable_shards(&own, wanted),
            placed: BTreeMap::new(),
        }
    }

    /// Runs at least as many as have left a log in the data directory: what they hold is theirs.
    pub fn keep(&mut self, n_left: usize) {
        self.n_shards = self.n_shards.max(n_left.min(SHARDS_MAX));
    }

    /// Leaves the groups where they ran before a restart, by the rule set that each shard adopted
    /// last.
    pub fn resume(&mut self, left: &[Option<Arc<RuleSource>>], loaded: &Loaded) {
        for (at, rules) in left.iter().enumerate() {
            let Some(rules) = rules else { continue };
            match &rules.settings.share {
                Some(share) => self
                    .placed
                    .extend(share.iter().map(|key| (key.clone(), at))),
                // It ran alone, and so all of them.
                None => {
                    let groups = loaded.rules.groups.iter();
                    let keys = groups.map(|group| GroupKey::new(&group.file, &group.name));
                    self.placed.extend(keys.map(|key| (key, at)));
                }
            }
        }
    }

    /// Returns how many run.
    pub fn n_shards(&self) -> usize {
        self.n_shards
    }

    /// Assigns the groups of a rule set that is about to be adopted.
    ///
    /// Groups that ran apart and now belong together cannot all stay: where that is so, what is to
    /// be adopted first comes back, under which those that move are evaluated nowhere. Only once
    /// all shards have adopted that may the assignment itself be; else the shard that gives a
    /// group up could take back an alert that the other has raised by then.
    pub fn assign(&mut self, loaded: &Loaded, measured: &Measured) -> Option<Assigned> {
        let settings = &loaded.source.settings;
        let own: BTreeSet<GroupKey> = {
            let own = self.share.of(estimated(loaded)).into_iter();
            own.flat_map(|component| component.groups).collect()
        };
        let components = assignment::components(&loaded.rules, settings, measured);
        let is_own = |component: &Component| component.groups.iter().all(|key| own.contains(key));
        let components: Vec<Component> = components.into_iter().filter(is_own).collect();
        let shards = assignment::spread(&components, self.n_shards, &self.placed);
        let shards = shards.iter().enumerate();
        let placed: BTreeMap<GroupKey, usize> = shards
            .flat_map(|(at, groups)| groups.iter().map(move |key| (key.clone(), at)))
            .collect();
        let before = std::mem::replace(&mut self.placed, placed);
        let stays = |(key, at): &(&GroupKey, &usize)| before.get(*key).is_none_or(|old| old == *at);
        let staying = self.placed.iter().filter(stays);
        let staying: BTreeMap<GroupKey, usize> = staying.map(|(k, at)| (k.clone(), *at)).collect();
        let moves = staying.len() < self.placed.len();
        moves.then(|| self.assigned(loaded, &staying))
    }

    /// Returns what was assigned last as it goes to the shards.
    pub fn last_assigned(&self, loaded: &Loaded) -> Assigned {
        self.assigned(loaded, &self.placed)
    }

    fn assigned(&self, loaded: &Loaded, placed: &BTreeMap<GroupKey, usize>) -> Assigned {
        let settings = &loaded.source.settings;
        let mut shards = vec![BTreeSet::new(); self.n_shards];
        for (key, at) in placed {
            shards[*at].insert(key.clone());
        }
        let is_whole = self.share.of == 1 && self.n_shards == 1;
        let share = |groups: &BTreeSet<GroupKey>| {
            let share = (!is_whole).then(|| groups.clone());
            Arc::new(RuleSource {
                files: loaded.source.files.clone(),
                settings: EngineSettings {
                    share,
                    ..settings.clone()
                },
            })
        };
        Assigned {
            read_set: ReadSet {
                // Whoever takes a group over is given its series at once.
                selectors: self.selectors(loaded),
                recorded: loaded.rules.recorded.clone(),
                keep_all: loaded.keeps_all() && self.share.keeps_unread(),
                settle: Some(Settle {
                    live: settings.scrape_settle,
                    backlog: settings.backlog_settle,
                }),
                ..ReadSet::default()
            },
            sources: shards.iter().map(share).collect(),
            n_with_groups: shards.iter().filter(|groups| !groups.is_empty()).count(),
        }
    }

    /// Returns what each shard reads, and what is kept although none does.
    fn selectors(&self, loaded: &Loaded) -> Vec<(ShardId, Vec<Matcher>)> {
        let mut found: BTreeMap<(ShardId, String), Vec<Matcher>> = BTreeMap::new();
        let mut add = |shard: ShardId, matchers: &Vec<Matcher>| {
            found.insert((shard, format!("{matchers:?}")), matchers.clone());
        };
        for group in &loaded.rules.groups {
            let Some(at) = self.placed.get(&GroupKey::new(&group.file, &group.name)) else {
                continue;
            };
            let rules = group.rules.iter().map(|rule| &loaded.rules.rules[*rule]);
            for used in rules.clone().flat_map(|rule| &rule.selectors) {
                add(shard_id(*at), &used.matchers);
            }
            if loaded.rules.asks_for_context(rules) {
                for info in &loaded.rules.info {
                    add(shard_id(*at), &info.matchers);
                }
            }
        }
        if self.share.keeps_unread() {
            for matchers in &loaded.rules.watch {
                add(shard_id(0), matchers);
            }
        }
        let pairs = found.into_iter();
        pairs
            .map(|((shard, _), matchers)| (shard, matchers))
            .collect()
    }
}

fn estimated(loaded: &Loaded) -> Vec<Component> {
    assignment::components(&loaded.rules, &loaded.source.settings, &Measured::new())
}

fn shard_id(at: usize) -> ShardId {
    ShardId(u16::try_from(at).unwrap_or(u16::MAX))
}

/// A rule set as it goes to the shards.
pub struct Assigned {
    /// What each shard reads; without a generation, and without seeds.
    pub read_set: ReadSet,
    /// What each shard's log is given, the first shard's first.
    pub sources: Vec<Arc<RuleSource>>,
    /// How many shards have groups at all.
    pub n_with_groups: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_two_numbers() {
        let check = |text: &str, expected: Result<(usize, usize), ShareError>| {
            let found = text.parse().map(|share: Share| (share.index, share.of));
            assert_eq!(found, expected, "{text}");
        };
        check("1/1", Ok((1, 1)));
        check("3/3", Ok((3, 3)));
        for text in [
            "", "a/b", "1", "1/", "/3", "1/3/5", "-1/3", "+1/3", "1 / 3", "1.0/3",
        ] {
            check(text, Err(ShareError::Form));
        }
        check("99999999999999999999/3", Err(ShareError::Form));
        for (text, index, of) in [("0/3", 0, 3), ("4/3", 4, 3), ("0/0", 0, 0)] {
            check(text, Err(ShareError::Range { index, of }));
        }
        check("1/1025", Err(ShareError::Range { index: 1, of: 1025 }));
        let said = "4/3"
            .parse::<Share>()
            .expect_err("out of range")
            .to_string();
        assert!(said.starts_with("there is no shard 4 of 3: "), "{said}");
        assert_eq!("2/3".parse::<Share>().expect("valid").to_string(), "2/3");
    }
}
