//! Which parts of which rules have moved, and which of them are evaluated on arrival.
//!
//! The labels that partition a rule's expression say what an arrival can change: one filesystem
//! among ten thousand, one model among a hundred. Only that is evaluated. So that this stays O(1)
//! for each arrival, however many series a part has, a part of n series waits until n /
//! [`SERIES_PER_ARRIVAL`] samples of it have come; this is counted and not timed, so that the same
//! log gives the same effects. Ticks evaluate everything.
//!
//! Cost: a few nanoseconds for a sample and each rule that it moves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::alert::Found;
use crate::engine::compile::CompiledRules;
use crate::engine::compiled_rule::RuleIndex;
use crate::engine::headroom::{ChannelId, Gains, Headroom};
use crate::eval::live::Scope;
use crate::eval::plan::LabelSet;
use crate::eval::plan::headroom::Distance;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, TimestampMs};

/// A part is evaluated once for each so many of its series' samples, times 1 / this.
pub const SERIES_PER_ARRIVAL: u32 = 2;

/// The number of a part among those of its label set.
pub type PartId = u32;

/// What has moved.
#[derive(Clone, Debug, Default)]
pub struct Partitions {
    pub(in crate::engine) classes: Vec<Class>,
    pub(in crate::engine) rules: Vec<RuleParts>,
    /// Rules of which something has moved, each once.
    moved: Vec<RuleIndex>,
    /// What the counters of rules that may have headroom have gained.
    pub gains: Gains,
    /// How often headroom has spared the evaluation of a rule, since it was last asked.
    pub(in crate::engine) n_spared: u64,
}

/// The parts that one set of labels makes; rules share them.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Class {
    pub(in crate::engine) labels: Arc<LabelSet>,
    pub(in crate::engine) ids: HashMap<u64, PartId>,
    pub(in crate::engine) keys: Vec<u64>,
}

/// What is known of a rule's parts.
#[derive(Clone, Debug)]
pub(in crate::engine) struct RuleParts {
    pub(in crate::engine) class: Option<u32>,
    /// All of it together, for when it cannot be taken apart.
    whole: Part,
    parts: Vec<Part>,
    moved: Vec<PartId>,
    /// Keys of parts that are to be looked at whatever has arrived.
    asked_for: Vec<u64>,
    /// The whole is to be looked at whatever has arrived.
    whole_asked_for: bool,
    is_moved: bool,
    /// Until when each part raises no alert by itself, ms; the lowest instant where it may.
    idle_until: Vec<TimestampMs>,
    /// The same of a whole that cannot be taken apart.
    whole_idle_until: TimestampMs,
    /// The channels of what would have to grow; none where no bound is known.
    pub(in crate::engine) channels: Vec<ChannelId>,
    /// What has to happen before each part is evaluated again.
    pub(in crate::engine) headroom: Vec<Headroom>,
    /// The same of a whole that cannot be taken apart.
    pub(in crate::engine) whole_headroom: Headroom,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    n_series: u32,
    /// Samples since it was last evaluated.
    arrivals: u32,
    is_moved: bool,
    /// Whether a sample has come since it was known how long it raises no alert.
    is_changed: bool,
}

impl Part {
    fn is_due(self) -> bool {
        self.arrivals > 0 && self.arrivals.saturating_mul(SERIES_PER_ARRIVAL) >= self.n_series
    }
}

impl Default for RuleParts {
    fn default() -> Self {
        RuleParts {
            class: None,
            whole: Part::default(),
            parts: Vec::new(),
            moved: Vec::new(),
            asked_for: Vec::new(),
            whole_asked_for: false,
            is_moved: false,
            idle_until: Vec::new(),
            whole_idle_until: TimestampMs::MIN,
            channels: Vec::new(),
            headroom: Vec::new(),
            whole_headroom: Headroom::default(),
        }
    }
}

/// What of a rule is to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// All of it.
    Whole,
    /// These parts.
    Parts {
        /// What an evaluation of them sees.
        scope: Scope,
        /// Their numbers, in no order; without those of parts that have no series any more.
        ids: Vec<PartId>,
    },
}

impl Due {
    /// Returns what an evaluation is to see; `None` for all.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Due::Whole => None,
            Due::Parts { scope, .. } => Some(scope),
        }
    }
}

