//! When a group of alerts is sent to a webhook: a pure state machine, the wall clock being an
//! argument.
//!
//! A group is due when an alert in it begins to fire or is resolved: at once, or, before its
//! first notification, after `group_wait`. It is sent whole, its firing alerts and those that
//! were resolved since the last time, and again after `repeat_interval` while one fires.
//! An alert that was resolved before anybody can have heard of it is not spoken of. A group that
//! is refused is offered again after [`REFUSED_PAUSE`], as Alertmanager does.
//!
//! Cost: O(log n) per event, O(group) per notification.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use crate::notify::event::is_same_state;
use crate::notify::ledger::Known;
use crate::notify::queue::Book;
use crate::notify::schedule::{BACKLOG_HOLD, caused_like};

/// How long a group that was refused waits: Alertmanager's `group_interval`. A receiver that
/// refuses while somebody repairs its front door must not cost anybody a page.
pub const REFUSED_PAUSE: DurationMs = DurationMs::from_seconds(5 * 60);

/// How groups are made and when they are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// The labels whose values make a group; `None` stands for all.
    pub group_by: Option<Vec<String>>,
    /// How long a group's first notification waits for more alerts.
    pub group_wait: DurationMs,
    /// How often a firing group is sent again; 0 = never.
    pub repeat_interval: DurationMs,
    /// Whether alerts that ended are sent.
    pub send_resolved: bool,
    /// The most alerts that wait; when more would, the oldest are not told of.
    pub waiting_max: usize,
}

/// One alert of a notification.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its newest state.
    pub message: Arc<AlertMessage>,
    /// Its labels outside.
    pub labels: Labels,
    /// `true` when nobody was told of this state before.
    pub is_new: bool,
    /// The receiver may have known before that it fires.
    was_told_firing: bool,
    version: u64,
}

/// A group taken for sending: its firing alerts and the newly resolved, sorted by labels.
#[derive(Clone, Debug)]
pub struct GroupBatch {
    /// The labels that make the group.
    pub group_labels: Labels,
    /// Its alerts; never empty.
    pub alerts: Vec<Told>,
}

/// All groups of one webhook.
#[derive(Debug)]
pub struct Groups {
    settings: GroupSettings,
    groups: BTreeMap<Labels, Group>,
    /// Where an alert is, by its labels inside.
    places: HashMap<Labels, Labels>,
    due: BTreeSet<(TimestampMs, Labels)>,
    /// Alerts nobody was told of yet, oldest first: (group, alert).
    untold: BTreeMap<u64, (Labels, Labels)>,
    next_version: u64,
}

#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<Labels, Member>,
    due: Option<TimestampMs>,
    was_sent: bool,
    is_in_flight: bool,
}

#[derive(Debug)]
struct Member {
    message: Arc<AlertMessage>,
    labels: Labels,
    /// `true` when the receiver was told, or may have been, that it fires.
    told_firing: bool,
    /// `false` when the newest state is news.
    is_told: bool,
    /// Not spoken of before an engine says that it is so.
    is_dormant: bool,
    version: u64,
}

impl Groups {
    /// Returns no groups.
    pub fn new(settings: GroupSettings) -> Self {
        Groups {
            settings,
            groups: BTreeMap::new(),
            places: HashMap::new(),
            due: BTreeSet::new(),
            untold: BTreeMap::new(),
            next_version: 0,
        }
    }

    /// Takes an alert's newest state; `labels` are those it has outside. Returns how many older
    /// alerts the bound pushed out.
    pub fn state(
        &mut self,
        mut message: Arc<AlertMessage>,
        labels: Labels,
        now: TimestampMs,
    ) -> usize {
        let inside = message.labels.clone();
        let key = self.group_labels(&labels);
        let is_firing = message.status == AlertStatus::Firing;
        // Relabelling may have changed since; the alert moves to where it belongs now.
        if self.places.get(&inside).is_some_and(|place| *place != key) {
            self.forget(&inside);
        }
        let group = self.groups.entry(key.clone()).or_default();
        let (told_firing, is_known) = match group.members.get_mut(&inside) {
            Some(member) => {
                if is_same_state(&member.message, &message) && !member.is_dormant {
                    if !member.is_told {
                        caused_like(&mut message, &member.message);
                    }
                    member.message = message;
                    return 0;
                }
                (member.told_firing, true)
            }
            None => (false, false),
        };
        let is_news = is_firing || (self.settings.send_resolved && (told_firing || !is_known));
        if !is_news {
            self.forget(&inside);
            self.drop_if_empty(&key);
            return 0;
        }
        let hold = match (message.backlog, group.was_sent) {
            (true, _) => BACKLOG_HOLD,
            (false, true) => DurationMs::ZERO,
            (false, false) => self.settings.group_wait,
        };
        let version = self.next_version;
        self.next_version += 1;
        let member = Member {
            message,
            labels,
            told_firing,
            is_told: false,
            is_dormant: false,
            version,
        };
        if let Some(old) = group.members.insert(inside.clone(), member) {
            self.untold.remove(&old.version);
        }
        self.untold.insert(version, (key.clone(), inside.clone()));
        self.places.insert(inside, key.clone());
        self.set_due(&key, now + hold);
        self.push_out(now)
    }

