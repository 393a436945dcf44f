//! When an alert is sent to one Alertmanager: a pure state machine, the wall clock being an
//! argument.
//!
//! The schedule is the queue: it holds the newest state per alert, so a newer state replaces
//! what waits, and a failed send is due again by itself. A firing alert is due at once, then
//! again when more than the resend delay has passed since it was sent (strictly, as in
//! Prometheus); a resolved one at once and at each resend delay for 15 minutes. States found
//! in a backlog wait a second for newer ones; an alert that fired and was resolved before
//! the receiver can have heard of it is not spoken of at all. A receiver that is down for an hour
//! is so owed one state an alert, however often it was tried.
//!
//! Cost: O(log n) per event and per alert sent.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use crate::notify::event::is_same_state;
use crate::notify::ledger::Known;

/// How long a resolved alert is sent again, as in Prometheus.
pub const RESOLVED_RETENTION: DurationMs = DurationMs::from_seconds(15 * 60);
/// How long a state found in a backlog waits for a newer one.
pub const BACKLOG_HOLD: DurationMs = DurationMs::from_seconds(1);
/// How long a state found in a backlog waits at most, newer ones coming or not.
pub const BACKLOG_HOLD_MAX: DurationMs = DurationMs::from_seconds(5);

/// An alert taken for sending, stamped with the time of sending.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The state that is sent.
    pub message: Arc<AlertMessage>,
    /// When it began to fire (event time).
    pub starts_at: TimestampMs,
    /// Until when it is valid, or when it was resolved; never later than now for the latter.
    pub ends_at: TimestampMs,
    /// `true` when this state has not been sent before.
    pub is_new: bool,
    /// The receiver may have known of the alert before.
    was_known: bool,
    order: u64,
    version: u64,
}

/// The newest states and when each is due.
#[derive(Debug)]
pub struct Schedule {
    resend_delay: DurationMs,
    waiting_max: usize,
    entries: HashMap<Labels, Entry>,
    /// Due now: what is news before what is only repeated, each in the order in which they fell
    /// due. Thousands of alerts that are due again must not hold up one that has just fired.
    waiting: BTreeMap<Place, Labels>,
    /// Due later.
    later: BTreeSet<(TimestampMs, u64, Labels)>,
    next_order: u64,
}

#[derive(Debug)]
struct Entry {
    message: Arc<AlertMessage>,
    due: Due,
    /// When this firing or this resolution was last sent.
    last_sent: Option<TimestampMs>,
    /// Something may have reached the receiver, so it may know of the alert.
    is_known: bool,
    /// When we first heard of the resolution.
    resolved_seen: Option<TimestampMs>,
    /// `false` when this state is told once only.
    is_repeated: bool,
    /// Since when a backlog's state waits for newer ones.
    held_since: Option<TimestampMs>,
    /// Grows when the alert fires anew or is resolved; a send speaks of one version.
    version: u64,
}

/// A place among those that wait: whether it is a repetition, and when it fell due.
type Place = (bool, u64);

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Now {
        place: Place,
    },
    Later {
        at: TimestampMs,
        order: u64,
    },
    /// A send is under way.
    InFlight,
    /// Not at all before an engine says that it is so.
    Dormant,
}

impl Schedule {
    /// Returns an empty schedule; at most `waiting_max` alerts wait to be sent.
    pub fn new(resend_delay: DurationMs, waiting_max: usize) -> Self {
        Schedule {
            resend_delay,
            waiting_max: waiting_max.max(1),
            entries: HashMap::new(),
            waiting: BTreeMap::new(),
            later: BTreeSet::new(),
            next_order: 0,
        }
    }

    /// Changes the resend delay and the bound from here on.
    pub fn configure(&mut self, resend_delay: DurationMs, waiting_max: usize) {
        self.resend_delay = resend_delay;
        self.waiting_max = waiting_max.max(1);
    }

