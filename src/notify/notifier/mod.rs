//! The kinds of receivers. To add one: a file here, its line in [`ALL`], and its section in the
//! configuration.

pub mod alertmanager;
pub mod webhook;
pub mod write_back;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::notify::event::AlertUpdate;
use crate::notify::ledger::Ledger;
use crate::notify::metrics::NotifyMetrics;
use crate::notify::{AlertmanagerView, NotifyConfig, RecordedSample};

/// A kind of receiver, with all receivers of that kind that the configuration names.
pub trait Notifier: Send {
    /// Returns the key of the configuration that names such receivers.
    fn name(&self) -> &'static str;
    /// Says in one sentence what it is for.
    fn about(&self) -> &'static str;
    /// Returns a configuration that names one.
    fn example(&self) -> &'static str;

    /// Starts, changes and ends receivers so that they are what `config` names; what waits for
    /// a receiver that stays is kept.
    fn reconfigure(&mut self, config: &NotifyConfig, world: &World);
    /// Hands over events about alerts to a kind that wants them; never waits.
    fn alerts(&mut self, _updates: &[AlertUpdate]) {}
    /// Hands over samples that rules wrote to a kind that wants them; never waits.
    fn samples(&mut self, _samples: &[RecordedSample]) {}
    /// Returns the Alertmanagers it knows.
    fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        Vec::new()
    }
    /// Asks the receivers' tasks to end once nothing waits, and returns them.
    fn drain(&mut self) -> Vec<JoinHandle<()>>;
}

/// Builds every kind, without receivers yet; sorted by name.
pub const ALL: &[fn() -> Box<dyn Notifier>] = &[alertmanager::new, webhook::new, write_back::new];

/// What receivers need of the process.
#[derive(Clone)]
pub struct World {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// When the requests that cause alerts began.
    pub arrivals: Arc<Arrivals>,
    /// The counts.
    pub metrics: NotifyMetrics,
    /// Where tasks run.
    pub runtime: Handle,
    /// What the alerts are and who was told of it.
    pub ledger: Arc<Ledger>,
}
