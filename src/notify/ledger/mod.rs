//! What the alerts are and who was told of it: the memory of notifying, which survives the
//! process.
//!
//! An engine says that an alert fires, or is resolved, once. Were it forgotten here before it is
//! delivered, nobody would ever hear of it; were it forgotten that it was delivered, people would
//! hear of it again after every restart. So the newest state of every alert lies here together
//! with what each receiver knows of it, and every change is appended to a file ([`file`]) before
//! it is acted upon. Receivers that begin, at a start or later, learn from here what there is to
//! tell them ([`Ledger::known_to`]).
//!
//! What is appended is the kernel's as soon as it is written, so a killed process loses nothing;
//! when the power goes, the last moments may be missing, and then a receiver is told something
//! twice, or an alert expires instead of being resolved.
//!
//! It holds the alerts that fire, which the engines bound, and those that were resolved within
//! [`RESOLVED_RETENTION`] or are still to be told, which the queue's capacity bounds.
//!
//! Cost: O(1) and one write of some hundred bytes for each new state, and for each receiver told.

mod file;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use crate::model::{AlertMessage, AlertStatus, Labels, TimestampMs};
use crate::notify::event::{AlertUpdate, is_same_state};
use crate::notify::ledger::file::{Journal, Record};
use crate::notify::schedule::RESOLVED_RETENTION;

pub use file::LedgerError;

/// What one receiver knows of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// It was told, or may have been, that the alert fires, and not yet that it ended.
    pub knows_firing: bool,
    /// When it accepted the alert's newest state, by the wall clock.
    pub told_at: Option<TimestampMs>,
}

/// An alert and what one receiver knows of it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its newest state, marked as backlog: whoever hears of it late is no measure of how fast we
    /// are.
    pub message: Arc<AlertMessage>,
    /// When that state was first heard of here, by the wall clock.
    pub since: TimestampMs,
    /// `false` when this state is told once only.
    pub is_repeated: bool,
    /// `false` when it was read from the file and no engine has spoken of it since.
    pub is_confirmed: bool,
    /// What the receiver knows.
    pub memory: Memory,
}

impl Known {
    /// Tells whether the receiver is to hear of this only when an engine vouches for it: it was
    /// not told that the alert fires, and whether it still does is not certain.
    pub fn is_dormant(&self) -> bool {
        let fires = self.message.status == AlertStatus::Firing;
        fires && !self.is_confirmed && self.memory.told_at.is_none()
    }

    /// Tells whether this is the end of what the receiver never heard of.
    fn is_unheard_end(&self) -> bool {
        let fires = self.message.status == AlertStatus::Firing;
        !fires && !self.memory.knows_firing && self.memory.told_at.is_none()
    }
}

/// The memory.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    n_alerts: Gauge,
    failures: Counter,
}

#[derive(Debug, Default)]
struct Inner {
    alerts: HashMap<Labels, Entry>,
    next_id: u64,
    /// The receivers there are.
    receivers: HashSet<Arc<str>>,
    /// The most alerts that are kept after their end only because somebody is still to be told.
    resolved_max: usize,
    journal: Option<Journal>,
    /// What is appended while a new file is being written, which needs it too.
    meanwhile: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Entry {
    /// Names the alert in the file.
    id: u64,
    message: Arc<AlertMessage>,
    since: TimestampMs,
    is_repeated: bool,
    is_confirmed: bool,
    memories: BTreeMap<Arc<str>, Memory>,
}

impl Entry {
    fn is_resolved(&self) -> bool {
        self.message.status != AlertStatus::Firing
    }

    fn record(&self) -> Record {
        Record::State {
            id: self.id,
            message: (*self.message).clone(),
            since: self.since,
        }
    }

    /// Tells whether a receiver that there is awaits the end.
    fn is_awaited(&self, receivers: &HashSet<Arc<str>>) -> bool {
        let mut memories = self.memories.iter();
        memories.any(|(receiver, memory)| {
            memory.knows_firing && memory.told_at.is_none() && receivers.contains(receiver)
        })
    }
}

impl Ledger {
    /// Returns a memory that goes with the process: for commands that keep nothing.
    pub fn in_memory() -> Self {
        Ledger {
            inner: Mutex::new(Inner::default()),
            n_alerts: Gauge::default(),
            failures: Counter::default(),
        }
    }