    /// Returns the number of alerts that wait to be sent.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes an alert's newest state; returns how many older alerts the bound pushed out.
    pub fn state(&mut self, mut message: Arc<AlertMessage>, now: TimestampMs) -> usize {
        let labels = message.labels.clone();
        let resolved = matches!(message.status, AlertStatus::Resolved { .. });
        let Some(mut entry) = self.entries.remove(&labels) else {
            let entry = Entry {
                due: Due::InFlight,
                last_sent: None,
                is_known: false,
                resolved_seen: resolved.then_some(now),
                is_repeated: true,
                held_since: None,
                version: 0,
                message,
            };
            self.schedule_change(labels, entry, now);
            return self.push_out(now);
        };
        let was_resolved = entry.resolved_seen.is_some();
        if resolved && !was_resolved && !entry.is_known {
            // Nobody heard that it fired.
            self.unlist(&labels, entry.due);
            return 0;
        }
        let is_same = is_same_state(&entry.message, &message);
        if is_same && entry.last_sent.is_none() {
            caused_like(&mut message, &entry.message);
        }
        entry.message = message;
        if is_same && entry.due == Due::Dormant {
            self.schedule_change(labels, entry, now);
            return self.push_out(now);
        }
        if is_same {
            // The texts changed; they go with the next send, as in Prometheus.
            self.entries.insert(labels, entry);
            return 0;
        }
        self.unlist(&labels, entry.due);
        entry.version += 1;
        entry.last_sent = None;
        entry.resolved_seen = resolved.then_some(now);
        entry.is_repeated = true;
        self.schedule_change(labels, entry, now);
        self.push_out(now)
    }

    /// Takes up an alert where the receiver's queue of before left it; see [`Ledger::known_to`].
    ///
    /// [`Ledger::known_to`]: crate::notify::ledger::Ledger::known_to
    pub fn recall(&mut self, known: &Known, now: TimestampMs) {
        let labels = known.message.labels.clone();
        let is_resolved = known.message.status != AlertStatus::Firing;
        if self.entries.contains_key(&labels) {
            return;
        }
        let told_at = known.memory.told_at;
        let entry = Entry {
            message: Arc::clone(&known.message),
            due: Due::InFlight,
            last_sent: told_at,
            is_known: known.memory.knows_firing || told_at.is_some(),
            resolved_seen: is_resolved.then_some(known.since),
            is_repeated: known.is_repeated,
            held_since: None,
            version: 0,
        };
        match told_at {
            None if known.is_dormant() => {
                let due = Due::Dormant;
                self.entries.insert(labels, Entry { due, ..entry });
            }
            Some(told_at) => self.reschedule(labels, entry, told_at, now),
            None => self.schedule_change(labels, entry, now),
        }
    }

    /// Lists an entry whose state just changed.
    fn schedule_change(&mut self, labels: Labels, mut entry: Entry, now: TimestampMs) {
        let mut at = now;
        if entry.message.backlog {
            let since = *entry.held_since.get_or_insert(now);
            at = (now + BACKLOG_HOLD).min(since + BACKLOG_HOLD_MAX).max(now);
        }
        self.list(labels, entry, at, now);
    }

    /// Notes that an alert is pending again: a resolution is not repeated from here on, as in
    /// Prometheus; one that was not sent yet still is.
    pub fn pending(&mut self, labels: &Labels) {
        let Some(entry) = self.entries.get_mut(labels) else {
            return;
        };
        if entry.resolved_seen.is_none() {
            return;
        }
        entry.is_repeated = false;
        if matches!(entry.due, Due::Later { .. }) && entry.last_sent.is_some() {
            self.forget(labels);
        }
    }

    /// Drops an alert; nothing is sent of it any more.
    pub fn forget(&mut self, labels: &Labels) {
        if let Some(entry) = self.entries.remove(labels) {
            self.unlist(labels, entry.due);
        }
    }

