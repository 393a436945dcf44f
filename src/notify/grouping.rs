//! When a group of alerts is sent to a webhook: a pure state machine, the wall clock being an
//! argument.
//!
//! A group is due when an alert in it begins to fire or is resolved: at once, or, before its
//! first notification, after `group_wait`. It is sent whole, its firing alerts and those that
//! were resolved since the last time, and again after `repeat_interval` while one fires.
//! An alert that was resolved before anybody was told of it is not spoken of.
//!
//! Cost: O(log n) per event, O(group) per notification.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use crate::notify::queue::Book;
use crate::notify::schedule::BACKLOG_HOLD;

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
    pub fn state(&mut self, message: Arc<AlertMessage>, labels: Labels, now: TimestampMs) -> usize {
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
                let is_same = match (member.message.status, message.status) {
                    (AlertStatus::Firing, AlertStatus::Firing) => {
                        member.message.fired_at == message.fired_at
                    }
                    (old, new) => old == new,
                };
                if is_same {
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
            version,
        };
        if let Some(old) = group.members.insert(inside.clone(), member) {
            self.untold.remove(&old.version);
        }
        self.untold.insert(version, (key.clone(), inside.clone()));
        self.places.insert(inside, key.clone());
        self.set_due(&key, now + hold);
        self.push_out()
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

    /// Gives up telling of the oldest until the bound holds.
    fn push_out(&mut self) -> usize {
        let mut n_pushed_out = 0;
        while self.untold.len() > self.settings.waiting_max.max(1)
            && let Some((_, (key, inside))) = self.untold.pop_first()
        {
            n_pushed_out += 1;
            let group = self.groups.get_mut(&key);
            if let Some(member) = group.and_then(|group| group.members.get_mut(&inside)) {
                member.is_told = true;
                // Whoever was not told that it fires is not told of its end either.
                if member.message.status != AlertStatus::Firing {
                    self.forget(&inside);
                }
            }
        }
        n_pushed_out
    }
}

impl Book for Groups {
    type Batch = GroupBatch;

    fn take(&mut self, now: TimestampMs, _is_draining: bool) -> Option<GroupBatch> {
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
                version: member.version,
            };
            let mut alerts: Vec<Told> = group.members.values().map(told).collect();
            if alerts.is_empty() {
                continue;
            }
            alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
            group.is_in_flight = true;
            for member in group.members.values_mut() {
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
        let has_news = group.members.values().any(|member| !member.is_told);
        let fires = !group.members.is_empty();
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

    fn failed(&mut self, batch: GroupBatch, now: TimestampMs) {
        let key = batch.group_labels;
        if let Some(group) = self.groups.get_mut(&key) {
            group.is_in_flight = false;
            group.due = Some(now);
            self.due.insert((now, key.clone()));
            self.drop_if_empty(&key);
        }
    }

    fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        self.due.first().map(|(at, _)| (*at).max(now))
    }

    fn n_waiting(&self) -> usize {
        self.untold.len()
    }
}