    /// Opens the memory in a folder, which is made where it is missing. What a torn write left
    /// behind the last whole record is dropped and said; a file of a later version is an error.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let (journal, records) = Journal::open(folder)?;
        let mut inner = Inner::default();
        let mut names = HashMap::new();
        for record in records {
            inner.replay(record, &mut names);
        }
        if !inner.alerts.is_empty() {
            let alerts = inner.alerts.len();
            info!(alerts, "alerts are remembered with who was told of them");
        }
        inner.journal = Some(journal);
        let ledger = Ledger {
            inner: Mutex::new(inner),
            ..Ledger::in_memory()
        };
        // A new file begins with every process, so that what was torn is not appended to.
        ledger.rewrite()?;
        Ok(ledger)
    }

    /// Registers the metrics.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "burnwatch_notification_ledger_alerts",
            "Alerts that are remembered with who was told of them",
            self.n_alerts.clone(),
        );
        registry.register(
            "burnwatch_notification_ledger_failures",
            "Failed writes of the memory of notifying; it is written anew when that is possible",
            self.failures.clone(),
        );
    }

    /// Changes how many ended alerts are kept because somebody is still to be told of the end.
    pub(crate) fn set_resolved_max(&self, resolved_max: usize) {
        self.inner.lock().resolved_max = resolved_max;
    }

    /// Notes what engines say.
    pub fn note(&self, updates: &[AlertUpdate], now: TimestampMs) {
        self.change(|inner, records| {
            for update in updates {
                inner.note(update, now, records);
            }
        });
    }

    /// A receiver begins: from now on it is waited for. Returns what there is to tell it, sorted
    /// by labels.
    pub fn known_to(&self, receiver: &str) -> Vec<Known> {
        let mut inner = self.inner.lock();
        inner.receivers.insert(Arc::from(receiver));
        let known = |entry: &Entry| Known {
            message: Arc::new(AlertMessage {
                backlog: true,
                ..(*entry.message).clone()
            }),
            since: entry.since,
            is_repeated: entry.is_repeated,
            is_confirmed: entry.is_confirmed,
            memory: entry.memories.get(receiver).copied().unwrap_or_default(),
        };
        let mut all: Vec<Known> = inner.alerts.values().map(known).collect();
        all.retain(|known| !known.is_unheard_end());
        all.sort_by(|a, b| a.message.labels.cmp(&b.message.labels));
        all
    }

    /// A receiver is gone: nobody waits until it has been told.
    pub fn end(&self, receiver: &str) {
        self.inner.lock().receivers.remove(receiver);
    }

    /// Notes, just before the first byte leaves, what a receiver may know from now on.
    pub fn leaving(&self, receiver: &str, messages: &[Arc<AlertMessage>]) {
        self.change(|inner, records| {
            for message in messages {
                if message.status == AlertStatus::Firing {
                    inner.remember(receiver, message, records, |memory| {
                        memory.knows_firing = true;
                    });
                }
            }
        });
    }

    /// Notes that a receiver accepted states, or refused them for good.
    pub fn told(&self, receiver: &str, messages: &[Arc<AlertMessage>], now: TimestampMs) {
        self.change(|inner, records| {
            for message in messages {
                let Some(entry) = inner.alerts.get(&message.labels) else {
                    continue;
                };
                if !is_same_state(&entry.message, message) {
                    continue;
                }
                let is_resolved = entry.is_resolved();
                inner.remember(receiver, message, records, |memory| {
                    memory.told_at = Some(now);
                    memory.knows_firing &= !is_resolved;
                });
            }
        });
    }

    /// Tells whether an end is known already: whoever is to hear of it has been asked to.
    pub fn is_known_end(&self, message: &AlertMessage) -> bool {
        let inner = self.inner.lock();
        let entry = inner.alerts.get(&message.labels);
        entry.is_some_and(|entry| entry.is_resolved() && is_same_state(&entry.message, message))
    }

    /// Tells whether an engine has spoken of an alert since the start.
    pub fn is_confirmed(&self, labels: &Labels) -> bool {
        let inner = self.inner.lock();
        let entry = inner.alerts.get(labels);
        entry.is_some_and(|entry| entry.is_confirmed)
    }

    /// Returns the alerts that are remembered as firing and that no engine has spoken of.
    pub fn unconfirmed(&self) -> Vec<Labels> {
        let inner = self.inner.lock();
        let unconfirmed = |(labels, entry): (&Labels, &Entry)| {
            (!entry.is_confirmed && !entry.is_resolved()).then(|| labels.clone())
        };
        inner.alerts.iter().filter_map(unconfirmed).collect()
    }

    /// Forgets alerts that ended and of which everybody has heard, and writes the file anew when
    /// most of it is out of date or when writing failed. To be called every few seconds, from a
    /// thread that may wait for the disk.
    pub fn tidy(&self, now: TimestampMs) {
        self.change(|inner, records| inner.forget_ended(now, records));
        let is_due = {
            let inner = self.inner.lock();
            let journal = inner.journal.as_ref();
            journal.is_some_and(|journal| journal.is_worth_rewriting(inner.alerts.len()))
        };
        if is_due && let Err(error) = self.rewrite() {
            self.failures.inc();
            warn!(%error, "the memory of notifying cannot be written, will try again");
        }
    }

    /// Makes a change and appends what it means to the file.
    fn change(&self, change: impl FnOnce(&mut Inner, &mut Vec<Record>)) {
        let mut records = Vec::new();
        let mut inner = self.inner.lock();
        change(&mut inner, &mut records);
        self.n_alerts
            .set(i64::try_from(inner.alerts.len()).unwrap_or(i64::MAX));
        if records.is_empty() {
            return;
        }
        let Inner {
            journal, meanwhile, ..
        } = &mut *inner;
        let Some(journal) = journal else {
            return;
        };
        let bytes = file::encode(&records);
        if let Some(meanwhile) = meanwhile {
            meanwhile.extend_from_slice(&bytes);
        }
        if let Err(error) = journal.append(&bytes, records.len()) {
            self.failures.inc();
            warn!(%error, "the memory of notifying cannot be written, will try again");
        }
    }

    /// Writes a file of what is known now and puts it in the place of the old one. Changes go on
    /// meanwhile.
    fn rewrite(&self) -> Result<(), LedgerError> {
        let mut inner = self.inner.lock();
        let Some(new) = inner.journal.as_ref().map(Journal::successor) else {
            return Ok(());
        };
        let records = inner.snapshot();
        inner.meanwhile = Some(Vec::new());
        drop(inner);
        let written = new.write(&records);
        let mut inner = self.inner.lock();
        let meanwhile = inner.meanwhile.take().unwrap_or_default();
        let (file, n_records) = written?;
        inner.journal = Some(new.replace(file, &meanwhile, n_records)?);
        Ok(())
    }
}