    /// Takes up an alert where the receiver's queue of before left it; `labels` are those it has
    /// outside. See [`Ledger::known_to`].
    ///
    /// [`Ledger::known_to`]: crate::notify::ledger::Ledger::known_to
    pub fn recall(&mut self, known: &Known, labels: Labels, now: TimestampMs) {
        let fires = known.message.status == AlertStatus::Firing;
        let is_wanted = fires || (self.settings.send_resolved && known.memory.told_at.is_none());
        if !is_wanted || self.places.contains_key(&known.message.labels) {
            return;
        }
        let inside = known.message.labels.clone();
        let key = self.group_labels(&labels);
        let group = self.groups.entry(key.clone()).or_default();
        let version = self.next_version;
        self.next_version += 1;
        let told_firing = known.memory.knows_firing || known.memory.told_at.is_some();
        group.was_sent |= told_firing;
        let member = Member {
            message: Arc::clone(&known.message),
            labels,
            told_firing,
            is_told: known.memory.told_at.is_some(),
            is_dormant: known.is_dormant(),
            version,
        };
        group.members.insert(inside.clone(), member);
        self.places.insert(inside.clone(), key.clone());
        let repeat = self.settings.repeat_interval;
        match known.memory.told_at {
            None if known.is_dormant() => {}
            None => {
                self.untold.insert(version, (key.clone(), inside));
                self.set_due(&key, now + BACKLOG_HOLD);
            }
            Some(told_at) if repeat.0 > 0 => self.set_due(&key, told_at + repeat),
            Some(_) => {}
        }
    }

    /// Drops an alert silently.
    pub fn forget(&mut self, inside: &Labels) {
        let Some(key) = self.places.remove(inside) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&key)
            && let Some(member) = group.members.remove(inside)
        {
            self.untold.remove(&member.version);
        }
        self.drop_if_empty(&key);
    }

    fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.settings.group_by {
            None => labels.clone(),
            Some(names) => labels.filter(|name| names.iter().any(|by| by == name)),
        }
    }

    /// Makes a group due at `at`, unless it is due earlier.
    fn set_due(&mut self, key: &Labels, at: TimestampMs) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let at = group.due.map_or(at, |due| due.min(at));
        if let Some(due) = group.due.replace(at) {
            self.due.remove(&(due, key.clone()));
        }
        if !group.is_in_flight {
            self.due.insert((at, key.clone()));
        }
    }

    fn drop_if_empty(&mut self, key: &Labels) {
        let is_empty = |group: &&mut Group| group.members.is_empty() && !group.is_in_flight;
        if let Some(group) = self.groups.get_mut(key).filter(is_empty) {
            if let Some(due) = group.due {
                self.due.remove(&(due, key.clone()));
            }
            self.groups.remove(key);
        }
    }

    /// Takes a group back that was not accepted, to be sent at `at`.
    fn again(&mut self, key: &Labels, at: TimestampMs) {
        if let Some(group) = self.groups.get_mut(key) {
            group.is_in_flight = false;
            // What has become due meanwhile is no reason to ask a receiver earlier.
            group.due = Some(at);
            self.due.insert((at, key.clone()));
            self.drop_if_empty(key);
        }
    }

    /// Takes back that the receiver may know that an alert fires. If it ended meanwhile, nobody
    /// has heard of either.
    fn unreached(&mut self, alert: &Told) {
        let inside = &alert.message.labels;
        if alert.message.status != AlertStatus::Firing || alert.was_told_firing {
            return;
        }
        let member = self.places.get(inside).and_then(|key| {
            let group = self.groups.get_mut(key)?;
            group.members.get_mut(inside)
        });
        let Some(member) = member else {
            return;
        };
        member.told_firing = false;
        if member.message.status != AlertStatus::Firing {
            self.forget(inside);
        }
    }

    /// Gives up telling of the oldest until the bound holds.
    fn push_out(&mut self, now: TimestampMs) -> usize {
        let mut n_pushed_out = 0;
        while self.untold.len() > self.settings.waiting_max.max(1)
            && let Some((_, (key, inside))) = self.untold.pop_first()
        {
            n_pushed_out += 1;
            let group = self.groups.get_mut(&key);
            let member = group.and_then(|group| group.members.get_mut(&inside));
            let fires = member.is_some_and(|member| {
                member.is_told = true;
                member.message.status == AlertStatus::Firing
            });
            // Whoever was not told that it fires is not told of its end either.
            if !fires {
                self.forget(&inside);
            }
            self.cancel_without_news(&key, now);
        }
        n_pushed_out
    }

    /// Puts a group off to its repetition when there is nothing new in it any more.
    fn cancel_without_news(&mut self, key: &Labels, now: TimestampMs) {
        let repeat = self.settings.repeat_interval;
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let mut awake = group.members.values().filter(|member| !member.is_dormant);
        if group.is_in_flight || awake.any(|member| !member.is_told) {
            return;
        }
        if let Some(due) = group.due.take() {
            self.due.remove(&(due, key.clone()));
        }
        if repeat.0 > 0 {
            group.due = Some(now + repeat);
            self.due.insert((now + repeat, key.clone()));
        }
    }
}