    /// Makes everything due that was not sent yet in its newest state: there is no later.
    pub fn release(&mut self) {
        let is_unsent = |labels: &Labels| {
            let entry = self.entries.get(labels);
            entry.is_some_and(|entry| entry.last_sent.is_none())
        };
        let unsent = self.later.iter().filter(|(_, _, labels)| is_unsent(labels));
        let unsent: Vec<_> = unsent.cloned().collect();
        for listed in unsent {
            self.later.remove(&listed);
            let (_, order, labels) = listed;
            self.make_due(order, labels);
        }
    }

    /// Takes up to `max` alerts that are due, oldest first, stamped for sending now. Each must
    /// be given back by [`Schedule::sent`] or [`Schedule::failed`].
    pub fn take(&mut self, now: TimestampMs, max: usize) -> Vec<Outgoing> {
        self.promote(now);
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(((_, order), labels)) = self.waiting.pop_first()
        {
            let entry = self.entries.get_mut(&labels);
            let entry = entry.expect("what waits has an entry");
            entry.due = Due::InFlight;
            let was_known = std::mem::replace(&mut entry.is_known, true);
            entry.held_since = None;
            let (starts_at, ends_at) = stamp(&entry.message, now);
            taken.push(Outgoing {
                message: Arc::clone(&entry.message),
                starts_at,
                ends_at,
                is_new: entry.last_sent.is_none(),
                was_known,
                order,
                version: entry.version,
            });
        }
        taken
    }

    /// Notes that alerts taken at `sent_at` were accepted, or refused for good.
    pub fn sent(&mut self, taken: &[Outgoing], sent_at: TimestampMs, now: TimestampMs) {
        for outgoing in taken {
            self.give_back(outgoing, |schedule, labels, mut entry| {
                entry.last_sent = Some(sent_at);
                schedule.reschedule(labels, entry, sent_at, now);
            });
        }
    }

    /// Notes that alerts could not be sent; they are due again, in their old order, unless a
    /// newer state has taken their place. With `has_left`, something of them may have reached the
    /// receiver all the same.
    pub fn failed(&mut self, taken: &[Outgoing], has_left: bool) {
        for outgoing in taken {
            if !has_left {
                self.unreached(outgoing);
            }
            self.give_back(outgoing, |schedule, labels, mut entry| {
                schedule.wait(&labels, &mut entry, outgoing.order);
                schedule.entries.insert(labels, entry);
            });
        }
    }

    /// Takes back that the receiver may know of an alert. If it ended meanwhile, nobody has heard
    /// of either.
    fn unreached(&mut self, outgoing: &Outgoing) {
        let labels = &outgoing.message.labels;
        let is_firing = outgoing.message.status == AlertStatus::Firing;
        if !is_firing || outgoing.was_known {
            return;
        }
        let Some(entry) = self.entries.get_mut(labels) else {
            return;
        };
        entry.is_known = false;
        if entry.resolved_seen.is_some() {
            self.forget(labels);
        }
    }

    fn give_back(&mut self, outgoing: &Outgoing, then: impl FnOnce(&mut Self, Labels, Entry)) {
        let labels = outgoing.message.labels.clone();
        // Forgotten, or replaced by a newer state, which is listed already.
        let is_current =
            |entry: &Entry| entry.version == outgoing.version && entry.due == Due::InFlight;
        if !self.entries.get(&labels).is_some_and(is_current) {
            return;
        }
        if let Some(entry) = self.entries.remove(&labels) {
            then(self, labels, entry);
        }
    }

    /// Lists an entry for its next send, or drops one that was resolved long ago.
    fn reschedule(
        &mut self,
        labels: Labels,
        entry: Entry,
        last_sent: TimestampMs,
        now: TimestampMs,
    ) {
        // One more ms: the delay must have been exceeded.
        let next = last_sent + self.resend_delay + DurationMs(1);
        if let Some(seen) = entry.resolved_seen
            && (next > seen + RESOLVED_RETENTION || !entry.is_repeated)
        {
            return;
        }
        self.list(labels, entry, next, now);
    }