impl Inner {
    fn note(&mut self, update: &AlertUpdate, now: TimestampMs, records: &mut Vec<Record>) {
        match update {
            AlertUpdate::State(message) => self.state(message, now, records),
            AlertUpdate::Pending(labels) => {
                let Some(entry) = self.alerts.get_mut(labels) else {
                    return;
                };
                if entry.is_resolved() && entry.is_repeated {
                    entry.is_repeated = false;
                    records.push(Record::Once { id: entry.id });
                }
            }
            AlertUpdate::Forget(labels) => {
                if let Some(entry) = self.alerts.remove(labels) {
                    records.push(Record::Gone { id: entry.id });
                }
            }
        }
    }

    fn state(&mut self, message: &Arc<AlertMessage>, now: TimestampMs, records: &mut Vec<Record>) {
        let next_id = self.next_id;
        let entry = self.alerts.entry(message.labels.clone());
        let entry = entry.or_insert_with(|| Entry {
            id: next_id,
            message: Arc::clone(message),
            since: now,
            is_repeated: true,
            is_confirmed: false,
            memories: BTreeMap::new(),
        });
        entry.is_confirmed = true;
        let is_new = entry.id == next_id;
        let is_same = !is_new && is_same_state(&entry.message, message);
        entry.message = Arc::clone(message);
        if is_same {
            // Texts that change with every evaluation are not written down: whoever starts from
            // the file gets the newest from the engine.
            return;
        }
        self.next_id += u64::from(is_new);
        entry.since = now;
        entry.is_repeated = true;
        for memory in entry.memories.values_mut() {
            memory.told_at = None;
        }
        records.push(entry.record());
    }