impl Book for Groups {
    type Batch = GroupBatch;

    fn take(&mut self, now: TimestampMs, is_draining: bool) -> Option<GroupBatch> {
        if is_draining {
            // There is no later: what waits for company goes without.
            let keys: Vec<Labels> = self.untold.values().map(|(key, _)| key.clone()).collect();
            keys.iter().for_each(|key| self.set_due(key, now));
        }
        while let Some((at, key)) = self.due.first().cloned()
            && at <= now
        {
            self.due.pop_first();
            let Some(group) = self.groups.get_mut(&key) else {
                continue;
            };
            group.due = None;
            let told = |member: &Member| Told {
                message: Arc::clone(&member.message),
                labels: member.labels.clone(),
                is_new: !member.is_told,
                was_told_firing: member.told_firing,
                version: member.version,
            };
            let awake = group.members.values().filter(|member| !member.is_dormant);
            let mut alerts: Vec<Told> = awake.map(told).collect();
            if alerts.is_empty() {
                continue;
            }
            alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
            group.is_in_flight = true;
            for member in group.members.values_mut().filter(|m| !m.is_dormant) {
                member.told_firing |= member.message.status == AlertStatus::Firing;
            }
            return Some(GroupBatch {
                group_labels: key,
                alerts,
            });
        }
        None
    }

    fn sent(&mut self, batch: GroupBatch, sent_at: TimestampMs, now: TimestampMs) {
        let key = batch.group_labels;
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        (group.is_in_flight, group.was_sent) = (false, true);
        for alert in &batch.alerts {
            let inside = &alert.message.labels;
            let is_current = |member: &&mut Member| member.version == alert.version;
            let Some(member) = group.members.get_mut(inside).filter(is_current) else {
                continue;
            };
            member.is_told = true;
            self.untold.remove(&alert.version);
            if member.message.status != AlertStatus::Firing {
                group.members.remove(inside);
                self.places.remove(inside);
            }
        }
        let mut awake = group.members.values().filter(|member| !member.is_dormant);
        let fires = awake.clone().next().is_some();
        let has_news = awake.any(|member| !member.is_told);
        let repeat = self.settings.repeat_interval;
        let next = match (has_news, fires && repeat.0 > 0) {
            (true, _) => Some(group.due.unwrap_or(now)),
            (false, true) => Some(sent_at + repeat),
            (false, false) => None,
        };
        group.due = next;
        match next {
            Some(at) => {
                self.due.insert((at, key));
            }
            None => self.drop_if_empty(&key),
        }
    }

    fn refused(&mut self, batch: GroupBatch, _sent_at: TimestampMs, now: TimestampMs) {
        self.again(&batch.group_labels, now + REFUSED_PAUSE);
    }

    fn failed(&mut self, batch: GroupBatch, has_left: bool, now: TimestampMs) {
        if !has_left {
            batch.alerts.iter().for_each(|alert| self.unreached(alert));
        }
        self.again(&batch.group_labels, now);
    }

    fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        self.due.first().map(|(at, _)| (*at).max(now))
    }

    fn n_waiting(&self) -> usize {
        self.untold.len()
    }
}
