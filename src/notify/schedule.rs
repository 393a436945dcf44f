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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script, a step a line: `fire a 0`, `resolve a 5`, `late-…` for a backlog's state,
    /// `text a` for new annotations, `forget a`, `pending a`, `release all`, `send ok` or
    /// `send fail`, `at 10` to move the clock (seconds). Returns what every send carried: `a+0` for firing since 0, `a-5` for
    /// resolved at 5.
    fn run(script: &str, waiting_max: usize) -> String {
        let mut schedule = Schedule::new(DurationMs::from_seconds(60), waiting_max);
        let (mut now, mut out) = (TimestampMs(0), Vec::new());
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let words: Vec<&str> = line.split(' ').collect();
            let seconds = |at: usize| {
                let text = words.get(at).copied().unwrap_or("0");
                TimestampMs((text.parse::<f64>().expect("seconds") * 1000.0) as i64)
            };
            let labels = Labels::from_pairs([("alertname", words[1])]);
            let message = |status, fired_at| {
                Arc::new(AlertMessage {
                    labels: labels.clone(),
                    annotations: Arc::from([]),
                    status,
                    fired_at,
                    valid_for: DurationMs::from_seconds(240),
                    expr: Arc::from("x"),
                    caused_by: 0,
                    caused_at_wall: now,
                    backlog: words[0].starts_with("late-"),
                })
            };
            let fired_at = schedule
                .entries
                .get(&labels)
                .map_or(TimestampMs(0), |entry| entry.message.fired_at);
            match words[0].trim_start_matches("late-") {
                "at" => now = seconds(1),
                "forget" => schedule.forget(&labels),
                "pending" => schedule.pending(&labels),
                "release" => schedule.release(),
                "waiting" => out.push(format!("waiting:{}", schedule.n_waiting())),
                "fire" => {
                    let n = schedule.state(message(AlertStatus::Firing, seconds(2)), now);
                    out.extend((n > 0).then(|| format!("out:{n}")));
                }
                "text" => drop(schedule.state(message(AlertStatus::Firing, fired_at), now)),
                "resolve" => {
                    let status = AlertStatus::Resolved {
                        resolved_at: seconds(2),
                    };
                    schedule.state(message(status, fired_at), now);
                }
                "begin" | "send" => {
                    let taken = schedule.take(now, 256);
                    let names: Vec<String> = taken.iter().map(print).collect();
                    out.push(names.join(" "));
                    match words[1] {
                        "ok" => schedule.sent(&taken, now, now),
                        "fail" => schedule.failed(&taken, true),
                        "lost" => schedule.failed(&taken, false),
                        "resolve" | "resolve-lost" => {
                            let status = AlertStatus::Resolved { resolved_at: now };
                            let mut message = (*taken[0].message).clone();
                            message.status = status;
                            schedule.state(Arc::new(message), now);
                            match words[1] {
                                "resolve" => schedule.sent(&taken, now, now),
                                _ => schedule.failed(&taken, false),
                            }
                        }
                        other => panic!("{other}"),
                    }
                }
                other => panic!("{other}"),
            }
        }
        out.join(" | ")
    }

    fn print(outgoing: &Outgoing) -> String {
        let name = outgoing.message.labels.value("alertname");
        match outgoing.message.status {
            AlertStatus::Firing => format!("{name}+{}", outgoing.starts_at.seconds()),
            AlertStatus::Resolved { .. } => format!("{name}-{}", outgoing.ends_at.seconds()),
        }
    }

    /// A wall clock that is set back must not silence a firing alert until it has come back to
    /// where it was: receivers would let it expire.
    #[test]
    fn a_clock_that_was_set_back_does_not_stop_resends() {
        let check = |script: &str, expected: &str| assert_eq!(run(script, 9), expected, "{script}");
        check(
            "at 9000
             fire a 9000
             send ok
             at 5400
             send ok
             send ok
             at 5461
             send ok",
            "a+9000 | a+5640 |  | a+5701",
        );
    }

    #[test]
    fn alerts_are_sent_when_prometheus_sends_them() {
        let check =
            |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
        // At once, then when more than the delay has passed.
        check(
            "fire a 0\nsend ok\nat 60\nsend ok\nat 60.001\nsend ok",
            "a+0 |  | a+0",
        );
        // New texts wait for the resend.
        check("fire a 0\nsend ok\nat 5\ntext a\nsend ok", "a+0 | ");
        // Resolved: at once, at each delay, until 15 minutes have passed.
        check(
            "fire a 0\nsend ok\nat 10\nresolve a 10\nsend ok\nat 71\nsend ok\nat 900\nsend ok\n\
             at 961\nsend ok\nat 2000\nsend ok",
            "a+0 | a-10 | a-10 | a-10 |  | ",
        );
        // Fires again after its resolution.
        check(
            "fire a 0\nsend ok\nat 10\nresolve a 10\nsend ok\nat 12\nfire a 12\nsend ok",
            "a+0 | a-10 | a+12",
        );
        // A failed send is due again; a newer state takes its place.
        check(
            "fire a 0\nsend fail\nat 1\nsend fail\nat 2\nresolve a 2\nsend ok",
            "a+0 | a+0 | a-2",
        );
        // A state that changed under way is sent again.
        check("fire a 0\nat 3\nbegin resolve\nsend ok", "a+0 | a-3");
        check("fire a 0\nforget a\nsend ok", "");
        // A resolution is not repeated once the alert is pending again, but it is told.
        check(
            "fire a 0\nsend ok\nresolve a 5\nsend ok\npending a\nat 100\nsend ok",
            "a+0 | a-0 | ",
        );
        check(
            "fire a 0\nsend ok\nresolve a 0\npending a\nsend fail\nsend ok\nat 100\nsend ok",
            "a+0 | a-0 | a-0 | ",
        );
        check("fire a 0\nsend ok\nforget a\nat 100\nsend ok", "a+0 | ");
        // A resolution whose firing an earlier process sent.
        check("resolve a 0\nsend ok", "a-0");
    }

    #[test]
    fn a_backlog_is_coalesced_to_the_newest_state() {
        let check =
            |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
        check("at 10\nlate-fire a 0\nsend ok\nat 11\nsend ok", " | a+0");
        check("at 10\nlate-fire a 0\nlate-resolve a 5\nat 12\nsend ok", "");
        check(
            "at 10\nlate-fire a 0\nlate-resolve a 5\nlate-fire a 7\nat 11\nsend ok",
            "a+7",
        );
        // What is held does not hold up what is not.
        check("at 10\nlate-fire a 0\nfire b 10\nsend ok", "b+10");
        // At the end nothing waits for a newer state, and nothing is repeated before its time.
        check(
            "at 10\nfire b 10\nsend ok\nlate-fire a 0\nrelease all\nsend ok\nsend ok",
            "b+10 | a+0 | ",
        );
    }

    #[test]
    fn the_oldest_go_when_too_many_wait_and_come_back_by_the_resend_rule() {
        assert_eq!(
            run("fire a 0\nfire b 0\nfire c 0\nsend ok\nat 61\nsend ok", 2),
            "out:1 | b+0 c+0 | a+0 b+0 c+0"
        );
    }

    #[test]
    fn news_go_before_what_is_due_again_and_repetitions_are_pushed_out_first() {
        let script = "fire a 0\nfire b 0\nsend ok\nat 61\nbegin fail\nfire c 61\nsend ok";
        assert_eq!(run(script, 3), "a+0 b+0 | a+0 b+0 | c+61 a+0 b+0");
        assert_eq!(run(script, 2), "a+0 b+0 | a+0 b+0 | out:1 | c+61 b+0");
        assert_eq!(run(script, 1), "out:1 | b+0 | a+0 b+0 | out:2 | c+61");
    }

    #[test]
    fn what_cannot_have_arrived_was_not_heard() {
        let check =
            |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
        // There was no connection, so there is nothing to take back.
        check("fire a 0\nsend lost\nat 2\nresolve a 2\nsend ok", "a+0 | ");
        check("fire a 0\nbegin resolve-lost\nsend ok", "a+0 | ");
        // It may have arrived once; the connection that failed later changes nothing.
        check(
            "fire a 0\nsend fail\nsend lost\nresolve a 2\nat 2\nsend ok",
            "a+0 | a+0 | a-2",
        );
        check(
            "fire a 0\nsend ok\nresolve a 0\nsend lost\nsend ok",
            "a+0 | a-0 | a-0",
        );
    }

    /// An hour without its receiver, which is tried every five seconds: whatever the alerts do
    /// meanwhile, each is owed one state, the newest.
    #[test]
    fn after_an_hours_outage_the_newest_state_of_each_alert_is_sent_once() {
        let story = |minute: i64| match minute {
            1 => "fire new 60\nfire again 60\nfire flaps 60",
            2 => "resolve known 120\nresolve again 120",
            3 => "fire again 180\nfire short 180",
            4 => "resolve short 240",
            _ if minute % 2 == 0 => "resolve flaps 0\nfire steady 0",
            _ => "fire flaps 3000",
        };
        for (fault, expected) in [
            // `short` came and went unheard; `flaps` stands where it stood last.
            ("lost", "known-120 new+60 again+180 flaps+3000"),
            // Everything may have arrived, so every end is told.
            ("fail", "known-120 new+60 again+180 short-240 flaps+3000"),
        ] {
            let mut script = "fire known 0\nfire again 0\nfire steady 0\nsend ok\n".to_owned();
            for minute in 1..60 {
                script.push_str(&format!("at {}\n{}\n", minute * 60, story(minute)));
                for attempt in 0..12 {
                    let at = minute * 60 + attempt * 5;
                    script.push_str(&format!("at {at}\nsend {fault}\n"));
                }
            }
            script.push_str("at 3600\nsend ok\nsend ok\nwaiting all");
            let out = run(&script, 1_000);
            let mut sends: Vec<&str> = out.rsplit(" | ").collect();
            assert_eq!(sends.remove(0), "waiting:0", "{fault}");
            assert_eq!(sends.remove(0), "", "{fault}");
            let mut news: Vec<&str> = sends.remove(0).split(' ').collect();
            // The steady one is due again, as every minute.
            assert!(news.contains(&"steady+0"), "{fault}: {news:?}");
            news.retain(|sent| *sent != "steady+0");
            let mut expected: Vec<&str> = expected.split(' ').collect();
            news.sort_unstable();
            expected.sort_unstable();
            assert_eq!(news, expected, "{fault}");
            let most = sends.iter().map(|sent| sent.split(' ').count()).max();
            assert!(most <= Some(6), "one state an alert: {most:?}");
        }
    }

    #[test]
    fn what_an_earlier_process_told_is_taken_up() {
        use crate::notify::ledger::Memory;
        let recalled = |resolved: Option<i64>, knows_firing, told_at: Option<i64>, at: i64| {
            let mut schedule = Schedule::new(DurationMs::from_seconds(60), 10);
            let seconds = |s: i64| TimestampMs(s * 1000);
            let status = resolved.map_or(AlertStatus::Firing, |at| AlertStatus::Resolved {
                resolved_at: seconds(at),
            });
            let known = Known {
                message: Arc::new(AlertMessage {
                    labels: Labels::from_pairs([("alertname", "a")]),
                    annotations: Arc::from([]),
                    status,
                    fired_at: seconds(0),
                    valid_for: DurationMs::from_seconds(240),
                    expr: Arc::from("x"),
                    caused_by: 0,
                    caused_at_wall: seconds(0),
                    backlog: true,
                }),
                since: seconds(resolved.unwrap_or(0)),
                is_repeated: true,
                is_confirmed: true,
                memory: Memory {
                    knows_firing,
                    told_at: told_at.map(seconds),
                },
            };
            schedule.recall(&known, seconds(100));
            let now = seconds(100 + at);
            let taken = schedule.take(now, 10);
            let news = |o: &Outgoing| if o.is_new { "!" } else { "" };
            let all: Vec<String> = taken.iter().map(|o| print(o) + news(o)).collect();
            all.join(" ")
        };
        // Told long ago: it is repeated at once, lest it expire. Told of late: in its time.
        assert_eq!(recalled(None, true, Some(10), 0), "a+0");
        assert_eq!(recalled(None, true, Some(90), 0), "");
        assert_eq!(recalled(None, true, Some(90), 51), "a+0");
        // Not told: it waits a moment for what the engines say.
        assert_eq!(recalled(None, false, None, 0), "");
        assert_eq!(recalled(None, false, None, 1), "a+0!");
        assert_eq!(recalled(Some(50), true, None, 1), "a-50!");
        assert_eq!(recalled(Some(50), false, Some(60), 21), "a-50");
    }

    #[test]
    fn a_resolution_never_ends_in_the_future() {
        assert_eq!(
            run("fire a 0\nsend ok\nat 10\nresolve a 12\nsend ok", 2),
            "a+0 | a-10"
        );
    }
}