    fn remember(
        &mut self,
        receiver: &str,
        message: &AlertMessage,
        records: &mut Vec<Record>,
        change: impl FnOnce(&mut Memory),
    ) {
        let Some(entry) = self.alerts.get_mut(&message.labels) else {
            return;
        };
        let name = self.receivers.get(receiver).cloned();
        let name = name.unwrap_or_else(|| Arc::from(receiver));
        let memory = entry.memories.entry(Arc::clone(&name)).or_default();
        let before = *memory;
        change(memory);
        if *memory != before {
            let (id, memory) = (entry.id, *memory);
            records.push(Record::Memory {
                id,
                receiver: name,
                memory,
            });
        }
    }

    fn forget_ended(&mut self, now: TimestampMs, records: &mut Vec<Record>) {
        let mut awaited = Vec::new();
        let mut gone = Vec::new();
        for (labels, entry) in &self.alerts {
            if !entry.is_resolved() || now - entry.since <= RESOLVED_RETENTION {
                continue;
            }
            match entry.is_awaited(&self.receivers) {
                true => awaited.push((entry.since, entry.id, labels.clone())),
                false => gone.push((entry.id, labels.clone())),
            }
        }
        let n_over = awaited.len().saturating_sub(self.resolved_max);
        if n_over > 0 {
            awaited.sort_unstable_by_key(|(since, id, _)| (*since, *id));
            gone.extend(awaited.drain(..n_over).map(|(_, id, labels)| (id, labels)));
        }
        gone.sort_unstable_by_key(|(id, _)| *id);
        for (id, labels) in gone {
            self.alerts.remove(&labels);
            records.push(Record::Gone { id });
        }
    }

    /// Returns all that is known, for a new file.
    fn snapshot(&self) -> Vec<Record> {
        let mut entries: Vec<&Entry> = self.alerts.values().collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        let mut records = Vec::new();
        for entry in entries {
            records.push(entry.record());
            if !entry.is_repeated {
                records.push(Record::Once { id: entry.id });
            }
            let memories = entry.memories.iter();
            records.extend(memories.map(|(receiver, memory)| Record::Memory {
                id: entry.id,
                receiver: Arc::clone(receiver),
                memory: *memory,
            }));
        }
        records
    }