impl Partitions {
    /// Returns the partitions of a rule set, in which nothing has moved.
    pub fn of(rules: &CompiledRules) -> Self {
        let mut partitions = Partitions::default();
        for rule in &rules.rules {
            let class = rule
                .partition
                .as_ref()
                .map(|labels| partitions.class(labels));
            let mut channels = Vec::new();
            if let Some(distance) = Distance::of(&rule.expr).filter(|_| rule.stands) {
                let gains = &mut partitions.gains;
                distance.condition.visit(&mut |ratio| {
                    channels.push(gains.channel(ratio.upper.selector, class));
                });
            }
            partitions.rules.push(RuleParts {
                class,
                channels,
                ..RuleParts::default()
            });
        }
        partitions
    }

    fn class(&mut self, labels: &Arc<LabelSet>) -> u32 {
        let known = self
            .classes
            .iter()
            .position(|class| class.labels == *labels);
        let number = known.unwrap_or_else(|| {
            self.classes.push(Class {
                labels: Arc::clone(labels),
                ids: HashMap::new(),
                keys: Vec::new(),
            });
            self.classes.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Returns the number of the label set that takes a rule apart, if one does.
    pub fn class_of(&self, rule: RuleIndex) -> Option<u32> {
        self.rules.get(rule)?.class
    }

    /// Returns the part of a label set that a series belongs to.
    pub fn part(&mut self, class: u32, labels: &Labels) -> PartId {
        let class = &mut self.classes[class as usize];
        let key = Scope::key(&class.labels, labels);
        let next = u32::try_from(class.keys.len()).unwrap_or(u32::MAX);
        *class.ids.entry(key).or_insert_with(|| {
            class.keys.push(key);
            next
        })
    }

    /// A series of a part of a rule, or of the rule as a whole, has come (`true`) or gone.
    pub fn count(&mut self, rule: RuleIndex, part: Option<PartId>, has_come: bool) {
        let rule = &mut self.rules[rule];
        let change = |part: &mut Part| {
            part.n_series = match has_come {
                true => part.n_series.saturating_add(1),
                false => part.n_series.saturating_sub(1),
            };
        };
        change(&mut rule.whole);
        if let Some(part) = part {
            change(rule.part(part));
        }
        rule.lose_headroom(part);
    }

    /// So many samples have come.
    pub fn arrived(&mut self, index: RuleIndex, part: Option<PartId>, n: u32) {
        let rule = &mut self.rules[index];
        rule.whole.arrivals = rule.whole.arrivals.saturating_add(n);
        rule.whole.is_changed = true;
        if let Some(id) = part {
            let part = rule.part(id);
            part.arrivals = part.arrivals.saturating_add(n);
            part.is_changed = true;
            if !std::mem::replace(&mut part.is_moved, true) {
                rule.moved.push(id);
            }
        }
        self.note_moved(index);
    }

    /// A part of a rule, or the whole, is to be looked at whatever has arrived.
    pub fn ask_for(&mut self, index: RuleIndex, key: Option<u64>) {
        let rule = &mut self.rules[index];
        match key {
            Some(key) if rule.class.is_some() => rule.asked_for.push(key),
            _ => rule.whole_asked_for = true,
        }
        self.note_moved(index);
    }

    fn note_moved(&mut self, index: RuleIndex) {
        if !std::mem::replace(&mut self.rules[index].is_moved, true) {
            self.moved.push(index);
        }
    }

    /// Returns the rules of which something has moved, ascending.
    pub fn take_moved(&mut self) -> Vec<RuleIndex> {
        let mut moved = std::mem::take(&mut self.moved);
        moved.sort_unstable();
        moved
    }

    /// Returns what of a rule is to be evaluated now, and begins to count anew for that. `whole`
    /// says that it must not be taken apart.
    ///
    /// What cannot find anything however much has come is left out, unless it was asked for.
    pub fn take_due(&mut self, index: RuleIndex, at: TimestampMs, whole: bool) -> Option<Due> {
        let rule = &mut self.rules[index];
        rule.is_moved = false;
        let moved = std::mem::take(&mut rule.moved);
        let mut keys = std::mem::take(&mut rule.asked_for);
        let is_asked_for = std::mem::take(&mut rule.whole_asked_for);
        let class = rule.class.filter(|_| !whole && !is_asked_for);
        let Some(class_number) = class else {
            for id in moved {
                rule.part(id).is_moved = false;
            }
            if !(is_asked_for || !keys.is_empty() || rule.whole.is_due()) {
                return None;
            }
            rule.whole.arrivals = 0;
            let has_room =
                rule.class.is_none() && rule.whole_headroom.is_there(at, &self.gains, None);
            if has_room && !is_asked_for && keys.is_empty() {
                self.n_spared += 1;
                return None;
            }
            return Some(Due::Whole);
        };
        let class = &self.classes[class_number as usize];
        let mut ids = class.ids_of(&keys);
        let mut n_spared = 0;
        for id in moved {
            let part = rule.part(id);
            part.is_moved = false;
            if part.is_due() {
                part.arrivals = 0;
                if rule.has_headroom(id, at, &self.gains) {
                    n_spared += 1;
                    continue;
                }
                keys.push(class.keys[id as usize]);
                ids.push(id);
            }
        }
        self.n_spared += u64::from(n_spared > 0 && keys.is_empty());
        (!keys.is_empty()).then(|| class.due(class_number, keys, ids))
    }

    /// Returns what of a rule a tick at an instant has to evaluate; `raised` are the parts that its
    /// alerts come from. What is left out raises no alert, as when it was last evaluated: nothing
    /// has come since, and time has changed nothing.
    pub fn due_at_tick(
        &self,
        index: RuleIndex,
        at: TimestampMs,
        mut raised: impl Iterator<Item = Option<u64>>,
    ) -> Option<Due> {
        let rule = &self.rules[index];
        let Some(class_number) = rule.class else {
            let is_idle = (!rule.whole.is_changed && at < rule.whole_idle_until)
                || rule.whole_headroom.is_there(at, &self.gains, None);
            let is_due = !is_idle || rule.whole_asked_for || raised.next().is_some();
            return is_due.then_some(Due::Whole);
        };
        let class = &self.classes[class_number as usize];
        let mut keys = rule.asked_for.clone();
        for part in raised {
            match part {
                Some(part) => keys.push(part),
                None => return Some(Due::Whole),
            }
        }
        let mut ids = class.ids_of(&keys);
        for (id, part) in (0..).zip(&rule.parts).filter(|(_, part)| part.n_series > 0) {
            let idle_until = rule.idle_until.get(id as usize);
            let may_differ = part.is_changed || idle_until.is_none_or(|until| *until <= at);
            if may_differ && !rule.has_headroom(id, at, &self.gains) {
                keys.push(class.keys[id as usize]);
                ids.push(id);
            }
        }
        if rule.whole_asked_for || ids.len() > rule.parts.len() / 2 {
            return Some(Due::Whole);
        }
        (!keys.is_empty()).then(|| class.due(class_number, keys, ids))
    }

    /// Notes what an evaluation has found, and until when that stands by itself.
    pub fn was_evaluated(
        &mut self,
        index: RuleIndex,
        due: &Due,
        found: &BTreeMap<Labels, Found>,
        until: TimestampMs,
    ) {
        let rule = &mut self.rules[index];
        let Some(class) = rule.class else {
            rule.whole.is_changed = false;
            rule.whole_idle_until = match found.is_empty() {
                true => until,
                false => TimestampMs::MIN,
            };
            return;
        };
        let class = &self.classes[class as usize];
        rule.idle_until.resize(class.keys.len(), TimestampMs::MIN);
        match due {
            Due::Whole => {
                rule.idle_until.fill(until);
                rule.parts
                    .iter_mut()
                    .for_each(|part| part.is_changed = false);
            }
            Due::Parts { ids, .. } => {
                for id in ids {
                    rule.idle_until[*id as usize] = until;
                    rule.part(*id).is_changed = false;
                }
            }
        }
        let parts = found.values().filter_map(|found| found.part);
        for id in parts.filter_map(|part| class.ids.get(&part)) {
            rule.idle_until[*id as usize] = TimestampMs::MIN;
        }
    }

    /// Forgets what has moved of a rule: a tick has seen it all.
    pub fn was_ticked(&mut self, index: RuleIndex) {
        let rule = &mut self.rules[index];
        rule.whole.arrivals = 0;
        rule.whole_asked_for = false;
        rule.asked_for.clear();
        for id in std::mem::take(&mut rule.moved) {
            let part = rule.part(id);
            part.is_moved = false;
            part.arrivals = 0;
        }
    }

    /// Returns how many parts all label sets have made.
    pub fn n_parts(&self) -> usize {
        self.classes.iter().map(|class| class.keys.len()).sum()
    }
}

impl Class {
    /// Returns the numbers of parts. Each takes a look-up; parts that have moved come by number.
    fn ids_of(&self, keys: &[u64]) -> Vec<PartId> {
        let ids = keys.iter().filter_map(|key| self.ids.get(key));
        ids.copied().collect()
    }

    /// Returns that these parts are due; a part may stand there twice.
    fn due(&self, number: u32, mut keys: Vec<u64>, ids: Vec<PartId>) -> Due {
        keys.sort_unstable();
        keys.dedup();
        let labels = Arc::clone(&self.labels);
        let class = number;
        Due::Parts {
            scope: Scope {
                class,
                labels,
                keys,
            },
            ids,
        }
    }
}

impl Partitions {
    /// Puts what has moved, and how many series each part has.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.classes.iter(), |out, class| {
            out.list(class.keys.iter(), |out, key| out.word(*key));
        });
        out.list(self.rules.iter(), |out, rule| {
            out.option(rule.class, |out, class| out.number(class.into()));
            rule.whole.save(out);
            out.list(rule.parts.iter(), |out, part| part.save(out));
            out.list(rule.moved.iter(), |out, id| out.number((*id).into()));
            out.list(rule.asked_for.iter(), |out, key| out.word(*key));
            out.flag(rule.whole_asked_for);
            out.flag(rule.is_moved);
            out.list(rule.idle_until.iter(), |out, until| out.instant(*until));
            out.instant(rule.whole_idle_until);
        });
        out.list(self.moved.iter(), |out, rule| out.count(*rule));
    }

