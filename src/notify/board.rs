//! The alerts that fire now, for receivers that are found later than the alerts.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{AlertMessage, AlertStatus, Labels};
use crate::notify::AlertEvent;

/// One alert's event, shared between receivers.
#[derive(Clone, Debug)]
pub enum AlertUpdate {
    /// Its newest state.
    State(Arc<AlertMessage>),
    /// It is pending; see [`AlertEvent::Pending`].
    Pending(Labels),
    /// It is not ours to speak of any more.
    Forget(Labels),
}

impl From<AlertEvent> for AlertUpdate {
    fn from(event: AlertEvent) -> Self {
        match event {
            AlertEvent::State(message) => AlertUpdate::State(Arc::new(message)),
            AlertEvent::Pending(labels) => AlertUpdate::Pending(labels),
            AlertEvent::Forget(labels) => AlertUpdate::Forget(labels),
        }
    }
}

/// The newest state of every firing alert; bounded by what the engines hold.
#[derive(Debug, Default)]
pub struct Board(Mutex<HashMap<Labels, Arc<AlertMessage>>>);

impl Board {
    /// Notes an event.
    pub fn note(&self, update: &AlertUpdate) {
        let mut firing = self.0.lock();
        match update {
            AlertUpdate::State(message) if message.status == AlertStatus::Firing => {
                firing.insert(message.labels.clone(), Arc::clone(message));
            }
            AlertUpdate::State(message) => drop(firing.remove(&message.labels)),
            AlertUpdate::Forget(labels) | AlertUpdate::Pending(labels) => {
                firing.remove(labels);
            }
        }
    }

    /// Returns what fires now, marked as backlog: a new receiver hears of it late, which is no
    /// measure of how fast we are.
    pub fn firing(&self) -> Vec<Arc<AlertMessage>> {
        let firing = self.0.lock();
        let marked = firing.values().map(|message| {
            Arc::new(AlertMessage {
                backlog: true,
                ..(**message).clone()
            })
        });
        let mut messages: Vec<_> = marked.collect();
        messages.sort_by(|a, b| a.labels.cmp(&b.labels));
        messages
    }
}