    /// Does again what a record says; `names` holds whose number is whose.
    fn replay(&mut self, record: Record, names: &mut HashMap<u64, Labels>) {
        let id = record.id();
        self.next_id = self.next_id.max(id.saturating_add(1));
        let named = names.get(&id).cloned();
        match record {
            Record::State { message, since, .. } => {
                let labels = message.labels.clone();
                // Under another number it had been forgotten, and what was known of it as well.
                let old = self.alerts.remove(&labels).filter(|old| old.id == id);
                let mut memories = old.map(|old| old.memories).unwrap_or_default();
                memories
                    .values_mut()
                    .for_each(|memory| memory.told_at = None);
                names.insert(id, labels.clone());
                let entry = Entry {
                    id,
                    message: Arc::new(message),
                    since,
                    is_repeated: true,
                    is_confirmed: false,
                    memories,
                };
                self.alerts.insert(labels, entry);
            }
            Record::Once { .. } => {
                if let Some(entry) = named.and_then(|labels| self.alerts.get_mut(&labels)) {
                    entry.is_repeated = false;
                }
            }
            Record::Memory {
                receiver, memory, ..
            } => {
                if let Some(entry) = named.and_then(|labels| self.alerts.get_mut(&labels)) {
                    entry.memories.insert(receiver, memory);
                }
            }
            Record::Gone { .. } => {
                if let Some(labels) = named {
                    self.alerts.remove(&labels);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DurationMs;

    /// Runs a script: `fire a`, `resolve a`, `pending a`, `forget a`; `reach am a` and `tell am a`
    /// (its newest state); `down am`; `at 60` moves the clock (seconds), `tidy` tidies; `old` keeps
    /// the newest state for a `late am a`, which tells that; `again` opens the file as a new
    /// process does. Returns what there is to tell `am` and `hook` then.
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(folder.path()).expect("a new ledger");
        let mut now = TimestampMs(0);
        let mut newest: HashMap<&str, Arc<AlertMessage>> = HashMap::new();
        let mut old = newest.clone();
        let begin = |ledger: &Ledger| {
            ledger.set_resolved_max(2);
            for receiver in ["am", "hook"] {
                ledger.known_to(receiver);
            }
        };
        begin(&ledger);
        for step in script.split(", ") {
            let words: Vec<&str> = step.split(' ').collect();
            let labels = |at: usize| Labels::from_pairs([("alertname", words[at])]);
            let mut state = |status| {
                let message = Arc::new(AlertMessage {
                    labels: labels(1),
                    annotations: Arc::from([]),
                    status,
                    fired_at: match status {
                        AlertStatus::Firing => now,
                        AlertStatus::Resolved { .. } => newest[words[1]].fired_at,
                    },
                    valid_for: DurationMs::from_seconds(240),
                    expr: Arc::from("x"),
                    caused_by: 0,
                    caused_at_wall: now,
                    backlog: false,
                });
                newest.insert(words[1], Arc::clone(&message));
                ledger.note(&[AlertUpdate::State(message)], now);
            };
            match words[0] {
                "at" => now = TimestampMs(words[1].parse::<i64>().expect("seconds") * 1000),
                "fire" => state(AlertStatus::Firing),
                "resolve" => state(AlertStatus::Resolved { resolved_at: now }),
                "pending" => ledger.note(&[AlertUpdate::Pending(labels(1))], now),
                "forget" => ledger.note(&[AlertUpdate::Forget(labels(1))], now),
                "reach" => ledger.leaving(words[1], &[Arc::clone(&newest[words[2]])]),
                "tell" => {
                    ledger.leaving(words[1], &[Arc::clone(&newest[words[2]])]);
                    ledger.told(words[1], &[Arc::clone(&newest[words[2]])], now);
                }
                "old" => old = newest.clone(),
                "late" => {
                    ledger.leaving(words[1], &[Arc::clone(&old[words[2]])]);
                    ledger.told(words[1], &[Arc::clone(&old[words[2]])], now);
                }
                "down" => ledger.end(words[1]),
                "tidy" => ledger.tidy(now),
                "rewrite" => ledger.rewrite().expect("a disk"),
                "again" => {
                    let told = |ledger: &Ledger| {
                        ["am", "hook"].map(|receiver| shown(&ledger.known_to(receiver)))
                    };
                    let opened = Ledger::open(folder.path()).expect("an old ledger");
                    begin(&opened);
                    // That no engine has vouched for it yet is the only difference.
                    opened
                        .inner
                        .lock()
                        .alerts
                        .values_mut()
                        .for_each(|e| e.is_confirmed = true);
                    let vouched = ledger.inner.lock().alerts.values().all(|e| e.is_confirmed);
                    if vouched {
                        assert_eq!(told(&opened), told(&ledger), "{script}");
                    }
                    ledger = Ledger::open(folder.path()).expect("an old ledger");
                    begin(&ledger);
                }
                other => panic!("{other}"),
            }
        }
        let told = ["am", "hook"].map(|receiver| shown(&ledger.known_to(receiver)));
        assert_eq!(told.join(" | "), expected, "{script}");
    }

    /// Prints what there is to tell: `a+` for firing, `a-` for resolved, `!` where it is news,
    /// `?` where it waits for an engine, `1` where it is told once only.
    fn shown(known: &[Known]) -> String {
        let one = |known: &Known| {
            let sign = match known.message.status {
                AlertStatus::Firing => '+',
                AlertStatus::Resolved { .. } => '-',
            };
            let news = match known.memory.told_at {
                None if known.is_dormant() => "?",
                None => "!",
                Some(_) => "",
            };
            let once = if known.is_repeated { "" } else { "1" };
            format!(
                "{}{sign}{news}{once}",
                known.message.labels.value("alertname")
            )
        };
        known.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_was_told_is_not_news_after_a_restart() {
        check("fire a, tell am a, again", "a+ | a+?");
        check("fire a, tell am a, tell hook a, again, again", "a+ | a+");
        check("fire a, tell am a, resolve a, tell am a, again", "a- | ");
        check("fire a, tell am a, resolve a, again", "a-! | ");
        check("fire a, tell am a, resolve a, rewrite, again", "a-! | ");
        check("fire a, tell am a, resolve a, pending a, again", "a-!1 | ");
        check("fire a, tell am a, forget a, again", " | ");
        check("fire a, tell am a, forget a, fire a, again", "a+? | a+?");
        // It fires anew, of which the receiver has not heard.
        check(
            "fire a, tell am a, resolve a, tell am a, at 9, fire a",
            "a+! | a+!",
        );
    }

    #[test]
    fn nobody_hears_of_the_end_of_what_nobody_can_have_heard_of() {
        check("fire a, resolve a, again", " | ");
        // It may have arrived, although no answer came.
        check("fire a, reach am a, resolve a, again", "a-! | ");
        // An answer that comes after the end.
        check("fire a, old, resolve a, late am a, again", "a-! | ");
        check(
            "fire a, tell am a, old, resolve a, at 9, fire a, late am a",
            "a+! | a+!",
        );
    }

    /// Catches a firing that outlives its rule, because the file says so.
    #[test]
    fn a_firing_that_nobody_has_heard_of_waits_for_an_engine_to_vouch_for_it() {
        check("fire a, again", "a+? | a+?");
        check("fire a, reach am a, again", "a+? | a+?");
        check("fire a, again, fire a", "a+! | a+!");
    }

    #[test]
    fn what_ended_is_forgotten_once_everybody_has_heard() {
        let told = "fire a, tell am a, resolve a, tell am a";
        check(&format!("{told}, at 900, tidy, again"), "a- | ");
        check(&format!("{told}, at 901, tidy, again"), " | ");
        // Somebody waits for it, however long.
        check(
            "fire a, tell am a, resolve a, at 99999, tidy, again",
            "a-! | ",
        );
        // Nobody waits for it who is gone.
        check(
            "fire a, tell am a, resolve a, down am, at 901, tidy, again",
            " | ",
        );
        // Of too many the oldest go.
        let many = "fire a, fire b, fire c, tell am a, tell am b, tell am c, resolve a, at 1, \
                    resolve b, resolve c, at 950, tidy, again";
        check(many, "b-! c-! | ");
    }

    /// Catches a disk that is full for a while and leaves half a line, or a memory that ends there.
    #[test]
    fn a_write_that_fails_is_made_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(folder.path()).expect("a new ledger");
        let message = |name: &str| {
            let labels = Labels::from_pairs([("alertname", name)]);
            AlertUpdate::State(Arc::new(AlertMessage {
                labels,
                annotations: Arc::from([]),
                status: AlertStatus::Firing,
                fired_at: TimestampMs(0),
                valid_for: DurationMs(1),
                expr: Arc::from("x"),
                caused_by: 0,
                caused_at_wall: TimestampMs(0),
                backlog: false,
            }))
        };
        // A file that cannot be written to stands for the full disk.
        let path = folder.path().join("ledger.jsonl");
        let broken = std::fs::File::open(&path).expect("the file");
        if let Some(journal) = &mut ledger.inner.lock().journal {
            journal.break_with(broken);
        }
        ledger.note(&[message("a"), message("b")], TimestampMs(0));
        ledger.note(&[message("c")], TimestampMs(0));
        assert_eq!(ledger.failures.get(), 1);
        assert_eq!(
            Ledger::open(folder.path())
                .expect("old")
                .unconfirmed()
                .len(),
            0
        );
        ledger.tidy(TimestampMs(0));
        assert_eq!(
            Ledger::open(folder.path())
                .expect("old")
                .unconfirmed()
                .len(),
            3
        );
    }
}