    /// Takes what [`Partitions::save`] has put of a rule set. `None` where the rules were taken
    /// apart otherwise then, as another version of this program may have done.
    pub fn load(rules: &CompiledRules, read: &mut ByteReader<'_>) -> Read<Option<Partitions>> {
        let mut partitions = Partitions::of(rules);
        let classes: Vec<Vec<u64>> = read.list(1, |read| read.list(8, ByteReader::word))?;
        let mut is_alike = classes.len() == partitions.classes.len();
        for (class, keys) in partitions.classes.iter_mut().zip(classes) {
            class.ids = keys.iter().copied().zip(0..).collect();
            is_alike &= class.ids.len() == keys.len();
            class.keys = keys;
        }
        let n_rules = read.count(6)?;
        is_alike &= n_rules == partitions.rules.len();
        for number in 0..n_rules {
            let loaded = RuleParts {
                class: read.option(ByteReader::small)?,
                whole: Part::load(read)?,
                parts: read.list(2, Part::load)?,
                moved: read.list(1, ByteReader::small)?,
                asked_for: read.list(8, ByteReader::word)?,
                whole_asked_for: read.flag()?,
                is_moved: read.flag()?,
                idle_until: read.list(1, ByteReader::instant)?,
                whole_idle_until: read.instant()?,
                ..RuleParts::default()
            };
            let Some(rule) = partitions.rules.get_mut(number) else {
                continue;
            };
            let loaded = RuleParts {
                channels: std::mem::take(&mut rule.channels),
                ..loaded
            };
            let class = rule
                .class
                .and_then(|class| partitions.classes.get(class as usize));
            let n_parts = class.map_or(0, |class| class.keys.len());
            is_alike &= loaded.class == rule.class
                && loaded.parts.len() <= n_parts
                && loaded.idle_until.len() <= n_parts
                && loaded.moved.iter().all(|id| (*id as usize) < n_parts);
            *rule = loaded;
        }
        partitions.moved = read.list(1, ByteReader::place)?;
        is_alike &= partitions.moved.iter().all(|rule| *rule < n_rules);
        Ok(is_alike.then_some(partitions))
    }

    /// Tells whether a part of a label set is known.
    pub fn has_part(&self, class: u32, part: PartId) -> bool {
        let class = self.classes.get(class as usize);
        class.is_some_and(|class| (part as usize) < class.keys.len())
    }
}

impl Part {
    fn save(self, out: &mut ByteWriter) {
        out.number(self.n_series.into());
        let marks = u64::from(self.is_changed) << 1 | u64::from(self.is_moved);
        out.number(u64::from(self.arrivals) << 2 | marks);
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Part> {
        let (n_series, arrivals) = (read.small()?, read.number()?);
        Ok(Part {
            n_series,
            arrivals: u32::try_from(arrivals >> 2).unwrap_or(u32::MAX),
            is_moved: arrivals & 1 == 1,
            is_changed: arrivals & 2 == 2,
        })
    }
}

impl RuleParts {
    fn part(&mut self, id: PartId) -> &mut Part {
        let place = id as usize;
        if place >= self.parts.len() {
            self.parts.resize(place + 1, Part::default());
        }
        &mut self.parts[place]
    }
}