    /// Returns when something falls due; `None` when nothing will by itself.
    pub fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        if !self.waiting.is_empty() {
            return Some(now);
        }
        self.later.first().map(|(at, ..)| *at)
    }

    fn list(&mut self, labels: Labels, mut entry: Entry, at: TimestampMs, now: TimestampMs) {
        let order = self.next_order;
        self.next_order += 1;
        if at <= now {
            self.wait(&labels, &mut entry, order);
        } else {
            entry.due = Due::Later { at, order };
            self.later.insert((at, order, labels.clone()));
        }
        self.entries.insert(labels, entry);
    }

    fn unlist(&mut self, labels: &Labels, due: Due) {
        match due {
            Due::Now { place } => drop(self.waiting.remove(&place)),
            Due::Later { at, order } => {
                self.later.remove(&(at, order, labels.clone()));
            }
            Due::InFlight | Due::Dormant => {}
        }
    }

    fn promote(&mut self, now: TimestampMs) {
        while let Some((at, ..)) = self.later.first()
            && *at <= now
            && let Some((_, order, labels)) = self.later.pop_first()
        {
            self.make_due(order, labels);
        }
        // Nothing is ever put off for longer than this. What lies beyond was put there before the
        // wall clock was set back, and would expire where it was sent if it waited.
        let latest = now + self.resend_delay.max(BACKLOG_HOLD_MAX) + DurationMs(1);
        while let Some((at, ..)) = self.later.last()
            && *at > latest
            && let Some((_, order, labels)) = self.later.pop_last()
        {
            self.make_due(order, labels);
        }
    }

    fn make_due(&mut self, order: u64, labels: Labels) {
        if let Some(mut entry) = self.entries.remove(&labels) {
            self.wait(&labels, &mut entry, order);
            self.entries.insert(labels, entry);
        }
    }

    fn wait(&mut self, labels: &Labels, entry: &mut Entry, order: u64) {
        let place = (entry.last_sent.is_some(), order);
        entry.due = Due::Now { place };
        self.waiting.insert(place, labels.clone());
    }

    /// Pushes waiting alerts out until the bound holds, repetitions first and then the oldest;
    /// they count as sent, so the resend rule brings them back.
    fn push_out(&mut self, now: TimestampMs) -> usize {
        let mut n_pushed_out = 0;
        while self.waiting.len() > self.waiting_max
            && let Some(place) = self.first_to_push_out()
            && let Some(labels) = self.waiting.remove(&place)
            && let Some(mut entry) = self.entries.remove(&labels)
        {
            n_pushed_out += 1;
            // Silence about it must not be taken for silence about its firing.
            entry.is_known = true;
            self.reschedule(labels, entry, now, now);
        }
        n_pushed_out
    }

    fn first_to_push_out(&self) -> Option<Place> {
        let repetition = self.waiting.range((true, 0)..).next();
        let (place, _) = repetition.or_else(|| self.waiting.first_key_value())?;
        Some(*place)
    }
}

/// Makes what reads differently before it was told be caused by what was first to be told.
pub(crate) fn caused_like(message: &mut Arc<AlertMessage>, first: &AlertMessage) {
    let message = Arc::make_mut(message);
    message.caused_by = first.caused_by;
    message.caused_at_wall = first.caused_at_wall;
}

/// Returns when the alert began and until when it is valid, as of now.
pub fn stamp(message: &AlertMessage, now: TimestampMs) -> (TimestampMs, TimestampMs) {
    let ends_at = match message.status {
        AlertStatus::Firing => now + message.valid_for,
        // A receiver takes an end in its future for "still firing".
        AlertStatus::Resolved { resolved_at } => resolved_at.min(now),
    };
    (message.fired_at.min(ends_at), ends_at)
}
